#ifndef REF_H
#define REF_H

#include "efx_moment.h"
#include "efx_reference.h"

/* Inside of the reference evaluator.
 *
 *   efx_reference        the clock, tables, streams, keys of the PARTITION blocks
 *     ref_key            one key of a block; `root` stands for everything outside of blocks
 *       ref_copy         one query's state in one key: windows, groups, matches, limiter
 *
 * A file a concern: ref_run (clock, timers, delivery), ref_expr, ref_select (groups, aggregates,
 * rows), ref_window, ref_join, ref_pattern, ref_table, ref_limit, ref_error.
 *
 *   Owner  one arena, freed at the end; lists leave their old arrays behind in it
 */
struct ref_list { /* of pointers, in order */
    void **v;
    uint32_t n, cap;
};

struct ref_event { /* a row: of a stream, or of a table; never changed once made */
    int64_t ts_ms;
    uint64_t no; /* number of its making: order of arrival */
    const struct efx_value *v;
};

/* What an expression looks at. A source that is not there reads as NULL. */
struct ref_env {
    struct efx_reference *r;
    const struct ref_event *input[2];  /* a join's sides; UPDATE, DELETE: event and table row */
    const struct efx_value *aggs;      /* of the query, by number */
    const struct efx_value *out;       /* SRC_OUT */
    const struct efx_value *key;       /* SRC_KEY */
    const struct ref_event *table_row; /* SRC_ROW */
    const struct ref_event *candidate; /* SRC_CANDIDATE */
    const struct ref_list *elems;      /* pattern: events of each element, else NULL */
    int64_t ts_ms;                     /* eventTimestamp() */
    uint16_t error;                    /* first data error met; 0 = none */
};

/* One event, joined row or match in the selector: what it brought into the aggregates. */
struct ref_entry {
    const struct ref_event *input[2];
    const struct ref_list *elems; /* of a match */
    const struct efx_value *key;  /* of a pattern's PARTITION BY */
    int64_t ts_ms;                /* of a current row made for it */
    struct ref_group *group;
    struct efx_value *args; /* [n_aggs]; NULL values also where FILTER was not met */
    bool *counts;           /* [n_aggs] FILTER was met */
    bool arg_failed;
    const struct ref_event *cause; /* whose columns a fault stream gets; NULL = a timer's */
    const struct efx_bobject *cause_object;
};

struct ref_group {
    const struct efx_value *key; /* [n_group] */
    struct ref_list in;          /* entries in the aggregates, in order of entry */
    int64_t last_ms;             /* of its last event, for state.ttl */
    /* limiters */
    uint64_t passed;   /* FIRST … EVENTS: rows so far */
    int64_t passed_ms; /* FIRST … d: clock when one passed; EFX_TS_NONE = never */
};

struct ref_row { /* an output row between selector and target */
    bool expired;
    int64_t ts_ms;
    const struct efx_value *out;   /* [n_out] */
    const struct efx_value *order; /* [n_order] */
    struct ref_entry *entry;
};

enum ref_window_kind {
    REF_WINDOW_NONE = 1,
    REF_WINDOW_LENGTH,
    REF_WINDOW_TIME,
    REF_WINDOW_LENGTH_BATCH,
    REF_WINDOW_TIME_BATCH,
    REF_WINDOW_SESSION,
};

struct ref_held { /* an event in a window */
    const struct ref_event *event;
    struct ref_entry *entry;     /* SINGLE: made on arrival; joins: NULL */
    const struct efx_value *key; /* sessions */
};

struct ref_session {
    struct ref_list held; /* in order of arrival */
    const struct efx_value *key;
    int64_t first_ms, last_ms; /* timestamps */
};

struct ref_window {
    enum ref_window_kind kind;
    int64_t n;    /* length, lengthBatch */
    int64_t d_ms; /* time, timeBatch; the gap of a session */
    int64_t latency_ms;
    int64_t origin_ms; /* EFX_TS_NONE = the first event of the query decides */
    struct efx_conf_cols key_cols;
    struct ref_list held; /* sliding: the content; batch: the open batch */
    struct ref_list last; /* batch: the completed one */
    struct ref_list sessions;
    int64_t due_ms; /* timeBatch: next boundary while something is held */
};

/* What a window does: events enter and leave one by one, or a flush. */
enum ref_act_kind { REF_ACT_IN = 1, REF_ACT_OUT, REF_ACT_FLUSH, REF_ACT_SESSION };
struct ref_act {
    enum ref_act_kind kind;
    struct ref_held *held; /* IN, OUT */
    struct ref_list old;   /* FLUSH: the previous batch */
    struct ref_list batch; /* FLUSH, SESSION */
};

struct ref_partial {
    struct ref_list *elems; /* [n_elems] events bound */
    uint32_t at;            /* element that collects */
};

struct ref_machine { /* a pattern, for one key of its PARTITION BY */
    const struct efx_value *key;
    struct ref_list partials; /* oldest first */
    uint64_t n_events;        /* on the streams named, so far */
};

struct ref_copy {
    struct efx_reference *r;
    const struct efx_bstmt *q;
    struct ref_key *key;
    struct ref_list groups; /* in order of creation, never forgotten */
    struct ref_window window[2];
    struct ref_list side[2];  /* joins: events that a windowless side holds */
    struct ref_list joined;   /* joins: entries in the aggregates, in order of entry */
    struct ref_list machines; /* patterns */
    int64_t origin_ms;        /* of its windows without one; EFX_TS_NONE = undecided */
    /* limiter */
    struct ref_list held_rows;
    uint64_t n_rows;
    int64_t passed_ms;
};

struct ref_stream {
    bool busy; /* a row is being delivered */
    struct ref_list waiting;
};

struct ref_key {
    uint32_t no; /* of its creation */
    const struct efx_value *v;
    struct ref_copy **copies;   /* [n_stmts], NULL = not of this block */
    struct ref_stream *streams; /* [n_objects]: inner streams (root: all) */
    int64_t last_ms;            /* clock at its last own event */
};

struct ref_pattern_plan; /* ref_pattern.c */

struct efx_reference {
    struct efx_arena arena;
    const struct efx_program *p;
    int64_t clock_ms;
    int64_t start_ms; /* the clock's first value */
    bool started;
    uint32_t rank;     /* of the timer that is firing; UINT32_MAX = an event is on its way */
    uint32_t rank_key; /* and its key's number */
    uint32_t n_keys;
    uint64_t n_made; /* events so far */
    uint64_t turn;
    uint64_t looped;         /* rows that waited, for the present cause */
    struct ref_list *tables; /* [n_objects] of struct ref_event */
    bool *written;           /* [n_objects] some query writes it, or it is a fault stream */
    struct ref_key *root;
    struct ref_list *keys;              /* [n_partitions] */
    struct ref_pattern_plan **patterns; /* [n_stmts] */
    int64_t *trigger_due;               /* [n_objects] */
    int64_t *watermark; /* [n_objects]: greatest timestamp; EFX_TS_NONE = no event yet */
    bool has_delay;
    struct ref_list held;  /* by timestamp, ties by arrival */
    struct ref_list early; /* of streams without delay, before the clock started */
    struct efx_reference_row *rows;
    uint32_t n_rows, cap_rows;
    uint64_t n_errors, n_duplicates;
};

/* ---- memory ---- */
void *ref_alloc(struct efx_reference *r, size_t n, size_t bytes); /* zeroed; never NULL */
#define REF_NEW(r, T)      ((T *)ref_alloc((r), 1, sizeof(T)))
#define REF_NEW_N(r, T, n) ((T *)ref_alloc((r), (n), sizeof(T)))
void ref_list_add(struct efx_reference *r, struct ref_list *l, void *item);
void ref_list_insert(struct efx_reference *r, struct ref_list *l, uint32_t at, void *item);
void ref_list_remove(struct ref_list *l, uint32_t at);
bool ref_list_drop(struct ref_list *l, const void *item); /* false = is not in it */
struct ref_list ref_list_copy(struct efx_reference *r, const struct ref_list *l);
const struct ref_event *ref_event_make(struct efx_reference *r, int64_t ts_ms,
                                       const struct efx_value *v);

/* ---- expressions ---- */
struct efx_value ref_eval(struct ref_env *env, const struct efx_bx *bx);
/* TRUE; NULL bx is TRUE. */
bool ref_eval_true(struct ref_env *env, const struct efx_bx *bx);
/* NULL as an ordinary value. */
bool ref_same(const struct efx_value *a, const struct efx_value *b);
bool ref_same_all(const struct efx_value *a, const struct efx_value *b, uint32_t n);
/* Aggregate over n argument values (those that count), in order; 0 or a data error. */
uint16_t ref_aggregate(struct efx_reference *r, const struct efx_bagg *agg,
                       const struct efx_value *args, uint32_t n, struct efx_value *out);

/* ---- selector ---- */
/* The entry of an event, joined row or match: its group and arguments. NULL: the group key failed
 * and the error was raised. `like` gives input, elems, key, ts_ms and cause. */
struct ref_entry *ref_entry_make(struct ref_copy *c, const struct ref_entry *like);
void ref_entry_in(struct ref_copy *c, struct ref_entry *e);
void ref_entry_out(struct ref_copy *c, struct ref_entry *e);
struct ref_env ref_entry_env(struct ref_copy *c, const struct ref_entry *e);
/* Adds the row of one entry to `rows`, aggregates as they are; nothing if its kind is not asked
 * for, HAVING is not met or something fails. */
void ref_row_make(struct ref_copy *c, struct ref_entry *e, bool expired, int64_t ts_ms,
                  struct ref_list *rows);
/* Rows of a flush's part (language §3.5); entries are in the aggregates, or all taken out. */
void ref_part_make(struct ref_copy *c, const struct ref_list *entries, bool expired,
                   struct ref_list *rows);
/* ORDER BY, OFFSET, LIMIT on rows from `from` on: one row set. */
void ref_row_set(struct ref_copy *c, struct ref_list *rows, uint32_t from);
/* One event of a SINGLE statement; what its window does at `due`. */
void ref_single(struct ref_copy *c, const struct ref_event *event);
void ref_single_fire(struct ref_copy *c);

/* ---- windows ---- */
/* false: the kind is not known here. */
bool ref_window_init(struct ref_window *w, const struct efx_bwindow *bound);
bool ref_window_is_batch(const struct ref_window *w);
void ref_window_arrive(struct ref_copy *c, struct ref_window *w, struct ref_held *h,
                       struct ref_list *acts);
int64_t ref_window_due(const struct ref_window *w);
/* What is due at the clock. */
void ref_window_fire(struct ref_copy *c, struct ref_window *w, struct ref_list *acts);
/* What joins see. */
struct ref_list ref_window_content(struct efx_reference *r, const struct ref_window *w);

/* ---- joins, patterns, tables, limiters, errors ---- */
void ref_join(struct ref_copy *c, const struct efx_bobject *object, const struct ref_event *event);
void ref_join_fire(struct ref_copy *c);
/* NULL: not known here, *why says what. */
struct ref_pattern_plan *ref_pattern_plan_make(struct efx_reference *r, const struct efx_bstmt *q,
                                               const char **why);
void ref_pattern_start(struct ref_copy *c);
void ref_pattern(struct ref_copy *c, const struct efx_bobject *object,
                 const struct ref_event *event);
int64_t ref_pattern_due(const struct ref_copy *c);
void ref_pattern_fire(struct ref_copy *c);
/* Values in the table's columns as they go in; 0, or the data error. */
uint16_t ref_table_insert(struct efx_reference *r, const struct efx_bobject *t,
                          const struct efx_value *v);
uint16_t ref_table_upsert(struct ref_copy *c, const struct ref_row *row, const struct efx_value *v);
void ref_table_change(struct ref_copy *c, const struct ref_event *event); /* UPDATE, DELETE */
/* Rows that passed the selector go through the limiter to the target, one by one. */
void ref_rows_pass(struct ref_copy *c, const struct ref_list *rows);
void ref_row_to_target(struct ref_copy *c, const struct ref_row *row);
int64_t ref_limit_due(const struct ref_copy *c);
void ref_limit_fire(struct ref_copy *c);   /* a tick */
void ref_limit_finish(struct ref_copy *c); /* ALL and LAST release */
/* A data error of `event` of `object`; event NULL: a timer's row. */
void ref_data_error(struct efx_reference *r, const struct efx_bobject *object,
                    const struct ref_event *event, uint16_t code);

/* ---- delivery ---- */
void ref_publish(struct efx_reference *r, struct ref_key *key, const struct efx_bobject *object,
                 bool expired, const struct ref_event *event);
uint32_t ref_rank(const struct efx_bstmt *q, uint32_t of);
/* Has this timer of the copy had its turn at the present clock? */
bool ref_timer_passed(const struct ref_copy *c, uint32_t of);

#endif /* REF_H */
