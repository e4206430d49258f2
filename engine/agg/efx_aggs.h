#ifndef EFX_AGGS_H
#define EFX_AGGS_H

#include "efx_agg.h"

/* The aggregates that are built in (language §21), one descriptor a (name, argument type).
 *
 *   file          aggregates                      state
 *   agg_count.c   count(*), count(x), and, or     how many
 *   agg_sum.c     sum, avg                        exact sums (agg_sums.h)
 *   agg_min.c     min, max of numbers             value │ wedge │ sorted blocks
 *   agg_min_text.c  the same of STRING
 *   agg_first.c   first, last                     value │ queue │ list, for every type
 *   agg_distinct.c  distinctCount; "sum distinct", "avg distinct": value → count
 *
 * "count distinct" is distinctCount by another name, so a planner can join name and DISTINCT.
 *
 *   Owner    static      Threads  read by all
 */
extern const struct efx_agg_vt *const efx_aggs[];
extern const uint32_t efx_n_aggs;

#endif /* EFX_AGGS_H */
