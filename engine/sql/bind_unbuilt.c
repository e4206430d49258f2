/* CREATE WINDOW, AGGREGATION and FUNCTION (language §6.5, §13, §19), which are not built: what the
 * reference refuses in them is refused, then they are noted as absent. Their names are taken.
 */
#include "bind.h"

void efx_bind__create_window(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_schema schema;
    if (!efx_bind__taken(b, &s->name)) {
        efx_bind__declare(b, s)->kind = EFX_NAME_WINDOW;
    }
    struct efx_bwindow window = {0};
    if (efx_bind__columns(b, s, &schema)) {
        efx_bind__window(b, &s->window, &schema, s->name.s, &window);
    }
    efx_bind__absent(b, s->name.at, "use a WINDOW clause in each query",
                     "named windows are not built yet");
}

/* ---- aggregations ---- */

static void check_aggregates(struct efx_binder *b, const struct efx_ast_expr *e)
{
    static const char *const never[] = {"minForever", "maxForever", "and",
                                        "or",         "topK",       "unionSet"};
    for (uint32_t i = 0; e->op == EFX_AST_CALL && i < sizeof never / sizeof *never; i++) {
        if (efx_bind__same_word(e->name.s, never[i])) {
            efx_diag_add(b->diags, 1708, e->at, NULL, "%s is not for aggregations", never[i]);
        }
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        check_aggregates(b, e->args[i]);
    }
}

static bool form_ok(struct efx_binder *b, const struct efx_ast_select *q)
{
    struct efx_span at = q->having != NULL             ? q->having->at
                         : q->n_joins > 0              ? q->joins[0].at
                         : q->pattern != NULL          ? q->pattern->at
                         : q->from.window.kind != NULL ? q->from.window.at
                                                       : (struct efx_span){0, 0};
    if (at.len == 0) {
        return true;
    }
    efx_diag_add(b->diags, 1708, at, NULL,
                 "an aggregation is of one stream, with WHERE and GROUP BY only");
    return false;
}

static void check_aggregation(struct efx_binder *b, const struct efx_ast_select *q)
{
    struct efx_bstmt st = {0};
    struct efx_bind_scope sc = efx_bind__scope(b, "WHERE");
    if (!form_ok(b, q) || !efx_bind__from(&sc, q, &st)) {
        return;
    }
    if (q->where != NULL) {
        efx_bind__cond(&sc, q->where);
    }
    sc.aggs = &st;
    efx_bind__items(&sc, q, &st);
    sc.aggs = NULL;
    sc.where = "GROUP BY";
    for (uint32_t i = 0; i < q->n_group; i++) {
        efx_bind__expr(&sc, q->group[i]);
    }
    for (uint32_t i = 0; i < q->n_items; i++) {
        if (q->items[i].expr != NULL) {
            check_aggregates(b, q->items[i].expr);
        }
    }
}

void efx_bind__create_aggregation(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    check_aggregation(b, s->select);
    if (!efx_bind__taken(b, &s->name)) {
        efx_bind__declare(b, s)->kind = EFX_NAME_AGGREGATION;
    }
    efx_bind__absent(b, s->name.at, "GROUP BY with tumbling windows",
                     "incremental aggregations are not built yet");
}

/* ---- functions ---- */

/* Columns, aggregates and recursion have no place in a function: 1307. */
static bool body_ok(struct efx_binder *b, const struct efx_ast_stmt *s,
                    const struct efx_schema *params, const struct efx_ast_expr *e)
{
    const char *what = NULL;
    if (e->op == EFX_AST_REF &&
        (e->qualifier.s != NULL || efx_schema_find(params, e->name.s) == EFX_SCHEMA_NO_COL)) {
        what = "a function sees its parameters only";
    } else if (e->op == EFX_AST_CALL && efx_bind__is_agg(b, e->name.s)) {
        what = "aggregates are not allowed in a function";
    } else if (e->op == EFX_AST_CALL && efx_bind__same_word(e->name.s, s->name.s)) {
        what = "a function does not call itself";
    }
    if (what != NULL) {
        efx_diag_add(b->diags, 1307, e->at, NULL, "%s", what);
    }
    bool ok = what == NULL;
    for (uint32_t i = 0; i < e->n_args; i++) {
        ok = body_ok(b, s, params, e->args[i]) && ok;
    }
    return ok;
}

static void check_body(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_schema_col *cols = BIND_NEW_N(b, struct efx_schema_col, s->n_cols + 1);
    struct efx_schema_col returns = {0};
    bool ok = efx_bind__type(b, &s->returns, &returns);
    for (uint32_t i = 0; i < s->n_cols; i++) {
        cols[i].name = s->params[i].name.s;
        ok = efx_bind__type(b, &s->params[i].type, &cols[i]) && ok;
    }
    struct efx_bobject params = {.schema = {"parameters", s->n_cols, cols}};
    if (!ok || !body_ok(b, s, &params.schema, s->body)) {
        return;
    }
    struct efx_bind_side side = {.object = &params};
    struct efx_bind_scope sc = efx_bind__scope(b, "a function");
    sc.n_sides = 1;
    sc.sides = &side;
    const struct efx_bx *x = efx_bind__expr(&sc, s->body);
    if (x == NULL || x->type == EFX_TYPE_NONE || x->type == returns.type) {
        return;
    }
    bool widens =
        efx_type_is_number(x->type) && efx_type_is_number(returns.type) && x->type < returns.type;
    if (!widens) {
        efx_diag_add(b->diags, 1301, s->body->at, "CAST the result",
                     "the function gives %s, not %s", efx_type_name(x->type),
                     efx_type_name(returns.type));
    }
}

void efx_bind__create_function(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    bool user = false;
    for (uint32_t i = 0; i < b->n_user_funcs; i++) {
        user = user || efx_bind__same_word(b->user_funcs[i], s->name.s);
    }
    if (user || efx_bind__is_builtin(b, s->name.s)) {
        efx_diag_add(b->diags, 1101, s->name.at, NULL, "there is a function '%s' already",
                     s->name.s);
        return;
    }
    check_body(b, s);
    b->user_funcs = efx_bind__grow(b, b->user_funcs, b->n_user_funcs, sizeof *b->user_funcs);
    b->user_funcs[b->n_user_funcs++] = s->name.s;
    efx_bind__absent(b, s->name.at, "write the expression where it is used",
                     "CREATE FUNCTION is not built yet");
}
