#ifndef EFX_FORMAT_H
#define EFX_FORMAT_H

#include "efx_builder.h"
#include "efx_plugin.h"
#include "efx_str.h"

/* A format: messages into rows, rows into messages. Where they come from it does not know.
 *
 *   chunk     │ message 0 │ message 1             │ message 2                   │
 *   decode    ├─ 1 event ─┼─ a bad line, 3 events ┼─ 2 of 5 events, then full   ┆ EFX_AGAIN
 *   position  └─ that of message 1, and 2 events taken of what follows it
 *
 * A decode depends on its chunk, on open and on the prologue alone, so several chunks may be
 * decoded at a time. It may stop after any event: struct efx_decode says where, and that is also
 * what a checkpoint keeps. In a stream of bytes a reader can begin at every line, elsewhere at a
 * message.
 *
 * A prologue (the header of a CSV file) stands at the beginning of a file: it is read once, before
 * any decode, and its bytes are saved with the position.
 *
 *   Owner    the chunk is the lane's and stays until the builders filled from it are cleared
 *   Limits   EFX_MESSAGE_BYTES_MAX a line or payload, EFX_CHUNK_MSGS_MAX, EFX_PROLOGUE_BYTES_MAX;
 *            EFX_CHUNK_PAD bytes behind a chunk may be read, whatever they hold
 *   Errors   a bad event is a reject of the builder, at its line within the chunk (the lane adds
 *            those before); never a result
 *   Threads  open, prologue and close: one; the others are pure
 */
enum {
    EFX_CHUNK_BYTES = 256 * 1024, /* as pooled; grows for a longer message */
    EFX_CHUNK_PAD = 64,
    EFX_CHUNK_MSGS_MAX = EFX_STEP_TURNS_MAX,
    EFX_MESSAGE_BYTES_MAX = 16 * 1024 * 1024,
    EFX_PROLOGUE_BYTES_MAX = 64 * 1024,
};

struct efx_prop { /* as written in WITH, for families of keys: json.mapping.<col> */
    const char *key;
    struct efx_str value;
};

struct efx_msg {        /* a message; of a stream a run of whole lines; of `fill` a claim of rows */
    uint32_t off, len;  /* bytes of the chunk; rows */
    struct efx_pos pos; /* where its part goes on behind it */
    int64_t ts_ms;      /* EFX_TS_NONE, or what the connector says */
    uint32_t skip;      /* its first events, rejects included, are in a checkpoint already */
    uint16_t code;      /* the source refuses it: EFX-nnnn; 0 = good */
    bool one_unit;      /* all its events are one unit; else each line is */
};

struct efx_chunk {
    uint64_t ticket;
    int64_t arrived_ms;
    uint8_t *bytes; /* [max_bytes + EFX_CHUNK_PAD] */
    size_t n_bytes;
    size_t max_bytes;
    struct efx_msg *msgs; /* [EFX_CHUNK_MSGS_MAX] in order of arrival */
    uint32_t n_msgs;
    bool stream; /* positions count bytes (rows): a reader may begin at any line */
    bool begins; /* its first byte is the first of a file or connection */
    bool ends;   /* its last byte is the last: what has no line end is a line too */
    const void *prologue;
};

struct efx_decode { /* a chunk on its way into builders; begins as {.chunk = …} */
    const struct efx_chunk *chunk;
    uint32_t msg;      /* messages before it are done */
    uint32_t at_bytes; /* of this message done until here: lines; of a fill: rows */
    uint32_t n_events; /* taken behind that */
    uint32_t n_lines;  /* of the chunk, until here */
};

struct efx_encode {       /* a slice on its way into bytes */
    struct efx_rows rows; /* encode moves `from` on */
    uint16_t stream;      /* as numbered at open */
    uint16_t code;        /* EFX-nnnn of row `from`, with EFX_EDATA */
    struct efx_writer *w;
    uint32_t *ends; /* [rows] where each message ends in w; NULL = nobody asks */
    uint32_t n;     /* messages written */
};

struct efx_format {
    const struct efx_format_vt *vt;
};

struct efx_format_open {
    const void *conf;
    const struct efx_prop *props; /* [n_props] */
    uint32_t n_props;
    const struct efx_schema *const
        *streams; /* [n_streams] as in the builder; NULL = not this one */
    uint32_t n_streams;
    struct efx_arena *arena; /* of its tables: lives as long as the format */
    bool sink;
};

struct efx_format_vt {
    struct efx_plugin base;
    uint32_t prologue_bytes; /* of what prologue makes; 0 = has none */
    enum efx_rc (*open)(struct efx_format *self, const struct efx_format_open *how,
                        struct efx_err *err);
    /* How many of these bytes, which begin with a line, are whole lines. */
    size_t (*cut)(const struct efx_format *self, struct efx_bytes bytes);
    /* EFX_AGAIN: the header is not there as a whole yet. */
    enum efx_rc (*prologue)(const struct efx_format *self, struct efx_bytes head, size_t *used,
                            void *out, struct efx_err *err);
    /* Goes on at d. EFX_AGAIN: the builder is full, call again with an empty one. */
    enum efx_rc (*decode)(const struct efx_format *self, struct efx_decode *d,
                          struct efx_builder *out);
    /* What a file of its own begins with; w->full = does not fit. */
    void (*head)(const struct efx_format *self, uint16_t stream, struct efx_writer *w);
    /* EFX_AGAIN: row `from` has no room in w and left no byte there. EFX_EDATA: cannot be said in
     * this format. */
    enum efx_rc (*encode)(const struct efx_format *self, struct efx_encode *e);
    void (*close)(struct efx_format *self);
};

#endif /* EFX_FORMAT_H */
