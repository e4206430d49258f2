#include "parse.h"

/* Operators, loosest first (language §2.4): OR, AND, NOT, predicates, sums, terms, signs, casts.
 *
 * A chain of AND or OR becomes a balanced tree, so that a condition of a thousand alternatives is
 * ten levels deep; the operands keep their order, which is all that their evaluation depends on.
 * Sums and terms lean to the left as they must.
 */
struct efx_ast_expr *efx_parse__node(struct efx_parse *p, enum efx_ast_op op, struct efx_span op_at)
{
    struct efx_ast_expr *e = EFX_PARSE_NEW(p, struct efx_ast_expr);
    e->op = op;
    e->op_at = op_at;
    e->at = op_at;
    return e;
}

void efx_parse__args(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *a,
                     struct efx_ast_expr *b, struct efx_ast_expr *c)
{
    struct efx_parse_list list = {0};
    struct efx_ast_expr *all[] = {a, b, c};
    for (size_t k = 0; k < 3 && all[k] != NULL; k++) {
        *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = all[k];
    }
    e->args = list.v;
    e->n_args = list.n;
}

struct efx_ast_expr *efx_parse__done(struct efx_parse *p, struct efx_ast_expr *e, uint32_t from)
{
    if (p->oom) {
        return e;
    }
    uint32_t height = e->filter == NULL ? 0 : e->filter->height;
    for (uint32_t k = 0; k < e->n_args; k++) {
        height = e->args[k]->height > height ? e->args[k]->height : height;
    }
    e->at = efx_parse__since(p, from);
    e->height = (uint16_t)(height + 1);
    if (e->height > EFX_AST_HEIGHT_MAX) {
        EFX_PARSE_FAIL(p, 1007, e->op_at, NULL, "an expression of more than %d levels",
                       (int)EFX_AST_HEIGHT_MAX);
    }
    return e;
}

static struct efx_ast_expr *binary(struct efx_parse *p, enum efx_ast_op op, struct efx_span op_at,
                                   struct efx_ast_expr *a, struct efx_ast_expr *b, uint32_t from)
{
    struct efx_ast_expr *e = efx_parse__node(p, op, op_at);
    efx_parse__args(p, e, a, b, NULL);
    return efx_parse__done(p, e, from);
}

/* ---- arithmetic ---- */

/* { "::" type } behind a primary */
static struct efx_ast_expr *casts(struct efx_parse *p, struct efx_ast_expr *e, uint32_t from)
{
    while (efx_parse__at(p, EFX_TOK_CAST)) {
        struct efx_ast_expr *cast =
            efx_parse__node(p, EFX_AST_CAST, efx_parse__span(efx_parse__tok(p, 0)));
        efx_parse__advance(p);
        cast->type = efx_parse__type(p, false);
        efx_parse__args(p, cast, e, NULL, NULL);
        e = efx_parse__done(p, cast, from);
    }
    return e;
}

/* factor = { "+" | "-" } primary { "::" type }; a sign right before digits is the literal's */
static struct efx_ast_expr *factor(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    bool minus = efx_parse__at(p, EFX_TOK_MINUS);
    bool number =
        efx_parse__sees_kind(p, 1, EFX_TOK_NUMBER) || efx_parse__sees_kind(p, 1, EFX_TOK_DECIMAL);
    if (!(minus || efx_parse__at(p, EFX_TOK_PLUS)) || number) {
        return casts(p, efx_parse__primary(p), from);
    }
    struct efx_ast_expr *e = efx_parse__node(p, minus ? EFX_AST_NEG : EFX_AST_POS,
                                             efx_parse__span(efx_parse__tok(p, 0)));
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        efx_parse__args(p, e, factor(p), NULL, NULL);
    }
    efx_parse__leave(p);
    return efx_parse__done(p, e, from);
}

static enum efx_ast_op term_op(uint8_t kind)
{
    return kind == EFX_TOK_STAR      ? EFX_AST_MUL
           : kind == EFX_TOK_SLASH   ? EFX_AST_DIV
           : kind == EFX_TOK_PERCENT ? EFX_AST_MOD
                                     : 0;
}

static enum efx_ast_op sum_op(uint8_t kind)
{
    return kind == EFX_TOK_PLUS    ? EFX_AST_ADD
           : kind == EFX_TOK_MINUS ? EFX_AST_SUB
           : kind == EFX_TOK_BARS  ? EFX_AST_CONCAT
                                   : 0;
}

/* term = factor { ( "*" | "/" | "%" ) factor } */
static struct efx_ast_expr *term(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e = factor(p);
    for (;;) {
        struct efx_tok t = *efx_parse__tok(p, 0);
        if (term_op(t.kind) == 0) {
            return e;
        }
        efx_parse__advance(p);
        e = binary(p, term_op(t.kind), efx_parse__span(&t), e, factor(p), from);
    }
}

/* sum = term { ( "+" | "-" | "||" ) term } */
struct efx_ast_expr *efx_parse__sum(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e = term(p);
    for (;;) {
        struct efx_tok t = *efx_parse__tok(p, 0);
        if (sum_op(t.kind) == 0) {
            return e;
        }
        efx_parse__advance(p);
        e = binary(p, sum_op(t.kind), efx_parse__span(&t), e, term(p), from);
    }
}

/* ---- predicates ---- */

static enum efx_ast_op compare_op(uint8_t kind)
{
    return kind == EFX_TOK_EQ   ? EFX_AST_EQ
           : kind == EFX_TOK_NE ? EFX_AST_NE
           : kind == EFX_TOK_LT ? EFX_AST_LT
           : kind == EFX_TOK_LE ? EFX_AST_LE
           : kind == EFX_TOK_GT ? EFX_AST_GT
           : kind == EFX_TOK_GE ? EFX_AST_GE
                                : 0;
}

static struct efx_ast_expr *comparison(struct efx_parse *p, struct efx_ast_expr *left,
                                       uint32_t from)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    efx_parse__advance(p);
    uint16_t word = efx_parse__tok(p, 0)->word;
    if ((word == EFX_W_ANY || word == EFX_W_ALL || word == EFX_W_SOME) &&
        efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), efx_lex__word_text(word),
                          "an intermediate stream, a table and IN");
    }
    struct efx_ast_expr *right = efx_parse__sum(p);
    return binary(p, compare_op(t.kind), efx_parse__span(&t), left, right, from);
}

/* IS [ NOT ] ( NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM sum ) */
static void is_what(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    struct efx_ast_expr *right = NULL;
    e->negated = efx_parse__accept_word(p, EFX_W_NOT);
    if (efx_parse__accept_word(p, EFX_W_NULL)) {
        e->is = EFX_AST_IS_NULL;
    } else if (efx_parse__accept_word(p, EFX_W_TRUE)) {
        e->is = EFX_AST_IS_TRUE;
    } else if (efx_parse__accept_word(p, EFX_W_FALSE)) {
        e->is = EFX_AST_IS_FALSE;
    } else if (efx_parse__accept_word(p, EFX_W_UNKNOWN)) {
        e->is = EFX_AST_IS_UNKNOWN;
    } else if (efx_parse__accept_word(p, EFX_W_DISTINCT)) {
        e->is = EFX_AST_IS_DISTINCT;
        (void)efx_parse__expect_word(p, EFX_W_FROM);
        right = efx_parse__sum(p);
    } else {
        efx_parse__expected(p, "NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM");
    }
    efx_parse__args(p, e, left, right, NULL);
}

static void in_table(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    e->op = EFX_AST_IN_TABLE;
    const struct efx_tok *t = efx_parse__tok(p, 0);
    bool reserved = (efx_lex__word_flags(t->word) & EFX_WORD_EXPR) != 0;
    if (reserved || !efx_parse__sees_name(p, 0)) {
        efx_parse__expected(p, "'(' or a table");
    }
    e->name = efx_parse__name(p, "'(' or a table");
    if (efx_parse__accept(p, EFX_TOK_DOT)) {
        e->column = efx_parse__name(p, "a column");
    }
    efx_parse__args(p, e, left, NULL, NULL);
}

/* IN ( "(" expr { "," expr } ")" | ident [ "." ident ] ) */
static void in_what(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    if (!efx_parse__at(p, EFX_TOK_LPAREN)) {
        in_table(p, e, left);
        return;
    }
    struct efx_parse_list list = {0};
    *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = left;
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        if (efx_parse__at_word(p, EFX_W_SELECT)) {
            efx_parse__refuse(p, efx_parse__span(efx_parse__tok(p, 0)), "IN (SELECT …)",
                              "an intermediate stream, a table and IN");
        }
        efx_parse__exprs(p, &list);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    }
    efx_parse__leave(p);
    e->args = list.v;
    e->n_args = list.n;
}

static void between_what(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    struct efx_ast_expr *low = efx_parse__sum(p);
    (void)efx_parse__expect_word(p, EFX_W_AND);
    efx_parse__args(p, e, left, low, efx_parse__sum(p));
}

static void like_what(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    struct efx_ast_expr *pattern = efx_parse__sum(p), *escape = NULL;
    if (efx_parse__at_word(p, EFX_W_ESCAPE) && e->op != EFX_AST_REGEXP) {
        efx_parse__advance(p);
        struct efx_tok t = *efx_parse__tok(p, 0);
        escape = efx_parse__node(p, EFX_AST_LITERAL, efx_parse__span(&t));
        escape->lit = EFX_AST_LIT_STRING;
        escape->str = efx_parse__string(p, "the escape character as a string");
        efx_parse__done(p, escape, t.off);
    }
    efx_parse__args(p, e, left, pattern, escape);
}

static enum efx_ast_op word_op(uint16_t word)
{
    return word == EFX_W_BETWEEN                         ? EFX_AST_BETWEEN
           : word == EFX_W_IN                            ? EFX_AST_IN_LIST
           : word == EFX_W_LIKE                          ? EFX_AST_LIKE
           : word == EFX_W_ILIKE                         ? EFX_AST_ILIKE
           : word == EFX_W_REGEXP || word == EFX_W_RLIKE ? EFX_AST_REGEXP
                                                         : 0;
}

static enum efx_ast_op word_op_at(const struct efx_parse *p, uint32_t ahead)
{
    uint16_t word = efx_parse__tok(p, ahead)->word;
    return p->no_in && word == EFX_W_IN ? 0 : word_op(word);
}

/* [ NOT ] BETWEEN … | IN … | LIKE … | REGEXP …, from the word on */
static void word_predicate(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *left)
{
    efx_parse__advance(p);
    if (e->op == EFX_AST_BETWEEN) {
        between_what(p, e, left);
    } else if (e->op == EFX_AST_IN_LIST) {
        in_what(p, e, left);
    } else {
        like_what(p, e, left);
    }
}

static bool is_predicate_next(const struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    return compare_op(t->kind) != 0 || t->word == EFX_W_IS || word_op_at(p, 0) != 0 ||
           (t->word == EFX_W_NOT && word_op_at(p, 1) != 0);
}

/* predicate = sum [ comparison | IS … | [ NOT ] … | CONTAINS IN … ]; they do not chain */
static struct efx_ast_expr *predicate(struct efx_parse *p)
{
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *left = efx_parse__sum(p), *e = NULL;
    struct efx_tok t = *efx_parse__tok(p, 0);
    uint16_t after = efx_parse__tok(p, 1)->word;
    bool negated = t.word == EFX_W_NOT && word_op_at(p, 1) != 0;
    if (compare_op(t.kind) != 0) {
        e = comparison(p, left, from);
    } else if (t.word == EFX_W_IS) {
        e = efx_parse__node(p, EFX_AST_IS, efx_parse__span(&t));
        efx_parse__advance(p);
        is_what(p, e, left);
    } else if (negated || word_op_at(p, 0) != 0) {
        e = efx_parse__node(p, word_op(negated ? after : t.word), efx_parse__span(&t));
        e->negated = negated;
        if (negated) {
            efx_parse__advance(p);
            e->op_at.len = efx_parse__here(p) + efx_parse__tok(p, 0)->len - e->op_at.off;
        }
        word_predicate(p, e, left);
    } else if (t.word == EFX_W_CONTAINS && after == EFX_W_IN) {
        e = efx_parse__node(p, EFX_AST_IN_TABLE, efx_parse__span(&t));
        efx_parse__advance(p);
        efx_parse__advance(p);
        in_table(p, e, left);
    } else {
        return left;
    }
    efx_parse__done(p, e, from);
    if (is_predicate_next(p)) {
        efx_parse__expected_hint(p, "AND, OR or the end of the expression",
                                 "comparisons do not chain: a < b AND b < c");
    }
    return e;
}

/* ---- logic ---- */

/* NOT where nothing follows that it could negate is a name without its quotes. */
static bool at_not(const struct efx_parse *p)
{
    uint8_t kind = efx_parse__tok(p, 1)->kind;
    return efx_parse__at_word(p, EFX_W_NOT) && kind != EFX_TOK_COMMA && kind != EFX_TOK_RPAREN &&
           kind != EFX_TOK_SEMICOLON && kind != EFX_TOK_END && !efx_parse__sees(p, 1, EFX_W_FROM) &&
           !efx_parse__sees(p, 1, EFX_W_AS);
}

/* not-expr = { NOT } predicate */
static struct efx_ast_expr *not_expr(struct efx_parse *p)
{
    if (!at_not(p)) {
        return predicate(p);
    }
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e = efx_parse__node(p, EFX_AST_NOT, efx_parse__span(efx_parse__tok(p, 0)));
    if (efx_parse__enter(p)) {
        efx_parse__advance(p);
        efx_parse__args(p, e, not_expr(p), NULL, NULL);
    }
    efx_parse__leave(p);
    return efx_parse__done(p, e, from);
}

struct operand { /* of a chain, with the operator before it */
    struct efx_ast_expr *e;
    struct efx_span op_at;
};

/* The tree over v[0..n); its depth of recursion is the logarithm of n. */
static struct efx_ast_expr *balanced(struct efx_parse *p, enum efx_ast_op op,
                                     const struct operand *v, uint32_t n)
{
    if (n == 1 || p->oom) {
        return v[0].e;
    }
    uint32_t half = (n + 1) / 2;
    struct efx_ast_expr *a = balanced(p, op, v, half);
    struct efx_ast_expr *b = balanced(p, op, v + half, n - half);
    struct efx_ast_expr *e = binary(p, op, v[half].op_at, a, b, a->at.off);
    e->at.len = b->at.off + b->at.len - a->at.off;
    return e;
}

/* and-expr = not-expr { AND not-expr }, and the same of OR over them */
static struct efx_ast_expr *chain(struct efx_parse *p, enum efx_ast_op op)
{
    enum efx_word word = op == EFX_AST_AND ? EFX_W_AND : EFX_W_OR;
    struct efx_parse_list list = {0};
    struct operand first = {.e = op == EFX_AST_AND ? not_expr(p) : chain(p, EFX_AST_AND)};
    if (!efx_parse__at_word(p, word)) {
        return first.e;
    }
    *EFX_PARSE_ADD(p, &list, struct operand) = first;
    while (efx_parse__at_word(p, word)) {
        struct operand next = {.op_at = efx_parse__span(efx_parse__tok(p, 0))};
        efx_parse__advance(p);
        next.e = op == EFX_AST_AND ? not_expr(p) : chain(p, EFX_AST_AND);
        *EFX_PARSE_ADD(p, &list, struct operand) = next;
    }
    return p->oom ? first.e : balanced(p, op, list.v, list.n);
}

struct efx_ast_expr *efx_parse__expr(struct efx_parse *p)
{
    return chain(p, EFX_AST_OR);
}

void efx_parse__exprs(struct efx_parse *p, struct efx_parse_list *list)
{
    do {
        struct efx_ast_expr *e = efx_parse__expr(p);
        *EFX_PARSE_ADD(p, list, struct efx_ast_expr *) = e;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
}
