/* The other functions of texts, by their meaning over single values. Lengths and places count code
 * points, from 1; results are made in the arena that the caller gives.
 */
#define _GNU_SOURCE /* memmem */
#include "efx_func_impl.h"

#define DESCRIBE(ID, NAME, MIN, MAX, TOTAL, RESOLVE, BASE, HELP)                                   \
    const struct efx_func efx_func__##ID = {.name = NAME,                                          \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = true,                                        \
                                            .total = TOTAL,                                        \
                                            .resolve = RESOLVE,                                    \
                                            .vec = BASE##_vec,                                     \
                                            .value = BASE##_value,                                 \
                                            .help = HELP};

#define VALUE(ID)                                                                                  \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)

/* ---- resolving: types of the arguments, then of the result ---- */

/* kinds: s = text, n = whole number; one letter an argument. */
static uint16_t resolve(struct efx_func_types *t, const char *kinds, enum efx_type out)
{
    uint16_t code = 0;
    t->out = out;
    for (uint32_t i = 0; code == 0 && i < t->n; i++) {
        code = kinds[i] == 's' ? efx_func__want_text(t, i) : efx_func__want_whole(t, i);
    }
    return code;
}

#define RESOLVE(NAME, KINDS, OUT)                                                                  \
    static uint16_t NAME(struct efx_func_types *t)                                                 \
    {                                                                                              \
        return resolve(t, KINDS, OUT);                                                             \
    }

RESOLVE(texts, "sss", EFX_TYPE_STRING)
RESOLVE(text_whole_text, "sns", EFX_TYPE_STRING)
RESOLVE(text_text_whole, "ssn", EFX_TYPE_STRING)
RESOLVE(whole_to_text, "n", EFX_TYPE_STRING)
RESOLVE(texts_to_int, "ss", EFX_TYPE_INT)
RESOLVE(texts_to_bool, "ss", EFX_TYPE_BOOL)

/* ---- building ---- */

static struct efx_str str_of(const struct efx_value *v)
{
    return v->s.n == 0 ? (struct efx_str){"", 0} : v->s;
}

static const uint8_t *bytes(struct efx_str s)
{
    return (const uint8_t *)s.p;
}

static uint16_t give(struct efx_str s, struct efx_arena *tmp, struct efx_value *out)
{
    char *p = efx_text__room(tmp, s.n);
    memcpy(p, s.p, s.n);
    *out = (struct efx_value){.type = EFX_TYPE_STRING, .s = {p, s.n}};
    return 0;
}

static struct efx_str slice(struct efx_str s, uint32_t from, uint32_t until)
{
    return (struct efx_str){s.p + from, until - from};
}

/* Place of t in s from `at` on; UINT32_MAX = none. */
static uint32_t find(struct efx_str s, struct efx_str t, uint32_t at)
{
    const char *p = memmem(s.p + at, s.n - at, t.p, t.n);
    return p == NULL ? UINT32_MAX : (uint32_t)(p - s.p);
}

/* ---- parts ---- */

VALUE(left)
{
    (void)n;
    struct efx_str s = str_of(a);
    uint64_t points = a[1].l < 0 ? 0 : (uint64_t)a[1].l;
    return give(slice(s, 0, efx_text__skip(bytes(s), s.n, 0, points)), tmp, out);
}

VALUE(right)
{
    (void)n;
    struct efx_str s = str_of(a);
    uint64_t points = a[1].l < 0 ? 0 : (uint64_t)a[1].l;
    uint32_t length = efx_text__length(bytes(s), s.n);
    uint64_t skip = points >= length ? 0 : length - points;
    return give(slice(s, efx_text__skip(bytes(s), s.n, 0, skip), s.n), tmp, out);
}

VALUE(split)
{
    (void)n;
    struct efx_str s = str_of(a), sep = str_of(a + 1);
    uint32_t from = 0;
    for (int64_t i = 1; sep.n > 0 && i < a[2].l; i++) {
        uint32_t at = find(s, sep, from);
        if (at == UINT32_MAX) {
            *out = efx_value_null(EFX_TYPE_STRING);
            return 0;
        }
        from = at + sep.n;
    }
    if (a[2].l < 1 || (sep.n == 0 && a[2].l > 1)) {
        *out = efx_value_null(EFX_TYPE_STRING);
        return 0;
    }
    uint32_t end = sep.n == 0 ? UINT32_MAX : find(s, sep, from);
    return give(slice(s, from, end == UINT32_MAX ? s.n : end), tmp, out);
}

/* ---- trimming ---- */

static bool is_white(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

/* Is the code point at s[at] one of those to cut? `of` NULL: white space. */
static bool cuts(struct efx_str s, uint32_t at, const struct efx_value *of, uint32_t *size)
{
    uint32_t cp = efx_text__get(bytes(s), s.n, at, size);
    if (of == NULL) {
        return is_white(cp);
    }
    struct efx_str set = str_of(of);
    uint32_t step;
    bool in = false;
    for (uint32_t k = 0; !in && k < set.n; k += step) {
        in = efx_text__get(bytes(set), set.n, k, &step) == cp;
    }
    return in;
}

static uint16_t trim(const struct efx_value *a, uint32_t n, bool front, bool back,
                     struct efx_arena *tmp, struct efx_value *out)
{
    struct efx_str s = str_of(a);
    const struct efx_value *of = n > 1 ? a + 1 : NULL;
    uint32_t size = 0, from = 0, until = s.n;
    while (front && from < until && cuts(s, from, of, &size)) {
        from += size;
    }
    while (back && until > from) {
        uint32_t last = until - 1;
        while (last > from && (bytes(s)[last] & 0xC0) == 0x80) {
            last--;
        }
        if (!cuts(slice(s, 0, until), last, of, &size)) {
            break;
        }
        until = last;
    }
    return give(slice(s, from, until), tmp, out);
}

VALUE(trim)
{
    return trim(a, n, true, true, tmp, out);
}

VALUE(ltrim)
{
    return trim(a, n, true, false, tmp, out);
}

VALUE(rtrim)
{
    return trim(a, n, false, true, tmp, out);
}

/* ---- longer texts ---- */

static uint16_t made(char *p, uint64_t n, struct efx_value *out)
{
    *out = (struct efx_value){.type = EFX_TYPE_STRING, .s = {p, (uint32_t)n}};
    return 0;
}

VALUE(replace)
{
    (void)n;
    struct efx_str s = str_of(a), from = str_of(a + 1), to = str_of(a + 2);
    uint64_t hits = 0, at = 0;
    for (uint32_t k = 0; from.n > 0 && (k = find(s, from, k)) != UINT32_MAX; k += from.n) {
        hits++;
    }
    uint64_t total = s.n - hits * from.n + hits * to.n;
    if (total > EFX_FUNC_TEXT_MAX) {
        return EFX_FUNC_BAD;
    }
    char *p = efx_text__room(tmp, total);
    uint32_t done = 0;
    for (; hits > 0; hits--) {
        uint32_t k = find(s, from, done);
        memcpy(p + at, s.p + done, k - done);
        at += k - done;
        memcpy(p + at, to.p, to.n);
        at += to.n;
        done = k + from.n;
    }
    memcpy(p + at, s.p + done, s.n - done);
    return made(p, total, out);
}

VALUE(repeat)
{
    (void)n;
    struct efx_str s = str_of(a);
    uint64_t times = a[1].l < 0 || s.n == 0 ? 0 : (uint64_t)a[1].l;
    if (times > EFX_FUNC_TEXT_MAX || times * s.n > EFX_FUNC_TEXT_MAX) {
        return EFX_FUNC_BAD;
    }
    char *p = efx_text__room(tmp, times * s.n);
    for (uint64_t k = 0; k < times; k++) {
        memcpy(p + k * s.n, s.p, s.n);
    }
    return made(p, times * s.n, out);
}

/* Code points that are missing to `points`, from pad again and again. */
static uint32_t padding(char *p, struct efx_str pad, uint64_t points)
{
    uint32_t n = 0;
    for (uint32_t at = 0, size = 0; points > 0; points--, at = at + size < pad.n ? at + size : 0) {
        (void)efx_text__get(bytes(pad), pad.n, at, &size);
        memcpy(p + n, pad.p + at, size);
        n += size;
    }
    return n;
}

static uint16_t pad(const struct efx_value *a, uint32_t n, bool front, struct efx_arena *tmp,
                    struct efx_value *out)
{
    struct efx_str s = str_of(a), by = n > 2 ? str_of(a + 2) : efx_str_of(" ");
    uint64_t points = a[1].l < 0 ? 0 : (uint64_t)a[1].l;
    uint64_t length = efx_text__length(bytes(s), s.n);
    if (points <= length || by.n == 0) {
        return give(slice(s, 0, efx_text__skip(bytes(s), s.n, 0, points)), tmp, out);
    }
    uint64_t missing = points - length;
    if (missing > EFX_FUNC_TEXT_MAX / 4) {
        return EFX_FUNC_BAD;
    }
    char *p = efx_text__room(tmp, s.n + missing * 4);
    uint32_t at = front ? padding(p, by, missing) : 0;
    memcpy(p + at, s.p, s.n);
    at += s.n;
    at += front ? 0 : padding(p + at, by, missing);
    return made(p, at, out);
}

VALUE(lpad)
{
    return pad(a, n, true, tmp, out);
}

VALUE(rpad)
{
    return pad(a, n, false, tmp, out);
}

VALUE(reverse)
{
    (void)n;
    struct efx_str s = str_of(a);
    char *p = efx_text__room(tmp, s.n);
    for (uint32_t at = 0, size; at < s.n; at += size) {
        (void)efx_text__get(bytes(s), s.n, at, &size);
        memcpy(p + s.n - at - size, s.p + at, size);
    }
    return made(p, s.n, out);
}

/* ---- looking ---- */

VALUE(position)
{
    (void)n;
    (void)tmp;
    struct efx_str t = str_of(a), s = str_of(a + 1);
    uint32_t at = find(s, t, 0);
    int32_t place = at == UINT32_MAX ? 0 : (int32_t)efx_text__length(bytes(s), at) + 1;
    *out = (struct efx_value){.type = EFX_TYPE_INT, .i = place};
    return 0;
}

#define TEST(ID, HELD)                                                                             \
    VALUE(ID)                                                                                      \
    {                                                                                              \
        (void)n;                                                                                   \
        (void)tmp;                                                                                 \
        struct efx_str s = str_of(a), t = str_of(a + 1);                                           \
        *out = (struct efx_value){.type = EFX_TYPE_BOOL, .b = (HELD)};                             \
        return 0;                                                                                  \
    }

TEST(contains, find(s, t, 0) != UINT32_MAX)
TEST(starts_with, t.n <= s.n && memcmp(s.p, t.p, t.n) == 0)
TEST(ends_with, t.n <= s.n && memcmp(s.p + s.n - t.n, t.p, t.n) == 0)

VALUE(ascii)
{
    (void)n;
    (void)tmp;
    struct efx_str s = str_of(a);
    uint32_t size;
    *out = (struct efx_value){.type = EFX_TYPE_INT, .null = s.n == 0};
    out->i = s.n == 0 ? 0 : (int32_t)efx_text__get(bytes(s), s.n, 0, &size);
    return 0;
}

VALUE(chr)
{
    (void)n;
    int64_t cp = a->l;
    if (cp < 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
        *out = efx_value_null(EFX_TYPE_STRING);
        return 0;
    }
    uint8_t *p = efx_text__room(tmp, 4);
    return made((char *)p, efx_text__put(p, (uint32_t)cp), out);
}

/* ---- descriptors ---- */

EFX_FUNC_BY_ROW(left)
EFX_FUNC_BY_ROW(right)
EFX_FUNC_BY_ROW(split)
EFX_FUNC_BY_ROW(trim)
EFX_FUNC_BY_ROW(ltrim)
EFX_FUNC_BY_ROW(rtrim)
EFX_FUNC_BY_ROW(replace)
EFX_FUNC_BY_ROW(repeat)
EFX_FUNC_BY_ROW(lpad)
EFX_FUNC_BY_ROW(rpad)
EFX_FUNC_BY_ROW(reverse)
EFX_FUNC_BY_ROW(position)
EFX_FUNC_BY_ROW(contains)
EFX_FUNC_BY_ROW(starts_with)
EFX_FUNC_BY_ROW(ends_with)
EFX_FUNC_BY_ROW(ascii)
EFX_FUNC_BY_ROW(chr)

DESCRIBE(left, "left", 2, 2, true, text_whole_text, left, "left(s, n): the first n")
DESCRIBE(right, "right", 2, 2, true, text_whole_text, right, "right(s, n): the last n")
DESCRIBE(split, "split", 3, 3, true, text_text_whole, split, "split(s, sep, i): the i-th part")
DESCRIBE(trim, "trim", 1, 2, true, texts, trim, "trim(s [, c]): without white space, or c, around")
DESCRIBE(ltrim, "ltrim", 1, 2, true, texts, ltrim, "ltrim(s [, c]): trim in front")
DESCRIBE(rtrim, "rtrim", 1, 2, true, texts, rtrim, "rtrim(s [, c]): trim behind")
DESCRIBE(replace, "replace", 3, 3, false, texts, replace, "replace(s, from, to): every from by to")
DESCRIBE(repeat, "repeat", 2, 2, false, text_whole_text, repeat, "repeat(s, n): s n times")
DESCRIBE(lpad, "lpad", 2, 3, false, text_whole_text, lpad, "lpad(s, n [, p]): filled up in front")
DESCRIBE(rpad, "rpad", 2, 3, false, text_whole_text, rpad, "rpad(s, n [, p]): filled up behind")
DESCRIBE(reverse, "reverse", 1, 1, true, texts, reverse, "reverse(s): last code point first")
DESCRIBE(position, "position", 2, 2, true, texts_to_int, position,
         "position(t, s): of t in s; 0 = is not there")
DESCRIBE(locate, "locate", 2, 2, true, texts_to_int, position, "locate(t, s): position")
DESCRIBE(instr, "instr", 2, 2, true, texts_to_int, position, "instr(t, s): position")
DESCRIBE(contains, "contains", 2, 2, true, texts_to_bool, contains, "contains(s, t): is t in s")
DESCRIBE(starts_with, "starts_with", 2, 2, true, texts_to_bool, starts_with,
         "starts_with(s, t): does s begin with t")
DESCRIBE(ends_with, "ends_with", 2, 2, true, texts_to_bool, ends_with,
         "ends_with(s, t): does s end with t")
DESCRIBE(ascii, "ascii", 1, 1, true, texts_to_int, ascii, "ascii(s): its first code point")
DESCRIBE(chr, "chr", 1, 1, true, whole_to_text, chr, "chr(n): the character of a code point")
DESCRIBE(char, "char", 1, 1, true, whole_to_text, chr, "char(n): chr")
