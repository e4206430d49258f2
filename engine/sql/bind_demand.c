/* On-demand statements (language §12) over a bound program: the same parts as in a program, with
 * tables in the place of streams.
 */
#include "bind.h"

/* The program's tables and streams as names; inner streams stay inside. */
static void take_names(struct efx_binder *b, const struct efx_program *program)
{
    for (uint32_t i = 0; i < program->n_objects; i++) {
        struct efx_bobject *o = program->objects[i];
        if (o->partition != EFX_NO_COL) {
            continue;
        }
        const struct efx_ast_name name = {o->schema.name, o->at};
        struct efx_bind_name *n = efx_bind__name_add(b, &name);
        n->object = o;
        n->declared = o->declared;
    }
}

/* One value as the column takes it: no columns in it, and NULL unless the list names the column. */
static struct efx_bx *value(struct efx_binder *b, const struct efx_ast_expr *e,
                            const struct efx_schema_col *col)
{
    struct efx_bind_scope sc = efx_bind__scope(b, "VALUES");
    sc.constant = true;
    struct efx_bx *x = efx_bind__expr(&sc, e);
    return x != NULL ? efx_bind__store(b, x, col, e->at) : NULL;
}

static void values(struct efx_binder *b, const struct efx_ast_stmt *s, struct efx_bondemand *d,
                   const struct efx_schema *schema)
{
    struct efx_conf_cols list;
    if (!efx_bind__column_list(b, s, schema, &list)) {
        return;
    }
    if (s->n_row_values != list.n) {
        efx_diag_add(b->diags, 1311, s->name.at,
                     efx_bind__fmt(b, "'%s' has %s", schema->name, efx_bind__cols_text(b, schema)),
                     "%u values for %u columns", s->n_row_values, list.n);
        return;
    }
    d->n_value_rows = s->n_rows;
    d->values = BIND_NEW_N(b, struct efx_bx **, s->n_rows + 1);
    for (uint32_t r = 0; r < s->n_rows; r++) {
        d->values[r] = BIND_NEW_N(b, struct efx_bx *, schema->n_cols + 1);
        for (uint32_t c = 0; c < schema->n_cols; c++) {
            d->values[r][c] = efx_bind__null(b, schema->cols[c].type, s->at);
        }
        for (uint32_t i = 0; i < list.n; i++) {
            uint32_t c = list.col[i];
            d->values[r][c] = value(b, s->rows[r][i], &schema->cols[c]);
        }
    }
}

/* INSERT, UPSERT … VALUES: the output columns are the table's, so SRC_OUT and the rows agree. */
static void insert_values(struct efx_binder *b, const struct efx_ast_stmt *s,
                          struct efx_bondemand *d)
{
    struct efx_bstmt *st = d->stmt;
    const struct efx_bobject *table = efx_bind__table(b, &s->name);
    if (table == NULL) {
        return;
    }
    const struct efx_schema *schema = &table->schema;
    values(b, s, d, schema);
    st->target.object = table;
    st->target.store = BIND_NEW_N(b, struct efx_bx *, schema->n_cols + 1);
    st->out = BIND_NEW_N(b, struct efx_bout, schema->n_cols + 1);
    st->n_out = schema->n_cols;
    bool *sets = BIND_NEW_N(b, bool, schema->n_cols + 1);
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        st->out[c] =
            (struct efx_bout){schema->cols[c].name, efx_bind__null(b, schema->cols[c].type, s->at)};
        st->target.store[c] = efx_bind__col(b, schema, EFX_BX_SRC_OUT, c, s->at);
        sets[c] = !s->has_columns;
    }
    for (uint32_t i = 0; s->has_columns && i < s->columns.n; i++) {
        uint32_t c = efx_schema_find(schema, s->columns.v[i].s);
        if (c != EFX_SCHEMA_NO_COL) {
            sets[c] = true;
        }
    }
    if (s->upsert) {
        struct efx_bind_scope sc = efx_bind__scope(b, "ON");
        st->upsert = true;
        st->upsert_sets = sets;
        efx_bind__upsert_on(&sc, s, st);
    }
}

static void mutate(struct efx_binder *b, const struct efx_ast_stmt *s, struct efx_bstmt *st)
{
    st->kind = s->kind == EFX_AST_UPDATE ? EFX_STMT_UPDATE : EFX_STMT_DELETE;
    const struct efx_bobject *table = efx_bind__table(b, &s->name);
    st->target.object = table;
    struct efx_bind_scope sc = efx_bind__scope(b, "SET");
    efx_bind__side_add(&sc, &s->name, &s->alias, table);
    sc.sides[0].src = 1;
    if (s->source.name.s != NULL) {
        efx_diag_add(b->diags, 1207, s->source.at, "leave it out",
                     "an on-demand statement has no source stream");
    }
    efx_bind__mutation(&sc, s, st, table);
}

static void bind(struct efx_binder *b, const struct efx_ast_stmt *s, struct efx_bondemand *d)
{
    struct efx_bind_scope sc = efx_bind__scope(b, "FROM");
    d->stmt = efx_bind__stmt_add(b, s);
    switch (s->kind) {
    case EFX_AST_QUERY:
    case EFX_AST_UPSERT:
        d->distinct = s->select->distinct;
        if (s->select->has_range) {
            efx_diag_add(b->diags, 1504, s->select->range_at, NULL,
                         "WITHIN … PER … is for aggregations");
        }
        if (efx_bind__from(&sc, s->select, d->stmt)) {
            efx_bind__select(&sc, s, d->stmt);
        }
        break;
    case EFX_AST_INSERT_VALUES: insert_values(b, s, d); break;
    case EFX_AST_UPDATE:
    case EFX_AST_DELETE: mutate(b, s, d->stmt); break;
    case EFX_AST_CREATE_STREAM:
    case EFX_AST_CREATE_TABLE:
    case EFX_AST_CREATE_WINDOW:
    case EFX_AST_CREATE_TRIGGER:
    case EFX_AST_CREATE_AGGREGATION:
    case EFX_AST_CREATE_FUNCTION:
    case EFX_AST_PARTITION:
        efx_diag_add(b->diags, 1207, s->at, NULL, "this belongs into a program");
        break;
    }
}

enum efx_rc efx_bind_on_demand(struct efx_arena *arena, const struct efx_registry *registry,
                               const struct efx_program *program, const struct efx_ast_stmt *stmt,
                               struct efx_diags *diags, struct efx_bondemand **out)
{
    struct efx_binder *b = EFX_NEW(arena, struct efx_binder);
    struct efx_program *copy = EFX_NEW(arena, struct efx_program); /* call places count on here */
    struct efx_bondemand *d = EFX_NEW(arena, struct efx_bondemand);
    if (b == NULL || copy == NULL || d == NULL) {
        return EFX_ENOMEM;
    }
    *copy = *program;
    b->arena = arena;
    b->registry = registry;
    b->diags = diags;
    b->program = copy;
    b->partition = EFX_NO_COL;
    b->on_demand = true;
    if (setjmp(b->no_memory) != 0) {
        return EFX_ENOMEM;
    }
    take_names(b, program);
    bind(b, stmt, d);
    for (uint32_t i = 0, right = diags->n_errors == 0; right && i < b->n_absent; i++) {
        efx_diag_add(diags, 9001, b->absent[i].at, b->absent[i].hint, "%s", b->absent[i].msg);
    }
    if (diags->n_errors > 0) {
        return EFX_ETYPE;
    }
    for (uint32_t i = 0; i < d->stmt->n_inputs; i++) {
        efx_bind__uses(b, d->stmt->inputs[i].object);
    }
    efx_bind__uses(b, d->stmt->target.object);
    d->n_uses = b->n_uses;
    d->uses = b->uses;
    *out = d;
    return EFX_OK;
}
