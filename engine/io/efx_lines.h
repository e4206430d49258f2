#ifndef EFX_LINES_H
#define EFX_LINES_H

#include "efx_format.h"

/* Formats of which a line is a document: stepping through a chunk's messages line by line.
 *
 *   Owner    the chunk is the lane's; a last line without '\n' is copied to the thread's own buffer
 *   Order    the line's events are taken before the next line is looked at
 */
struct efx_line {
    const char *p; /* p[n] is '\n', and EFX_CHUNK_PAD bytes behind it may be read */
    size_t n;
    const struct efx_msg *msg;
    uint32_t no; /* in the chunk, from 1 */
};

/* The line at d; false = all messages are done. A refused message is one line of its own. */
bool efx_lines_next(struct efx_decode *d, struct efx_line *out);
/* The line is done. */
void efx_lines_done(struct efx_decode *d, const struct efx_line *line);
/* Bytes up to the last '\n'. */
size_t efx_lines_cut(const struct efx_format *self, struct efx_bytes bytes);

#endif /* EFX_LINES_H */
