/* Template: first and last over one kind of slot.
 *
 *   NAME  prefix      VTYPE  C type of a slot
 *   SLOT_OF(at, const item *, VTYPE *)  result of an item, false = NULL: there is none
 *   QUEUE, LIST       containers                   ONE  struct of a single value
 *   ONE_SET(at, ONE *, VTYPE)  rc                  ONE_DROP(at, ONE *)  becomes empty
 *   ONE_RESULT(at, const ONE *, VTYPE *)
 */
#define MAKE(f) AGG_CAT(NAME, f)
#define QU(f)   AGG_CAT(QUEUE, f)
#define LI(f)   AGG_CAT(LIST, f)

/* ---- first of rows that never leave; last, also of rows of which the oldest leaves */

static inline enum efx_rc MAKE(one_enter)(const struct efx_states *at, ONE *s, VTYPE v)
{
    return s->n > 0 ? EFX_OK : ONE_SET(at, s, v);
}

static inline enum efx_rc MAKE(one_leave)(const struct efx_states *at, ONE *s, VTYPE v)
{
    (void)at;
    (void)s;
    (void)v;
    return EFX_OK;
}

static inline enum efx_rc MAKE(last_enter)(const struct efx_states *at, ONE *s, VTYPE v)
{
    uint64_t n = s->n;
    EFX_RET(ONE_SET(at, s, v));
    s->n = n + 1;
    return EFX_OK;
}

static inline enum efx_rc MAKE(last_leave)(const struct efx_states *at, ONE *s, VTYPE v)
{
    (void)v;
    if (s->n == 1) {
        ONE_DROP(at, s);
    } else if (s->n > 1) {
        s->n--;
    }
    return EFX_OK;
}

static inline void MAKE(one_reset)(const struct efx_states *at, ONE *s)
{
    ONE_DROP(at, s);
}

static inline bool MAKE(one_value)(const struct efx_states *at, const ONE *s, VTYPE *to,
                                   struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return ONE_RESULT(at, s, to);
}

#define STATE ONE
#define FN    MAKE(one)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(one_enter)
#define LEAVE MAKE(one_leave)
#define RESET MAKE(one_reset)
#define VALUE MAKE(one_value)
#include "agg_run_tmpl.h"

#define FN    MAKE(last)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(last_enter)
#define LEAVE MAKE(last_leave)
#define RESET MAKE(one_reset)
#define VALUE MAKE(one_value)
#include "agg_run_tmpl.h"
#undef STATE

/* ---- first, where the oldest leaves */

AGG_PART_METHODS(MAKE(queue_state), struct agg_wedge, QUEUE)

static inline enum efx_rc MAKE(queue_enter)(const struct efx_states *at, struct agg_wedge *s,
                                            VTYPE v)
{
    return QU(enter)(at->heap, s, v);
}

static inline enum efx_rc MAKE(queue_leave)(const struct efx_states *at, struct agg_wedge *s,
                                            VTYPE v)
{
    (void)v;
    QU(leave)(at->heap, s);
    return EFX_OK;
}

static inline bool MAKE(queue_value)(const struct efx_states *at, const struct agg_wedge *s,
                                     VTYPE *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return SLOT_OF(at, s->n > 0 ? QU(item)(at->heap, s, 0) : NULL, to);
}

#define STATE struct agg_wedge
#define FN    MAKE(queue)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(queue_enter)
#define LEAVE MAKE(queue_leave)
#define RESET MAKE(queue_state_reset)
#define VALUE MAKE(queue_value)
#include "agg_run_tmpl.h"
#undef STATE

/* ---- first and last, where any leaves */

AGG_PART_METHODS(MAKE(list_state), struct agg_list, LIST)

static inline enum efx_rc MAKE(list_enter)(const struct efx_states *at, struct agg_list *s, VTYPE v)
{
    return LI(enter)(at->heap, s, v, 0);
}

static inline enum efx_rc MAKE(list_leave)(const struct efx_states *at, struct agg_list *s, VTYPE v)
{
    LI(leave)(at->heap, s, v, 0);
    return EFX_OK;
}

static inline bool MAKE(head_value)(const struct efx_states *at, const struct agg_list *s,
                                    VTYPE *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return SLOT_OF(at, s->n > 0 ? LI(item)(at->heap, s, 0) : NULL, to);
}

static inline bool MAKE(tail_value)(const struct efx_states *at, const struct agg_list *s,
                                    VTYPE *to, struct efx_fails *fails, uint32_t i)
{
    (void)fails;
    (void)i;
    return SLOT_OF(at, s->n > 0 ? LI(item)(at->heap, s, s->n - 1) : NULL, to);
}

#define STATE struct agg_list
#define FN    MAKE(head)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(list_enter)
#define LEAVE MAKE(list_leave)
#define RESET MAKE(list_state_reset)
#define VALUE MAKE(head_value)
#include "agg_run_tmpl.h"

#define FN    MAKE(tail)
#define CTYPE VTYPE
#define OTYPE VTYPE
#define ENTER MAKE(list_enter)
#define LEAVE MAKE(list_leave)
#define RESET MAKE(list_state_reset)
#define VALUE MAKE(tail_value)
#include "agg_run_tmpl.h"
#undef STATE

/* The same where rows have numbers. */
static enum efx_rc MAKE(numbered)(const struct efx_states *at, const struct efx_agg_in *in,
                                  struct efx_agg_out *out, bool last)
{
    for (uint32_t i = 0; i < in->n; i++) {
        struct agg_list *s = efx_state_at(at, in->id[i]);
        uint32_t row = in->row == NULL ? i : in->row[i];
        bool leaves = in->leaves != NULL && efx_bit(in->leaves, i);
        bool from_left = leaves && in->left != NULL;
        const struct efx_col *col = from_left ? in->left : in->arg;
        if (in->fresh != NULL && efx_bit(in->fresh, i)) {
            MAKE(list_state_reset)(at, s);
        }
        if ((in->skip == NULL || !efx_bit(in->skip, i)) && efx_bit(col->valid, row)) {
            VTYPE v = ((const VTYPE *)col->data)[row];
            uint64_t number = (from_left ? in->left_number : in->number)[row];
            if (leaves) {
                LI(leave)(at->heap, s, v, number);
            } else {
                EFX_RET(LI(enter)(at->heap, s, v, number));
            }
        }
        if (out != NULL && out->data != NULL) {
            VTYPE *to = (VTYPE *)out->data + i;
            efx_bit_put(out->valid, i,
                        last ? MAKE(tail_value)(at, s, to, &out->fails, i)
                             : MAKE(head_value)(at, s, to, &out->fails, i));
        }
    }
    return EFX_OK;
}

static enum efx_rc MAKE(any_first_run)(const struct efx_states *at, const struct efx_agg_in *in,
                                       struct efx_agg_out *out)
{
    return in->number == NULL ? MAKE(head_run)(at, in, out) : MAKE(numbered)(at, in, out, false);
}

static enum efx_rc MAKE(any_last_run)(const struct efx_states *at, const struct efx_agg_in *in,
                                      struct efx_agg_out *out)
{
    return in->number == NULL ? MAKE(tail_run)(at, in, out) : MAKE(numbered)(at, in, out, true);
}

#undef MAKE
#undef QU
#undef LI
#undef NAME
#undef VTYPE
#undef SLOT_OF
#undef ONE
#undef ONE_SET
#undef ONE_DROP
#undef ONE_RESULT
#undef QUEUE
#undef LIST
