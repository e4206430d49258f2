/* One step through one unit: every component once, in passes over batches or row by row.
 *
 *   pass       roots' batches and packets go in; then nodes in topological order: a confluence
 *   merges
 *              what its inlets kept, and whoever has timers fires those that are due in the step
 *   row mode   turn by turn: timers that come before it, by moment over the whole component, then
 *   the
 *              row through all consumers, depth first
 */
#include "run.h"

enum { SLICE_ROWS = 1000 }; /* of a save, between two steps: about 50 microseconds */

/* ---- packets ---- */

struct push_arg {
    const struct efx_edge *to;
    const struct efx_step *step;
};

static enum efx_rc push_merged(void *arg, uint32_t list, const struct efx_rows *rows)
{
    const struct push_arg *a = arg;
    (void)list;
    return efx_edge_push(a->to, a->step, rows);
}

static enum efx_rc take_packets(struct unit *u, struct exchange *x, const struct efx_step *step)
{
    struct efx_app *app = u->app;
    struct rows_list lists[EFX_SHARDS_MAX];
    for (uint32_t s = 0; s < app->n_shards; s++) {
        struct packet *p = &x->packets[s * EFX_STEPS_IN_FLIGHT + step->no % EFX_STEPS_IN_FLIGHT];
        lists[s] = p->list;
    }
    struct push_arg arg = {&x->to, step};
    struct rows_merge m = {.n = app->n_shards,
                           .lists = lists,
                           .gather = true,
                           .ctx = &u->ctx,
                           .out = push_merged,
                           .arg = &arg};
    EFX_RET(efx_rows__merge(&m));
    return EFX_OK;
}

/* The sender may fill these again when every unit is through with this step. */
static void clear_packets(struct unit *u, struct exchange *x, const struct efx_step *step)
{
    for (uint32_t s = 0; s < u->app->n_shards; s++) {
        struct packet *p = &x->packets[s * EFX_STEPS_IN_FLIGHT + step->no % EFX_STEPS_IN_FLIGHT];
        if (p->list.first != NULL) {
            p->list = (struct rows_list){0};
            efx_arena_reset(&p->arena);
        }
    }
}

/* ---- what comes in ---- */

/* The step's rows of a stream as this component sees them; false = has none. */
static bool batch_of(const struct unit *u, const struct component_rt *c, const struct root *r,
                     const struct step_slot *slot, struct efx_batch *out)
{
    uint16_t place = slot->batch_of[r->stream];
    if (place == 0) {
        return false;
    }
    *out = slot->batches[place - 1];
    if (r->source != EFX_NO_COL) {
        uint64_t *sel = slot->sel[c->number][u->index * c->c->n_sources + r->source];
        if (sel == NULL) {
            return false;
        }
        out->sel = sel;
    }
    return true;
}

static enum efx_rc push_roots(struct unit *u, struct component_rt *c, const struct step_slot *slot)
{
    for (uint32_t i = 0; i < c->n_roots; i++) {
        const struct root *r = &c->roots[i];
        struct efx_batch b;
        if (!batch_of(u, c, r, slot, &b)) {
            continue;
        }
        struct efx_rows rows = efx_rows_all(&b);
        for (uint32_t e = 0; e < r->n_edges; e++) {
            EFX_RET(efx_edge_push(&r->edges[e], &slot->step, &rows));
        }
    }
    return EFX_OK;
}

/* Events from outside into a node that queries write, too. */
static const struct efx_batch *external_of(const struct node_rt *rt, const struct step_slot *slot)
{
    if (!rt->n->external || rt->n->object == NULL) {
        return NULL;
    }
    uint16_t place = slot->batch_of[rt->n->object->id];
    return place == 0 ? NULL : &slot->batches[place - 1];
}

/* With one inlet that can have rows in this step there is nothing to merge. */
static enum efx_rc open_doors(struct component_rt *c, const struct step_slot *slot)
{
    for (uint32_t i = 0; i < c->n_nodes && c->has_doors; i++) {
        struct node_rt *rt = c->nodes[i];
        if (rt->door == NULL) {
            continue;
        }
        const struct efx_batch *b = external_of(rt, slot);
        rt->direct = rt->n->external && rt->n->n_inlets == 2 && b == NULL;
        for (uint32_t k = 0; k < rt->n->n_inlets; k++) {
            rt->in[k] = (struct rows_list){0};
        }
        if (b != NULL) {
            struct efx_rows rows = efx_rows_all(b);
            EFX_RET(efx_rows__add(&rt->in[0], &rt->unit->ctx.step, &rows, true));
        }
    }
    return EFX_OK;
}

/* ---- the pass ---- */

struct node_arg {
    struct node_rt *rt;
    const struct efx_step *step;
};

static enum efx_rc give_node(void *arg, uint32_t list, const struct efx_rows *rows)
{
    const struct node_arg *a = arg;
    return a->rt->op->rows(a->rt->op, list, a->step, rows);
}

/* ---- runs that are handed over together ---- */

enum { RUNS_MAX = 1024 };

struct runs_arg {
    struct node_rt *rt;
    const struct efx_step *step;
    struct efx_run *runs; /* [RUNS_MAX] */
    uint32_t n;
};

static enum efx_rc give_runs(struct runs_arg *a)
{
    uint32_t n = a->n;
    a->n = 0;
    return n == 0 ? EFX_OK : a->rt->op->vt->runs(a->rt->op, a->step, a->runs, n);
}

static enum efx_rc keep_run(void *arg, uint32_t list, const struct efx_rows *rows)
{
    struct runs_arg *a = arg;
    a->runs[a->n++] = (struct efx_run){list, *rows};
    return a->n == RUNS_MAX ? give_runs(a) : EFX_OK;
}

static enum efx_rc merge_runs(struct node_rt *rt, const struct efx_step *step)
{
    struct efx_ctx *ctx = &rt->unit->ctx;
    struct efx_ctx_mark mark = efx_ctx_begin(ctx);
    struct runs_arg arg = {.rt = rt, .step = step};
    arg.runs = efx_scratch(ctx, RUNS_MAX * sizeof *arg.runs);
    struct rows_merge m = {.n = rt->n->n_inlets,
                           .lists = rt->in,
                           .rank = rt->n->inlet_rank,
                           .ctx = ctx,
                           .out = keep_run,
                           .arg = &arg};
    enum efx_rc rc = efx_rows__merge(&m);
    rc = rc == EFX_OK ? give_runs(&arg) : rc;
    efx_ctx_end(ctx, mark);
    return rc;
}

static enum efx_rc merge_door(struct node_rt *rt, const struct efx_step *step)
{
    if (rt->n->kind != EFX_P_STREAM && rt->op->vt->runs != NULL &&
        rt->op->rows == rt->op->vt->rows) {
        return merge_runs(rt, step);
    }
    struct node_arg arg = {rt, step};
    struct rows_merge m = {.n = rt->n->n_inlets,
                           .lists = rt->in,
                           .rank = rt->n->inlet_rank,
                           .gather = rt->n->kind == EFX_P_STREAM,
                           .ctx = &rt->unit->ctx,
                           .out = give_node,
                           .arg = &arg};
    return efx_rows__merge(&m);
}

static enum efx_rc pass(struct unit *u, struct component_rt *c, const struct step_slot *slot)
{
    const struct efx_step *step = &slot->step;
    EFX_RET(open_doors(c, slot));
    EFX_RET(push_roots(u, c, slot));
    for (uint32_t i = 0; u->gather && i < u->app->n_exchanges; i++) {
        struct exchange *x = &u->app->exchanges[i];
        if (x->packets != NULL && !x->foreign && x->component == c->number) {
            EFX_RET(take_packets(u, x, step));
        }
    }
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        struct node_rt *rt = c->nodes[i];
        if (rt->door != NULL && !rt->direct) {
            EFX_RET(merge_door(rt, step));
        }
        if (rt->op->vt->next_due_ms(rt->op) <= step->clk_last_ms) {
            EFX_RET(rt->op->vt->finish(rt->op, step, EFX_MOMENT_END));
        }
        if (step->what == EFX_STEP_STOP) {
            EFX_RET(rt->op->vt->stop(rt->op, step));
        }
    }
    return EFX_OK;
}

/* ---- row mode ---- */

static efx_moment timer_moment(const struct node_rt *rt, const struct efx_step *step,
                               int64_t due_ms)
{
    return efx_op_timer_moment(rt->op, step, due_ms);
}

/* All timers of the component whose moment is smaller, in the order of their moments. */
static enum efx_rc fire_until(struct component_rt *c, const struct efx_step *step, efx_moment until)
{
    if (step->clk_last_ms == EFX_TS_NONE) {
        return EFX_OK; /* before the clock has started: triggers do not know their start either */
    }
    for (;;) {
        struct node_rt *next = NULL;
        efx_moment least = until;
        for (uint32_t i = 0; i < c->n_timers; i++) {
            struct node_rt *rt = c->timers[i];
            int64_t due_ms = rt->op->vt->next_due_ms(rt->op);
            if (due_ms == EFX_NEVER_MS || due_ms > step->clk_last_ms) {
                continue;
            }
            efx_moment m = timer_moment(rt, step, due_ms);
            if (m < least) {
                least = m;
                next = rt;
            }
        }
        if (next == NULL) {
            return EFX_OK;
        }
        EFX_RET(next->op->vt->finish(next->op, step, least + 1));
    }
}

static enum efx_rc push_row(struct component_rt *c, const struct step_slot *slot,
                            const struct efx_turn *turn, efx_moment m)
{
    const struct efx_step *step = &slot->step;
    const struct efx_batch *b = &slot->batches[slot->batch_of[turn->stream] - 1];
    if (!efx_bit(b->sel, turn->row)) {
        return EFX_OK;
    }
    struct efx_rows row = {b, turn->row, (uint32_t)turn->row + 1};
    for (uint32_t i = 0; i < c->n_roots; i++) {
        if (c->roots[i].stream != turn->stream) {
            continue;
        }
        EFX_RET(fire_until(c, step, m));
        for (uint32_t e = 0; e < c->roots[i].n_edges; e++) {
            EFX_RET(efx_edge_push(&c->roots[i].edges[e], step, &row));
        }
        return EFX_OK;
    }
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        struct node_rt *rt = c->nodes[i];
        if (rt->n->external && rt->n->object != NULL && rt->n->object->id == turn->stream) {
            EFX_RET(fire_until(c, step, m));
            return rt->op->rows(rt->op, 0, step, &row);
        }
    }
    return EFX_OK;
}

/* In order of definition, which is that of the nodes' numbers. */
static enum efx_rc stop_in_order(struct component_rt *c, const struct efx_step *step)
{
    struct node_rt *last = NULL;
    for (uint32_t k = 0; k < c->n_nodes; k++) {
        struct node_rt *next = NULL;
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            struct node_rt *rt = c->nodes[i];
            if ((last == NULL || rt->n->id > last->n->id) &&
                (next == NULL || rt->n->id < next->n->id)) {
                next = rt;
            }
        }
        EFX_RET(next->op->vt->stop(next->op, step));
        last = next;
    }
    return EFX_OK;
}

static enum efx_rc row_by_row(struct component_rt *c, const struct step_slot *slot)
{
    const struct efx_step *step = &slot->step;
    for (uint32_t t = 0; t < step->n_turns; t++) {
        if (step->turns[t].stream < EFX_TURN_REJECT) {
            EFX_RET(push_row(c, slot, &step->turns[t], step->moments[t]));
        }
    }
    EFX_RET(fire_until(c, step, EFX_MOMENT_END));
    return step->what == EFX_STEP_STOP ? stop_in_order(c, step) : EFX_OK;
}

/* ---- outputs in one order ---- */

struct out_arg {
    struct unit *u;
    const uint32_t *object; /* [lists] */
};

static enum efx_rc give_out(void *arg, uint32_t list, const struct efx_rows *rows)
{
    const struct out_arg *a = arg;
    struct efx_app *app = a->u->app;
    uint32_t object = a->object[list];
    app->out_fn[object](app->out_arg[object], app->plan->program->objects[object], rows);
    return EFX_OK;
}

static enum efx_rc ordered_outputs(struct unit *u)
{
    const struct efx_program *p = u->app->plan->program;
    struct efx_ctx_mark mark = efx_ctx_begin(&u->ctx);
    struct rows_list *lists = efx_scratch(&u->ctx, (p->n_objects + 1) * sizeof *lists);
    uint32_t *object = efx_scratch(&u->ctx, (p->n_objects + 1) * sizeof *object);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        if (u->outlets[i] != NULL && u->outlets[i]->list.first != NULL) {
            lists[n] = u->outlets[i]->list;
            object[n++] = i;
            u->outlets[i]->list = (struct rows_list){0};
        }
    }
    struct out_arg arg = {u, object};
    /* Rows of one cause in several streams come in order of the streams' definition. */
    struct rows_merge m = {
        .n = n, .lists = lists, .rank = object, .ctx = &u->ctx, .out = give_out, .arg = &arg};
    enum efx_rc rc = n == 0 ? EFX_OK : efx_rows__merge(&m);
    efx_ctx_end(&u->ctx, mark);
    return rc;
}

/* ---- a step ---- */

/* Outputs of components that live in the shards alone come by packets, too. */
static enum efx_rc foreign_packets(struct unit *u, const struct efx_step *step)
{
    for (uint32_t i = 0; i < u->app->n_exchanges; i++) {
        struct exchange *x = &u->app->exchanges[i];
        if (x->packets != NULL && x->foreign) {
            EFX_RET(take_packets(u, x, step));
        }
    }
    return EFX_OK;
}

static void set_origins(struct unit *u)
{
    bool all = true;
    for (uint32_t i = 0; i < u->app->n_origins; i++) {
        const struct origin *o = &u->app->origins[i];
        struct efx_op *op = u->nodes[o->node].op;
        all = all && o->t0_ms != EFX_TS_NONE;
        if (o->t0_ms != EFX_TS_NONE && op != NULL) {
            op->vt->origin_set(op, o->t0_ms);
        }
    }
    u->origins_set = all;
}

static int64_t least_due(const struct unit *u)
{
    int64_t least = EFX_NEVER_MS;
    for (uint32_t i = 0; i < u->n_components; i++) {
        const struct component_rt *c = &u->components[i];
        for (uint32_t k = 0; k < c->n_timers; k++) {
            int64_t due_ms = c->timers[k]->op->vt->next_due_ms(c->timers[k]->op);
            least = due_ms < least ? due_ms : least;
        }
    }
    return least;
}

enum efx_rc efx_run__pass(struct unit *u, const struct step_slot *slot)
{
    const struct efx_step *step = &slot->step;
    if (!u->origins_set) {
        set_origins(u);
    }
    if (u->gather) {
        EFX_RET(efx_run__take_arrived(u, step));
    }
    bool shard = u->app->n_shards > 1 && !u->gather;
    bool idle = shard && slot->no_rows[u->index] && step->what == EFX_STEP_EVENTS &&
                atomic_load(&u->next_due_ms) > step->clk_last_ms;
    for (uint32_t i = 0; i < u->n_components && !idle; i++) {
        struct component_rt *c = &u->components[i];
        EFX_RET(c->c->row_mode ? row_by_row(c, slot) : pass(u, c, slot));
    }
    if (u->gather) {
        EFX_RET(foreign_packets(u, step));
        for (uint32_t i = 0; i < u->app->n_exchanges; i++) {
            if (u->app->exchanges[i].packets != NULL) {
                clear_packets(u, &u->app->exchanges[i], step);
            }
        }
    }
    if (u->letters != NULL) {
        EFX_RET(efx_run__post_letters(u, step));
    }
    if (u->app->opts.ordered && (u->gather || u->app->n_shards == 1)) {
        EFX_RET(ordered_outputs(u));
    }
    if (step->what == EFX_STEP_MARK) {
        efx_run__save_mark(u, &step->mark);
    } else if (u->saving) {
        (void)efx_run__save_slice(u, SLICE_ROWS);
    }
    atomic_store(&u->next_due_ms, idle ? atomic_load(&u->next_due_ms) : least_due(u));
    efx_arena_reset(&u->ctx.step);
    return EFX_OK;
}
