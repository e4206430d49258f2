#include "parse.h"

/* What stands after FROM: relations with their windows, joins; patterns by parse_pattern.c. */

/* ---- windows ---- */

static void args(struct efx_parse *p, struct efx_ast_window *w, struct efx_parse_list *list)
{
    do {
        struct efx_ast_arg arg = efx_parse__arg(p);
        *EFX_PARSE_ADD(p, list, struct efx_ast_arg) = arg;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    w->args = list->v;
    w->n_args = list->n;
}

/* kind-call = ident "(" [ arg { "," arg } ] ")" */
struct efx_ast_window efx_parse__kind_call(struct efx_parse *p, uint32_t from)
{
    struct efx_ast_window w = {0};
    struct efx_parse_list list = {0};
    struct efx_ast_name kind = efx_parse__name(p, "a kind of window");
    w.kind = kind.s;
    w.kind_at = kind.at;
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    if (!efx_parse__at(p, EFX_TOK_RPAREN)) {
        args(p, &w, &list);
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    w.at = efx_parse__since(p, from);
    return w;
}

/* window = WINDOW ( "(" string { "," arg } ")" | kind-call ) */
struct efx_ast_window efx_parse__window(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    (void)efx_parse__expect_word(p, EFX_W_WINDOW);
    if (!efx_parse__accept(p, EFX_TOK_LPAREN)) {
        return efx_parse__kind_call(p, from);
    }
    struct efx_ast_window w = {.kind_at = efx_parse__span(efx_parse__tok(p, 0))};
    struct efx_parse_list list = {0};
    if (!efx_parse__at(p, EFX_TOK_STRING)) {
        efx_parse__expected_hint(p, "a kind of window in quotes", "WINDOW('length', 5)");
    }
    w.kind = efx_parse__string(p, "a kind of window in quotes").p;
    if (efx_parse__accept(p, EFX_TOK_COMMA)) {
        args(p, &w, &list);
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    w.at = efx_parse__since(p, from);
    return w;
}

/* ---- relations ---- */

/* S#window.length(5), S[v > 1]: what another dialect writes */
static void refuse_dialect(struct efx_parse *p)
{
    if (efx_parse__at(p, EFX_TOK_HASH) && efx_parse__sees(p, 1, EFX_W_WINDOW)) {
        efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "#window.kind(…)",
                          "WINDOW('kind', …)");
    } else if (efx_parse__at(p, EFX_TOK_LBRACKET)) {
        efx_parse__expected_hint(p, "an alias, a window or a further clause",
                                 "conditions stand in WHERE");
    }
}

/* `FROM WHERE v > 1`: the word is the next clause, not a stream of that name. */
static bool is_missing(const struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word, after = efx_parse__tok(p, 1)->word;
    bool ends = efx_parse__sees_kind(p, 1, EFX_TOK_END) ||
                efx_parse__sees_kind(p, 1, EFX_TOK_SEMICOLON) ||
                (efx_lex__word_flags(after) & EFX_WORD_ALIAS) != 0;
    return ((word == EFX_W_GROUP || word == EFX_W_ORDER) && after == EFX_W_BY) ||
           (word == EFX_W_INSERT && after == EFX_W_INTO) ||
           ((word == EFX_W_WHERE || word == EFX_W_SELECT || word == EFX_W_HAVING ||
             word == EFX_W_ON) &&
            !ends);
}

/* relation = target [ [ AS ] ident ] [ window ] [ UNIDIRECTIONAL ] */
struct efx_ast_relation efx_parse__relation(struct efx_parse *p)
{
    struct efx_ast_relation r = {0};
    uint32_t from = efx_parse__here(p);
    if (is_missing(p)) {
        efx_parse__expected(p, "a stream");
    }
    r.name = efx_parse__target(p, "a stream");
    refuse_dialect(p);
    r.alias = efx_parse__alias(p);
    if (efx_parse__at_word(p, EFX_W_WINDOW)) {
        r.window = efx_parse__window(p);
        if (efx_parse__at_word(p, EFX_W_WINDOW)) {
            EFX_PARSE_FAIL(p, 1404, efx_parse__missing(p), "an intermediate stream",
                           "a second window on one stream");
        }
    }
    if (efx_parse__at_word(p, EFX_W_UNIDIRECTIONAL)) {
        r.unidirectional = true;
        r.unidirectional_at = efx_parse__span(efx_parse__tok(p, 0));
        efx_parse__advance(p);
    }
    r.at = efx_parse__since(p, from);
    return r;
}

/* ---- joins ---- */

static bool is_refused_join(uint16_t word)
{
    return word == EFX_W_NATURAL || word == EFX_W_ASOF || word == EFX_W_SEMI ||
           word == EFX_W_ANTI || word == EFX_W_LATERAL;
}

bool efx_parse__at_join(const struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word;
    return word == EFX_W_JOIN || word == EFX_W_INNER || word == EFX_W_LEFT || word == EFX_W_RIGHT ||
           word == EFX_W_FULL || word == EFX_W_CROSS || is_refused_join(word);
}

static void refuse_join(struct efx_parse *p, struct efx_span at, const char *what, const char *hint)
{
    EFX_PARSE_FAIL(p, 1503, at, hint, "%s", what);
}

static void check_join_word(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    if (!is_refused_join(t->word)) {
        return;
    }
    const char *hint = t->word == EFX_W_NATURAL ? "JOIN … USING (column, …)"
                       : t->word == EFX_W_ASOF  ? "a table with the latest row of each key"
                       : t->word == EFX_W_SEMI  ? "WHERE x IN table"
                       : t->word == EFX_W_ANTI  ? "WHERE x NOT IN table"
                                                : "an intermediate stream";
    EFX_PARSE_FAIL(p, 1503, efx_parse__span(t), hint, "joins have no %s form",
                   efx_lex__word_text(t->word));
}

/* [ INNER | ( LEFT | RIGHT | FULL ) [ OUTER ] | CROSS ] JOIN */
static enum efx_ast_join join_kind(struct efx_parse *p)
{
    enum efx_ast_join kind = EFX_AST_JOIN_INNER;
    check_join_word(p);
    if (efx_parse__accept_word(p, EFX_W_CROSS)) {
        kind = EFX_AST_JOIN_CROSS;
    } else if (!efx_parse__accept_word(p, EFX_W_INNER)) {
        uint16_t word = efx_parse__tok(p, 0)->word;
        kind = word == EFX_W_LEFT    ? EFX_AST_JOIN_LEFT
               : word == EFX_W_RIGHT ? EFX_AST_JOIN_RIGHT
               : word == EFX_W_FULL  ? EFX_AST_JOIN_FULL
                                     : EFX_AST_JOIN_INNER;
        if (kind != EFX_AST_JOIN_INNER) {
            efx_parse__advance(p);
            check_join_word(p);
            (void)efx_parse__accept_word(p, EFX_W_OUTER);
        }
    }
    check_join_word(p);
    (void)efx_parse__expect_word(p, EFX_W_JOIN);
    check_join_word(p);
    return kind;
}

static bool at_pattern(const struct efx_parse *p)
{
    return (efx_parse__at_word(p, EFX_W_PATTERN) || efx_parse__at_word(p, EFX_W_SEQUENCE)) &&
           efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN);
}

/* range = WITHIN expr [ "," expr ] PER expr, from behind WITHIN and its first expression */
static void range(struct efx_parse *p, struct efx_ast_join_step *j, struct efx_ast_arg *start)
{
    j->has_range = true;
    if (start->expr == NULL && !p->stopped) {
        EFX_PARSE_FAIL(p, 1504, start->at, NULL, "the start of a range is a time, not a duration");
    }
    j->range_start = start->expr;
    if (efx_parse__accept(p, EFX_TOK_COMMA)) {
        j->range_end = efx_parse__expr(p);
    }
    (void)efx_parse__expect_word(p, EFX_W_PER);
    j->range_per = efx_parse__expr(p);
}

/* WITHIN duration | range */
static void join_within(struct efx_parse *p, struct efx_ast_join_step *j)
{
    struct efx_ast_arg arg = efx_parse__arg(p);
    if (efx_parse__at(p, EFX_TOK_COMMA) || efx_parse__at_word(p, EFX_W_PER)) {
        range(p, j, &arg);
        return;
    }
    j->within = arg.duration;
    if (!arg.duration.there) {
        bool zero = arg.expr != NULL && arg.expr->op == EFX_AST_LITERAL && !p->stopped;
        EFX_PARSE_FAIL(p, zero ? 1006 : 1001, arg.at, NULL,
                       zero ? "a duration must be longer than zero"
                            : "expected a duration, or a range with PER");
    }
}

static struct efx_ast_join_step join(struct efx_parse *p)
{
    struct efx_ast_join_step j = {0};
    uint32_t from = efx_parse__here(p);
    j.kind = join_kind(p);
    if (efx_parse__at(p, EFX_TOK_LPAREN)) {
        refuse_join(p, efx_parse__missing(p), "a sub-query cannot be a side of a join",
                    "an intermediate stream");
    } else if (at_pattern(p)) {
        refuse_join(p, efx_parse__missing(p), "a pattern cannot be a side of a join",
                    "an intermediate stream");
    }
    j.right = efx_parse__relation(p);
    if (efx_parse__accept_word(p, EFX_W_ON)) {
        j.on = efx_parse__expr(p);
    } else if (efx_parse__accept_word(p, EFX_W_USING)) {
        j.using_ = efx_parse__columns(p);
    }
    if (efx_parse__accept_word(p, EFX_W_WITHIN)) {
        join_within(p, &j);
    }
    j.at = efx_parse__since(p, from);
    return j;
}

/* ---- FROM ---- */

static void refuse_sub_query(struct efx_parse *p)
{
    struct efx_span at = efx_parse__span(efx_parse__tok(p, 0));
    uint16_t word = efx_parse__tok(p, 1)->word;
    if (word != EFX_W_SELECT && word != EFX_W_FROM && !efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        efx_parse__expected(p, "a stream");
        return;
    }
    if (efx_parse__skip_brackets(p)) {
        (void)efx_parse__alias(p);
    }
    if (efx_parse__at_join(p)) {
        refuse_join(p, at, "a sub-query cannot be a side of a join", "an intermediate stream");
    } else {
        efx_parse__refuse(p, at, "sub-queries in FROM", "an intermediate stream");
    }
}

static void pattern_source(struct efx_parse *p, struct efx_ast_select *s)
{
    s->pattern = efx_parse__pattern(p);
    if (efx_parse__at(p, EFX_TOK_COMMA) || efx_parse__at_join(p)) {
        refuse_join(p, efx_parse__missing(p), "a pattern cannot be a side of a join",
                    "an intermediate stream");
    } else if (efx_parse__at_word(p, EFX_W_WINDOW)) {
        EFX_PARSE_FAIL(p, 1404, efx_parse__missing(p), "an intermediate stream",
                       "a pattern has no window");
    }
}

/* source = pattern | recognize | relation { join }; on demand a range after the first relation */
void efx_parse__source(struct efx_parse *p, struct efx_ast_select *s)
{
    struct efx_parse_list joins = {0};
    if (at_pattern(p)) {
        pattern_source(p, s);
        return;
    }
    if (efx_parse__at(p, EFX_TOK_LPAREN)) {
        refuse_sub_query(p);
    }
    s->from = efx_parse__relation(p);
    if (efx_parse__at_word(p, EFX_W_MATCH_RECOGNIZE)) {
        s->recognize = efx_parse__recognize(p);
        struct efx_ast_name alias = efx_parse__alias(p);
        s->from.alias = alias.s != NULL ? alias : s->from.alias;
        return;
    }
    if (efx_parse__at_word(p, EFX_W_WITHIN)) {
        uint32_t from = efx_parse__here(p);
        struct efx_ast_join_step unused = {0};
        efx_parse__advance(p);
        struct efx_ast_arg start = efx_parse__arg(p);
        range(p, &unused, &start);
        s->has_range = true;
        s->range_at = efx_parse__since(p, from);
    }
    while (efx_parse__at_join(p)) {
        struct efx_ast_join_step j = join(p);
        *EFX_PARSE_ADD(p, &joins, struct efx_ast_join_step) = j;
    }
    s->joins = joins.v;
    s->n_joins = joins.n;
    if (efx_parse__at(p, EFX_TOK_COMMA)) {
        refuse_join(p, efx_parse__missing(p), "joins have no comma form", "JOIN … ON …");
    }
}
