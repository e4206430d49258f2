#ifndef PLAN_DEMAND_H
#define PLAN_DEMAND_H

#include "efx_window.h"

/* The window of an on-demand query: whatever arrives is one batch, which is flushed when the
 * selector's `finish` is called after the last row. It counts nothing, so nobody need know
 * beforehand how many rows there will be.
 *
 *   rows  +1 +2 +3 … │ finish: flush     a row a group, or one for all
 *
 *   Owner   the query; eager only, it holds no rows and is never saved
 */
extern const struct efx_window_vt efx_plan__whole;

#endif /* PLAN_DEMAND_H */
