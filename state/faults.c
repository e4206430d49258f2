/* Faults between a member and its place. A late request is a copy of the call, bytes and all, in
 * one block of memory.
 */
#include "efx_faults.h"

#include <stdio.h>

enum call { /* that may come late: those that write */
            CALL_IDENTITY = 1,
            CALL_PUT,
            CALL_COMMIT,
            CALL_DEL_CHUNK,
            CALL_DEL_MANIFEST,
            CALL_TAKE,
            CALL_RENEW,
            CALL_RELEASE,
            CALL_NEXT,
};

struct efx_late {
    size_t n_bytes; /* of the whole block */
    uint64_t due_ns;
    enum call call;
    struct efx_hash from, to;
    bool has_from, has_to;
    struct efx_chunk_name *names; /* [n] */
    struct efx_bytes *bytes;      /* [n] */
    uint32_t n;
    struct efx_lease lease; /* or the leader's */
    struct efx_commit commit;
    uint64_t epoch, no;
    int64_t for_ms;
    struct efx_next next;
    const char **evicted;
};

static uint64_t random_of(struct efx_faults *f)
{
    uint64_t z = (f->seed += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint64_t now_ns(struct efx_faults *f)
{
    return f->world->clock->boottime_ns(f->world);
}

static enum efx_rc lost(struct efx_faults *f, struct efx_err *err)
{
    f->n_faults++;
    if (f->conf.timeout_ns != 0) {
        f->world->clock->sleep_ns(f->world, f->conf.timeout_ns);
    }
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "the store did not answer");
}

/* ---- late requests ------------------------------------------------------------------------- */

static void send_late(struct efx_faults *f, struct efx_late *l)
{
    const struct efx_store_vt *s = f->to_store->vt;
    const struct efx_coord_vt *c = f->to_coord->vt;
    struct efx_hash out;
    struct efx_by by = {l->epoch, &l->lease};
    enum efx_rc rc = EFX_OK;
    switch (l->call) {
    case CALL_IDENTITY:
        rc = s->identity(f->to_store, l->has_from ? &l->from : NULL, l->has_to ? &l->to : NULL,
                         &out, NULL);
        break;
    case CALL_PUT: rc = s->put_chunks(f->to_store, l->names, l->bytes, l->n, NULL); break;
    case CALL_COMMIT: rc = s->commit_manifest(f->to_store, &l->commit, NULL); break;
    case CALL_DEL_CHUNK: rc = s->del_chunk(f->to_store, &by, l->names, NULL); break;
    case CALL_DEL_MANIFEST: rc = s->del_manifest(f->to_store, &by, l->no, NULL); break;
    case CALL_TAKE: rc = c->take(f->to_coord, &l->lease, l->for_ms, l->bytes[0], NULL); break;
    case CALL_RENEW: rc = c->renew(f->to_coord, &l->lease, l->for_ms, l->bytes[0], NULL); break;
    case CALL_RELEASE: rc = c->release(f->to_coord, &l->lease, NULL); break;
    case CALL_NEXT: rc = c->next_epoch(f->to_coord, &l->next, NULL); break;
    }
    (void)rc; /* nobody hears it */
}

void efx_faults_settle(struct efx_faults *f, bool all)
{
    for (uint32_t i = 0; i < f->n_late;) {
        struct efx_late *l = f->late[i];
        if (!all && l->due_ns > now_ns(f)) {
            i++;
            continue;
        }
        f->n_late--;
        memmove(&f->late[i], &f->late[i + 1], (f->n_late - i) * sizeof f->late[0]);
        send_late(f, l);
        f->mem->free(f->mem, l, l->n_bytes);
    }
}

static size_t rounded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* A block with room for n names, n byte strings of n_bytes in all, and n_evicted texts. */
static struct efx_late *new_late(struct efx_faults *f, enum call call, uint32_t n, size_t n_bytes,
                                 uint32_t n_evicted, uint8_t **room)
{
    size_t names = rounded(sizeof(struct efx_late));
    size_t bytes = names + rounded(n * sizeof(struct efx_chunk_name));
    size_t evicted = bytes + rounded(n * sizeof(struct efx_bytes));
    size_t text = evicted + rounded(n_evicted * sizeof(char *));
    size_t all = text + n_bytes + (size_t)n_evicted * EFX_MEMBER_BYTES_MAX;
    uint8_t *p = f->n_late == EFX_FAULTS_LATE ? NULL : f->mem->alloc(f->mem, all);
    if (p == NULL) {
        return NULL;
    }
    struct efx_late *l = (struct efx_late *)(void *)p;
    *l = (struct efx_late){.n_bytes = all, .call = call, .n = n};
    l->names = (struct efx_chunk_name *)(void *)(p + names);
    l->bytes = (struct efx_bytes *)(void *)(p + bytes);
    l->evicted = (const char **)(void *)(p + evicted);
    *room = p + text;
    l->due_ns = now_ns(f) + (f->conf.late_ns_max == 0 ? 0 : random_of(f) % f->conf.late_ns_max);
    f->late[f->n_late++] = l;
    return l;
}

static struct efx_bytes copy(uint8_t **room, struct efx_bytes b)
{
    uint8_t *p = *room;
    if (b.n > 0) {
        memcpy(p, b.p, b.n);
    }
    *room += b.n;
    return (struct efx_bytes){p, b.n};
}

/* ---- which fault --------------------------------------------------------------------------- */

enum fault { FAULT_NONE = 1, FAULT_BEFORE, FAULT_ANSWER, FAULT_LATE };

static enum fault next_fault(struct efx_faults *f)
{
    efx_faults_settle(f, false);
    if (f->away_until_ns > now_ns(f)) {
        return FAULT_BEFORE;
    }
    uint64_t dice = random_of(f) % 1000;
    if (dice < f->conf.lost_before) {
        return FAULT_BEFORE;
    }
    dice -= f->conf.lost_before;
    if (dice < f->conf.answer_lost) {
        return FAULT_ANSWER;
    }
    return dice - f->conf.answer_lost < f->conf.late ? FAULT_LATE : FAULT_NONE;
}

static struct efx_faults *of_store(struct efx_store *self)
{
    return (struct efx_faults *)(void *)((char *)self - offsetof(struct efx_faults, store));
}

static struct efx_faults *of_coord(struct efx_coord *self)
{
    return (struct efx_faults *)(void *)((char *)self - offsetof(struct efx_faults, coord));
}

/* A call that only reads: lost is lost. */
#define READ(f, err, call)                                                                         \
    do {                                                                                           \
        if (next_fault(f) != FAULT_NONE) {                                                         \
            return lost(f, err);                                                                   \
        }                                                                                          \
        return (call);                                                                             \
    } while (0)

/* A call that writes; `keep` makes it a late one. */
#define WRITE(f, err, call, keep)                                                                  \
    do {                                                                                           \
        enum fault fault_ = next_fault(f);                                                         \
        if (fault_ == FAULT_NONE) {                                                                \
            return (call);                                                                         \
        }                                                                                          \
        if (fault_ == FAULT_ANSWER) {                                                              \
            enum efx_rc rc_ = (call);                                                              \
            (void)rc_;                                                                             \
        } else if (fault_ == FAULT_LATE) {                                                         \
            keep;                                                                                  \
        }                                                                                          \
        return lost(f, err);                                                                       \
    } while (0)

/* ---- store --------------------------------------------------------------------------------- */

static void keep_identity(struct efx_faults *f, const struct efx_hash *from,
                          const struct efx_hash *to)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, CALL_IDENTITY, 0, 0, 0, &room);
    if (l != NULL) {
        l->has_from = from != NULL;
        l->has_to = to != NULL;
        l->from = from != NULL ? *from : (struct efx_hash){{0}};
        l->to = to != NULL ? *to : (struct efx_hash){{0}};
    }
}

static enum efx_rc identity(struct efx_store *self, const struct efx_hash *from,
                            const struct efx_hash *to, struct efx_hash *out, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    struct efx_hash unheard;
    enum fault fault = next_fault(f);
    if (fault == FAULT_NONE) {
        return f->to_store->vt->identity(f->to_store, from, to, out, err);
    }
    if (fault == FAULT_ANSWER) {
        enum efx_rc rc = f->to_store->vt->identity(f->to_store, from, to, &unheard, err);
        (void)rc;
    } else if (fault == FAULT_LATE) {
        keep_identity(f, from, to);
    }
    return lost(f, err);
}

static void keep_put(struct efx_faults *f, const struct efx_chunk_name *names,
                     const struct efx_bytes *bytes, uint32_t n)
{
    uint8_t *room;
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_bytes += bytes[i].n;
    }
    struct efx_late *l = new_late(f, CALL_PUT, n, n_bytes, 0, &room);
    for (uint32_t i = 0; l != NULL && i < n; i++) {
        l->names[i] = names[i];
        l->bytes[i] = copy(&room, bytes[i]);
    }
}

static enum efx_rc put_chunks(struct efx_store *self, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    WRITE(f, err, f->to_store->vt->put_chunks(f->to_store, names, bytes, n, err),
          keep_put(f, names, bytes, n));
}

static enum efx_rc get_chunk(struct efx_store *self, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    READ(f, err, f->to_store->vt->get_chunk(f->to_store, name, out, err));
}

static enum efx_rc list_chunks(struct efx_store *self, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    READ(f, err, f->to_store->vt->list_chunks(f->to_store, after, out, n, err));
}

static void keep_del_chunk(struct efx_faults *f, const struct efx_by *by,
                           const struct efx_chunk_name *name)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, CALL_DEL_CHUNK, 1, 0, 0, &room);
    if (l != NULL) {
        l->names[0] = *name;
        l->epoch = by->epoch;
        l->lease = *by->leader;
    }
}

static enum efx_rc del_chunk(struct efx_store *self, const struct efx_by *by,
                             const struct efx_chunk_name *name, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    WRITE(f, err, f->to_store->vt->del_chunk(f->to_store, by, name, err),
          keep_del_chunk(f, by, name));
}

static void keep_commit(struct efx_faults *f, const struct efx_commit *c)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, CALL_COMMIT, 0, c->manifest.n, 0, &room);
    if (l != NULL) {
        l->lease = *c->by.leader;
        l->commit = *c;
        l->commit.by.leader = &l->lease;
        l->commit.manifest = copy(&room, c->manifest);
    }
}

static enum efx_rc commit_manifest(struct efx_store *self, const struct efx_commit *c,
                                   struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    WRITE(f, err, f->to_store->vt->commit_manifest(f->to_store, c, err), keep_commit(f, c));
}

static enum efx_rc get_manifest(struct efx_store *self, uint64_t no, struct efx_writer *out,
                                struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    READ(f, err, f->to_store->vt->get_manifest(f->to_store, no, out, err));
}

static enum efx_rc list_manifests(struct efx_store *self, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    READ(f, err, f->to_store->vt->list_manifests(f->to_store, before, out, n, err));
}

static void keep_del_manifest(struct efx_faults *f, const struct efx_by *by, uint64_t no)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, CALL_DEL_MANIFEST, 0, 0, 0, &room);
    if (l != NULL) {
        l->no = no;
        l->epoch = by->epoch;
        l->lease = *by->leader;
    }
}

static enum efx_rc del_manifest(struct efx_store *self, const struct efx_by *by, uint64_t no,
                                struct efx_err *err)
{
    struct efx_faults *f = of_store(self);
    WRITE(f, err, f->to_store->vt->del_manifest(f->to_store, by, no, err),
          keep_del_manifest(f, by, no));
}

/* ---- coord --------------------------------------------------------------------------------- */

static void keep_lease(struct efx_faults *f, enum call call, const struct efx_lease *lease,
                       int64_t for_ms, struct efx_bytes value)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, call, 1, value.n, 0, &room);
    if (l != NULL) {
        l->lease = *lease;
        l->for_ms = for_ms;
        l->bytes[0] = copy(&room, value);
    }
}

/* What an answer that is lost would have said of the lease is lost, too. */
static enum efx_rc with_lease(struct efx_faults *f, enum call call, struct efx_lease *lease,
                              int64_t for_ms, struct efx_bytes value, struct efx_err *err)
{
    struct efx_lease unheard = *lease;
    enum fault fault = next_fault(f);
    bool heard = fault == FAULT_NONE;
    enum efx_rc rc = EFX_OK;
    if (heard || fault == FAULT_ANSWER) {
        struct efx_lease *l = heard ? lease : &unheard;
        rc = call == CALL_TAKE ? f->to_coord->vt->take(f->to_coord, l, for_ms, value, err)
                               : f->to_coord->vt->renew(f->to_coord, l, for_ms, value, err);
    } else if (fault == FAULT_LATE) {
        keep_lease(f, call, lease, for_ms, value);
    }
    return heard ? rc : lost(f, err);
}

static enum efx_rc take(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                        struct efx_bytes value, struct efx_err *err)
{
    return with_lease(of_coord(self), CALL_TAKE, lease, for_ms, value, err);
}

static enum efx_rc renew(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                         struct efx_bytes value, struct efx_err *err)
{
    return with_lease(of_coord(self), CALL_RENEW, lease, for_ms, value, err);
}

static enum efx_rc release(struct efx_coord *self, const struct efx_lease *lease,
                           struct efx_err *err)
{
    struct efx_faults *f = of_coord(self);
    WRITE(f, err, f->to_coord->vt->release(f->to_coord, lease, err),
          keep_lease(f, CALL_RELEASE, lease, 0, (struct efx_bytes){NULL, 0}));
}

static enum efx_rc list(struct efx_coord *self, const char *prefix, struct efx_writer *out,
                        struct efx_err *err)
{
    struct efx_faults *f = of_coord(self);
    READ(f, err, f->to_coord->vt->list(f->to_coord, prefix, out, err));
}

static enum efx_rc get_record(struct efx_coord *self, uint64_t *epoch, struct efx_writer *out,
                              struct efx_err *err)
{
    struct efx_faults *f = of_coord(self);
    READ(f, err, f->to_coord->vt->get_record(f->to_coord, epoch, out, err));
}

static void keep_next(struct efx_faults *f, const struct efx_next *next)
{
    uint8_t *room;
    struct efx_late *l = new_late(f, CALL_NEXT, 0, next->record.n, next->n_evicted, &room);
    if (l == NULL) {
        return;
    }
    l->lease = *next->leader;
    l->next = *next;
    l->next.leader = &l->lease;
    l->next.record = copy(&room, next->record);
    for (uint32_t i = 0; i < next->n_evicted; i++, room += EFX_MEMBER_BYTES_MAX) {
        (void)snprintf((char *)room, EFX_MEMBER_BYTES_MAX, "%s", next->evicted[i]);
        l->evicted[i] = (const char *)room;
    }
    l->next.evicted = l->evicted;
}

static enum efx_rc next_epoch(struct efx_coord *self, const struct efx_next *next,
                              struct efx_err *err)
{
    struct efx_faults *f = of_coord(self);
    WRITE(f, err, f->to_coord->vt->next_epoch(f->to_coord, next, err), keep_next(f, next));
}

static void close_store(struct efx_store *self)
{
    (void)self; /* efx_faults_close */
}

static void close_coord(struct efx_coord *self)
{
    (void)self;
}

static const struct efx_store_vt store_vt = {
    .base = {.abi = EFX_ABI, .vt_bytes = sizeof store_vt, .name = "faults"},
    .identity = identity,
    .put_chunks = put_chunks,
    .get_chunk = get_chunk,
    .list_chunks = list_chunks,
    .del_chunk = del_chunk,
    .commit_manifest = commit_manifest,
    .get_manifest = get_manifest,
    .list_manifests = list_manifests,
    .del_manifest = del_manifest,
    .close = close_store,
};

static const struct efx_coord_vt coord_vt = {
    .base = {.abi = EFX_ABI, .vt_bytes = sizeof coord_vt, .name = "faults"},
    .take = take,
    .renew = renew,
    .release = release,
    .list = list,
    .get_record = get_record,
    .next_epoch = next_epoch,
    .close = close_coord,
};

void efx_faults_open(struct efx_faults *f, struct efx_store *store, struct efx_coord *coord,
                     const struct efx_faults_conf *conf, uint64_t seed)
{
    *f = (struct efx_faults){
        .store = {.vt = &store_vt, .world = store->world, .mem = store->mem},
        .coord = {.vt = &coord_vt, .world = coord->world, .mem = coord->mem},
        .to_store = store,
        .to_coord = coord,
        .world = store->world,
        .mem = store->mem,
        .conf = *conf,
        .seed = seed,
    };
}

void efx_faults_close(struct efx_faults *f)
{
    for (uint32_t i = 0; i < f->n_late; i++) {
        f->mem->free(f->mem, f->late[i], f->late[i]->n_bytes);
    }
    f->n_late = 0;
}
