#ifndef EFX_EFX_H
#define EFX_EFX_H

/* efx: SQL in, matched events out, inside your process.
 *
 *   struct efx *app;
 *   struct efx_options o = EFX_OPTIONS_INIT;
 *   efx_open(&app, "CREATE STREAM S (a STRING, v INT); INSERT INTO Out SELECT a, v FROM S WHERE v
 *   > 9;",
 *            &o, NULL);
 *   efx_on(app, "Out", print, NULL);
 *   efx_start(app, NULL);
 *   efx_send(app, "S", 1000, (efx_val[]){EFX_STR("x"), EFX_INT(12)}, 2);
 *   efx_close(&app);
 *
 *   Owner    values and rows given to you are borrowed for the call; what you give is copied before
 *            the call returns
 *   Threads  one app: efx_send and the other calls that change it from one thread at a time (the
 *            library locks, so several are safe but take turns); callbacks come on the thread that
 *            runs the shard, one at a time for one app
 *   Errors   functions return EFX_RC_OK or a negative code and, if asked, fill *err; EFX_RC_DATA:
 *   the
 *            event was a data error, counted, the app goes on
 *   Order    open → on → start → send … → finish → close
 *   ABI      option structs carry their size: a newer library takes an older caller's
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EFX_API __attribute__((visibility("default")))
#else
#define EFX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct efx;

enum efx_code {
    EFX_RC_OK = 0,
    EFX_RC_SQL = -1,
    EFX_RC_USE = -2,
    EFX_RC_DATA = -3,
    EFX_RC_MEMORY = -4,
    EFX_RC_ENV = -5,
    EFX_RC_BUG = -9
};

struct efx_error {
    enum efx_code code;
    uint16_t efx; /* nnnn of EFX-nnnn; 0 = none */
    char msg[512];
};

/* ---- values ---- */

enum efx_val_type {
    EFX_VAL_INT = 1,
    EFX_VAL_LONG,
    EFX_VAL_FLOAT,
    EFX_VAL_DOUBLE,
    EFX_VAL_BOOL,
    EFX_VAL_STRING,
    EFX_VAL_BYTES,
    EFX_VAL_OBJECT
};

typedef struct efx_val {
    enum efx_val_type type;
    bool null;
    union {
        int32_t i;
        int64_t l;
        float f;
        double d;
        bool b;
        struct {
            const char *p; /* not NUL-terminated */
            size_t n;
        } s;
    } u;
} efx_val;

#define EFX_INT(v)    ((efx_val){.type = EFX_VAL_INT, .u = {.i = (v)}})
#define EFX_LONG(v)   ((efx_val){.type = EFX_VAL_LONG, .u = {.l = (v)}})
#define EFX_DOUBLE(v) ((efx_val){.type = EFX_VAL_DOUBLE, .u = {.d = (v)}})
#define EFX_BOOL(v)   ((efx_val){.type = EFX_VAL_BOOL, .u = {.b = (v)}})
#define EFX_STR(z)    ((efx_val){.type = EFX_VAL_STRING, .u = {.s = {(z), sizeof(z) - 1}}})
#define EFX_NULL      ((efx_val){.null = true, .type = EFX_VAL_INT})

#define EFX_NO_TS INT64_MIN /* nobody gave a timestamp: the clock's present value */

/* ---- open ---- */

enum efx_clock { EFX_CLOCK_AUTO = 0, EFX_CLOCK_SYSTEM, EFX_CLOCK_VIRTUAL };

struct efx_options {
    size_t size;          /* sizeof(struct efx_options) */
    const char *file;     /* name of the program in messages */
    enum efx_clock clock; /* AUTO: virtual if a stream has event.time */
    uint32_t shards;      /* 0: one per core */
    uint32_t max_batch;   /* events a step, 1 .. 4096; 0: 4096. Never changes results */
    uint64_t seed;        /* of uuid(); 0: random */
    bool ordered;         /* callbacks of all streams come in one order, that of the rows' causes */
    uint64_t state_max_bytes; /* 0: three quarters of the memory the process may use */
    int64_t max_partials, max_catch_up, loop_max_rows; /* 0: the defaults */
};
#define EFX_OPTIONS_INIT                                                                           \
    {                                                                                              \
        .size = sizeof(struct efx_options), .file = "app.sql"                                      \
    }

/* EFX_RC_SQL: the program is wrong; *err has the first message, efx_messages all of them. `*app`
 * is made even then, for efx_messages; close it. Warnings do not fail. */
EFX_API enum efx_code efx_open(struct efx **app, const char *sql, const struct efx_options *options,
                               struct efx_error *err);
/* Messages of the compiler with carets, errors first, as text or as the JSON of `efx check`;
 * owned by the app. */
EFX_API const char *efx_messages(const struct efx *app);
EFX_API const char *efx_check_json(const struct efx *app);
EFX_API bool efx_has_errors(const struct efx *app);
/* The plan: operators, keys, placing, merge or row mode and why; owned by the app. With `analyze`
 * also rows and time so far. */
EFX_API const char *efx_explain(struct efx *app, bool json, bool analyze);
/* The same as a graph for dot. */
EFX_API const char *efx_explain_dot(struct efx *app, bool analyze);
EFX_API void efx_close(struct efx **app);

/* ---- streams ---- */

struct efx_column {
    const char *name;
    enum efx_val_type type;
};
struct efx_stream {
    const char *name;
    uint32_t n_columns;
    const struct efx_column *columns;
    bool is_table, is_input, is_derived; /* takes events from outside; written by queries */
};
EFX_API uint32_t efx_n_streams(const struct efx *app);
EFX_API const struct efx_stream *efx_stream_at(const struct efx *app, uint32_t i);
EFX_API const struct efx_stream *efx_stream_named(const struct efx *app, const char *name);

/* ---- events out ---- */

struct efx_row {
    const struct efx_stream *stream;
    int64_t ts_ms;
    bool expired;
    const efx_val *values; /* [stream->n_columns] */
};
typedef void (*efx_row_fn)(void *arg, const struct efx_row *row);
/* Each row of a stream; before efx_start. */
EFX_API enum efx_code efx_on(struct efx *app, const char *stream, efx_row_fn fn, void *arg);

/* Rows as columns, up to 4,096 a call: the fast door. data[k] holds n slots of the column's C type
 * (BOOL: uint8_t; STRING, BYTES, OBJECT: struct efx_cell_view); valid[k]: bit i = not NULL, NULL
 * = no NULLs; sel: bit i = the row is there, NULL = all are. */
struct efx_cell_view { /* 16 bytes: up to 12 lie inside */
    uint32_t len;
    uint8_t head[4];
    union {
        uint8_t tail[8];
        const uint8_t *ptr;
    } u;
};
struct efx_columns {
    uint32_t n_rows;
    const void *const *data;
    const uint64_t *const *valid;
    const uint64_t *sel;
    const int64_t *ts_ms;
    const uint8_t *expired; /* NULL = none is */
};
typedef void (*efx_columns_fn)(void *arg, const struct efx_stream *stream,
                               const struct efx_columns *rows);
EFX_API enum efx_code efx_on_columns(struct efx *app, const char *stream, efx_columns_fn fn,
                                     void *arg);

/* ---- events in ---- */

EFX_API enum efx_code efx_start(struct efx *app, struct efx_error *err);
/* One event; ts_ms may be EFX_NO_TS. Numbers are converted to the columns' types as far as they
 * fit. Events gather until the step is full or efx_flush; results come at the latest then. */
EFX_API enum efx_code efx_send(struct efx *app, const char *stream, int64_t ts_ms,
                               const efx_val *values, uint32_t n);
/* n rows as columns of the stream's types, as arrival order; ts_ms NULL = nobody gave any. Runs
 * what can be run before it returns; the columns are not used afterwards. */
EFX_API enum efx_code efx_send_columns(struct efx *app, const char *stream, uint32_t n,
                                       const void *const *data, const uint64_t *const *valid,
                                       const int64_t *ts_ms);
/* Virtual clock: time goes on. System clock: looks at the time and fires what is due. */
EFX_API enum efx_code efx_advance(struct efx *app, int64_t by_ms);
/* Everything sent is processed when this returns, but for events held for a watermark. */
EFX_API enum efx_code efx_flush(struct efx *app);
/* The input has ended: held events are released, the virtual clock runs on by drain_ms, limiters
 * release what they hold. */
EFX_API enum efx_code efx_finish(struct efx *app, int64_t drain_ms);
/* Why the app stopped by itself (error.strategy = fail, out of state memory); EFX_RC_OK = it
 * runs. */
EFX_API enum efx_code efx_status(const struct efx *app, struct efx_error *err);

/* ---- tables, state ---- */

/* An on-demand query (language §12), between two steps. SELECT: fn gets every row; a change:
 * *changed rows. */
EFX_API enum efx_code efx_query(struct efx *app, const char *sql, efx_row_fn fn, void *arg,
                                uint64_t *changed, struct efx_error *err);

/* Everything the app knows, as bytes; and back into an app opened with the same program, on any
 * number
 * of shards, before its first event. `base` false: only what changed since the last save; then
 * efx_load takes the whole chain, oldest first. Free with efx_free. */
EFX_API enum efx_code efx_save(struct efx *app, bool base, void **bytes, size_t *n,
                               struct efx_error *err);
EFX_API enum efx_code efx_load(struct efx *app, const void *const *bytes, const size_t *n,
                               uint32_t n_chain, struct efx_error *err);
EFX_API void efx_free(void *bytes, size_t n);

/* ---- checkpoints ---- */

struct efx_persist_options {
    size_t size;         /* sizeof(struct efx_persist_options) */
    const char *url;     /* dir:PATH, sqlite:FILE, redis://HOST:PORT/DB, memory: */
    const char *name;    /* of the app in that store; NULL: "app" */
    const char *restore; /* last, none, compatible, or a revision; NULL: last */
    uint32_t retain;     /* checkpoints that are kept; 0: 10 */
    bool lose_committed; /* a revision even if something later was promised */
};
#define EFX_PERSIST_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(struct efx_persist_options)                                                 \
    }

/* After efx_start, before the first event: opens the store and goes on from what it has. A
 * checkpoint that is damaged or of another program is an error that names it, never an empty
 * start; EFX_RC_SQL: of another program (`compatible` takes what fits). */
EFX_API enum efx_code efx_persist_open(struct efx *app, const struct efx_persist_options *options,
                                       struct efx_error *err);
/* What was given to the efx_persist that was restored: how far your input had come. NULL: started
 * anew. Owned by the app. */
EFX_API const void *efx_restored(const struct efx *app, size_t *n);
/* A checkpoint of everything sent so far; when this returns it stands, or *err says why not and
 * nothing is lost: the next one has it. `position` is yours to say how far the input has come, up
 * to 64 KiB. The first is whole, later ones hold what changed. Other threads may send meanwhile,
 * but for the moment of the mark. */
EFX_API enum efx_code efx_persist(struct efx *app, const void *position, size_t n,
                                  struct efx_error *err);

/* ---- numbers ---- */

struct efx_count {
    const char *stream; /* NULL: concerns none */
    const char *name;   /* "rows_in", "rows_out", "EFX-3101", "late", "table.duplicates" … */
    uint64_t n;
};
/* Fills up to max; returns how many there are. */
EFX_API uint32_t efx_counts(struct efx *app, struct efx_count *out, uint32_t max);
EFX_API size_t efx_state_bytes(struct efx *app, size_t *peak);
EFX_API const char *efx_version(void);

#ifdef __cplusplus
}
#endif

#endif /* EFX_EFX_H */
