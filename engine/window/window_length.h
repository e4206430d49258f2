#ifndef WINDOW_LENGTH_H
#define WINDOW_LENGTH_H

#include "window.h"

/* length(n) in its two shapes: one log (window_length.c), or a ring per partition copy
 * (window_ring.c). */
struct win_length_conf {
    int64_t n;
};

struct win_ring_layout { /* of a row in a ring */
    uint32_t row_bytes;
    uint32_t nulls_off; /* u64 words, bit k = held column k is NULL; behind the timestamp */
    uint32_t n_cells;
    uint32_t cells_off; /* STRING columns stand behind the others */
    uint32_t *off;      /* [n_held] */
    bool words;         /* timestamps are not kept, all columns are 8 bytes: the short way */
};

struct win_length {
    struct efx_window base;
    struct efx_window_open how;
    uint64_t n;
    bool by_copy;
    struct win_held held;     /* one log */
    uint64_t front;           /* oldest row that has not left */
    struct win_copies copies; /* rings */
    struct win_ring_layout ring;
};

enum efx_rc efx_window__ring_open(struct win_length *w);
enum efx_rc efx_window__ring_arrive(struct win_length *w, const struct efx_step *step,
                                    struct efx_rows *rows, struct efx_changes *out);
enum efx_rc efx_window__ring_slide(struct win_length *w, const struct efx_step *step,
                                   struct efx_rows *rows, struct efx_slide *out);
enum efx_rc efx_window__ring_content(struct win_length *w, uint64_t *from, struct efx_changes *out);

#endif /* WINDOW_LENGTH_H */
