#include "efx_registry.h"

#include "efx_str.h"

#include <ctype.h>

const struct efx_window_vt *efx_registry_window(const struct efx_registry *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_windows; i++) {
        if (efx_str_equal_ci(efx_str_of(r->windows[i].name), efx_str_of(name))) {
            return r->windows[i].vt;
        }
    }
    return NULL;
}

/* Letters without case, underscores as if they were not there. */
static bool same_function(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == '_') {
            a++;
        }
        while (*b == '_') {
            b++;
        }
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
        if (*a == '\0') {
            return true;
        }
    }
}

const struct efx_agg_vt *efx_registry_agg(const struct efx_registry *r, const char *name,
                                          enum efx_type in)
{
    for (uint32_t i = 0; i < r->n_aggs; i++) {
        if (r->aggs[i]->in == in && same_function(r->aggs[i]->base.name, name)) {
            return r->aggs[i];
        }
    }
    return NULL;
}

bool efx_registry_is_agg(const struct efx_registry *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_aggs; i++) {
        if (same_function(r->aggs[i]->base.name, name)) {
            return true;
        }
    }
    return false;
}

const struct efx_plugin *efx_registry_plugin(const struct efx_plugin *const *list, uint32_t n,
                                             const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (efx_str_equal_ci(efx_str_of(list[i]->name), efx_str_of(name))) {
            return list[i];
        }
    }
    return NULL;
}
