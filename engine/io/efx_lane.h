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
    bool dropping;         /* the rest of a line that was too long */
    uint64_t run_at[2];    /* position where what is, or was last, decoded begins */
    uint64_t run_lines;    /* lines before it */
    uint64_t run_turns;    /* turns that it gave to builders so far */
    struct efx_bytes head; /* bytes of the prologue */
};

/* How far a source is taken: a place where decoding can begin, and turns behind it that are taken
 * already. */
struct efx_lane_pos {
    uint64_t at[2];
    uint64_t taken;
    uint64_t n_lines;
    struct efx_bytes head; /* of the lane, or the caller's */
};

void efx_lane_init(struct efx_lane *l, struct efx_arena *arena, struct efx_source *source,
                   struct efx_format *format, const char *name);
enum efx_lane_state efx_lane_pump(struct efx_lane *l, struct efx_builder *out, struct efx_err *err);
void efx_lane_close(struct efx_lane *l);

/* Where it is, if the last `untaken` turns that it gave are not taken yet; all of them came from its
 * last call of pump. false: its source cannot go back. */
bool efx_lane_pos(const struct efx_lane *l, uint64_t untaken, struct efx_lane_pos *out);
/* Before the first pump. The first pos->taken turns that come then are the caller's to pass over. */
enum efx_rc efx_lane_seek(struct efx_lane *l, const struct efx_lane_pos *pos, struct efx_err *err);

#endif /* EFX_LANE_H */
