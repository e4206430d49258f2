#include "run.h"

/* ---- opening ---- */

static bool takes_events(const struct efx_bobject *o)
{
    return o->kind == EFX_OBJ_TABLE ||
           (o->kind == EFX_OBJ_STREAM && o->declared && o->partition == EFX_NO_COL);
}

static enum efx_rc open_builders(struct efx_app *app)
{
    const struct efx_program *p = app->plan->program;
    app->schemas = EFX_NEW_N(&app->arena, const struct efx_schema *, p->n_objects + 1);
    if (app->schemas == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < p->n_objects; i++) {
        const struct efx_bobject *o = p->objects[i];
        app->schemas[i] = takes_events(o) || o->fault_of != NULL ? &o->schema : NULL;
        app->holds = app->holds || (o->kind == EFX_OBJ_STREAM && app->opts.virtual_clock &&
                                    o->conf.watermark_delay_ms >= 0);
        app->has_letters = app->has_letters || o->fault != NULL || o->conf.dlq != NULL;
        app->max_ts[i] = EFX_TS_NONE;
    }
    for (uint32_t i = 0; i < EFX_STEPS_IN_FLIGHT + 4; i++) {
        struct efx_builder *b;
        EFX_RET(efx_builder_create(&app->arena, &efx_mem_libc, app->schemas, p->n_objects,
                                   app->opts.max_batch, &b));
        app->spare[app->n_spare++] = b;
    }
    app->builder = app->spare[--app->n_spare];
    app->sorted = app->spare[--app->n_spare];
    return EFX_OK;
}

static enum efx_rc open_slots(struct efx_app *app)
{
    uint32_t n = app->plan->program->n_objects + 1;
    for (uint32_t i = 0; i < EFX_STEPS_IN_FLIGHT; i++) {
        struct step_slot *s = &app->slots[i];
        s->turns = EFX_NEW_N(&app->arena, struct efx_turn, app->opts.max_batch);
        s->moments = EFX_NEW_N(&app->arena, efx_moment, app->opts.max_batch);
        s->streams = EFX_NEW_N(&app->arena, uint16_t, n);
        s->batches = EFX_NEW_N(&app->arena, struct efx_batch, n);
        s->batch_of = EFX_NEW_N(&app->arena, uint16_t, n);
        efx_arena_init(&s->arena, &efx_mem_libc, SIZE_MAX);
        if (s->turns == NULL || s->moments == NULL || s->streams == NULL || s->batches == NULL ||
            s->batch_of == NULL) {
            return EFX_ENOMEM;
        }
    }
    return EFX_OK;
}

/* Split windows whose origin nobody gave, with the filters between them and their stream. */
static enum efx_rc open_origins(struct efx_app *app)
{
    const struct efx_plan *plan = app->plan;
    app->origins = EFX_NEW_N(&app->arena, struct origin, plan->n_nodes + 1);
    if (app->origins == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const struct efx_pnode *n = plan->nodes[i];
        const struct efx_select_conf *conf = n->conf;
        if (n->kind != EFX_P_SELECT || !n->split || n->in.partitioned || conf->window == NULL ||
            !conf->window->base.traits.needs_origin || conf->window_has_origin) {
            continue;
        }
        struct origin *o = &app->origins[app->n_origins++];
        *o = (struct origin){
            .node = i, .stream = n->stmt->inputs[0].object->id, .t0_ms = EFX_TS_NONE};
        o->filters = EFX_NEW_N(&app->arena, const struct efx_filter_conf *, plan->n_nodes);
        if (o->filters == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t k = 0; k < plan->n_nodes; k++) {
            const struct efx_pnode *f = plan->nodes[k];
            if (f->kind == EFX_P_FILTER && f->stmt == n->stmt) {
                o->filters[o->n_filters++] = f->conf;
            }
        }
    }
    return EFX_OK;
}

static enum efx_rc open_counters(struct efx_app *app)
{
    uint32_t n = app->plan->program->n_objects + 1;
    app->out_fn = EFX_NEW_N(&app->arena, efx_app_out_fn, n);
    app->out_arg = EFX_NEW_N(&app->arena, void *, n);
    app->max_ts = EFX_NEW_N(&app->arena, int64_t, n);
    app->rows_in = EFX_NEW_N(&app->arena, uint64_t, n);
    app->ingest_errors = EFX_NEW_N(&app->arena, uint64_t, n * CODES);
    return app->out_fn == NULL || app->out_arg == NULL || app->max_ts == NULL ||
                   app->rows_in == NULL || app->ingest_errors == NULL
               ? EFX_ENOMEM
               : EFX_OK;
}

enum efx_rc efx_app_create(const struct efx_plan *plan, const struct efx_app_opts *opts,
                           struct efx_app **out, struct efx_err *err)
{
    struct efx_app *app = efx_mem_libc.alloc(&efx_mem_libc, sizeof *app);
    if (app == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(app, 0, sizeof *app);
    app->plan = plan;
    app->opts = *opts;
    app->member = opts->member;
    app->n_shards = opts->n_shards;
    app->clock_ms = app->start_ms = EFX_TS_NONE;
    app->next_no = 1;
    app->next_turn = 1; /* 0 is that of no event */
    efx_arena_init(&app->arena, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&app->ingest_ctx, &efx_mem_libc);
    (void)pthread_mutex_init(&app->lock, NULL);
    (void)pthread_mutex_init(&app->out_lock, NULL);
    (void)pthread_mutex_init(&app->page_lock, NULL);
    (void)pthread_cond_init(&app->work, NULL);
    enum efx_rc rc = open_counters(app);
    rc = rc == EFX_OK ? open_builders(app) : rc;
    rc = rc == EFX_OK ? open_slots(app) : rc;
    rc = rc == EFX_OK ? open_origins(app) : rc;
    if (rc != EFX_OK) {
        efx_app_destroy(&app);
        return EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "out of memory");
    }
    *out = app;
    return EFX_OK;
}

void efx_app_destroy(struct efx_app **app_of)
{
    struct efx_app *app = *app_of;
    if (app == NULL) {
        return;
    }
    efx_run__stop_workers(app);
    efx_run__save_close(app);
    efx_run__graph_close(app);
    for (uint32_t i = 0; i < EFX_STEPS_IN_FLIGHT; i++) {
        efx_arena_fini(&app->slots[i].arena);
        if (app->slots[i].builder != NULL) {
            efx_builder_close(app->slots[i].builder);
        }
    }
    while (app->n_spare > 0) {
        efx_builder_close(app->spare[--app->n_spare]);
    }
    if (app->builder != NULL) {
        efx_builder_close(app->builder);
    }
    if (app->sorted != NULL) {
        efx_builder_close(app->sorted);
    }
    for (uint32_t i = 0; i < app->n_held; i++) {
        efx_mem_libc.free(&efx_mem_libc, app->held[i].bytes, app->held[i].n_bytes);
    }
    for (uint32_t i = 0; i < app->n_early; i++) {
        efx_mem_libc.free(&efx_mem_libc, app->early[i].bytes, app->early[i].n_bytes);
    }
    efx_mem_libc.free(&efx_mem_libc, app->held, app->held_max * sizeof *app->held);
    efx_mem_libc.free(&efx_mem_libc, app->early, app->early_max * sizeof *app->early);
    efx_ctx_fini(&app->ingest_ctx);
    efx_arena_fini(&app->arena);
    (void)pthread_cond_destroy(&app->work);
    (void)pthread_mutex_destroy(&app->page_lock);
    (void)pthread_mutex_destroy(&app->out_lock);
    (void)pthread_mutex_destroy(&app->lock);
    efx_mem_libc.free(&efx_mem_libc, app, sizeof *app);
    *app_of = NULL;
}

void efx_app_on(struct efx_app *app, uint32_t object, efx_app_out_fn fn, void *arg)
{
    app->out_fn[object] = fn;
    app->out_arg[object] = arg;
}

/* The graph is made when it is known who listens. */
static enum efx_rc ensure_graph(struct efx_app *app, struct efx_err *err)
{
    if (app->units != NULL) {
        return EFX_OK;
    }
    EFX_RET(efx_run__graph(app, err));
    EFX_RET(efx_run__save_open(app));
    return efx_run__start_workers(app);
}

enum efx_rc efx_app_start(struct efx_app *app, struct efx_err *err)
{
    if (app->opts.front != NULL) {
        return EFX_OK;
    }
    return ensure_graph(app, err);
}

/* ---- steps ---- */

struct efx_builder *efx_app_builder(struct efx_app *app)
{
    return app->builder;
}

static enum efx_rc status(const struct efx_app *app)
{
    return atomic_load(&app->stopped) ? app->err.rc : EFX_OK;
}

/* With fewer than three spare ones at hand the steps in flight give theirs back first. */
static struct efx_builder *spare(struct efx_app *app)
{
    if (app->n_spare < 3) {
        efx_run__wait_done(app);
        for (uint32_t i = 0; i < EFX_STEPS_IN_FLIGHT; i++) {
            if (app->slots[i].builder != NULL) {
                efx_builder_clear(app->slots[i].builder);
                app->spare[app->n_spare++] = app->slots[i].builder;
                app->slots[i].builder = NULL;
            }
        }
    }
    return app->spare[--app->n_spare];
}

static enum efx_rc submit(struct efx_app *app, struct efx_builder *b)
{
    enum efx_rc rc = app->holds ? efx_run__hold(app, b) : efx_run__number(app, b);
    return rc == EFX_OK ? status(app) : rc;
}

enum efx_rc efx_app_submit(struct efx_app *app)
{
    struct efx_builder *b = app->builder;
    const struct efx_app_front *front = app->opts.front;
    if (b->n_turns == 0) {
        return front != NULL ? front->error(front->arg, NULL) : status(app);
    }
    if (front != NULL) {
        enum efx_rc rc = front->submit(front->arg, b);
        efx_builder_clear(b);
        return rc;
    }
    app->builder = spare(app);
    return submit(app, b);
}

enum efx_rc efx_app_submit_builder(struct efx_app *app, struct efx_builder **b)
{
    EFX_ASSERT(app->builder->n_turns == 0);
    if ((*b)->n_turns == 0) {
        return status(app);
    }
    struct efx_builder *full = *b;
    *b = spare(app);
    return submit(app, full);
}

bool efx_app_work(struct efx_app *app)
{
    return efx_run__work(app, 1);
}

uint64_t efx_app_numbered(const struct efx_app *app)
{
    return atomic_load(&app->published);
}

enum efx_rc efx_app_tick(struct efx_app *app)
{
    if (app->opts.virtual_clock || app->opts.front != NULL) {
        return EFX_OK;
    }
    int64_t now_ms = app->opts.now_ms(app->opts.now_arg);
    if (app->clock_ms != EFX_TS_NONE && now_ms <= app->clock_ms) {
        return EFX_OK;
    }
    EFX_RET(efx_run__advance_to(app, now_ms, EFX_STEP_ADVANCE));
    return status(app);
}

int64_t efx_app_due_ms(const struct efx_app *app)
{
    int64_t least = EFX_NEVER_MS;
    for (uint32_t i = 0; i < app->n_units; i++) {
        int64_t due_ms = atomic_load(&app->units[i].next_due_ms);
        least = app->units[i].here && due_ms < least ? due_ms : least;
    }
    return least;
}

int64_t efx_app_next_due_ms(struct efx_app *app)
{
    efx_run__wait_done(app);
    return efx_app_due_ms(app);
}

int64_t efx_app_clock_ms(const struct efx_app *app)
{
    return app->clock_ms;
}

int64_t efx_app_turn_ts_ms(const struct efx_app *app, const struct efx_builder *b, uint32_t turn)
{
    struct efx_turn t = b->turns[turn];
    if (t.stream >= EFX_TURN_REJECT) {
        return EFX_TS_NONE;
    }
    const struct efx_bobject *o = app->plan->program->objects[t.stream];
    const struct efx_colset *s = b->set[t.stream];
    int64_t ts_ms = s->lent == NULL      ? s->ts_ms[t.row]
                    : s->lent_ts == NULL ? EFX_TS_NONE
                                         : s->lent_ts[t.row];
    bool timed = o->kind == EFX_OBJ_STREAM && o->conf.event_time_col != EFX_NO_COL;
    return timed && !efx_run__event_time(o, s, t.row, &ts_ms) ? EFX_TS_NONE : ts_ms;
}

enum efx_rc efx_app_release(struct efx_app *app)
{
    EFX_RET(efx_app_submit(app));
    return app->holds ? efx_run__release_all(app) : EFX_OK;
}

enum efx_rc efx_app_flush(struct efx_app *app)
{
    EFX_RET(efx_app_submit(app));
    if (app->opts.front != NULL) {
        return app->opts.front->flush(app->opts.front->arg);
    }
    efx_run__wait_done(app);
    return status(app);
}

enum efx_rc efx_app_finish(struct efx_app *app, int64_t drain_ms)
{
    EFX_RET(efx_app_submit(app));
    if (app->opts.front != NULL) {
        return app->opts.front->finish(app->opts.front->arg, drain_ms);
    }
    if (app->holds) {
        EFX_RET(efx_run__release_all(app));
    }
    if (app->opts.virtual_clock && app->clock_ms != EFX_TS_NONE && drain_ms > 0) {
        EFX_RET(efx_run__advance_to(app, app->clock_ms + drain_ms, EFX_STEP_ADVANCE));
    }
    if (!app->opts.virtual_clock) {
        EFX_RET(efx_app_tick(app));
    }
    if (app->clock_ms != EFX_TS_NONE) {
        EFX_RET(efx_run__advance_to(app, app->clock_ms, EFX_STEP_STOP));
    }
    efx_run__wait_done(app);
    return status(app);
}

enum efx_rc efx_app_error(const struct efx_app *app, struct efx_err *err)
{
    if (app->opts.front != NULL) {
        return app->opts.front->error(app->opts.front->arg, err);
    }
    if (atomic_load(&app->stopped) && err != NULL) {
        *err = app->err;
    }
    return status(app);
}

/* ---- looking in ---- */

static const struct node_rt *instance(const struct efx_app *app, uint32_t node, uint32_t unit)
{
    const struct node_rt *rt = &app->units[unit].nodes[node];
    return rt->op == NULL ? NULL : rt;
}

struct efx_op *efx_app_table(struct efx_app *app, uint32_t object)
{
    uint32_t node = app->plan->table_node[object];
    for (uint32_t u = 0; node != EFX_NO_COL && u < app->n_units; u++) {
        const struct node_rt *rt = instance(app, node, u);
        if (rt != NULL) {
            return rt->op;
        }
    }
    return NULL;
}

const struct efx_step *efx_app_now(struct efx_app *app)
{
    struct step_slot *s = &app->slots[app->next_no % EFX_STEPS_IN_FLIGHT];
    int64_t clock_ms = app->clock_ms == EFX_TS_NONE ? 0 : app->clock_ms;
    s->step = (struct efx_step){.no = app->next_no,
                                .first_turn = app->next_turn,
                                .clk_base_ms = clock_ms,
                                .clk_last_ms = clock_ms,
                                .start_ms = clock_ms,
                                .what = EFX_STEP_ADVANCE,
                                .virtual_clock = app->opts.virtual_clock};
    return &s->step;
}

struct efx_ctx *efx_app_ctx(struct efx_app *app)
{
    app->ingest_ctx.tables = app->units[0].ctx.tables;
    return &app->ingest_ctx;
}

uint64_t efx_app_rows_in(const struct efx_app *app, uint32_t object)
{
    const struct efx_app_front *front = app->opts.front;
    return front != NULL ? front->rows_in(front->arg, object) : app->rows_in[object];
}

static uint32_t counts(struct efx_app *app, bool all, struct efx_app_count *out, uint32_t max)
{
    const struct efx_program *p = app->plan->program;
    uint32_t n = 0;
    for (uint32_t o = 0; o <= p->n_objects; o++) {
        for (uint32_t k = 0; k < CODES; k++) {
            uint64_t sum = all ? app->ingest_errors[o * CODES + k] : 0;
            for (uint32_t u = 0; u < app->n_units; u++) {
                sum += app->units[u].error_counts[o * CODES + k];
            }
            if (sum > 0 && n < max) {
                out[n++] = (struct efx_app_count){o < p->n_objects ? o : EFX_NO_COL, "error",
                                                  efx_run__code_at(k), sum};
            }
        }
        struct efx_op *table = o < p->n_objects ? efx_app_table(app, o) : NULL;
        if (table != NULL && efx_op_table_duplicates(table) > 0 && n < max) {
            out[n++] =
                (struct efx_app_count){o, "table.duplicates", 0, efx_op_table_duplicates(table)};
        }
    }
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        const struct efx_pnode *node = app->plan->nodes[i];
        for (uint32_t u = 0; node->kind == EFX_P_TRIGGER && u < app->n_units; u++) {
            const struct efx_op *op = app->units[u].nodes[i].op;
            if (op != NULL && efx_op_trigger_skipped(op) > 0 && n < max) {
                out[n++] = (struct efx_app_count){node->object->id, "trigger.max_catch_up", 0,
                                                  efx_op_trigger_skipped(op)};
            }
        }
    }
    if (all && app->n_late_dropped > 0 && n < max) {
        out[n++] = (struct efx_app_count){EFX_NO_COL, "late", 0, app->n_late_dropped};
    }
    return n;
}

uint32_t efx_app_counts(struct efx_app *app, struct efx_app_count *out, uint32_t max)
{
    const struct efx_app_front *front = app->opts.front;
    return front != NULL ? front->counts(front->arg, out, max) : counts(app, true, out, max);
}

uint32_t efx_app_shard_counts(struct efx_app *app, struct efx_app_count *out, uint32_t max)
{
    return counts(app, false, out, max);
}

void efx_app_node(struct efx_app *app, uint32_t node, struct efx_app_node *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t u = 0; u < app->n_units; u++) {
        const struct node_rt *rt = instance(app, node, u);
        if (rt != NULL) {
            out->n_rows_in += rt->op->n_rows_in;
            out->n_rows_out += rt->op->n_rows_out;
            out->n_rows_failed += rt->op->n_rows_failed;
            out->state_bytes += rt->op->vt->bytes(rt->op);
        }
    }
}
