/* Joins (language §7): sides, ON, USING, WITHIN, and which side keeps what. */
#include "bind.h"

static const struct efx_ast_relation *relation(const struct efx_ast_select *q, uint32_t i)
{
    return i == 0 ? &q->from : &q->joins[i - 1].right;
}

static bool is_table(const struct efx_bobject *o)
{
    return o != NULL && o->kind == EFX_OBJ_TABLE;
}

static const struct efx_bobject *side_object(struct efx_binder *b, const struct efx_ast_select *q,
                                             uint32_t i)
{
    const struct efx_ast_relation *r = relation(q, i);
    const struct efx_bobject *o = efx_bind__source(b, &r->name);
    const struct efx_bind_name *n = efx_bind__find(b, r->name.s);
    bool ranged = i > 0 && q->joins[i - 1].has_range;
    bool aggregation = n != NULL && n->kind == EFX_NAME_AGGREGATION;
    if (n != NULL && ranged != aggregation && (n->object != NULL || aggregation)) {
        efx_diag_add(b->diags, 1504, ranged ? q->joins[i - 1].at : r->name.at,
                     aggregation ? "WITHIN start, end PER 'minutes'" : NULL,
                     aggregation ? "'%s' is an aggregation: WITHIN … PER … is missing"
                                 : "'%s' is no aggregation: WITHIN … PER … does not go with it",
                     r->name.s);
    }
    if (o != NULL && b->on_demand && o->kind != EFX_OBJ_TABLE) {
        efx_diag_add(b->diags, 1207, r->name.at, "on demand, tables are read", "'%s' is a stream",
                     r->name.s);
        return NULL;
    }
    return o;
}

static void bind_sides(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                       struct efx_bstmt *st)
{
    struct efx_binder *b = sc->b;
    uint32_t marked = 0;
    st->n_inputs = q->n_joins + 1;
    st->inputs = BIND_NEW_N(b, struct efx_binput, st->n_inputs);
    for (uint32_t i = 0; i < st->n_inputs; i++) {
        const struct efx_ast_relation *r = relation(q, i);
        const struct efx_bobject *o = side_object(b, q, i);
        efx_bind__side_add(sc, &r->name, &r->alias, o);
        st->inputs[i] = (struct efx_binput){
            .object = o, .alias = sc->sides[i].qualifier, .unidirectional = r->unidirectional};
        efx_bind__input_window(b, r, o, &st->inputs[i].window);
        sc->has_batches = sc->has_batches || efx_bind__window_has_batches(&r->window);
        marked += r->unidirectional;
        if (r->unidirectional && (marked > 1 || is_table(o))) {
            efx_diag_add(b->diags, 1505, r->unidirectional_at, NULL,
                         is_table(o) ? "a table triggers nothing: it cannot be UNIDIRECTIONAL"
                                     : "only one side can be UNIDIRECTIONAL");
        }
    }
}

static void check_trigger(struct efx_binder *b, const struct efx_ast_select *q,
                          const struct efx_bstmt *st)
{
    for (uint32_t i = 0; i < st->n_inputs; i++) {
        if (!is_table(st->inputs[i].object)) {
            return;
        }
    }
    if (!b->on_demand) {
        efx_diag_add(b->diags, 1501, q->from.at, "join them with a stream or a trigger",
                     "only tables are joined: nothing can trigger");
    }
}

/* ---- USING ---- */

/* The only side before `end` that has the column; EFX_NO_COL. */
static uint32_t side_with(const struct efx_bind_scope *sc, uint32_t from, uint32_t end,
                          const char *name, bool *broken)
{
    for (uint32_t i = from; i < end; i++) {
        const struct efx_bobject *o = sc->sides[i].object;
        if (o == NULL) {
            *broken = true;
        } else if (efx_schema_find(&o->schema, name) != EFX_SCHEMA_NO_COL) {
            return i;
        }
    }
    return EFX_NO_COL;
}

static struct efx_bx *side_col(const struct efx_bind_scope *sc, uint32_t side, const char *name,
                               struct efx_span at)
{
    const struct efx_schema *s = &sc->sides[side].object->schema;
    return efx_bind__col(sc->b, s, side, efx_schema_find(s, name), at);
}

/* The non-NULL of the two: the left one, where the right one alone never stands. */
static struct efx_bx *merge(struct efx_binder *b, struct efx_bx *left, struct efx_bx *right,
                            enum efx_ast_join kind)
{
    enum efx_type type = left->type;
    if (left->type == right->type && (kind == EFX_AST_JOIN_INNER || kind == EFX_AST_JOIN_LEFT)) {
        return left;
    }
    if (!efx_bind__common(&type, right->type)) {
        return NULL;
    }
    struct efx_bx *x = efx_bind__node(b, EFX_BX_COALESCE, type, left->at, 2);
    x->args[0] = efx_bind__to(b, left, type);
    x->args[1] = efx_bind__to(b, right, type);
    return x;
}

static struct efx_bx *using_column(struct efx_bind_scope *sc, const struct efx_ast_join_step *j,
                                   uint32_t right, const struct efx_ast_name *name)
{
    struct efx_binder *b = sc->b;
    bool broken = false;
    uint32_t l = side_with(sc, 0, right, name->s, &broken);
    uint32_t r = side_with(sc, right, right + 1, name->s, &broken);
    struct efx_bind_merged m = {.name = name->s};
    struct efx_bx *on = NULL;
    if (l != EFX_NO_COL && r != EFX_NO_COL) {
        struct efx_bx *x = side_col(sc, l, name->s, name->at);
        struct efx_bx *y = side_col(sc, r, name->s, name->at);
        for (uint32_t i = 0; i < sc->n_merged; i++) { /* of the join before */
            x = strcmp(sc->merged[i].name, name->s) == 0 && sc->merged[i].value != NULL
                    ? sc->merged[i].value
                    : x;
        }
        on = efx_bind__equal(b, x, y, name->at);
        m.value = on != NULL ? merge(b, x, y, j->kind) : NULL;
    } else if (!broken) {
        efx_diag_add(b->diags, 1506, name->at, NULL, "'%s' has no column '%s'",
                     l == EFX_NO_COL ? "the left side" : sc->sides[right].qualifier, name->s);
    }
    struct efx_bind_merged *all = BIND_NEW_N(b, struct efx_bind_merged, sc->n_merged + 1);
    all[0] = m; /* the newest first: it stands for those before */
    for (uint32_t i = 0; i < sc->n_merged; i++) {
        all[i + 1] = sc->merged[i];
    }
    sc->merged = all;
    sc->n_merged++;
    return on;
}

static struct efx_bx *bind_on(struct efx_bind_scope *sc, const struct efx_ast_join_step *j,
                              uint32_t right)
{
    struct efx_bx *on = NULL;
    for (uint32_t i = 0; i < j->using_.n; i++) {
        on = efx_bind__and(sc->b, on, using_column(sc, j, right, &j->using_.v[i]));
    }
    if (j->on != NULL) {
        struct efx_bind_scope seen = *sc;
        seen.where = "ON";
        seen.n_sides = right + 1;
        on = efx_bind__and(sc->b, on, efx_bind__cond(&seen, j->on));
    }
    return on;
}

/* ---- warnings ---- */

static void warn_kept(struct efx_binder *b, const struct efx_ast_select *q,
                      const struct efx_bstmt *st, uint32_t i)
{
    const struct efx_binput *in = &st->inputs[i], *other = &st->inputs[1 - i];
    if (in->object == NULL || is_table(in->object) || other->object == NULL ||
        is_table(other->object) || relation(q, i)->window.kind != NULL || in->unidirectional) {
        return;
    }
    if (q->joins[0].within.there || in->object->conf.state_ttl_ms >= 0) {
        return;
    }
    efx_diag_add(b->diags, 2501, relation(q, i)->name.at, "a window, WITHIN, or 'state.ttl'",
                 "the join keeps all events of '%s'", in->alias);
}

static void warn_preserved(struct efx_binder *b, const struct efx_ast_select *q,
                           const struct efx_bstmt *st)
{
    enum efx_ast_join k = q->joins[0].kind;
    bool left = k == EFX_AST_JOIN_LEFT || k == EFX_AST_JOIN_FULL;
    bool right = k == EFX_AST_JOIN_RIGHT || k == EFX_AST_JOIN_FULL;
    if ((left && is_table(st->inputs[0].object)) || (right && is_table(st->inputs[1].object))) {
        efx_diag_add(b->diags, 2502, q->joins[0].at, NULL,
                     "a table never triggers: preserving it adds no rows");
    }
}

void efx_bind__joins(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                     struct efx_bstmt *st)
{
    struct efx_binder *b = sc->b;
    st->kind = EFX_STMT_JOIN;
    bind_sides(sc, q, st);
    check_trigger(b, q, st);
    for (uint32_t i = 0; i < q->n_joins; i++) {
        const struct efx_ast_join_step *j = &q->joins[i];
        struct efx_bx *on = bind_on(sc, j, i + 1);
        st->on = i == 0 ? on : st->on;
        efx_bind__bare_duration(b, &j->within);
    }
    st->join = q->joins[0].kind;
    st->within_ms = q->joins[0].within.there ? q->joins[0].within.ms : -1;
    if (q->n_joins > 1) {
        efx_bind__absent(b, q->joins[1].at, "join two sides into a stream, that with the third",
                         "joins of more than two sides are not built yet");
    } else if (!b->on_demand) {
        warn_kept(b, q, st, 0);
        warn_kept(b, q, st, 1);
        warn_preserved(b, q, st);
    }
}
