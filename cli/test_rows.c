/* Comparing rows. */
#include "test_rows.h"

#include "efx_moment.h"
#include "efx_numbers.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- one value ---- */

static bool near(double a, double b, double share)
{
    if (isnan(a) || isnan(b) || isinf(a) || isinf(b)) {
        return (isnan(a) && isnan(b)) || a == b;
    }
    double larger = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
    return fabs(a - b) <= share * larger;
}

static bool same_json(const char *a, size_t n, const char *b, size_t m)
{
    size_t i = 0, k = 0;
    for (;;) {
        while (i < n && isspace((unsigned char)a[i])) {
            i++;
        }
        while (k < m && isspace((unsigned char)b[k])) {
            k++;
        }
        if (i == n || k == m || a[i] != b[k]) {
            return i == n && k == m;
        }
        i++;
        k++;
    }
}

static uint32_t base64(const uint8_t *p, size_t n, char *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t k = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t w = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        out[k++] = digit[w >> 18];
        out[k++] = digit[w >> 12 & 63];
        out[k++] = left > 1 ? digit[w >> 6 & 63] : '=';
        out[k++] = left > 2 ? digit[w & 63] : '=';
    }
    return k;
}

static bool is_word(const struct test_value *w, const char *word)
{
    return !w->quoted && w->n == strlen(word) && memcmp(w->text, word, w->n) == 0;
}

static bool same_bytes(const struct test_value *w, const efx_val *v)
{
    char text[4096];
    if (v->u.s.n > 3000) {
        return false;
    }
    uint32_t n = base64((const uint8_t *)v->u.s.p, v->u.s.n, text);
    return n == w->n && memcmp(text, w->text, n) == 0;
}

static bool same(const struct test_value *w, const efx_val *v)
{
    int64_t l;
    double d;
    if (v->null || is_word(w, "null")) {
        return v->null && is_word(w, "null");
    }
    switch (v->type) {
    case EFX_VAL_INT: return efx_io_parse_long(w->text, w->n, &l) && l == v->u.i;
    case EFX_VAL_LONG: return efx_io_parse_long(w->text, w->n, &l) && l == v->u.l;
    case EFX_VAL_FLOAT:
        return efx_io_parse_double(w->text, w->n, &d) && near(d, (double)v->u.f, 1e-6);
    case EFX_VAL_DOUBLE: return efx_io_parse_double(w->text, w->n, &d) && near(d, v->u.d, 1e-9);
    case EFX_VAL_BOOL: return is_word(w, v->u.b ? "true" : "false");
    case EFX_VAL_STRING: return w->n == v->u.s.n && memcmp(w->text, v->u.s.p, w->n) == 0;
    case EFX_VAL_BYTES: return same_bytes(w, v);
    case EFX_VAL_OBJECT: return same_json(w->text, w->n, v->u.s.p, v->u.s.n);
    }
    return false;
}

bool test_row_matches(const struct test_row *want, const struct test_got *got)
{
    bool ok = want->n == got->n && want->expired == got->expired &&
              (want->ts_ms == EFX_TS_NONE || want->ts_ms == got->ts_ms);
    for (uint32_t c = 0; ok && c < want->n; c++) {
        ok = same(&want->v[c], &got->v[c]);
    }
    return ok;
}

/* ---- printing ---- */

static void print_text(const char *p, size_t n)
{
    bool quotes = n == 0 || memchr(p, ',', n) != NULL || memchr(p, '"', n) != NULL ||
                  memchr(p, '@', n) != NULL || memchr(p, '#', n) != NULL || p[0] == ' ' ||
                  p[n - 1] == ' ' || (n == 4 && memcmp(p, "null", 4) == 0);
    if (!quotes) {
        printf("%.*s", (int)n, p);
        return;
    }
    (void)putchar('"');
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"' || p[i] == '\\') {
            (void)putchar('\\');
        }
        (void)putchar(p[i]);
    }
    (void)putchar('"');
}

static void print_value(const efx_val *v)
{
    char text[EFX_NUMBER_TEXT_MAX + 1] = "";
    if (v->null) {
        printf("null");
        return;
    }
    switch (v->type) {
    case EFX_VAL_INT: printf("%d", v->u.i); break;
    case EFX_VAL_LONG: printf("%lld", (long long)v->u.l); break;
    case EFX_VAL_FLOAT: printf("%.*s", (int)efx_io_float_text(v->u.f, text), text); break;
    case EFX_VAL_DOUBLE: printf("%.*s", (int)efx_io_double_text(v->u.d, text), text); break;
    case EFX_VAL_BOOL: printf("%s", v->u.b ? "true" : "false"); break;
    case EFX_VAL_STRING: print_text(v->u.s.p, v->u.s.n); break;
    case EFX_VAL_BYTES: printf("<%zu bytes>", v->u.s.n); break;
    case EFX_VAL_OBJECT: printf("%.*s", (int)v->u.s.n, v->u.s.p); break;
    }
}

static void print_got(const char *mark, const struct test_got *g)
{
    printf("    %s%s", mark, g->expired ? "expired " : "");
    for (uint32_t c = 0; c < g->n; c++) {
        printf("%s", c > 0 ? ", " : "");
        print_value(&g->v[c]);
    }
    printf("   @%lld\n", (long long)g->ts_ms);
}

static void print_want(const char *mark, const struct test_row *w)
{
    printf("    %s%s", mark, w->expired ? "expired " : "");
    for (uint32_t c = 0; c < w->n; c++) {
        printf("%s", c > 0 ? ", " : "");
        if (w->v[c].quoted) {
            print_text(w->v[c].text, w->v[c].n);
        } else {
            printf("%.*s", (int)w->v[c].n, w->v[c].text);
        }
    }
    if (w->ts_ms != EFX_TS_NONE) {
        printf("   @%lld", (long long)w->ts_ms);
    }
    printf("\n");
}

/* ---- all rows ---- */

/* In order: where one side goes on as the other stands now, the rows between are what differs. */
static bool compare_ordered(const struct test_row *w, const struct test_got *g, bool print)
{
    bool ok = true;
    while (w != NULL || g != NULL) {
        if (w != NULL && g != NULL && test_row_matches(w, g)) {
            if (print) {
                print_got("  ", g);
            }
            w = w->next;
            g = g->next;
            continue;
        }
        ok = false;
        const struct test_got *later = g;
        while (w != NULL && later != NULL && !test_row_matches(w, later)) {
            later = later->next;
        }
        bool extra = g != NULL && (w == NULL || later != NULL);
        if (print && extra) {
            print_got("+ ", g);
        } else if (print) {
            print_want("- ", w);
        }
        g = extra ? g->next : g;
        w = extra ? w : w->next;
    }
    return ok;
}

static bool is_taken(const struct test_got **taken, uint32_t n, const struct test_got *g)
{
    for (uint32_t i = 0; i < n; i++) {
        if (taken[i] == g) {
            return true;
        }
    }
    return false;
}

static bool compare_unordered(const struct test_row *w, const struct test_got *all, bool print)
{
    struct efx_arena a;
    uint32_t n = 0, n_got = 0;
    bool ok = true;
    for (const struct test_got *g = all; g != NULL; g = g->next) {
        n_got++;
    }
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    const struct test_got **taken = EFX_NEW_N(&a, const struct test_got *, n_got + 1);
    EFX_ASSERT(taken != NULL);
    for (; w != NULL; w = w->next) {
        const struct test_got *g = all;
        while (g != NULL && (is_taken(taken, n, g) || !test_row_matches(w, g))) {
            g = g->next;
        }
        if (g != NULL) {
            taken[n++] = g;
        } else {
            ok = false;
            if (print) {
                print_want("- ", w);
            }
        }
    }
    for (const struct test_got *g = all; g != NULL; g = g->next) {
        if (!is_taken(taken, n, g)) {
            ok = false;
            if (print) {
                print_got("+ ", g);
            }
        }
    }
    efx_arena_fini(&a);
    return ok;
}

static bool compare_count(const struct test_step *want, const struct test_got *got, bool print)
{
    int64_t n = 0;
    for (; got != NULL; got = got->next) {
        n++;
    }
    if (print) {
        printf("    - %lld rows\n    + %lld rows\n", (long long)want->number, (long long)n);
    }
    return n == want->number;
}

bool test_rows_compare(const struct test_step *want, const struct test_got *got, bool print)
{
    switch (want->expect) {
    case TEST_ROWS:
    case TEST_NOTHING: return compare_ordered(want->rows, got, print);
    case TEST_UNORDERED: return compare_unordered(want->rows, got, print);
    case TEST_COUNT: return compare_count(want, got, print);
    case TEST_ERROR: break;
    }
    return false;
}

/* ---- events ---- */

static uint32_t base64_digit(char c)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digit, c);
    return at == NULL ? 64 : (uint32_t)(at - digit);
}

static efx_val bytes_of(struct efx_arena *a, const struct test_value *v)
{
    uint8_t *out = efx_arena_bytes(a, v->n + 1);
    uint32_t n = 0, word = 0, bits = 0;
    for (uint32_t i = 0; out != NULL && i < v->n && base64_digit(v->text[i]) < 64; i++) {
        word = word << 6 | base64_digit(v->text[i]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(word >> bits);
        }
    }
    return (efx_val){.type = EFX_VAL_BYTES, .u = {.s = {(const char *)out, n}}};
}

/* What does not fit is sent as a text: the library makes it the data error that it is. */
efx_val test_value_of(struct efx_arena *a, const struct test_value *v, enum efx_val_type type)
{
    efx_val text = {.type = EFX_VAL_STRING, .u = {.s = {v->text, v->n}}};
    int64_t l;
    double d;
    if (is_word(v, "null")) {
        return (efx_val){.type = type, .null = true};
    }
    switch (type) {
    case EFX_VAL_INT:
    case EFX_VAL_LONG:
        return !v->quoted && efx_io_parse_long(v->text, v->n, &l) ? EFX_LONG(l) : text;
    case EFX_VAL_FLOAT:
    case EFX_VAL_DOUBLE:
        return !v->quoted && efx_io_parse_double(v->text, v->n, &d) ? EFX_DOUBLE(d) : text;
    case EFX_VAL_BOOL:
        return is_word(v, "true") || is_word(v, "false") ? EFX_BOOL(v->text[0] == 't') : text;
    case EFX_VAL_STRING: return text;
    case EFX_VAL_BYTES: return bytes_of(a, v);
    case EFX_VAL_OBJECT: text.type = EFX_VAL_OBJECT; return text;
    }
    return text;
}
