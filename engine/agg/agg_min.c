/* MIN and MAX of numbers, in three shapes, and minForever, maxForever, that never forget.
 *
 *   nothing leaves      the best so far             fixed, 16 bytes
 *   the oldest leaves   a wedge                     24 bytes, 12 a value that may yet be the answer
 *   any leaves          sorted blocks with counts   16 bytes, 12 a distinct value
 *
 * NaN is greatest; -0 is 0 and comes out as 0.
 */
#include "agg_parts.h"

#define ITEM  uint64_t
#define VALUE uint64_t
#define K     item_num

AGG_INLINE bool rank_beaten(const struct efx_heap *h, const uint64_t *item, uint64_t v)
{
    (void)h;
    return *item >= v;
}

#define W      rank_wedge
#define BEATEN rank_beaten
#include "agg_wedge_tmpl.h"

enum { RANKS_MIN = 64, RANKS_MAX = 256 }; /* rows of a stretch; whole words */

/* n rows come at once: those that one behind them beats do not even go in. */
static enum efx_rc rank_wedge_tail(struct efx_heap *h, struct agg_wedge *s, const uint64_t *rank,
                                   uint32_t n)
{
    uint32_t kept[RANKS_MAX], k = 0;
    uint64_t least = 0;
    for (uint32_t i = n; i-- > 0;) {
        bool stays = i + 1 == n || rank[i] < least;
        kept[k] = i;
        k += stays;
        least = stays ? rank[i] : least;
    }
    while (k-- > 0) {
        EFX_RET(rank_wedge_push(h, s, rank[kept[k]], s->entered + kept[k]));
    }
    s->entered += n;
    if (s->n == 0 && s->cap > AGG_WEDGE_KEPT) {
        rank_wedge_release(h, s);
    }
    return EFX_OK;
}

#define W    rank_sorted
#define DOWN 0
#include "agg_sorted_tmpl.h"

#undef ITEM
#undef VALUE
#undef K

AGG_PART_METHODS(rank_wedge_state, struct agg_wedge, rank_wedge)
AGG_PART_METHODS(rank_sorted_state, struct agg_sorted, rank_sorted)

struct best {
    uint64_t rank;
    uint64_t has;
};

static void best_init(void *state)
{
    *(struct best *)state = (struct best){0};
}

AGG_INLINE void best_reset(const struct efx_states *at, struct best *s)
{
    (void)at;
    s->has = 0;
}

AGG_INLINE void best_keep(const struct efx_states *at, struct best *s)
{
    (void)at;
    (void)s;
}

static enum efx_rc best_merge(const struct efx_states *at, void *into, const void *from)
{
    (void)at;
    struct best *a = into;
    const struct best *b = from;
    if (b->has != 0 && (a->has == 0 || b->rank < a->rank)) {
        *a = *b;
    }
    return EFX_OK;
}

#define NAME   min_int
#define VTYPE  int32_t
#define RANK   agg_rank_int
#define UNRANK agg_int_of
#define DOWN   0
#include "agg_min_tmpl.h"

#define NAME   max_int
#define VTYPE  int32_t
#define RANK   agg_rank_int
#define UNRANK agg_int_of
#define DOWN   1
#include "agg_min_tmpl.h"

#define NAME   min_long
#define VTYPE  int64_t
#define RANK   agg_rank_long
#define UNRANK agg_long_of
#define DOWN   0
#include "agg_min_tmpl.h"

#define NAME   max_long
#define VTYPE  int64_t
#define RANK   agg_rank_long
#define UNRANK agg_long_of
#define DOWN   1
#include "agg_min_tmpl.h"

#define NAME   min_float
#define VTYPE  float
#define RANK   agg_rank_float
#define UNRANK agg_float_of
#define DOWN   0
#include "agg_min_tmpl.h"

#define NAME   max_float
#define VTYPE  float
#define RANK   agg_rank_float
#define UNRANK agg_float_of
#define DOWN   1
#include "agg_min_tmpl.h"

#define NAME   min_double
#define VTYPE  double
#define RANK   agg_rank_double
#define UNRANK agg_double_of
#define DOWN   0
#include "agg_min_tmpl.h"

#define NAME   max_double
#define VTYPE  double
#define RANK   agg_rank_double
#define UNRANK agg_double_of
#define DOWN   1
#include "agg_min_tmpl.h"

/* ---- descriptors */

#define FAMILY(fn, type, word, help)                                                               \
    static const struct efx_agg_vt fn##_one_vt = {AGG_BASE(word, help, NEVER),                     \
                                                  AGG_TYPES(type, type),                           \
                                                  AGG_METHODS(struct best, fn##_one, best)};       \
    static const struct efx_agg_vt fn##_any_vt = {                                                 \
        AGG_BASE(word, help, ANY), AGG_TYPES(type, type),                                          \
        AGG_METHODS(struct agg_sorted, fn##_any, rank_sorted_state),                               \
        AGG_PARTS(rank_sorted_state)};                                                             \
    extern const struct efx_agg_vt efx_agg__##fn, efx_agg__##fn##_ever;                            \
    const struct efx_agg_vt efx_agg__##fn = {                                                      \
        AGG_BASE(word, help, FIFO),                                                                \
        AGG_TYPES(type, type),                                                                     \
        AGG_METHODS(struct agg_wedge, fn##_wedge, rank_wedge_state),                               \
        AGG_PARTS(rank_wedge_state),                                                               \
        .any_order = &fn##_any_vt,                                                                 \
        .running = &fn##_one_vt};                                                                  \
    const struct efx_agg_vt efx_agg__##fn##_ever = {                                               \
        AGG_BASE(word "Forever", help " Rows that left and resets do not count.", NEVER),          \
        AGG_TYPES(type, type), AGG_METHODS(struct best, fn##_ever, best)}

FAMILY(min_int, INT, "min", "The smallest value.");
FAMILY(max_int, INT, "max", "The greatest value.");
FAMILY(min_long, LONG, "min", "The smallest value.");
FAMILY(max_long, LONG, "max", "The greatest value.");
FAMILY(min_float, FLOAT, "min", "The smallest value.");
FAMILY(max_float, FLOAT, "max", "The greatest value.");
FAMILY(min_double, DOUBLE, "min", "The smallest value.");
FAMILY(max_double, DOUBLE, "max", "The greatest value.");
