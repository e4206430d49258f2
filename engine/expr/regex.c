/* REGEXP by PCRE2, UTF mode, anywhere in the text.
 *
 *   constant pattern   compiled once, in the plan; machine code for the first JIT_MAX of a process,
 *                      whose pages PCRE2 keeps until it ends (plans have no destructors)
 *   computed pattern   compiled where it changes; the last few of a call are kept
 *
 * Whatever PCRE2 needs while it matches lies on the shard's scratch or in the caller's arena and
 * goes with it, so there is nothing to free and nothing to share between threads.
 *
 *   Limits  matching gives up (3301) after STEPS_MAX steps or HEAP_KIB of backtracking
 */
#include "efx_text.h"

#include <stdatomic.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    JIT_MAX = 4096,
    STEPS_MAX = 1000000,
    HEAP_KIB = 16 * 1024,
    KEPT = 8,
    BAD_PATTERN = 3301,
    TEXT_MAX = 16 * 1024 * 1024
};

static atomic_uint n_jit;

static void *arena_take(size_t n, void *arena)
{
    return efx_arena_bytes(arena, n);
}

static void *scratch_take(size_t n, void *ctx)
{
    return efx_scratch(ctx, n);
}

static void keep(void *p, void *owner)
{
    (void)p;
    (void)owner;
}

static pcre2_code *compile(struct efx_str pattern, void *(*take)(size_t, void *), void *owner)
{
    pcre2_general_context *g = pcre2_general_context_create(take, keep, owner);
    pcre2_compile_context *c = g == NULL ? NULL : pcre2_compile_context_create(g);
    if (c == NULL) {
        return NULL;
    }
    int code;
    PCRE2_SIZE at;
    return pcre2_compile((PCRE2_SPTR)(pattern.n == 0 ? "" : pattern.p), pattern.n,
                         PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at,
                         c);
}

void *efx_text__regex_make(struct efx_arena *plan, struct efx_str pattern)
{
    pcre2_code *code = compile(pattern, arena_take, plan);
    if (code != NULL && atomic_fetch_add(&n_jit, 1) < JIT_MAX) {
        (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without, it is interpreted */
    }
    return code;
}

/* ---- matching ---- */

struct side { /* what a match needs beside the code */
    pcre2_match_context *limits;
    pcre2_match_data *data;
};

static struct side side_make(void *(*take)(size_t, void *), void *owner)
{
    pcre2_general_context *g = pcre2_general_context_create(take, keep, owner);
    EFX_ASSERT(g != NULL);
    struct side s = {pcre2_match_context_create(g), pcre2_match_data_create(1, g)};
    EFX_ASSERT(s.limits != NULL && s.data != NULL);
    (void)pcre2_set_match_limit(s.limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(s.limits, HEAP_KIB);
    return s;
}

static uint16_t test(const struct side *s, const pcre2_code *code, struct efx_str text, bool *hit)
{
    if (code == NULL) {
        return BAD_PATTERN;
    }
    PCRE2_SPTR p = (PCRE2_SPTR)(text.n == 0 ? "" : text.p);
    int rc = pcre2_match(code, p, text.n, 0, 0, s->data, s->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(code, p, text.n, 0, PCRE2_NO_JIT, s->data, s->limits);
    }
    *hit = rc >= 0;
    return rc >= 0 || rc == PCRE2_ERROR_NOMATCH ? 0 : BAD_PATTERN;
}

struct efx_text__matcher {
    struct efx_ctx *ctx;
    struct side side;
    struct efx_ctx_mark empty; /* scratch before the first kept pattern */
    uint32_t n_kept;
    struct efx_str pattern[KEPT];
    pcre2_code *code[KEPT]; /* NULL = faulty */
};

struct efx_text__matcher *efx_text__matcher_begin(struct efx_ctx *ctx)
{
    struct efx_text__matcher *m = efx_scratch(ctx, sizeof *m);
    m->ctx = ctx;
    m->side = side_make(scratch_take, ctx);
    m->n_kept = 0;
    m->empty = efx_ctx_begin(ctx);
    return m;
}

/* Memory that matching takes meanwhile lies above `empty` too: so it is made anew with them. */
static pcre2_code *code_of(struct efx_text__matcher *m, struct efx_str pattern)
{
    for (uint32_t k = 0; k < m->n_kept; k++) {
        if (efx_str_equal(m->pattern[k], pattern)) {
            return m->code[k];
        }
    }
    if (m->n_kept == KEPT) {
        efx_ctx_end(m->ctx, m->empty);
        m->side = side_make(scratch_take, m->ctx);
        m->n_kept = 0;
    }
    char *copy = efx_scratch(m->ctx, (size_t)pattern.n + 1);
    memcpy(copy, pattern.n == 0 ? "" : pattern.p, pattern.n);
    m->pattern[m->n_kept] = (struct efx_str){copy, pattern.n};
    m->code[m->n_kept] = compile(pattern, scratch_take, m->ctx);
    return m->code[m->n_kept++];
}

uint16_t efx_text__matcher_test(struct efx_text__matcher *m, void *code, struct efx_str pattern,
                                struct efx_str text, bool *hit)
{
    return test(&m->side, code != NULL ? code : code_of(m, pattern), text, hit);
}

uint16_t efx_text__regexp(struct efx_str text, struct efx_str pattern, struct efx_arena *tmp,
                          bool *hit)
{
    struct side s = side_make(arena_take, tmp);
    return test(&s, compile(pattern, arena_take, tmp), text, hit);
}

/* ---- groups ---- */

/* Match data with all groups of the pattern, on the scratch until the caller's mark. */
static pcre2_match_data *groups_of(struct efx_text__matcher *m, const pcre2_code *code)
{
    pcre2_general_context *g = pcre2_general_context_create(scratch_take, keep, m->ctx);
    pcre2_match_data *data = g == NULL ? NULL : pcre2_match_data_create_from_pattern(code, g);
    EFX_ASSERT(data != NULL);
    return data;
}

static uint16_t replace(struct efx_text__matcher *m, const pcre2_code *code, struct efx_str text,
                        struct efx_str by, struct efx_arena *to, struct efx_str *out)
{
    const uint32_t how = PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_UNSET_EMPTY |
                         PCRE2_SUBSTITUTE_UNKNOWN_UNSET | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH;
    pcre2_match_data *data = groups_of(m, code);
    PCRE2_SPTR s = (PCRE2_SPTR)(text.n == 0 ? "" : text.p);
    PCRE2_SPTR r = (PCRE2_SPTR)(by.n == 0 ? "" : by.p);
    for (PCRE2_SIZE room = (PCRE2_SIZE)text.n * 2 + 64;;) {
        PCRE2_SIZE n = room;
        char *p = efx_text__room(to, n);
        int rc = pcre2_substitute(code, s, text.n, 0, how, data, m->side.limits, r, by.n,
                                  (PCRE2_UCHAR *)p, &n);
        if (rc >= 0) {
            *out = (struct efx_str){p, (uint32_t)n};
            return 0;
        }
        if (rc != PCRE2_ERROR_NOMEMORY || n <= room || n > TEXT_MAX) {
            return BAD_PATTERN;
        }
        room = n;
    }
}

uint16_t efx_text__matcher_replace(struct efx_text__matcher *m, struct efx_str pattern,
                                   struct efx_str text, struct efx_str by, struct efx_arena *to,
                                   struct efx_str *out)
{
    const pcre2_code *code = code_of(m, pattern);
    if (code == NULL) {
        return BAD_PATTERN;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(m->ctx);
    uint16_t rc = replace(m, code, text, by, to, out);
    efx_ctx_end(m->ctx, mark);
    return rc;
}

static uint16_t extract(struct efx_text__matcher *m, const pcre2_code *code, struct efx_str text,
                        int64_t group, struct efx_str *out, bool *hit)
{
    const struct side s = {m->side.limits, groups_of(m, code)};
    uint16_t rc = test(&s, code, text, hit);
    if (rc != 0 || !*hit) {
        return rc;
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s.data);
    if (group < 0 || group >= (int64_t)pcre2_get_ovector_count(s.data)) {
        return BAD_PATTERN;
    }
    *hit = at[group * 2] != PCRE2_UNSET;
    if (*hit && at[group * 2] <= at[group * 2 + 1]) { /* \K can turn them around: empty then */
        *out =
            (struct efx_str){text.p + at[group * 2], (uint32_t)(at[group * 2 + 1] - at[group * 2])};
    }
    return 0;
}

uint16_t efx_text__matcher_extract(struct efx_text__matcher *m, struct efx_str pattern,
                                   struct efx_str text, int64_t group, struct efx_arena *to,
                                   struct efx_str *out, bool *hit)
{
    const pcre2_code *code = code_of(m, pattern);
    if (code == NULL) {
        return BAD_PATTERN;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(m->ctx);
    struct efx_str found = {"", 0};
    uint16_t rc = extract(m, code, text, group, &found, hit);
    efx_ctx_end(m->ctx, mark);
    char *copy = efx_text__room(to, found.n);
    memcpy(copy, found.n == 0 ? "" : found.p, found.n);
    *out = (struct efx_str){copy, found.n};
    return rc;
}
