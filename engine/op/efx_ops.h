#ifndef EFX_OPS_H
#define EFX_OPS_H

#include "efx_expr.h"
#include "efx_keyed.h"

/* The operators by name, for the one who builds the graph (and for tests).
 *
 * A conf is the plan's: immutable, shared by the instances of all shards. Expressions in it are
 * compiled over the "row environment" named at each. Inside a PARTITION the two hidden columns
 * (copy
 * id, birth) stand behind the visible ones of every batch, and each copy has state of its own.
 *
 *   Owner   instances live in how->arena, their state in how->mem; conf outlives them
 *   Errors  EFX_ENOMEM. Outlets are the graph builder's to fill afterwards
 */
struct efx_op_in {              /* shape of the rows on an inlet */
    uint32_t n_cols;            /* visible */
    const enum efx_type *types; /* [n_cols] */
    bool partitioned;           /* the two hidden columns stand behind them */
};

/* WHERE, and HAVING without state. Out: the same rows, fewer. Errors: the rows that failed. */
struct efx_filter_conf {
    const struct efx_expr *pred; /* over the row */
};
enum efx_rc efx_op_filter_create(const struct efx_op_open *how, const struct efx_filter_conf *conf,
                                 struct efx_op **out) EFX_MUST_USE;

/* SELECT without state. Out: a row for a row, columns = exprs; a NULL in a not_null column or a
 * value that fails sends the *input* row out by errors. */
struct efx_project_conf {
    struct efx_op_in in;
    uint32_t n_out;
    const struct efx_expr *const *exprs; /* over the row */
    const bool *not_null;                /* [n_out] 3102; NULL = none */
    bool keep_hidden;                    /* target is an inner stream: hidden columns pass on */
};
enum efx_rc efx_op_project_create(const struct efx_op_open *how,
                                  const struct efx_project_conf *conf,
                                  struct efx_op **out) EFX_MUST_USE;

/* The selector: window, groups, aggregates, HAVING, row sets (language §3.4 – 3.6).
 *
 *   environment   0 … n_cols-1 the input's columns (then its hidden ones) │ aggregates │ outputs
 *   agg k = column env_agg + k, output j = column env_out + j
 *
 * Without a window rows may arrive with kinds (a join's removals are taken out, `kinds_in`) and in
 * row sets (`sets_in`: set_end bits; ORDER BY, LIMIT and OFFSET work on each). */
struct efx_select_agg {
    const struct efx_agg_vt *vt;
    const struct efx_expr *arg;    /* over the input; NULL = count(*) */
    const struct efx_expr *filter; /* over the input; NULL = none */
};
struct efx_select_order {
    const struct efx_expr *expr; /* over the environment */
    bool desc, nulls_first;
};
struct efx_select_conf {
    struct efx_op_in in;
    bool kinds_in, sets_in;
    bool expired_still; /* rows that arrive as EXPIRED change no aggregate: those of a pattern */
    const struct efx_window_vt *window; /* NULL = none */
    const void *window_conf;
    bool window_has_origin;
    uint32_t n_group;
    const struct efx_expr *const *group; /* over the input */
    const bool *group_not_null;          /* [n_group] is never NULL; NULL = nobody knows */
    uint32_t n_aggs;
    const struct efx_select_agg *aggs;
    uint32_t env_agg, env_out, n_env; /* n_env = columns of the environment */
    const bool *used; /* [n_cols of the input] outputs, HAVING or ORDER BY look at this column, or a
                         fault stream does: what a window must give back */
    uint32_t n_out;
    const struct efx_expr *const *out; /* over the environment without outputs */
    const struct efx_expr *having;     /* over the environment; NULL = none */
    uint32_t n_order;
    const struct efx_select_order *order;
    int64_t limit, offset; /* -1 = no limit */
    bool current, expired; /* kinds that are output */
    uint32_t n_store;
    const struct efx_expr *const *store; /* over the environment: the target's columns */
    const bool *not_null;                /* [n_store] */
    bool keep_hidden;
    int64_t group_ttl_ms; /* windowless groups forget; -1 = never */
    bool errors_read;     /* somebody reads the errors edge */
};
enum efx_rc efx_op_select_create(const struct efx_op_open *how, const struct efx_select_conf *conf,
                                 struct efx_op **out, struct efx_err *err) EFX_MUST_USE;

/* OUTPUT ALL|FIRST|LAST EVERY n EVENTS|d. Rows arrive as the target gets them (in.n_cols), with the
 * n_group columns of the group behind them; these do not pass on. */
struct efx_limit_conf {
    struct efx_op_in in;
    enum efx_ast_limiter kind;
    int64_t n; /* EVENTS; 0 = by time */
    int64_t every_ms;
    uint32_t n_group;
    const enum efx_type *group_types;
    bool keep_hidden; /* copy and birth pass on */
};
enum efx_rc efx_op_limit_create(const struct efx_op_open *how, const struct efx_limit_conf *conf,
                                struct efx_op **out) EFX_MUST_USE;

/* Joins of two sides. Inlet 0 left rows, inlet 1 right rows; a self join has one inlet, whose rows
 * take both roles (`self`). Out: left columns, then right columns (absent side NULL), kind CURRENT
 * or, if want_expired, EXPIRED; a set_end after the rows of each arriving event. With want_expired
 * every joined row is remembered until a member leaves its window (language §7, Removal). */
struct efx_join_side {
    struct efx_op_in in;
    const struct efx_window_vt *window; /* NULL: holds all, or (trigger_only) none */
    const void *window_conf;
    bool holds;                         /* keeps its events for the other side */
    bool triggers;                      /* its events give rows */
    bool outer;                         /* unmatched events of this side give a row with NULLs */
    const struct efx_expr *const *keys; /* [n_eq] over this side's row, of the common types */
    int64_t ttl_ms; /* windowless: dropped at ts + ttl (or WITHIN); -1 = never */
};
struct efx_join_conf {
    struct efx_join_side side[2];
    bool self;
    uint32_t n_eq;
    const enum efx_type *key_types;
    const struct efx_expr *residual; /* over left ++ right columns (no hidden); NULL = none */
    int64_t within_ms;               /* -1 = none */
    bool want_expired;
};
enum efx_rc efx_op_join_create(const struct efx_op_open *how, const struct efx_join_conf *conf,
                               struct efx_op **out, struct efx_err *err) EFX_MUST_USE;

/* A table in memory: one inlet and one outlet per statement that writes or reads it. A read is a
 * row passing through. Rows are enumerated in insertion order; an update keeps the place. */
enum efx_port_kind {
    EFX_PORT_INSERT = 1,
    EFX_PORT_UPSERT,
    EFX_PORT_UPDATE,
    EFX_PORT_DELETE,
    EFX_PORT_LOOKUP
};
struct efx_table_port {
    enum efx_port_kind kind;
    struct efx_op_in in; /* INSERT: the table's columns; UPSERT: the SELECT's; else the stream's */
    /* Which rows of the table: equality of table columns with keys, then `rest`. */
    uint32_t n_eq;
    const uint32_t *eq_cols;            /* [n_eq] columns of the table */
    const struct efx_expr *const *keys; /* [n_eq] over the row, of key_types */
    const enum efx_type *key_types; /* common type of both sides: LONG for INT against LONG … */
    const struct efx_expr *rest;    /* over row ++ table columns; NULL = none */
    /* UPDATE: sets[k] over row ++ table columns; UPSERT: over the row; column set_cols[k] gets
     * it. */
    uint32_t n_sets;
    const uint32_t *set_cols;
    const struct efx_expr *const *sets;
    /* UPSERT: [n_cols of the table] over the row: what is inserted if no row matches. */
    const struct efx_expr *const *insert;
    bool outer;       /* LOOKUP: LEFT: a row without partner gives one with NULLs */
    bool table_first; /* LOOKUP: table columns stand before the stream's */
};
struct efx_table_conf {
    const struct efx_bobject *object; /* schema and keys */
    uint32_t n_ports;
    const struct efx_table_port *ports;
};
enum efx_rc efx_op_table_create(const struct efx_op_open *how, const struct efx_table_conf *conf,
                                struct efx_op **out) EFX_MUST_USE;
/* What expressions and on-demand queries read. */
const struct efx_table_view *efx_op_table_view(const struct efx_op *table);
/* Firings of a trigger that trigger.max_catch_up left out. */
uint64_t efx_op_trigger_skipped(const struct efx_op *trigger);
/* Rows whose key exists already, dropped on insertion (`table.duplicates`). */
uint64_t efx_op_table_duplicates(const struct efx_op *table);
/* One statement at once, atomically, between two steps: on-demand INSERT, UPSERT, UPDATE, DELETE.
 * `port` as above; *n_changed rows; a data error undoes it: EFX_EDATA with its code in err. */
enum efx_rc efx_op_table_change(struct efx_op *table, const struct efx_table_port *port,
                                const struct efx_step *step, const struct efx_rows *rows,
                                uint64_t *n_changed, struct efx_err *err) EFX_MUST_USE;

/* A pattern: one inlet per stream. Out: one row a match, columns = outs. */
struct efx_pattern_conf {
    const struct efx_bpattern *pattern;
    uint32_t n_inputs;
    const struct efx_op_in *in; /* [n_inputs] */
    uint32_t n_outs;
    const struct efx_bx *const *outs; /* COL (src = element or SRC_KEY, index), ELEM_AGG, IS_BOUND,
                                         EVENT_TS of an element: what SELECT and WHERE look at */
    bool keep_hidden;
    bool expired;         /* ALL or EXPIRED: a started partial that dies by WITHIN gives a row */
    int64_t max_partials; /* pattern.max_partials */
};
enum efx_rc efx_op_pattern_create(const struct efx_op_open *how,
                                  const struct efx_pattern_conf *conf, struct efx_op **out,
                                  struct efx_err *err) EFX_MUST_USE;

/* PARTITION: inlet k = part k's stream; outlet k: its rows with copy id and birth behind. Rows of
 * streams used inside but not listed come by the inlets behind the parts' and go to all copies. */
struct efx_partition_part {
    struct efx_op_in in;
    uint32_t n_exprs; /* > 0: key; 0 and n_labels = 0: not listed, goes to all copies */
    const struct efx_expr *const *exprs;
    uint32_t n_labels;
    const struct efx_expr *const *conds;
    const struct efx_str *labels;
};
struct efx_partition_conf {
    uint32_t n_keys;
    const enum efx_type *key_types;
    uint32_t n_parts;
    const struct efx_partition_part *parts;
};
enum efx_rc efx_op_partition_create(const struct efx_op_open *how,
                                    const struct efx_partition_conf *conf,
                                    struct efx_op **out) EFX_MUST_USE;

/* The end of a statement's error edges: counts what failed and, where somebody reads it, makes a
 * row
 * of the fault stream (the event's columns, then _error) or of the DLQ stream. Out: such rows. */
enum efx_errors_to {
    EFX_ERRORS_TO_COUNT = 1,
    EFX_ERRORS_TO_FAULT,
    EFX_ERRORS_TO_DLQ,
    EFX_ERRORS_TO_STOP /* error.strategy = fail: EFX_EDATA ends the app */
};
struct efx_errors_conf {
    enum efx_errors_to to;
    const struct efx_bobject *stream; /* whose event failed */
    const uint32_t *cols; /* [stream n_cols] place of its columns in the failed row; EFX_NO_COL =
                             not there: NULL */
};
enum efx_rc efx_op_errors_create(const struct efx_op_open *how, const struct efx_errors_conf *conf,
                                 struct efx_op **out) EFX_MUST_USE;
/* "EFX-3101: …": the sentence of a data error's code. */
const char *efx_errors_text(uint16_t code);

/* A trigger: no inlet; out: (triggered_time LONG). */
struct efx_trigger_conf {
    enum efx_ast_trigger kind;
    int64_t every_ms;
    int64_t max_catch_up; /* trigger.max_catch_up */
};
enum efx_rc efx_op_trigger_create(const struct efx_op_open *how,
                                  const struct efx_trigger_conf *conf,
                                  struct efx_op **out) EFX_MUST_USE;

#endif /* EFX_OPS_H */
