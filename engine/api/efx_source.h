#ifndef EFX_SOURCE_H
#define EFX_SOURCE_H

#include "efx_format.h"
#include "efx_world.h"

/* A source: messages by the chunk. A format makes rows of them, or the source itself does.
 *
 *   kind       read                                                  word 0 of a position
 *   messages   lists each with its position and timestamp            the source's own
 *   a stream   appends bytes, one message holds them all             bytes
 *   rows       lists a claim of `len` rows without bytes, fill       rows
 *              makes them as decode would
 *
 * read never blocks. Back-pressure is that nobody asks for the next chunk; a rate is that read says
 * EFX_AGAIN, and wait_ns for how long.
 *
 *   Owner    chunks are the lane's
 *   Limits   EFX_MESSAGE_BYTES_MAX: a longer message is listed with code 3001
 *   Errors   EFX_AGAIN: nothing now. EFX_DONE: ended. EFX_EIO, EFX_EABSENT: tried again by who runs
 *            it. A bad event is a reject, never a result
 *   Threads  its lane; fill is pure
 *   Order    open, seek if a position is known, read …, close
 */
struct efx_source {
    const struct efx_source_vt *vt;
    struct efx_world *world;
    uint64_t wait_ns; /* after EFX_AGAIN: when to ask again, from now */
    uint64_t at[2];   /* position behind what read brought; word 0 as above */
    bool rewinds;     /* seek can go back there, also in a later process */
};

struct efx_source_open {
    const void *conf;
    const struct efx_prop *props;
    uint32_t n_props;
    const struct efx_schema *const *streams; /* as in the builder */
    uint32_t n_streams;
    uint16_t stream; /* the one it feeds */
    struct efx_arena *arena;
    struct efx_wake *readable; /* NULL: the lane polls */
};

struct efx_source_vt {
    struct efx_plugin base;
    bool stream;
    enum efx_rc (*open)(struct efx_source *self, const struct efx_source_open *how,
                        struct efx_err *err);
    /* A stream finds the rest of the last chunk in bytes[0 .. n_bytes) and appends. */
    enum efx_rc (*read)(struct efx_source *self, struct efx_chunk *out);
    enum efx_rc (*seek)(struct efx_source *self, const struct efx_pos *pos, uint32_t n,
                        struct efx_err *err);
    /* A checkpoint with these positions stands. */
    enum efx_rc (*commit)(struct efx_source *self, const struct efx_pos *pos, uint32_t n);
    /* Rows of a claim; NULL = brings bytes and needs a format. */
    enum efx_rc (*fill)(const struct efx_source *self, struct efx_decode *d,
                        struct efx_builder *out);
    void (*close)(struct efx_source *self);
};

#endif /* EFX_SOURCE_H */
