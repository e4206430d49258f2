/* A line of the shape that most lines have: members in the expected order, plain values.
 *
 *   {"stream":"Trades","ts":1000,"data":{"sym":"A","px":1.5}}      {"sym":"A","px":1.5}
 *                                        └ is it the key of the next column? one comparison
 *
 * The scan needs no index of the document: each token says where the next one begins. It takes only
 * what it fully understands (a text without escapes, a number whose value follows exactly from its
 * digits) and says EFX_DONE to all else: unusual order of the envelope, nested values, unknown
 * keys, what is no JSON at all. So there is one place that knows about errors, and it is not here.
 *
 * No token can hold '\n', which stands behind every line, so nothing runs past the end.
 */
#include "json.h"

#include "json_tape.h"

struct scan {
    struct efx_put put;
    const char *p;
    const char *end; /* the '\n' */
};

static void blank(struct scan *s)
{
    while (*s->p == ' ' || *s->p == '\t' || *s->p == '\r') {
        s->p++;
    }
}

static bool eat_among_blanks(struct scan *s, char c)
{
    blank(s);
    if (*s->p != c) {
        return false;
    }
    s->p++;
    blank(s);
    return true;
}

/* The character, white space around it, which there mostly is none of. */
static inline bool eat(struct scan *s, char c)
{
    if (*s->p == c && (uint8_t)s->p[1] > ' ') {
        s->p++;
        return true;
    }
    return eat_among_blanks(s, c);
}

static inline uint64_t load(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static inline uint64_t first_bytes(uint32_t n) /* of a word; n < 8 */
{
    return ~(UINT64_MAX << (n * 8));
}

/* A key, quotes included: by words, which both sides may be read by beyond their ends. */
static inline bool is_key(const struct scan *s, const struct efx_str *key)
{
    uint32_t at = 0;
    for (; key->n - at >= 8; at += 8) {
        if (load(s->p + at) != load(key->p + at)) {
            return false;
        }
    }
    return ((load(s->p + at) ^ load(key->p + at)) & first_bytes(key->n - at)) == 0;
}

static bool is_here(const struct scan *s, const char *text, size_t n)
{
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static bool member(struct scan *s, const char *quoted, size_t n)
{
    if (!is_here(s, quoted, n)) {
        return false;
    }
    s->p += n;
    return eat(s, ':');
}

#define MEMBER(s, name) member((s), "\"" name "\"", sizeof name + 1)

static uint64_t bytes_less(uint64_t w, uint8_t n) /* high bit of each byte < n; n <= 128 */
{
    return (w - n * 0x0101010101010101u) & ~w & 0x8080808080808080u;
}

/* Behind the opening quote: the text up to the closing one. false = escapes, controls, no UTF-8. */
static bool text(struct scan *s, struct efx_str *out)
{
    const char *from = s->p;
    uint64_t high = 0;
    for (;; s->p += 8) {
        uint64_t w;
        memcpy(&w, s->p, 8);
        uint64_t stop = bytes_less(w, 0x20) | bytes_less(w ^ 0x2222222222222222u, 1) |
                        bytes_less(w ^ 0x5C5C5C5C5C5C5C5Cu, 1);
        if (stop != 0) {
            uint32_t at = (uint32_t)__builtin_ctzll(stop) / 8;
            high |= at > 0 ? w << (64 - at * 8) : 0;
            s->p += at;
            break;
        }
        high |= w;
    }
    *out = (struct efx_str){from, (uint32_t)(s->p - from)};
    if (*s->p != '"' || s->p > s->end ||
        ((high & 0x8080808080808080u) != 0 && !efx_json__is_utf8(from, out->n))) {
        return false;
    }
    s->p++;
    return true;
}

/* A text for a STRING column; a short one is put together from words, without a call. */
static bool put_string(struct scan *s, uint32_t c, struct efx_str t)
{
    struct efx_colset *set = s->put.set;
    if (t.n > EFX_CELL_INLINE) {
        return efx_put_bytes(&s->put, c, t.p, t.n) == 0;
    }
    uint64_t low = load(t.p) & (t.n < 8 ? first_bytes(t.n) : UINT64_MAX);
    uint64_t high = t.n > 8 ? load(t.p + 8) & first_bytes(t.n - 8) : 0;
    uint64_t words[2] = {t.n | low << 32, low >> 32 | high << 32};
    memcpy((struct efx_cell *)set->data[c] + set->n_rows, words, sizeof words);
    efx_builder_valid(set, c);
    return true;
}

/* Digits, a point among them or not: value = m / 10^scale. false = too many, or an exponent. */
struct decimal {
    uint64_t m;
    uint32_t scale;
    bool minus, point;
};

/* Eight characters that are digits, as a number: neighbours are joined to two digits, to four, to
 * eight. false = some is none. */
static inline bool eight_digits(const char *p, uint64_t *out)
{
    static const uint64_t high = 0xF0F0F0F0F0F0F0F0u, zeros = 0x3030303030303030u;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    if ((w & high) != zeros || ((w + 0x0606060606060606u) & high) != zeros) {
        return false;
    }
    w -= zeros;
    w = (w * 10 + (w >> 8)) & 0x00FF00FF00FF00FFu;
    w = (w * 100 + (w >> 16)) & 0x0000FFFF0000FFFFu;
    *out = (w * 10000 + (w >> 32)) & 0xFFFFFFFFu;
    return true;
}

/* Digits behind *m; returns what follows them. */
static inline const char *digits_read(const char *p, const char *end, uint64_t *m)
{
    uint64_t v = *m, eight;
    while (end - p >= 8 && eight_digits(p, &eight)) {
        v = v * 100000000 + eight;
        p += 8;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *m = v;
    return p;
}

static bool decimal(struct scan *s, struct decimal *d)
{
    const char *p = s->p;
    *d = (struct decimal){.minus = *p == '-'};
    p += d->minus;
    const char *from = p;
    p = digits_read(p, s->end, &d->m);
    uint32_t digits = (uint32_t)(p - from);
    if (digits == 0 || (digits > 1 && *from == '0')) {
        return false;
    }
    if (*p == '.') {
        d->point = true;
        const char *part = ++p;
        p = digits_read(p, s->end, &d->m);
        d->scale = (uint32_t)(p - part);
        if (d->scale == 0) {
            return false;
        }
    }
    if (digits + d->scale > 18 || *p == 'e' || *p == 'E') {
        return false;
    }
    s->p = p;
    return true;
}

/* Exact as long as digits and power of ten are doubles themselves. */
static bool decimal_double(const struct decimal *d, double *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
    if (d->m > (uint64_t)1 << 53) {
        return false;
    }
    double v = (double)d->m / ten[d->scale];
    *out = d->minus ? -v : v;
    return true;
}

static bool number(struct scan *s, uint32_t c)
{
    struct decimal d;
    double v;
    enum efx_type type = s->put.schema->cols[c].type;
    if (!efx_type_is_number(type) || !decimal(s, &d)) {
        return false;
    }
    if (!d.point) {
        int64_t l = d.minus ? -(int64_t)d.m : (int64_t)d.m;
        if (type == EFX_TYPE_DOUBLE && d.minus && l == 0) {
            return false; /* -0 */
        }
        return efx_put_long(&s->put, c, l) == 0;
    }
    return decimal_double(&d, &v) && efx_put_double(&s->put, c, v) == 0;
}

static bool value(struct scan *s, uint32_t c)
{
    struct efx_str t;
    switch (*s->p) {
    case '"':
        s->p++;
        if (!text(s, &t)) {
            return false;
        }
        if (s->put.schema->cols[c].type == EFX_TYPE_STRING) {
            return put_string(s, c, t);
        }
        return efx_put_text(&s->put, c, t) == 0;
    case 't':
        if (!is_here(s, "true", 4)) {
            return false;
        }
        s->p += 4;
        return efx_put_bool(&s->put, c, true) == 0;
    case 'f':
        if (!is_here(s, "false", 5)) {
            return false;
        }
        s->p += 5;
        return efx_put_bool(&s->put, c, false) == 0;
    case 'n':
        if (!is_here(s, "null", 4)) {
            return false;
        }
        s->p += 4;
        efx_put_null(&s->put, c);
        return true;
    default: return number(s, c);
    }
}

static bool array(struct scan *s, const struct json_stream *st)
{
    if (eat(s, ']')) {
        return true;
    }
    for (uint32_t c = 0; c < st->schema->n_cols; c++) {
        if (!value(s, c)) {
            return false;
        }
        if (eat(s, ']')) {
            return true;
        }
        if (!eat(s, ',')) {
            return false;
        }
    }
    return false;
}

/* The column whose key is here, the expected one first. */
static uint32_t column(const struct scan *s, const struct json_stream *st, uint32_t next)
{
    uint32_t n = st->schema->n_cols;
    if (next < n && is_key(s, &st->keys[next])) {
        return next;
    }
    for (uint32_t c = 0; c < n; c++) {
        if (is_key(s, &st->keys[c])) {
            return c;
        }
    }
    return n;
}

static bool object(struct scan *s, const struct json_stream *st)
{
    if (eat(s, '}')) {
        return true;
    }
    uint32_t next = 0;
    for (;;) {
        uint32_t c = column(s, st, next);
        if (c == st->schema->n_cols) {
            return false;
        }
        s->p += st->keys[c].n;
        if (!eat(s, ':') || !value(s, c)) {
            return false;
        }
        next = c + 1;
        if (eat(s, '}')) {
            return true;
        }
        if (!eat(s, ',')) {
            return false;
        }
    }
}

/* {"stream":"S","ts":1,"data": — stops before the value. */
static bool envelope(struct scan *s, const struct json_line *l, const struct json_stream **st,
                     int64_t *ts)
{
    static _Thread_local uint32_t last;
    struct efx_str name;
    struct decimal d;
    if (!eat(s, '{') || !MEMBER(s, "stream") || *s->p != '"') {
        return false;
    }
    s->p++;
    if (!text(s, &name)) {
        return false;
    }
    *st = efx_json__stream(l->f, name, &last);
    if (*st == NULL || !eat(s, ',')) {
        return false;
    }
    if (MEMBER(s, "ts")) {
        if (!decimal(s, &d) || d.point || !eat(s, ',')) {
            return false;
        }
        *ts = d.minus ? -(int64_t)d.m : (int64_t)d.m;
    }
    return MEMBER(s, "data");
}

enum efx_rc efx_json__fast(const struct json_line *l)
{
    struct scan s = {
        .put = {.b = l->b, .date_format = l->f->conf.date_format}, .p = l->p, .end = l->p + l->n};
    const struct json_stream *st = l->f->events ? NULL : &l->f->streams[l->f->first];
    int64_t ts = l->ts_ms;
    blank(&s);
    if (l->f->events && !envelope(&s, l, &st, &ts)) {
        return EFX_DONE;
    }
    enum efx_rc rc = efx_builder_begin(l->b, (uint16_t)(st - l->f->streams), ts, &s.put.set);
    if (rc != EFX_OK) {
        return rc;
    }
    s.put.schema = st->schema;
    bool ok = eat(&s, '{') ? object(&s, st) : l->f->events && eat(&s, '[') && array(&s, st);
    ok = ok && (!l->f->events || eat(&s, '}'));
    if (s.put.full) {
        return EFX_ENOMEM;
    }
    if (!ok || s.p != s.end) {
        return EFX_DONE;
    }
    efx_builder_end(l->b, s.put.set);
    return EFX_OK;
}
