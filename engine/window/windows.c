/* One row a name; aliases share a descriptor. */
#include "efx_windows.h"

#include "window.h"

const struct efx_registry_window efx_windows[] = {
    {"length", &efx_window__length},        {"time", &efx_window__time},
    {"sliding", &efx_window__time},         {"lengthBatch", &efx_window__length_batch},
    {"timeBatch", &efx_window__time_batch}, {"tumbling", &efx_window__time_batch},
    {"session", &efx_window__session},
};
const uint32_t efx_n_windows = sizeof efx_windows / sizeof efx_windows[0];
