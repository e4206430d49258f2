#ifndef EFX_WORLD_REAL_H
#define EFX_WORLD_REAL_H

#include "efx_world.h"

/* This machine: its clocks and its randomness. Timers, disk and network come with the node's loop.
 *
 *   Owner   static; nothing to close
 *   Threads any
 */
struct efx_world *efx_world_real(void);

#endif /* EFX_WORLD_REAL_H */
