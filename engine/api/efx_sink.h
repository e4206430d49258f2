#ifndef EFX_SINK_H
#define EFX_SINK_H

#include "efx_format.h"
#include "efx_world.h"

/* A sink: rows out of the graph, at once (at least once) or with the checkpoint (exactly once).
 *
 *   write write │ mark 7 │ prepare(7) … prepare(7) ── receipt ──► manifest 7 stands ──► commit(7,
 *   receipt)
 *
 *   7 came to nothing       no call; what it staged is prepare(8)'s
 *   back to 6               close, open(start 6), abort(6), commit(6) again
 *   back to 4 by hand       close, open(start 7), abort(7), undo(5 .. 6)
 *
 * prepare makes durable but not visible what was written before the mark. Its first call only cuts
 * (EFX_AGAIN: call again), at the mark, in the writer's place; the second may take long, may run
 * beside writes on the storage thread, and fills the receipt. commit makes it visible
 * from the receipt alone, on any node, any number of times. abort deletes what was staged above
 * `start` before this epoch; staged names carry number, epoch and part, so a node that slept cannot
 * touch what came after it. At least once: prepare flushes, the rest is NULL.
 *
 *   Owner    rows are borrowed for the call; a sink that sends later keeps copies
 *   Limits   EFX_RECEIPT_BYTES_MAX
 *   Errors   EFX_AGAIN: full. EFX_EIO, EFX_EDATA: error.strategy decides about row `from`.
 *            EFX_ESTALE: the target knows a newer epoch
 *   Threads  one at a time
 *   Order    rows of a stream as they were made; of several streams by moment
 */
enum { EFX_RECEIPT_BYTES_MAX = 4096 };

struct efx_sink {
    const struct efx_sink_vt *vt;
    struct efx_world *world;
};

struct efx_sink_open {
    const void *conf;
    const struct efx_format *format; /* opened; NULL = the sink writes rows itself */
    const struct efx_schema *schema; /* of the stream it serves */
    uint16_t stream;                 /* its number in the format */
    struct efx_arena *arena;
    bool exactly_once;
    uint32_t part;            /* of this instance */
    uint64_t epoch, start;    /* fencing number; checkpoint from which all go on, 0 = none */
    struct efx_bytes receipt; /* of `start`; empty = has none */
};

struct efx_sink_vt {
    struct efx_plugin base;
    bool takes_format; /* false: no format may be given */
    enum efx_rc (*open)(struct efx_sink *self, const struct efx_sink_open *how,
                        struct efx_err *err);
    /* Moves rows->from on: the sink answers for what lies before it. */
    enum efx_rc (*write)(struct efx_sink *self, struct efx_rows *rows, struct efx_err *err);
    /* No more input is at hand, or it is time. */
    enum efx_rc (*flush)(struct efx_sink *self, struct efx_err *err);
    enum efx_rc (*prepare)(struct efx_sink *self, uint64_t no, struct efx_writer *receipt,
                           struct efx_err *err);
    enum efx_rc (*commit)(struct efx_sink *self, uint64_t no, struct efx_bytes receipt,
                          struct efx_err *err);
    enum efx_rc (*abort)(struct efx_sink *self, uint64_t start, struct efx_err *err);
    enum efx_rc (*undo)(struct efx_sink *self, uint64_t first, uint64_t last, struct efx_err *err);
    void (*close)(struct efx_sink *self);
};

#endif /* EFX_SINK_H */
