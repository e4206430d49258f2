#ifndef EFX_TRAITS_H
#define EFX_TRAITS_H

#include <stdint.h>

/* What the planner must know about a window, aggregate, function or operator.
 *
 * Every descriptor carries one. `plan` decides with it, without knowing any of them by name:
 *
 *   many, many_if_expired, timers   which merges need (moment, inlet) only and which row mode:
 *                     length(n) is many with ALL or EXPIRED EVENTS, not with CURRENT
 *   needs_origin      an origin that nobody gave is the time of the first row, over all shards
 *   units             whether edges upstream carry unit numbers
 *   holds_rows        whether rows are copied into a log
 *   ordered           whether it may be split by key, or must be placed on one shard
 *   evicts × removal  which algorithm each aggregate runs inside each window
 *
 *   evicts \ removal  INVERTIBLE       FIFO           ANY              NEVER
 *   NOTHING           running          running        running          running
 *   BY_DUE, BY_ARRIVAL  subtract       wedge          sorted blocks    recompute
 *   ANYWHERE          subtract         as ANY         sorted blocks    recompute
 *   WHOLE             one pane, reset  one pane       one pane         one pane
 *
 *   Owner  constant, in the descriptor      Order  a wrong trait is a wrong result: each has a test
 */
enum efx_evicts { /* of a window: which row leaves next */
                  EFX_EVICTS_NOTHING = 1,
                  EFX_EVICTS_BY_DUE,     /* time, timeLength, externalTime, join sides */
                  EFX_EVICTS_BY_ARRIVAL, /* length */
                  EFX_EVICTS_ANYWHERE,   /* unique, sort, frequent, merging sessions, joined rows */
                  EFX_EVICTS_WHOLE,      /* tumbling, hop, batch: all at once */
};

enum efx_removal { /* of an aggregate: what it can take out again, exactly */
                   EFX_REMOVAL_INVERTIBLE =
                       1,             /* count, sum, avg, variance, and, or, distinctCount, topK */
                   EFX_REMOVAL_FIFO,  /* min, max, first, last: the oldest only */
                   EFX_REMOVAL_ANY,   /* median, percentile: any, from sorted blocks */
                   EFX_REMOVAL_NEVER, /* minForever, maxForever, sketches */
};

struct efx_traits {
    uint8_t many : 1;            /* may give several rows for one turn */
    uint8_t many_if_expired : 1; /* only where expired rows are asked for */
    uint8_t timers : 1;          /* acts at due times */
    uint8_t needs_origin : 1;
    uint8_t units : 1;
    uint8_t holds_rows : 1;
    uint8_t ordered : 1;    /* depends on the order across keys: not splittable by key */
    uint8_t flushes : 1;    /* gives flushes of whole batches (language §3.5) */
    enum efx_evicts evicts; /* windows; else 0 */
    enum efx_removal removal;
};

#endif /* EFX_TRAITS_H */
