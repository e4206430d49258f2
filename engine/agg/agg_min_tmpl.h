/* Template: min or max of one number type, in its four shapes. Uses the wedge and the sorted blocks
 * of ranks that agg_min.c has made: what is greatest first is kept as ~rank.
 *
 *   NAME   prefix: NAME_one, NAME_wedge, NAME_any, NAME_ever     VTYPE  C type of a value
 *   RANK, UNRANK   (VTYPE) → rank and back                       DOWN   1: max, else 0
 *   TYPE   of enum efx_type, without its prefix                  WORD   "min" or "max"
 */
#define MAKE(f) AGG_CAT(NAME, f)

AGG_INLINE uint64_t MAKE(rank)(VTYPE v)
{
    return DOWN ? ~RANK(v) : RANK(v);
}

AGG_INLINE VTYPE MAKE(unrank)(uint64_t rank)
{
    return UNRANK(DOWN ? ~rank : rank);
}

/* ---- nothing leaves: the best so far */

AGG_INLINE enum efx_rc MAKE(one_enter)(const struct efx_states *at, struct best *s, VTYPE v)
{
    (void)at;
    uint64_t rank = MAKE(rank)(v);
    s->rank = s->has == 0 || rank < s->rank ? rank : s->rank;
    s->has = 1;
    return EFX_OK;
}

AGG_INLINE enum efx_rc MAKE(one_leave)(const struct efx_states *at, struct best *s, VTYPE v)
{
    (void)at;
    (void)s;
    (void)v;
    return EFX_OK;
}

AGG_INLINE bool MAKE(one_value)(const struct efx_states *at, const struct best *s, VTYPE *to,
                                struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->has != 0 ? MAKE(unrank)(s->rank) : 0;
    return s->has != 0;
}

#define STATE struct best
#define FN    MAKE(one)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(one_enter)
#define LEAVE MAKE(one_leave)
#define RESET best_reset
#define VALUE MAKE(one_value)
#include "agg_run_tmpl.h"

#define FN    MAKE(ever)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(one_enter)
#define LEAVE MAKE(one_leave)
#define RESET best_keep
#define VALUE MAKE(one_value)
#include "agg_run_tmpl.h"
#undef STATE

/* ---- the oldest leaves: a wedge */

AGG_INLINE enum efx_rc MAKE(wedge_enter)(const struct efx_states *at, struct agg_wedge *s, VTYPE v)
{
    return rank_wedge_enter(at->heap, s, MAKE(rank)(v));
}

AGG_INLINE enum efx_rc MAKE(wedge_leave)(const struct efx_states *at, struct agg_wedge *s, VTYPE v)
{
    (void)v;
    rank_wedge_leave(at->heap, s);
    return EFX_OK;
}

AGG_INLINE bool MAKE(wedge_value)(const struct efx_states *at, const struct agg_wedge *s, VTYPE *to,
                                  struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    *to = s->n > 0 ? MAKE(unrank)(*rank_wedge_item(at->heap, s, 0)) : 0;
    return s->n > 0;
}

#define STATE struct agg_wedge
#define FN    MAKE(wedge_each)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(wedge_enter)
#define LEAVE MAKE(wedge_leave)
#define RESET rank_wedge_state_reset
#define VALUE MAKE(wedge_value)
#include "agg_run_tmpl.h"
#undef STATE

/* Ops from .. until - 1 of one entry, none of a NULL, all of whose leaving rows were there before:
 * the answer is the better of the wedge's front and of what has come. Only what nothing behind it
 * beats goes into the wedge, once at the end: no branch that nobody can foresee. */
static enum efx_rc MAKE(wedge_stretch)(const struct efx_states *at, const struct efx_agg_in *in,
                                       struct efx_agg_out *out, uint32_t from, uint32_t until,
                                       struct agg_wedge *s)
{
    const VTYPE *v = in->arg->data;
    VTYPE *to = out->data;
    uint64_t rank[RANKS_MAX], valid = 0, best = UINT64_MAX;
    uint64_t front = s->n > 0 ? *rank_wedge_item(at->heap, s, 0) : UINT64_MAX;
    uint32_t n = 0, rows = s->entered - s->left;
    for (uint32_t i = from; i < until; i++) {
        bool leaves = in->leaves != NULL && efx_bit(in->leaves, i);
        if (leaves) {
            rows--;
            if (*rank_wedge_seq(at->heap, s, 0) == s->left++) {
                s->head = (s->head + 1) & (s->cap - 1);
                s->n--;
                front = s->n > 0 ? *rank_wedge_item(at->heap, s, 0) : UINT64_MAX;
            }
        }
        if (!leaves || in->pairs) {
            uint64_t r = MAKE(rank)(v[in->row == NULL ? i : in->row[i]]);
            best = r < best ? r : best;
            rank[n++] = r;
            rows++;
        }
        to[i] = rows > 0 ? MAKE(unrank)(front < best ? front : best) : 0;
        valid |= (uint64_t)(rows > 0) << i % 64;
        if (i % 64 == 63 || i + 1 == until) {
            out->valid[i / 64] = valid;
            valid = 0;
        }
    }
    return rank_wedge_tail(at->heap, s, rank, n);
}

/* The same where rows leave that come within the stretch. */
static enum efx_rc MAKE(wedge_ops)(const struct efx_states *at, const struct efx_agg_in *in,
                                   struct efx_agg_out *out, uint32_t from, uint32_t until,
                                   struct agg_wedge *s)
{
    const VTYPE *v = in->arg->data;
    for (uint32_t i = from; i < until; i++) {
        bool leaves = in->leaves != NULL && efx_bit(in->leaves, i);
        if (leaves) {
            rank_wedge_leave(at->heap, s);
        }
        if (!leaves || in->pairs) {
            EFX_RET(MAKE(wedge_enter)(at, s, v[in->row == NULL ? i : in->row[i]]));
        }
        bool valid = MAKE(wedge_value)(at, s, (VTYPE *)out->data + i, &out->fails, i);
        efx_bit_put(out->valid, i, valid);
    }
    return EFX_OK;
}

static enum efx_rc MAKE(wedge_run)(const struct efx_states *at, const struct efx_agg_in *in,
                                   struct efx_agg_out *out)
{
    bool plain = in->skip == NULL && in->fresh == NULL && in->arg->valid == NULL &&
                 (in->left == NULL || in->left->valid == NULL) && out != NULL &&
                 out->data != NULL && in->n >= RANKS_MIN && agg_one_id(in);
    if (!plain) {
        return MAKE(wedge_each_run)(at, in, out);
    }
    struct agg_wedge *s = efx_state_at(at, in->id[0]);
    for (uint32_t from = 0; from < in->n; from += RANKS_MAX) {
        uint32_t until = in->n - from < RANKS_MAX ? in->n : from + RANKS_MAX, n_leave = 0;
        for (uint32_t w = from / 64; w < efx_words(until) && in->leaves != NULL; w++) {
            n_leave += (uint32_t)__builtin_popcountll(efx_word(in->leaves, w, until));
        }
        EFX_RET(n_leave <= s->entered - s->left ? MAKE(wedge_stretch)(at, in, out, from, until, s)
                                                : MAKE(wedge_ops)(at, in, out, from, until, s));
    }
    return EFX_OK;
}

static enum efx_rc MAKE(wedge_emit)(const struct efx_states *at, const uint32_t *id, uint32_t n,
                                    struct efx_agg_out *out)
{
    return MAKE(wedge_each_emit)(at, id, n, out);
}

/* ---- any leaves: sorted blocks */

AGG_INLINE enum efx_rc MAKE(any_enter)(const struct efx_states *at, struct agg_sorted *s, VTYPE v)
{
    return rank_sorted_add(at->heap, s, MAKE(rank)(v), 1);
}

AGG_INLINE enum efx_rc MAKE(any_leave)(const struct efx_states *at, struct agg_sorted *s, VTYPE v)
{
    rank_sorted_take(at->heap, s, MAKE(rank)(v));
    return EFX_OK;
}

AGG_INLINE bool MAKE(any_value)(const struct efx_states *at, const struct agg_sorted *s, VTYPE *to,
                                struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    *to = s->n > 0 ? MAKE(unrank)(rank_sorted_block_at(at->heap, s, 0)->item[0]) : 0;
    return s->n > 0;
}

#define STATE struct agg_sorted
#define FN    MAKE(any)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(any_enter)
#define LEAVE MAKE(any_leave)
#define RESET rank_sorted_state_reset
#define VALUE MAKE(any_value)
#include "agg_run_tmpl.h"
#undef STATE

#undef MAKE
#undef NAME
#undef VTYPE
#undef RANK
#undef UNRANK
#undef DOWN
