/* Conversion of single values on their way into columns. */
#include "efx_put.h"

#include "efx_numbers.h"
#include "efx_time.h"

#include <math.h>

enum { NOT_FIT = 3002 };

#define SLOT(r, c, T) (((T *)(r)->set->data[c])[(r)->set->n_rows])

uint16_t efx_put_bytes(struct efx_put *r, uint32_t c, const void *bytes, uint32_t n)
{
    if (efx_builder_text(r->b, r->set, c, bytes, n) != EFX_OK) {
        r->full = true;
    }
    return 0;
}

uint16_t efx_put_long(struct efx_put *r, uint32_t c, int64_t v)
{
    char text[EFX_NUMBER_TEXT_MAX];
    switch (r->schema->cols[c].type) {
    case EFX_TYPE_INT:
        if (v < INT32_MIN || v > INT32_MAX) {
            return NOT_FIT;
        }
        SLOT(r, c, int32_t) = (int32_t)v;
        break;
    case EFX_TYPE_LONG: SLOT(r, c, int64_t) = v; break;
    case EFX_TYPE_FLOAT: SLOT(r, c, float) = (float)v; break;
    case EFX_TYPE_DOUBLE: SLOT(r, c, double) = (double)v; break;
    case EFX_TYPE_BOOL: SLOT(r, c, uint8_t) = v != 0; break;
    case EFX_TYPE_STRING: return efx_put_bytes(r, c, text, efx_io_long_text(v, text));
    case EFX_TYPE_NONE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return NOT_FIT;
    }
    efx_builder_valid(r->set, c);
    return 0;
}

uint16_t efx_put_double(struct efx_put *r, uint32_t c, double v)
{
    char text[EFX_NUMBER_TEXT_MAX];
    switch (r->schema->cols[c].type) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG:
        if (!(v >= -0x1p63 && v < 0x1p63) || trunc(v) != v) {
            return NOT_FIT;
        }
        return efx_put_long(r, c, (int64_t)v);
    case EFX_TYPE_FLOAT: SLOT(r, c, float) = (float)v; break;
    case EFX_TYPE_DOUBLE: SLOT(r, c, double) = v; break;
    case EFX_TYPE_STRING: return efx_put_bytes(r, c, text, efx_io_double_text(v, text));
    case EFX_TYPE_NONE:
    case EFX_TYPE_BOOL:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return NOT_FIT;
    }
    efx_builder_valid(r->set, c);
    return 0;
}

uint16_t efx_put_bool(struct efx_put *r, uint32_t c, bool v)
{
    switch (r->schema->cols[c].type) {
    case EFX_TYPE_BOOL:
        SLOT(r, c, uint8_t) = v;
        efx_builder_valid(r->set, c);
        return 0;
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG: return efx_put_long(r, c, v);
    case EFX_TYPE_STRING: return efx_put_bytes(r, c, v ? "true" : "false", v ? 4 : 5);
    case EFX_TYPE_NONE:
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    return NOT_FIT;
}

uint16_t efx_put_number(struct efx_put *r, uint32_t c, struct efx_str text)
{
    int64_t l;
    double d;
    bool decimal = memchr(text.p, '.', text.n) != NULL || memchr(text.p, 'e', text.n) != NULL ||
                   memchr(text.p, 'E', text.n) != NULL;
    if (!decimal && efx_io_parse_long(text.p, text.n, &l)) {
        return efx_put_long(r, c, l);
    }
    enum efx_type type = r->schema->cols[c].type;
    if (!decimal && (type == EFX_TYPE_INT || type == EFX_TYPE_LONG)) {
        return NOT_FIT;
    }
    return efx_io_parse_double(text.p, text.n, &d) ? efx_put_double(r, c, d) : NOT_FIT;
}

static uint32_t base64_digit(uint8_t ch)
{
    return ch >= 'A' && ch <= 'Z'   ? (uint32_t)(ch - 'A')
           : ch >= 'a' && ch <= 'z' ? (uint32_t)(ch - 'a') + 26
           : ch >= '0' && ch <= '9' ? (uint32_t)(ch - '0') + 52
           : ch == '+' || ch == '-' ? 62
           : ch == '/' || ch == '_' ? 63
                                    : 64;
}

static uint16_t put_base64(struct efx_put *r, uint32_t c, struct efx_str text)
{
    while (text.n > 0 && text.p[text.n - 1] == '=') {
        text.n--;
    }
    uint8_t *out = efx_arena_bytes(&r->b->heap, (size_t)text.n / 4 * 3 + 4);
    if (out == NULL) {
        r->full = true;
        return 0;
    }
    uint32_t n = 0, word = 0, bits = 0;
    for (uint32_t i = 0; i < text.n; i++) {
        uint32_t digit = base64_digit((uint8_t)text.p[i]);
        if (digit == 64) {
            return NOT_FIT;
        }
        word = word << 6 | digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(word >> bits);
        }
    }
    if (bits >= 6) {
        return NOT_FIT;
    }
    SLOT(r, c, struct efx_cell) = efx_cell_make(out, n);
    efx_builder_valid(r->set, c);
    return 0;
}

static uint16_t put_bool_text(struct efx_put *r, uint32_t c, struct efx_str text)
{
    static const char *const words[] = {"false", "0", "no", "true", "1", "yes"};
    for (uint32_t i = 0; i < 6; i++) {
        if (efx_str_equal_ci(text, efx_str_of(words[i]))) {
            return efx_put_bool(r, c, i >= 3);
        }
    }
    return NOT_FIT;
}

uint16_t efx_put_text(struct efx_put *r, uint32_t c, struct efx_str text)
{
    const struct efx_schema_col *col = &r->schema->cols[c];
    int64_t l;
    switch (col->type) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG:
        if (efx_io_parse_long(text.p, text.n, &l) ||
            (col->is_time && efx_time_parse(r->date_format, text.p, text.n, &l))) {
            return efx_put_long(r, c, l);
        }
        return NOT_FIT;
    case EFX_TYPE_FLOAT:
        if (!efx_io_parse_float(text.p, text.n, &SLOT(r, c, float))) {
            return NOT_FIT;
        }
        break;
    case EFX_TYPE_DOUBLE:
        if (!efx_io_parse_double(text.p, text.n, &SLOT(r, c, double))) {
            return NOT_FIT;
        }
        break;
    case EFX_TYPE_BOOL: return put_bool_text(r, c, text);
    case EFX_TYPE_STRING: return efx_put_bytes(r, c, text.p, text.n);
    case EFX_TYPE_BYTES: return put_base64(r, c, text);
    case EFX_TYPE_NONE:
    case EFX_TYPE_OBJECT: return NOT_FIT;
    }
    efx_builder_valid(r->set, c);
    return 0;
}

uint16_t efx_put_nested(struct efx_put *r, uint32_t c, struct efx_str json)
{
    enum efx_type type = r->schema->cols[c].type;
    if (type != EFX_TYPE_STRING && type != EFX_TYPE_OBJECT) {
        return NOT_FIT;
    }
    return efx_put_bytes(r, c, json.p, json.n);
}
