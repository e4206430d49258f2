#include "efx_row_json.h"

#include "efx_eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct text { /* grows in the arena */
    struct efx_arena *a;
    char *p;
    uint32_t n, max;
    bool full;
};

static void add(struct text *t, const char *p, uint32_t n)
{
    if (t->full || n > t->max - t->n) {
        uint32_t max = (t->n + n) * 2 + 64;
        char *more = t->full ? NULL : efx_arena_bytes(t->a, max);
        t->full = t->full || more == NULL;
        if (t->full) {
            return;
        }
        if (t->n > 0) {
            memcpy(more, t->p, t->n);
        }
        t->p = more;
        t->max = max;
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
}

static void add_string(struct text *t, const char *p, uint32_t n)
{
    add(t, "\"", 1);
    for (uint32_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        char esc[8];
        if (c == '"' || c == '\\') {
            add(t, "\\", 1);
            add(t, p + i, 1);
        } else if (c < 0x20) {
            add(t, esc, (uint32_t)snprintf(esc, sizeof esc, "\\u%04x", c));
        } else {
            add(t, p + i, 1);
        }
    }
    add(t, "\"", 1);
}

static void add_base64(struct text *t, const uint8_t *p, uint32_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    add(t, "\"", 1);
    for (uint32_t i = 0; i < n; i += 3) {
        uint32_t left = n - i;
        uint32_t w = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        char four[4] = {digit[w >> 18], digit[w >> 12 & 63], left > 1 ? digit[w >> 6 & 63] : '=',
                        left > 2 ? digit[w & 63] : '='};
        add(t, four, 4);
    }
    add(t, "\"", 1);
}

static void add_value(struct text *t, const struct efx_value *v)
{
    char number[48];
    bool no_number = (v->type == EFX_TYPE_DOUBLE && !isfinite(v->d)) ||
                     (v->type == EFX_TYPE_FLOAT && !isfinite(v->f));
    if (v->null || no_number) {
        add(t, "null", 4);
        return;
    }
    switch (v->type) {
    case EFX_TYPE_NONE: add(t, "null", 4); break;
    case EFX_TYPE_INT: add(t, number, (uint32_t)snprintf(number, sizeof number, "%d", v->i)); break;
    case EFX_TYPE_LONG:
        add(t, number, (uint32_t)snprintf(number, sizeof number, "%" PRId64, v->l));
        break;
    case EFX_TYPE_FLOAT: add(t, number, efx_eval_float_text(v->f, number)); break;
    case EFX_TYPE_DOUBLE: add(t, number, efx_eval_double_text(v->d, number)); break;
    case EFX_TYPE_BOOL: add(t, v->b ? "true" : "false", v->b ? 4 : 5); break;
    case EFX_TYPE_STRING: add_string(t, v->s.p, v->s.n); break;
    case EFX_TYPE_BYTES: add_base64(t, (const uint8_t *)v->s.p, v->s.n); break;
    case EFX_TYPE_OBJECT: add(t, v->s.p, v->s.n); break;
    }
}

struct efx_str efx_row_json(struct efx_arena *a, const struct efx_schema *schema,
                            const struct efx_col *const *cols, uint32_t row)
{
    struct text t = {.a = a};
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        add(&t, c == 0 ? "{" : ",", 1);
        add_string(&t, schema->cols[c].name, (uint32_t)strlen(schema->cols[c].name));
        add(&t, ":", 1);
        struct efx_value v =
            cols[c] == NULL ? efx_value_null(schema->cols[c].type) : efx_value_of_col(cols[c], row);
        add_value(&t, &v);
    }
    add(&t, "}", 1);
    return t.full ? (struct efx_str){NULL, 0} : (struct efx_str){t.p, t.n};
}
