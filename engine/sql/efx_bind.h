#ifndef EFX_BIND_H
#define EFX_BIND_H

#include "efx_ast.h"
#include "efx_func.h"
#include "efx_registry.h"

/* The bound program: names looked up, types known, options read, every check of the reference done.
 * The plan and the reference evaluator are both made of this, and of nothing earlier.
 *
 *   AST ── efx_bind_program ──► objects (streams, tables, windows, triggers; inner and fault
 *   streams)
 *                               statements in source order, PARTITION blocks flattened into them
 *
 *   Owner    the plan arena; immutable once bound
 *   Errors   into the diags, all that do not follow from earlier ones; EFX_ETYPE if there is one.
 *            What the language has and this build lacks: 9001 with its place, hint what to use
 *   Limits   EFX_STREAMS_MAX objects
 *   Source   language.md
 */

/* ---- expressions ---- */

enum efx_bx_op {
    EFX_BX_CONST = 1, /* lit */
    EFX_BX_COL,       /* src, col, index */
    EFX_BX_AGG,       /* col = number of the query's aggregate */
    EFX_BX_ELEM_AGG,  /* pattern: aggregate over one counted element: elem_agg */
    EFX_BX_IS_BOUND,  /* pattern: element src is bound (`e IS NULL` is NOT of it) */
    EFX_BX_CALL,      /* func; args are of the types that it asks for */
    EFX_BX_CAST,      /* args[0] to type, as CAST: NULL where it cannot be done; also widening */
    EFX_BX_NARROW,    /* args[0] to lower-ranked type on insertion: 3101 where it does not fit */
    EFX_BX_NEG,
    EFX_BX_ADD,
    EFX_BX_SUB,
    EFX_BX_MUL,
    EFX_BX_DIV,
    EFX_BX_MOD, /* args of `type`
                     (DIV: DOUBLE); INT and LONG wrap; zero divisor NULL */
    EFX_BX_CONCAT,
    EFX_BX_EQ,
    EFX_BX_NE,
    EFX_BX_LT,
    EFX_BX_LE,
    EFX_BX_GT,
    EFX_BX_GE,           /* both args of one type,
                     or one LONG and the other DOUBLE: compared exactly */
    EFX_BX_NOT_DISTINCT, /* IS NOT DISTINCT FROM, types as above; IS DISTINCT FROM is NOT of it */
    EFX_BX_AND,
    EFX_BX_OR,
    EFX_BX_NOT, /* AND, OR: n_args >= 2, from left to right, lazily */
    EFX_BX_IS_NULL,
    EFX_BX_IS_TRUE,
    EFX_BX_IS_FALSE, /* UNKNOWN is IS_NULL */
    EFX_BX_IN_LIST,  /* args[0] = any of args[1..]; each pair's types as for EQ; lazily */
    EFX_BX_IN_TABLE, /* args[0] IN table.col; types as for EQ; args[0] NULL gives NULL */
    EFX_BX_EXISTS,   /* (args[0]) IN table: args[0] mentions src EFX_BX_SRC_ROW, the table's row */
    EFX_BX_LIKE,
    EFX_BX_ILIKE,    /* args 0, 1; escape: code point, 0 = none */
    EFX_BX_REGEXP,   /* args 0, 1 */
    EFX_BX_CASE,     /* WHEN, THEN pairs, then ELSE (always there): n_args is odd; lazily */
    EFX_BX_COALESCE, /* lazily */
    EFX_BX_NOW,      /* the clock of the row's turn or timer */
    EFX_BX_EVENT_TS, /* timestamp of the row's event; pattern: of element src unless SRC_NONE */
    EFX_BX_UUID,     /* place: number of this call place in the program */
};

/* Where a column comes from. 0, 1 … are the query's inputs (a join's sides; UPDATE, DELETE, UPSERT
 * ON: 0 = the stream's or SELECT's row, 1 = the table's row) or a pattern's elements. */
enum {
    EFX_BX_SRC_CANDIDATE = 0xFFFF, /* pattern filter: the event that is being judged */
    EFX_BX_SRC_OUT = 0xFFFE,       /* the query's own output column (HAVING, ORDER BY, store) */
    EFX_BX_SRC_ROW = 0xFFFD,       /* the table's row inside EXISTS */
    EFX_BX_SRC_NONE = 0xFFFC,
    EFX_BX_SRC_KEY = 0xFFFB, /* a column of the pattern's PARTITION BY, by number */
};

struct efx_bx_index {
    enum efx_ast_index kind; /* NONE also for e.c of a counted element: its first event */
    uint32_t n;              /* e[n], e[last - n] */
};

struct efx_bx {
    enum efx_bx_op op;
    enum efx_type type; /* of the result */
    struct efx_span at;
    uint32_t n_args;
    struct efx_bx **args;
    struct efx_value lit;
    uint32_t src, col;
    struct efx_bx_index index;
    const struct efx_func *func;
    const struct efx_bobject *table; /* IN_TABLE, EXISTS */
    uint32_t escape;
    uint32_t place;
    struct efx_bagg *elem_agg; /* its arg mentions src EFX_BX_SRC_CANDIDATE: the collected event */
};

/* ---- objects ---- */

enum efx_bobject_kind {
    EFX_OBJ_STREAM = 1,
    EFX_OBJ_TABLE,
    EFX_OBJ_TRIGGER,
    EFX_OBJ_WINDOW,
};

enum efx_error_strategy { EFX_ERRORS_DROP = 1, EFX_ERRORS_RETRY, EFX_ERRORS_DLQ, EFX_ERRORS_FAIL };
enum efx_late_policy { EFX_LATE_KEEP = 1, EFX_LATE_DROP, EFX_LATE_DLQ };
enum efx_stream_role { EFX_ROLE_INTERNAL = 1, EFX_ROLE_SOURCE, EFX_ROLE_SINK };
enum efx_pressure {
    EFX_PRESSURE_BLOCK = 1,
    EFX_PRESSURE_BLOCK_TIMEOUT,
    EFX_PRESSURE_DROP_NEWEST,
    EFX_PRESSURE_DROP_OLDEST,
    EFX_PRESSURE_BACKOFF,
    EFX_PRESSURE_BREAKER,
    EFX_PRESSURE_FAIL
};

struct efx_stream_conf { /* WITH of a stream, language §18.1 */
    enum efx_stream_role role;
    const struct efx_plugin *connector; /* NULL = internal */
    void *connector_conf;               /* its conf struct, filled */
    const struct efx_plugin *format;    /* NULL = carries none */
    void *format_conf;
    const struct efx_ast_props *raw; /* as written, ${…} replaced: families like datagen.* */
    uint32_t event_time_col;         /* EFX_NO_COL = none */
    const char *event_time_format;   /* NULL = LONG column, or ISO text */
    int64_t watermark_delay_ms;      /* -1 = none */
    int64_t watermark_idle_ms;       /* -1 = none */
    enum efx_late_policy late;
    int64_t state_ttl_ms; /* -1 = none */
    enum efx_error_strategy errors;
    const struct efx_bobject *dlq;        /* error.dlq.stream */
    enum efx_error_strategy dlq_fallback; /* DROP = log */
    bool to_fault_stream;                 /* on.error = stream */
    const char *error_log_level;
    bool async;
    int64_t async_buffer;
    enum efx_pressure pressure;
    int64_t async_timeout_ms, async_max_delay_ms, async_failure_threshold, async_recovery_ms;
};

struct efx_bkey {         /* of a table */
    bool primary, unique; /* neither: INDEX */
    struct efx_conf_cols cols;
};

struct efx_btrigger {
    enum efx_ast_trigger kind;
    int64_t every_ms;
    uint32_t rank; /* among triggers, by definition */
};

struct efx_bobject {
    enum efx_bobject_kind kind;
    uint32_t id; /* place in program->objects; a step's stream number */
    struct efx_schema schema;
    bool declared;               /* else made by the first statement that writes it */
    struct efx_span at;          /* of the name in its definition */
    struct efx_stream_conf conf; /* STREAM */
    struct efx_bobject *fault;   /* STREAM, declared: its fault stream !name, if anybody reads it */
    struct efx_bobject
        *fault_of;      /* of a fault stream: the stream; its columns, then _error STRING */
    uint32_t partition; /* inner stream: number of its block; else EFX_NO_COL */
    struct efx_btrigger trigger; /* TRIGGER */
    uint32_t n_keys;             /* TABLE; the primary key, if any, is keys[0] */
    const struct efx_bkey *keys;
};

/* ---- queries ---- */

struct efx_bwindow {
    const struct efx_window_vt *vt; /* NULL = no window */
    const void *conf;
    bool has_origin; /* false with traits.needs_origin: the first row decides */
    struct efx_span at;
};

struct efx_binput {
    const struct efx_bobject *object;
    const char *alias; /* or the object's name */
    struct efx_bwindow window;
    bool unidirectional;
};

struct efx_bagg {
    const struct efx_agg_vt *vt; /* for the argument's type; DISTINCT count is distinctCount */
    struct efx_bx *arg;          /* NULL = count(*) */
    struct efx_bx *filter;       /* NULL = none */
    bool distinct;               /* sum, avg (DISTINCT x) */
    struct efx_span at;
};

struct efx_bout {
    const char *name;
    struct efx_bx *expr; /* over inputs, EFX_BX_AGG */
};

struct efx_border {
    struct efx_bx *expr; /* over inputs, aggregates, SRC_OUT */
    bool desc, nulls_first;
};

struct efx_btarget {
    const struct efx_bobject *object;
    /* [object->schema.n_cols] over SRC_OUT columns only: that column, widened or NARROWed, or NULL.
     * A NOT NULL column that gets NULL is a data error, 3102, checked by who writes. */
    struct efx_bx **store;
};

/* Pattern elements form a tree; only EVENT, CHAIN and EVERY are built today. */
struct efx_bpat {
    enum efx_ast_pat kind;
    struct efx_span at;
    uint32_t n_kids;
    struct efx_bpat **kids;
    uint32_t elem;         /* EVENT: number of the element, in order of the text; else EFX_NO_COL */
    uint32_t input;        /* EVENT, NOT: number of the query's input (one per stream) */
    struct efx_bx *filter; /* all conditions ANDed; over SRC_CANDIDATE and elements; NULL = none */
    uint32_t min, max;     /* EVENT; max UINT32_MAX = open */
    bool counted;          /* has a count */
    int64_t within_ms;     /* -1 = none; bound of the group */
    int64_t within_events; /* -1 = none */
    int64_t for_ms;        /* NOT … FOR; -1 = without */
};

struct efx_belem {
    const char *alias; /* or the stream's name; NULL if it occurs more than once without alias */
    uint32_t input;
    bool counted;
};

struct efx_bpattern {
    bool sequence;
    bool skip_past_last_row;
    struct efx_bpat *root;
    int64_t within_ms, within_events; /* of the whole; -1 = none */
    uint32_t n_elems;
    const struct efx_belem *elems;
    uint32_t n_keys;                /* PARTITION BY */
    struct efx_conf_cols *key_cols; /* [n_inputs], n_keys each */
    const enum efx_type *key_types; /* [n_keys] common types */
};

enum efx_bstmt_kind {
    EFX_STMT_SINGLE = 1, /* one stream, trigger or named window */
    EFX_STMT_JOIN,
    EFX_STMT_PATTERN,
    EFX_STMT_UPDATE, /* inputs[0] = stream; where: over 0 and 1 (table); sets */
    EFX_STMT_DELETE,
};

struct efx_bset { /* UPDATE … SET */
    uint32_t col;
    struct efx_bx *value; /* of the column's type (widened, NARROWed), over 0 and 1 */
};

struct efx_bstmt {
    enum efx_bstmt_kind kind;
    uint32_t id; /* number in source order: rank of its timers follows from it */
    struct efx_span at;
    const char *name;   /* "q3: INSERT INTO Out", for EXPLAIN and messages */
    uint32_t partition; /* number of its block; EFX_NO_COL = none */
    uint32_t n_inputs;
    struct efx_binput *inputs;

    /* JOIN of inputs 0 and 1 */
    enum efx_ast_join join;
    struct efx_bx *on; /* USING included; NULL = every pair */
    int64_t within_ms; /* -1 = none */
    struct efx_bpattern *pattern;

    struct efx_bx *where; /* SINGLE: before the window; else on joined rows, matches */
    uint32_t n_group;
    struct efx_bx **group;
    uint32_t n_aggs;
    struct efx_bagg *aggs;
    uint32_t n_out;
    struct efx_bout *out;
    struct efx_bx *having;
    uint32_t n_order;
    struct efx_border *order;
    int64_t limit, offset;        /* -1 = no limit; 0 */
    bool current, expired;        /* kinds that are output */
    struct efx_ast_output output; /* limiter */
    struct efx_btarget target;    /* object NULL: on demand */

    bool upsert;              /* target.object is a table; ON below */
    struct efx_bx *upsert_on; /* over 0 = SRC_OUT columns as src 0, 1 = the table's row */
    const bool *upsert_sets;  /* [n_cols of the table] which columns an existing row gets */
    uint32_t n_sets;          /* UPDATE */
    struct efx_bset *sets;
};

/* ---- partitions ---- */

struct efx_bpart { /* one stream's way to its keys */
    const struct efx_bobject *stream;
    uint32_t n_exprs;      /* > 0: the key */
    struct efx_bx **exprs; /* over src 0, cast to the block's common key types */
    uint32_t n_labels;     /* > 0: ranges; the key is the label */
    struct efx_bx **conds;
    const struct efx_str *labels;
};

struct efx_bpartition {
    uint32_t n_parts;
    struct efx_bpart *parts; /* a stream listed twice with expressions is one part; several label
                                lists of one stream stay several parts */
    uint32_t n_keys;         /* columns of a key */
    const enum efx_type *key_types;
    int64_t purge_idle_ms; /* -1 = never */
    int64_t purge_interval_ms;
    uint32_t first_stmt, n_stmts;
    struct efx_span at;
};

struct efx_program {
    struct efx_str text;
    uint32_t n_objects;
    struct efx_bobject **objects;
    uint32_t n_stmts;
    struct efx_bstmt **stmts;
    uint32_t n_partitions;
    struct efx_bpartition *partitions;
    uint32_t n_places; /* of uuid() */
    bool event_time;   /* some stream has event.time: the virtual clock is the default */
};

/* EFX_ETYPE if diags got an error. `env` looks up ${VAR}; NULL = getenv. */
enum efx_rc efx_bind_program(struct efx_arena *plan, const struct efx_registry *registry,
                             const struct efx_ast *ast, struct efx_diags *diags,
                             const char *(*env)(const char *),
                             struct efx_program **out) EFX_MUST_USE;

/* On-demand statements over a bound program (language §12). SELECT: kind SINGLE (or JOIN) over
 * tables, target.object NULL. UPDATE and DELETE: n_inputs 0, src 1 = the table's row. Values: rows
 * of constants in out, n_value_rows of them. */
struct efx_bondemand {
    struct efx_bstmt *stmt;
    uint32_t n_value_rows;
    struct efx_bx ***values; /* [n_value_rows][target n_cols], constants of the column types */
    bool distinct;           /* SELECT DISTINCT */
    uint32_t n_uses;         /* tables that it reads or changes, perhaps one of them twice */
    const struct efx_bobject **uses;
};
enum efx_rc efx_bind_on_demand(struct efx_arena *arena, const struct efx_registry *registry,
                               const struct efx_program *program, const struct efx_ast_stmt *stmt,
                               struct efx_diags *diags, struct efx_bondemand **out) EFX_MUST_USE;

#endif /* EFX_BIND_H */
