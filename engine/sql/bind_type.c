/* Types and how they go together (language §2.1, §2.2, §2.4): what every other part of the binder
 * makes its nodes with.
 *
 * Conversions are explicit in the bound program: a number that is widened stands under a CAST, a
 * NULL literal gets the type of its place, a literal number is converted here and now.
 */
#include "bind.h"

struct type_word {
    const char *name;
    enum efx_type type;
    bool is_time;
    char args; /* '-' takes none, 'n' a length, 'p' precision and scale: warned of */
};

static const struct type_word words[] = {
    {"STRING", EFX_TYPE_STRING, false, '-'},   {"VARCHAR", EFX_TYPE_STRING, false, 'n'},
    {"CHAR", EFX_TYPE_STRING, false, 'n'},     {"CHARACTER VARYING", EFX_TYPE_STRING, false, 'n'},
    {"TEXT", EFX_TYPE_STRING, false, '-'},     {"INT", EFX_TYPE_INT, false, '-'},
    {"INTEGER", EFX_TYPE_INT, false, '-'},     {"INT4", EFX_TYPE_INT, false, '-'},
    {"INT2", EFX_TYPE_INT, false, '-'},        {"SMALLINT", EFX_TYPE_INT, false, '-'},
    {"TINYINT", EFX_TYPE_INT, false, '-'},     {"LONG", EFX_TYPE_LONG, false, '-'},
    {"BIGINT", EFX_TYPE_LONG, false, '-'},     {"INT8", EFX_TYPE_LONG, false, '-'},
    {"TIMESTAMP", EFX_TYPE_LONG, true, '-'},   {"DATETIME", EFX_TYPE_LONG, true, '-'},
    {"DATE", EFX_TYPE_LONG, true, '-'},        {"TIME", EFX_TYPE_LONG, true, '-'},
    {"FLOAT", EFX_TYPE_FLOAT, false, '-'},     {"REAL", EFX_TYPE_FLOAT, false, '-'},
    {"DOUBLE", EFX_TYPE_DOUBLE, false, '-'},   {"DOUBLE PRECISION", EFX_TYPE_DOUBLE, false, '-'},
    {"DECIMAL", EFX_TYPE_DOUBLE, false, 'p'},  {"NUMERIC", EFX_TYPE_DOUBLE, false, 'p'},
    {"BOOL", EFX_TYPE_BOOL, false, '-'},       {"BOOLEAN", EFX_TYPE_BOOL, false, '-'},
    {"BYTES", EFX_TYPE_BYTES, false, '-'},     {"BINARY", EFX_TYPE_BYTES, false, '-'},
    {"VARBINARY", EFX_TYPE_BYTES, false, '-'}, {"BLOB", EFX_TYPE_BYTES, false, '-'},
    {"BYTEA", EFX_TYPE_BYTES, false, '-'},     {"OBJECT", EFX_TYPE_OBJECT, false, '-'},
};
enum { N_WORDS = sizeof words / sizeof *words };

static void unknown_type(struct efx_binder *b, const struct efx_ast_type *t)
{
    const char *names[N_WORDS];
    for (uint32_t i = 0; i < N_WORDS; i++) {
        names[i] = words[i].name;
    }
    const char *hint = efx_diag_nearest(b->diags, efx_str_of(t->name), names, N_WORDS);
    if (hint == NULL) {
        hint = "types are STRING, INT, LONG, FLOAT, DOUBLE, BOOL, BYTES and OBJECT";
    }
    efx_diag_add(b->diags, 1103, t->at, hint, "unknown type '%s'", t->name);
}

bool efx_bind__type(struct efx_binder *b, const struct efx_ast_type *t, struct efx_schema_col *out)
{
    for (uint32_t i = 0; i < N_WORDS; i++) {
        const struct type_word *w = &words[i];
        if (!efx_str_equal_ci(efx_str_of(w->name), efx_str_of(t->name))) {
            continue;
        }
        if (t->has_args && w->args == '-') {
            efx_diag_add(b->diags, 1103, t->at, NULL, "type %s takes no length", w->name);
            return false;
        }
        if (t->has_args && w->args == 'p') {
            efx_diag_add(b->diags, 2101, t->at, NULL,
                         "precision and scale are not enforced: the column is DOUBLE");
        }
        out->type = w->type;
        out->is_time = w->is_time;
        return true;
    }
    unknown_type(b, t);
    return false;
}

struct efx_bx *efx_bind__node(struct efx_binder *b, enum efx_bx_op op, enum efx_type type,
                              struct efx_span at, uint32_t n_args)
{
    struct efx_bx *x = BIND_NEW(b, struct efx_bx);
    *x =
        (struct efx_bx){.op = op, .type = type, .at = at, .n_args = n_args, .src = EFX_BX_SRC_NONE};
    if (n_args > 0) {
        x->args = BIND_NEW_N(b, struct efx_bx *, n_args);
    }
    return x;
}

struct efx_bx *efx_bind__null(struct efx_binder *b, enum efx_type type, struct efx_span at)
{
    struct efx_bx *x = efx_bind__node(b, EFX_BX_CONST, type, at, 0);
    x->lit = efx_value_null(type);
    return x;
}

struct efx_bx *efx_bind__i64(struct efx_binder *b, int64_t v, struct efx_span at)
{
    bool fits = v >= INT32_MIN && v <= INT32_MAX;
    struct efx_bx *x = efx_bind__node(b, EFX_BX_CONST, fits ? EFX_TYPE_INT : EFX_TYPE_LONG, at, 0);
    x->lit.type = x->type;
    if (fits) {
        x->lit.i = (int32_t)v;
    } else {
        x->lit.l = v;
    }
    return x;
}

struct efx_bx *efx_bind__str(struct efx_binder *b, struct efx_str s, struct efx_span at)
{
    struct efx_bx *x = efx_bind__node(b, EFX_BX_CONST, EFX_TYPE_STRING, at, 0);
    x->lit = (struct efx_value){.type = EFX_TYPE_STRING, .s = s};
    return x;
}

bool efx_bind__is_null(const struct efx_bx *x)
{
    return x->type == EFX_TYPE_NONE;
}

/* A literal number as one of higher rank. */
static struct efx_bx *widen_literal(struct efx_binder *b, const struct efx_bx *x,
                                    enum efx_type type)
{
    struct efx_bx *y = efx_bind__node(b, EFX_BX_CONST, type, x->at, 0);
    y->lit = (struct efx_value){.type = type};
    int64_t l = x->type == EFX_TYPE_INT ? x->lit.i : x->lit.l;
    if (type == EFX_TYPE_LONG) {
        y->lit.l = l;
    } else if (type == EFX_TYPE_FLOAT) {
        y->lit.f = (float)l;
    } else {
        y->lit.d = x->type == EFX_TYPE_FLOAT ? (double)x->lit.f : (double)l;
    }
    return y;
}

struct efx_bx *efx_bind__to(struct efx_binder *b, struct efx_bx *x, enum efx_type type)
{
    if (x->type == type) {
        return x;
    }
    if (x->op == EFX_BX_CONST && x->lit.null) {
        return efx_bind__null(b, type, x->at);
    }
    if (x->op == EFX_BX_CONST && efx_type_is_number(x->type) && efx_type_is_number(type) &&
        x->type < type) {
        return widen_literal(b, x, type);
    }
    struct efx_bx *y = efx_bind__node(b, EFX_BX_CAST, type, x->at, 1);
    y->args[0] = x;
    return y;
}

struct efx_bx *efx_bind__not(struct efx_binder *b, struct efx_bx *x)
{
    if (x == NULL) {
        return NULL;
    }
    struct efx_bx *y = efx_bind__node(b, EFX_BX_NOT, EFX_TYPE_BOOL, x->at, 1);
    y->args[0] = x;
    return y;
}

struct efx_bx *efx_bind__and(struct efx_binder *b, struct efx_bx *x, struct efx_bx *y)
{
    if (x == NULL || y == NULL) {
        return x != NULL ? x : y;
    }
    uint32_t nx = x->op == EFX_BX_AND ? x->n_args : 1;
    uint32_t ny = y->op == EFX_BX_AND ? y->n_args : 1;
    struct efx_bx *both = efx_bind__node(b, EFX_BX_AND, EFX_TYPE_BOOL, x->at, nx + ny);
    for (uint32_t i = 0; i < nx; i++) {
        both->args[i] = x->op == EFX_BX_AND ? x->args[i] : x;
    }
    for (uint32_t i = 0; i < ny; i++) {
        both->args[nx + i] = y->op == EFX_BX_AND ? y->args[i] : y;
    }
    return both;
}

bool efx_bind__common(enum efx_type *into, enum efx_type t)
{
    if (t == EFX_TYPE_NONE || *into == t) {
        return true;
    }
    if (*into == EFX_TYPE_NONE) {
        *into = t;
        return true;
    }
    if (!efx_type_is_number(*into) || !efx_type_is_number(t)) {
        return false;
    }
    *into = t > *into ? t : *into;
    return true;
}

/* The type that the left side of comparisons takes: with it each item can be brought to the same
 * one, or the pair is LONG and DOUBLE, which compares exactly. */
static enum efx_type compared_as(enum efx_type x, uint32_t n, struct efx_bx *const *items)
{
    bool has[EFX_TYPES] = {false};
    for (uint32_t i = 0; i < n; i++) {
        has[items[i]->type] = true;
    }
    if (x == EFX_TYPE_INT) {
        bool decimal = has[EFX_TYPE_FLOAT] || has[EFX_TYPE_DOUBLE];
        return has[EFX_TYPE_LONG] ? EFX_TYPE_LONG : decimal ? EFX_TYPE_DOUBLE : EFX_TYPE_INT;
    }
    if (x == EFX_TYPE_FLOAT) {
        bool other = has[EFX_TYPE_INT] || has[EFX_TYPE_LONG] || has[EFX_TYPE_DOUBLE];
        return other ? EFX_TYPE_DOUBLE : EFX_TYPE_FLOAT;
    }
    return x;
}

static enum efx_type item_as(enum efx_type item, enum efx_type x)
{
    if (item == EFX_TYPE_NONE || !efx_type_is_number(item)) {
        return x;
    }
    if (x == EFX_TYPE_LONG) {
        return item == EFX_TYPE_FLOAT || item == EFX_TYPE_DOUBLE ? EFX_TYPE_DOUBLE : EFX_TYPE_LONG;
    }
    if (x == EFX_TYPE_DOUBLE && item == EFX_TYPE_LONG) {
        return EFX_TYPE_LONG;
    }
    return x;
}

static bool can_compare(enum efx_type x, enum efx_type y, bool ordered)
{
    if (efx_type_is_number(x)) {
        return efx_type_is_number(y);
    }
    return x == y && x != EFX_TYPE_OBJECT && (!ordered || x == EFX_TYPE_STRING);
}

/* 2301: a FLOAT column beside a decimal that no FLOAT is. */
static void warn_float(struct efx_binder *b, const struct efx_bx *x, const struct efx_bx *y,
                       struct efx_span at)
{
    if (x->type == EFX_TYPE_FLOAT && x->op == EFX_BX_COL && y->type == EFX_TYPE_DOUBLE &&
        y->op == EFX_BX_CONST && !y->lit.null && (double)(float)y->lit.d != y->lit.d) {
        efx_diag_add(b->diags, 2301, at, "CAST the decimal to FLOAT, or the column to DOUBLE",
                     "a FLOAT never equals this decimal");
    }
}

bool efx_bind__comparable(struct efx_binder *b, struct efx_bx **x, uint32_t n,
                          struct efx_bx **items, bool ordered, struct efx_span op_at)
{
    enum efx_type t = (*x)->type;
    for (uint32_t i = 0; i < n && t == EFX_TYPE_NONE; i++) {
        t = items[i]->type;
    }
    if (t == EFX_TYPE_NONE) {
        efx_diag_add(b->diags, 1303, op_at, "give one a type: CAST(NULL AS …)",
                     "nothing here gives NULL a type");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        enum efx_type u = items[i]->type;
        if (!can_compare(t, u == EFX_TYPE_NONE ? t : u, ordered)) {
            u = u == EFX_TYPE_NONE ? t : u;
            const char *hint = t == u ? NULL : "CAST one of them to the other's type";
            efx_diag_add(b->diags, 1301, op_at, hint, "cannot %s %s with %s",
                         ordered && t == u ? "order" : "compare", efx_type_name(t),
                         efx_type_name(u));
            return false;
        }
        if (!ordered) {
            warn_float(b, *x, items[i], op_at);
            warn_float(b, items[i], *x, op_at);
        }
    }
    t = compared_as(t, n, items);
    *x = efx_bind__to(b, *x, t);
    for (uint32_t i = 0; i < n; i++) {
        items[i] = efx_bind__to(b, items[i], item_as(items[i]->type, t));
    }
    return true;
}

struct efx_bx *efx_bind__equal(struct efx_binder *b, struct efx_bx *x, struct efx_bx *y,
                               struct efx_span at)
{
    if (x == NULL || y == NULL || !efx_bind__comparable(b, &x, 1, &y, false, at)) {
        return NULL;
    }
    struct efx_bx *eq = efx_bind__node(b, EFX_BX_EQ, EFX_TYPE_BOOL, at, 2);
    eq->args[0] = x;
    eq->args[1] = y;
    return eq;
}

/* The table of language §2.2. */
static bool can_cast(enum efx_type from, enum efx_type to)
{
    if (from == to || from == EFX_TYPE_NONE) {
        return true;
    }
    bool number = efx_type_is_number(from), whole = from <= EFX_TYPE_LONG;
    switch (to) {
    case EFX_TYPE_STRING: return number || from == EFX_TYPE_BOOL || from == EFX_TYPE_BYTES;
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG: return number || from == EFX_TYPE_STRING || from == EFX_TYPE_BOOL;
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE: return number || from == EFX_TYPE_STRING;
    case EFX_TYPE_BOOL: return whole || from == EFX_TYPE_STRING;
    case EFX_TYPE_NONE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    return false;
}

struct efx_bx *efx_bind__cast(struct efx_binder *b, struct efx_bx *x, enum efx_type type,
                              struct efx_span at)
{
    if (!can_cast(x->type, type)) {
        efx_diag_add(b->diags, 1304, at, NULL, "%s cannot be cast to %s", efx_type_name(x->type),
                     efx_type_name(type));
        return NULL;
    }
    return efx_bind__to(b, x, type);
}

struct efx_bx *efx_bind__store(struct efx_binder *b, struct efx_bx *x,
                               const struct efx_schema_col *col, struct efx_span at)
{
    if (x->type == col->type || x->type == EFX_TYPE_NONE) {
        return efx_bind__to(b, x, col->type);
    }
    if (!efx_type_is_number(x->type) || !efx_type_is_number(col->type)) {
        const char *hint = NULL;
        if (can_cast(x->type, col->type)) {
            hint = efx_bind__fmt(b, "CAST(… AS %s)", efx_type_name(col->type));
        }
        efx_diag_add(b->diags, 1310, at, hint, "%s does not go into column '%s' of type %s",
                     efx_type_name(x->type), col->name, efx_type_name(col->type));
        return NULL;
    }
    if (x->type < col->type) {
        return efx_bind__to(b, x, col->type);
    }
    efx_diag_add(b->diags, 2302, at, efx_bind__fmt(b, "CAST(… AS %s)", efx_type_name(col->type)),
                 "%s is narrowed to %s of column '%s', checked at run time", efx_type_name(x->type),
                 efx_type_name(col->type), col->name);
    struct efx_bx *y = efx_bind__node(b, EFX_BX_NARROW, col->type, at, 1);
    y->args[0] = x;
    return y;
}

static bool same_value(const struct efx_value *a, const struct efx_value *b)
{
    if (a->type != b->type || a->null != b->null) {
        return false;
    }
    if (a->null) {
        return true;
    }
    switch (a->type) {
    case EFX_TYPE_INT: return a->i == b->i;
    case EFX_TYPE_LONG: return a->l == b->l;
    case EFX_TYPE_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case EFX_TYPE_DOUBLE: return memcmp(&a->d, &b->d, sizeof a->d) == 0;
    case EFX_TYPE_BOOL: return a->b == b->b;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return efx_str_equal(a->s, b->s);
    case EFX_TYPE_NONE: break;
    }
    return true;
}

/* The same value for every row: uuid() is never the same as another. */
bool efx_bind__same(const struct efx_bx *x, const struct efx_bx *y)
{
    if (x == y) {
        return true;
    }
    if (x == NULL || y == NULL || x->op != y->op || x->type != y->type || x->n_args != y->n_args ||
        x->op == EFX_BX_UUID || x->op == EFX_BX_ELEM_AGG || x->src != y->src || x->col != y->col ||
        x->index.kind != y->index.kind || x->index.n != y->index.n || x->func != y->func ||
        x->table != y->table || x->escape != y->escape) {
        return false;
    }
    if (x->op == EFX_BX_CONST && !same_value(&x->lit, &y->lit)) {
        return false;
    }
    for (uint32_t i = 0; i < x->n_args; i++) {
        if (!efx_bind__same(x->args[i], y->args[i])) {
            return false;
        }
    }
    return true;
}

/* Whole numbers only, which is what LIMIT and window arguments are made of. */
bool efx_bind__fold_i64(const struct efx_bx *x, int64_t *out)
{
    int64_t a, c = 0;
    if (x->op == EFX_BX_CONST) {
        if (x->lit.null || (x->type != EFX_TYPE_INT && x->type != EFX_TYPE_LONG)) {
            return false;
        }
        *out = x->type == EFX_TYPE_INT ? x->lit.i : x->lit.l;
        return true;
    }
    bool whole = x->type == EFX_TYPE_INT || x->type == EFX_TYPE_LONG;
    bool known = x->op == EFX_BX_NEG || x->op == EFX_BX_ADD || x->op == EFX_BX_SUB ||
                 x->op == EFX_BX_MUL || x->op == EFX_BX_CAST;
    if (!whole || !known || !efx_bind__fold_i64(x->args[0], &a) ||
        (x->n_args == 2 && !efx_bind__fold_i64(x->args[1], &c))) {
        return false;
    }
    uint64_t r = (uint64_t)a;
    if (x->op == EFX_BX_NEG) {
        r = 0 - r;
    } else if (x->op == EFX_BX_ADD) {
        r += (uint64_t)c;
    } else if (x->op == EFX_BX_SUB) {
        r -= (uint64_t)c;
    } else if (x->op == EFX_BX_MUL) {
        r *= (uint64_t)c;
    }
    *out = x->type == EFX_TYPE_INT ? (int32_t)(uint32_t)r : (int64_t)r;
    return true;
}
