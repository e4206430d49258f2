#ifndef LOCAL_H
#define LOCAL_H

#include "efx_coord.h"
#include "efx_store.h"
#include "efx_stores.h"

#include <pthread.h>

/* A place that one process has for itself: the rules of store and coord once, over a shelf that
 * only keeps bytes.
 *
 *   efx_store ─┐                       ┌─ memory
 *              ├─ place: leases, epoch, ├─ directory
 *   efx_coord ─┘  who may, in a lock    └─ SQLite
 *
 * Leases live here, in memory: who else could hold one is behind the shelf's lock. Epoch and terms
 * are on the shelf too, so they never fall while it keeps its data.
 *
 *   Owner    counted: store, coord, and whoever shares a place in memory
 *   Limits   EFX_LOCAL_LEASES
 *   Threads  any; `lock` is held over each whole call, so comparing and writing are one action
 *   Order    a shelf is written before what is remembered here changes
 */
enum { EFX_LOCAL_LEASES = EFX_MEMBERS_MAX + 8 };

struct efx_local_lease {
    char name[EFX_MEMBER_BYTES_MAX + 8];
    char holder[EFX_MEMBER_BYTES_MAX];
    uint64_t term;
    uint64_t ends_ns; /* the place's boot-time clock */
    uint8_t *value;   /* [EFX_LEASE_VALUE_MAX], the place's */
    uint32_t n_value;
};

struct efx_epoch { /* as the shelf keeps it */
    uint64_t no;   /* 0 = not founded */
    uint64_t start;
    uint64_t term;           /* of the leader that made it */
    struct efx_bytes record; /* on the heap when it is a place's */
};

/* Bytes by name. A write is durable when it returns, wholly there or not at all. Bounds and hashes
 * are the caller's business. EFX_EABSENT is answered with no sentence. */
struct efx_shelf_vt {
    enum efx_rc (*load)(struct efx_local *l, struct efx_err *err); /* sets terms and epoch */
    enum efx_rc (*get_identity)(struct efx_local *l, struct efx_hash *out, struct efx_err *err);
    enum efx_rc (*put_identity)(struct efx_local *l, const struct efx_hash *id,
                                struct efx_err *err);
    enum efx_rc (*put_terms)(struct efx_local *l, uint64_t terms, struct efx_err *err);
    enum efx_rc (*put_epoch)(struct efx_local *l, const struct efx_epoch *epoch,
                             struct efx_err *err);
    enum efx_rc (*put_chunks)(struct efx_local *l, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err);
    enum efx_rc (*get_chunk)(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err);
    enum efx_rc (*list_chunks)(struct efx_local *l, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err);
    enum efx_rc (*del_chunk)(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_err *err);
    enum efx_rc (*put_manifest)(struct efx_local *l, const struct efx_manifest_info *info,
                                struct efx_bytes bytes, struct efx_err *err);
    /* Appends the bytes unless out is NULL. A head that is damaged has epoch 0. */
    enum efx_rc (*get_manifest)(struct efx_local *l, uint64_t no, struct efx_manifest_info *info,
                                struct efx_writer *out, struct efx_err *err);
    enum efx_rc (*list_manifests)(struct efx_local *l, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err);
    enum efx_rc (*del_manifest)(struct efx_local *l, uint64_t no, struct efx_err *err);
    void (*close)(struct efx_local *l); /* also frees the place itself */
};

struct efx_local { /* first member of each place */
    const struct efx_shelf_vt *shelf;
    struct efx_world *world;
    struct efx_mem *mem;
    pthread_mutex_t lock;
    uint32_t n_refs;
    uint32_t n_leases;
    struct efx_local_lease lease[EFX_LOCAL_LEASES]; /* by name */
    uint64_t terms;
    struct efx_epoch epoch;
};

/* For a place that its shelf has just opened: the rest of it, and what the shelf knows. On failure
 * the shelf is closed. */
enum efx_rc efx_local__begin(struct efx_local *l, struct efx_err *err);
void efx_local__ref(struct efx_local *l);
void efx_local__unref(struct efx_local **l);
/* Forgets leases, terms and epoch. */
void efx_local__forget(struct efx_local *l);
/* Copies an epoch in, for what was there; `save`: onto the shelf first. */
enum efx_rc efx_local__set_epoch(struct efx_local *l, const struct efx_epoch *epoch, bool save,
                                 struct efx_err *err);

/* Live lease of this name, or NULL. */
struct efx_local_lease *efx_local__lease(struct efx_local *l, const char *name);
/* Lease, holder and term are held now, else EFX_ESTALE. */
enum efx_rc efx_local__holds(struct efx_local *l, const struct efx_lease *lease,
                             struct efx_err *err);
/* epoch and leader are the present ones, else EFX_ESTALE. */
enum efx_rc efx_local__may(struct efx_local *l, const struct efx_by *by, struct efx_err *err);
enum efx_rc efx_local__newest(struct efx_local *l, uint64_t *no, struct efx_err *err);

struct efx_local_store {
    struct efx_store base;
    struct efx_local *place; /* NULL until open; set before: that one */
};

struct efx_local_coord {
    struct efx_coord base;
    struct efx_local *place;
};

/* Places by address. */
enum efx_rc efx_memory__place(struct efx_local **out, struct efx_world *world, struct efx_mem *mem,
                              struct efx_err *err);
enum efx_rc efx_dir__place(struct efx_local **out, const struct efx_stores_conf *conf,
                           struct efx_world *world, struct efx_mem *mem, struct efx_err *err);
enum efx_rc efx_sqlite__place(struct efx_local **out, const struct efx_stores_conf *conf,
                              struct efx_world *world, struct efx_mem *mem, struct efx_err *err);

extern const struct efx_store_vt efx_store__memory, efx_store__dir, efx_store__sqlite;
extern const struct efx_coord_vt efx_coord__memory, efx_coord__dir, efx_coord__sqlite;

#endif /* LOCAL_H */
