#include "parse.h"

/* PATTERN and SEQUENCE (language §8).
 *
 *   EVERY e1=A[v > 1]{2,} -> (e2=B AND e3=C WITHIN 5 SEC) -> NOT D FOR 1 MIN
 *
 * Tightest first: filter and count, NOT … FOR, AND, OR, EVERY, `->` and `,`. Parentheses make a
 * CHAIN, and the whole is one, however short. A WITHIN behind `)` is the group's if an operator
 * follows, else it is the chain's around it: that is known only when it has been read.
 */
static struct efx_ast_pattern_node *chain(struct efx_parse *p, bool grouped);

static struct efx_ast_pattern_node *new_node(struct efx_parse *p, enum efx_ast_pat kind)
{
    struct efx_ast_pattern_node *n = EFX_PARSE_NEW(p, struct efx_ast_pattern_node);
    n->kind = kind;
    n->min = 1;
    n->max = 1;
    n->at = efx_parse__span(efx_parse__tok(p, 0));
    return n;
}

static void add_kid(struct efx_parse *p, struct efx_parse_list *kids,
                    struct efx_ast_pattern_node *kid)
{
    *EFX_PARSE_ADD(p, kids, struct efx_ast_pattern_node *) = kid;
}

/* ---- filters and counts ---- */

/* filter = "[" expr "]" */
static void filter(struct efx_parse *p, struct efx_parse_list *filters)
{
    efx_parse__advance(p);
    struct efx_ast_expr *e = efx_parse__expr(p);
    (void)efx_parse__expect(p, EFX_TOK_RBRACKET, "']'");
    *EFX_PARSE_ADD(p, filters, struct efx_ast_expr *) = e;
}

static bool at_count(const struct efx_parse *p)
{
    uint8_t kind = efx_parse__tok(p, 0)->kind;
    return kind == EFX_TOK_LBRACE || kind == EFX_TOK_LT || kind == EFX_TOK_STAR ||
           kind == EFX_TOK_PLUS || kind == EFX_TOK_QUESTION;
}

/* uint [ sep [ uint ] ] | sep uint, between its brackets */
static void bounds(struct efx_parse *p, struct efx_ast_pattern_node *n, enum efx_tok_kind sep,
                   enum efx_tok_kind close)
{
    efx_parse__advance(p);
    bool has_min = efx_parse__at(p, EFX_TOK_NUMBER), has_max = false;
    n->min = has_min ? efx_parse__uint(p, "a number") : 0;
    n->max = n->min;
    bool ranged = efx_parse__accept(p, sep);
    if (ranged) {
        has_max = efx_parse__at(p, EFX_TOK_NUMBER);
        n->max = has_max ? efx_parse__uint(p, "a number") : n->max;
        n->no_max = !has_max;
    }
    bool closed = efx_parse__accept(p, close);
    if (!closed || (!has_min && !has_max)) {
        bool braces = close == EFX_TOK_RBRACE;
        EFX_PARSE_FAIL(p, 1602, efx_parse__missing(p),
                       braces ? "{2} {2,5} {2,} {,5} + * ?" : "<2> <2:5> <2:> <:5> + * ?",
                       "bad count of a pattern element");
    }
}

/* count = "{" … "}" | "<" … ">" | "*" | "+" | "?" */
static void count(struct efx_parse *p, struct efx_ast_pattern_node *n)
{
    uint32_t from = efx_parse__here(p);
    if (n->has_count) {
        EFX_PARSE_FAIL(p, 1602, efx_parse__missing(p), NULL, "a second count of one element");
    }
    n->has_count = true;
    if (efx_parse__at(p, EFX_TOK_LBRACE)) {
        bounds(p, n, EFX_TOK_COMMA, EFX_TOK_RBRACE);
    } else if (efx_parse__at(p, EFX_TOK_LT)) {
        bounds(p, n, EFX_TOK_COLON, EFX_TOK_GT);
    } else {
        n->min = efx_parse__at(p, EFX_TOK_PLUS);
        n->no_max = !efx_parse__at(p, EFX_TOK_QUESTION);
        efx_parse__advance(p);
    }
    n->count_at = efx_parse__since(p, from);
}

/* { filter | count } */
static void filters_and_count(struct efx_parse *p, struct efx_ast_pattern_node *n)
{
    struct efx_parse_list filters = {0};
    while (efx_parse__at(p, EFX_TOK_LBRACKET) || at_count(p)) {
        if (efx_parse__at(p, EFX_TOK_LBRACKET)) {
            filter(p, &filters);
        } else {
            count(p, n);
        }
    }
    n->filters = filters.v;
    n->n_filters = filters.n;
    if (efx_parse__at_word(p, EFX_W_WINDOW)) {
        EFX_PARSE_FAIL(p, 1404, efx_parse__missing(p), "an intermediate stream, or WITHIN",
                       "an element of a pattern has no window");
    }
}

/* ---- elements ---- */

static struct efx_ast_pattern_node *done(struct efx_parse *p, struct efx_ast_pattern_node *n,
                                         uint32_t from)
{
    n->at = efx_parse__since(p, from);
    return n;
}

/* event = [ ident "=" ] target [ AS ident ] { filter | count } */
static struct efx_ast_pattern_node *event(struct efx_parse *p)
{
    struct efx_ast_pattern_node *n = new_node(p, EFX_AST_PAT_EVENT);
    uint32_t from = efx_parse__here(p);
    if (efx_parse__sees_name(p, 0) && efx_parse__sees_kind(p, 1, EFX_TOK_EQ)) {
        n->alias = efx_parse__name(p, "an alias");
        efx_parse__advance(p);
    }
    bool reserved = efx_parse__at_word(p, EFX_W_NOT) || efx_parse__at_word(p, EFX_W_EVERY);
    if (reserved) {
        struct efx_str s = efx_parse__text(p, efx_parse__tok(p, 0));
        const char *hint =
            efx_parse__kept(p, efx_arena_printf(p->arena, "\"" EFX_STR_FMT "\"", EFX_STR_ARG(s)));
        EFX_PARSE_FAIL(p, 1005, efx_parse__missing(p), hint,
                       "'" EFX_STR_FMT "' needs quotes as a stream of a pattern", EFX_STR_ARG(s));
    }
    n->stream = efx_parse__target(p, "a stream");
    if (efx_parse__accept_word(p, EFX_W_AS)) {
        struct efx_ast_name second = efx_parse__name(p, "an alias");
        if (n->alias.s != NULL) {
            EFX_PARSE_SAY(p, 1609, second.at, NULL, "a second alias of one element");
        }
        n->alias = second;
    }
    filters_and_count(p, n);
    return done(p, n, from);
}

/* NOT target { filter } [ FOR duration ] */
static struct efx_ast_pattern_node *absence(struct efx_parse *p)
{
    struct efx_ast_pattern_node *n = new_node(p, EFX_AST_PAT_NOT);
    uint32_t from = efx_parse__here(p);
    efx_parse__advance(p);
    struct efx_ast_name alias = {0};
    if (efx_parse__sees_name(p, 0) && efx_parse__sees_kind(p, 1, EFX_TOK_EQ)) {
        alias = efx_parse__name(p, "a stream");
        efx_parse__advance(p);
    }
    n->stream = efx_parse__target(p, "a stream");
    if (efx_parse__accept_word(p, EFX_W_AS)) {
        alias = efx_parse__name(p, "an alias");
    }
    if (alias.s != NULL) {
        EFX_PARSE_SAY(p, 1609, alias.at, NULL, "an absence binds nothing and takes no alias");
    }
    filters_and_count(p, n);
    if (efx_parse__accept_word(p, EFX_W_FOR)) {
        n->for_ = efx_parse__duration(p, "a duration");
    }
    return done(p, n, from);
}

static bool at_operator(const struct efx_parse *p)
{
    return efx_parse__at(p, EFX_TOK_ARROW) || efx_parse__at(p, EFX_TOK_COMMA) ||
           efx_parse__at_word(p, EFX_W_AND) || efx_parse__at_word(p, EFX_W_OR);
}

/* "(" chain ")" [ WITHIN bound ] */
static struct efx_ast_pattern_node *group(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_pattern_node *n = NULL;
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        n = chain(p, true);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "'->', ',', AND, OR, WITHIN or ')'");
    } else {
        n = new_node(p, EFX_AST_PAT_CHAIN);
    }
    efx_parse__leave(p);
    if (at_count(p)) {
        count(p, n);
    }
    done(p, n, from);
    if (efx_parse__at_word(p, EFX_W_WITHIN)) {
        uint32_t i = p->i, last_end = p->last_end;
        efx_parse__advance(p);
        struct efx_ast_bound bound = efx_parse__bound(p);
        if (at_operator(p)) {
            n->within_behind = bound;
        } else if (!p->stopped) {
            p->i = i;
            p->last_end = last_end;
        }
    }
    return n;
}

static struct efx_ast_pattern_node *operand(struct efx_parse *p)
{
    /* `NOT =` cannot be an alias called NOT: the word needs quotes. */
    if (efx_parse__at_word(p, EFX_W_NOT)) {
        return absence(p);
    }
    return efx_parse__at(p, EFX_TOK_LPAREN) ? group(p) : event(p);
}

static void check_every(struct efx_parse *p)
{
    if (efx_parse__at_word(p, EFX_W_EVERY)) {
        EFX_PARSE_FAIL(p, 1608, efx_parse__missing(p), "EVERY stands before a whole step",
                       "EVERY cannot be an operand of AND or OR, nor of EVERY");
    }
}

/* conj = operand { AND operand }, and the same of OR over them */
static struct efx_ast_pattern_node *junction(struct efx_parse *p, enum efx_ast_pat kind)
{
    bool is_and = kind == EFX_AST_PAT_AND;
    enum efx_word word = is_and ? EFX_W_AND : EFX_W_OR;
    uint32_t from = efx_parse__here(p);
    check_every(p);
    struct efx_ast_pattern_node *first = is_and ? operand(p) : junction(p, EFX_AST_PAT_AND);
    if (!efx_parse__at_word(p, word)) {
        return first;
    }
    struct efx_ast_pattern_node *n = new_node(p, kind);
    struct efx_parse_list kids = {0};
    add_kid(p, &kids, first);
    while (efx_parse__accept_word(p, word)) {
        check_every(p);
        add_kid(p, &kids, is_and ? operand(p) : junction(p, EFX_AST_PAT_AND));
    }
    n->kids = kids.v;
    n->n_kids = kids.n;
    return done(p, n, from);
}

/* step = [ EVERY ] conj { OR conj } */
static struct efx_ast_pattern_node *step(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    if (!efx_parse__at_word(p, EFX_W_EVERY)) {
        return junction(p, EFX_AST_PAT_OR);
    }
    struct efx_ast_pattern_node *n = new_node(p, EFX_AST_PAT_EVERY);
    struct efx_parse_list kids = {0};
    efx_parse__advance(p);
    add_kid(p, &kids, junction(p, EFX_AST_PAT_OR));
    n->kids = kids.v;
    n->n_kids = kids.n;
    return done(p, n, from);
}

/* chain = step { ( "->" | "," ) step } [ WITHIN bound ] */
static struct efx_ast_pattern_node *chain(struct efx_parse *p, bool grouped)
{
    struct efx_ast_pattern_node *n = new_node(p, EFX_AST_PAT_CHAIN);
    struct efx_parse_list kids = {0};
    uint32_t from = efx_parse__here(p);
    n->grouped = grouped;
    add_kid(p, &kids, step(p));
    while (efx_parse__at(p, EFX_TOK_ARROW) || efx_parse__at(p, EFX_TOK_COMMA)) {
        if (efx_parse__at(p, EFX_TOK_COMMA) && !n->comma) {
            n->comma = true;
            n->comma_at = efx_parse__span(efx_parse__tok(p, 0));
        }
        efx_parse__advance(p);
        add_kid(p, &kids, step(p));
    }
    if (efx_parse__accept_word(p, EFX_W_WITHIN)) {
        n->within = efx_parse__bound(p);
    }
    n->kids = kids.v;
    n->n_kids = kids.n;
    return done(p, n, from);
}

/* ---- the whole ---- */

/* AFTER MATCH SKIP ( TO NEXT ROW | PAST LAST ROW ) */
static bool skip_past_last_row(struct efx_parse *p)
{
    if (!efx_parse__accept_word(p, EFX_W_AFTER)) {
        return false;
    }
    (void)efx_parse__expect_word(p, EFX_W_MATCH);
    (void)efx_parse__expect_word(p, EFX_W_SKIP);
    bool past = efx_parse__accept_word(p, EFX_W_PAST);
    if (!past && !efx_parse__accept_word(p, EFX_W_TO)) {
        efx_parse__expected(p, "TO NEXT ROW or PAST LAST ROW");
    }
    (void)efx_parse__expect_word(p, past ? EFX_W_LAST : EFX_W_NEXT);
    (void)efx_parse__expect_word(p, EFX_W_ROW);
    return past;
}

/* pattern = ( PATTERN | SEQUENCE ) "(" chain ")" [ WITHIN bound ] [ AFTER … ] [ PARTITION BY … ] */
struct efx_ast_pattern *efx_parse__pattern(struct efx_parse *p)
{
    struct efx_ast_pattern *pattern = EFX_PARSE_NEW(p, struct efx_ast_pattern);
    uint32_t from = efx_parse__here(p);
    pattern->sequence = efx_parse__at_word(p, EFX_W_SEQUENCE);
    efx_parse__advance(p);
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    pattern->root = chain(p, false);
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "'->', ',', AND, OR, WITHIN or ')'");
    if (efx_parse__accept_word(p, EFX_W_WITHIN)) {
        pattern->within = efx_parse__bound(p);
    }
    pattern->skip_past_last_row = skip_past_last_row(p);
    if (efx_parse__at_word(p, EFX_W_PARTITION) && efx_parse__sees(p, 1, EFX_W_BY)) {
        efx_parse__advance(p);
        efx_parse__advance(p);
        pattern->partition_by = efx_parse__names(p, "a column");
    }
    pattern->at = efx_parse__since(p, from);
    return pattern;
}
