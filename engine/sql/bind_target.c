/* Where the rows of a query go (language §5.6): a declared stream or table, by position or by a
 * column list, or a stream that the first statement writing it creates.
 */
#include "bind.h"

static struct efx_ast_name target_name(const struct efx_ast_stmt *s)
{
    return s->has_target ? s->name : (struct efx_ast_name){"OutputStream", s->select->at};
}

void efx_bind__target_lost(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_ast_name name = target_name(s);
    bool inner = name.s[0] == '#';
    if (name.s[0] != '!' && (!inner || b->partition != EFX_NO_COL) && s->kind == EFX_AST_QUERY &&
        !b->on_demand && efx_bind__find(b, name.s) == NULL) {
        efx_bind__name_add(b, &name);
    }
}

static bool duplicates(struct efx_binder *b, const struct efx_bstmt *st,
                       const struct efx_span *item_at)
{
    for (uint32_t i = 0; i < st->n_out && i < EFX_SCHEMA_COLS_MAX; i++) { /* more are 1113 */
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(st->out[i].name, st->out[k].name) == 0) {
                efx_diag_add(b->diags, 1205, item_at[i], "name it: … AS x",
                             "two output columns are called '%s'", st->out[i].name);
                return true;
            }
        }
    }
    return false;
}

bool efx_bind__outs_ok(struct efx_bind_scope *sc, const struct efx_bstmt *st,
                       const struct efx_span *item_at)
{
    bool ok = !duplicates(sc->b, st, item_at) && !sc->outs_lost;
    for (uint32_t i = 0; i < st->n_out; i++) {
        const struct efx_bx *x = st->out[i].expr;
        ok = ok && x != NULL;
        if (x != NULL && x->type == EFX_TYPE_NONE) {
            efx_diag_add(sc->b->diags, 1303, item_at[i], "CAST(NULL AS …)",
                         "nothing gives column '%s' a type", st->out[i].name);
            ok = false;
        }
    }
    return ok;
}

static struct efx_bx *output(struct efx_binder *b, const struct efx_bstmt *st, uint32_t i)
{
    struct efx_bx *x = efx_bind__node(b, EFX_BX_COL, st->out[i].expr->type, st->out[i].expr->at, 0);
    x->src = EFX_BX_SRC_OUT;
    x->col = i;
    return x;
}

/* 1311: the select list against what the target takes. */
static bool counts_ok(struct efx_bind_scope *sc, const struct efx_ast_stmt *s,
                      const struct efx_bstmt *st, uint32_t wanted, const struct efx_schema *schema)
{
    if (sc->outs_lost) {
        return false;
    }
    if (st->n_out == wanted) {
        return true;
    }
    struct efx_ast_name name = target_name(s);
    const char *hint = schema == NULL ? NULL
                                      : efx_bind__fmt(sc->b, "'%s' has %s", name.s,
                                                      efx_bind__cols_text(sc->b, schema));
    efx_diag_add(sc->b->diags, 1311, name.at, hint, "%u columns are selected, %s takes %u",
                 st->n_out, s->has_columns ? "the column list" : "the target", wanted);
    return false;
}

/* ---- a target that nobody declared ---- */

static void create(struct efx_bind_scope *sc, const struct efx_ast_stmt *s, struct efx_bstmt *st,
                   const struct efx_span *item_at)
{
    struct efx_binder *b = sc->b;
    struct efx_ast_name name = target_name(s);
    bool ok = efx_bind__outs_ok(sc, st, item_at);
    for (uint32_t i = 0; s->has_columns && i < s->columns.n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(s->columns.v[k].s, s->columns.v[i].s) == 0) {
                efx_diag_add(b->diags, 1205, s->columns.v[i].at, NULL,
                             "column '%s' is listed twice", s->columns.v[i].s);
                ok = false;
            }
        }
    }
    if (s->has_columns && !counts_ok(sc, s, st, s->columns.n, NULL)) {
        ok = false;
    }
    if (st->n_out > EFX_SCHEMA_COLS_MAX) {
        efx_diag_add(b->diags, 1113, name.at, NULL, "%u columns are more than %d", st->n_out,
                     EFX_SCHEMA_COLS_MAX);
        ok = false;
    }
    struct efx_bind_name *n = efx_bind__name_add(b, &name);
    if (!ok) {
        return;
    }
    struct efx_schema_col *cols = BIND_NEW_N(b, struct efx_schema_col, st->n_out + 1);
    st->target.store = BIND_NEW_N(b, struct efx_bx *, st->n_out + 1);
    for (uint32_t i = 0; i < st->n_out; i++) {
        cols[i].name = s->has_columns ? s->columns.v[i].s : st->out[i].name;
        cols[i].type = st->out[i].expr->type;
        st->target.store[i] = output(b, st, i);
    }
    struct efx_schema schema = {.name = name.s, .n_cols = st->n_out, .cols = cols};
    st->target.object = efx_bind__object_add(b, n, EFX_OBJ_STREAM, &schema);
}

/* ---- one that is there ---- */

bool efx_bind__column_list(struct efx_binder *b, const struct efx_ast_stmt *s,
                           const struct efx_schema *schema, struct efx_conf_cols *out)
{
    uint32_t n = s->has_columns ? s->columns.n : schema->n_cols;
    uint32_t *col = BIND_NEW_N(b, uint32_t, n + 1);
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        col[i] = i;
        if (!s->has_columns) {
            continue;
        }
        const struct efx_ast_name *name = &s->columns.v[i];
        col[i] = efx_schema_find(schema, name->s);
        if (col[i] == EFX_SCHEMA_NO_COL) {
            efx_bind__no_column(b, 1203, name, schema);
            ok = false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (col[k] == col[i] && col[i] != EFX_SCHEMA_NO_COL) {
                efx_diag_add(b->diags, 1102, name->at, NULL, "column '%s' is listed twice",
                             name->s);
                ok = false;
            }
        }
    }
    *out = (struct efx_conf_cols){n, col};
    return ok;
}

static void write_to(struct efx_bind_scope *sc, const struct efx_ast_stmt *s, struct efx_bstmt *st,
                     const struct efx_span *item_at, const struct efx_bobject *o)
{
    struct efx_binder *b = sc->b;
    struct efx_conf_cols list;
    st->target.object = o;
    bool listed = efx_bind__column_list(b, s, &o->schema, &list);
    if (!counts_ok(sc, s, st, list.n, s->has_columns ? NULL : &o->schema) || !listed) {
        return;
    }
    struct efx_bx **store = BIND_NEW_N(b, struct efx_bx *, o->schema.n_cols + 1);
    bool *sets = BIND_NEW_N(b, bool, o->schema.n_cols + 1);
    for (uint32_t i = 0; i < list.n; i++) {
        const struct efx_schema_col *col = &o->schema.cols[list.col[i]];
        struct efx_bx *x = st->out[i].expr;
        sets[list.col[i]] = true;
        if (x == NULL) {
            continue;
        }
        if (x->type == EFX_TYPE_NONE) {
            st->out[i].expr = efx_bind__to(b, x, col->type);
        }
        store[list.col[i]] = efx_bind__store(b, output(b, st, i), col, item_at[i]);
    }
    for (uint32_t c = 0; c < o->schema.n_cols; c++) { /* columns that are not listed become NULL */
        if (store[c] == NULL && !sets[c]) {
            store[c] = efx_bind__null(b, o->schema.cols[c].type, s->at);
        }
    }
    st->target.store = store;
    st->upsert_sets = s->kind == EFX_AST_UPSERT ? sets : NULL;
}

static void not_a_target(struct efx_binder *b, const struct efx_ast_name *name, const char *what)
{
    efx_diag_add(b->diags, 1803, name->at, NULL, "'%s' is %s: nothing can be inserted", name->s,
                 what);
}

void efx_bind__target(struct efx_bind_scope *sc, const struct efx_ast_stmt *s, struct efx_bstmt *st,
                      const struct efx_span *item_at)
{
    struct efx_binder *b = sc->b;
    struct efx_ast_name name = target_name(s);
    bool upsert = s->kind == EFX_AST_UPSERT;
    st->upsert = upsert;
    if (name.s[0] == '!') {
        not_a_target(b, &name, "a fault stream");
        return;
    }
    if (name.s[0] == '#' && b->partition == EFX_NO_COL) {
        efx_diag_add(b->diags, 1709, name.at, "it is known inside a PARTITION block only",
                     "inner stream '%s' outside a partition", name.s);
        return;
    }
    if (upsert || b->on_demand) {
        const struct efx_bobject *table = efx_bind__table(b, &name);
        if (table != NULL) {
            write_to(sc, s, st, item_at, table);
        }
        return;
    }
    const struct efx_bind_name *n = efx_bind__find(b, name.s);
    if (n == NULL) {
        create(sc, s, st, item_at);
    } else if (n->kind == EFX_NAME_AGGREGATION) {
        not_a_target(b, &name, "an aggregation");
    } else if (n->object != NULL && n->object->kind == EFX_OBJ_TRIGGER) {
        not_a_target(b, &name, "a trigger");
    } else if (n->object != NULL) {
        write_to(sc, s, st, item_at, n->object);
    }
}
