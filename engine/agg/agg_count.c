/* COUNT, AND, OR: numbers of rows, by what their argument holds. */
#include "agg_in.h"

/* ---- count */

struct count {
    uint64_t n;
};

static void count_init(void *state)
{
    *(struct count *)state = (struct count){0};
}

AGG_INLINE enum efx_rc count_enter(const struct efx_states *at, struct count *s, int unused)
{
    (void)at;
    (void)unused;
    s->n++;
    return EFX_OK;
}

AGG_INLINE enum efx_rc count_leave(const struct efx_states *at, struct count *s, int unused)
{
    (void)at;
    (void)unused;
    s->n--;
    return EFX_OK;
}

AGG_INLINE void count_reset(const struct efx_states *at, struct count *s)
{
    (void)at;
    s->n = 0;
}

AGG_INLINE bool count_value(const struct efx_states *at, const struct count *s, int64_t *to,
                            struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = (int64_t)s->n;
    return true;
}

static enum efx_rc count_merge(const struct efx_states *at, void *into, const void *from)
{
    (void)at;
    ((struct count *)into)->n += ((const struct count *)from)->n;
    return EFX_OK;
}

#define FN    count
#define STATE struct count
#define OTYPE int64_t
#define ENTER count_enter
#define LEAVE count_leave
#define RESET count_reset
#define VALUE count_value
#include "agg_run_tmpl.h"
#undef STATE

#define COUNT(sym, in)                                                                             \
    AGG_VT(sym, "count", INVERTIBLE, in, LONG, struct count, count,                                \
           "How many values are not NULL.", )

AGG_VT(count_all, "count", INVERTIBLE, NONE, LONG, struct count, count,
       "How many rows there are.", );
COUNT(count_int, INT);
COUNT(count_long, LONG);
COUNT(count_float, FLOAT);
COUNT(count_double, DOUBLE);
COUNT(count_bool, BOOL);
COUNT(count_string, STRING);
COUNT(count_bytes, BYTES);
COUNT(count_object, OBJECT);

/* ---- and, or */

struct votes {
    uint64_t n_true, n_false;
};

static void votes_init(void *state)
{
    *(struct votes *)state = (struct votes){0};
}

AGG_INLINE enum efx_rc votes_enter(const struct efx_states *at, struct votes *s, uint8_t v)
{
    (void)at;
    s->n_true += v != 0;
    s->n_false += v == 0;
    return EFX_OK;
}

AGG_INLINE enum efx_rc votes_leave(const struct efx_states *at, struct votes *s, uint8_t v)
{
    (void)at;
    s->n_true -= v != 0;
    s->n_false -= v == 0;
    return EFX_OK;
}

AGG_INLINE void votes_reset(const struct efx_states *at, struct votes *s)
{
    (void)at;
    votes_init(s);
}

AGG_INLINE bool and_value(const struct efx_states *at, const struct votes *s, uint8_t *to,
                          struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->n_true > 0 && s->n_false == 0;
    return true;
}

AGG_INLINE bool or_value(const struct efx_states *at, const struct votes *s, uint8_t *to,
                         struct efx_fails *fails, uint32_t i)
{
    (void)at;
    (void)fails;
    (void)i;
    *to = s->n_true > 0;
    return true;
}

static enum efx_rc votes_merge(const struct efx_states *at, void *into, const void *from)
{
    (void)at;
    struct votes *a = into;
    const struct votes *b = from;
    a->n_true += b->n_true;
    a->n_false += b->n_false;
    return EFX_OK;
}

#define and_init  votes_init
#define or_init   votes_init
#define and_merge votes_merge
#define or_merge  votes_merge

#define FN    and
#define STATE struct votes
#define CTYPE uint8_t
#define OTYPE uint8_t
#define ENTER votes_enter
#define LEAVE votes_leave
#define RESET votes_reset
#define VALUE and_value
#include "agg_run_tmpl.h"

#define FN    or
#define CTYPE uint8_t
#define OTYPE uint8_t
#define ENTER votes_enter
#define LEAVE votes_leave
#define RESET votes_reset
#define VALUE or_value
#include "agg_run_tmpl.h"

AGG_VT(and, "and", INVERTIBLE, BOOL, BOOL, struct votes, and,
       "TRUE if there is a TRUE and no FALSE.", );
AGG_VT(or, "or", INVERTIBLE, BOOL, BOOL, struct votes, or, "TRUE if there is a TRUE.", );
