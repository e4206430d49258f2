#ifndef EFX_LANE_H
#define EFX_LANE_H

#include "efx_source.h"

/* A source and its format, pumped into builders: chunks, whole lines, the rest of a line, the
 * header, line numbers of what is rejected.
 *
 *   source ─ read ─► chunk │ whole lines │ rest ┆ ─ decode ─► builder, builder …
 *                                          └─► beginning of the next chunk
 *
 *   Owner    the source and the format are the lane's to close; the chunk's bytes are its own
 *   Limits   EFX_MESSAGE_BYTES_MAX: a longer line is one reject (3001), its rest is passed over
 *   Errors   EFX_LANE_FAILED with *err: the source says no, or the header is none
 *   Threads  one at a time
 */
enum efx_lane_state {
    EFX_LANE_MORE = 1, /* some rows, or nothing yet: call again */
    EFX_LANE_FULL,     /* the builder is full: submit it and call again */
    EFX_LANE_IDLE,     /* nothing now; source->wait_ns, or its descriptor, says when */
    EFX_LANE_ENDED,
    EFX_LANE_FAILED,
};

struct efx_lane {
    struct efx_source *source;
    struct efx_format *format; /* NULL: the source fills rows itself */
    const char *name;          /* in messages */
    struct efx_chunk chunk;
    struct efx_msg msgs[1];
    struct efx_decode d;
    void *prologue; /* NULL until it is read */
    struct efx_arena *arena;
    size_t whole;     /* bytes of the chunk that are being decoded */
    uint64_t n_lines; /* of chunks before this one */
    bool busy;        /* the chunk is not wholly decoded */
    bool ended;
    bool dropping; /* the rest of a line that was too long */
};

void efx_lane_init(struct efx_lane *l, struct efx_arena *arena, struct efx_source *source,
                   struct efx_format *format, const char *name);
enum efx_lane_state efx_lane_pump(struct efx_lane *l, struct efx_builder *out, struct efx_err *err);
void efx_lane_close(struct efx_lane *l);

#endif /* EFX_LANE_H */
