/* Numbers as text and back, language §2.2: one text for each number, the shortest that reads back
 * the same, made by trying precisions; and no more is read than decimals and those texts.
 *
 *   0.0001 <= |x| < 1e16    plain digits with a point      0.5   12.0   1000000000000000.0
 *   beyond                  d[.ddd]e[-]x                   1.5e16   1e-5
 *   not finite              NaN   Infinity   -Infinity
 */
#include "efx_text.h"

#include "efx_eval.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_TEXT_MAX = 1000 }; /* bytes; longer is no number */

struct digits { /* 0.d1d2d3… without trailing zeros, times 10^point */
    bool negative;
    int n;
    int point;
    char d[20];
};

/* From "[-]d.ddde±xx". */
static void digits_of(const char *text, struct digits *out)
{
    *out = (struct digits){.negative = text[0] == '-'};
    const char *p = text + out->negative;
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            out->d[out->n++] = *p;
        }
    }
    out->point = (int)strtol(p + 1, NULL, 10) + 1;
    while (out->n > 1 && out->d[out->n - 1] == '0') {
        out->n--;
    }
}

static uint32_t layout(const struct digits *d, char *buf)
{
    char *o = buf;
    if (d->negative) {
        *o++ = '-';
    }
    if (d->point > 16 || d->point < -3) {
        *o++ = d->d[0];
        if (d->n > 1) {
            *o++ = '.';
            memcpy(o, d->d + 1, (size_t)d->n - 1);
            o += d->n - 1;
        }
        return (uint32_t)(o - buf) + (uint32_t)snprintf(o, 8, "e%d", d->point - 1);
    }
    if (d->point <= 0) {
        *o++ = '0';
    }
    for (int i = 0; i < d->point; i++) {
        *o++ = i < d->n ? d->d[i] : '0';
    }
    *o++ = '.';
    for (int i = d->point; i < 0; i++) {
        *o++ = '0';
    }
    int first = d->point > 0 ? d->point : 0;
    if (first >= d->n) {
        *o++ = '0';
    }
    for (int i = first; i < d->n; i++) {
        *o++ = d->d[i];
    }
    return (uint32_t)(o - buf);
}

static uint32_t special(double d, char *buf)
{
    const char *text = isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity";
    uint32_t n = (uint32_t)strlen(text);
    memcpy(buf, text, n);
    return n;
}

/* All texts of so few digits are read back exactly, so the shortest is the one at this precision
 * without its zeros; below the normal range that does not hold, and every precision is tried. */
uint32_t efx_eval_double_text(double d, char *buf)
{
    if (!isfinite(d)) {
        return special(d, buf);
    }
    if (d == 0) {
        return (uint32_t)snprintf(buf, 8, signbit(d) ? "-0.0" : "0.0");
    }
    char text[40];
    for (int p = fabs(d) < DBL_MIN ? 1 : 15; p <= 17; p++) {
        (void)snprintf(text, sizeof text, "%.*e", p - 1, d);
        if (p == 17 || strtod(text, NULL) == d) {
            break;
        }
    }
    struct digits digits;
    digits_of(text, &digits);
    return layout(&digits, buf);
}

uint32_t efx_eval_float_text(float f, char *buf)
{
    if (!isfinite(f) || f == 0) {
        return efx_eval_double_text((double)f, buf);
    }
    char text[40];
    for (int p = fabsf(f) < FLT_MIN ? 1 : 6; p <= 9; p++) {
        (void)snprintf(text, sizeof text, "%.*e", p - 1, (double)f);
        if (p == 9 || strtof(text, NULL) == f) {
            break;
        }
    }
    struct digits digits;
    digits_of(text, &digits);
    return layout(&digits, buf);
}

static uint32_t long_text(int64_t v, char *buf)
{
    char back[20];
    uint32_t n = 0, k = 0;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        back[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (v < 0) {
        buf[k++] = '-';
    }
    while (n > 0) {
        buf[k++] = back[--n];
    }
    return k;
}

static uint32_t word(const char *text, char *buf)
{
    size_t n = strlen(text);
    memcpy(buf, text, n);
    return (uint32_t)n;
}

uint32_t efx_text__of(const struct efx_value *v, char *buf)
{
    switch (v->type) {
    case EFX_TYPE_INT: return long_text(v->i, buf);
    case EFX_TYPE_LONG: return long_text(v->l, buf);
    case EFX_TYPE_FLOAT: return efx_eval_float_text(v->f, buf);
    case EFX_TYPE_DOUBLE: return efx_eval_double_text(v->d, buf);
    case EFX_TYPE_BOOL: return word(v->b ? "true" : "false", buf);
    case EFX_TYPE_BYTES: return (uint32_t)snprintf(buf, 24, "<bytes:%u>", v->s.n);
    case EFX_TYPE_NONE:
    case EFX_TYPE_STRING:
    case EFX_TYPE_OBJECT: break;
    }
    efx_panic(__FILE__, __LINE__, "a type that has no text");
}

/* ---- back ---- */

static struct efx_str trimmed(struct efx_str s)
{
    static const char white[] = " \t\n\r\f\v";
    while (s.n > 0 && memchr(white, s.p[0], sizeof white - 1) != NULL) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && memchr(white, s.p[s.n - 1], sizeof white - 1) != NULL) {
        s.n--;
    }
    return s;
}

static uint32_t run_of_digits(struct efx_str s, uint32_t *at)
{
    uint32_t from = *at;
    while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9') {
        ++*at;
    }
    return *at - from;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point. */
static bool is_decimal(struct efx_str s)
{
    uint32_t at = s.n > 0 && (s.p[0] == '+' || s.p[0] == '-');
    uint32_t digits = run_of_digits(s, &at);
    if (at < s.n && s.p[at] == '.') {
        at++;
        digits += run_of_digits(s, &at);
    }
    if (digits > 0 && at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        at++;
        at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
        digits = run_of_digits(s, &at);
    }
    return digits > 0 && at == s.n;
}

static bool parse_special(struct efx_str s, double *out)
{
    if (efx_str_equal(s, efx_str_of("NaN"))) {
        *out = (double)NAN;
    } else if (efx_str_equal(s, efx_str_of("Infinity"))) {
        *out = HUGE_VAL;
    } else if (efx_str_equal(s, efx_str_of("-Infinity"))) {
        *out = -HUGE_VAL;
    } else {
        return false;
    }
    return true;
}

/* A NUL-terminated copy of a decimal number; false = is none. */
static bool decimal_copy(struct efx_str s, char *copy)
{
    if (s.n > NUMBER_TEXT_MAX || !is_decimal(s)) {
        return false;
    }
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return true;
}

bool efx_eval_parse_double(struct efx_str s, double *out)
{
    s = trimmed(s);
    char copy[NUMBER_TEXT_MAX + 1];
    if (!decimal_copy(s, copy)) {
        return parse_special(s, out);
    }
    double d = strtod(copy, NULL);
    if (isinf(d)) {
        return false;
    }
    *out = d;
    return true;
}

static bool parse_float(struct efx_str s, float *out)
{
    s = trimmed(s);
    char copy[NUMBER_TEXT_MAX + 1];
    if (!decimal_copy(s, copy)) {
        double d;
        bool ok = parse_special(s, &d);
        *out = ok ? (float)d : 0;
        return ok;
    }
    *out = strtof(copy, NULL);
    return !isinf(*out);
}

static bool parse_long(struct efx_str s, int64_t *out)
{
    s = trimmed(s);
    bool negative = s.n > 0 && s.p[0] == '-';
    uint32_t at = s.n > 0 && (negative || s.p[0] == '+');
    bool ok = at < s.n;
    int64_t v = 0;
    for (; ok && at < s.n; at++) {
        int digit = s.p[at] - '0';
        ok = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(v, 10, &v) &&
             !__builtin_sub_overflow(v, digit, &v); /* below zero there is room for one more */
    }
    ok = ok && (negative || v != INT64_MIN);
    *out = ok ? (negative ? v : -v) : 0;
    return ok;
}

static bool parse_bool(struct efx_str s, bool *out)
{
    static const char *const words[2][3] = {{"false", "0", "no"}, {"true", "1", "yes"}};
    for (uint32_t k = 0; k < 6; k++) {
        if (efx_str_equal_ci(s, efx_str_of(words[k / 3][k % 3]))) {
            *out = k >= 3;
            return true;
        }
    }
    return false;
}

bool efx_text__parse(struct efx_str s, enum efx_type to, struct efx_value *out)
{
    int64_t l;
    switch (to) {
    case EFX_TYPE_INT:
        if (!parse_long(s, &l) || l < INT32_MIN || l > INT32_MAX) {
            return false;
        }
        out->i = (int32_t)l;
        return true;
    case EFX_TYPE_LONG: return parse_long(s, &out->l);
    case EFX_TYPE_FLOAT: return parse_float(s, &out->f);
    case EFX_TYPE_DOUBLE: return efx_eval_parse_double(s, &out->d);
    case EFX_TYPE_BOOL: return parse_bool(s, &out->b);
    case EFX_TYPE_NONE:
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    efx_panic(__FILE__, __LINE__, "a CAST that the binder refuses");
}
