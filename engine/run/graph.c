/* Makes the instances of a plan: which node lives in which unit, and what each edge leads to.
 *
 *   one shard           everything in unit 0
 *   several shards      split nodes in every shard; a component without split nodes whole in the
 *   shard
 *                       that its number chooses; the placed rest of a split component, and ordered
 *                       outputs, in the gather unit
 */
#include "run.h"

#include "efx_hash.h"

static bool has_split(const struct efx_app *app, uint32_t component)
{
    return app->plan->components[component].split;
}

static bool is_root(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM && n->external && n->n_inlets == 1;
}

/* In the gather unit, of whichever member. */
static bool is_gathered(const struct efx_app *app, const struct efx_pnode *n)
{
    return app->n_shards > 1 && has_split(app, n->component) && !n->split && !is_root(n);
}

static bool lives_here(const struct unit *u, const struct efx_pnode *n)
{
    const struct efx_app *app = u->app;
    if (is_root(n)) {
        return false; /* its consumers are fed by the step itself */
    }
    if (!u->here) {
        return false;
    }
    if (app->n_shards == 1) {
        return true;
    }
    if (is_gathered(app, n)) {
        return u->gather &&
               (app->member == NULL || efx_run__gather_of(app, n->component) == app->member->self);
    }
    return n->split ? !u->gather : u->index == n->component % app->n_shards;
}

/* ---- instances ---- */

static enum efx_rc make_op(const struct efx_pnode *n, const struct efx_op_open *how,
                           struct efx_op **out, struct efx_err *err)
{
    switch (n->kind) {
    case EFX_P_FILTER: return efx_op_filter_create(how, n->conf, out);
    case EFX_P_PROJECT: return efx_op_project_create(how, n->conf, out);
    case EFX_P_SELECT: return efx_op_select_create(how, n->conf, out, err);
    case EFX_P_LIMIT: return efx_op_limit_create(how, n->conf, out);
    case EFX_P_JOIN: return efx_op_join_create(how, n->conf, out, err);
    case EFX_P_TABLE: return efx_op_table_create(how, n->conf, out);
    case EFX_P_PATTERN: return efx_op_pattern_create(how, n->conf, out, err);
    case EFX_P_PARTITION: return efx_op_partition_create(how, n->conf, out);
    case EFX_P_TRIGGER: return efx_op_trigger_create(how, n->conf, out);
    case EFX_P_ERRORS: return efx_op_errors_create(how, n->conf, out);
    case EFX_P_STREAM: break;
    }
    return EFX_EBUG;
}

static enum efx_rc make_own(struct unit *u, const struct efx_op_vt *vt, size_t bytes, void *out)
{
    struct efx_op_open how = {.arena = &u->arena, .ctx = &u->ctx};
    struct efx_op *op = efx_arena_alloc(&u->arena, 1, bytes, EFX_CACHE_LINE);
    if (op == NULL) {
        return EFX_ENOMEM;
    }
    *(struct efx_op **)out = op;
    return efx_op_init(op, vt, &how);
}

static enum efx_rc make_node(struct unit *u, const struct efx_pnode *n, struct efx_err *err)
{
    struct node_rt *rt = &u->nodes[n->id];
    const struct efx_pcomponent *c = &u->app->plan->components[n->component];
    rt->n = n;
    rt->unit = u;
    if (n->kind == EFX_P_STREAM) {
        struct junction *j;
        EFX_RET(make_own(u, &efx_run__junction_vt, sizeof *j, &j));
        j->n = n;
        j->unit = u;
        j->by_row = c->row_mode;
        rt->op = &j->base;
    } else {
        struct efx_op_open how = {.arena = &u->arena,
                                  .mem = u->app->opts.mem,
                                  .ctx = &u->ctx,
                                  .n_out = n->n_outlets,
                                  .rank = n->rank,
                                  .id = n->id,
                                  .key_group = n->key_group,
                                  .by_row = c->row_mode,
                                  .kg = n->split ? u->kg
                                                 : (struct efx_kg_range){0, EFX_KEY_GROUPS - 1}};
        EFX_RET(make_op(n, &how, &rt->op, err));
        if (n->kind == EFX_P_TABLE) {
            u->tables[n->object->id] = efx_op_table_view(rt->op);
        }
    }
    if (n->confluence && !c->row_mode) {
        struct door *d;
        EFX_RET(make_own(u, &efx_run__door_vt, sizeof *d, &d));
        d->rt = rt;
        rt->door = &d->base;
        rt->in = EFX_NEW_N(&u->arena, struct rows_list, n->n_inlets);
        if (rt->in == NULL) {
            return EFX_ENOMEM;
        }
    }
    return EFX_OK;
}

/* ---- edges ---- */

static uint32_t needs_of(const struct efx_app *app, const struct efx_pnode *n)
{
    return (app->plan->components[n->component].needs_moment ? EFX_NEEDS_MOMENT : 0u) |
           (n->split ? EFX_NEEDS_SUB : 0u);
}

static struct efx_edge into(const struct unit *u, struct efx_pedge to, uint32_t needs)
{
    const struct node_rt *rt = &u->nodes[to.node];
    struct efx_op *op = rt->door != NULL ? rt->door : rt->op;
    if (op == NULL) { /* of another member: open_exchange leaves it alone */
        return (struct efx_edge){.push = efx_op_push_nowhere};
    }
    return (struct efx_edge){op->rows, op, to.inlet, needs};
}

/* The exchange of edge `pos` of a node; made with the gather unit, which comes first. */
static struct exchange *exchange_of(struct efx_app *app, uint32_t node, uint32_t pos)
{
    return &app->exchanges[app->exchange_of[node] + pos];
}

static enum efx_rc exchange_edge(struct unit *u, struct exchange *to, uint32_t needs,
                                 struct efx_edge *out)
{
    const struct efx_app_member *m = u->app->member;
    bool away = m != NULL && to->member != m->self;
    struct exchange_op *x;
    EFX_RET(make_own(u, away ? &efx_run__letter_vt : &efx_run__exchange_vt, sizeof *x, &x));
    x->x = to;
    x->unit = u;
    x->shard = u->index;
    *out = (struct efx_edge){x->base.rows, &x->base, 0, needs};
    return EFX_OK;
}

static enum efx_rc wire(struct unit *u, const struct efx_pnode *from, uint32_t pos,
                        struct efx_pedge to, struct efx_edge *out)
{
    *out = (struct efx_edge){.push = efx_op_push_nowhere};
    if (to.node == EFX_NO_COL) {
        return EFX_OK;
    }
    uint32_t needs = needs_of(u->app, from);
    if (u->nodes[to.node].op != NULL) {
        *out = into(u, to, needs);
        return EFX_OK;
    }
    return exchange_edge(u, exchange_of(u->app, from->id, pos), needs, out);
}

/* Edges of a node: a junction's consumers and its outlet behind them; an operator's rows, errors.
 * */
static uint32_t n_positions(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM ? n->n_consumers + 1 : n->n_outlets * 2;
}

static enum efx_rc wire_junction(struct unit *u, struct node_rt *rt)
{
    struct junction *j = (struct junction *)rt->op;
    const struct efx_pnode *n = rt->n;
    struct efx_app *app = u->app;
    j->edges = EFX_NEW_N(&u->arena, struct efx_edge, n->n_consumers + 1);
    if (j->edges == NULL) {
        return EFX_ENOMEM;
    }
    bool out = n->output && n->object != NULL && app->out_fn[n->object->id] != NULL;
    if (out) {
        struct efx_edge *e = &j->edges[j->n_edges++];
        j->n_outlets = 1;
        uint32_t needs = needs_of(app, n);
        if (app->n_shards > 1 && app->opts.ordered && !u->gather) {
            EFX_RET(exchange_edge(u, exchange_of(app, n->id, n->n_consumers), needs, e));
        } else {
            struct efx_op *o = &u->outlets[n->object->id]->base;
            *e = (struct efx_edge){o->rows, o, 0, needs};
        }
    }
    for (uint32_t k = 0; k < n->n_consumers; k++) {
        EFX_RET(wire(u, n, k, n->consumers[k], &j->edges[j->n_edges++]));
    }
    return EFX_OK;
}

static enum efx_rc wire_node(struct unit *u, struct node_rt *rt)
{
    if (rt->n->kind == EFX_P_STREAM) {
        return wire_junction(u, rt);
    }
    for (uint32_t k = 0; k < rt->n->n_outlets; k++) {
        EFX_RET(wire(u, rt->n, k * 2, rt->n->rows[k], &rt->op->out[k].rows));
        EFX_RET(wire(u, rt->n, k * 2 + 1, rt->n->errors[k], &rt->op->out[k].errors));
    }
    return EFX_OK;
}

/* ---- units ---- */

static void report(struct efx_error_sink *self, uint32_t stream, uint16_t code, uint64_t n);

static enum efx_rc make_outlets(struct unit *u)
{
    const struct efx_program *p = u->app->plan->program;
    u->outlets = EFX_NEW_N(&u->arena, struct outlet_op *, p->n_objects + 1);
    if (u->outlets == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < p->n_objects; i++) {
        if (u->app->out_fn[i] != NULL) {
            EFX_RET(make_own(u, &efx_run__outlet_vt, sizeof **u->outlets, &u->outlets[i]));
            u->outlets[i]->unit = u;
            u->outlets[i]->object = i;
        }
    }
    return EFX_OK;
}

static bool app_has_others(const struct unit *u)
{
    return u->app->member != NULL && u->app->member->n > 1;
}

static enum efx_rc make_unit(struct unit *u, struct efx_err *err)
{
    const struct efx_plan *plan = u->app->plan;
    efx_arena_init(&u->arena, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&u->ctx, &efx_mem_libc);
    u->ctx.seed = u->app->opts.seed;
    u->errors.report = report;
    u->ctx.errors = &u->errors;
    u->nodes = EFX_NEW_N(&u->arena, struct node_rt, plan->n_nodes + 1);
    u->tables = EFX_NEW_N(&u->arena, const struct efx_table_view *, plan->program->n_objects + 1);
    u->error_counts = EFX_NEW_N(&u->arena, uint64_t, (plan->program->n_objects + 1) * CODES);
    u->saves = EFX_NEW_N(&u->arena, struct save_log, plan->n_nodes + 1);
    if (u->nodes == NULL || u->tables == NULL || u->error_counts == NULL || u->saves == NULL) {
        return EFX_ENOMEM;
    }
    u->ctx.tables = u->tables;
    if (app_has_others(u) && !u->gather && u->here) {
        u->letters = EFX_NEW_N(&u->arena, struct letter, u->app->member->n);
        if (u->letters == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t i = 0; i < u->app->member->n; i++) {
            efx_buf_init(&u->letters[i].bytes, &efx_mem_libc);
        }
    }
    EFX_RET(make_outlets(u));
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        if (lives_here(u, plan->nodes[i])) {
            EFX_RET(make_node(u, plan->nodes[i], err));
        }
    }
    return EFX_OK;
}

static uint32_t source_of(const struct efx_pcomponent *c, uint32_t node)
{
    for (uint32_t i = 0; i < c->n_sources; i++) {
        if (c->sources[i].node == node) {
            return i;
        }
    }
    return EFX_NO_COL;
}

static enum efx_rc add_root(struct unit *u, struct component_rt *c, const struct efx_pnode *n)
{
    struct root *r = &c->roots[c->n_roots];
    *r = (struct root){.stream = n->object->id, .source = EFX_NO_COL};
    r->edges = EFX_NEW_N(&u->arena, struct efx_edge, n->n_consumers + 1);
    if (r->edges == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t k = 0; k < n->n_consumers; k++) {
        struct efx_pedge to = n->consumers[k];
        if (u->app->plan->nodes[to.node]->component == c->number && u->nodes[to.node].op != NULL) {
            r->edges[r->n_edges++] = into(u, to, 0);
        }
    }
    if (c->c->split && !u->gather && u->app->n_shards > 1) {
        r->source = source_of(c->c, n->id);
    }
    c->n_roots += r->n_edges > 0;
    return EFX_OK;
}

static enum efx_rc make_component(struct unit *u, uint32_t number)
{
    const struct efx_plan *plan = u->app->plan;
    struct component_rt *c = &u->components[u->n_components];
    *c = (struct component_rt){.c = &plan->components[number], .number = number};
    c->nodes = EFX_NEW_N(&u->arena, struct node_rt *, c->c->n_nodes + 1);
    c->timers = EFX_NEW_N(&u->arena, struct node_rt *, c->c->n_nodes + 1);
    c->roots = EFX_NEW_N(&u->arena, struct root, plan->n_nodes + 1);
    if (c->nodes == NULL || c->timers == NULL || c->roots == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < c->c->n_nodes; i++) {
        struct node_rt *rt = &u->nodes[c->c->nodes[i]];
        if (rt->op == NULL) {
            continue;
        }
        c->nodes[c->n_nodes++] = rt;
        c->has_doors = c->has_doors || rt->door != NULL;
        if (rt->op->vt->next_due_ms != efx_op_never_due) {
            c->timers[c->n_timers++] = rt;
        }
    }
    for (uint32_t i = 0; i < plan->n_nodes && c->n_nodes > 0; i++) {
        if (is_root(plan->nodes[i])) {
            EFX_RET(add_root(u, c, plan->nodes[i]));
        }
    }
    u->has_whole = u->has_whole || (c->n_nodes > 0 && !c->c->split);
    u->n_components += c->n_nodes > 0;
    return EFX_OK;
}

static enum efx_rc wire_unit(struct unit *u)
{
    const struct efx_plan *plan = u->app->plan;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        if (u->nodes[i].op != NULL) {
            EFX_RET(wire_node(u, &u->nodes[i]));
        }
    }
    u->components = EFX_NEW_N(&u->arena, struct component_rt, plan->n_components + 1);
    if (u->components == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < plan->n_components; i++) {
        EFX_RET(make_component(u, i));
    }
    return EFX_OK;
}

/* ---- exchanges ---- */

static enum efx_rc make_exchanges(struct efx_app *app)
{
    const struct efx_plan *plan = app->plan;
    uint32_t n = 0;
    app->exchange_of = EFX_NEW_N(&app->arena, uint32_t, plan->n_nodes + 1);
    if (app->exchange_of == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        app->exchange_of[i] = n;
        n += n_positions(plan->nodes[i]);
    }
    app->exchanges = EFX_NEW_N(&app->arena, struct exchange, n + 1);
    app->n_exchanges = app->n_shards > 1 ? n : 0;
    return app->exchanges == NULL ? EFX_ENOMEM : EFX_OK;
}

static enum efx_rc open_exchange(struct efx_app *app, struct exchange *x, struct efx_edge to,
                                 uint32_t component)
{
    if (app->member != NULL) {
        app->listens[x->member] = true;
        if (x->member != app->member->self) {
            return EFX_OK;
        }
    }
    uint32_t n = app->n_shards * EFX_STEPS_IN_FLIGHT;
    x->packets = EFX_NEW_N(&app->arena, struct packet, n);
    if (x->packets == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        efx_arena_init(&x->packets[i].arena, &efx_mem_libc, SIZE_MAX);
    }
    x->to = to;
    x->component = component;
    x->foreign = true;
    const struct unit *g = &app->units[app->n_units - 1];
    const struct efx_pcomponent *c = &app->plan->components[component];
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        x->foreign = x->foreign && g->nodes[c->nodes[i]].op == NULL;
    }
    return EFX_OK;
}

/* Edges that lead from shards into the gather unit. */
static enum efx_rc open_exchanges(struct efx_app *app)
{
    const struct efx_plan *plan = app->plan;
    struct unit *g = &app->units[app->n_units - 1];
    for (uint32_t i = 0; i < plan->n_nodes && app->n_shards > 1; i++) {
        const struct efx_pnode *n = plan->nodes[i];
        if (is_root(n) || is_gathered(app, n)) {
            continue;
        }
        for (uint32_t pos = 0; pos < n_positions(n); pos++) {
            struct exchange *x = exchange_of(app, i, pos);
            x->member = app->member == NULL ? 0 : efx_run__gather_of(app, n->component);
            if (n->kind == EFX_P_STREAM && pos == n->n_consumers) {
                if (n->output && n->object != NULL && app->out_fn[n->object->id] != NULL &&
                    app->opts.ordered) {
                    struct efx_op *o = &g->outlets[n->object->id]->base;
                    EFX_RET(
                        open_exchange(app, x, (struct efx_edge){o->rows, o, 0, 0}, n->component));
                }
                continue;
            }
            struct efx_pedge to = n->kind == EFX_P_STREAM ? n->consumers[pos]
                                  : pos % 2 == 0          ? n->rows[pos / 2]
                                                          : n->errors[pos / 2];
            if (to.node != EFX_NO_COL && is_gathered(app, plan->nodes[to.node])) {
                EFX_RET(open_exchange(app, x, into(g, to, 0), n->component));
            }
        }
    }
    return EFX_OK;
}

enum efx_rc efx_run__graph(struct efx_app *app, struct efx_err *err)
{
    app->n_units = app->n_shards == 1 ? 1 : app->n_shards + 1;
    app->units = efx_arena_alloc(&app->arena, app->n_units, sizeof *app->units, EFX_CACHE_LINE);
    if (app->units == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(make_exchanges(app));
    EFX_RET(efx_run__open_member(app));
    for (uint32_t i = 0; i < app->n_units; i++) {
        struct unit *u = &app->units[i];
        u->app = app;
        u->index = i;
        u->gather = app->n_shards > 1 && i == app->n_shards;
        u->here = u->gather || efx_run__shard_here(app, i);
        u->kg = (struct efx_kg_range){0, EFX_KEY_GROUPS - 1};
        if (app->n_shards > 1 && !u->gather) {
            u->kg.first = (i * EFX_KEY_GROUPS + app->n_shards - 1) / app->n_shards;
            u->kg.last = ((i + 1) * EFX_KEY_GROUPS + app->n_shards - 1) / app->n_shards - 1;
        }
        EFX_RET(make_unit(u, err));
    }
    EFX_RET(open_exchanges(app));
    for (uint32_t i = 0; i < app->n_units; i++) {
        EFX_RET(wire_unit(&app->units[i]));
    }
    return EFX_OK;
}

void efx_run__graph_close(struct efx_app *app)
{
    for (uint32_t i = 0; app->units != NULL && i < app->n_units; i++) {
        struct unit *u = &app->units[i];
        for (uint32_t n = 0; u->nodes != NULL && n < app->plan->n_nodes; n++) {
            if (u->nodes[n].op != NULL) {
                u->nodes[n].op->vt->close(u->nodes[n].op);
            }
        }
        for (uint32_t m = 0; u->letters != NULL && m < app->member->n; m++) {
            efx_buf_fini(&u->letters[m].bytes);
        }
        if (u->app != NULL && u->ctx.mem != NULL) {
            efx_ctx_fini(&u->ctx);
            efx_arena_fini(&u->arena);
        }
    }
    efx_run__close_member(app);
    for (uint32_t i = 0; app->exchanges != NULL && i < app->n_exchanges; i++) {
        for (uint32_t k = 0;
             app->exchanges[i].packets != NULL && k < app->n_shards * EFX_STEPS_IN_FLIGHT; k++) {
            efx_arena_fini(&app->exchanges[i].packets[k].arena);
        }
    }
}

/* ---- data errors ---- */

static void report(struct efx_error_sink *self, uint32_t stream, uint16_t code, uint64_t n)
{
    struct unit *u = (struct unit *)((char *)self - offsetof(struct unit, errors));
    u->error_counts[stream * CODES + efx_run__code_place(code)] += n;
}
