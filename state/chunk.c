/* A chunk: sections of some key groups of one operator, packed and compressed.
 *
 *   u32 magic, u32 version │ u64 no, u64 operator, u32 layout, u32 base │ u32 first, u32 last
 *   │ u32 raw, u32 packed │ one zstd frame
 *
 * Its name is the number and the XXH3-128 of all that, so whoever reads it compares first. What the
 * head says is compared with what the manifest says: a chunk in another's place is noticed even if
 * it is sound.
 */
#include "ckpt.h"

#include <xxhash.h>
#include <zstd.h>

enum { MAGIC = 0x43584645, VERSION = 1, HEAD_BYTES = 48, LEVEL = 1 };

struct efx_hash efx_ckpt__hash(const void *p, size_t n)
{
    XXH128_canonical_t c;
    struct efx_hash h;
    XXH128_canonicalFromHash(&c, XXH3_128bits(p, n));
    memcpy(h.b, c.digest, sizeof h.b);
    return h;
}

bool efx_ckpt__same_hash(const struct efx_hash *a, const struct efx_hash *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static enum efx_rc compress(const struct efx_ckpt_chunk_in *in, struct efx_bytes raw,
                            uint8_t *packed, uint8_t *out, size_t max, size_t *n,
                            struct efx_ckpt_chunk *c)
{
    size_t packed_bytes = efx_ckpt__pack(raw.p, raw.n, packed);
    struct efx_writer w = {.p = out, .max = max};
    c->raw_bytes = (uint32_t)raw.n;
    c->packed_bytes = (uint32_t)packed_bytes;
    c->first = in->first;
    c->last = in->last;
    c->more = false;
    efx_put_u32(&w, MAGIC);
    efx_put_u32(&w, VERSION);
    efx_put_u64(&w, in->no);
    efx_put_u64(&w, in->op);
    efx_put_u32(&w, in->version);
    efx_put_u32(&w, in->base);
    efx_put_u32(&w, in->first);
    efx_put_u32(&w, in->last);
    efx_put_u32(&w, c->raw_bytes);
    efx_put_u32(&w, c->packed_bytes);
    size_t z = ZSTD_compress(out + w.n, max - w.n, packed, packed_bytes, LEVEL);
    if (ZSTD_isError(z)) {
        return EFX_ENOMEM;
    }
    *n = w.n + z;
    c->stored_bytes = (uint32_t)*n;
    c->name.no = in->no;
    c->name.hash = efx_ckpt__hash(out, *n);
    return EFX_OK;
}

enum efx_rc efx_chunk_encode(const struct efx_ckpt_chunk_in *in, struct efx_bytes raw,
                             struct efx_mem *mem, struct efx_ckpt_chunk *out, uint8_t **bytes,
                             struct efx_err *err)
{
    EFX_ASSERT(raw.n <= UINT32_MAX / 2);
    size_t packed_max = efx_ckpt__packed_max(raw.n);
    size_t max = HEAD_BYTES + ZSTD_compressBound(packed_max), n = 0;
    uint8_t *packed = mem->alloc(mem, packed_max), *p = mem->alloc(mem, max);
    enum efx_rc rc = packed == NULL || p == NULL ? EFX_ENOMEM : EFX_OK;
    if (rc == EFX_OK) {
        rc = compress(in, raw, packed, p, max, &n, out);
    }
    uint8_t *fit = rc == EFX_OK ? mem->alloc(mem, n) : NULL;
    if (fit != NULL) {
        memcpy(fit, p, n);
        *bytes = fit;
    }
    mem->free(mem, packed, packed_max);
    mem->free(mem, p, max);
    return fit != NULL ? EFX_OK : efx_ckpt__no_memory(err);
}

static enum efx_rc damaged(const struct efx_ckpt_chunk *c, const char *what, struct efx_err *err)
{
    char name[2 * EFX_HASH_BYTES + 1];
    for (uint32_t i = 0; i < EFX_HASH_BYTES; i++) {
        static const char hex[] = "0123456789abcdef";
        name[2 * i] = hex[c->name.hash.b[i] >> 4];
        name[2 * i + 1] = hex[c->name.hash.b[i] & 15];
    }
    name[2 * EFX_HASH_BYTES] = '\0';
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "chunk %020llu-%s is damaged: %s",
                    (unsigned long long)c->name.no, name, what);
}

static bool is_head(struct efx_reader *r, const struct efx_ckpt_chunk *c, uint64_t op)
{
    bool same = efx_get_u32(r) == MAGIC && efx_get_u32(r) == VERSION;
    same = efx_get_u64(r) == c->name.no && same;
    same = efx_get_u64(r) == op && same;
    (void)efx_get_u64(r); /* layout and base: the manifest's word counts, of the part */
    same = efx_get_u32(r) == c->first && same;
    same = efx_get_u32(r) == c->last && same;
    same = efx_get_u32(r) == c->raw_bytes && same;
    same = efx_get_u32(r) == c->packed_bytes && same;
    return same && !r->bad;
}

enum efx_rc efx_chunk_check(const struct efx_ckpt_chunk *c, struct efx_bytes bytes,
                            struct efx_err *err)
{
    if (bytes.n != c->stored_bytes) {
        return damaged(c, "it has not the length that the manifest says", err);
    }
    struct efx_hash h = efx_ckpt__hash(bytes.p, bytes.n);
    return efx_ckpt__same_hash(&h, &c->name.hash)
               ? EFX_OK
               : damaged(c, "its bytes do not have the hash of its name", err);
}

enum efx_rc efx_chunk_decode(const struct efx_ckpt_chunk *c, uint64_t op, struct efx_bytes bytes,
                             uint8_t *raw, struct efx_err *err)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    EFX_RET(efx_chunk_check(c, bytes, err));
    if (!is_head(&r, c, op)) {
        return damaged(c, "it belongs to something else", err);
    }
    size_t packed_bytes = c->packed_bytes;
    uint8_t *packed = efx_mem_libc.alloc(&efx_mem_libc, packed_bytes + 1);
    if (packed == NULL) {
        return efx_ckpt__no_memory(err);
    }
    size_t n = ZSTD_decompress(packed, packed_bytes, r.p, r.left);
    bool ok = !ZSTD_isError(n) && n == packed_bytes &&
              efx_ckpt__unpack(packed, packed_bytes, raw, c->raw_bytes);
    efx_mem_libc.free(&efx_mem_libc, packed, packed_bytes + 1);
    return ok ? EFX_OK : damaged(c, "it cannot be unpacked", err);
}
