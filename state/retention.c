/* Which manifests and chunks are kept (C8).
 *
 *   manifests   │ 3 4 5 │ 6 … 15 │      the newest `retain` stay, the others leave first
 *   chunks      of 3, 4, 5 that none of 6 … 15 names leave; nothing above 15 is looked at
 *
 * A manifest leaves before its chunks: whoever is stopped between leaves chunks that nobody names,
 * and the next sweep finds them. A kept manifest that cannot be read stops everything: what it
 * names is not known.
 */
#include "ckpt.h"

#include "efx_outbox.h"
#include "efx_storage.h"

#include <stdlib.h>

enum { LIST = 64, NAMES_START = 1024 };

struct names { /* a sorted set */
    uint32_t n, max;
    struct efx_chunk_name *v;
};

static int by_name(const void *a, const void *b)
{
    const struct efx_chunk_name *x = a, *y = b;
    return x->no != y->no ? (x->no < y->no ? -1 : 1)
                          : memcmp(x->hash.b, y->hash.b, sizeof x->hash.b);
}

static enum efx_rc add(struct names *s, const struct efx_chunk_name *name)
{
    if (s->n == s->max) {
        uint32_t max = s->max == 0 ? NAMES_START : s->max * 2;
        struct efx_chunk_name *more =
            efx_mem_grow(&efx_mem_libc, s->v, s->max * sizeof *more, max * sizeof *more);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        s->v = more;
        s->max = max;
    }
    s->v[s->n++] = *name;
    return EFX_OK;
}

static enum efx_rc add_all(struct names *s, const struct efx_manifest *m, struct efx_arena *arena,
                           struct efx_err *err)
{
    for (uint32_t i = 0; i < m->body.n_ops; i++) {
        for (uint32_t k = 0; k < m->body.ops[i].n_parts; k++) {
            const struct efx_ckpt_part *p = &m->body.ops[i].parts[k];
            for (uint32_t c = 0; c < p->n_chunks; c++) {
                EFX_RET(add(s, &p->chunks[c].name));
            }
        }
    }
    for (uint32_t i = 0; i < m->body.n_receipts; i++) {
        struct efx_ckpt_chunk *c;
        uint32_t n;
        EFX_RET(efx_outbox_chunks(&m->body.receipts[i], arena, &c, &n, err));
        for (uint32_t k = 0; k < n; k++) {
            EFX_RET(add(s, &c[k].name));
        }
    }
    return EFX_OK;
}

static bool has(const struct names *s, const struct efx_chunk_name *name)
{
    return s->n > 0 && bsearch(name, s->v, s->n, sizeof *s->v, by_name) != NULL;
}

struct retaining {
    struct efx_store *store;
    const struct efx_by *by;
    uint32_t retain;
    uint64_t newest;
    struct names kept, dropped;
    uint64_t drop[LIST];
    uint32_t n_drop;
    struct efx_err *err;
};

static enum efx_rc look(struct retaining *r, const struct efx_manifest_info *info, uint32_t nth)
{
    struct efx_arena a;
    struct efx_manifest m;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = efx_checkpoint_read(r->store, info->no, &a, &m, r->err);
    if (rc == EFX_OK) {
        rc = add_all(nth < r->retain ? &r->kept : &r->dropped, &m, &a, r->err);
    } else if (nth >= r->retain && rc == EFX_EPARSE) {
        rc = EFX_OK; /* it leaves; its chunks are found by a sweep */
    }
    if (rc == EFX_OK && nth >= r->retain && r->n_drop < LIST) {
        r->drop[r->n_drop++] = info->no;
    }
    efx_arena_fini(&a);
    return rc;
}

static enum efx_rc look_at_all(struct retaining *r)
{
    struct efx_manifest_info v[LIST];
    uint64_t before = 0;
    uint32_t nth = 0;
    for (;;) {
        uint32_t n = LIST;
        EFX_RET(r->store->vt->list_manifests(r->store, before, v, &n, r->err));
        for (uint32_t i = 0; i < n; i++, nth++) {
            r->newest = nth == 0 ? v[i].no : r->newest;
            before = v[i].no;
            if (nth < r->retain || r->n_drop < LIST) {
                EFX_RET(look(r, &v[i], nth));
            }
        }
        if (n == 0) {
            return EFX_OK;
        }
    }
}

static enum efx_rc drop_chunk(struct retaining *r, const struct efx_chunk_name *name)
{
    return has(&r->kept, name) || name->no > r->newest
               ? EFX_OK
               : r->store->vt->del_chunk(r->store, r->by, name, r->err);
}

static enum efx_rc sweep(struct retaining *r)
{
    struct efx_chunk_name v[LIST], after;
    const struct efx_chunk_name *from = NULL;
    for (;;) {
        uint32_t n = LIST;
        EFX_RET(r->store->vt->list_chunks(r->store, from, v, &n, r->err));
        if (n == 0) {
            return EFX_OK;
        }
        for (uint32_t i = 0; i < n; i++) {
            EFX_RET(drop_chunk(r, &v[i]));
        }
        after = v[n - 1];
        from = &after;
    }
}

static enum efx_rc drop_all(struct retaining *r, bool sweeps)
{
    for (uint32_t i = 0; i < r->n_drop; i++) {
        EFX_RET(r->store->vt->del_manifest(r->store, r->by, r->drop[i], r->err));
    }
    if (sweeps) {
        return sweep(r);
    }
    for (uint32_t i = 0; i < r->dropped.n; i++) {
        EFX_RET(drop_chunk(r, &r->dropped.v[i]));
    }
    return EFX_OK;
}

enum efx_rc efx_retention(struct efx_store *store, const struct efx_by *by, uint32_t retain,
                          bool sweeps, struct efx_err *err)
{
    struct retaining r = {.store = store, .by = by, .retain = retain, .err = err};
    enum efx_rc rc = look_at_all(&r);
    if (rc == EFX_OK) {
        if (r.kept.n > 0) {
            qsort(r.kept.v, r.kept.n, sizeof *r.kept.v, by_name);
        }
        rc = drop_all(&r, sweeps);
    }
    efx_mem_libc.free(&efx_mem_libc, r.kept.v, r.kept.max * sizeof *r.kept.v);
    efx_mem_libc.free(&efx_mem_libc, r.dropped.v, r.dropped.max * sizeof *r.dropped.v);
    return rc;
}
