#ifndef EFX_LOG_H
#define EFX_LOG_H

#include "efx_keyed.h"

/* Rows that a window or join side must give back: a queue of rows in arrival order, columns by
 * value.
 *
 *   segment  64 KB   │ due[rows] │ ts[rows] │ turn[rows] │ group[rows] │ copy[rows] │ col 0[rows]
 *   │ …
 *   number           rows are numbered from 0 for ever: number / rows a segment = its segment
 *            head ▼                                      ▼ end
 *            │ …  ██████████████████████████████████████ │
 *
 * Rows are appended, die at any place (a dead bit) and are freed from the head on, a segment at a
 * time. Long texts lie in the log's heap and go back when their row dies; a held row never pins a
 * batch. Rows never change, so a save needs no first touch: those appended since the last mark are
 * the delta, deaths are a list of numbers and the head.
 *
 * A row goes to the section of its group's key, with the ordinal that its group's entry has there.
 * Load puts rows of several sections and shards in order by (turn, place): turn is the global
 * number of the turn that put the row in.
 *
 *   Owner    segments come from `mem`
 *   Errors   EFX_ENOMEM: the rows before are in
 *   Limits   EFX_LOG_COLS_MAX columns
 *   Threads  the shard's owner
 */
enum { EFX_LOG_SEG_BYTES = 64 * 1024, EFX_LOG_COLS_MAX = 256 };

struct efx_log_conf {
    uint32_t n_cols;
    const enum efx_type *types;
    bool has_due, has_group, has_copy; /* which of the fixed arrays are kept */
    uint32_t key_group;                /* of rows without a group */
};

struct efx_log;

enum efx_rc efx_log_create(struct efx_mem *mem, const struct efx_log_conf *conf,
                           struct efx_log **out) EFX_MUST_USE;
void efx_log_destroy(struct efx_log **l);

struct efx_log_rows { /* what is appended: rows row[i] of the columns (NULL: rows 0 .. n - 1) */
    uint32_t n;
    const uint32_t *row;
    const struct efx_col *cols; /* [n_cols of conf] */
    const int64_t *ts_ms;       /* by row of cols */
    const int64_t *due_ms;      /* [n] by i; if has_due */
    const uint64_t *turn;       /* [n] by i */
    const uint32_t *group;      /* [n] by i; if has_group */
    const uint32_t *copy;       /* [n] by i; if has_copy */
};
/* Appends; the first row's number is the log's end before the call. */
enum efx_rc efx_log_add(struct efx_log *l, const struct efx_log_rows *in) EFX_MUST_USE;

uint64_t efx_log_head(const struct efx_log *l); /* number of the oldest live row; = end: is empty */
uint64_t efx_log_end(const struct efx_log *l);
uint64_t efx_log_next(const struct efx_log *l, uint64_t number); /* next live row behind; or end */
bool efx_log_is_live(const struct efx_log *l, uint64_t number);
int64_t efx_log_ts(const struct efx_log *l, uint64_t number);
int64_t efx_log_due(const struct efx_log *l, uint64_t number);
uint64_t efx_log_turn(const struct efx_log *l, uint64_t number);
void efx_log_groups(const struct efx_log *l, const uint64_t *number, uint32_t n, uint32_t *group);
uint32_t efx_log_group(const struct efx_log *l, uint64_t number);
/* Dues and groups of the rows from `number` on as they lie in its segment; returns how many, dead
 * ones among them. NULL for what is not kept. */
uint32_t efx_log_stretch(const struct efx_log *l, uint64_t number, const int64_t **due,
                         const uint32_t **group);
uint32_t efx_log_copy(const struct efx_log *l, uint64_t number);
/* Slot of a column of a live row; *null if asked for. */
const void *efx_log_slot(const struct efx_log *l, uint64_t number, uint32_t col, bool *null);
void efx_log_kill(struct efx_log *l, uint64_t number);
void efx_log_kill_until(struct efx_log *l, uint64_t number); /* all live rows below `number` */

/* A view of live rows number .. that lie in one segment, at most n_max: columns as they lie there
 * (first row of the view = place 0 of `cols`' data). Returns how many; dead ones are in between if
 * *any_dead. Good until the log changes or is viewed again. */
uint32_t efx_log_view(const struct efx_log *l, uint64_t number, uint32_t n_max,
                      struct efx_col *cols, const int64_t **ts_ms, bool *any_dead);
/* Copies n rows, by number, into fresh columns of the scratch of ctx (any segments). Texts point
 * into the log's heap. */
void efx_log_gather(const struct efx_log *l, struct efx_ctx *ctx, const uint64_t *number,
                    uint32_t n, struct efx_col *cols, int64_t *ts_ms);

size_t efx_log_bytes(const struct efx_log *l);

struct efx_log_refs { /* where a row's section is, and the ordinal of its group's entry there */
    uint32_t (*key_group)(void *arg, uint32_t group);
    uint32_t (*ordinal)(void *arg, uint32_t group);
    void *arg;
};
void efx_log_mark(struct efx_log *l, const struct efx_mark *mark);
enum efx_rc efx_log_slice(struct efx_log *l, uint32_t n_max, const struct efx_log_refs *refs,
                          struct efx_save *out) EFX_MUST_USE;
/* Keeps a section's rows; `ids` is what the table's load filled, NULL: rows have no group. */
enum efx_rc efx_log_load(struct efx_log *l, uint32_t key_group, struct efx_reader *section,
                         const struct efx_keyed_ids_out *ids) EFX_MUST_USE;
/* After all loads, in an empty log: in order, without rows that had left. */
enum efx_rc efx_log_settle(struct efx_log *l) EFX_MUST_USE;

#endif /* EFX_LOG_H */
