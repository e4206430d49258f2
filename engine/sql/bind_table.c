/* Statements that change tables (language §11): UPDATE, DELETE, UPSERT … ON.
 *
 *   UPDATE, DELETE   src 0 = the stream's row, src 1 = the table's
 *   UPSERT … ON      src 0 = the output columns of the SELECT, src 1 = the table's row; a column of
 *                    the SELECT's source that is no output becomes one that only ON sees
 */
#include "bind.h"

struct efx_bobject *efx_bind__table(struct efx_binder *b, const struct efx_ast_name *name)
{
    const struct efx_bind_name *n = efx_bind__find(b, name->s);
    if (n == NULL) {
        efx_bind__unknown(b, name);
        return NULL;
    }
    bool other =
        n->object != NULL ? n->object->kind != EFX_OBJ_TABLE : n->kind == EFX_NAME_AGGREGATION;
    if (other) {
        efx_diag_add(b->diags, 1702, name->at, NULL, "'%s' is not a table", name->s);
        return NULL;
    }
    efx_bind__uses(b, n->object);
    return n->object;
}

void efx_bind__uses(struct efx_binder *b, const struct efx_bobject *table)
{
    if (b->on_demand && table != NULL) {
        b->uses = efx_bind__grow(b, b->uses, b->n_uses, sizeof *b->uses);
        b->uses[b->n_uses++] = table;
    }
}

/* ---- UPSERT ---- */

/* The primary key against the outputs that are stored into it. */
static struct efx_bx *key_condition(struct efx_binder *b, const struct efx_ast_stmt *s,
                                    const struct efx_bstmt *st)
{
    const struct efx_bobject *t = st->target.object;
    if (t->n_keys == 0 || !t->keys[0].primary) {
        efx_diag_add(b->diags, 1704, efx_bind__end_of(s->at), "ON t.k = k",
                     "UPSERT needs ON: '%s' has no primary key", t->schema.name);
        return NULL;
    }
    struct efx_bx *all = NULL;
    for (uint32_t i = 0; st->target.store != NULL && i < t->keys[0].cols.n; i++) {
        uint32_t col = t->keys[0].cols.col[i];
        if (!st->upsert_sets[col]) {
            efx_diag_add(b->diags, 1704, efx_bind__end_of(s->at), "select it, or write ON",
                         "key column '%s' gets no value", t->schema.cols[col].name);
            return NULL;
        }
        const struct efx_bx *x = st->target.store[col];
        while (x != NULL && x->n_args > 0) { /* under CAST or NARROW */
            x = x->args[0];
        }
        if (x == NULL) {
            return NULL;
        }
        struct efx_bx *out = efx_bind__node(b, EFX_BX_COL, x->type, x->at, 0);
        out->src = 0;
        out->col = x->col;
        struct efx_bx *row = efx_bind__col(b, &t->schema, 1, col, x->at);
        all = efx_bind__and(b, all, efx_bind__equal(b, row, out, x->at));
    }
    return all;
}

void efx_bind__upsert_on(struct efx_bind_scope *sources, const struct efx_ast_stmt *s,
                         struct efx_bstmt *st)
{
    struct efx_binder *b = sources->b;
    const struct efx_bobject *table = st->target.object;
    if (table == NULL) {
        return;
    }
    if (s->on == NULL) {
        st->upsert_on = key_condition(b, s, st);
        return;
    }
    struct efx_bind_scope sc = *sources;
    sc.where = "ON";
    sc.aggs = NULL;
    sc.n_merged = 0;
    sc.keys = (struct efx_bind_keys){0};
    sc.outs = st;
    sc.outs_when = EFX_OUTS_ONLY;
    sc.n_sides = sources->n_sides + 1;
    sc.sides = BIND_NEW_N(b, struct efx_bind_side, sc.n_sides);
    sc.sides[0] = (struct efx_bind_side){
        .qualifier = table->schema.name, .object = table, .src = 1, .at = s->name.at};
    for (uint32_t i = 0; i < sources->n_sides; i++) {
        sc.sides[i + 1] = sources->sides[i];
    }
    st->upsert_on = efx_bind__cond(&sc, s->on);
}

/* ---- UPDATE, DELETE ---- */

static void bind_set(struct efx_bind_scope *sc, const struct efx_ast_assign *a,
                     struct efx_bstmt *st, const struct efx_bobject *table, const char *qualifier)
{
    struct efx_binder *b = sc->b;
    struct efx_bx *x = efx_bind__expr(sc, a->value);
    if (a->table.s != NULL && strcmp(a->table.s, qualifier) != 0) {
        efx_diag_add(b->diags, 1204, a->table.at, efx_bind__fmt(b, "write '%s'", qualifier),
                     "SET changes columns of '%s'", qualifier);
        return;
    }
    uint32_t col = efx_schema_find(&table->schema, a->column.s);
    if (col == EFX_SCHEMA_NO_COL) {
        efx_bind__no_column(b, 1703, &a->column, &table->schema);
        return;
    }
    for (uint32_t i = 0; i < st->n_sets; i++) {
        if (st->sets[i].col == col) {
            efx_diag_add(b->diags, 1703, a->column.at, NULL, "column '%s' is set twice",
                         a->column.s);
            return;
        }
    }
    st->sets[st->n_sets].col = col;
    st->sets[st->n_sets++].value =
        x != NULL ? efx_bind__store(b, x, &table->schema.cols[col], a->value->at) : NULL;
}

void efx_bind__mutation(struct efx_bind_scope *sc, const struct efx_ast_stmt *s,
                        struct efx_bstmt *st, const struct efx_bobject *table)
{
    const char *qualifier = s->alias.s != NULL ? s->alias.s : s->name.s;
    sc->where = "SET";
    st->sets = BIND_NEW_N(sc->b, struct efx_bset, s->n_assigns + 1);
    for (uint32_t i = 0; i < s->n_assigns; i++) {
        if (table != NULL) {
            bind_set(sc, &s->assigns[i], st, table, qualifier);
        } else {
            efx_bind__expr(sc, s->assigns[i].value);
        }
    }
    sc->where = "WHERE";
    st->where = s->on != NULL ? efx_bind__cond(sc, s->on) : NULL;
}

static const struct efx_bobject *mutation_source(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    const struct efx_ast_relation *r = &s->source;
    if (r->window.kind != NULL || r->unidirectional) {
        efx_diag_add(b->diags, 1701, r->at, "write the window's query into a stream first",
                     "the source takes no window");
    }
    const struct efx_bobject *o = efx_bind__source(b, &r->name);
    if (o != NULL && o->kind == EFX_OBJ_TABLE) {
        efx_diag_add(b->diags, 1701, r->name.at, NULL,
                     "'%s' is a table: the source must be a stream", o->schema.name);
        return NULL;
    }
    return o;
}

void efx_bind__update(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_bstmt *st = efx_bind__stmt_add(b, s);
    bool update = s->kind == EFX_AST_UPDATE;
    st->kind = update ? EFX_STMT_UPDATE : EFX_STMT_DELETE;
    const struct efx_bobject *table = efx_bind__table(b, &s->name);
    st->target.object = table;
    if (s->source.name.s == NULL || s->on == NULL) {
        efx_diag_add(b->diags, 1701, efx_bind__end_of(s->at),
                     update ? "UPDATE t SET c = x FROM s WHERE t.k = s.k"
                            : "DELETE FROM t USING s WHERE t.k = s.k",
                     "%s is missing",
                     s->source.name.s == NULL ? update ? "FROM" : "USING" : "WHERE");
    }
    struct efx_bind_scope sc = efx_bind__scope(b, "SET");
    if (s->source.name.s == NULL) {
        return;
    }
    const struct efx_bobject *stream = mutation_source(b, s);
    efx_bind__side_add(&sc, &s->source.name, &s->source.alias, stream);
    efx_bind__side_add(&sc, &s->name, &s->alias, table);
    st->n_inputs = 1;
    st->inputs = BIND_NEW(b, struct efx_binput);
    st->inputs[0] = (struct efx_binput){.object = stream, .alias = sc.sides[0].qualifier};
    efx_bind__mutation(&sc, s, st, table);
}
