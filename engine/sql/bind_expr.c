/* Operators (language §2.4): operands bound, types brought together, one node made. */
#include "bind.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct operands {
    uint32_t n;
    struct efx_bx **v;
    bool ok;
};

static struct operands bind_args(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = {e->n_args, BIND_NEW_N(sc->b, struct efx_bx *, e->n_args + 1), true};
    for (uint32_t i = 0; i < e->n_args; i++) {
        a.v[i] = efx_bind__expr(sc, e->args[i]);
        a.ok = a.ok && a.v[i] != NULL;
    }
    return a;
}

static struct efx_bx *with_args(struct efx_binder *b, enum efx_bx_op op, enum efx_type type,
                                struct efx_span at, const struct operands *a)
{
    struct efx_bx *x = efx_bind__node(b, op, type, at, 0);
    x->n_args = a->n;
    x->args = a->v;
    return x;
}

static struct efx_bx *literal(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_bx *x;
    switch (e->lit) {
    case EFX_AST_LIT_STRING: return efx_bind__str(sc->b, e->str, e->at);
    case EFX_AST_LIT_INT: return efx_bind__i64(sc->b, e->i, e->at);
    case EFX_AST_LIT_DOUBLE:
        x = efx_bind__null(sc->b, EFX_TYPE_DOUBLE, e->at);
        x->lit = (struct efx_value){.type = EFX_TYPE_DOUBLE, .d = e->d};
        return x;
    case EFX_AST_LIT_BOOL:
        x = efx_bind__null(sc->b, EFX_TYPE_BOOL, e->at);
        x->lit = (struct efx_value){.type = EFX_TYPE_BOOL, .b = e->i != 0};
        return x;
    case EFX_AST_LIT_INTERVAL:
        x = efx_bind__null(sc->b, EFX_TYPE_LONG, e->at);
        x->lit = (struct efx_value){.type = EFX_TYPE_LONG, .l = e->i};
        return x;
    case EFX_AST_LIT_NULL: break;
    }
    return efx_bind__null(sc->b, EFX_TYPE_NONE, e->at);
}

static void no_type(struct efx_binder *b, struct efx_span at)
{
    efx_diag_add(b->diags, 1303, at, "CAST(NULL AS …)", "nothing here gives NULL a type");
}

static struct efx_bx *sign(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    if (!a.ok) {
        return NULL;
    }
    if (a.v[0]->type == EFX_TYPE_NONE) {
        no_type(sc->b, e->at);
        return NULL;
    }
    if (!efx_type_is_number(a.v[0]->type)) {
        efx_diag_add(sc->b->diags, 1301, e->op_at, NULL, "a sign needs a number, not %s",
                     efx_type_name(a.v[0]->type));
        return NULL;
    }
    return e->op == EFX_AST_POS ? a.v[0] : with_args(sc->b, EFX_BX_NEG, a.v[0]->type, e->at, &a);
}

struct op_word {
    enum efx_bx_op op;
    const char *verb;
};

static struct op_word arithmetic_of(enum efx_ast_op op)
{
    if (op == EFX_AST_ADD) {
        return (struct op_word){EFX_BX_ADD, "add"};
    }
    if (op == EFX_AST_SUB) {
        return (struct op_word){EFX_BX_SUB, "subtract"};
    }
    if (op == EFX_AST_MUL) {
        return (struct op_word){EFX_BX_MUL, "multiply"};
    }
    return op == EFX_AST_DIV ? (struct op_word){EFX_BX_DIV, "divide"}
                             : (struct op_word){EFX_BX_MOD, "take the remainder of"};
}

static struct efx_bx *arithmetic(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    if (!a.ok) {
        return NULL;
    }
    struct op_word w = arithmetic_of(e->op);
    enum efx_type t = EFX_TYPE_NONE, l = a.v[0]->type, r = a.v[1]->type;
    if (l == EFX_TYPE_NONE && r == EFX_TYPE_NONE) {
        no_type(sc->b, e->op_at);
        return NULL;
    }
    bool numbers = (l == EFX_TYPE_NONE || efx_type_is_number(l)) &&
                   (r == EFX_TYPE_NONE || efx_type_is_number(r));
    if (!numbers || !efx_bind__common(&t, l) || !efx_bind__common(&t, r)) {
        bool text = e->op == EFX_AST_ADD && (l == EFX_TYPE_STRING || r == EFX_TYPE_STRING);
        efx_diag_add(sc->b->diags, 1301, e->op_at, text ? "texts are joined with ||" : NULL,
                     "cannot %s %s and %s", w.verb, efx_type_name(l), efx_type_name(r));
        return NULL;
    }
    t = e->op == EFX_AST_DIV ? EFX_TYPE_DOUBLE : t;
    a.v[0] = efx_bind__to(sc->b, a.v[0], t);
    a.v[1] = efx_bind__to(sc->b, a.v[1], t);
    return with_args(sc->b, w.op, t, e->at, &a);
}

/* All operands STRING; NULL literals are. */
static bool texts(struct efx_binder *b, struct operands *a, uint32_t n, const char *what)
{
    for (uint32_t i = 0; i < n; i++) {
        if (a->v[i]->type != EFX_TYPE_STRING && a->v[i]->type != EFX_TYPE_NONE) {
            efx_diag_add(b->diags, 1301, a->v[i]->at, "CAST(… AS STRING)",
                         "%s needs STRING, not %s", what, efx_type_name(a->v[i]->type));
            return false;
        }
        a->v[i] = efx_bind__to(b, a->v[i], EFX_TYPE_STRING);
    }
    return true;
}

static struct efx_bx *concat(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    if (!a.ok || !texts(sc->b, &a, a.n, "||")) {
        return NULL;
    }
    return with_args(sc->b, EFX_BX_CONCAT, EFX_TYPE_STRING, e->at, &a);
}

static struct efx_bx *compare_as(struct efx_binder *b, enum efx_bx_op op, struct efx_bx *x,
                                 struct efx_bx *y, struct efx_span at, struct efx_span op_at)
{
    bool ordered = op != EFX_BX_EQ && op != EFX_BX_NE && op != EFX_BX_NOT_DISTINCT;
    if (x == NULL || y == NULL || !efx_bind__comparable(b, &x, 1, &y, ordered, op_at)) {
        return NULL;
    }
    struct efx_bx *c = efx_bind__node(b, op, EFX_TYPE_BOOL, at, 2);
    c->args[0] = x;
    c->args[1] = y;
    return c;
}

static struct efx_bx *compare(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    enum efx_bx_op op = e->op == EFX_AST_EQ   ? EFX_BX_EQ
                        : e->op == EFX_AST_NE ? EFX_BX_NE
                        : e->op == EFX_AST_LT ? EFX_BX_LT
                        : e->op == EFX_AST_LE ? EFX_BX_LE
                        : e->op == EFX_AST_GT ? EFX_BX_GT
                                              : EFX_BX_GE;
    return compare_as(sc->b, op, a.v[0], a.v[1], e->at, e->op_at);
}

/* BOOL operand, of whatever place; NULL = failed. */
static struct efx_bx *truth(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                            const char *what)
{
    struct efx_bx *x = efx_bind__expr(sc, e);
    if (x != NULL && x->type != EFX_TYPE_BOOL && x->type != EFX_TYPE_NONE) {
        efx_diag_add(sc->b->diags, 1301, e->at, NULL, "%s needs BOOL, not %s", what,
                     efx_type_name(x->type));
        return NULL;
    }
    return x != NULL ? efx_bind__to(sc->b, x, EFX_TYPE_BOOL) : NULL;
}

/* a AND b AND c is one node. */
static void flatten(struct efx_bind_scope *sc, const struct efx_ast_expr *e, enum efx_ast_op op,
                    struct operands *a)
{
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (e->args[i]->op == op) {
            flatten(sc, e->args[i], op, a);
            continue;
        }
        struct efx_bx *x = truth(sc, e->args[i], op == EFX_AST_AND ? "AND" : "OR");
        a->v = efx_bind__grow(sc->b, a->v, a->n, sizeof(struct efx_bx *));
        a->v[a->n++] = x;
        a->ok = a->ok && x != NULL;
    }
}

static struct efx_bx *logic(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = {.ok = true};
    flatten(sc, e, e->op, &a);
    enum efx_bx_op op = e->op == EFX_AST_AND ? EFX_BX_AND : EFX_BX_OR;
    return a.ok ? with_args(sc->b, op, EFX_TYPE_BOOL, e->at, &a) : NULL;
}

/* `e IS NULL` of a pattern's element; NULL = it is none. */
static struct efx_bx *is_bound(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    const struct efx_ast_expr *arg = e->args[0];
    if (!sc->pattern || e->is != EFX_AST_IS_NULL || arg->op != EFX_AST_REF ||
        arg->qualifier.s != NULL) {
        return NULL;
    }
    uint32_t i = efx_bind__side_of(sc, arg->name.s);
    if (i == EFX_NO_COL || sc->sides[i].qualifier == NULL ||
        strcmp(sc->sides[i].qualifier, arg->name.s) != 0) {
        return NULL;
    }
    struct efx_bx *x = efx_bind__node(sc->b, EFX_BX_IS_BOUND, EFX_TYPE_BOOL, e->at, 0);
    x->src = sc->sides[i].src;
    return e->negated ? x : efx_bind__not(sc->b, x);
}

static struct efx_bx *is(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_bx *x = is_bound(sc, e);
    if (x != NULL) {
        return x;
    }
    if (e->is == EFX_AST_IS_DISTINCT) {
        struct operands a = bind_args(sc, e);
        x = compare_as(sc->b, EFX_BX_NOT_DISTINCT, a.v[0], a.v[1], e->at, e->op_at);
        return e->negated ? x : efx_bind__not(sc->b, x);
    }
    x = e->is == EFX_AST_IS_NULL ? efx_bind__expr(sc, e->args[0]) : truth(sc, e->args[0], "IS");
    if (x == NULL) {
        return NULL;
    }
    if (x->type == EFX_TYPE_NONE) {
        no_type(sc->b, e->at);
        return NULL;
    }
    enum efx_bx_op op = e->is == EFX_AST_IS_TRUE    ? EFX_BX_IS_TRUE
                        : e->is == EFX_AST_IS_FALSE ? EFX_BX_IS_FALSE
                                                    : EFX_BX_IS_NULL;
    struct operands a = {1, BIND_NEW(sc->b, struct efx_bx *), true};
    a.v[0] = x;
    x = with_args(sc->b, op, EFX_TYPE_BOOL, e->at, &a);
    return e->negated ? efx_bind__not(sc->b, x) : x;
}

static struct efx_bx *between(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    struct efx_bx *low = compare_as(sc->b, EFX_BX_GE, a.v[0], a.v[1], e->at, e->op_at);
    struct efx_bx *high = compare_as(sc->b, EFX_BX_LE, a.v[0], a.v[2], e->at, e->op_at);
    if (low == NULL || high == NULL) {
        return NULL;
    }
    struct efx_bx *both = efx_bind__and(sc->b, low, high);
    return e->negated ? efx_bind__not(sc->b, both) : both;
}

static struct efx_bx *in_list(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    if (!a.ok || !efx_bind__comparable(sc->b, &a.v[0], a.n - 1, a.v + 1, false, e->op_at)) {
        return NULL;
    }
    struct efx_bx *x = with_args(sc->b, EFX_BX_IN_LIST, EFX_TYPE_BOOL, e->at, &a);
    return e->negated ? efx_bind__not(sc->b, x) : x;
}

/* The one code point of ESCAPE 'c'; 0 = none; false = more than one. */
static bool escape_char(struct efx_str s, uint32_t *out)
{
    *out = 0;
    if (s.n == 0) {
        return true;
    }
    const uint8_t *p = (const uint8_t *)s.p;
    uint32_t n = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (s.n != n) {
        return false;
    }
    *out = n == 1 ? p[0] : p[0] & (0xFFu >> (n + 1));
    for (uint32_t i = 1; i < n; i++) {
        *out = *out << 6 | (p[i] & 0x3Fu);
    }
    return true;
}

static struct efx_bx *like(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = {2, BIND_NEW_N(sc->b, struct efx_bx *, 2), true};
    a.v[0] = efx_bind__expr(sc, e->args[0]);
    a.v[1] = efx_bind__expr(sc, e->args[1]);
    if (a.v[0] == NULL || a.v[1] == NULL ||
        !texts(sc->b, &a, 2, e->op == EFX_AST_LIKE ? "LIKE" : "ILIKE")) {
        return NULL;
    }
    uint32_t escape = '\\';
    if (e->n_args == 3 && !escape_char(e->args[2]->str, &escape)) {
        efx_diag_add(sc->b->diags, 1305, e->args[2]->at, NULL, "ESCAPE takes one character");
        return NULL;
    }
    enum efx_bx_op op = e->op == EFX_AST_LIKE ? EFX_BX_LIKE : EFX_BX_ILIKE;
    struct efx_bx *x = with_args(sc->b, op, EFX_TYPE_BOOL, e->at, &a);
    x->escape = escape;
    return e->negated ? efx_bind__not(sc->b, x) : x;
}

bool efx_bind__regexp_ok(struct efx_binder *b, const struct efx_bx *pattern)
{
    if (pattern->op != EFX_BX_CONST || pattern->lit.null) {
        return true;
    }
    int code;
    PCRE2_SIZE off;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern->lit.s.p, pattern->lit.s.n, PCRE2_UTF, &code, &off, NULL);
    if (re != NULL) {
        pcre2_code_free(re);
        return true;
    }
    PCRE2_UCHAR text[160];
    pcre2_get_error_message(code, text, sizeof text);
    efx_diag_add(b->diags, 1305, pattern->at, NULL, "bad regular expression: %s", (char *)text);
    return false;
}

static struct efx_bx *regexp(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct operands a = bind_args(sc, e);
    if (!a.ok || !texts(sc->b, &a, 2, "REGEXP") || !efx_bind__regexp_ok(sc->b, a.v[1])) {
        return NULL;
    }
    struct efx_bx *x = with_args(sc->b, EFX_BX_REGEXP, EFX_TYPE_BOOL, e->at, &a);
    return e->negated ? efx_bind__not(sc->b, x) : x;
}

/* WHEN of a CASE: with a subject the comparison. */
static struct efx_bx *when(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                           struct efx_bx *subject, bool has_subject)
{
    if (!has_subject) {
        return efx_bind__cond(sc, e);
    }
    struct efx_bx *x = efx_bind__expr(sc, e);
    return efx_bind__equal(sc->b, subject, x, e->at);
}

static struct efx_bx *case_(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    uint32_t at = e->has_subject ? 1 : 0, pairs = (e->n_args - at) / 2;
    struct efx_bx *subject = e->has_subject ? efx_bind__expr(sc, e->args[0]) : NULL;
    struct operands a = {2 * pairs + 1, BIND_NEW_N(b, struct efx_bx *, 2 * pairs + 1), true};
    enum efx_type type = EFX_TYPE_NONE;
    for (uint32_t i = 0; i < a.n; i++, at++) {
        bool is_else = i == 2 * pairs, is_when = !is_else && i % 2 == 0;
        if (is_else && !e->has_else) {
            a.v[i] = efx_bind__null(b, EFX_TYPE_NONE, e->at);
            continue;
        }
        a.v[i] = is_when ? when(sc, e->args[at], subject, e->has_subject)
                         : efx_bind__expr(sc, e->args[at]);
        if (a.v[i] == NULL) {
            a.ok = false;
        } else if (!is_when && !efx_bind__common(&type, a.v[i]->type)) {
            efx_diag_add(b->diags, 1303, a.v[i]->at, "CAST one of them",
                         "%s and %s have no common type", efx_type_name(type),
                         efx_type_name(a.v[i]->type));
            a.ok = false;
        }
    }
    if (a.ok && type == EFX_TYPE_NONE) {
        no_type(b, e->at);
        a.ok = false;
    }
    for (uint32_t i = 0; a.ok && i < a.n; i++) {
        bool is_when = i < 2 * pairs && i % 2 == 0;
        a.v[i] = efx_bind__to(b, a.v[i], is_when ? EFX_TYPE_BOOL : type);
    }
    return a.ok ? with_args(b, EFX_BX_CASE, type, e->at, &a) : NULL;
}

static struct efx_bx *cast(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_schema_col to = {0};
    struct efx_bx *x = efx_bind__expr(sc, e->args[0]);
    if (!efx_bind__type(sc->b, &e->type, &to) || x == NULL) {
        return NULL;
    }
    return efx_bind__cast(sc->b, x, to.type, e->at);
}

static struct efx_bx *not_(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    return efx_bind__not(sc->b, truth(sc, e->args[0], "NOT"));
}

struct efx_bx *efx_bind__expr(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    switch (e->op) {
    case EFX_AST_LITERAL: return literal(sc, e);
    case EFX_AST_REF: return efx_bind__ref(sc, e);
    case EFX_AST_NEG:
    case EFX_AST_POS: return sign(sc, e);
    case EFX_AST_NOT: return not_(sc, e);
    case EFX_AST_ADD:
    case EFX_AST_SUB:
    case EFX_AST_MUL:
    case EFX_AST_DIV:
    case EFX_AST_MOD: return arithmetic(sc, e);
    case EFX_AST_CONCAT: return concat(sc, e);
    case EFX_AST_EQ:
    case EFX_AST_NE:
    case EFX_AST_LT:
    case EFX_AST_LE:
    case EFX_AST_GT:
    case EFX_AST_GE: return compare(sc, e);
    case EFX_AST_AND:
    case EFX_AST_OR: return logic(sc, e);
    case EFX_AST_IS: return is(sc, e);
    case EFX_AST_BETWEEN: return between(sc, e);
    case EFX_AST_IN_LIST: return in_list(sc, e);
    case EFX_AST_IN_TABLE: return efx_bind__in_table(sc, e);
    case EFX_AST_LIKE:
    case EFX_AST_ILIKE: return like(sc, e);
    case EFX_AST_REGEXP: return regexp(sc, e);
    case EFX_AST_CASE: return case_(sc, e);
    case EFX_AST_CAST: return cast(sc, e);
    case EFX_AST_CALL: return efx_bind__call(sc, e);
    case EFX_AST_EXTRACT: return efx_bind__extract(sc, e);
    case EFX_AST_TRIM: return efx_bind__trim(sc, e);
    case EFX_AST_STAR: break;
    }
    efx_diag_add(sc->b->diags, 1001, e->at, NULL, "'*' stands in count(*) only");
    return NULL;
}

struct efx_bx *efx_bind__cond(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_bx *x = efx_bind__expr(sc, e);
    if (x == NULL) {
        return NULL;
    }
    if (x->type != EFX_TYPE_BOOL && x->type != EFX_TYPE_NONE) {
        efx_diag_add(sc->b->diags, 1302, e->at, NULL, "a condition must be BOOL, not %s",
                     efx_type_name(x->type));
        return NULL;
    }
    return efx_bind__to(sc->b, x, EFX_TYPE_BOOL);
}
