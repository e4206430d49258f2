/* LIKE and ILIKE.
 *
 * The general matcher walks text and pattern together by code point and, where they part, goes back
 * to the last `%` and lets it take one code point more; only the last one matters, for what an
 * earlier one could take the later one can take too. Constant patterns without `_` are cut at their
 * `%` beforehand:
 *
 *   'ab%cd%ef'     starts with ab, then the first cd, ends with ef behind it
 */
#define _GNU_SOURCE /* memmem */
#include "efx_text.h"

enum element { LITERAL, ONE, RUN };

struct reader { /* of a pattern */
    const uint8_t *p;
    uint32_t n, at;
    uint32_t escape;
    uint32_t size; /* bytes of the last literal, which end at `at` */
};

/* The next element and, of a literal, its code point. An escape at the very end is itself. */
static enum element next_element(struct reader *r, uint32_t *cp)
{
    *cp = efx_text__get(r->p, r->n, r->at, &r->size);
    r->at += r->size;
    if (r->escape != 0 && *cp == r->escape && r->at < r->n) {
        *cp = efx_text__get(r->p, r->n, r->at, &r->size);
        r->at += r->size;
        return LITERAL;
    }
    return *cp == '%' ? RUN : *cp == '_' ? ONE : LITERAL;
}

static bool same(uint32_t a, uint32_t b, bool fold)
{
    return a == b || (fold && efx_text__lower(a) == efx_text__lower(b));
}

bool efx_text__like(struct efx_str text, struct efx_str pattern, uint32_t escape, bool fold)
{
    const uint8_t *s = (const uint8_t *)text.p;
    struct reader r = {(const uint8_t *)pattern.p, pattern.n, 0, escape, 0};
    uint32_t at = 0, size = 0, back_text = 0, back_pattern = 0;
    bool has_run = false;
    for (;;) {
        if (r.at < r.n) {
            uint32_t want;
            enum element e = next_element(&r, &want);
            if (e == RUN) {
                has_run = true;
                back_text = at;
                back_pattern = r.at;
                continue;
            }
            if (at < text.n) {
                uint32_t have = efx_text__get(s, text.n, at, &size);
                if (e == ONE || same(have, want, fold)) {
                    at += size;
                    continue;
                }
            }
        } else if (at == text.n) {
            return true;
        }
        if (!has_run || back_text >= text.n) {
            return false;
        }
        (void)efx_text__get(s, text.n, back_text, &size);
        back_text += size;
        at = back_text;
        r.at = back_pattern;
    }
}

/* ---- constant patterns ---- */

struct efx_text__runs {
    uint32_t n; /* pieces between the `%`, empty ones included; 1 = no `%` */
    struct efx_str *piece;
};

enum efx_rc efx_text__runs_make(struct efx_arena *plan, struct efx_str pattern, uint32_t escape,
                                const struct efx_text__runs **out)
{
    struct efx_text__runs *runs = EFX_NEW(plan, struct efx_text__runs);
    uint8_t *bytes = efx_arena_bytes(plan, (size_t)pattern.n + 4);
    struct efx_str *piece = EFX_NEW_N(plan, struct efx_str, (size_t)pattern.n + 1);
    if (runs == NULL || bytes == NULL || piece == NULL) {
        return EFX_ENOMEM;
    }
    struct reader r = {(const uint8_t *)pattern.p, pattern.n, 0, escape, 0};
    uint32_t k = 0;
    piece[0].p = (const char *)bytes;
    while (r.at < r.n) {
        uint32_t cp;
        enum element e = next_element(&r, &cp);
        if (e == ONE) {
            *out = NULL;
            return EFX_OK;
        }
        if (e == RUN) {
            piece[k + 1].p = piece[k].p + piece[k].n;
            k++;
            continue;
        }
        memcpy(bytes, r.p + r.at - r.size, r.size);
        bytes += r.size;
        piece[k].n += r.size;
    }
    *runs = (struct efx_text__runs){k + 1, piece};
    *out = runs;
    return EFX_OK;
}

static bool at_start(struct efx_str piece, const uint8_t *s, uint32_t n)
{
    return piece.n <= n && memcmp(piece.p, s, piece.n) == 0;
}

bool efx_text__runs_match(const struct efx_text__runs *runs, const uint8_t *s, uint32_t n)
{
    struct efx_str first = runs->piece[0], last = runs->piece[runs->n - 1];
    if (runs->n == 1) {
        return n == first.n && memcmp(s, first.p, n) == 0;
    }
    if (n < first.n + last.n || !at_start(first, s, n) || !at_start(last, s + n - last.n, last.n)) {
        return false;
    }
    const uint8_t *from = s + first.n, *until = s + n - last.n;
    for (uint32_t k = 1; k + 1 < runs->n; k++) {
        const struct efx_str *piece = &runs->piece[k];
        const uint8_t *hit = memmem(from, (size_t)(until - from), piece->p, piece->n);
        if (hit == NULL) {
            return false;
        }
        from = hit + piece->n;
    }
    return true;
}
