/* FIRST and LAST of the content, of what is not NULL, by arrival; for every type. Numbers are kept
 * as they came, bit for bit, so one instance serves all types of a width.
 *
 *   first   nothing leaves   the value             24 bytes or less
 *           the oldest       a queue of values     24, and 12 a row (texts: 20 and the bytes)
 *   last    the oldest       value and number of rows: the newest leaves last
 *   both    any              list in order of arrival; of equal values the one of the row's number
 *                            is taken, without numbers the oldest
 */
#include "agg_held.h"

#define ITEM  uint64_t
#define VALUE uint64_t
#define K     item_num

AGG_INLINE bool num_never(const struct efx_heap *h, const uint64_t *item, uint64_t v)
{
    (void)h;
    (void)item;
    (void)v;
    return false;
}

#define W      num_queue
#define BEATEN num_never
#include "agg_wedge_tmpl.h"

#define W num_list
#include "agg_list_tmpl.h"

#undef ITEM
#undef VALUE
#undef K

#define ITEM  struct agg_text
#define VALUE struct efx_cell
#define K     item_text

AGG_INLINE bool text_never(const struct efx_heap *h, const struct agg_text *item, struct efx_cell v)
{
    (void)h;
    (void)item;
    (void)v;
    return false;
}

#define W      text_queue
#define BEATEN text_never
#include "agg_wedge_tmpl.h"

#define W text_list
#include "agg_list_tmpl.h"

#undef ITEM
#undef VALUE
#undef K

/* ---- numbers */

struct one {
    uint64_t v;
    uint64_t n;
};

static void one_init(void *state)
{
    *(struct one *)state = (struct one){0};
}

AGG_INLINE enum efx_rc num_set(const struct efx_states *at, struct one *s, uint64_t v)
{
    (void)at;
    s->v = v;
    s->n = 1;
    return EFX_OK;
}

AGG_INLINE void num_drop(const struct efx_states *at, struct one *s)
{
    (void)at;
    s->n = 0;
}

static enum efx_rc one_merge(const struct efx_states *at, void *into, const void *from)
{
    (void)at;
    struct one *a = into;
    *a = a->n == 0 ? *(const struct one *)from : *a;
    return EFX_OK;
}

static enum efx_rc last_merge(const struct efx_states *at, void *into, const void *from)
{
    (void)at;
    struct one *a = into;
    const struct one *b = from;
    a->v = b->n > 0 ? b->v : a->v;
    a->n += b->n;
    return EFX_OK;
}

#define NUM_RESULTS(T)                                                                             \
    static inline bool T##_result(const struct efx_states *at, const uint64_t *item, T *to)        \
    {                                                                                              \
        (void)at;                                                                                  \
        *to = item != NULL ? (T)*item : 0;                                                         \
        return item != NULL;                                                                       \
    }                                                                                              \
    static inline bool T##_one_result(const struct efx_states *at, const struct one *s, T *to)     \
    {                                                                                              \
        (void)at;                                                                                  \
        *to = s->n > 0 ? (T)s->v : 0;                                                              \
        return s->n > 0;                                                                           \
    }

NUM_RESULTS(uint8_t)
NUM_RESULTS(uint32_t)
NUM_RESULTS(uint64_t)

#define NAME       w1
#define VTYPE      uint8_t
#define SLOT_OF    uint8_t_result
#define ONE        struct one
#define ONE_SET    num_set
#define ONE_DROP   num_drop
#define ONE_RESULT uint8_t_one_result
#define QUEUE      num_queue
#define LIST       num_list
#include "agg_first_tmpl.h"

#define NAME       w4
#define VTYPE      uint32_t
#define SLOT_OF    uint32_t_result
#define ONE        struct one
#define ONE_SET    num_set
#define ONE_DROP   num_drop
#define ONE_RESULT uint32_t_one_result
#define QUEUE      num_queue
#define LIST       num_list
#include "agg_first_tmpl.h"

#define NAME       w8
#define VTYPE      uint64_t
#define SLOT_OF    uint64_t_result
#define ONE        struct one
#define ONE_SET    num_set
#define ONE_DROP   num_drop
#define ONE_RESULT uint64_t_one_result
#define QUEUE      num_queue
#define LIST       num_list
#include "agg_first_tmpl.h"

/* ---- texts */

static void held_init(void *state)
{
    *(struct agg_held *)state = (struct agg_held){0};
}

static void held_fini(const struct efx_states *at, void *state)
{
    agg_held_release(at->heap, state);
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

static enum efx_rc held_first_merge(const struct efx_states *at, void *into, const void *from)
{
    struct agg_held *a = into;
    const struct agg_held *b = from;
    if (a->n > 0 || b->n == 0) {
        return EFX_OK;
    }
    return agg_held_set(at->heap, a, agg_text_cell(at->heap, &b->text));
}

static enum efx_rc held_last_merge(const struct efx_states *at, void *into, const void *from)
{
    struct agg_held *a = into;
    const struct agg_held *b = from;
    uint64_t n = a->n;
    if (b->n > 0) {
        EFX_RET(agg_held_set(at->heap, a, agg_text_cell(at->heap, &b->text)));
        a->n = n + b->n;
    }
    return EFX_OK;
}

static inline enum efx_rc held_set(const struct efx_states *at, struct agg_held *s,
                                   struct efx_cell v)
{
    return agg_held_set(at->heap, s, v);
}

static inline void held_drop(const struct efx_states *at, struct agg_held *s)
{
    agg_held_release(at->heap, s);
}

static bool text_result(const struct efx_states *at, const struct agg_text *text,
                        struct efx_cell *to)
{
    *to = text != NULL ? agg_text_result(at, text) : (struct efx_cell){0};
    return text != NULL;
}

#define NAME       w16
#define VTYPE      struct efx_cell
#define SLOT_OF    text_result
#define ONE        struct agg_held
#define ONE_SET    held_set
#define ONE_DROP   held_drop
#define ONE_RESULT agg_held_value
#define QUEUE      text_queue
#define LIST       text_list
#include "agg_first_tmpl.h"

/* ---- descriptors */

static const char help_first[] = "The oldest value.";
static const char help_last[] = "The newest value.";

#define one_first_init  one_init
#define one_first_merge one_merge
#define one_last_init   one_init
#define one_last_merge  last_merge
#define held_first_init held_init
#define held_last_init  held_init

#define ANY_METHODS(w, word, end)                                                                  \
    .by_number = true, .state_bytes = sizeof(struct agg_list), .init = w##_list_state_init,        \
    .run = w##_any_##word##_run, .merge = w##_list_state_merge, .emit = w##_##end##_emit

/* w: width; one, parts: state of a single value, and its methods if it has parts. */
#define FAMILY(sym, type, w, S, one, ...)                                                          \
    static const struct efx_agg_vt first_##sym##_one_vt = {                                        \
        AGG_BASE("first", help_first, NEVER), AGG_TYPES(type, type),                               \
        AGG_METHODS(S, w##_one, one##_first), __VA_ARGS__};                                        \
    static const struct efx_agg_vt first_##sym##_any_vt = {                                        \
        AGG_BASE("first", help_first, ANY), AGG_TYPES(type, type), ANY_METHODS(w, first, head),    \
        AGG_PARTS(w##_list_state)};                                                                \
    static const struct efx_agg_vt last_##sym##_any_vt = {                                         \
        AGG_BASE("last", help_last, ANY), AGG_TYPES(type, type), ANY_METHODS(w, last, tail),       \
        AGG_PARTS(w##_list_state)};                                                                \
    extern const struct efx_agg_vt efx_agg__first_##sym, efx_agg__last_##sym;                      \
    const struct efx_agg_vt efx_agg__first_##sym = {                                               \
        AGG_BASE("first", help_first, FIFO),                                                       \
        AGG_TYPES(type, type),                                                                     \
        AGG_METHODS(struct agg_wedge, w##_queue, w##_queue_state),                                 \
        AGG_PARTS(w##_queue_state),                                                                \
        .any_order = &first_##sym##_any_vt,                                                        \
        .running = &first_##sym##_one_vt};                                                         \
    const struct efx_agg_vt efx_agg__last_##sym = {                                                \
        AGG_BASE("last", help_last, FIFO), AGG_TYPES(type, type),                                  \
        AGG_METHODS(S, w##_last, one##_last), .any_order = &last_##sym##_any_vt, __VA_ARGS__}

FAMILY(int, INT, w4, struct one, one, );
FAMILY(long, LONG, w8, struct one, one, );
FAMILY(float, FLOAT, w4, struct one, one, );
FAMILY(double, DOUBLE, w8, struct one, one, );
FAMILY(bool, BOOL, w1, struct one, one, );
FAMILY(string, STRING, w16, struct agg_held, held, AGG_PARTS(held));
FAMILY(bytes, BYTES, w16, struct agg_held, held, AGG_PARTS(held));
FAMILY(object, OBJECT, w16, struct agg_held, held, AGG_PARTS(held));
