#ifndef CKPT_H
#define CKPT_H

#include "efx_checkpoint.h"

/* Private to state: bytes that grow, packing, hashes. */

struct ckpt_out { /* a writer that grows; `failed` = out of memory */
    struct efx_mem *mem;
    uint8_t *p;
    size_t n, max;
    bool failed;
};
void efx_ckpt__raw(struct ckpt_out *o, const void *p, size_t n);
void efx_ckpt__u8(struct ckpt_out *o, uint8_t v);
void efx_ckpt__u16(struct ckpt_out *o, uint16_t v);
void efx_ckpt__u32(struct ckpt_out *o, uint32_t v);
void efx_ckpt__u64(struct ckpt_out *o, uint64_t v);
void efx_ckpt__str(struct ckpt_out *o, const char *s); /* u32 n, n bytes */
void efx_ckpt__free(struct ckpt_out *o);

struct efx_hash efx_ckpt__hash(const void *p, size_t n);
bool efx_ckpt__same_hash(const struct efx_hash *a, const struct efx_hash *b);

/* pack.c: runs of zero bytes leave; state of keys is full of them. */
size_t efx_ckpt__packed_max(size_t n);
size_t efx_ckpt__pack(const uint8_t *p, size_t n, uint8_t *out);
/* false: not n bytes exactly. */
bool efx_ckpt__unpack(const uint8_t *p, size_t packed, uint8_t *out, size_t n);

/* codec.c */
enum efx_rc efx_ckpt__no_memory(struct efx_err *err);
enum efx_rc efx_ckpt__copy_body(struct efx_arena *a, const struct efx_ckpt_body *from,
                                struct efx_ckpt_body *to);
enum efx_rc efx_ckpt__copy_op(struct efx_arena *a, const struct efx_ckpt_op *from,
                              struct efx_ckpt_op *to);

/* merge.c: number of the newest base of each group; 0 = none. */
void efx_ckpt__bases(const struct efx_ckpt_op *op, uint64_t newest[EFX_KEY_GROUPS]);

/* restore.c: newest number there is; 0 = none. */
enum efx_rc efx_ckpt__newest(struct efx_store *store, uint64_t *no, struct efx_err *err);

#endif /* CKPT_H */
