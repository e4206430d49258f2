/* Operators on single values, each written straight from the language reference and apart from the
 * kernels, which are tested against it.
 */
#include "efx_eval.h"

#include "efx_hash.h"
#include "efx_text.h"

#include <math.h>

/* ---- numbers ---- */

static int64_t wrap_int(enum efx_bx_op op, int64_t a, int64_t b, bool *null)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    if (op == EFX_BX_MOD) {
        *null = b == 0;
        return b == 0 || b == -1 ? 0 : a % b;
    }
    return (int64_t)(op == EFX_BX_NEG   ? 0 - x
                     : op == EFX_BX_ADD ? x + y
                     : op == EFX_BX_SUB ? x - y
                                        : x * y);
}

static double real(enum efx_bx_op op, double a, double b, bool *null)
{
    *null = b == 0 && (op == EFX_BX_DIV || op == EFX_BX_MOD);
    return op == EFX_BX_NEG   ? -a
           : op == EFX_BX_ADD ? a + b
           : op == EFX_BX_SUB ? a - b
           : op == EFX_BX_MUL ? a * b
           : op == EFX_BX_DIV ? a / b
                              : fmod(a, b);
}

/* Two FLOATs give the same FLOAT whether added, multiplied … in FLOAT or rounded from DOUBLE: 53
 * bits are more than twice 24 and two. */
static void arith(const struct efx_bx *bx, const struct efx_value *a, struct efx_value *out)
{
    const struct efx_value none = {.type = bx->type};
    const struct efx_value *b = bx->n_args > 1 ? a + 1 : &none;
    if (bx->type == EFX_TYPE_INT) {
        out->i = (int32_t)wrap_int(bx->op, a->i, b->i, &out->null);
    } else if (bx->type == EFX_TYPE_LONG) {
        out->l = wrap_int(bx->op, a->l, b->l, &out->null);
    } else if (bx->type == EFX_TYPE_FLOAT) {
        out->f = (float)real(bx->op, (double)a->f, (double)b->f, &out->null);
    } else {
        out->d = real(bx->op, a->d, b->d, &out->null);
    }
    if (out->null) {
        *out = efx_value_null(bx->type);
    }
}

static bool compare(enum efx_bx_op op, int c)
{
    return op == EFX_BX_EQ   ? c == 0
           : op == EFX_BX_NE ? c != 0
           : op == EFX_BX_LT ? c < 0
           : op == EFX_BX_LE ? c <= 0
           : op == EFX_BX_GT ? c > 0
                             : c >= 0;
}

/* ---- conversions ---- */

static double real_of(const struct efx_value *v)
{
    return v->type == EFX_TYPE_FLOAT ? (double)v->f : v->d;
}

/* Whole part as an integer; false = NaN, infinite or beyond LONG. */
static bool whole_of(const struct efx_value *v, int64_t *out)
{
    if (v->type == EFX_TYPE_INT || v->type == EFX_TYPE_LONG || v->type == EFX_TYPE_BOOL) {
        *out = v->type == EFX_TYPE_INT ? v->i : v->type == EFX_TYPE_LONG ? v->l : v->b;
        return true;
    }
    double d = trunc(real_of(v));
    if (!(d >= -0x1p63 && d < 0x1p63)) {
        return false;
    }
    *out = (int64_t)d;
    return true;
}

static float float_of(const struct efx_value *v)
{
    return v->type == EFX_TYPE_INT     ? (float)v->i
           : v->type == EFX_TYPE_LONG  ? (float)v->l
           : v->type == EFX_TYPE_FLOAT ? v->f
                                       : (float)v->d;
}

static double double_of(const struct efx_value *v)
{
    return v->type == EFX_TYPE_INT    ? (double)v->i
           : v->type == EFX_TYPE_LONG ? (double)v->l
                                      : real_of(v);
}

/* Among numbers and BOOL; false = cannot be done for this value. */
static bool convert(const struct efx_value *v, enum efx_type to, struct efx_value *out)
{
    int64_t l = 0;
    *out = (struct efx_value){.type = to};
    switch (to) {
    case EFX_TYPE_INT:
        if (!whole_of(v, &l) || l < INT32_MIN || l > INT32_MAX) {
            return false;
        }
        out->i = (int32_t)l;
        return true;
    case EFX_TYPE_LONG: return whole_of(v, &out->l);
    case EFX_TYPE_FLOAT: out->f = float_of(v); return true;
    case EFX_TYPE_DOUBLE: out->d = double_of(v); return true;
    case EFX_TYPE_BOOL: out->b = whole_of(v, &l) && l != 0; return true;
    case EFX_TYPE_NONE:
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    efx_panic(__FILE__, __LINE__, "a CAST that the binder refuses");
}

void efx_eval_cast(const struct efx_value *v, enum efx_type to, struct efx_arena *tmp,
                   struct efx_value *out)
{
    struct efx_value result = {.type = to};
    bool ok = !v->null;
    if (v->null) {
        /* stays NULL */
    } else if (v->type == to) {
        result = *v;
    } else if (to == EFX_TYPE_STRING) {
        char *buf = efx_text__room(tmp, 40);
        result.s = (struct efx_str){buf, efx_text__of(v, buf)};
    } else if (v->type == EFX_TYPE_STRING) {
        ok = efx_text__parse(v->s, to, &result);
    } else {
        ok = convert(v, to, &result);
    }
    *out = ok ? result : efx_value_null(to);
}

uint16_t efx_eval_narrow(const struct efx_value *v, enum efx_type to, struct efx_value *out)
{
    struct efx_value result = {.type = to};
    bool ok = v->null || v->type == to || convert(v, to, &result);
    *out = v->null || !ok ? efx_value_null(to) : v->type == to ? *v : result;
    return ok ? 0 : 3101;
}

/* ---- the operators ---- */

static void concat(const struct efx_value *a, struct efx_arena *tmp, struct efx_value *out)
{
    char *p = efx_text__room(tmp, (size_t)a[0].s.n + a[1].s.n);
    memcpy(p, a[0].s.n == 0 ? "" : a[0].s.p, a[0].s.n);
    memcpy(p + a[0].s.n, a[1].s.n == 0 ? "" : a[1].s.p, a[1].s.n);
    out->s = (struct efx_str){p, a[0].s.n + a[1].s.n};
}

static bool never_null(enum efx_bx_op op)
{
    return op == EFX_BX_NOT_DISTINCT || op == EFX_BX_IS_NULL || op == EFX_BX_IS_TRUE ||
           op == EFX_BX_IS_FALSE || op == EFX_BX_NARROW || op == EFX_BX_CAST;
}

static bool any_null(const struct efx_value *args, uint32_t n)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        any = any || args[i].null;
    }
    return any;
}

static bool not_distinct(const struct efx_value *a)
{
    return a[0].null || a[1].null ? a[0].null && a[1].null : efx_value_compare(&a[0], &a[1]) == 0;
}

static uint16_t evaluate(const struct efx_bx *bx, const struct efx_value *a, struct efx_arena *tmp,
                         struct efx_value *out)
{
    switch (bx->op) {
    case EFX_BX_CALL: return bx->func->value(a, bx->n_args, tmp, out);
    case EFX_BX_CAST: efx_eval_cast(a, bx->type, tmp, out); return 0;
    case EFX_BX_NARROW: return efx_eval_narrow(a, bx->type, out);
    case EFX_BX_NEG:
    case EFX_BX_ADD:
    case EFX_BX_SUB:
    case EFX_BX_MUL:
    case EFX_BX_DIV:
    case EFX_BX_MOD: arith(bx, a, out); return 0;
    case EFX_BX_CONCAT: concat(a, tmp, out); return 0;
    case EFX_BX_EQ:
    case EFX_BX_NE:
    case EFX_BX_LT:
    case EFX_BX_LE:
    case EFX_BX_GT:
    case EFX_BX_GE: out->b = compare(bx->op, efx_value_compare(&a[0], &a[1])); return 0;
    case EFX_BX_NOT_DISTINCT: out->b = not_distinct(a); return 0;
    case EFX_BX_NOT: out->b = !a->b; return 0;
    case EFX_BX_IS_NULL: out->b = a->null; return 0;
    case EFX_BX_IS_TRUE: out->b = !a->null && a->b; return 0;
    case EFX_BX_IS_FALSE: out->b = !a->null && !a->b; return 0;
    case EFX_BX_LIKE: out->b = efx_text__like(a[0].s, a[1].s, bx->escape, false); return 0;
    case EFX_BX_ILIKE: out->b = efx_text__like(a[0].s, a[1].s, bx->escape, true); return 0;
    case EFX_BX_REGEXP: return efx_text__regexp(a[0].s, a[1].s, tmp, &out->b);
    case EFX_BX_CONST:
    case EFX_BX_COL:
    case EFX_BX_AGG:
    case EFX_BX_ELEM_AGG:
    case EFX_BX_IS_BOUND:
    case EFX_BX_AND:
    case EFX_BX_OR:
    case EFX_BX_IN_LIST:
    case EFX_BX_IN_TABLE:
    case EFX_BX_EXISTS:
    case EFX_BX_CASE:
    case EFX_BX_COALESCE:
    case EFX_BX_NOW:
    case EFX_BX_EVENT_TS:
    case EFX_BX_UUID: break;
    }
    efx_panic(__FILE__, __LINE__, "an operator whose operands are not values");
}

uint16_t efx_eval_op(const struct efx_bx *bx, const struct efx_value *args, struct efx_arena *tmp,
                     struct efx_value *out)
{
    bool strict = bx->op == EFX_BX_CALL ? bx->func->strict : !never_null(bx->op);
    if (strict && any_null(args, bx->n_args)) {
        *out = efx_value_null(bx->type);
        return 0;
    }
    struct efx_value result = {.type = bx->type};
    uint16_t code = evaluate(bx, args, tmp, &result);
    *out = code == 0 ? result : efx_value_null(bx->type);
    return code;
}

void efx_eval_uuid(uint64_t seed, uint64_t turn, uint32_t place, uint32_t nth, char out[36])
{
    uint64_t cause = efx_hash_mix(efx_hash_mix(seed, turn), (uint64_t)place << 32 | nth);
    uint64_t half[2] = {efx_hash_mix(cause, 1), efx_hash_mix(cause, 2)};
    half[0] = (half[0] & ~(uint64_t)0xF000) | 0x4000;               /* version 4 */
    half[1] = (half[1] & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62; /* variant of RFC 9562 */
    uint32_t at = 0;
    for (uint32_t k = 0; k < 32; k++) {
        if (k == 8 || k == 12 || k == 16 || k == 20) {
            out[at++] = '-';
        }
        out[at++] = "0123456789abcdef"[half[k / 16] >> (60 - k % 16 * 4) & 15];
    }
}
