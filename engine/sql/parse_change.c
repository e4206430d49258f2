#include "parse.h"

/* Statements that change tables (language §11), and their on-demand forms (§12). Whether the parts
 * that a program requires are there is the binder's question; what can never be is refused here.
 */

/* [ ident "." ] ident "=" expr */
static struct efx_ast_assign assign(struct efx_parse *p)
{
    struct efx_ast_assign a = {.column = efx_parse__name(p, "a column")};
    if (efx_parse__accept(p, EFX_TOK_DOT)) {
        a.table = a.column;
        a.column = efx_parse__name(p, "a column");
    }
    (void)efx_parse__expect(p, EFX_TOK_EQ, "'='");
    a.value = efx_parse__expr(p);
    return a;
}

/* target [ [ AS ] ident ], neither joined nor windowed */
static void change_source(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->source = efx_parse__relation(p);
    bool join = efx_parse__at_join(p) || efx_parse__at(p, EFX_TOK_COMMA);
    if (join) {
        EFX_PARSE_FAIL(p, 1701, efx_parse__missing(p), "an intermediate stream",
                       "UPDATE and DELETE read one stream, not a join");
    }
    if (efx_parse__at_word(p, EFX_W_ON)) {
        EFX_PARSE_FAIL(p, 1701, efx_parse__missing(p), "WHERE",
                       "UPDATE and DELETE have a WHERE clause instead of ON");
    }
}

static void change_where(struct efx_parse *p, struct efx_ast_stmt *s)
{
    if (efx_parse__accept_word(p, EFX_W_WHERE)) {
        s->on = efx_parse__expr(p);
    }
}

/* update = UPDATE ident [ [ AS ] ident ] SET assign { "," assign } [ FROM … ] [ WHERE expr ] */
void efx_parse__update(struct efx_parse *p, struct efx_ast_stmt *s)
{
    struct efx_parse_list list = {0};
    s->kind = EFX_AST_UPDATE;
    efx_parse__advance(p);
    s->name = efx_parse__name(p, "a table");
    s->alias = efx_parse__alias(p);
    (void)efx_parse__expect_word(p, EFX_W_SET);
    do {
        struct efx_ast_assign a = assign(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_assign) = a;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    s->assigns = list.v;
    s->n_assigns = list.n;
    if (efx_parse__accept_word(p, EFX_W_FROM)) {
        change_source(p, s);
    }
    change_where(p, s);
}

/* delete = DELETE FROM ident [ [ AS ] ident ] [ USING … ] [ WHERE expr ] */
void efx_parse__delete(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->kind = EFX_AST_DELETE;
    efx_parse__advance(p);
    (void)efx_parse__expect_word(p, EFX_W_FROM);
    s->name = efx_parse__name(p, "a table");
    s->alias = efx_parse__alias(p);
    if (efx_parse__accept_word(p, EFX_W_USING)) {
        change_source(p, s);
    }
    change_where(p, s);
}

/* upsert = UPSERT INTO ident [ columns ] ( select | values ) [ ON expr ] */
void efx_parse__upsert(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->kind = EFX_AST_UPSERT;
    s->upsert = true;
    s->has_target = true;
    efx_parse__advance(p);
    (void)efx_parse__expect_word(p, EFX_W_INTO);
    s->name = efx_parse__name(p, "a table");
    if (efx_parse__at(p, EFX_TOK_LPAREN)) {
        s->has_columns = true;
        s->columns = efx_parse__columns(p);
    }
    if (efx_parse__at_word(p, EFX_W_VALUES)) {
        efx_parse__values(p, s);
    } else {
        s->select = efx_parse__select(p);
    }
    if (efx_parse__accept_word(p, EFX_W_ON)) {
        s->on = efx_parse__expr(p);
    }
}

/* values = VALUES "(" expr { "," expr } ")" { "," … } */
void efx_parse__values(struct efx_parse *p, struct efx_ast_stmt *s)
{
    struct efx_parse_list rows = {0};
    if (!p->on_demand) {
        efx_parse__refuse(p, efx_parse__missing(p), "VALUES in a program",
                          "an on-demand query, or a stream with the extension 'datagen'");
    }
    s->kind = EFX_AST_INSERT_VALUES;
    efx_parse__advance(p);
    do {
        struct efx_parse_list row = {0};
        uint32_t from = efx_parse__here(p);
        (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
        efx_parse__exprs(p, &row);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
        if (rows.n > 0 && row.n != s->n_row_values) {
            EFX_PARSE_FAIL(p, 1311, efx_parse__since(p, from), NULL,
                           "this row has %u values, the first one %u", (unsigned)row.n,
                           (unsigned)s->n_row_values);
        }
        s->n_row_values = row.n;
        *EFX_PARSE_ADD(p, &rows, struct efx_ast_expr **) = row.v;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    s->rows = rows.v;
    s->n_rows = rows.n;
}
