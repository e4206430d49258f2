#ifndef EFX_PACE_H
#define EFX_PACE_H

#include "efx_source.h"

/* How many rows of a source that makes them are due: so many a second since it was opened.
 *
 *   Limits  EFX_PACE_CLAIM rows at a time
 */
enum { EFX_PACE_CLAIM = 1024 };

struct efx_pace {
    int64_t per_s; /* 0: as fast as possible */
    int64_t total; /* EFX_TS_NONE: without end */
    uint64_t next; /* row */
    uint64_t from; /* first row of this process: a restored position */
    uint64_t start_ns;
};

/* As read: a claim of rows in out, or EFX_AGAIN with *wait_ns, or EFX_DONE. */
enum efx_rc efx_pace_read(struct efx_pace *p, struct efx_world *world, struct efx_chunk *out,
                          uint64_t *wait_ns);

#endif /* EFX_PACE_H */
