#include "parse.h"

#include <math.h>
#include <stdlib.h>

/* Operands: literals, references, calls, and those calls that have a grammar of their own. */

struct outside { /* what holds around an operand but not inside its parentheses or CASE */
    bool in_case, no_in;
};

static struct outside go_inside(struct efx_parse *p)
{
    struct outside outside = {p->in_case, p->no_in};
    p->in_case = false;
    p->no_in = false;
    return outside;
}

static void go_outside(struct efx_parse *p, struct outside outside)
{
    p->in_case = outside.in_case;
    p->no_in = outside.no_in;
}

static struct efx_ast_expr *literal(struct efx_parse *p, enum efx_ast_lit lit)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_LITERAL, efx_parse__span(&t));
    e->lit = lit;
    e->i = t.word == EFX_W_TRUE;
    if (lit == EFX_AST_LIT_STRING) {
        e->str = efx_parse__string(p, "a string");
    } else {
        efx_parse__advance(p);
    }
    return efx_parse__done(p, e, t.off);
}

/* The sign, if any, is before the digits: -9223372036854775808 is a number, without it is none. */
static struct efx_ast_expr *number(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    bool minus = efx_parse__at(p, EFX_TOK_MINUS);
    if (minus || efx_parse__at(p, EFX_TOK_PLUS)) {
        efx_parse__advance(p);
    }
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_LITERAL, efx_parse__span(&t));
    const char *digits = efx_parse__copy(p, p->text.p + t.off, t.len);
    if (efx_parse__bad_number(p)) {
        return e;
    }
    efx_parse__advance(p);
    e->op_at = efx_parse__since(p, from);
    if (t.kind == EFX_TOK_NUMBER) {
        e->lit = EFX_AST_LIT_INT;
        uint64_t u = 0;
        bool fits = true;
        for (const char *c = digits; *c != '\0'; c++) {
            fits = fits && !__builtin_mul_overflow(u, 10u, &u) &&
                   !__builtin_add_overflow(u, (uint64_t)(*c - '0'), &u);
        }
        if (!fits || u > (uint64_t)INT64_MAX + minus) {
            EFX_PARSE_SAY(p, 1003, e->op_at, "a decimal, 1e20, may be larger",
                          "number beyond 64 bits");
            u = 0;
        }
        e->i = (int64_t)(minus ? 0 - u : u);
    } else {
        e->lit = EFX_AST_LIT_DOUBLE;
        e->d = strtod(digits, NULL);
        if (isinf(e->d)) {
            EFX_PARSE_SAY(p, 1003, e->op_at, NULL, "decimal beyond the range of DOUBLE");
        }
        e->d = minus ? -e->d : e->d;
    }
    return efx_parse__done(p, e, from);
}

/* ---- references ---- */

/* "[" ( uint | LAST [ "-" uint ] ) "]" */
static void index_of(struct efx_parse *p, struct efx_ast_expr *e)
{
    uint32_t from = efx_parse__here(p);
    int64_t n = 0;
    bool ok = true;
    e->index_kind = EFX_AST_INDEX_AT;
    if (efx_parse__sees(p, 1, EFX_W_LAST)) {
        e->index_kind = EFX_AST_INDEX_LAST;
    }
    bool last = e->index_kind == EFX_AST_INDEX_LAST;
    uint32_t at = last && efx_parse__sees_kind(p, 2, EFX_TOK_MINUS) ? 3 : 1;
    bool has_number = !last || at == 3;
    if (has_number) {
        const struct efx_tok *t = efx_parse__tok(p, at);
        ok = t->kind == EFX_TOK_NUMBER && efx_str_i64(efx_parse__text(p, t), &n) && n <= UINT32_MAX;
    }
    if (ok && efx_parse__sees_kind(p, has_number ? at + 1 : 2, EFX_TOK_RBRACKET)) {
        e->index = (uint32_t)n;
        (void)efx_parse__skip_brackets(p);
    } else if (efx_parse__skip_brackets(p)) {
        EFX_PARSE_SAY(p, 1606, efx_parse__since(p, from), "e[0], e[1], …, e[last], e[last-1], …",
                      "bad index of a pattern element");
    } else {
        efx_parse__expected(p, "']'");
    }
}

/* A word that appendix B lists stands bare: is it meant as a name? */
static void reserved(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0), *next = efx_parse__tok(p, 1);
    struct efx_str s = efx_parse__text(p, t);
    bool ends = next->kind != EFX_TOK_WORD && next->kind != EFX_TOK_QUOTED &&
                next->kind != EFX_TOK_STRING && next->kind != EFX_TOK_NUMBER &&
                next->kind != EFX_TOK_DECIMAL && next->kind != EFX_TOK_LPAREN;
    uint32_t flags = efx_lex__word_flags(next->word);
    bool goes_on = next->kind == EFX_TOK_WORD &&
                   (flags & (EFX_WORD_GOES_ON | EFX_WORD_ALIAS)) != 0 && next->word != EFX_W_NOT;
    if (!ends && !goes_on) {
        efx_parse__expected(p, "an expression");
        return;
    }
    const char *hint =
        efx_parse__kept(p, efx_arena_printf(p->arena, "\"" EFX_STR_FMT "\"", EFX_STR_ARG(s)));
    EFX_PARSE_FAIL(p, 1005, efx_parse__span(t), hint, "'" EFX_STR_FMT "' needs quotes as a name",
                   EFX_STR_ARG(s));
}

static bool is_reserved(const struct efx_parse *p)
{
    uint32_t flags = efx_lex__word_flags(efx_parse__tok(p, 0)->word);
    return (flags & EFX_WORD_EXPR) != 0 || (p->in_case && (flags & EFX_WORD_IN_CASE) != 0);
}

/* reference = [ target [ index ] "." ] ident */
static struct efx_ast_expr *reference(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_REF, efx_parse__span(efx_parse__tok(p, 0)));
    bool is_array = efx_parse__at_word(p, EFX_W_ARRAY);
    struct efx_ast_name first = efx_parse__target(p, "an expression");
    e->name = first;
    if (efx_parse__at(p, EFX_TOK_LBRACKET)) {
        if (is_array) {
            efx_parse__refuse(p, first.at, "arrays", NULL);
        }
        index_of(p, e);
        if (!efx_parse__at(p, EFX_TOK_DOT)) {
            efx_parse__expected(p, "'.' and a column");
        }
    }
    if (efx_parse__accept(p, EFX_TOK_DOT)) {
        e->qualifier = first;
        e->name = efx_parse__name(p, "a column");
    }
    efx_parse__done(p, e, from);
    e->op_at = e->name.at;
    return e;
}

/* ---- calls ---- */

/* `name =>` would be read as a comparison with nothing on its right. */
static bool at_named_argument(const struct efx_parse *p)
{
    return efx_parse__sees_name(p, 0) &&
           ((efx_parse__sees_kind(p, 1, EFX_TOK_EQ) && efx_parse__sees_kind(p, 2, EFX_TOK_GT)) ||
            (efx_parse__sees_kind(p, 1, EFX_TOK_COLON) && efx_parse__sees_kind(p, 2, EFX_TOK_EQ)));
}

/* "*" | [ DISTINCT ] expr { "," expr } */
static void call_args(struct efx_parse *p, struct efx_ast_expr *e)
{
    struct efx_parse_list list = {0};
    if (efx_parse__at(p, EFX_TOK_STAR)) {
        uint32_t from = efx_parse__here(p);
        struct efx_ast_expr *star =
            efx_parse__node(p, EFX_AST_STAR, efx_parse__span(efx_parse__tok(p, 0)));
        efx_parse__advance(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = efx_parse__done(p, star, from);
    } else if (!efx_parse__at(p, EFX_TOK_RPAREN)) {
        e->distinct = efx_parse__accept_word(p, EFX_W_DISTINCT);
        do {
            if (at_named_argument(p)) {
                efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "named arguments",
                                  "arguments go by position");
            }
            struct efx_ast_expr *arg = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = arg;
        } while (efx_parse__accept(p, EFX_TOK_COMMA));
        if (efx_parse__at_word(p, EFX_W_ORDER)) {
            efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)),
                              "ORDER BY inside aggregates", NULL);
        }
    }
    e->args = list.v;
    e->n_args = list.n;
}

/* [ FILTER "(" WHERE expr ")" ] */
static void call_filter(struct efx_parse *p, struct efx_ast_expr *e)
{
    if (efx_parse__at_word(p, EFX_W_WITHIN) && efx_parse__sees(p, 1, EFX_W_GROUP)) {
        efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "WITHIN GROUP", "percentile");
    }
    if (efx_parse__at_word(p, EFX_W_FILTER) && efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        efx_parse__advance(p);
        efx_parse__advance(p);
        (void)efx_parse__expect_word(p, EFX_W_WHERE);
        e->filter = efx_parse__expr(p);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "')'");
    }
    if (efx_parse__at_word(p, EFX_W_OVER) && efx_parse__refused_form(p)) {
        (void)efx_parse__refuse_form(p);
    }
}

/* call = [ ident ":" ] ident "(" … ")" [ FILTER … ] */
static void plain_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    e->name = efx_parse__name(p, "a function");
    if (efx_parse__accept(p, EFX_TOK_COLON)) {
        struct efx_ast_name local = efx_parse__name(p, "a function");
        e->name.s = efx_parse__kept(p, efx_arena_printf(p->arena, "%s:%s", e->name.s, local.s));
        e->name.at.len = local.at.off + local.at.len - e->name.at.off;
    }
    e->op_at = e->name.at;
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    call_args(p, e);
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    call_filter(p, e);
}

/* CAST "(" expr AS type ")"; with a comma it is an ordinary call */
static void cast_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    e->name = efx_parse__name(p, "CAST");
    efx_parse__advance(p);
    struct efx_parse_list list = {0};
    struct efx_ast_expr *x = efx_parse__expr(p);
    *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
    if (efx_parse__accept_word(p, EFX_W_AS)) {
        e->op = EFX_AST_CAST;
        e->type = efx_parse__type(p, false);
    } else if (efx_parse__accept(p, EFX_TOK_COMMA)) {
        efx_parse__exprs(p, &list);
    } else {
        efx_parse__expected(p, "AS and a type");
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "')'");
    e->args = list.v;
    e->n_args = list.n;
}

/* EXTRACT "(" unit FROM expr ")" */
static void extract_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    efx_parse__advance(p);
    efx_parse__advance(p);
    e->op = EFX_AST_EXTRACT;
    e->name = efx_parse__name(p, "a unit");
    (void)efx_parse__expect_word(p, EFX_W_FROM);
    efx_parse__args(p, e, efx_parse__expr(p), NULL, NULL);
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "')'");
}

/* SUBSTRING "(" expr FROM expr [ FOR expr ] ")", or an ordinary call */
static void substring_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    struct efx_parse_list list = {0};
    e->name = efx_parse__name(p, "SUBSTRING");
    efx_parse__advance(p);
    if (!efx_parse__at(p, EFX_TOK_RPAREN)) {
        struct efx_ast_expr *x = efx_parse__expr(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        if (efx_parse__accept_word(p, EFX_W_FROM)) {
            x = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
            if (efx_parse__accept_word(p, EFX_W_FOR)) {
                x = efx_parse__expr(p);
                *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
            }
        } else if (efx_parse__accept(p, EFX_TOK_COMMA)) {
            efx_parse__exprs(p, &list);
        }
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',', FROM or ')'");
    e->args = list.v;
    e->n_args = list.n;
}

/* POSITION "(" sum IN sum ")", or an ordinary call: in its first argument IN is no operator. */
static void position_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    struct efx_parse_list list = {0};
    e->name = efx_parse__name(p, "POSITION");
    efx_parse__advance(p);
    if (!efx_parse__at(p, EFX_TOK_RPAREN)) {
        p->no_in = true;
        struct efx_ast_expr *x = efx_parse__expr(p);
        p->no_in = false;
        *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        if (efx_parse__accept_word(p, EFX_W_IN)) {
            x = efx_parse__sum(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        } else if (efx_parse__accept(p, EFX_TOK_COMMA)) {
            efx_parse__exprs(p, &list);
        }
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',', IN or ')'");
    e->args = list.v;
    e->n_args = list.n;
}

/* TRIM "(" [ BOTH | LEADING | TRAILING ] [ expr ] FROM expr ")", or an ordinary call */
static void trim_call(struct efx_parse *p, struct efx_ast_expr *e)
{
    struct efx_ast_name function = efx_parse__name(p, "TRIM");
    efx_parse__advance(p);
    uint16_t word = efx_parse__tok(p, 0)->word;
    bool side =
        (word == EFX_W_BOTH || word == EFX_W_LEADING || word == EFX_W_TRAILING) &&
        !efx_parse__sees_kind(p, 1, EFX_TOK_COMMA) && !efx_parse__sees_kind(p, 1, EFX_TOK_RPAREN) &&
        !efx_parse__sees_kind(p, 1, EFX_TOK_DOT) && !efx_parse__sees_kind(p, 1, EFX_TOK_BARS);
    struct efx_ast_expr *characters = NULL;
    e->name = function;
    if (side) {
        e->name = efx_parse__name(p, "a side");
        e->name.s = efx_lex__word_text(word);
    }
    if (!efx_parse__at_word(p, EFX_W_FROM) && !efx_parse__at(p, EFX_TOK_RPAREN)) {
        characters = efx_parse__expr(p);
    }
    if (efx_parse__accept_word(p, EFX_W_FROM)) {
        e->op = EFX_AST_TRIM;
        e->name.s = side ? e->name.s : "BOTH";
        struct efx_ast_expr *s = efx_parse__expr(p);
        efx_parse__args(p, e, s, characters, NULL);
    } else if (side) {
        efx_parse__expected(p, "FROM");
    } else {
        struct efx_parse_list list = {0};
        if (characters != NULL) {
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = characters;
        }
        if (characters != NULL && efx_parse__accept(p, EFX_TOK_COMMA)) {
            efx_parse__exprs(p, &list);
        }
        e->args = list.v;
        e->n_args = list.n;
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "FROM or ')'");
}

static struct efx_ast_expr *call(struct efx_parse *p)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_CALL, efx_parse__span(&t));
    struct outside outside = go_inside(p);
    if (efx_parse__enter(p)) {
        if (t.word == EFX_W_CAST) {
            cast_call(p, e);
        } else if (t.word == EFX_W_EXTRACT) {
            extract_call(p, e);
        } else if (t.word == EFX_W_SUBSTRING) {
            substring_call(p, e);
        } else if (t.word == EFX_W_POSITION) {
            position_call(p, e);
        } else if (t.word == EFX_W_TRIM) {
            trim_call(p, e);
        } else {
            plain_call(p, e);
        }
    }
    efx_parse__leave(p);
    go_outside(p, outside);
    return efx_parse__done(p, e, t.off);
}

/* ---- CASE, parentheses ---- */

/* CASE [ expr ] WHEN expr THEN expr { WHEN expr THEN expr } [ ELSE expr ] END */
static struct efx_ast_expr *case_expr(struct efx_parse *p)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_CASE, efx_parse__span(&t));
    struct efx_parse_list list = {0};
    struct efx_ast_expr *x;
    struct outside outside = go_inside(p);
    p->in_case = true;
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        e->has_subject = !efx_parse__at_word(p, EFX_W_WHEN);
        if (e->has_subject) {
            x = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        }
        do {
            (void)efx_parse__expect_word(p, EFX_W_WHEN);
            x = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
            (void)efx_parse__expect_word(p, EFX_W_THEN);
            x = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        } while (efx_parse__at_word(p, EFX_W_WHEN));
        e->has_else = efx_parse__accept_word(p, EFX_W_ELSE);
        if (e->has_else) {
            x = efx_parse__expr(p);
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = x;
        }
        if (!efx_parse__accept_word(p, EFX_W_END)) {
            efx_parse__expected(p, e->has_else ? "END" : "WHEN, ELSE or END");
        }
    }
    efx_parse__leave(p);
    go_outside(p, outside);
    e->args = list.v;
    e->n_args = list.n;
    return efx_parse__done(p, e, t.off);
}

static struct efx_ast_expr *parens(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e = NULL;
    struct outside outside = go_inside(p);
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        if (efx_parse__at_word(p, EFX_W_SELECT)) {
            efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "sub-queries",
                              "an intermediate stream, a table and IN");
        }
        e = efx_parse__expr(p);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "')'");
    } else {
        e = efx_parse__node(p, EFX_AST_LITERAL, efx_parse__missing(p));
    }
    efx_parse__leave(p);
    go_outside(p, outside);
    e->parens = true;
    e->at = efx_parse__since(p, from);
    return e;
}

/* ---- the choice ---- */

static bool at_call(const struct efx_parse *p)
{
    bool plain = efx_parse__sees_name(p, 0) && efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN);
    bool spaced = efx_parse__sees_name(p, 0) && efx_parse__sees_kind(p, 1, EFX_TOK_COLON) &&
                  efx_parse__sees_name(p, 2) && efx_parse__sees_kind(p, 3, EFX_TOK_LPAREN);
    return plain || spaced;
}

/* Forms of §23 that only an operand can be; true if one was refused. */
static bool refuse_operand(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    struct efx_span at = efx_parse__span(t);
    bool string_next = efx_parse__sees_kind(p, 1, EFX_TOK_STRING);
    if (t->word == EFX_W_EXISTS && efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        efx_parse__refuse(p, at, "EXISTS", "an intermediate stream, a table and IN");
    } else if ((t->word == EFX_W_DATE || t->word == EFX_W_TIME || t->word == EFX_W_TIMESTAMP) &&
               string_next) {
        efx_parse__refuse(p, at, "date and timestamp literals", "parseDate, or LONG milliseconds");
    } else if (t->kind == EFX_TOK_LBRACKET || t->kind == EFX_TOK_LBRACE) {
        efx_parse__refuse(p, at, "array, struct and map values", NULL);
    } else {
        return false;
    }
    return true;
}

/* CASE is no name where an operand or WHEN follows. */
static bool at_case(const struct efx_parse *p)
{
    const struct efx_tok *next = efx_parse__tok(p, 1);
    uint8_t kind = next->kind;
    bool starts_operand = kind == EFX_TOK_LPAREN || kind == EFX_TOK_STRING ||
                          kind == EFX_TOK_NUMBER || kind == EFX_TOK_DECIMAL ||
                          kind == EFX_TOK_QUOTED || kind == EFX_TOK_HASH || kind == EFX_TOK_BANG ||
                          kind == EFX_TOK_MINUS || kind == EFX_TOK_PLUS;
    uint16_t word = next->word;
    bool starts_literal = word == EFX_W_CASE || word == EFX_W_NOT || word == EFX_W_NULL ||
                          word == EFX_W_TRUE || word == EFX_W_FALSE;
    bool name = kind == EFX_TOK_WORD && ((efx_lex__word_flags(word) & EFX_WORD_EXPR) == 0 ||
                                         efx_parse__sees_kind(p, 2, EFX_TOK_LPAREN));
    return efx_parse__at_word(p, EFX_W_CASE) && (starts_operand || starts_literal || name);
}

struct efx_ast_expr *efx_parse__primary(struct efx_parse *p)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_expr *e = NULL;
    if (t.kind == EFX_TOK_STRING) {
        return literal(p, EFX_AST_LIT_STRING);
    }
    if (t.kind == EFX_TOK_NUMBER || t.kind == EFX_TOK_DECIMAL || t.kind == EFX_TOK_MINUS ||
        t.kind == EFX_TOK_PLUS) {
        return number(p);
    }
    if (t.kind == EFX_TOK_LPAREN) {
        return parens(p);
    }
    if (at_case(p)) {
        return case_expr(p);
    }
    bool is_literal = t.word == EFX_W_TRUE || t.word == EFX_W_FALSE || t.word == EFX_W_NULL;
    if (is_literal && !efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        return literal(p, t.word == EFX_W_NULL ? EFX_AST_LIT_NULL : EFX_AST_LIT_BOOL);
    }
    if (!refuse_operand(p)) {
        if (at_call(p) && t.word != EFX_W_NOT) {
            return call(p);
        }
        e = efx_parse__interval(p);
        if (e != NULL) {
            return e;
        }
        if (is_reserved(p)) {
            reserved(p);
        } else if (efx_parse__sees_name(p, 0) ||
                   ((t.kind == EFX_TOK_HASH || t.kind == EFX_TOK_BANG) &&
                    efx_parse__sees_name(p, 1))) {
            return reference(p);
        } else {
            efx_parse__expected(p, "an expression");
        }
    }
    return efx_parse__done(p, efx_parse__node(p, EFX_AST_LITERAL, efx_parse__missing(p)),
                           efx_parse__here(p));
}
