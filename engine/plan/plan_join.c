/* Joins of two streams, and of a stream with a table (a row passing through the table). */
#include "plan.h"

static const enum efx_type *pair_types(struct plan_builder *b, const struct efx_op_in *left,
                                       const struct efx_op_in *right)
{
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, left->n_cols + right->n_cols + 1);
    if (types != NULL) {
        memcpy(types, left->types, left->n_cols * sizeof *types);
        memcpy(types + left->n_cols, right->types, right->n_cols * sizeof *types);
    }
    return types;
}

/* Keys of one side, compiled over its own row. */
static const struct efx_expr *const *side_keys(struct plan_builder *b, const struct plan_match *m,
                                               const struct efx_bx *const *keys, uint32_t n_cols,
                                               uint32_t side)
{
    const struct efx_expr **out = PLAN_NEW_N(b, const struct efx_expr *, m->n_eq + 1);
    /* A pair's environment whose other side has no columns: references stay at their own place. */
    struct plan_env env = {.kind = PLAN_ENV_PAIR,
                           .n_cols = n_cols,
                           .n_left = side == 0 ? n_cols : 0,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    for (uint32_t i = 0; i < m->n_eq && b->rc == EFX_OK; i++) {
        out[i] = efx_plan__compile(b, keys[i], &env);
    }
    return out;
}

static bool has_side_windows(const struct efx_bstmt *s)
{
    return s->inputs[0].window.vt != NULL || s->inputs[1].window.vt != NULL;
}

static void fill_side(const struct efx_bstmt *s, uint32_t k, struct efx_join_side *side)
{
    const struct efx_binput *in = &s->inputs[k];
    bool other_only = s->inputs[1 - k].unidirectional;
    side->window = in->window.vt;
    side->window_conf = in->window.conf;
    side->triggers = !other_only;
    /* What gives rows alone holds none: nobody else's events look for it. */
    side->holds = in->window.vt != NULL || !in->unidirectional;
    side->outer = s->join == EFX_AST_JOIN_FULL ||
                  s->join == (k == 0 ? EFX_AST_JOIN_LEFT : EFX_AST_JOIN_RIGHT);
    side->ttl_ms = in->object->kind == EFX_OBJ_STREAM ? in->object->conf.state_ttl_ms : -1;
}

/* Sides hold rows that leave one by one; flushes of whole batches need a join of their own. */
static bool sides_built(struct plan_builder *b, const struct efx_bstmt *s)
{
    bool ok = true;
    for (uint32_t k = 0; k < 2; k++) {
        const struct efx_bwindow *w = &s->inputs[k].window;
        if (w->vt != NULL && (w->vt->base.traits.flushes || w->vt->base.traits.evicts == 0)) {
            efx_diag_add(b->diags, 9001, w->at, "use a length or time window, or WITHIN",
                         "a join with a %s window is not built yet", w->vt->base.name);
            ok = false;
        }
    }
    return ok;
}

static void join_streams(struct plan_builder *b, const struct efx_bstmt *s)
{
    if (!sides_built(b, s)) {
        return;
    }
    struct efx_join_conf *conf = PLAN_NEW(b, struct efx_join_conf);
    bool self = s->inputs[0].object == s->inputs[1].object;
    struct efx_pnode *n = efx_plan__node(b, EFX_P_JOIN, self ? 1 : 2, 1);
    struct plan_match m;
    efx_plan__match(b, s->on, &m);
    if (b->rc != EFX_OK) {
        return;
    }
    uint32_t from[2] = {efx_plan__source(b, s, 0), efx_plan__source(b, s, 1)};
    for (uint32_t k = 0; k < 2; k++) {
        conf->side[k].in = b->plan->nodes[from[k]]->in;
        fill_side(s, k, &conf->side[k]);
    }
    uint32_t n_left = conf->side[0].in.n_cols, n_cols = n_left + conf->side[1].in.n_cols;
    struct plan_env env = {.kind = PLAN_ENV_PAIR,
                           .n_cols = n_cols,
                           .n_left = n_left,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    conf->side[0].keys = side_keys(b, &m, m.left, n_left, 0);
    conf->side[1].keys = side_keys(b, &m, m.right, conf->side[1].in.n_cols, 1);
    conf->self = self;
    conf->n_eq = m.n_eq;
    conf->key_types = m.types;
    conf->residual = efx_plan__compile(b, m.rest, &env);
    conf->within_ms = s->within_ms;
    conf->want_expired = s->expired || (s->n_aggs > 0 && has_side_windows(s));
    n->conf = conf;
    n->stmt = s;
    n->name = s->name;
    n->in = conf->side[0].in;
    n->rank = efx_plan__rank(b, s, EFX_TIMER_OF_WINDOW);
    n->key_group = efx_plan__name_group(s->name);
    n->many = true;
    n->timers = true;
    n->emits_by_timer = conf->want_expired;
    efx_plan__errors(b, s, n, 0, 0, true);
    efx_plan__consume(b, from[0], n->id, 0);
    if (!self) {
        efx_plan__consume(b, from[1], n->id, 1);
    }
    struct plan_tail t = {.node = n->id,
                          .env = env,
                          .kinds = conf->want_expired,
                          .sets = true,
                          .types = pair_types(b, &conf->side[0].in, &conf->side[1].in),
                          .partitioned = conf->side[0].in.partitioned};
    efx_plan__tail(b, s, &t);
}

static void join_table(struct plan_builder *b, const struct efx_bstmt *s, uint32_t table)
{
    const struct efx_bobject *t = s->inputs[table].object;
    uint32_t from = efx_plan__source(b, s, 1 - table);
    const struct efx_pnode *junction = b->plan->nodes[from];
    if (s->inputs[1 - table].window.vt != NULL && (s->expired || s->n_aggs > 0)) {
        efx_diag_add(b->diags, 9001, s->inputs[1 - table].window.at,
                     "leave the window out, or join before the table",
                     "a window on a stream that is joined with a table is not built yet");
        return;
    }
    enum efx_type *table_types = PLAN_NEW_N(b, enum efx_type, t->schema.n_cols + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    for (uint32_t c = 0; c < t->schema.n_cols; c++) {
        table_types[c] = t->schema.cols[c].type;
    }
    struct efx_op_in sides[2];
    sides[1 - table] = junction->in;
    sides[table] = (struct efx_op_in){t->schema.n_cols, table_types, false};
    struct efx_table_port port = {
        .kind = EFX_PORT_LOOKUP,
        .in = junction->in,
        .outer = s->join == EFX_AST_JOIN_FULL ||
                 s->join == (table == 1 ? EFX_AST_JOIN_LEFT : EFX_AST_JOIN_RIGHT),
        .table_first = table == 0,
    };
    /* The row is always the stream's, whichever side it is: swap the sources for the condition. */
    struct plan_env row = {.kind = PLAN_ENV_PAIR,
                           .n_cols = sides[0].n_cols + sides[1].n_cols,
                           .n_left = sides[0].n_cols,
                           .swapped = table == 0,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    efx_plan__port_match(b, s->on, &row, junction->in.n_cols, &port);
    uint32_t inlet = efx_plan__port(b, t, &port);
    if (b->rc != EFX_OK) {
        return;
    }
    struct efx_pnode *n = b->plan->nodes[b->plan->table_node[t->id]];
    efx_plan__consume(b, from, n->id, inlet);
    efx_plan__errors(b, s, n, inlet, 0, true);
    struct plan_tail tail = {
        .node = n->id,
        .outlet = inlet,
        .env = {.kind = PLAN_ENV_PAIR,
                .n_cols = sides[0].n_cols + sides[1].n_cols,
                .n_left = sides[0].n_cols,
                .agg = EFX_NO_COL,
                .out = EFX_NO_COL},
        .sets = true,
        .types = pair_types(b, &sides[0], &sides[1]),
        .partitioned = junction->in.partitioned,
    };
    efx_plan__tail(b, s, &tail);
}

void efx_plan__join(struct plan_builder *b, const struct efx_bstmt *s)
{
    if (s->inputs[0].object->kind == EFX_OBJ_TABLE) {
        join_table(b, s, 0);
    } else if (s->inputs[1].object->kind == EFX_OBJ_TABLE) {
        join_table(b, s, 1);
    } else {
        join_streams(b, s);
    }
}
