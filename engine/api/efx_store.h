#ifndef EFX_STORE_H
#define EFX_STORE_H

#include "efx_arena.h"
#include "efx_plugin.h"
#include "efx_world.h"

/* Where checkpoints live: chunks named by content, manifests by number; nothing like a query.
 *
 *   put a, b, c │ commit manifest 7 {a, b, c; d, e of before} ◄ now checkpoint 7 is
 *
 * A chunk's name is the number of the checkpoint that first used it and the XXH3-128 of what is
 * stored: putting twice is putting once, reading checks, and what an open checkpoint put is never
 * taken for garbage. Putting only adds and is not fenced; what deletes or names compares epoch and
 * leader in the same action. In a cluster store and coord are one place; a directory or SQLite
 * serves one process, whose lock keeps all others out.
 *
 * Calls wait for their answer, at most as long as the store's own deadline says (configured, 5 s
 * by default), and are made where waiting hurts nobody.
 *
 *   Owner    bytes are borrowed for the call; what get fills is the caller's
 *   Errors   EFX_ESTALE: other epoch, leader or last manifest, nothing was done. EFX_EABSENT.
 *            EFX_EPARSE: damaged (kind ENV, named), never taken for an empty start. EFX_EIO of
 *            what writes is no answer: the same call with the same bytes again, until EFX_OK (also
 *            if it was done before) or EFX_ESTALE
 *   Limits   EFX_CHUNK_STORED_MAX, EFX_MANIFEST_MAX, EFX_LIST_MAX; EFX_ELIMIT: full, or too large,
 *            what is there stays readable
 *   Threads  any; a storage thread as a rule
 *   Order    commit_manifest after put_chunks of all its chunks answered EFX_OK
 *   Source   tests/state/test_store.c: one suite over every store
 */
enum {
    EFX_HASH_BYTES = 16,
    EFX_CHUNK_STORED_MAX = 64 * 1024 * 1024,
    EFX_MANIFEST_MAX = 16 * 1024 * 1024,
    EFX_LIST_MAX = 1000,
};

struct efx_hash { /* XXH3-128, high half first, big-endian; or a random identity */
    uint8_t b[EFX_HASH_BYTES];
};

struct efx_chunk_name {
    uint64_t no;
    struct efx_hash hash;
};

struct efx_lease; /* efx_coord.h */
struct efx_by {   /* who acts: refused unless coord says the same now */
    uint64_t epoch;
    const struct efx_lease *leader;
};

struct efx_commit {
    struct efx_by by;
    uint64_t last; /* the newest manifest must be this; 0 = there must be none */
    uint64_t no;   /* > last */
    struct efx_bytes manifest;
};

struct efx_manifest_info {
    uint64_t no;
    uint64_t epoch; /* in which it was committed */
    uint64_t n_bytes;
    struct efx_hash hash; /* XXH3-128 of its bytes */
};

struct efx_store { /* first member of each store; all but open finds it filled */
    const struct efx_store_vt *vt;
    struct efx_world *world;
    struct efx_mem *mem;
};

struct efx_store_vt {
    struct efx_plugin base;
    enum efx_rc (*open)(struct efx_store *self, const void *conf, struct efx_err *err);
    /* Whose data this is, compared and set in one action: from NULL = must have none, to NULL =
     * only looks (EFX_EABSENT: has none); *out is what stands then, also with EFX_ESTALE. */
    enum efx_rc (*identity)(struct efx_store *self, const struct efx_hash *from,
                            const struct efx_hash *to, struct efx_hash *out, struct efx_err *err);
    /* Many at once, on their way together; EFX_OK: all of them are there, and durable. */
    enum efx_rc (*put_chunks)(struct efx_store *self, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err);
    /* Appends to *out. EFX_ELIMIT: does not fit, nothing was written; who knows its size takes that
     * for damage. */
    enum efx_rc (*get_chunk)(struct efx_store *self, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err);
    /* Behind `after` in the order of (no, hash); NULL = from the first. *n: room, at most
     * EFX_LIST_MAX are used; then how many came, 0 = that was all. */
    enum efx_rc (*list_chunks)(struct efx_store *self, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err);
    /* EFX_OK also if it is not there. EFX_ESTALE above the newest manifest's number, too. */
    enum efx_rc (*del_chunk)(struct efx_store *self, const struct efx_by *by,
                             const struct efx_chunk_name *name, struct efx_err *err);
    enum efx_rc (*commit_manifest)(struct efx_store *self, const struct efx_commit *c,
                                   struct efx_err *err);
    enum efx_rc (*get_manifest)(struct efx_store *self, uint64_t no, struct efx_writer *out,
                                struct efx_err *err);
    /* Below `before`, newest first; 0 = from the newest. *n as above. */
    enum efx_rc (*list_manifests)(struct efx_store *self, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err);
    /* EFX_OK also if it is not there. The newest is never deleted: EFX_ESTALE. */
    enum efx_rc (*del_manifest)(struct efx_store *self, const struct efx_by *by, uint64_t no,
                                struct efx_err *err);
    void (*close)(struct efx_store *self);
};

#endif /* EFX_STORE_H */
