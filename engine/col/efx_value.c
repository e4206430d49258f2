#include "efx_value.h"

#include <math.h>

struct efx_value efx_value_of_col(const struct efx_col *c, uint32_t i)
{
    struct efx_value v = {.type = c->type, .null = !efx_bit(c->valid, i)};
    if (v.null) {
        return v;
    }
    switch (c->type) {
    case EFX_TYPE_NONE: v.null = true; break;
    case EFX_TYPE_INT: v.i = ((const int32_t *)c->data)[i]; break;
    case EFX_TYPE_LONG: v.l = ((const int64_t *)c->data)[i]; break;
    case EFX_TYPE_FLOAT: v.f = ((const float *)c->data)[i]; break;
    case EFX_TYPE_DOUBLE: v.d = ((const double *)c->data)[i]; break;
    case EFX_TYPE_BOOL: v.b = ((const uint8_t *)c->data)[i] != 0; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: {
        const struct efx_cell *cell = (const struct efx_cell *)c->data + i;
        v.s = (struct efx_str){(const char *)efx_cell_bytes(cell), cell->len};
        break;
    }
    }
    return v;
}

void efx_value_to_slot(const struct efx_value *v, void *data, uint64_t *valid, uint32_t i)
{
    if (valid != NULL) {
        efx_bit_put(valid, i, !v->null);
    }
    switch (v->type) {
    case EFX_TYPE_NONE: break;
    case EFX_TYPE_INT: ((int32_t *)data)[i] = v->null ? 0 : v->i; break;
    case EFX_TYPE_LONG: ((int64_t *)data)[i] = v->null ? 0 : v->l; break;
    case EFX_TYPE_FLOAT: ((float *)data)[i] = v->null ? 0 : v->f; break;
    case EFX_TYPE_DOUBLE: ((double *)data)[i] = v->null ? 0 : v->d; break;
    case EFX_TYPE_BOOL: ((uint8_t *)data)[i] = !v->null && v->b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        ((struct efx_cell *)data)[i] = efx_cell_make(v->s.p, v->null ? 0 : v->s.n);
        break;
    }
}

int efx_double_compare(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    return (a > b) - (a < b);
}

/* Exact: a double of at least 2^63 in size is beyond every long; a smaller one is cut to its
 * integer part, and what was cut off decides between equals. */
int efx_long_double_compare(int64_t a, double b)
{
    if (isnan(b) || b >= 0x1p63) {
        return -1;
    }
    if (b < -0x1p63) {
        return 1;
    }
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a < whole ? -1 : 1;
    }
    double rest = b - (double)whole;
    return (rest < 0) - (rest > 0);
}

static bool is_long(const struct efx_value *v, int64_t *out)
{
    *out = v->type == EFX_TYPE_INT ? v->i : v->l;
    return v->type == EFX_TYPE_INT || v->type == EFX_TYPE_LONG;
}

static int compare_numbers(const struct efx_value *a, const struct efx_value *b)
{
    int64_t la, lb;
    bool a_long = is_long(a, &la);
    bool b_long = is_long(b, &lb);
    double da = a->type == EFX_TYPE_FLOAT ? (double)a->f : a->d;
    double db = b->type == EFX_TYPE_FLOAT ? (double)b->f : b->d;
    if (a_long && b_long) {
        return (la > lb) - (la < lb);
    }
    if (a_long) {
        return efx_long_double_compare(la, db);
    }
    return b_long ? -efx_long_double_compare(lb, da) : efx_double_compare(da, db);
}

int efx_value_compare(const struct efx_value *a, const struct efx_value *b)
{
    if (efx_type_is_number(a->type)) {
        return compare_numbers(a, b);
    }
    if (a->type == EFX_TYPE_BOOL) {
        return (int)a->b - (int)b->b;
    }
    uint32_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
    int c = n == 0 ? 0 : memcmp(a->s.p, b->s.p, n);
    return c != 0 ? (c > 0) - (c < 0) : (a->s.n > b->s.n) - (a->s.n < b->s.n);
}
