#ifndef EFX_INPUT_H
#define EFX_INPUT_H

#include "efx_source.h"

/* What --input names, as a source: a file or standard input, read once to its end; unpacked by the
 * ending of its name (.zst, .gz).
 *
 *   Errors  EFX_AGAIN: nothing now; poll efx_input_fd. EFX_EIO: unreadable, or damaged inside
 */
struct efx_input_conf {
    const char *path; /* "-": standard input */
};
extern const struct efx_source_vt efx_input_source_vt;

int efx_input_fd(const struct efx_source *self);
/* Of the file as it lies there, for a progress line; 0 = not known. */
uint64_t efx_input_size(const struct efx_source *self);
uint64_t efx_input_read_bytes(const struct efx_source *self);

#endif /* EFX_INPUT_H */
