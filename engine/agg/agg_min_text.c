/* MIN and MAX of STRING, by code point: shapes as in agg_min.c, of texts in the heap. */
#include "agg_held.h"

#define ITEM  struct agg_text
#define VALUE struct efx_cell
#define K     item_text

static inline bool beaten_by_less(const struct efx_heap *h, const struct agg_text *item,
                                  struct efx_cell v)
{
    return agg_text_compare(h, item, &v) >= 0;
}

static inline bool beaten_by_more(const struct efx_heap *h, const struct agg_text *item,
                                  struct efx_cell v)
{
    return agg_text_compare(h, item, &v) <= 0;
}

#define W      less_wedge
#define BEATEN beaten_by_less
#include "agg_wedge_tmpl.h"

#define W      more_wedge
#define BEATEN beaten_by_more
#include "agg_wedge_tmpl.h"

#define W    less_sorted
#define DOWN 0
#include "agg_sorted_tmpl.h"

#define W    more_sorted
#define DOWN 1
#include "agg_sorted_tmpl.h"

#undef ITEM
#undef VALUE
#undef K

/* ---- what both directions share */

static void held_init(void *state)
{
    *(struct agg_held *)state = (struct agg_held){0};
}

static void held_fini(const struct efx_states *at, void *state)
{
    agg_held_release(at->heap, state);
}

static inline void held_reset(const struct efx_states *at, struct agg_held *s)
{
    agg_held_release(at->heap, s);
}

static inline void held_keep(const struct efx_states *at, struct agg_held *s)
{
    (void)at;
    (void)s;
}

static inline enum efx_rc held_stay(const struct efx_states *at, struct agg_held *s,
                                    struct efx_cell v)
{
    (void)at;
    (void)s;
    (void)v;
    return EFX_OK;
}

static inline bool held_result(const struct efx_states *at, const struct agg_held *s,
                               struct efx_cell *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return agg_held_value(at, s, to);
}

static uint32_t held_save_bytes(const struct efx_states *at, const void *state)
{
    return agg_held_saved_bytes(at->heap, state);
}

static void held_save(const struct efx_states *at, const void *state, struct efx_writer *w)
{
    agg_held_put(at->heap, state, w);
}

static enum efx_rc held_load(const struct efx_states *at, void *state, struct efx_reader *r)
{
    return agg_held_get(at->heap, state, r);
}

static bool text_result(const struct efx_states *at, const struct agg_text *text,
                        struct efx_cell *to)
{
    *to = text != NULL ? agg_text_result(at, text) : (struct efx_cell){0};
    return text != NULL;
}

#define NAME   min_string
#define SIGN   1
#define WEDGE  less_wedge
#define SORTED less_sorted
#include "agg_min_text_tmpl.h"

#define NAME   max_string
#define SIGN   -1
#define WEDGE  more_wedge
#define SORTED more_sorted
#include "agg_min_text_tmpl.h"

/* ---- descriptors */

#define min_string_held_init  held_init
#define max_string_held_init  held_init
#define min_string_held_merge min_string_one_merge
#define max_string_held_merge max_string_one_merge

#define FAMILY(fn, word, help)                                                                     \
    static const struct efx_agg_vt fn##_one_vt = {                                                 \
        AGG_BASE(word, help, NEVER), AGG_TYPES(STRING, STRING),                                    \
        AGG_METHODS(struct agg_held, fn##_one, fn##_held), AGG_PARTS(held)};                       \
    static const struct efx_agg_vt fn##_any_vt = {                                                 \
        AGG_BASE(word, help, ANY), AGG_TYPES(STRING, STRING),                                      \
        AGG_METHODS(struct agg_sorted, fn##_any, fn##_any_state), AGG_PARTS(fn##_any_state)};      \
    extern const struct efx_agg_vt efx_agg__##fn, efx_agg__##fn##_ever;                            \
    const struct efx_agg_vt efx_agg__##fn = {                                                      \
        AGG_BASE(word, help, FIFO),                                                                \
        AGG_TYPES(STRING, STRING),                                                                 \
        AGG_METHODS(struct agg_wedge, fn##_wedge, fn##_wedge_state),                               \
        AGG_PARTS(fn##_wedge_state),                                                               \
        .any_order = &fn##_any_vt,                                                                 \
        .running = &fn##_one_vt};                                                                  \
    const struct efx_agg_vt efx_agg__##fn##_ever = {                                               \
        AGG_BASE(word "Forever", help " Rows that left and resets do not count.", NEVER),          \
        AGG_TYPES(STRING, STRING), AGG_METHODS(struct agg_held, fn##_ever, fn##_held),             \
        AGG_PARTS(held)}

FAMILY(min_string, "min", "The smallest value.");
FAMILY(max_string, "max", "The greatest value.");
