/* Template: min or max of STRING in its three shapes, and the one that never forgets.
 *
 *   NAME  prefix      SIGN  1: min, -1: max      WEDGE, SORTED  containers in that order
 */
#define MAKE(f) AGG_CAT(NAME, f)
#define IN(f)   AGG_CAT(WEDGE, f)
#define SO(f)   AGG_CAT(SORTED, f)

/* ---- nothing leaves */

static inline enum efx_rc MAKE(one_enter)(const struct efx_states *at, struct agg_held *s,
                                          struct efx_cell v)
{
    bool better = s->n == 0 || SIGN * agg_text_compare(at->heap, &s->text, &v) > 0;
    return better ? agg_held_set(at->heap, s, v) : EFX_OK;
}

static enum efx_rc MAKE(one_merge)(const struct efx_states *at, void *into, const void *from)
{
    const struct agg_held *b = from;
    return b->n == 0 ? EFX_OK : MAKE(one_enter)(at, into, agg_text_cell(at->heap, &b->text));
}

#define STATE struct agg_held
#define FN    MAKE(one)
#define CTYPE struct efx_cell
#define OTYPE struct efx_cell
#define ENTER MAKE(one_enter)
#define LEAVE held_stay
#define RESET held_reset
#define VALUE held_result
#include "agg_run_tmpl.h"

#define FN    MAKE(ever)
#define CTYPE struct efx_cell
#define OTYPE struct efx_cell
#define ENTER MAKE(one_enter)
#define LEAVE held_stay
#define RESET held_keep
#define VALUE held_result
#include "agg_run_tmpl.h"
#undef STATE

/* ---- the oldest leaves */

static inline enum efx_rc MAKE(wedge_enter)(const struct efx_states *at, struct agg_wedge *s,
                                            struct efx_cell v)
{
    return IN(enter)(at->heap, s, v);
}

static inline enum efx_rc MAKE(wedge_leave)(const struct efx_states *at, struct agg_wedge *s,
                                            struct efx_cell v)
{
    (void)v;
    IN(leave)(at->heap, s);
    return EFX_OK;
}

static inline bool MAKE(wedge_value)(const struct efx_states *at, const struct agg_wedge *s,
                                     struct efx_cell *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return text_result(at, s->n > 0 ? IN(item)(at->heap, s, 0) : NULL, to);
}

AGG_PART_METHODS(MAKE(wedge_state), struct agg_wedge, WEDGE)

#define STATE struct agg_wedge
#define FN    MAKE(wedge)
#define CTYPE struct efx_cell
#define OTYPE struct efx_cell
#define ENTER MAKE(wedge_enter)
#define LEAVE MAKE(wedge_leave)
#define RESET MAKE(wedge_state_reset)
#define VALUE MAKE(wedge_value)
#include "agg_run_tmpl.h"
#undef STATE

/* ---- any leaves */

static inline enum efx_rc MAKE(any_enter)(const struct efx_states *at, struct agg_sorted *s,
                                          struct efx_cell v)
{
    return SO(add)(at->heap, s, v, 1);
}

static inline enum efx_rc MAKE(any_leave)(const struct efx_states *at, struct agg_sorted *s,
                                          struct efx_cell v)
{
    SO(take)(at->heap, s, v);
    return EFX_OK;
}

static inline bool MAKE(any_value)(const struct efx_states *at, const struct agg_sorted *s,
                                   struct efx_cell *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return text_result(at, s->n > 0 ? &SO(block_at)(at->heap, s, 0)->item[0] : NULL, to);
}

AGG_PART_METHODS(MAKE(any_state), struct agg_sorted, SORTED)

#define STATE struct agg_sorted
#define FN    MAKE(any)
#define CTYPE struct efx_cell
#define OTYPE struct efx_cell
#define ENTER MAKE(any_enter)
#define LEAVE MAKE(any_leave)
#define RESET MAKE(any_state_reset)
#define VALUE MAKE(any_value)
#include "agg_run_tmpl.h"
#undef STATE

#undef MAKE
#undef IN
#undef SO
#undef NAME
#undef SIGN
#undef WEDGE
#undef SORTED
