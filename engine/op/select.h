#ifndef SELECT_H
#define SELECT_H

#include "efx_log.h"
#include "efx_ops.h"
#include "efx_part.h"
#include "efx_window.h"

/* What the files of the selector share.
 *
 *   input ─► wide batch ─► (window) ─► ops ─► aggregates ─► environment ─► outputs ─► sets ─►
 *            select_in.c               select_agg.c         select_out.c            select_set.c
 *
 *   mode      who calls the aggregates                               file
 *   RUN       no window: every row as it comes                       select_run.c
 *   SLIDE     sliding window, current rows only: ops from the window select_run.c
 *   CHANGES   any window, row by row: expired rows, plain batches    select_changes.c
 *   EAGER     batch window, current rows only: rows go straight in,  select_pane.c
 *             a row a group at the flush
 *   PANE      batch window that holds rows; they go in at the flush  select_pane.c
 *
 * The *wide* batch is the input's columns and, behind them, what a window must see: the group's id,
 * evaluated group keys, evaluated arguments, the row's number if an aggregate asks for it. What
 * it gives back (`left`) are the columns of `held`.
 *
 *   wide   input … (copy, birth) │ id │ keys … │ arguments …     held_of[wide] = column of left
 *
 *   Owner   the op; arrays of the plan kind in its arena, state in mem, all else in the scratch
 */
enum select_mode { SELECT_RUN = 1, SELECT_SLIDE, SELECT_CHANGES, SELECT_EAGER, SELECT_PANE };

struct select_agg {
    const struct efx_agg_vt *vt;
    uint32_t col; /* of the wide batch: argument; for count(*) with FILTER: NULL = not met */
    bool by_arg;  /* `col` is an argument (else it says what to skip, or is EFX_NO_COL) */
    bool plain;   /* it is a column of the input: nothing to evaluate */
};

struct select_keep { /* a column of a group's last row */
    uint32_t col;    /* of the input, hidden ones included */
    enum efx_type type;
    uint32_t key;   /* the key's cell that is the same; else EFX_NO_COL */
    uint32_t state; /* of the table */
};

struct select_group { /* plain state: of groups in a batch */
    int64_t ts_ms;    /* of the last row */
    uint64_t turn;    /* of the first */
    uint64_t no;      /* running number of the first; 0 = has no row in the batch */
};

struct select_list {     /* groups of a batch, in first-seen order; linked by the entries' extra */
    uint32_t head, tail; /* id + 1 */
};

struct select_set { /* rows of a row set that is not complete yet; arrays of the step's arena */
    uint32_t n, n_max;
    void **data; /* [n_env + n_order] */
    uint64_t **valid;
    uint8_t *kind;
    int64_t *ts_ms, *clk_ms;
    efx_moment *moment;
    uint64_t *sub;
};

struct op_select {
    struct efx_op base;
    const struct efx_select_conf *conf;
    struct efx_mem *mem;
    struct efx_kg_range kg;
    enum select_mode mode;
    bool partitioned, by_row;
    bool grouped;       /* there is a table */
    bool keyed;         /* … with keys: groups come and go */
    bool rekey;         /* groups of held rows are found by their keys */
    bool counts;        /* a group counts its rows and goes with the last */
    uint32_t count_agg; /* the aggregate that this count is the value of: SLIDE, count(*); else
                           EFX_NO_COL */
    bool forever;       /* some aggregate survives its group */
    bool sets;          /* ORDER BY, LIMIT or OFFSET apply */
    bool pairs;         /* SLIDE: the aggregates take pairs */
    uint32_t n_in;      /* columns of the input, hidden ones included */
    uint32_t n_wide;
    enum efx_type *wide_types;
    uint32_t id_col, key_col; /* of the wide batch; EFX_NO_COL = none */
    uint32_t number_col;      /* likewise: running number of the row, for aggregates by number */
    uint64_t last_number;
    uint32_t n_keys; /* birth, then GROUP BY */
    enum efx_type *key_types;
    struct select_agg *aggs;
    uint32_t n_keeps;
    struct select_keep *keeps;
    struct efx_keyed *groups;
    struct efx_keyed_conf groups_conf;
    struct efx_keyed_state *states; /* aggregates, keeps, the plain one */
    uint32_t plain;                 /* number of the plain one */
    uint64_t no;                    /* last struct select_group.no */
    uint64_t last_turn;             /* last struct select_group.turn: rows of timers have none */
    uint32_t *by_copy;              /* [n_by_copy] in a PARTITION without GROUP BY: where a copy's
                                       group was last; NULL = nowhere yet */
    uint32_t n_by_copy;
    struct select_list list;
    struct efx_keyed *lists; /* by birth: eager in a PARTITION */
    uint32_t *empty;         /* [n_empty] groups that may have no row any more */
    uint32_t n_empty, n_empty_max;
    int64_t ttl_ms; /* of groups without a window; -1 = for ever */
    uint32_t sweep; /* next entry whose time to live is looked at */
    struct efx_window *window;
    struct efx_schema schema;
    uint32_t n_held, *held, *held_of;
    uint32_t *group_keys; /* key columns of the wide batch */
    struct efx_log_refs refs;
    struct efx_keyed_ids_out ids;
    struct select_set set;
    struct efx_part part[2];
    bool slicing_window, window_has_out;
};

/* ---- select_in.c ---- */

struct select_in { /* a slice on its way */
    const struct efx_step *step;
    struct efx_batch b;   /* the wide batch; rows whose group key failed are not there */
    struct efx_rows rows; /* of b */
    struct efx_col *keys; /* [n_keys] */
    uint32_t n;
    uint32_t *at;         /* [n] places of rows that are there */
    bool dense;           /* at[i] = i */
    uint32_t *id;         /* [n] groups; filled by efx_select__ids */
    uint64_t *arg_failed; /* rows that arrive and give no row: some argument failed; NULL = none */
};
enum efx_rc efx_select__in(struct op_select *self, const struct efx_step *step,
                           const struct efx_rows *rows, struct select_in *in);
/* Groups of the input's rows at[n]. */
enum efx_rc efx_select__ids_in(struct op_select *self, const struct select_in *in,
                               const uint32_t *at, uint32_t n, uint32_t *id);
/* Groups of rows at[n] of such keys. */
enum efx_rc efx_select__ids(struct op_select *self, const struct efx_col *keys, const uint32_t *at,
                            uint32_t n, uint32_t *id);
/* Groups of rows of `left`, by their keys. */
enum efx_rc efx_select__ids_left(struct op_select *self, const struct efx_batch *left,
                                 const uint32_t *row, uint32_t n, uint32_t *id);

/* ---- select_agg.c ---- */

struct select_ops {
    uint32_t n;
    const uint32_t *row; /* NULL = 0, 1 … */
    const uint32_t *id;
    const uint64_t *leaves; /* NULL = none */
    bool pairs;             /* as in struct efx_slide */
    bool quiet;             /* values of ops that take rows out are not looked at */
    const uint64_t *fresh;
    const uint64_t *still;      /* ops that change nothing; NULL = none */
    bool skip_all;              /* only `fresh` takes effect */
    const struct efx_col *cols; /* rows that enter: wide batch, or (from_left) the left batch */
    bool from_left;
    const struct efx_batch *left; /* where rows leave from; NULL = cols */
};
struct select_values {   /* of the aggregates, by op */
    struct efx_col *col; /* [n_aggs] */
    struct efx_fails fails;
};
/* Room for n values; fails zeroed. */
void efx_select__values(struct op_select *self, uint32_t n, struct select_values *v);
/* v NULL: nobody looks. */
enum efx_rc efx_select__aggregate(struct op_select *self, const struct select_ops *ops,
                                  struct select_values *v);
/* Touches the groups of ops, counts their rows; groups that may be empty are noted. v gets the
 * values of count_agg; NULL: nobody looks. */
enum efx_rc efx_select__count(struct op_select *self, const struct select_ops *ops,
                              struct select_values *v);
enum efx_rc efx_select__note_empty(struct op_select *self, const uint32_t *id, uint32_t n);
/* Groups without rows go. Between two calls of this no id is given twice. */
void efx_select__del_empty(struct op_select *self);
bool efx_select__is_forever(const struct efx_agg_vt *vt);

/* Columns of last rows: see select_keep.c. */
struct efx_keyed_state efx_select__keep_state(enum efx_type type);
enum efx_rc efx_select__keep(struct op_select *self, const struct select_keep *k,
                             const struct efx_col *from, const uint32_t *row, const uint32_t *id,
                             uint32_t n);
void efx_select__kept(struct op_select *self, const struct select_keep *k, const uint32_t *id,
                      uint32_t n, struct efx_col *out);

/* ---- select_out.c ---- */

struct select_made {    /* rows before the select list */
    struct efx_batch b; /* columns of the environment; sel, ts, clk, moment, sub, set_end */
    uint32_t from, until;
    const struct efx_fails *fails; /* rows whose aggregates have no value; NULL = none */
};
/* Environment columns, typed where they can be, without data. */
struct efx_col *efx_select__env(struct op_select *self);
enum efx_rc efx_select__out(struct op_select *self, const struct efx_step *step,
                            struct select_made *m);
/* The last stage: target columns, NOT NULL, push. */
enum efx_rc efx_select__store(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows);
enum efx_rc efx_select__push_failed(struct op_select *self, const struct efx_step *step,
                                    const struct efx_batch *b, uint32_t from, uint32_t until,
                                    const struct efx_fails *fails);
/* `sub` of a row that a timer or an event made. */
uint64_t efx_select__sub(const struct op_select *self, efx_moment moment, uint8_t kind,
                         uint64_t turn, int64_t birth);

/* ---- select_set.c ---- */
enum efx_rc efx_select__set_add(struct op_select *self, const struct efx_step *step,
                                const struct efx_rows *rows, const uint64_t *set_end);

/* ---- modes ---- */
enum efx_rc efx_select__run(struct op_select *self, const struct efx_step *step,
                            const struct efx_rows *rows);
enum efx_rc efx_select__slide(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows);
/* CHANGES and PANE; rows NULL: timers before `until`. */
enum efx_rc efx_select__through(struct op_select *self, const struct efx_step *step,
                                const struct efx_rows *rows, efx_moment until);
enum efx_rc efx_select__changes(struct op_select *self, const struct efx_step *step,
                                const struct select_in *in, const struct efx_changes *c);
enum efx_rc efx_select__pane(struct op_select *self, const struct efx_step *step,
                             const struct efx_changes *c);
enum efx_rc efx_select__eager(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows);
enum efx_rc efx_select__eager_fire(struct op_select *self, const struct efx_step *step,
                                   efx_moment until);

/* ---- select_save.c ---- */
void efx_select__mark(struct efx_op *op, const struct efx_mark *mark);
enum efx_rc efx_select__slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out);
enum efx_rc efx_select__load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                             struct efx_err *err);
enum efx_rc efx_select__load_end(struct efx_op *op, struct efx_err *err);
/* Puts a group behind its list's last. */
enum efx_rc efx_select__list_add(struct op_select *self, uint32_t id, int64_t birth);

#endif /* SELECT_H */
