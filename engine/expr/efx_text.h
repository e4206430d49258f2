#ifndef EFX_TEXT_H
#define EFX_TEXT_H

#include "efx_arena.h"
#include "efx_ctx.h"
#include "efx_str.h"
#include "efx_value.h"

/* Texts for kernels and single values: UTF-8 by code point, case, LIKE, REGEXP, numbers.
 *
 * Texts are UTF-8 by the time they get here; a byte that is none stands for itself, as a code point
 * of one byte, so nothing here ever reads past the end.
 *
 *   Owner   arenas are the caller's; running out of one is a fault (EFX_ASSERT)
 *   Limits  the process runs in the numeric locale "C"
 */
static inline uint32_t efx_text__size(uint8_t first) /* bytes of a code point */
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF8 ? 4 : 1;
}

/* The code point at s[at], at < n; *size gets its bytes. */
static inline uint32_t efx_text__get(const uint8_t *s, uint32_t n, uint32_t at, uint32_t *size)
{
    uint8_t c = s[at];
    uint32_t len = efx_text__size(c);
    if (len == 1 || len > n - at) {
        *size = 1;
        return c;
    }
    uint32_t cp = c & (0x7Fu >> len);
    for (uint32_t k = 1; k < len; k++) {
        cp = cp << 6 | (s[at + k] & 0x3Fu);
    }
    *size = len;
    return cp;
}

/* Writes at most 4 bytes; returns how many. */
static inline uint32_t efx_text__put(uint8_t *out, uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    uint32_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (uint32_t k = len - 1; k > 0; k--) {
        out[k] = (uint8_t)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    out[0] = (uint8_t)((0xF00u >> len & 0xF0) | cp);
    return len;
}

/* Code points of s. */
static inline uint32_t efx_text__length(const uint8_t *s, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += (s[i] & 0xC0) != 0x80;
    }
    return count;
}

/* Byte offset after `points` code points from `at`; n if there are fewer. */
static inline uint32_t efx_text__skip(const uint8_t *s, uint32_t n, uint32_t at, uint64_t points)
{
    for (; points > 0 && at < n; points--) {
        at++;
        while (at < n && (s[at] & 0xC0) == 0x80) {
            at++;
        }
    }
    return at;
}

static inline void *efx_text__room(struct efx_arena *a, size_t n)
{
    void *p = efx_arena_bytes(a, n);
    EFX_ASSERT(p != NULL);
    return p;
}

/* Simple case mapping, one code point to one. */
uint32_t efx_text__upper(uint32_t cp);
uint32_t efx_text__lower(uint32_t cp);
/* Writes at most 2 * n bytes to out; returns how many. */
uint32_t efx_text__map(const uint8_t *s, uint32_t n, bool upper, uint8_t *out);

/* LIKE, ILIKE (fold): does the pattern match the whole text? escape: 0 = none. */
bool efx_text__like(struct efx_str text, struct efx_str pattern, uint32_t escape, bool fold);
/* A constant case-sensitive pattern in plan; NULL = it has `_`, use the above. */
struct efx_text__runs;
enum efx_rc efx_text__runs_make(struct efx_arena *plan, struct efx_str pattern, uint32_t escape,
                                const struct efx_text__runs **out) EFX_MUST_USE;
bool efx_text__runs_match(const struct efx_text__runs *runs, const uint8_t *s, uint32_t n);

/* A constant pattern in plan, with machine code; NULL = it is faulty. */
void *efx_text__regex_make(struct efx_arena *plan, struct efx_str pattern);
/* Matching many texts with what lies on ctx's scratch. */
struct efx_text__matcher;
struct efx_text__matcher *efx_text__matcher_begin(struct efx_ctx *ctx);
/* `code` NULL: by `pattern`, which is compiled unless it was among the last few. 0, or 3301: a
 * faulty pattern, or one that takes too long. */
uint16_t efx_text__matcher_test(struct efx_text__matcher *m, void *code, struct efx_str pattern,
                                struct efx_str text, bool *hit);
/* Every match replaced, `$1` being the first group; the result in `to`. */
uint16_t efx_text__matcher_replace(struct efx_text__matcher *m, struct efx_str pattern,
                                   struct efx_str text, struct efx_str by, struct efx_arena *to,
                                   struct efx_str *out);
/* Group g of the first match, copied to `to`; *hit false: none. */
uint16_t efx_text__matcher_extract(struct efx_text__matcher *m, struct efx_str pattern,
                                   struct efx_str text, int64_t group, struct efx_arena *to,
                                   struct efx_str *out, bool *hit);
/* Once, with memory of tmp. */
uint16_t efx_text__regexp(struct efx_str text, struct efx_str pattern, struct efx_arena *tmp,
                          bool *hit);

/* CAST to STRING of whatever is no text: writes at most 40 bytes, returns how many. */
uint32_t efx_text__of(const struct efx_value *v, char *buf);
/* CAST of STRING: false = NULL. */
bool efx_text__parse(struct efx_str s, enum efx_type to, struct efx_value *out);

#endif /* EFX_TEXT_H */
