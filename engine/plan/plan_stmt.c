/* One statement: source, WHERE, selector, limiter, target.
 *
 *   junction ─► [filter] ─► [join | pattern] ─► [filter] ─► project | select ─► [limit] ─► target
 *
 * A query without window, group, aggregate and HAVING is a projection; everything else a selector.
 */
#include "plan.h"

#include <stdio.h>

uint32_t efx_plan__rank(const struct plan_builder *b, const struct efx_bstmt *s,
                        enum efx_timer_of of)
{
    uint32_t n_triggers = 0;
    for (uint32_t i = 0; i < b->program->n_objects; i++) {
        n_triggers += b->program->objects[i]->kind == EFX_OBJ_TRIGGER;
    }
    return efx_moment_rank(n_triggers + s->id, of);
}

static struct efx_pnode *stmt_node(struct plan_builder *b, const struct efx_bstmt *s,
                                   enum efx_pnode_kind kind, uint32_t n_inlets,
                                   enum efx_timer_of of)
{
    struct efx_pnode *n = efx_plan__node(b, kind, n_inlets, 1);
    n->stmt = s;
    n->name = s->name;
    n->rank = efx_plan__rank(b, s, of);
    n->key_group = efx_plan__name_group(s->name);
    return n;
}

void efx_plan__connect(struct plan_builder *b, struct plan_tail *t, uint32_t node, uint32_t inlet)
{
    if (b->rc != EFX_OK) {
        return;
    }
    struct efx_pnode *n = b->plan->nodes[t->node];
    if (n->kind == EFX_P_STREAM) {
        efx_plan__consume(b, t->node, node, inlet);
    } else {
        n->rows[t->outlet] = (struct efx_pedge){node, inlet};
    }
}

uint32_t efx_plan__source(struct plan_builder *b, const struct efx_bstmt *s, uint32_t k)
{
    const struct efx_bobject *o = s->inputs[k].object;
    if (s->partition != EFX_NO_COL && o->partition == EFX_NO_COL &&
        b->part_node[s->partition][o->id] != EFX_NO_COL) {
        return b->part_node[s->partition][o->id];
    }
    return b->plan->stream_node[o->id];
}

/* ---- errors ---- */

static enum efx_errors_to errors_to(const struct efx_bobject *stream)
{
    if (stream->conf.to_fault_stream) {
        return stream->fault != NULL ? EFX_ERRORS_TO_FAULT : EFX_ERRORS_TO_COUNT;
    }
    if (stream->conf.errors == EFX_ERRORS_FAIL) {
        return EFX_ERRORS_TO_STOP;
    }
    return stream->conf.errors == EFX_ERRORS_DLQ && stream->conf.dlq != NULL ? EFX_ERRORS_TO_DLQ
                                                                             : EFX_ERRORS_TO_COUNT;
}

static bool errors_read(const struct efx_bstmt *s)
{
    return s->n_inputs > 0 && s->inputs[0].object->kind == EFX_OBJ_STREAM &&
           errors_to(s->inputs[0].object) != EFX_ERRORS_TO_COUNT;
}

/* The failed rows of an outlet: `first_col` is where the columns of the statement's first stream
 * stand in them; without whole_row they are not there and shown as NULL. */
void efx_plan__errors(struct plan_builder *b, const struct efx_bstmt *s, struct efx_pnode *n,
                      uint32_t outlet, uint32_t first_col, bool whole_row)
{
    struct efx_errors_conf *conf = PLAN_NEW(b, struct efx_errors_conf);
    const struct efx_bobject *stream = s->inputs[0].object;
    uint32_t *cols = PLAN_NEW_N(b, uint32_t, stream->schema.n_cols + 1);
    struct efx_pnode *e = efx_plan__node(b, EFX_P_ERRORS, 1, 1);
    if (b->rc != EFX_OK) {
        return;
    }
    for (uint32_t c = 0; c < stream->schema.n_cols; c++) {
        cols[c] = whole_row ? first_col + c : EFX_NO_COL;
    }
    *conf = (struct efx_errors_conf){EFX_ERRORS_TO_COUNT, stream, cols};
    if (stream->kind == EFX_OBJ_STREAM) {
        conf->to = errors_to(stream);
    }
    e->conf = conf;
    e->name = "errors";
    e->stmt = s;
    n->errors[outlet] = (struct efx_pedge){e->id, 0};
    const struct efx_bobject *to = conf->to == EFX_ERRORS_TO_FAULT ? stream->fault
                                   : conf->to == EFX_ERRORS_TO_DLQ ? stream->conf.dlq
                                                                   : NULL;
    if (to != NULL) {
        struct efx_pnode *j = b->plan->nodes[b->plan->stream_node[to->id]];
        e->rows[0] = (struct efx_pedge){j->id, efx_plan__inlet(j)};
    }
}

/* ---- filter ---- */

static void add_filter(struct plan_builder *b, const struct efx_bstmt *s, const struct efx_bx *cond,
                       struct plan_tail *t)
{
    struct efx_filter_conf *conf = PLAN_NEW(b, struct efx_filter_conf);
    struct efx_pnode *n = stmt_node(b, s, EFX_P_FILTER, 1, EFX_TIMER_OF_WINDOW);
    if (b->rc != EFX_OK) {
        return;
    }
    conf->pred = efx_plan__compile(b, cond, &t->env);
    n->conf = conf;
    n->in = (struct efx_op_in){t->env.n_cols, t->types, t->partitioned};
    efx_plan__errors(b, s, n, 0, 0, t->env.kind != PLAN_ENV_PATTERN);
    efx_plan__connect(b, t, n->id, 0);
    t->node = n->id;
    t->outlet = 0;
}

/* ---- target ---- */

static bool target_is_inner(const struct efx_bstmt *s)
{
    return s->target.object->partition != EFX_NO_COL;
}

static const bool *not_null_of(struct plan_builder *b, const struct efx_bstmt *s, uint32_t n_extra)
{
    const struct efx_schema *schema = &s->target.object->schema;
    bool *flags = PLAN_NEW_N(b, bool, schema->n_cols + n_extra + 1);
    bool any = false;
    bool check = s->target.object->kind == EFX_OBJ_STREAM;
    for (uint32_t c = 0; flags != NULL && check && c < schema->n_cols; c++) {
        flags[c] = schema->cols[c].not_null;
        any = any || flags[c];
    }
    return any ? flags : NULL; /* a table checks its own */
}

static void add_limit(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t,
                      const enum efx_type *group_types)
{
    struct efx_limit_conf *conf = PLAN_NEW(b, struct efx_limit_conf);
    struct efx_pnode *n = stmt_node(b, s, EFX_P_LIMIT, 1, EFX_TIMER_OF_LIMITER);
    if (b->rc != EFX_OK) {
        return;
    }
    uint32_t n_target = s->upsert ? s->n_out : s->target.object->schema.n_cols;
    *conf = (struct efx_limit_conf){
        .in = {n_target, t->types, t->partitioned},
        .kind = s->output.kind,
        .n = s->output.events ? s->output.n : 0,
        .every_ms = s->output.events ? 0 : s->output.duration.ms,
        .n_group = s->n_group,
        .group_types = group_types,
        .keep_hidden = t->partitioned && target_is_inner(s),
    };
    n->conf = conf;
    n->in = conf->in;
    n->many = conf->kind != EFX_AST_OUTPUT_FIRST;
    n->timers = conf->n == 0 && conf->kind != EFX_AST_OUTPUT_FIRST;
    n->emits_by_timer = n->timers;
    efx_plan__connect(b, t, n->id, 0);
    t->node = n->id;
    t->outlet = 0;
}

static void add_target(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t)
{
    const struct efx_bobject *to = s->target.object;
    if (to->kind == EFX_OBJ_TABLE) {
        struct efx_table_port port = {.kind = EFX_PORT_INSERT};
        port.in = (struct efx_op_in){s->upsert ? s->n_out : to->schema.n_cols, t->types, false};
        if (s->upsert) {
            efx_plan__upsert_port(b, s, &port);
        }
        uint32_t inlet = efx_plan__port(b, to, &port);
        if (b->rc == EFX_OK) {
            struct efx_pnode *table = b->plan->nodes[b->plan->table_node[to->id]];
            struct efx_pnode *from = b->plan->nodes[t->node];
            from->rows[t->outlet] = (struct efx_pedge){table->id, inlet};
        }
        return;
    }
    struct efx_pnode *j = b->plan->nodes[b->plan->stream_node[to->id]];
    efx_plan__connect(b, t, j->id, efx_plan__inlet(j));
    j->output = j->output || (to->partition == EFX_NO_COL && to->kind == EFX_OBJ_STREAM);
}

/* ---- projection ---- */

/* What the target gets: the stores, or for UPSERT the outputs; then the limiter's group columns. */
static uint32_t n_stored(const struct efx_bstmt *s)
{
    return s->upsert ? s->n_out : s->target.object->schema.n_cols;
}

static const struct efx_bx *stored(const struct efx_bstmt *s, uint32_t i)
{
    return s->upsert ? s->out[i].expr : s->target.store[i];
}

static void add_project(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t,
                        uint32_t n_group, enum efx_type *types)
{
    uint32_t n = n_stored(s);
    struct efx_project_conf *conf = PLAN_NEW(b, struct efx_project_conf);
    const struct efx_expr **exprs = PLAN_NEW_N(b, const struct efx_expr *, n + n_group + 1);
    struct efx_pnode *node = stmt_node(b, s, EFX_P_PROJECT, 1, EFX_TIMER_OF_WINDOW);
    for (uint32_t i = 0; i < n + n_group && b->rc == EFX_OK; i++) {
        const struct efx_bx *bx = i < n ? stored(s, i) : s->group[i - n];
        bx = s->upsert || i >= n ? bx : efx_plan__substitute(b, bx, s->out);
        exprs[i] = efx_plan__compile(b, bx, &t->env);
        types[i] = bx->type;
    }
    if (b->rc != EFX_OK) {
        return;
    }
    *conf = (struct efx_project_conf){
        .in = {t->env.n_cols, t->types, t->partitioned},
        .n_out = n + n_group,
        .exprs = exprs,
        .not_null = not_null_of(b, s, n_group),
        .keep_hidden = t->partitioned && (target_is_inner(s) || s->output.kind != 0),
    };
    node->conf = conf;
    node->in = conf->in;
    efx_plan__errors(b, s, node, 0, 0, t->env.kind != PLAN_ENV_PATTERN);
    efx_plan__connect(b, t, node->id, 0);
    t->node = node->id;
    t->outlet = 0;
}

/* ---- selector ---- */

static void mark_used(void *arg, const struct efx_bx *bx)
{
    bool *used = arg;
    if (bx->op == EFX_BX_COL && bx->src < EFX_BX_SRC_NONE) {
        used[bx->col] = true;
    }
}

/* Columns of the input that the outputs look at; behind joins and patterns simply all. */
static const bool *used_cols(struct plan_builder *b, const struct efx_bstmt *s,
                             const struct plan_tail *t)
{
    bool *used = PLAN_NEW_N(b, bool, t->env.n_cols + 1);
    if (used == NULL) {
        return NULL;
    }
    if (t->env.kind != PLAN_ENV_SINGLE || errors_read(s)) {
        memset(used, true, t->env.n_cols);
        return used;
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        efx_plan__visit(s->out[i].expr, mark_used, used);
    }
    efx_plan__visit(s->having, mark_used, used);
    for (uint32_t i = 0; i < s->n_order; i++) {
        efx_plan__visit(s->order[i].expr, mark_used, used);
    }
    for (uint32_t i = 0; s->output.kind != 0 && i < s->n_group; i++) {
        efx_plan__visit(s->group[i], mark_used, used);
    }
    return used;
}

/* sum(DISTINCT x) is an aggregate of its own, "sum distinct". */
static const struct efx_agg_vt *aggregate_of(struct plan_builder *b, const struct efx_bagg *agg)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s distinct", agg->vt->base.name);
    const struct efx_agg_vt *distinct =
        agg->distinct ? efx_registry_agg(b->opts->registry, name, agg->vt->in) : NULL;
    return distinct != NULL ? distinct : agg->vt;
}

static void select_exprs(struct plan_builder *b, const struct efx_bstmt *s,
                         const struct plan_env *row, const struct plan_env *env,
                         struct efx_select_conf *conf)
{
    const struct efx_expr **group = PLAN_NEW_N(b, const struct efx_expr *, s->n_group + 1);
    struct efx_select_agg *aggs = PLAN_NEW_N(b, struct efx_select_agg, s->n_aggs + 1);
    const struct efx_expr **out = PLAN_NEW_N(b, const struct efx_expr *, s->n_out + 1);
    struct efx_select_order *order = PLAN_NEW_N(b, struct efx_select_order, s->n_order + 1);
    for (uint32_t i = 0; i < s->n_group && b->rc == EFX_OK; i++) {
        group[i] = efx_plan__compile(b, s->group[i], row);
    }
    for (uint32_t i = 0; i < s->n_aggs && b->rc == EFX_OK; i++) {
        aggs[i].vt = aggregate_of(b, &s->aggs[i]);
        aggs[i].arg = efx_plan__compile(b, s->aggs[i].arg, row);
        aggs[i].filter = efx_plan__compile(b, s->aggs[i].filter, row);
    }
    struct plan_env no_out = *env;
    no_out.out = EFX_NO_COL;
    for (uint32_t i = 0; i < s->n_out && b->rc == EFX_OK; i++) {
        out[i] = efx_plan__compile(b, s->out[i].expr, &no_out);
    }
    for (uint32_t i = 0; i < s->n_order && b->rc == EFX_OK; i++) {
        order[i].expr = efx_plan__compile(b, s->order[i].expr, env);
        order[i].desc = s->order[i].desc;
        order[i].nulls_first = s->order[i].nulls_first;
    }
    conf->n_group = s->n_group;
    conf->group = group;
    conf->n_aggs = s->n_aggs;
    conf->aggs = aggs;
    conf->n_out = s->n_out;
    conf->out = out;
    conf->having = efx_plan__compile(b, s->having, env);
    conf->n_order = s->n_order;
    conf->order = order;
}

static void select_store(struct plan_builder *b, const struct efx_bstmt *s,
                         const struct plan_env *env, uint32_t n_group, enum efx_type *types,
                         struct efx_select_conf *conf)
{
    uint32_t n = n_stored(s);
    const struct efx_expr **store = PLAN_NEW_N(b, const struct efx_expr *, n + n_group + 1);
    for (uint32_t i = 0; i < n + n_group && b->rc == EFX_OK; i++) {
        struct efx_bx ref = {.op = EFX_BX_COL, .src = EFX_BX_SRC_OUT, .col = i};
        const struct efx_bx *bx = i < n ? (s->upsert ? &ref : s->target.store[i]) : s->group[i - n];
        if (bx == &ref) {
            ref.type = s->out[i].expr->type;
        }
        store[i] = efx_plan__compile(b, bx, env);
        types[i] = bx->type;
    }
    conf->n_store = n + n_group;
    conf->store = store;
    conf->not_null = not_null_of(b, s, n_group);
}

static void add_select(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t,
                       uint32_t n_group, enum efx_type *types)
{
    struct efx_select_conf *conf = PLAN_NEW(b, struct efx_select_conf);
    struct efx_pnode *n = stmt_node(b, s, EFX_P_SELECT, 1, EFX_TIMER_OF_WINDOW);
    if (b->rc != EFX_OK) {
        return;
    }
    struct plan_env env = t->env;
    env.agg = t->env.n_cols + (t->partitioned ? 2 : 0);
    env.out = env.agg + s->n_aggs;
    const struct efx_bwindow *w = s->kind == EFX_STMT_SINGLE ? &s->inputs[0].window : NULL;
    bool running = s->kind == EFX_STMT_SINGLE && w->vt == NULL;
    *conf = (struct efx_select_conf){
        .in = {t->env.n_cols, t->types, t->partitioned},
        .kinds_in = t->kinds,
        .sets_in = t->sets,
        .expired_still = s->kind == EFX_STMT_PATTERN,
        .window = w != NULL ? w->vt : NULL,
        .window_conf = w != NULL ? w->conf : NULL,
        .window_has_origin = w != NULL && w->has_origin,
        .env_agg = env.agg,
        .env_out = env.out,
        .n_env = env.out + s->n_out,
        .used = used_cols(b, s, t),
        .limit = s->limit,
        .offset = s->offset,
        .current = s->current,
        .expired = s->expired,
        .keep_hidden = t->partitioned && (target_is_inner(s) || s->output.kind != 0),
        .group_ttl_ms = running && s->inputs[0].object->kind == EFX_OBJ_STREAM
                            ? s->inputs[0].object->conf.state_ttl_ms
                            : -1,
        .errors_read = errors_read(s),
    };
    select_exprs(b, s, &t->env, &env, conf);
    select_store(b, s, &env, n_group, types, conf);
    n->conf = conf;
    n->in = conf->in;
    if (conf->window != NULL) {
        const struct efx_traits *traits = &conf->window->base.traits;
        n->many = traits->many || (traits->many_if_expired && s->expired);
        n->timers = traits->timers;
        n->emits_by_timer = traits->timers && (s->expired || traits->flushes);
    }
    efx_plan__errors(b, s, n, 0, 0, t->env.kind != PLAN_ENV_PATTERN);
    efx_plan__connect(b, t, n->id, 0);
    t->node = n->id;
    t->outlet = 0;
}

void efx_plan__tail(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t)
{
    if (s->where != NULL) {
        add_filter(b, s, s->where, t);
    }
    uint32_t n_group = s->output.kind != EFX_AST_OUTPUT_NONE ? s->n_group : 0;
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, n_stored(s) + n_group + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    bool window = s->kind == EFX_STMT_SINGLE && s->inputs[0].window.vt != NULL;
    bool ordered = t->sets && (s->n_order > 0 || s->limit >= 0 || s->offset > 0);
    if (window || s->n_aggs > 0 || s->n_group > 0 || s->having != NULL || ordered || t->kinds) {
        add_select(b, s, t, n_group, types);
    } else {
        add_project(b, s, t, n_group, types);
    }
    t->types = types;
    if (s->output.kind != EFX_AST_OUTPUT_NONE) {
        add_limit(b, s, t, types + n_stored(s));
    }
    if (b->rc == EFX_OK) {
        add_target(b, s, t);
    }
}

static void single(struct plan_builder *b, const struct efx_bstmt *s)
{
    uint32_t from = efx_plan__source(b, s, 0);
    const struct efx_pnode *junction = b->plan->nodes[from];
    struct plan_tail t = {
        .node = from,
        .env = {.kind = PLAN_ENV_SINGLE,
                .n_cols = junction->in.n_cols,
                .agg = EFX_NO_COL,
                .out = EFX_NO_COL},
        .types = junction->in.types,
        .partitioned = junction->in.partitioned,
    };
    efx_plan__tail(b, s, &t);
}

/* ---- patterns ---- */

struct refs {
    struct plan_builder *b;
    uint32_t n;
    const struct efx_bx **v;
};

static void find_ref(void *arg, const struct efx_bx *bx)
{
    struct refs *r = arg;
    bool element_ts = bx->op == EFX_BX_EVENT_TS && bx->src != EFX_BX_SRC_NONE;
    bool col = bx->op == EFX_BX_COL && bx->src != EFX_BX_SRC_OUT;
    if (!col && !element_ts && bx->op != EFX_BX_ELEM_AGG && bx->op != EFX_BX_IS_BOUND) {
        return;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        const struct efx_bx *o = r->v[i];
        if (o->op == bx->op && o->src == bx->src && o->col == bx->col &&
            o->index.kind == bx->index.kind && o->index.n == bx->index.n &&
            o->elem_agg == bx->elem_agg) {
            return;
        }
    }
    if (r->n % 16 == 0) {
        const struct efx_bx **more = PLAN_NEW_N(r->b, const struct efx_bx *, r->n + 16);
        if (more == NULL) {
            return;
        }
        if (r->n > 0) {
            memcpy(more, r->v, r->n * sizeof *more);
        }
        r->v = more;
    }
    r->v[r->n++] = bx;
}

static void pattern_refs(const struct efx_bstmt *s, struct refs *r)
{
    efx_plan__visit(s->where, find_ref, r);
    efx_plan__visit(s->having, find_ref, r);
    for (uint32_t i = 0; i < s->n_group; i++) {
        efx_plan__visit(s->group[i], find_ref, r);
    }
    for (uint32_t i = 0; i < s->n_aggs; i++) {
        efx_plan__visit(s->aggs[i].arg, find_ref, r);
        efx_plan__visit(s->aggs[i].filter, find_ref, r);
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        efx_plan__visit(s->out[i].expr, find_ref, r);
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        efx_plan__visit(s->order[i].expr, find_ref, r);
    }
}

static void pattern(struct plan_builder *b, const struct efx_bstmt *s)
{
    struct efx_pattern_conf *conf = PLAN_NEW(b, struct efx_pattern_conf);
    struct efx_op_in *ins = PLAN_NEW_N(b, struct efx_op_in, s->n_inputs);
    struct efx_pnode *n = stmt_node(b, s, EFX_P_PATTERN, s->n_inputs, EFX_TIMER_OF_PATTERN);
    struct refs refs = {.b = b};
    pattern_refs(s, &refs);
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, refs.n + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    for (uint32_t i = 0; i < refs.n; i++) {
        types[i] = refs.v[i]->type;
    }
    for (uint32_t k = 0; k < s->n_inputs; k++) {
        uint32_t from = efx_plan__source(b, s, k);
        ins[k] = b->plan->nodes[from]->in;
        efx_plan__consume(b, from, n->id, k);
    }
    bool partitioned = s->partition != EFX_NO_COL;
    *conf = (struct efx_pattern_conf){
        .pattern = s->pattern,
        .n_inputs = s->n_inputs,
        .in = ins,
        .n_outs = refs.n,
        .outs = refs.v,
        .keep_hidden = partitioned,
        .expired = s->expired,
        .max_partials = b->opts->max_partials,
    };
    n->conf = conf;
    n->in = ins[0];
    n->many = true;
    n->timers = s->expired || s->pattern->within_ms >= 0;
    n->emits_by_timer = s->expired;
    efx_plan__errors(b, s, n, 0, 0, false);
    struct plan_tail t = {
        .node = n->id,
        .env = {.kind = PLAN_ENV_PATTERN,
                .n_cols = refs.n,
                .agg = EFX_NO_COL,
                .out = EFX_NO_COL,
                .n_refs = refs.n,
                .refs = refs.v},
        .types = types,
        .kinds = s->expired,
        .partitioned = partitioned,
    };
    efx_plan__tail(b, s, &t);
}

void efx_plan__statement(struct plan_builder *b, const struct efx_bstmt *s)
{
    switch (s->kind) {
    case EFX_STMT_SINGLE: single(b, s); break;
    case EFX_STMT_JOIN: efx_plan__join(b, s); break;
    case EFX_STMT_PATTERN: pattern(b, s); break;
    case EFX_STMT_UPDATE:
    case EFX_STMT_DELETE: efx_plan__change(b, s); break;
    }
}
