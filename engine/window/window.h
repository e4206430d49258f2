#ifndef WINDOW_H
#define WINDOW_H

#include "efx_hash.h"
#include "efx_log.h"
#include "efx_part.h"
#include "efx_window.h"

/* What the windows of this folder share: held rows, partition copies, timers, flushes.
 *
 *   arrive ─► held   rows of the slice are copied into the log, a call's worth at once
 *             list   changes are written; held rows that leave are noted by number
 *             left   at the end of the call those numbers become the batch `left`
 *   next call ─► what left is *doomed*: killed when nobody looks at it any more
 *
 * A window keeps what it must per partition copy in `copies`, keyed by the copy's birth; without
 * PARTITION there is one copy, id 0. What a save needs lies in the keyed state; lists and heaps are
 * made anew from the log after a load.
 *
 *   Owner   everything from how->mem; `left` and the arrays of a call from the scratch of how->ctx,
 *           under the caller's mark
 *   Errors  EFX_ENOMEM
 */

/* ---- moments ---- */

static inline efx_moment win_timer_moment(const struct efx_step *step, uint32_t rank,
                                          int64_t due_ms)
{
    return due_ms < step->clk_base_ms ? 0 : efx_moment_timer(due_ms - step->clk_base_ms, rank);
}

static inline bool win_is_due(const struct efx_step *step, uint32_t rank, int64_t due_ms,
                              efx_moment until)
{
    return due_ms <= step->clk_last_ms && due_ms != EFX_NEVER_MS &&
           win_timer_moment(step, rank, due_ms) < until;
}

static inline int64_t win_add_ms(int64_t t_ms, int64_t d_ms)
{
    int64_t sum;
    return __builtin_add_overflow(t_ms, d_ms, &sum) ? EFX_NEVER_MS - 1 : sum;
}

/* Global turn that brought row i; 0 = nobody knows, so nobody asks. */
uint64_t efx_window__turn(const struct efx_step *step, const struct efx_batch *b, uint32_t i);

/* ---- a call's answer under construction ---- */

struct win_list {
    struct efx_changes *out;
    uint64_t *number; /* [n_left] of held rows that changes name, in their order */
    uint32_t n_left;
};

static inline uint32_t win_room(const struct win_list *l)
{
    return EFX_CHANGES_MAX - l->out->n;
}

static inline struct efx_change *win_change(struct win_list *l, uint8_t kind, efx_moment moment,
                                            int64_t clk_ms)
{
    struct efx_change *c = &l->out->list[l->out->n++];
    *c = (struct efx_change){.moment = moment, .clk_ms = clk_ms, .kind = kind};
    return c;
}

/* ---- held rows ---- */

struct win_held {
    const struct efx_window_open *how;
    struct efx_log *log;
    struct efx_log_conf conf;
    enum efx_type *types; /* [n_types] of the log: held columns, then the birth in a PARTITION */
    uint32_t n_types;
    uint32_t birth_col; /* of the log; EFX_NO_COL without PARTITION */
    bool own_group;     /* group numbers are key groups: nothing to look up after a load */
    uint64_t *doomed;   /* [n_doomed] numbers */
    uint32_t n_doomed, n_doomed_max;
    struct efx_batch left;
    struct efx_col *left_cols; /* of it; with room for the group */
    uint32_t loaded_group;     /* what `own_group` rows of a section refer to */
};

/* `own_group`: the window puts key groups into the log's group column itself; in a PARTITION
 * without group ids they are those of the births. how must live on. */
enum efx_rc efx_window__held_open(struct win_held *h, const struct efx_window_open *how, bool due,
                                  bool own_group);
void efx_window__held_close(struct win_held *h);
/* Starts a call: what the last one listed goes. */
void efx_window__held_begin(struct win_held *h, struct win_list *l, struct efx_changes *out);
void efx_window__kill_doomed(struct win_held *h);
/* Rows at[n] of b enter the log; `group`, NULL: from how->group_col. */
enum efx_rc efx_window__held_add(struct win_held *h, const struct efx_step *step,
                                 const struct efx_batch *b, const uint32_t *at, uint32_t n,
                                 const int64_t *due_ms, const uint32_t *group);
/* A change that names a held row. */
struct efx_change *efx_window__list_held(struct win_held *h, struct win_list *l, uint8_t kind,
                                         uint64_t number, efx_moment moment, int64_t clk_ms);
enum efx_rc efx_window__doom(struct win_held *h, uint64_t number);
/* Ends a call: makes out->left. */
void efx_window__held_end(struct win_held *h, struct win_list *l);
/* `left` of n held rows, by number. */
const struct efx_batch *efx_window__held_left(struct win_held *h, const uint64_t *number,
                                              uint32_t n);
/* The same without the group. */
const struct efx_batch *efx_window__held_cols(struct win_held *h, const uint64_t *number,
                                              uint32_t n);
int64_t efx_window__held_birth(const struct win_held *h, uint64_t number);
/* All live rows, for `content`. */
enum efx_rc efx_window__held_content(struct win_held *h, uint64_t *from, struct efx_changes *out);
enum efx_rc efx_window__held_slice(struct win_held *h, uint32_t n_max, struct efx_save *out);
enum efx_rc efx_window__held_load(struct win_held *h, uint32_t key_group, struct efx_reader *r);

/* ---- copies ---- */

struct win_copies {
    const struct efx_window_open *how;
    struct efx_keyed *table; /* key: birth, or (); one state */
    struct efx_keyed_conf conf;
    struct efx_keyed_state state;
    uint32_t *map; /* by copy id of the batches: where it was found last; the entry's birth tells
                      whether it is there still. EFX_KEYED_DEAD = nowhere yet */
    uint32_t n_map;
};

enum efx_rc efx_window__copies_open(struct win_copies *c, const struct efx_window_open *how,
                                    const struct efx_keyed_state *state);
void efx_window__copies_close(struct win_copies *c);
/* Id of the copy of row i, made if need be, touched. */
enum efx_rc efx_window__copy_of(struct win_copies *c, const struct efx_batch *b, uint32_t i,
                                uint32_t *id);
enum efx_rc efx_window__copy_by_birth(struct win_copies *c, int64_t birth, uint32_t *id);
int64_t efx_window__birth(const struct win_copies *c, uint32_t id); /* 0 without PARTITION */

static inline void *win_copy_state(const struct win_copies *c, uint32_t id)
{
    return efx_keyed_state(c->table, id, 0);
}

/* ---- timers: a heap by (due, birth, no) ---- */

struct win_timer {
    int64_t due_ms;
    int64_t birth;
    uint64_t no;
    uint32_t id, gen;
};

struct win_timers {
    struct efx_mem *mem;
    struct win_timer *heap;
    uint32_t n, n_max;
};

enum efx_rc efx_window__timer_add(struct win_timers *t, const struct win_timer *timer);
void efx_window__timer_pop(struct win_timers *t);
void efx_window__timers_close(struct win_timers *t);

static inline int64_t win_timers_due(const struct win_timers *t)
{
    return t->n == 0 ? EFX_NEVER_MS : t->heap[0].due_ms;
}

/* ---- lists of row numbers ---- */

struct win_rows {
    uint64_t *number;
    uint32_t n, n_max;
};

enum efx_rc efx_window__rows_add(struct efx_mem *mem, struct win_rows *r, uint64_t number);
void efx_window__rows_free(struct efx_mem *mem, struct win_rows *r);

/* ---- batches that hold rows: see window_batch.c ---- */

struct win_batch {        /* of one copy */
    struct win_rows now;  /* the open batch */
    struct win_rows last; /* the one that was flushed, if it is kept */
    struct win_rows next; /* rows of the batch behind `now`, which has yet to be flushed */
};

enum win_phase { WIN_IDLE = 1, WIN_EXPIRED, WIN_RESET, WIN_CURRENT };

struct win_batches {
    const struct efx_window_open *how;
    struct win_held *held;
    struct win_batch *of; /* [n] by copy id */
    uint32_t n;
    bool keeps; /* the last batch, for its expired part or its readers */
    /* The flush that is being listed. */
    enum win_phase phase;
    uint32_t id, pos;
    int64_t birth;
    efx_moment moment;
    int64_t clk_ms;
};

void efx_window__batches_open(struct win_batches *b, const struct efx_window_open *how,
                              struct win_held *held);
void efx_window__batches_close(struct win_batches *b);
enum efx_rc efx_window__batch_of(struct win_batches *b, uint32_t id, struct win_batch **out);
void efx_window__flush_begin(struct win_batches *b, uint32_t id, int64_t birth, efx_moment moment,
                             int64_t clk_ms);
/* Goes on with the flush; EFX_AGAIN: no room, call again. */
enum efx_rc efx_window__flush_list(struct win_batches *b, struct win_list *l);
/* Rows of the last completed batches. */
enum efx_rc efx_window__batches_content(struct win_batches *b, uint64_t *from,
                                        struct efx_changes *out);
/* After a load: every held row is put into `last` if older says so, else into `now`. */
enum efx_rc efx_window__batches_fill(struct win_batches *b, struct win_copies *copies,
                                     bool (*older)(const void *copy_state, int64_t due_ms));

extern const struct efx_window_vt efx_window__length;
extern const struct efx_window_vt efx_window__time;
extern const struct efx_window_vt efx_window__length_batch;
extern const struct efx_window_vt efx_window__time_batch;
extern const struct efx_window_vt efx_window__session;

#endif /* WINDOW_H */
