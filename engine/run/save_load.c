/* The way back: parts of operators into the units that want them; and saves as one run of bytes.
 *
 *   bytes   magic, version, program's hash │ number │ n, numbering │ n │ { key u64, version u16, n
 *           u64, sections } …
 */
#include "run.h"

#include "efx_hash.h"

enum { MAGIC = 0x53584645, VERSION = 2 };

/* ---- load ---- */

static bool takes_part(const struct efx_app *app, const struct unit *u, uint32_t node)
{
    const struct load_rt *l = &app->load;
    if (u->nodes[node].op == NULL || app->op_keys[node] == 0) {
        return false;
    }
    return app->plan->nodes[node]->split ? l->kg.first <= u->kg.first && u->kg.last <= l->kg.last
                                         : l->placed;
}

static struct efx_kg_range wants(const struct efx_app *app, const struct unit *u, uint32_t node)
{
    return app->plan->nodes[node]->split ? u->kg : (struct efx_kg_range){0, EFX_KEY_GROUPS - 1};
}

static uint32_t node_of(const struct efx_app *app, uint64_t key)
{
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        if (app->op_keys[i] == key) {
            return i;
        }
    }
    return EFX_NO_COL;
}

enum efx_rc efx_app_load_begin(struct efx_app *app, struct efx_kg_range kg, bool placed,
                               struct efx_err *err)
{
    if (app->units == NULL || app->save_waits) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "a load at the wrong time");
    }
    app->load.kg = kg;
    app->load.placed = placed;
    memset(app->load.no, 0, app->plan->n_nodes * sizeof *app->load.no);
    return EFX_OK;
}

bool efx_app_load_wants(const struct efx_app *app, uint64_t key, struct efx_kg_range kg,
                        bool *known)
{
    uint32_t node = key == 0 ? EFX_NO_COL : node_of(app, key);
    if (known != NULL) {
        *known = node != EFX_NO_COL;
    }
    for (uint32_t u = 0; node != EFX_NO_COL && u < app->n_units; u++) {
        struct efx_kg_range own = wants(app, &app->units[u], node);
        if (takes_part(app, &app->units[u], node) && own.first <= kg.last && kg.first <= own.last) {
            return true;
        }
    }
    return false;
}

static enum efx_rc load_unit(struct efx_app *app, struct unit *u, uint32_t node, bool first,
                             struct efx_bytes sections, struct efx_err *err)
{
    struct efx_op *op = u->nodes[node].op;
    struct efx_reader r = {sections.p, sections.n, false};
    if (first && op->vt->load_begin != NULL) {
        op->vt->load_begin(op);
    }
    if (sections.n == 0) {
        return EFX_OK;
    }
    enum efx_rc rc = op->vt->load(op, wants(app, u, node), &r, err);
    if (rc == EFX_OK && r.bad) {
        rc = EFX_EPARSE;
    }
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "%s: %s", app->plan->nodes[node]->name,
                                   rc == EFX_ENOMEM ? "out of memory for its state"
                                                    : "its state is damaged");
}

enum efx_rc efx_app_load_part(struct efx_app *app, uint64_t key, uint16_t version, uint64_t no,
                              struct efx_bytes sections, struct efx_err *err)
{
    uint32_t node = key == 0 ? EFX_NO_COL : node_of(app, key);
    if (node == EFX_NO_COL || no == 0 || no < app->load.no[node]) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "a part nobody asked for");
    }
    bool first = no > app->load.no[node];
    app->load.no[node] = no;
    for (uint32_t u = 0; u < app->n_units; u++) {
        if (!takes_part(app, &app->units[u], node)) {
            continue;
        }
        uint16_t ours = app->units[u].nodes[node].op->vt->schema;
        if (version != ours) {
            return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_USER, 0,
                            "%s: its state was saved in version %u of its layout, this program "
                            "reads version %u",
                            app->plan->nodes[node]->name, version, ours);
        }
        EFX_RET(load_unit(app, &app->units[u], node, first, sections, err));
    }
    return EFX_OK;
}

enum efx_rc efx_app_load_done(struct efx_app *app, struct efx_app_missing *missing,
                              struct efx_err *err)
{
    uint32_t n_missing = 0;
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        bool here = false;
        for (uint32_t u = 0; u < app->n_units; u++) {
            if (takes_part(app, &app->units[u], i)) {
                struct efx_op *op = app->units[u].nodes[i].op;
                EFX_RET(op->vt->load_end(op, err));
                here = true;
            }
        }
        if (here && app->load.no[i] == 0) {
            app->load.missing[n_missing++] = app->plan->nodes[i]->name;
        }
    }
    for (uint32_t u = 0; u < app->n_units; u++) {
        atomic_store(&app->units[u].next_due_ms, EFX_TS_NONE); /* looks anew at the next step */
        app->units[u].origins_set = false;
    }
    efx_app_base_next(app, 0);
    if (missing != NULL) {
        *missing = (struct efx_app_missing){n_missing, app->load.missing, app->n_held_dropped};
    }
    return EFX_OK;
}

/* ---- all at once ---- */

static size_t sections_bytes(const struct efx_saved *s, uint32_t i, uint64_t *groups)
{
    size_t n = 0;
    efx_saved_groups(s, i, groups);
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        n += groups[g] > 0 ? 8 + (size_t)groups[g] : 0;
    }
    return n;
}

static enum efx_rc put_all(const struct efx_app *app, const struct efx_saved *s, uint8_t **bytes,
                           size_t *n)
{
    uint64_t groups[EFX_KEY_GROUPS];
    struct efx_bytes head = efx_saved_numbering(s);
    size_t total = 4 + 4 + 8 + 8 + 8 + head.n + 4;
    for (uint32_t i = 0; i < efx_saved_n(s); i++) {
        total += 8 + 4 + 8 + sections_bytes(s, i, groups);
    }
    struct efx_writer w = {.p = efx_mem_libc.alloc(&efx_mem_libc, total), .max = total};
    if (w.p == NULL) {
        return EFX_ENOMEM;
    }
    efx_put_u32(&w, MAGIC);
    efx_put_u32(&w, VERSION);
    efx_put_u64(&w, efx_app_hash(app));
    efx_put_u64(&w, efx_saved_no(s));
    efx_put_u64(&w, head.n);
    efx_put_raw(&w, head.p, head.n);
    efx_put_u32(&w, efx_saved_n(s));
    for (uint32_t i = 0; i < efx_saved_n(s); i++) {
        const struct efx_saved_op *op = efx_saved_at(s, i);
        size_t k = sections_bytes(s, i, groups);
        efx_put_u64(&w, op->key);
        efx_put_u32(&w, op->version);
        efx_put_u64(&w, k);
        EFX_ASSERT(k <= w.max - w.n);
        efx_saved_gather(s, i, (struct efx_kg_range){0, EFX_KEY_GROUPS - 1}, w.p + w.n);
        w.n += k;
    }
    EFX_ASSERT(!w.full && w.n == total);
    *bytes = w.p;
    *n = total;
    return EFX_OK;
}

enum efx_rc efx_app_save(struct efx_app *app, bool base, uint8_t **bytes, size_t *n,
                         struct efx_err *err)
{
    enum efx_rc rc = efx_app_mark(app, app->mark_no + 1, base);
    if (rc == EFX_AGAIN) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_USER, 0, "another save is under way");
    }
    EFX_RET(rc);
    efx_app_save_wait(app);
    EFX_RET(efx_app_error(app, err));
    struct efx_saved *s = efx_app_save_take(app);
    rc = put_all(app, s, bytes, n);
    efx_app_save_give(app, &s);
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "out of memory for a checkpoint");
}

static enum efx_rc load_one(struct efx_app *app, struct efx_bytes bytes, struct efx_err *err)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    if (efx_get_u32(&r) != MAGIC || efx_get_u32(&r) != VERSION) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "this is no checkpoint of efx");
    }
    if (efx_get_u64(&r) != efx_app_hash(app)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "the checkpoint is of another program");
    }
    uint64_t no = efx_get_u64(&r);
    struct efx_bytes head = efx_get_view(&r, efx_get_u64(&r));
    if (r.bad || no == 0) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the checkpoint is cut short");
    }
    app->mark_no = no;
    EFX_RET(efx_app_load_numbering(app, head, err));
    uint32_t n = efx_get_u32(&r);
    for (uint32_t i = 0; i < n && !r.bad; i++) {
        uint64_t key = efx_get_u64(&r);
        uint32_t version = efx_get_u32(&r);
        struct efx_bytes sections = efx_get_view(&r, efx_get_u64(&r));
        if (r.bad || key == 0 || version > UINT16_MAX || node_of(app, key) == EFX_NO_COL) {
            r.bad = true;
            break;
        }
        EFX_RET(efx_app_load_part(app, key, (uint16_t)version, no, sections, err));
    }
    return r.bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the checkpoint is cut short")
                 : EFX_OK;
}

enum efx_rc efx_app_load(struct efx_app *app, const struct efx_bytes *chain, uint32_t n_chain,
                         struct efx_err *err)
{
    EFX_RET(efx_app_load_begin(app, (struct efx_kg_range){0, EFX_KEY_GROUPS - 1}, true, err));
    for (uint32_t i = 0; i < n_chain; i++) {
        EFX_RET(load_one(app, chain[i], err));
    }
    EFX_RET(efx_app_load_done(app, NULL, err));
    /* The chain is the caller's: deltas go on where it ended. */
    memset(app->base_next, 0, app->plan->n_nodes * sizeof *app->base_next);
    return EFX_OK;
}
