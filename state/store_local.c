/* The store's rules within one process: who may, what is the newest, what was done before. Bytes
 * lie on the place's shelf. One set of functions under three names.
 */
#include "local.h"

#include "names.h"

static struct efx_local *enter(struct efx_store *self)
{
    struct efx_local *l = ((struct efx_local_store *)self)->place;
    EFX_ASSERT(pthread_mutex_lock(&l->lock) == 0);
    return l;
}

static enum efx_rc leave(struct efx_local *l, enum efx_rc rc)
{
    EFX_ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    return rc;
}

static bool same(const struct efx_hash *a, const struct efx_hash *b)
{
    return a == NULL || b == NULL ? a == b : efx_state__hash_equal(a, b);
}

static enum efx_rc set_identity(struct efx_local *l, const struct efx_hash *from,
                                const struct efx_hash *to, struct efx_hash *out,
                                struct efx_err *err)
{
    struct efx_hash now;
    enum efx_rc rc = l->shelf->get_identity(l, &now, err);
    if (rc != EFX_OK && rc != EFX_EABSENT) {
        return rc;
    }
    const struct efx_hash *is = rc == EFX_OK ? &now : NULL;
    if (is != NULL) {
        *out = now;
    }
    if (to == NULL) {
        return is != NULL ? EFX_OK
                          : EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "the place has no data");
    }
    if (same(is, to)) {
        return EFX_OK;
    }
    if (!same(is, from)) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "the place has other data");
    }
    EFX_RET(l->shelf->put_identity(l, to, err));
    *out = *to;
    return EFX_OK;
}

static enum efx_rc identity(struct efx_store *self, const struct efx_hash *from,
                            const struct efx_hash *to, struct efx_hash *out, struct efx_err *err)
{
    struct efx_local *l = enter(self);
    return leave(l, set_identity(l, from, to, out, err));
}

static enum efx_rc put_chunks(struct efx_store *self, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    EFX_RET(efx_state__check_put(names, bytes, n, err));
    struct efx_local *l = enter(self);
    return leave(l, n == 0 ? EFX_OK : l->shelf->put_chunks(l, names, bytes, n, err));
}

static enum efx_rc get_chunk(struct efx_store *self, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    size_t at = out->n;
    struct efx_local *l = enter(self);
    enum efx_rc rc = leave(l, l->shelf->get_chunk(l, name, out, err));
    if (rc == EFX_EABSENT) {
        return efx_state__absent_chunk(name, err);
    }
    if (rc == EFX_OK) {
        rc = efx_state__check_chunk(name, (struct efx_bytes){out->p + at, out->n - at}, err);
    }
    if (rc != EFX_OK) {
        out->n = at;
    }
    return rc;
}

static uint32_t at_most(uint32_t n)
{
    return n < EFX_LIST_MAX ? n : EFX_LIST_MAX;
}

static enum efx_rc list_chunks(struct efx_store *self, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct efx_local *l = enter(self);
    *n = at_most(*n);
    return leave(l, l->shelf->list_chunks(l, after, out, n, err));
}

static enum efx_rc del_chunk_held(struct efx_local *l, const struct efx_by *by,
                                  const struct efx_chunk_name *name, struct efx_err *err)
{
    uint64_t newest = 0;
    EFX_RET(efx_local__may(l, by, err));
    EFX_RET(efx_local__newest(l, &newest, err));
    if (name->no > newest) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                        "a chunk of checkpoint %llu is kept: the newest manifest is %llu",
                        (unsigned long long)name->no, (unsigned long long)newest);
    }
    enum efx_rc rc = l->shelf->del_chunk(l, name, err);
    return rc == EFX_EABSENT ? EFX_OK : rc;
}

static enum efx_rc del_chunk(struct efx_store *self, const struct efx_by *by,
                             const struct efx_chunk_name *name, struct efx_err *err)
{
    struct efx_local *l = enter(self);
    return leave(l, del_chunk_held(l, by, name, err));
}

static enum efx_rc stale_last(uint64_t newest, uint64_t last, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "the newest manifest is %llu, not %llu",
                    (unsigned long long)newest, (unsigned long long)last);
}

static enum efx_rc commit_held(struct efx_local *l, const struct efx_commit *c, struct efx_err *err)
{
    struct efx_manifest_info now;
    struct efx_manifest_info info = {c->no, c->by.epoch, c->manifest.n,
                                     efx_state__hash(c->manifest)};
    uint64_t newest = 0;
    enum efx_rc rc = l->shelf->get_manifest(l, c->no, &now, NULL, err);
    if (rc == EFX_OK && now.epoch == info.epoch && now.n_bytes == info.n_bytes &&
        efx_state__hash_equal(&now.hash, &info.hash)) {
        return EFX_OK; /* it was done before */
    }
    if (rc != EFX_OK && rc != EFX_EABSENT) {
        return rc;
    }
    EFX_RET(efx_local__may(l, &c->by, err));
    EFX_RET(efx_local__newest(l, &newest, err));
    if (newest != c->last) {
        return stale_last(newest, c->last, err);
    }
    return l->shelf->put_manifest(l, &info, c->manifest, err);
}

static enum efx_rc commit_manifest(struct efx_store *self, const struct efx_commit *c,
                                   struct efx_err *err)
{
    EFX_RET(efx_state__check_commit(c, err));
    struct efx_local *l = enter(self);
    return leave(l, commit_held(l, c, err));
}

static enum efx_rc get_manifest(struct efx_store *self, uint64_t no, struct efx_writer *out,
                                struct efx_err *err)
{
    size_t at = out->n;
    struct efx_manifest_info info = {0};
    struct efx_local *l = enter(self);
    enum efx_rc rc = leave(l, l->shelf->get_manifest(l, no, &info, out, err));
    if (rc == EFX_EABSENT) {
        return efx_state__absent_manifest(no, err);
    }
    if (rc == EFX_OK && (info.epoch == 0 || info.no != no)) {
        rc = EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "manifest %llu is damaged in its head",
                      (unsigned long long)no);
    }
    if (rc == EFX_ELIMIT && info.epoch != 0 && info.n_bytes <= out->max - at) {
        rc = EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                      "manifest %llu is damaged: it is longer than what was stored",
                      (unsigned long long)no);
    }
    if (rc == EFX_OK) {
        rc = efx_state__check_manifest(&info, (struct efx_bytes){out->p + at, out->n - at}, err);
    }
    if (rc != EFX_OK) {
        out->n = at;
    }
    return rc;
}

static enum efx_rc list_manifests(struct efx_store *self, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct efx_local *l = enter(self);
    *n = at_most(*n);
    return leave(l, l->shelf->list_manifests(l, before, out, n, err));
}

static enum efx_rc del_manifest_held(struct efx_local *l, const struct efx_by *by, uint64_t no,
                                     struct efx_err *err)
{
    uint64_t newest = 0;
    EFX_RET(efx_local__may(l, by, err));
    EFX_RET(efx_local__newest(l, &newest, err));
    if (no >= newest) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                        "manifest %llu is kept: nothing newer stands", (unsigned long long)no);
    }
    enum efx_rc rc = l->shelf->del_manifest(l, no, err);
    return rc == EFX_EABSENT ? EFX_OK : rc;
}

static enum efx_rc del_manifest(struct efx_store *self, const struct efx_by *by, uint64_t no,
                                struct efx_err *err)
{
    struct efx_local *l = enter(self);
    return leave(l, del_manifest_held(l, by, no, err));
}

static void close_store(struct efx_store *self)
{
    efx_local__unref(&((struct efx_local_store *)self)->place);
}

static enum efx_rc open_memory(struct efx_store *self, const void *conf, struct efx_err *err)
{
    struct efx_local_store *s = (struct efx_local_store *)self;
    (void)conf;
    return s->place != NULL ? EFX_OK : efx_memory__place(&s->place, self->world, self->mem, err);
}

static enum efx_rc open_dir(struct efx_store *self, const void *conf, struct efx_err *err)
{
    struct efx_local_store *s = (struct efx_local_store *)self;
    return s->place != NULL ? EFX_OK : efx_dir__place(&s->place, conf, self->world, self->mem, err);
}

static enum efx_rc open_sqlite(struct efx_store *self, const void *conf, struct efx_err *err)
{
    struct efx_local_store *s = (struct efx_local_store *)self;
    return s->place != NULL ? EFX_OK
                            : efx_sqlite__place(&s->place, conf, self->world, self->mem, err);
}

#define STORE(name_, help_, open_)                                                                 \
    {                                                                                              \
        .base = {.abi = EFX_ABI,                                                                   \
                 .vt_bytes = sizeof(struct efx_store_vt),                                          \
                 .name = (name_),                                                                  \
                 .help = (help_),                                                                  \
                 .conf_bytes = sizeof(struct efx_stores_conf),                                     \
                 .self_bytes = sizeof(struct efx_local_store)},                                    \
        .open = (open_), .identity = identity, .put_chunks = put_chunks, .get_chunk = get_chunk,   \
        .list_chunks = list_chunks, .del_chunk = del_chunk, .commit_manifest = commit_manifest,    \
        .get_manifest = get_manifest, .list_manifests = list_manifests,                            \
        .del_manifest = del_manifest, .close = close_store                                         \
    }

const struct efx_store_vt efx_store__memory =
    STORE("memory", "Keeps checkpoints in this process; they are gone with it.", open_memory);
const struct efx_store_vt efx_store__dir =
    STORE("dir", "Keeps checkpoints as files of a directory, for one process.", open_dir);
const struct efx_store_vt efx_store__sqlite =
    STORE("sqlite", "Keeps checkpoints in one file, for one process.", open_sqlite);
