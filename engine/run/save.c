/* Checkpoints of one process in memory: a mark is a step, entries follow in slices (order.md's
 * cut).
 *
 *   bytes   magic, version, program's hash │ clock, start, turns, saves │ origins │ held events
 *           │ n │ { node u32, length u64, sections } …
 *
 * Sections of one operator from several shards stand one behind the other; load hands each
 * instance all of them with its range of key groups.
 */
#include "run.h"

#include "efx_hash.h"

#include <time.h>

enum { MAGIC = 0x53584645, VERSION = 1, GROUP_START = 256 };

/* ---- an operator's bytes ---- */

static void *save_room(struct efx_save *self, uint32_t key_group, uint32_t bytes)
{
    struct save_buf *b = (struct save_buf *)self;
    if (b->groups == NULL) {
        size_t n = EFX_KEY_GROUPS * sizeof *b->groups;
        b->groups = b->mem->alloc(b->mem, n);
        EFX_ASSERT(b->groups != NULL);
        memset(b->groups, 0, n);
    }
    struct save_group *g = &b->groups[b->discard ? 0 : key_group];
    if (b->discard) {
        g->n = 0;
    }
    if (bytes > g->max - g->n) {
        uint32_t max = (g->n + bytes) * 2 < GROUP_START ? GROUP_START : (g->n + bytes) * 2;
        uint8_t *more = efx_mem_grow(b->mem, g->p, g->max, max);
        EFX_ASSERT(more != NULL);
        g->p = more;
        g->max = max;
    }
    void *p = g->p + g->n;
    g->n += bytes;
    b->n_bytes += bytes;
    return p;
}

static void buf_free(struct save_buf *b)
{
    for (uint32_t g = 0; b->groups != NULL && g < EFX_KEY_GROUPS; g++) {
        b->mem->free(b->mem, b->groups[g].p, b->groups[g].max);
    }
    b->mem->free(b->mem, b->groups, EFX_KEY_GROUPS * sizeof *b->groups);
    b->groups = NULL;
    b->n_bytes = 0;
}

static size_t buf_bytes(const struct save_buf *b)
{
    size_t n = 0;
    for (uint32_t g = 0; b->groups != NULL && g < EFX_KEY_GROUPS; g++) {
        n += b->groups[g].n > 0 ? 8 + b->groups[g].n : 0;
    }
    return n;
}

static void buf_put(const struct save_buf *b, struct efx_writer *w)
{
    for (uint32_t g = 0; b->groups != NULL && g < EFX_KEY_GROUPS; g++) {
        if (b->groups[g].n > 0) {
            efx_put_u32(w, g);
            efx_put_u32(w, b->groups[g].n);
            efx_put_raw(w, b->groups[g].p, b->groups[g].n);
        }
    }
}

/* ---- a unit's part ---- */

static uint64_t ns_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* At the mark: every operator raises its stamp and gets its buffer; nothing else is copied yet. */
void efx_run__save_mark(struct unit *u, const struct efx_mark *mark)
{
    uint64_t from = ns_now();
    for (uint32_t i = 0; i < u->app->plan->n_nodes; i++) {
        struct efx_op *op = u->nodes[i].op;
        if (op == NULL) {
            continue;
        }
        struct save_buf *b = &u->saves[i];
        b->base.room = save_room;
        b->mem = &efx_mem_libc;
        op->vt->mark(op, mark);
        (void)op->vt->slice(op, 0, &b->base);
    }
    u->saving = true;
    u->save_at = 0;
    uint64_t took = ns_now() - from;
    u->longest_stop_ns = took > u->longest_stop_ns ? took : u->longest_stop_ns;
}

bool efx_run__save_slice(struct unit *u, uint32_t budget)
{
    uint64_t from = ns_now();
    while (u->saving) {
        struct efx_op *op = u->nodes[u->save_at].op;
        enum efx_rc rc = EFX_DONE;
        if (op != NULL) {
            rc = op->vt->slice(op, budget, &u->saves[u->save_at].base);
        }
        if (rc == EFX_AGAIN) {
            break;
        }
        u->save_at++;
        u->saving = u->save_at < u->app->plan->n_nodes;
    }
    uint64_t took = ns_now() - from;
    u->longest_stop_ns = took > u->longest_stop_ns ? took : u->longest_stop_ns;
    return !u->saving;
}

/* ---- the app's bytes ---- */

static enum efx_rc publish_mark(struct efx_app *app, bool base)
{
    EFX_RET(efx_app_submit(app));
    struct step_slot *s = efx_run__slot(app, EFX_STEP_MARK);
    s->step.mark = (struct efx_mark){++app->save_no, base};
    if (app->clock_ms == EFX_TS_NONE) {
        s->step.clk_base_ms = s->step.clk_last_ms = EFX_TS_NONE; /* nothing is due */
    }
    EFX_RET(efx_run__selections(app, s));
    efx_run__publish(app);
    return EFX_OK;
}

static uint64_t program_hash(const struct efx_app *app)
{
    return efx_hash_bytes(app->plan->program->text.p, app->plan->program->text.n);
}

static void put_head(const struct efx_app *app, struct efx_writer *w)
{
    efx_put_u32(w, MAGIC);
    efx_put_u32(w, VERSION);
    efx_put_u64(w, program_hash(app));
    efx_put_i64(w, app->clock_ms);
    efx_put_i64(w, app->start_ms);
    efx_put_u64(w, app->next_turn);
    efx_put_u64(w, app->save_no);
    efx_put_u32(w, app->plan->program->n_objects);
    for (uint32_t i = 0; i < app->plan->program->n_objects; i++) {
        efx_put_i64(w, app->max_ts[i]);
    }
    efx_put_u32(w, app->n_origins);
    for (uint32_t i = 0; i < app->n_origins; i++) {
        efx_put_u32(w, app->origins[i].node);
        efx_put_i64(w, app->origins[i].t0_ms);
    }
    efx_run__held_put(app, w);
}

static size_t head_bytes(const struct efx_app *app)
{
    return 4 + 4 + 8 + 8 + 8 + 8 + 8 + 4 + 8 * (size_t)app->plan->program->n_objects + 4 +
           12 * (size_t)app->n_origins + efx_run__held_bytes(app);
}

static size_t node_bytes(const struct efx_app *app, uint32_t node)
{
    size_t n = 0;
    for (uint32_t u = 0; u < app->n_units; u++) {
        n += buf_bytes(&app->units[u].saves[node]);
    }
    return n;
}

static void free_saves(struct efx_app *app)
{
    for (uint32_t u = 0; u < app->n_units; u++) {
        for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
            if (app->units[u].saves[i].mem != NULL) {
                buf_free(&app->units[u].saves[i]);
            }
        }
    }
}

enum efx_rc efx_app_save(struct efx_app *app, bool base, uint8_t **bytes, size_t *n,
                         struct efx_err *err)
{
    EFX_RET(publish_mark(app, base));
    efx_run__wait_done(app);
    for (uint32_t u = 0; u < app->n_units; u++) {
        while (!efx_run__save_slice(&app->units[u], 1u << 30)) {
        }
    }
    uint32_t n_nodes = app->plan->n_nodes;
    size_t total = head_bytes(app) + 4;
    for (uint32_t i = 0; i < n_nodes; i++) {
        total += 12 + node_bytes(app, i);
    }
    uint8_t *p = efx_mem_libc.alloc(&efx_mem_libc, total);
    if (p == NULL) {
        free_saves(app);
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory for a checkpoint");
    }
    struct efx_writer w = {.p = p, .max = total};
    put_head(app, &w);
    efx_put_u32(&w, n_nodes);
    for (uint32_t i = 0; i < n_nodes; i++) {
        efx_put_u32(&w, i);
        efx_put_u64(&w, node_bytes(app, i));
        for (uint32_t u = 0; u < app->n_units; u++) {
            buf_put(&app->units[u].saves[i], &w);
        }
    }
    free_saves(app);
    EFX_ASSERT(!w.full && w.n == total);
    *bytes = p;
    *n = total;
    return EFX_OK;
}

/* ---- load ---- */

static enum efx_rc get_head(struct efx_app *app, struct efx_reader *r, struct efx_err *err)
{
    if (efx_get_u32(r) != MAGIC || efx_get_u32(r) != VERSION) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "this is no checkpoint of efx");
    }
    if (efx_get_u64(r) != program_hash(app)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "the checkpoint is of another program");
    }
    app->clock_ms = efx_get_i64(r);
    app->start_ms = efx_get_i64(r);
    app->next_turn = efx_get_u64(r);
    app->save_no = efx_get_u64(r);
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        int64_t max_ts = efx_get_i64(r);
        if (i < app->plan->program->n_objects) {
            app->max_ts[i] = max_ts;
        }
    }
    n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t node = efx_get_u32(r);
        int64_t t0_ms = efx_get_i64(r);
        for (uint32_t k = 0; k < app->n_origins; k++) {
            if (app->origins[k].node == node) {
                app->origins[k].t0_ms = t0_ms;
            }
        }
    }
    enum efx_rc rc = efx_run__held_get(app, r);
    return rc != EFX_OK || r->bad ? EFX_FAIL(err, rc == EFX_ENOMEM ? rc : EFX_EPARSE, EFX_KIND_ENV,
                                             0, "the checkpoint's head is damaged")
                                  : EFX_OK;
}

static enum efx_rc load_nodes(struct efx_app *app, struct efx_reader *r, struct efx_err *err)
{
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t node = efx_get_u32(r);
        struct efx_bytes bytes = efx_get_view(r, efx_get_u64(r));
        if (r->bad || node >= app->plan->n_nodes) {
            break;
        }
        for (uint32_t u = 0; u < app->n_units; u++) {
            struct efx_op *op = app->units[u].nodes[node].op;
            if (op == NULL) {
                continue;
            }
            struct efx_reader section = {bytes.p, bytes.n, false};
            struct efx_kg_range kg = app->plan->nodes[node]->split
                                         ? app->units[u].kg
                                         : (struct efx_kg_range){0, EFX_KEY_GROUPS - 1};
            if (op->vt->load_begin != NULL) {
                op->vt->load_begin(op);
            }
            EFX_RET(op->vt->load(op, kg, &section, err));
        }
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the checkpoint is cut short")
                  : EFX_OK;
}

static void set_origins(struct efx_app *app)
{
    for (uint32_t u = 0; u < app->n_units; u++) {
        app->units[u].origins_set = false;
    }
}

enum efx_rc efx_app_load(struct efx_app *app, const struct efx_bytes *chain, uint32_t n_chain,
                         struct efx_err *err)
{
    for (uint32_t i = 0; i < n_chain; i++) {
        struct efx_reader r = {chain[i].p, chain[i].n, false};
        EFX_RET(get_head(app, &r, err));
        EFX_RET(load_nodes(app, &r, err));
    }
    for (uint32_t u = 0; u < app->n_units; u++) {
        for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
            struct efx_op *op = app->units[u].nodes[i].op;
            if (op != NULL) {
                EFX_RET(op->vt->load_end(op, err));
            }
        }
        atomic_store(&app->units[u].next_due_ms, EFX_TS_NONE);
    }
    set_origins(app);
    return EFX_OK;
}

/* ---- a save beside the steps ---- */

enum efx_rc efx_app_save_begin(struct efx_app *app, bool base)
{
    for (uint32_t u = 0; u < app->n_units; u++) {
        for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
            app->units[u].saves[i].discard = true;
        }
    }
    return publish_mark(app, base);
}

bool efx_app_saving(const struct efx_app *app, uint64_t *longest_stop_ns)
{
    bool any = false;
    for (uint32_t u = 0; u < app->n_units; u++) {
        any = any || app->units[u].saving;
        if (longest_stop_ns != NULL && app->units[u].longest_stop_ns > *longest_stop_ns) {
            *longest_stop_ns = app->units[u].longest_stop_ns;
        }
    }
    return any;
}
