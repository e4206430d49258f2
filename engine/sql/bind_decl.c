/* CREATE STREAM, TABLE, TRIGGER (language §4, §11.1, §15). A definition that fails still takes its
 * name, without object.
 */
#include "bind.h"

bool efx_bind__taken(struct efx_binder *b, const struct efx_ast_name *name)
{
    const struct efx_bind_name *n = efx_bind__find(b, name->s);
    if (n == NULL) {
        return false;
    }
    uint32_t line, column;
    efx_diag_place(b->diags, n->at.off, &line, &column);
    if (n->declared) {
        efx_diag_add(b->diags, 1101, name->at, NULL, "name '%s' is taken: it is defined at %u:%u",
                     name->s, line, column);
    } else {
        efx_diag_add(b->diags, 1112, name->at, "move the declaration up, before that statement",
                     "'%s' was created by the statement that writes it at %u:%u", name->s, line,
                     column);
    }
    return true;
}

static bool is_twice(const struct efx_ast_stmt *s, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(s->cols[k].name.s, s->cols[i].name.s) == 0) {
            return true;
        }
    }
    return false;
}

static bool constraints_ok(struct efx_binder *b, const struct efx_ast_stmt *s,
                           const struct efx_ast_col *c)
{
    if (s->kind != EFX_AST_CREATE_TABLE && (c->primary_key || c->unique || c->index)) {
        efx_diag_add(b->diags, 1110, c->at, "CREATE TABLE",
                     "PRIMARY KEY, UNIQUE and INDEX belong to tables");
        return false;
    }
    return true;
}

bool efx_bind__columns(struct efx_binder *b, const struct efx_ast_stmt *s, struct efx_schema *out)
{
    bool ok = true;
    struct efx_schema_col *cols = BIND_NEW_N(b, struct efx_schema_col, s->n_cols + 1);
    *out = (struct efx_schema){.name = s->name.s, .cols = cols};
    if (s->n_cols > EFX_SCHEMA_COLS_MAX) {
        efx_diag_add(b->diags, 1113, s->name.at, NULL, "%u columns are more than %d", s->n_cols,
                     EFX_SCHEMA_COLS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < s->n_cols; i++) {
        const struct efx_ast_col *c = &s->cols[i];
        cols[i] =
            (struct efx_schema_col){.name = c->name.s, .not_null = c->not_null || c->primary_key};
        ok = efx_bind__type(b, &c->type, &cols[i]) && constraints_ok(b, s, c) && ok;
        if (is_twice(s, i)) {
            efx_diag_add(b->diags, 1102, c->name.at, NULL, "column '%s' is there twice", c->name.s);
            ok = false;
        }
    }
    out->n_cols = s->n_cols;
    return ok;
}

struct efx_bind_name *efx_bind__declare(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_bind_name *n = efx_bind__name_add(b, &s->name);
    n->declared = true;
    return n;
}

static void create_stream(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_schema schema;
    bool is_new = !efx_bind__taken(b, &s->name);
    bool ok = efx_bind__columns(b, s, &schema) && is_new;
    struct efx_bind_name *n = is_new ? efx_bind__declare(b, s) : BIND_NEW(b, struct efx_bind_name);
    if (ok) {
        efx_bind__object_add(b, n, EFX_OBJ_STREAM, &schema);
    }
    efx_bind__with_stream(b, &s->with, n);
}

/* ---- tables ---- */

struct keys {
    uint32_t n;
    struct efx_bkey *v;
    bool has_primary;
};

static void key_add(struct efx_binder *b, struct keys *k, struct efx_bkey key, struct efx_span at)
{
    if (key.primary && k->has_primary) {
        efx_diag_add(b->diags, 1110, at, "PRIMARY KEY (a, b)", "a table has one primary key");
        return;
    }
    k->v = efx_bind__grow(b, k->v, k->n, sizeof *k->v);
    k->v[k->n++] = key;
    if (key.primary) { /* it goes first */
        struct efx_bkey first = k->v[0];
        k->v[0] = key;
        k->v[k->n - 1] = k->n > 1 ? first : key;
        k->has_primary = true;
    }
}

static bool key_cols(struct efx_binder *b, const struct efx_ast_key *key,
                     const struct efx_schema *schema, struct efx_conf_cols *out)
{
    uint32_t *col = BIND_NEW_N(b, uint32_t, key->cols.n + 1);
    for (uint32_t i = 0; i < key->cols.n; i++) {
        const struct efx_ast_name *name = &key->cols.v[i];
        col[i] = efx_schema_find(schema, name->s);
        if (col[i] == EFX_SCHEMA_NO_COL) {
            efx_bind__no_column(b, 1203, name, schema);
            return false;
        }
        if (schema->cols[col[i]].type == EFX_TYPE_OBJECT) {
            efx_diag_add(b->diags, 1301, name->at, NULL, "OBJECT cannot be a key");
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (col[k] == col[i]) {
                efx_diag_add(b->diags, 1102, name->at, NULL, "column '%s' is in the key twice",
                             name->s);
                return false;
            }
        }
    }
    *out = (struct efx_conf_cols){key->cols.n, col};
    return true;
}

static void column_keys(struct efx_binder *b, const struct efx_ast_stmt *s, struct keys *k)
{
    for (uint32_t i = 0; i < s->n_cols; i++) {
        const struct efx_ast_col *c = &s->cols[i];
        uint32_t *col = BIND_NEW(b, uint32_t);
        *col = i;
        struct efx_conf_cols one = {1, col};
        if (c->primary_key) {
            key_add(b, k, (struct efx_bkey){.primary = true, .unique = true, .cols = one}, c->at);
        }
        if (c->unique) {
            key_add(b, k, (struct efx_bkey){.unique = true, .cols = one}, c->at);
        }
        if (c->index) {
            key_add(b, k, (struct efx_bkey){.cols = one}, c->at);
        }
    }
}

static void create_table(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_schema schema;
    bool is_new = !efx_bind__taken(b, &s->name);
    bool ok = efx_bind__columns(b, s, &schema) && is_new;
    struct keys keys = {0};
    column_keys(b, s, &keys);
    for (uint32_t i = 0; i < s->n_keys; i++) {
        const struct efx_ast_key *key = &s->keys[i];
        struct efx_bkey made = {.primary = key->primary_key,
                                .unique = key->unique || key->primary_key};
        if (!key_cols(b, key, &schema, &made.cols)) {
            continue;
        }
        key_add(b, &keys, made, key->at);
        struct efx_schema_col *cols = (struct efx_schema_col *)(uintptr_t)schema.cols;
        for (uint32_t c = 0; made.primary && c < made.cols.n; c++) {
            cols[made.cols.col[c]].not_null = true;
        }
    }
    efx_bind__with_table(b, &s->with);
    struct efx_bind_name *n = is_new ? efx_bind__declare(b, s) : NULL;
    struct efx_bobject *o = ok ? efx_bind__object_add(b, n, EFX_OBJ_TABLE, &schema) : NULL;
    if (o != NULL) {
        o->n_keys = keys.n;
        o->keys = keys.v;
    }
}

/* ---- triggers ---- */

static void trigger_with(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    static const char *const keys[] = {"timezone"};
    efx_bind__with_keys(b, efx_bind__with(b, &s->with), keys, 1);
    if (s->with.n > 0 && s->trigger != EFX_AST_TRIGGER_CRON) {
        efx_diag_add(b->diags, 1107, s->with.v[0].key_at, NULL, "'timezone' belongs to AT CRON");
    }
}

static void create_trigger(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    static const struct efx_schema_col time[] = {{"triggered_time", EFX_TYPE_LONG, true, true}};
    const struct efx_schema schema = {.name = s->name.s, .n_cols = 1, .cols = time};
    trigger_with(b, s);
    if (s->trigger == EFX_AST_TRIGGER_EVERY) {
        efx_bind__bare_duration(b, &s->every);
    }
    if (s->trigger == EFX_AST_TRIGGER_CRON) {
        if (!efx_bind__cron_ok(s->cron)) {
            efx_diag_add(b->diags, 1008, s->cron_at,
                         "second minute hour day-of-month month day-of-week [year]; 1 = Sunday",
                         "bad cron text");
        } else {
            efx_bind__absent(b, s->cron_at, "AT EVERY …", "AT CRON is not built yet");
        }
    }
    if (efx_bind__taken(b, &s->name)) {
        return;
    }
    struct efx_bobject *o =
        efx_bind__object_add(b, efx_bind__declare(b, s), EFX_OBJ_TRIGGER, &schema);
    if (o != NULL) {
        o->trigger = (struct efx_btrigger){s->trigger, s->every.ms, b->n_triggers++};
    }
}

void efx_bind__create(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    switch (s->kind) {
    case EFX_AST_CREATE_STREAM: create_stream(b, s); break;
    case EFX_AST_CREATE_TABLE: create_table(b, s); break;
    case EFX_AST_CREATE_WINDOW: efx_bind__create_window(b, s); break;
    case EFX_AST_CREATE_TRIGGER: create_trigger(b, s); break;
    case EFX_AST_CREATE_AGGREGATION: efx_bind__create_aggregation(b, s); break;
    case EFX_AST_CREATE_FUNCTION: efx_bind__create_function(b, s); break;
    case EFX_AST_QUERY:
    case EFX_AST_UPSERT:
    case EFX_AST_UPDATE:
    case EFX_AST_DELETE:
    case EFX_AST_PARTITION:
    case EFX_AST_INSERT_VALUES: break;
    }
}
