/* u32 magic │ u32 n │ n chunks { u64 no, hash, u32 raw, packed, stored } */
#include "efx_outbox.h"

#include "ckpt.h"

#include "efx_buf.h"

enum { MAGIC = 0x4F584645, ITEM_BYTES = 8 + EFX_HASH_BYTES + 4 * 3 };

static uint64_t op_of(const struct efx_ckpt_receipt *r)
{
    return efx_hash_mix(MAGIC, efx_hash_bytes(r->sink, strlen(r->sink)));
}

static enum efx_rc put_one(struct efx_store *store, const struct efx_ckpt_receipt *receipt,
                           struct efx_bytes piece, struct efx_buf *list, struct efx_err *err)
{
    struct efx_ckpt_chunk_in in = {
        .no = receipt->no, .op = op_of(receipt), .version = 1, .base = true};
    struct efx_ckpt_chunk c;
    uint8_t *p = NULL;
    EFX_RET(efx_chunk_encode(&in, piece, &efx_mem_libc, &c, &p, err));
    struct efx_bytes stored = {p, c.stored_bytes};
    enum efx_rc rc = store->vt->put_chunks(store, &c.name, &stored, 1, err);
    efx_mem_libc.free(&efx_mem_libc, p, c.stored_bytes);
    efx_buf_u64(list, c.name.no);
    efx_buf_put(list, c.name.hash.b, sizeof c.name.hash.b);
    efx_buf_u32(list, c.raw_bytes);
    efx_buf_u32(list, c.packed_bytes);
    efx_buf_u32(list, c.stored_bytes);
    return rc;
}

enum efx_rc efx_outbox_put(struct efx_store *store, const struct efx_bytes *pieces, uint32_t n,
                           struct efx_arena *arena, struct efx_ckpt_receipt *receipt,
                           struct efx_err *err)
{
    struct efx_buf list;
    enum efx_rc rc = EFX_OK;
    efx_buf_init(&list, &efx_mem_libc);
    efx_buf_u32(&list, MAGIC);
    efx_buf_u32(&list, n);
    for (uint32_t i = 0; i < n && rc == EFX_OK; i++) {
        rc = put_one(store, receipt, pieces[i], &list, err);
    }
    uint8_t *own = rc == EFX_OK && !list.bad ? efx_arena_bytes(arena, list.n) : NULL;
    if (own != NULL) {
        memcpy(own, list.p, list.n);
        receipt->bytes = (struct efx_bytes){own, list.n};
    }
    efx_buf_fini(&list);
    return rc == EFX_OK && own == NULL ? efx_ckpt__no_memory(err) : rc;
}

enum efx_rc efx_outbox_chunks(const struct efx_ckpt_receipt *receipt, struct efx_arena *arena,
                              struct efx_ckpt_chunk **out, uint32_t *n, struct efx_err *err)
{
    struct efx_reader r = {receipt->bytes.p, receipt->bytes.n, false};
    *n = 0;
    *out = NULL;
    if (receipt->bytes.n < 8 || efx_get_u32(&r) != MAGIC) {
        return EFX_OK;
    }
    uint32_t k = efx_get_u32(&r);
    if (r.left != (size_t)k * ITEM_BYTES) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the receipt of %s is damaged",
                        receipt->sink);
    }
    struct efx_ckpt_chunk *c = EFX_NEW_N(arena, struct efx_ckpt_chunk, (size_t)k + 1);
    if (c == NULL) {
        return efx_ckpt__no_memory(err);
    }
    for (uint32_t i = 0; i < k; i++) {
        c[i].name.no = efx_get_u64(&r);
        efx_get_raw(&r, c[i].name.hash.b, sizeof c[i].name.hash.b);
        c[i].raw_bytes = efx_get_u32(&r);
        c[i].packed_bytes = efx_get_u32(&r);
        c[i].stored_bytes = efx_get_u32(&r);
        if (c[i].raw_bytes > EFX_CHUNK_STORED_MAX || c[i].stored_bytes > EFX_CHUNK_STORED_MAX ||
            c[i].packed_bytes > efx_ckpt__packed_max(c[i].raw_bytes)) {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the receipt of %s is damaged",
                            receipt->sink);
        }
    }
    *out = c;
    *n = k;
    return EFX_OK;
}

enum efx_rc efx_outbox_get(struct efx_store *store, const struct efx_ckpt_receipt *receipt,
                           const struct efx_ckpt_chunk *chunk, struct efx_arena *arena,
                           struct efx_bytes *piece, struct efx_err *err)
{
    uint8_t *stored = efx_mem_libc.alloc(&efx_mem_libc, chunk->stored_bytes);
    uint8_t *raw = efx_arena_bytes(arena, (size_t)chunk->raw_bytes + 1);
    if (stored == NULL || raw == NULL) {
        efx_mem_libc.free(&efx_mem_libc, stored, chunk->stored_bytes);
        return efx_ckpt__no_memory(err);
    }
    struct efx_writer w = {.p = stored, .max = chunk->stored_bytes};
    enum efx_rc rc = store->vt->get_chunk(store, &chunk->name, &w, err);
    rc = rc == EFX_OK
             ? efx_chunk_decode(chunk, op_of(receipt), (struct efx_bytes){stored, w.n}, raw, err)
             : rc;
    efx_mem_libc.free(&efx_mem_libc, stored, chunk->stored_bytes);
    *piece = (struct efx_bytes){raw, chunk->raw_bytes};
    return rc;
}
