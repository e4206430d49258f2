#ifndef LIBRARY_ENGINE_H
#define LIBRARY_ENGINE_H

#include "efx_differential.h"

/* The public library (efx/efx.h) as an engine of the differential test. */
extern const struct efx_engine_run efx_library_run;
/* The same, its state in a store: a checkpoint after each step, every third time a new instance
 * that restores it. */
extern const struct efx_engine_run efx_stored_run;

/* How the components of all instances were to be run: says what a test has exercised. */
struct efx_library_plans {
    uint32_t n_row_mode, n_split, n_placed;
    uint32_t n_merges; /* confluences outside of row mode */
};
extern struct efx_library_plans efx_library_plans;

#endif /* LIBRARY_ENGINE_H */
