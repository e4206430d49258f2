/* The way back: manifest, chunks, and only then the app.
 *
 *   newest manifest ─ damaged ─► named; the one before only where nothing was promised (C15)
 *        │
 *   chunks that the app wants ── all read and compared ──► unpacked, part by part, into the app
 *
 * Nothing is loaded before everything that will be is known to be sound, so a damaged chunk leaves
 * the app as it was and an older checkpoint can take its place.
 */
#include "ckpt.h"

#include "efx_crash.h"
#include "efx_outbox.h"

#include <stdio.h>

enum { LIST = 64 };

/* ---- manifests ---- */

static enum efx_rc read_manifest(struct efx_store *store, const struct efx_manifest_info *info,
                                 struct efx_arena *arena, struct efx_manifest *out,
                                 struct efx_err *err)
{
    size_t max = (size_t)info->n_bytes + 1;
    uint8_t *p = efx_mem_libc.alloc(&efx_mem_libc, max);
    struct efx_writer w = {.p = p, .max = max};
    struct efx_err inner = {0};
    if (p == NULL) {
        return efx_ckpt__no_memory(err);
    }
    enum efx_rc rc = store->vt->get_manifest(store, info->no, &w, &inner);
    if (rc == EFX_OK) {
        rc = efx_manifest_decode((struct efx_bytes){w.p, w.n}, arena, out, &inner);
    }
    if (rc == EFX_OK && out->no != info->no) {
        rc = EFX_FAIL(&inner, EFX_EPARSE, EFX_KIND_ENV, 0, "it is the manifest of checkpoint %llu",
                      (unsigned long long)out->no);
    }
    efx_mem_libc.free(&efx_mem_libc, p, max);
    return rc == EFX_OK
               ? EFX_OK
               : EFX_FAIL(err, rc, inner.kind == 0 ? EFX_KIND_ENV : inner.kind, 0,
                          "checkpoint %llu: %.180s", (unsigned long long)info->no, inner.msg);
}

/* Info of manifest `no`, or of the newest below `below` (0 = of all). */
static enum efx_rc find(struct efx_store *store, uint64_t no, uint64_t below,
                        struct efx_manifest_info *out, struct efx_err *err)
{
    struct efx_manifest_info v[LIST];
    uint64_t before = no == 0 ? below : no + 1;
    uint32_t n = no == 0 ? 1 : LIST;
    EFX_RET(store->vt->list_manifests(store, before, v, &n, err));
    if (n == 0 || (no != 0 && v[0].no != no)) {
        return no == 0 ? EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 0, "there is no checkpoint")
                       : EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 0, "there is no checkpoint %llu",
                                  (unsigned long long)no);
    }
    *out = v[0];
    return EFX_OK;
}

enum efx_rc efx_ckpt__newest(struct efx_store *store, uint64_t *no, struct efx_err *err)
{
    struct efx_manifest_info info;
    struct efx_err inner = {0};
    enum efx_rc rc = find(store, 0, 0, &info, &inner);
    *no = rc == EFX_OK ? info.no : 0;
    if (rc != EFX_OK && rc != EFX_EABSENT) {
        return EFX_FAIL(err, rc, inner.kind, 0, "%s", inner.msg);
    }
    return EFX_OK;
}

enum efx_rc efx_checkpoint_read(struct efx_store *store, uint64_t no, struct efx_arena *arena,
                                struct efx_manifest *out, struct efx_err *err)
{
    struct efx_manifest_info info;
    EFX_RET(find(store, no, 0, &info, err));
    return read_manifest(store, &info, arena, out, err);
}

/* ---- chunks ---- */

struct fetched {
    const struct efx_ckpt_chunk *chunk; /* NULL: nobody wants it */
    uint8_t *bytes;
};

struct restoring {
    struct efx_store *store;
    const struct efx_manifest *m;
    struct efx_app *app; /* NULL: only compares */
    struct fetched *got; /* [n_got] in the order of the manifest */
    uint32_t n_got, max;
    struct efx_restore_info *info;
    struct efx_err *err;
};

static void release(struct restoring *r)
{
    for (uint32_t i = 0; i < r->n_got; i++) {
        if (r->got[i].bytes != NULL) {
            efx_mem_libc.free(&efx_mem_libc, r->got[i].bytes, r->got[i].chunk->stored_bytes + 1u);
        }
    }
    efx_mem_libc.free(&efx_mem_libc, r->got, r->max * sizeof *r->got);
}

static enum efx_rc fetch(struct restoring *r, const struct efx_ckpt_chunk *c, struct fetched *f)
{
    size_t max = c->stored_bytes + 1u;
    struct efx_err inner = {0};
    f->bytes = efx_mem_libc.alloc(&efx_mem_libc, max);
    f->chunk = c;
    if (f->bytes == NULL) {
        return efx_ckpt__no_memory(r->err);
    }
    struct efx_writer w = {.p = f->bytes, .max = max};
    enum efx_rc rc = r->store->vt->get_chunk(r->store, &c->name, &w, &inner);
    if (rc == EFX_OK || rc == EFX_ELIMIT) { /* longer than it should be: damaged, too */
        rc = efx_chunk_check(c, (struct efx_bytes){w.p, rc == EFX_OK ? w.n : 0}, &inner);
    }
    return rc == EFX_OK
               ? EFX_OK
               : EFX_FAIL(r->err, rc == EFX_EABSENT ? EFX_EPARSE : rc, EFX_KIND_ENV, 0,
                          "checkpoint %llu: %.180s", (unsigned long long)r->m->no, inner.msg);
}

static bool is_wanted(const struct restoring *r, const struct efx_ckpt_op *op, uint32_t first,
                      uint32_t last)
{
    return r->app == NULL ||
           efx_app_load_wants(r->app, op->key, (struct efx_kg_range){first, last}, NULL);
}

static enum efx_rc fetch_op(struct restoring *r, const struct efx_ckpt_op *op)
{
    for (uint32_t i = 0; i < op->n_parts; i++) {
        const struct efx_ckpt_part *p = &op->parts[i];
        bool before = false; /* the chunk before goes on in this one, and is wanted */
        for (uint32_t k = 0; k < p->n_chunks; k++) {
            const struct efx_ckpt_chunk *c = &p->chunks[k];
            bool wanted = before || is_wanted(r, op, c->first, c->last);
            for (uint32_t j = k; !wanted && p->chunks[j].more; j++) {
                wanted = is_wanted(r, op, p->chunks[j + 1].first, p->chunks[j + 1].last);
            }
            struct fetched *f = &r->got[r->n_got++];
            if (wanted) {
                EFX_RET(fetch(r, c, f));
            }
            before = wanted && c->more;
        }
    }
    return EFX_OK;
}

static enum efx_rc fetch_all(struct restoring *r)
{
    const struct efx_ckpt_body *b = &r->m->body;
    for (uint32_t i = 0; i < b->n_ops; i++) {
        for (uint32_t k = 0; k < b->ops[i].n_parts; k++) {
            r->max += b->ops[i].parts[k].n_chunks;
        }
    }
    r->max++;
    r->got = efx_mem_libc.alloc(&efx_mem_libc, r->max * sizeof *r->got);
    if (r->got == NULL) {
        r->max = 0;
        return efx_ckpt__no_memory(r->err);
    }
    memset(r->got, 0, r->max * sizeof *r->got);
    for (uint32_t i = 0; i < b->n_ops; i++) {
        EFX_RET(fetch_op(r, &b->ops[i]));
    }
    return EFX_OK;
}

/* ---- into the app ---- */

/* Sections of groups whose newest base is not behind this part, as runs. */
static enum efx_rc give(struct restoring *r, const struct efx_ckpt_op *op,
                        const struct efx_ckpt_part *p, const uint64_t *newest, struct efx_bytes raw)
{
    struct efx_reader in = {raw.p, raw.n, false};
    const uint8_t *run = raw.p;
    while (in.left > 0 && !in.bad) {
        const uint8_t *at = in.p;
        uint32_t group = efx_get_u32(&in);
        (void)efx_get_view(&in, efx_get_u32(&in));
        if (in.bad || group >= EFX_KEY_GROUPS) {
            return EFX_FAIL(r->err, EFX_EPARSE, EFX_KIND_ENV, 0,
                            "checkpoint %llu: sections of %s are damaged",
                            (unsigned long long)r->m->no, op->name);
        }
        if (newest[group] > p->no) {
            if (at > run) {
                EFX_RET(efx_app_load_part(r->app, op->key, p->version, p->no,
                                          (struct efx_bytes){run, (size_t)(at - run)}, r->err));
            }
            run = in.p;
        }
    }
    if (raw.p + raw.n == run && raw.n > 0) {
        return EFX_OK;
    }
    return efx_app_load_part(r->app, op->key, p->version, p->no,
                             (struct efx_bytes){run, (size_t)(raw.p + raw.n - run)}, r->err);
}

/* The chunks from i on that hang together, as one run of sections; *n of them. */
static enum efx_rc join(struct restoring *r, const struct efx_ckpt_op *op,
                        const struct efx_ckpt_part *p, uint32_t i, const struct fetched *f,
                        struct ckpt_out *raw, uint32_t *n)
{
    raw->n = 0;
    *n = 0;
    do {
        const struct efx_ckpt_chunk *c = &p->chunks[i + *n];
        size_t need = raw->n + c->raw_bytes + 1u;
        if (need > raw->max) {
            uint8_t *more = efx_mem_grow(raw->mem, raw->p, raw->max, need * 2);
            if (more == NULL) {
                return efx_ckpt__no_memory(r->err);
            }
            raw->p = more;
            raw->max = need * 2;
        }
        EFX_RET(efx_chunk_decode(c, op->key, (struct efx_bytes){f[*n].bytes, c->stored_bytes},
                                 raw->p + raw->n, r->err));
        raw->n += c->raw_bytes;
        r->info->n_raw_bytes += c->raw_bytes;
        r->info->n_chunks++;
    } while (p->chunks[i + (*n)++].more);
    return EFX_OK;
}

static enum efx_rc load_op(struct restoring *r, const struct efx_ckpt_op *op,
                           const struct fetched *f, struct ckpt_out *raw)
{
    uint64_t newest[EFX_KEY_GROUPS];
    efx_ckpt__bases(op, newest);
    for (uint32_t i = 0; i < op->n_parts; i++) {
        const struct efx_ckpt_part *p = &op->parts[i];
        struct efx_kg_range kg = {p->first, p->last};
        if (!efx_app_load_wants(r->app, op->key, kg, NULL)) {
            f += p->n_chunks;
            continue;
        }
        EFX_RET(efx_app_load_part(r->app, op->key, p->version, p->no, (struct efx_bytes){NULL, 0},
                                  r->err));
        for (uint32_t k = 0, n = 1; k < p->n_chunks; k += n, f += n) {
            n = 1;
            if (f->chunk != NULL) {
                EFX_RET(join(r, op, p, k, f, raw, &n));
                EFX_RET(give(r, op, p, newest, (struct efx_bytes){raw->p, raw->n}));
            }
        }
    }
    return EFX_OK;
}

static enum efx_rc load_ops(struct restoring *r)
{
    struct ckpt_out raw = {.mem = &efx_mem_libc};
    const struct fetched *f = r->got;
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < r->m->body.n_ops && rc == EFX_OK; i++) {
        const struct efx_ckpt_op *op = &r->m->body.ops[i];
        rc = load_op(r, op, f, &raw);
        for (uint32_t k = 0; k < op->n_parts; k++) {
            f += op->parts[k].n_chunks;
        }
    }
    efx_ckpt__free(&raw);
    return rc;
}

/* ---- what fits ---- */

static bool manifest_has(const struct efx_manifest *m, uint64_t key)
{
    for (uint32_t i = 0; i < m->body.n_ops; i++) {
        if (m->body.ops[i].key == key) {
            return true;
        }
    }
    return false;
}

/* Operators of the checkpoint that find none, and of the app that get nothing. */
static enum efx_rc compare(struct restoring *r, struct efx_arena *arena)
{
    const struct efx_ckpt_body *b = &r->m->body;
    struct efx_restore_info *info = r->info;
    uint64_t key;
    const char *name;
    uint32_t n = 0;
    while (efx_app_op(r->app, n, &key, &name)) {
        n++;
    }
    info->lost = EFX_NEW_N(arena, const char *, (size_t)b->n_ops + 1);
    info->empty = EFX_NEW_N(arena, const char *, (size_t)n + 1);
    if (info->lost == NULL || info->empty == NULL) {
        return efx_ckpt__no_memory(r->err);
    }
    for (uint32_t i = 0; i < b->n_ops; i++) {
        bool known;
        (void)efx_app_load_wants(r->app, b->ops[i].key,
                                 (struct efx_kg_range){0, EFX_KEY_GROUPS - 1}, &known);
        if (!known) {
            info->lost[info->n_lost++] = b->ops[i].name;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)efx_app_op(r->app, i, &key, &name);
        if (key != 0 && !manifest_has(r->m, key)) {
            info->empty[info->n_empty++] = name;
        }
    }
    return EFX_OK;
}

static enum efx_rc refuse(const struct restoring *r, bool compatible)
{
    const struct efx_restore_info *i = r->info;
    if (compatible || (i->n_lost == 0 && i->n_empty == 0)) {
        return EFX_OK;
    }
    return i->n_lost > 0
               ? EFX_FAIL(r->err, EFX_ESTALE, EFX_KIND_USER, 0,
                          "checkpoint %llu is of another program: the state of '%s'%s has no place "
                          "in this one",
                          (unsigned long long)r->m->no, i->lost[0],
                          i->n_lost > 1 ? " and others" : "")
               : EFX_FAIL(r->err, EFX_ESTALE, EFX_KIND_USER, 0,
                          "checkpoint %llu is of another program: it has no state for '%s'%s",
                          (unsigned long long)r->m->no, i->empty[0],
                          i->n_empty > 1 ? " and others" : "");
}

static enum efx_rc into_app(struct restoring *r)
{
    struct efx_app_missing missing = {0};
    const struct efx_ckpt_bytes *head = efx_ckpt_section(&r->m->body, EFX_CKPT_NUMBERING);
    if (head == NULL) {
        return EFX_FAIL(r->err, EFX_EPARSE, EFX_KIND_ENV, 0, "checkpoint %llu has no clock",
                        (unsigned long long)r->m->no);
    }
    EFX_RET(efx_app_load_numbering(r->app, head->bytes, r->err));
    efx_crash_point("in-restore");
    EFX_RET(load_ops(r));
    EFX_RET(efx_app_load_done(r->app, &missing, r->err));
    r->info->n_held_lost = missing.n_held;
    return EFX_OK;
}

/* Everything that may fail for damage, before the app is touched. */
static enum efx_rc prepare(struct restoring *r, const struct efx_restore_opts *opts,
                           struct efx_arena *arena)
{
    EFX_RET(efx_app_load_begin(r->app, opts->kg, opts->placed, r->err));
    EFX_RET(compare(r, arena));
    EFX_RET(refuse(r, opts->compatible));
    return fetch_all(r);
}

static enum efx_rc restore_one(struct efx_store *store, const struct efx_manifest_info *which,
                               struct efx_app *app, const struct efx_restore_opts *opts,
                               struct efx_arena *arena, struct efx_manifest *out,
                               struct efx_restore_info *info, bool *damaged, struct efx_err *err)
{
    struct restoring r = {.store = store, .m = out, .app = app, .info = info, .err = err};
    *out = (struct efx_manifest){0};
    enum efx_rc rc = read_manifest(store, which, arena, out, err);
    if (rc == EFX_OK) {
        rc = prepare(&r, opts, arena);
    }
    *damaged = rc == EFX_EPARSE;
    if (rc == EFX_OK) {
        rc = into_app(&r);
    }
    release(&r);
    return rc;
}

enum efx_rc efx_checkpoint_restore(struct efx_store *store, uint64_t no, struct efx_app *app,
                                   const struct efx_restore_opts *opts, struct efx_arena *arena,
                                   struct efx_manifest *out, struct efx_restore_info *info,
                                   struct efx_err *err)
{
    struct efx_manifest_info which;
    struct efx_err first = {0}, inner = {0};
    uint64_t newest = 0;
    *info = (struct efx_restore_info){0};
    EFX_RET(find(store, no, 0, &which, err));
    for (;;) {
        bool damaged = false;
        struct efx_restore_info fresh = {.fell_back_from = newest};
        memcpy(fresh.why, first.msg, sizeof fresh.why);
        *info = fresh;
        enum efx_rc rc = restore_one(store, &which, app, opts, arena, out, info, &damaged, &inner);
        if (rc == EFX_OK) {
            return EFX_OK;
        }
        bool goes_on = damaged && no == 0 && opts->may_fall_back && !out->promised;
        if (newest == 0) {
            first = inner;
            newest = which.no;
        }
        if (!goes_on || find(store, 0, which.no, &which, NULL) != EFX_OK) {
            return EFX_FAIL(err, first.rc, first.kind, 0, "%s", first.msg);
        }
    }
}

/* What receipts name, read and thrown away. */
static enum efx_rc verify_outboxes(struct efx_store *store, const struct efx_manifest *m,
                                   struct efx_err *err)
{
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < m->body.n_receipts && rc == EFX_OK; i++) {
        const struct efx_ckpt_receipt *r = &m->body.receipts[i];
        struct efx_ckpt_chunk *c;
        struct efx_arena a;
        uint32_t n = 0;
        efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
        rc = efx_outbox_chunks(r, &a, &c, &n, err);
        for (uint32_t k = 0; k < n && rc == EFX_OK; k++) {
            struct efx_bytes piece;
            rc = efx_outbox_get(store, r, &c[k], &a, &piece, err);
        }
        efx_arena_fini(&a);
    }
    return rc;
}

enum efx_rc efx_checkpoint_verify(struct efx_store *store, const struct efx_manifest *m,
                                  struct efx_err *err)
{
    struct efx_restore_info info = {0};
    struct restoring r = {.store = store, .m = m, .info = &info, .err = err};
    enum efx_rc rc = fetch_all(&r);
    release(&r);
    return rc == EFX_OK ? verify_outboxes(store, m, err) : rc;
}

/* ---- back by hand ---- */

/* Is something above `to` that was promised, or that nobody can read? */
static enum efx_rc promised_above(struct efx_store *store, uint64_t to, uint64_t *which,
                                  struct efx_err *err)
{
    struct efx_manifest_info v[LIST];
    uint64_t before = 0;
    *which = 0;
    for (;;) {
        uint32_t n = LIST;
        EFX_RET(store->vt->list_manifests(store, before, v, &n, err));
        for (uint32_t i = 0; i < n; i++) {
            if (v[i].no <= to) {
                return EFX_OK;
            }
            struct efx_arena a;
            struct efx_manifest m;
            efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
            enum efx_rc rc = read_manifest(store, &v[i], &a, &m, NULL);
            if (rc != EFX_OK || m.promised) {
                *which = v[i].no;
            }
            efx_arena_fini(&a);
            before = v[i].no;
        }
        if (n == 0) {
            return EFX_OK;
        }
    }
}

enum efx_rc efx_checkpoint_back(struct efx_store *store, const struct efx_by *by, uint64_t to,
                                int64_t now_ms, bool lose_committed, uint64_t *made,
                                struct efx_err *err)
{
    struct efx_arena a;
    struct efx_manifest m = {0};
    uint64_t newest = 0, loses = 0;
    uint8_t *p = NULL;
    size_t n = 0;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = efx_checkpoint_read(store, to, &a, &m, err);
    rc = rc == EFX_OK ? efx_checkpoint_verify(store, &m, err) : rc;
    rc = rc == EFX_OK ? efx_ckpt__newest(store, &newest, err) : rc;
    rc = rc == EFX_OK ? promised_above(store, to, &loses, err) : rc;
    if (rc == EFX_OK && loses != 0 && !lose_committed) {
        rc = EFX_FAIL(err, EFX_ESTALE, EFX_KIND_USER, 0,
                      "checkpoint %llu was promised to a sink or a client, or is damaged: going "
                      "back to %llu loses it (--lose-committed)",
                      (unsigned long long)loses, (unsigned long long)to);
    }
    if (rc == EFX_OK) {
        m.back_to = to;
        m.undo_first = newest > to ? to + 1 : 0;
        m.undo_last = newest > to ? newest : 0;
        m.no = newest + 1;
        m.epoch = by->epoch;
        m.committed_ms = now_ms;
        rc = efx_manifest_encode(&m, &efx_mem_libc, &p, &n, err);
    }
    if (rc == EFX_OK) {
        struct efx_commit c = {*by, newest, m.no, {p, n}};
        rc = store->vt->commit_manifest(store, &c, err);
        *made = m.no;
        efx_mem_libc.free(&efx_mem_libc, p, n);
    }
    efx_arena_fini(&a);
    return rc;
}
