#ifndef EFX_REGISTRY_H
#define EFX_REGISTRY_H

#include "efx_agg.h"
#include "efx_window.h"

/* Everything pluggable, by name. One constant table for what is built in (engine/lib), read by the
 * binder to check names and options, by plan and run to make instances.
 *
 *   windows     one row a name: aliases are rows that share a descriptor ("time", "sliding")
 *   aggregates  one row a (name, argument type)
 *   sources, sinks, formats   their descriptors begin with struct efx_plugin; io casts them back
 *
 *   Owner    static
 *   Threads  read by all
 */
struct efx_registry_window {
    const char *name;
    const struct efx_window_vt *vt;
};

struct efx_registry {
    const struct efx_registry_window *windows;
    uint32_t n_windows;
    const struct efx_agg_vt *const *aggs;
    uint32_t n_aggs;
    const struct efx_plugin *const *sources; /* struct efx_source_vt */
    uint32_t n_sources;
    const struct efx_plugin *const *sinks; /* struct efx_sink_vt */
    uint32_t n_sinks;
    const struct efx_plugin *const *formats; /* struct efx_format_vt */
    uint32_t n_formats;
};

/* Without regard to case; NULL = there is none. */
const struct efx_window_vt *efx_registry_window(const struct efx_registry *r, const char *name);
/* `in` is EFX_TYPE_NONE for an aggregate without argument. Names are compared without case and
 * underscores. */
const struct efx_agg_vt *efx_registry_agg(const struct efx_registry *r, const char *name,
                                          enum efx_type in);
bool efx_registry_is_agg(const struct efx_registry *r, const char *name);
const struct efx_plugin *efx_registry_plugin(const struct efx_plugin *const *list, uint32_t n,
                                             const char *name);

#endif /* EFX_REGISTRY_H */
