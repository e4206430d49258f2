#ifndef EFX_OUT_H
#define EFX_OUT_H

#include "efx_format.h"

/* Bytes on their way to a file descriptor: rows are encoded into one buffer, which grows for a row
 * that is longer and is written when it is full or flushed.
 *
 *   Owner    the buffer is this one's; the descriptor the caller's
 *   Limits   EFX_OUT_BYTES, more for one longer row
 *   Errors   EFX_DONE: nobody reads any more (EPIPE). EFX_EIO
 *   Threads  one at a time
 */
enum { EFX_OUT_BYTES = 256 * 1024 };

struct efx_out {
    int fd;
    bool gone; /* the reader went away: all else is thrown away */
    struct efx_writer w;
    uint64_t n_written; /* bytes given to the descriptor */
};

void efx_out_init(struct efx_out *o, int fd);
void efx_out_fini(struct efx_out *o); /* what is not flushed is lost */
/* All rows of the slice; *n counts them. EFX_EDATA cannot come from the formats here. */
enum efx_rc efx_out_rows(struct efx_out *o, const struct efx_format *f, uint16_t stream,
                         const struct efx_rows *rows, uint64_t *n, struct efx_err *err);
/* The format's head (CSV header), if it has one. */
enum efx_rc efx_out_head(struct efx_out *o, const struct efx_format *f, uint16_t stream,
                         struct efx_err *err);
enum efx_rc efx_out_bytes(struct efx_out *o, const void *p, size_t n, struct efx_err *err);
enum efx_rc efx_out_flush(struct efx_out *o, struct efx_err *err);

#endif /* EFX_OUT_H */
