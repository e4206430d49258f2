#ifndef EFX_WINDOWS_H
#define EFX_WINDOWS_H

#include "efx_registry.h"

/* The windows that are built in, for the registry. README.md beside this says how to add one.
 *
 *   Owner  static
 */
extern const struct efx_registry_window efx_windows[];
extern const uint32_t efx_n_windows;

#endif /* EFX_WINDOWS_H */
