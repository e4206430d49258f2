/* The table of aggregates that are built in. */
#include "efx_aggs.h"

#define AGG(name) extern const struct efx_agg_vt efx_agg__##name;
#include "aggs_list.h"
#undef AGG

#define AGG(name) &efx_agg__##name,
const struct efx_agg_vt *const efx_aggs[] = {
#include "aggs_list.h"
};
#undef AGG

const uint32_t efx_n_aggs = sizeof efx_aggs / sizeof efx_aggs[0];
