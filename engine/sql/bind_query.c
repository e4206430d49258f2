/* Queries (language §5): select list, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, OUTPUT.
 *
 * The order here is that of what knows what: outputs before the target, because an undeclared one
 * is made of them and a declared one gives NULL literals their type; both before GROUP BY, HAVING
 * and ORDER BY, which see the output names.
 */
#include "bind.h"

static void out_add(struct efx_bind_scope *sc, struct efx_bstmt *st, struct efx_span **at,
                    struct efx_bout out, struct efx_span place)
{
    st->out = efx_bind__grow(sc->b, st->out, st->n_out, sizeof *st->out);
    *at = efx_bind__grow(sc->b, *at, st->n_out, sizeof **at);
    (*at)[st->n_out] = place;
    st->out[st->n_out++] = out;
}

static const struct efx_bind_merged *merged_named(const struct efx_bind_scope *sc, const char *name)
{
    for (uint32_t i = 0; i < sc->n_merged; i++) {
        if (strcmp(sc->merged[i].name, name) == 0) {
            return &sc->merged[i];
        }
    }
    return NULL;
}

static bool in_side_before(const struct efx_bind_scope *sc, uint32_t side, const char *name)
{
    for (uint32_t i = 0; i < side; i++) {
        const struct efx_bobject *o = sc->sides[i].object;
        if (o != NULL && efx_schema_find(&o->schema, name) != EFX_SCHEMA_NO_COL) {
            return true;
        }
    }
    return false;
}

/* All columns of one source; `whole`: as part of *, where a USING column stands once. */
static void star_of(struct efx_bind_scope *sc, struct efx_bstmt *st, struct efx_span **at,
                    uint32_t side, const struct efx_ast_item *item)
{
    const struct efx_bind_side *s = &sc->sides[side];
    bool whole = item->qualifier.s == NULL;
    if (s->object == NULL) {
        sc->outs_lost = true;
        return;
    }
    for (uint32_t c = 0; c < s->object->schema.n_cols; c++) {
        const char *name = s->object->schema.cols[c].name;
        const struct efx_bind_merged *m = whole ? merged_named(sc, name) : NULL;
        if (m != NULL && in_side_before(sc, side, name)) {
            continue;
        }
        struct efx_bx *x =
            m != NULL ? m->value : efx_bind__col(sc->b, &s->object->schema, s->src, c, item->at);
        out_add(sc, st, at, (struct efx_bout){.name = name, .expr = x}, item->at);
    }
}

static void star(struct efx_bind_scope *sc, struct efx_bstmt *st, struct efx_span **at,
                 const struct efx_ast_item *item)
{
    if (item->qualifier.s == NULL) {
        for (uint32_t i = 0; i < sc->n_sides; i++) {
            star_of(sc, st, at, i, item);
        }
        return;
    }
    uint32_t i = efx_bind__side_of(sc, item->qualifier.s);
    if (i != EFX_NO_COL) {
        star_of(sc, st, at, i, item);
        return;
    }
    sc->outs_lost = true;
    struct efx_ast_expr none = {.op = EFX_AST_REF, .at = item->at, .qualifier = item->qualifier};
    none.name = (struct efx_ast_name){"*", item->at};
    efx_bind__ref(sc, &none); /* says what is wrong with the qualifier */
}

/* Language §5.2. */
static const char *out_name(struct efx_binder *b, const struct efx_ast_item *item, uint32_t n)
{
    const struct efx_ast_expr *e = item->expr;
    if (item->alias.s != NULL) {
        return item->alias.s;
    }
    if (e->op == EFX_AST_REF) {
        return e->name.s;
    }
    if (e->op == EFX_AST_CALL) {
        return efx_bind__spelled(e->name.s);
    }
    if (e->op == EFX_AST_CAST && e->op_at.off == e->at.off) { /* not x::type */
        return "cast";
    }
    if (e->op == EFX_AST_EXTRACT) {
        return "EXTRACT";
    }
    return e->op == EFX_AST_TRIM ? "trim" : efx_bind__fmt(b, "expr_%u", n);
}

struct efx_span *efx_bind__items(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                                 struct efx_bstmt *st)
{
    struct efx_span *at = NULL;
    for (uint32_t i = 0; i < q->n_items; i++) {
        const struct efx_ast_item *item = &q->items[i];
        if (item->star) {
            star(sc, st, &at, item);
            continue;
        }
        struct efx_bx *x = efx_bind__expr(sc, item->expr);
        struct efx_bout out = {.name = out_name(sc->b, item, i), .expr = x};
        out_add(sc, st, &at, out, item->at);
    }
    return at;
}

/* ---- GROUP BY ---- */

static bool has_aggregate(const struct efx_bx *x)
{
    if (x->op == EFX_BX_AGG) {
        return true;
    }
    for (uint32_t i = 0; i < x->n_args; i++) {
        if (has_aggregate(x->args[i])) {
            return true;
        }
    }
    return false;
}

static bool is_position(const struct efx_ast_expr *e)
{
    return e->op == EFX_AST_LITERAL && e->lit == EFX_AST_LIT_INT && !e->parens;
}

/* Output number of a position; EFX_NO_COL = there is none, and reported if that is sure. */
static uint32_t position(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                         const struct efx_bstmt *st)
{
    if (e->i >= 1 && e->i <= st->n_out) {
        return (uint32_t)(e->i - 1);
    }
    if (!sc->outs_lost) {
        efx_diag_add(sc->b->diags, 1203, e->at, NULL, "the select list has no position %lld",
                     (long long)e->i);
    }
    return EFX_NO_COL;
}

static struct efx_bx *group_key(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                                const struct efx_bstmt *st)
{
    struct efx_bx *x;
    if (is_position(e)) {
        uint32_t i = position(sc, e, st);
        x = i != EFX_NO_COL ? st->out[i].expr : NULL;
    } else {
        x = efx_bind__expr(sc, e);
    }
    if (x == NULL) {
        return NULL;
    }
    if (has_aggregate(x)) {
        efx_diag_add(sc->b->diags, 1307, e->at, NULL, "aggregates are not allowed in GROUP BY");
        return NULL;
    }
    if (x->type == EFX_TYPE_OBJECT) {
        efx_diag_add(sc->b->diags, 1301, e->at, NULL, "OBJECT cannot be grouped");
        return NULL;
    }
    if (x->type == EFX_TYPE_NONE) {
        efx_diag_add(sc->b->diags, 1303, e->at, "CAST(NULL AS …)",
                     "nothing here gives NULL a type");
        return NULL;
    }
    return x;
}

static void bind_group(const struct efx_bind_scope *sources, const struct efx_ast_select *q,
                       struct efx_bstmt *st)
{
    struct efx_bind_scope sc = *sources;
    sc.where = "GROUP BY";
    sc.aggs = NULL;
    sc.outs = st;
    sc.outs_when = EFX_OUTS_LAST;
    st->n_group = q->n_group;
    st->group = BIND_NEW_N(sc.b, struct efx_bx *, q->n_group + 1);
    for (uint32_t i = 0; i < q->n_group; i++) {
        st->group[i] = group_key(&sc, q->group[i], st);
    }
}

/* ---- HAVING, ORDER BY, LIMIT ---- */

static struct efx_bx *order_key(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                                const struct efx_bstmt *st)
{
    struct efx_bx *x;
    if (is_position(e)) {
        uint32_t i = position(sc, e, st);
        if (i == EFX_NO_COL || st->out[i].expr == NULL) {
            return NULL;
        }
        x = efx_bind__node(sc->b, EFX_BX_COL, st->out[i].expr->type, e->at, 0);
        x->src = EFX_BX_SRC_OUT;
        x->col = i;
    } else {
        x = efx_bind__expr(sc, e);
    }
    if (x != NULL && (x->type == EFX_TYPE_OBJECT || x->type == EFX_TYPE_BYTES)) {
        efx_diag_add(sc->b->diags, 1301, e->at, NULL, "%s cannot be sorted",
                     efx_type_name(x->type));
        return NULL;
    }
    if (x != NULL && x->type == EFX_TYPE_NONE) {
        efx_diag_add(sc->b->diags, 1303, e->at, "CAST(NULL AS …)",
                     "nothing here gives NULL a type");
        return NULL;
    }
    return x;
}

static int64_t limit_of(struct efx_binder *b, const struct efx_ast_expr *e, int64_t otherwise)
{
    if (e == NULL) {
        return otherwise;
    }
    int64_t v = -1;
    if (!efx_bind__mentions_columns(e)) {
        struct efx_bind_scope sc = efx_bind__scope(b, "LIMIT");
        struct efx_bx *x = efx_bind__expr(&sc, e);
        if (x == NULL) {
            return otherwise;
        }
        v = efx_bind__fold_i64(x, &v) ? v : -1;
    }
    if (v < 0) {
        efx_diag_add(b->diags, 1802, e->at, NULL, "LIMIT and OFFSET take constant integers from 0");
    }
    return v;
}

static void bind_rest(const struct efx_bind_scope *sources, const struct efx_ast_select *q,
                      struct efx_bstmt *st)
{
    struct efx_bind_scope sc = *sources;
    sc.outs = st;
    sc.outs_when = EFX_OUTS_FIRST;
    sc.aggs = st;
    sc.where = "HAVING";
    if (q->having != NULL) {
        st->having = efx_bind__cond(&sc, q->having);
    }
    sc.where = "ORDER BY";
    st->n_order = q->n_order;
    st->order = BIND_NEW_N(sc.b, struct efx_border, q->n_order + 1);
    for (uint32_t i = 0; i < q->n_order; i++) {
        const struct efx_ast_order *o = &q->order[i];
        st->order[i] = (struct efx_border){order_key(&sc, o->expr, st), o->desc, o->nulls_first};
    }
    st->limit = limit_of(sc.b, q->limit, -1);
    st->offset = limit_of(sc.b, q->offset, 0);
}

/* ---- OUTPUT ---- */

static void bind_output(struct efx_binder *b, const struct efx_ast_select *q, struct efx_bstmt *st)
{
    const struct efx_ast_output *o = &q->output;
    st->output = *o;
    if (o->kind == EFX_AST_OUTPUT_NONE) {
        return;
    }
    if (b->on_demand) {
        efx_diag_add(b->diags, 1207, o->at, NULL, "an on-demand query has no OUTPUT clause");
        return;
    }
    if (o->events && o->n < 1) {
        efx_diag_add(b->diags, 1801, o->at, NULL, "OUTPUT EVERY takes at least 1 event");
    }
    if (!o->events) {
        efx_bind__bare_duration(b, &o->duration);
    }
    if (o->kind == EFX_AST_OUTPUT_SNAPSHOT) {
        if (o->events || st->expired) {
            efx_diag_add(b->diags, 1801, o->at, "OUTPUT SNAPSHOT EVERY 1 SEC, current events only",
                         o->events ? "a snapshot comes by time, not by events"
                                   : "a snapshot has current rows only");
        } else {
            efx_bind__absent(b, o->at, "OUTPUT LAST EVERY …", "OUTPUT SNAPSHOT is not built yet");
        }
    }
}

/* ---- warnings ---- */

static bool keeps_groups(const struct efx_bstmt *st)
{
    for (uint32_t i = 0; i < st->n_inputs; i++) {
        const struct efx_binput *in = &st->inputs[i];
        if (in->object == NULL || in->window.vt != NULL || in->object->conf.state_ttl_ms >= 0) {
            return false;
        }
    }
    return st->n_inputs > 0;
}

static bool has_row_sets(const struct efx_bstmt *st, const struct efx_ast_select *q)
{
    const struct efx_window_vt *w = st->n_inputs > 0 ? st->inputs[0].window.vt : NULL;
    return st->kind == EFX_STMT_JOIN || q->output.kind == EFX_AST_OUTPUT_SNAPSHOT ||
           (w != NULL && w->base.traits.flushes) || (w == NULL && q->from.window.kind != NULL);
}

static struct efx_span order_at(const struct efx_ast_select *q)
{
    return q->n_order > 0 ? q->order_at : q->limit != NULL ? q->limit->at : q->offset->at;
}

/* The rows that an event gives in both of its roles are one row set. */
static void check_self_order(struct efx_binder *b, const struct efx_ast_select *q,
                             const struct efx_bstmt *st)
{
    bool ordered = q->n_order > 0 || q->limit != NULL || q->offset != NULL;
    if (ordered && st->kind == EFX_STMT_JOIN && st->n_inputs == 2 &&
        st->inputs[0].object == st->inputs[1].object && !st->inputs[0].unidirectional &&
        !st->inputs[1].unidirectional) {
        efx_bind__absent(b, order_at(q), "UNIDIRECTIONAL, or a stream in between",
                         "ORDER BY, LIMIT and OFFSET of a self join are not built yet");
    }
}

static void warn(struct efx_binder *b, const struct efx_ast_select *q, const struct efx_bstmt *st)
{
    if (q->n_group > 0 && keeps_groups(st)) {
        efx_diag_add(b->diags, 2201, q->group[0]->at, "a window, or 'state.ttl' of the stream",
                     "groups are kept for ever");
    }
    bool ordered = q->n_order > 0 || q->limit != NULL || q->offset != NULL;
    if (ordered && !has_row_sets(st, q)) {
        efx_diag_add(b->diags, 2402, order_at(q), "they work on batch windows and joins",
                     "ORDER BY, LIMIT and OFFSET change nothing here");
    }
}

void efx_bind__select(struct efx_bind_scope *sc, const struct efx_ast_stmt *s, struct efx_bstmt *st)
{
    struct efx_binder *b = sc->b;
    const struct efx_ast_select *q = s->select;
    if (q->distinct && !b->on_demand) {
        efx_diag_add(b->diags, 1901, q->distinct_at, "GROUP BY, or WINDOW firstUnique(…)",
                     "SELECT DISTINCT is for on-demand queries");
    }
    if (q->where != NULL) {
        sc->where = "WHERE";
        st->where = efx_bind__cond(sc, q->where);
    }
    sc->where = "SELECT";
    sc->aggs = st;
    struct efx_span *item_at = efx_bind__items(sc, q, st);
    sc->aggs = NULL;
    if (b->on_demand && !s->has_target) {
        efx_bind__outs_ok(sc, st, item_at);
    } else {
        efx_bind__target(sc, s, st, item_at);
    }
    bind_group(sc, q, st);
    bind_rest(sc, q, st);
    bind_output(b, q, st);
    if (s->kind == EFX_AST_UPSERT) {
        efx_bind__upsert_on(sc, s, st);
    }
    if (!b->on_demand) {
        check_self_order(b, q, st);
        warn(b, q, st);
    }
}

void efx_bind__query(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_bstmt *st = efx_bind__stmt_add(b, s);
    struct efx_bind_scope sc = efx_bind__scope(b, "FROM");
    if (efx_bind__from(&sc, s->select, st)) {
        efx_bind__select(&sc, s, st);
    } else {
        efx_bind__target_lost(b, s);
    }
}
