/* Payload compression of eventflux.transport: lz4 (block with its length before it), snappy, zstd.
 *
 *   lz4      u32 little-endian: bytes unpacked; then one lz4 block
 *   snappy   raw format, which begins with its length
 *   zstd     one frame
 *
 *   Limits   what comes out is known, and refused, before room for it is taken; a zstd frame that
 *            does not say its size is unpacked into max bytes
 *   Source   lz4, snappy-c, zstd
 */
#include "grpc_in.h"

#include <lz4.h>
#include <snappy-c.h>
#include <string.h>
#include <zstd.h>

struct room { /* what is given out is exactly n bytes */
    uint8_t *p;
    size_t n;
};

static enum efx_rc take_room(struct room *r, size_t n, size_t max)
{
    if (n > max) {
        return EFX_ELIMIT;
    }
    r->n = n == 0 ? 1 : n;
    r->p = efx_mem_libc.alloc(&efx_mem_libc, r->n);
    return r->p == NULL ? EFX_ENOMEM : EFX_OK;
}

/* Cuts the room to what is in it. */
static enum efx_rc give(struct room *r, enum efx_rc rc, size_t n, uint8_t **out, size_t *n_out)
{
    uint8_t *exact = rc != EFX_OK ? NULL : efx_mem_libc.alloc(&efx_mem_libc, n == 0 ? 1 : n);
    if (exact != NULL) {
        memcpy(exact, r->p, n);
        *out = exact;
        *n_out = n;
    }
    if (r->p != NULL) {
        efx_mem_libc.free(&efx_mem_libc, r->p, r->n);
    }
    return rc == EFX_OK && exact == NULL ? EFX_ENOMEM : rc;
}

/* ---- in ---- */

static enum efx_rc unpack_lz4(struct efx_bytes in, size_t max, struct room *r, size_t *n)
{
    uint32_t size;
    if (in.n < sizeof size || in.n > LZ4_MAX_INPUT_SIZE) {
        return EFX_EPARSE;
    }
    memcpy(&size, in.p, sizeof size);
    EFX_RET(take_room(r, size, max));
    int got = LZ4_decompress_safe((const char *)in.p + sizeof size, (char *)r->p,
                                  (int)(in.n - sizeof size), (int)size);
    *n = size;
    return got >= 0 && (uint32_t)got == size ? EFX_OK : EFX_EPARSE;
}

static enum efx_rc unpack_snappy(struct efx_bytes in, size_t max, struct room *r, size_t *n)
{
    if (snappy_uncompressed_length((const char *)in.p, in.n, n) != SNAPPY_OK) {
        return EFX_EPARSE;
    }
    EFX_RET(take_room(r, *n, max));
    return snappy_uncompress((const char *)in.p, in.n, (char *)r->p, n) == SNAPPY_OK ? EFX_OK
                                                                                     : EFX_EPARSE;
}

static enum efx_rc unpack_zstd(struct efx_bytes in, size_t max, struct room *r, size_t *n)
{
    unsigned long long size = ZSTD_getFrameContentSize(in.p, in.n);
    if (size == ZSTD_CONTENTSIZE_ERROR) {
        return EFX_EPARSE;
    }
    EFX_RET(take_room(r, size == ZSTD_CONTENTSIZE_UNKNOWN ? max : (size_t)size, max));
    *n = ZSTD_decompress(r->p, r->n, in.p, in.n);
    return ZSTD_isError(*n) ? EFX_EPARSE : EFX_OK;
}

enum efx_rc efx_grpc__unpack(enum efx_grpc_packing how, struct efx_bytes in, size_t max,
                             uint8_t **out, size_t *n_out)
{
    struct room r = {NULL, 0};
    size_t n = 0;
    enum efx_rc rc = EFX_EPARSE;
    switch (how) {
    case EFX_GRPC_PACKING_NONE:
        rc = take_room(&r, in.n, max);
        n = in.n;
        if (rc == EFX_OK && in.n > 0) {
            memcpy(r.p, in.p, in.n);
        }
        break;
    case EFX_GRPC_PACKING_LZ4: rc = unpack_lz4(in, max, &r, &n); break;
    case EFX_GRPC_PACKING_SNAPPY: rc = unpack_snappy(in, max, &r, &n); break;
    case EFX_GRPC_PACKING_ZSTD: rc = unpack_zstd(in, max, &r, &n); break;
    }
    return give(&r, rc, n, out, n_out);
}

/* ---- out ---- */

static enum efx_rc pack_lz4(struct efx_bytes in, struct room *r, size_t *n)
{
    uint32_t size = (uint32_t)in.n;
    if (in.n > LZ4_MAX_INPUT_SIZE) {
        return EFX_ELIMIT;
    }
    int bound = LZ4_compressBound((int)in.n);
    EFX_RET(take_room(r, (size_t)bound + sizeof size, SIZE_MAX));
    memcpy(r->p, &size, sizeof size);
    int got =
        LZ4_compress_default((const char *)in.p, (char *)r->p + sizeof size, (int)in.n, bound);
    *n = (size_t)got + sizeof size;
    return got > 0 ? EFX_OK : EFX_EBUG;
}

static enum efx_rc pack_zstd(struct efx_bytes in, struct room *r, size_t *n)
{
    EFX_RET(take_room(r, ZSTD_compressBound(in.n), SIZE_MAX));
    *n = ZSTD_compress(r->p, r->n, in.p, in.n, 1);
    return ZSTD_isError(*n) ? EFX_EBUG : EFX_OK;
}

enum efx_rc efx_grpc__pack(enum efx_grpc_packing how, struct efx_bytes in, uint8_t **out,
                           size_t *n_out)
{
    struct room r = {NULL, 0};
    size_t n = 0;
    enum efx_rc rc = EFX_EPARSE;
    switch (how) {
    case EFX_GRPC_PACKING_NONE: return efx_grpc__unpack(how, in, SIZE_MAX, out, n_out);
    case EFX_GRPC_PACKING_LZ4: rc = pack_lz4(in, &r, &n); break;
    case EFX_GRPC_PACKING_SNAPPY:
        n = snappy_max_compressed_length(in.n);
        rc = take_room(&r, n, SIZE_MAX);
        if (rc == EFX_OK &&
            snappy_compress((const char *)in.p, in.n, (char *)r.p, &n) != SNAPPY_OK) {
            rc = EFX_EBUG;
        }
        break;
    case EFX_GRPC_PACKING_ZSTD: rc = pack_zstd(in, &r, &n); break;
    }
    return give(&r, rc, n, out, n_out);
}
