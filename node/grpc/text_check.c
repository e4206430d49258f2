#include "text_check.h"

#include <string.h>

bool text_is_ascii(const uint8_t *p, size_t n)
{
    uint64_t all = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, sizeof word);
        all |= word;
    }
    for (; i < n; i++) {
        all |= (uint64_t)p[i] << 56;
    }
    return (all & 0x8080808080808080u) == 0;
}

/* Bytes of the sequence that begins here; 0 = is none. */
static size_t sequence(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t b = p[0];
    size_t k = b < 0x80 ? 1 : b >> 5 == 6 ? 2 : b >> 4 == 14 ? 3 : b >> 3 == 30 ? 4 : 0;
    if (k == 0 || k > n) {
        return 0;
    }
    uint32_t code = k == 1 ? b : b & (0x7Fu >> k);
    for (size_t i = 1; i < k; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3F);
    }
    return code < least[k] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : k;
}

bool text_is_utf8(const uint8_t *p, size_t n)
{
    if (text_is_ascii(p, n)) {
        return true;
    }
    for (size_t i = 0, k; i < n; i += k) {
        k = sequence(p + i, n - i);
        if (k == 0) {
            return false;
        }
    }
    return true;
}

/* ---- JSON ---- */

struct json {
    const uint8_t *p, *end;
    uint32_t depth;
    bool is_array[TEXT_JSON_DEPTH_MAX];
};

static void blanks(struct json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) {
        j->p++;
    }
}

static bool take(struct json *j, uint8_t c)
{
    bool is = j->p < j->end && *j->p == c;
    j->p += is;
    return is;
}

static bool escape(struct json *j)
{
    if (j->p == j->end || strchr("\"\\/bfnrtu", *j->p) == NULL || *j->p == '\0') {
        return false;
    }
    if (*j->p++ != 'u') {
        return true;
    }
    for (int i = 0; i < 4; i++, j->p++) {
        if (j->p == j->end || *j->p == '\0' || strchr("0123456789abcdefABCDEF", *j->p) == NULL) {
            return false;
        }
    }
    return true;
}

static bool string(struct json *j)
{
    if (!take(j, '"')) {
        return false;
    }
    while (j->p < j->end && *j->p != '"') {
        uint8_t c = *j->p++;
        if (c < 0x20 || (c == '\\' && !escape(j))) {
            return false;
        }
    }
    return take(j, '"');
}

static bool digits(struct json *j)
{
    const uint8_t *from = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        j->p++;
    }
    return j->p > from;
}

static bool number(struct json *j)
{
    (void)take(j, '-');
    if (!take(j, '0') && !digits(j)) {
        return false;
    }
    if (take(j, '.') && !digits(j)) {
        return false;
    }
    if (take(j, 'e') || take(j, 'E')) {
        if (!take(j, '+')) {
            (void)take(j, '-');
        }
        return digits(j);
    }
    return true;
}

static bool word(struct json *j, const char *text)
{
    size_t n = strlen(text);
    bool is = (size_t)(j->end - j->p) >= n && memcmp(j->p, text, n) == 0;
    j->p += is ? n : 0;
    return is;
}

static bool key(struct json *j)
{
    blanks(j);
    if (!string(j)) {
        return false;
    }
    blanks(j);
    return take(j, ':');
}

/* A value that is no container. */
static bool scalar(struct json *j)
{
    switch (j->p < j->end ? *j->p : 0) {
    case '"': return string(j);
    case 't': return word(j, "true");
    case 'f': return word(j, "false");
    case 'n': return word(j, "null");
    default: return number(j);
    }
}

/* Behind a value: closes what ends here. False: wrong. *more: another value follows. */
static bool behind(struct json *j, bool *more)
{
    *more = false;
    while (j->depth > 0) {
        bool array = j->is_array[j->depth - 1];
        blanks(j);
        if (take(j, ',')) {
            *more = true;
            return array || key(j);
        }
        if (!take(j, array ? ']' : '}')) {
            return false;
        }
        j->depth--;
    }
    return true;
}

/* Opens a container; *value: one follows in it, else it was empty. */
static bool open(struct json *j, bool array, bool *value)
{
    if (j->depth == TEXT_JSON_DEPTH_MAX) {
        return false;
    }
    j->p++;
    blanks(j);
    if (take(j, array ? ']' : '}')) {
        *value = false;
        return true;
    }
    *value = true;
    j->is_array[j->depth++] = array;
    return array || key(j);
}

bool text_is_json(const uint8_t *p, size_t n)
{
    struct json j = {.p = p, .end = p + n};
    if (!text_is_utf8(p, n)) {
        return false;
    }
    for (bool more = true; more;) {
        blanks(&j);
        uint8_t c = j.p < j.end ? *j.p : 0;
        if (c == '[' || c == '{') {
            bool value;
            if (!open(&j, c == '[', &value)) {
                return false;
            }
            if (value) {
                continue;
            }
        } else if (!scalar(&j)) {
            return false;
        }
        if (!behind(&j, &more)) {
            return false;
        }
    }
    blanks(&j);
    return j.p == j.end;
}
