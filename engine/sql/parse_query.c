#include "parse.h"

/* Queries: the select list, the clauses behind the source, INSERT before or after (language §5). */

/* ---- select list ---- */

/* item = "*" | target "." "*" | expr [ [ AS ] ident ] */
static struct efx_ast_item item(struct efx_parse *p)
{
    struct efx_ast_item it = {0};
    uint32_t from = efx_parse__here(p);
    uint32_t sign = efx_parse__at(p, EFX_TOK_HASH) || efx_parse__at(p, EFX_TOK_BANG);
    if (efx_parse__accept(p, EFX_TOK_STAR)) {
        it.star = true;
    } else if (efx_parse__sees_name(p, sign) && efx_parse__sees_kind(p, sign + 1, EFX_TOK_DOT) &&
               efx_parse__sees_kind(p, sign + 2, EFX_TOK_STAR)) {
        it.star = true;
        it.qualifier = efx_parse__target(p, "a name");
        efx_parse__advance(p);
        efx_parse__advance(p);
    } else {
        it.expr = efx_parse__expr(p);
        it.alias = efx_parse__alias(p);
    }
    it.at = efx_parse__since(p, from);
    return it;
}

/* items, from behind SELECT */
static void items(struct efx_parse *p, struct efx_ast_select *s)
{
    struct efx_parse_list list = {0};
    if (efx_parse__at_word(p, EFX_W_DISTINCT)) {
        s->distinct = true;
        s->distinct_at = efx_parse__span(efx_parse__tok(p, 0));
        efx_parse__advance(p);
        if (!p->on_demand) {
            EFX_PARSE_SAY(p, 1901, s->distinct_at, "GROUP BY, or WINDOW('firstUnique', …)",
                          "not in the language: SELECT DISTINCT on streams");
        }
    }
    if (efx_parse__at_word(p, EFX_W_TOP) && efx_parse__sees_kind(p, 1, EFX_TOK_NUMBER)) {
        efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "TOP", "LIMIT n");
    }
    do {
        struct efx_ast_item it = item(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_item) = it;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    s->items = list.v;
    s->n_items = list.n;
}

/* Behind the last item: a word that could only be an alias, if it had AS. */
static void check_alias_word(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    bool ends = efx_parse__sees_kind(p, 1, EFX_TOK_COMMA) || efx_parse__sees(p, 1, EFX_W_FROM);
    if (t->word != EFX_W_FROM && (efx_lex__word_flags(t->word) & EFX_WORD_ALIAS) != 0 && ends) {
        struct efx_str s = efx_parse__text(p, t);
        const char *hint = efx_parse__kept(
            p, efx_arena_printf(p->arena, "AS " EFX_STR_FMT " or \"" EFX_STR_FMT "\"",
                                EFX_STR_ARG(s), EFX_STR_ARG(s)));
        EFX_PARSE_FAIL(p, 1005, efx_parse__span(t), hint,
                       "'" EFX_STR_FMT "' needs AS or quotes as an alias", EFX_STR_ARG(s));
    }
}

/* ---- clauses ---- */

/* where = WHERE expr [ window ]; window: only for a single stream that has none yet */
static void where(struct efx_parse *p, struct efx_ast_select *s)
{
    if (!efx_parse__accept_word(p, EFX_W_WHERE)) {
        return;
    }
    s->where = efx_parse__expr(p);
    if (!efx_parse__at_word(p, EFX_W_WINDOW)) {
        return;
    }
    if (s->pattern != NULL || s->recognize.there || s->n_joins > 0 || s->from.window.kind != NULL) {
        EFX_PARSE_FAIL(p, 1404, efx_parse__missing(p),
                       "a window stands behind the stream it is for, before WHERE",
                       "this window belongs to no stream");
    }
    s->from.window = efx_parse__window(p);
}

/* GROUP BY expr { "," expr } */
static void group_by(struct efx_parse *p, struct efx_ast_select *s)
{
    struct efx_parse_list list = {0};
    if (!efx_parse__accept_word(p, EFX_W_GROUP)) {
        return;
    }
    (void)efx_parse__expect_word(p, EFX_W_BY);
    do {
        const struct efx_tok *t = efx_parse__tok(p, 0);
        bool call = efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN);
        bool sets = t->word == EFX_W_GROUPING && efx_parse__sees(p, 1, EFX_W_SETS);
        if (sets || (call && (t->word == EFX_W_ROLLUP || t->word == EFX_W_CUBE))) {
            efx_parse__refuse(p, efx_parse__span(t), "ROLLUP, CUBE and GROUPING SETS",
                              "one query for each grouping");
        }
        struct efx_ast_expr *e = efx_parse__expr(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = e;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    s->group = list.v;
    s->n_group = list.n;
}

/* ORDER BY expr [ ASC | DESC ] [ NULLS ( FIRST | LAST ) ] { "," … } */
static void order_by(struct efx_parse *p, struct efx_ast_select *s)
{
    struct efx_parse_list list = {0};
    uint32_t from = efx_parse__here(p);
    if (!efx_parse__accept_word(p, EFX_W_ORDER)) {
        return;
    }
    (void)efx_parse__expect_word(p, EFX_W_BY);
    do {
        struct efx_ast_order o = {.expr = efx_parse__expr(p)};
        o.desc = efx_parse__accept_word(p, EFX_W_DESC);
        if (!o.desc) {
            (void)efx_parse__accept_word(p, EFX_W_ASC);
        }
        if (efx_parse__accept_word(p, EFX_W_NULLS)) {
            o.nulls_first = efx_parse__accept_word(p, EFX_W_FIRST);
            if (!o.nulls_first && !efx_parse__accept_word(p, EFX_W_LAST)) {
                efx_parse__expected(p, "FIRST or LAST");
            }
        }
        *EFX_PARSE_ADD(p, &list, struct efx_ast_order) = o;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    s->order = list.v;
    s->n_order = list.n;
    s->order_at = efx_parse__since(p, from);
}

/* [ LIMIT expr ] [ OFFSET expr ] */
static void limit(struct efx_parse *p, struct efx_ast_select *s)
{
    if (efx_parse__accept_word(p, EFX_W_LIMIT)) {
        s->limit = efx_parse__expr(p);
        if (efx_parse__at(p, EFX_TOK_COMMA)) {
            efx_parse__refuse(p, efx_parse__missing(p), "LIMIT a, b", "LIMIT a OFFSET b");
        }
    }
    if (efx_parse__accept_word(p, EFX_W_OFFSET)) {
        s->offset = efx_parse__expr(p);
    }
}

static void output_events(struct efx_parse *p, struct efx_ast_output *o)
{
    struct efx_span at = efx_parse__span(efx_parse__tok(p, 0));
    o->events = true;
    o->n = efx_parse__uint(p, "a number of EVENTS");
    (void)efx_parse__expect_word(p, EFX_W_EVENTS);
    if (o->n < 1) {
        EFX_PARSE_SAY(p, 1801, at, NULL, "OUTPUT EVERY n EVENTS takes an n of at least 1");
        o->n = 1;
    }
    if (o->kind == EFX_AST_OUTPUT_SNAPSHOT) {
        EFX_PARSE_SAY(p, 1801, at, "OUTPUT SNAPSHOT EVERY 1 SEC",
                      "a snapshot is taken by time, not by number of events");
    }
}

/* OUTPUT [ ALL | FIRST | LAST | SNAPSHOT ] EVERY ( uint EVENTS | duration ) */
static void output(struct efx_parse *p, struct efx_ast_select *s)
{
    struct efx_ast_output *o = &s->output;
    uint32_t from = efx_parse__here(p);
    if (!efx_parse__accept_word(p, EFX_W_OUTPUT)) {
        return;
    }
    o->kind = efx_parse__accept_word(p, EFX_W_ALL)        ? EFX_AST_OUTPUT_ALL
              : efx_parse__accept_word(p, EFX_W_FIRST)    ? EFX_AST_OUTPUT_FIRST
              : efx_parse__accept_word(p, EFX_W_LAST)     ? EFX_AST_OUTPUT_LAST
              : efx_parse__accept_word(p, EFX_W_SNAPSHOT) ? EFX_AST_OUTPUT_SNAPSHOT
                                                          : EFX_AST_OUTPUT_ALL;
    if (!efx_parse__accept_word(p, EFX_W_EVERY)) {
        efx_parse__expected(p, "ALL, FIRST, LAST, SNAPSHOT or EVERY");
    }
    bool counted = efx_parse__sees(p, 1, EFX_W_EVENTS) || efx_parse__sees(p, 2, EFX_W_EVENTS);
    if (counted && !efx_parse__at(p, EFX_TOK_NUMBER)) {
        EFX_PARSE_FAIL(p, 1801, efx_parse__missing(p), NULL,
                       "OUTPUT EVERY n EVENTS takes a whole number of at least 1");
    }
    if (counted && efx_parse__sees(p, 1, EFX_W_EVENTS)) {
        output_events(p, o);
    } else {
        o->duration = efx_parse__duration(p, "a number of EVENTS or a duration");
    }
    o->at = efx_parse__since(p, from);
}

/* tail = [ where ] [ GROUP BY ] [ HAVING ] [ ORDER BY ] [ LIMIT ] [ OFFSET ] [ OUTPUT ] */
static void tail(struct efx_parse *p, struct efx_ast_select *s)
{
    if (s->where == NULL) {
        where(p, s);
    }
    group_by(p, s);
    if (efx_parse__accept_word(p, EFX_W_HAVING)) {
        s->having = efx_parse__expr(p);
    }
    order_by(p, s);
    limit(p, s);
    output(p, s);
}

/* `SELECT a FRM S` has read FRM as an alias. */
static void expect_from(struct efx_parse *p, const struct efx_ast_select *s)
{
    static const char *const from[] = {"FROM"};
    const char *hint = NULL;
    if (efx_parse__accept_word(p, EFX_W_FROM) || p->stopped) {
        return;
    }
    const char *alias = s->items[s->n_items - 1].alias.s;
    if (alias != NULL) {
        hint = efx_diag_nearest(p->diags, efx_str_of(alias), from, 1);
    }
    efx_parse__expected_hint(p, "',' or FROM", hint);
}

/* select = SELECT items FROM source tail | FROM source [ where ] SELECT items tail */
struct efx_ast_select *efx_parse__select(struct efx_parse *p)
{
    struct efx_ast_select *s = EFX_PARSE_NEW(p, struct efx_ast_select);
    uint32_t from = efx_parse__here(p);
    if (efx_parse__accept_word(p, EFX_W_FROM)) {
        efx_parse__source(p, s);
        where(p, s);
        if (!efx_parse__accept_word(p, EFX_W_SELECT)) {
            efx_parse__expected(p, "SELECT");
        }
        items(p, s);
    } else {
        if (!efx_parse__accept_word(p, EFX_W_SELECT)) {
            efx_parse__expected(p, "SELECT");
        }
        items(p, s);
        check_alias_word(p);
        expect_from(p, s);
        efx_parse__source(p, s);
    }
    tail(p, s);
    s->at = efx_parse__since(p, from);
    return s;
}

/* ---- INSERT ---- */

bool efx_parse__at_kinds(const struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word;
    return (word == EFX_W_CURRENT || word == EFX_W_EXPIRED || word == EFX_W_ALL) &&
           efx_parse__sees(p, 1, EFX_W_EVENTS);
}

enum efx_ast_kinds efx_parse__kinds(struct efx_parse *p)
{
    if (!efx_parse__at_kinds(p)) {
        return 0;
    }
    uint16_t word = efx_parse__tok(p, 0)->word;
    efx_parse__advance(p);
    efx_parse__advance(p);
    return word == EFX_W_CURRENT   ? EFX_AST_CURRENT
           : word == EFX_W_EXPIRED ? EFX_AST_EXPIRED
                                   : EFX_AST_ALL;
}

/* insert = INSERT [ kinds EVENTS ] INTO target [ columns ] */
static void insert(struct efx_parse *p, struct efx_ast_stmt *s)
{
    efx_parse__advance(p);
    s->kinds = efx_parse__kinds(p);
    if (!efx_parse__accept_word(p, EFX_W_INTO)) {
        efx_parse__expected(p, s->kinds != 0 ? "INTO" : "INTO, or CURRENT, EXPIRED, ALL EVENTS");
    }
    bool missing = (efx_parse__at_word(p, EFX_W_SELECT) || efx_parse__at_word(p, EFX_W_FROM)) &&
                   !efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN) &&
                   !efx_parse__sees_kind(p, 1, EFX_TOK_SEMICOLON) &&
                   !efx_parse__sees_kind(p, 1, EFX_TOK_END) && !efx_parse__sees(p, 1, EFX_W_SELECT);
    if (missing) {
        efx_parse__expected(p, "a target");
    }
    s->has_target = true;
    s->name = efx_parse__target(p, "a target");
    if (efx_parse__at(p, EFX_TOK_LPAREN)) {
        s->has_columns = true;
        s->columns = efx_parse__columns(p);
    }
}

/* SNAPSHOT rows are current: what the insertion asks for beside them will never come. */
static void check_snapshot(struct efx_parse *p, const struct efx_ast_stmt *s)
{
    if (!p->stopped && s->select->output.kind == EFX_AST_OUTPUT_SNAPSHOT &&
        (s->kinds == EFX_AST_EXPIRED || s->kinds == EFX_AST_ALL)) {
        EFX_PARSE_SAY(p, 1801, s->select->output.at, "INSERT INTO …",
                      "snapshot rows are current: no EXPIRED or ALL EVENTS");
    }
}

/* query = insert select | select [ insert ] */
void efx_parse__query(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->kind = EFX_AST_QUERY;
    bool first = efx_parse__at_word(p, EFX_W_INSERT);
    if (first) {
        insert(p, s);
        if (efx_parse__at_word(p, EFX_W_VALUES)) {
            efx_parse__values(p, s);
            return;
        }
        if (!efx_parse__at_word(p, EFX_W_SELECT) && !efx_parse__at_word(p, EFX_W_FROM)) {
            efx_parse__expected(p, p->on_demand ? "VALUES or SELECT" : "SELECT or FROM");
        }
    }
    s->select = efx_parse__select(p);
    if (!first && !p->on_demand && efx_parse__at_word(p, EFX_W_INSERT)) {
        insert(p, s);
    }
    check_snapshot(p, s);
}
