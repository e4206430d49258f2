#ifndef EFX_AST_H
#define EFX_AST_H

#include "efx_diag.h"

/* The program as it was written: one node a construct, with its place. Names are not looked up and
 * types not known here; the binder (efx_bind.h) does both.
 *
 *   Owner   the arena of the parse; names are NUL-terminated copies without their quotes
 *   Source  language.md, appendix A; forms that the text refuses with a code of their own are
 *           reported by the parser where it meets them
 */
struct efx_ast_expr;
struct efx_ast_select;

struct efx_ast_name {
    const char *s; /* NULL = is not there; '#x' and '!x' keep their sign */
    struct efx_span at;
};

struct efx_ast_names { /* also column lists */
    uint32_t n;
    struct efx_ast_name *v;
};

/* ---- expressions ---- */

enum efx_ast_op {
    EFX_AST_LITERAL = 1, /* lit */
    EFX_AST_REF,         /* [qualifier [index] .] name */
    EFX_AST_STAR,        /* argument of count(*) */
    EFX_AST_NEG,
    EFX_AST_POS,
    EFX_AST_NOT, /* args[0] */
    EFX_AST_ADD,
    EFX_AST_SUB,
    EFX_AST_MUL,
    EFX_AST_DIV,
    EFX_AST_MOD,
    EFX_AST_CONCAT,
    EFX_AST_EQ,
    EFX_AST_NE,
    EFX_AST_LT,
    EFX_AST_LE,
    EFX_AST_GT,
    EFX_AST_GE,
    EFX_AST_AND,
    EFX_AST_OR,
    EFX_AST_IS,       /* args[0] IS [NOT] `is`; DISTINCT: args[1] too */
    EFX_AST_BETWEEN,  /* args 0..2, negated */
    EFX_AST_IN_LIST,  /* args[0] IN (args[1..]), negated */
    EFX_AST_IN_TABLE, /* args[0] IN table [. column], negated; x CONTAINS IN t likewise */
    EFX_AST_LIKE,
    EFX_AST_ILIKE,   /* args 0, 1 and escape (args[2], a literal, if n_args = 3) */
    EFX_AST_REGEXP,  /* args 0, 1 */
    EFX_AST_CASE,    /* [subject] in args[0] if has_subject, then WHEN, THEN pairs, [ELSE] */
    EFX_AST_CAST,    /* args[0], type; x::type and CAST(x AS type) */
    EFX_AST_CALL,    /* name, args, distinct, filter */
    EFX_AST_EXTRACT, /* name = unit, args[0] */
    EFX_AST_TRIM,    /* name = BOTH, LEADING, TRAILING; args[0] = s, args[1] = characters */
    /* SUBSTRING(s FROM a FOR n) and POSITION(t IN s) are calls. */
};

enum efx_ast_is {
    EFX_AST_IS_NULL = 1,
    EFX_AST_IS_TRUE,
    EFX_AST_IS_FALSE,
    EFX_AST_IS_UNKNOWN,
    EFX_AST_IS_DISTINCT
};

enum efx_ast_lit {
    EFX_AST_LIT_STRING = 1,
    EFX_AST_LIT_INT,
    EFX_AST_LIT_DOUBLE,
    EFX_AST_LIT_BOOL,
    EFX_AST_LIT_NULL,
    EFX_AST_LIT_INTERVAL /* i = ms */
};

enum efx_ast_index {
    EFX_AST_INDEX_NONE = 0,
    EFX_AST_INDEX_AT /* [i] */,
    EFX_AST_INDEX_LAST /* [last - i] */
};

struct efx_ast_type { /* as written: the binder maps the name (language §2.1) */
    const char *name; /* words joined by one space, upper case */
    bool has_args;    /* (n) or (p, s) */
    struct efx_span at;
};

/* A tree is at most this high: 200 levels of nesting, and chains (a + b + …) on top of them. Chains
 * of AND and OR are balanced, as their order of evaluation allows. */
enum { EFX_AST_NESTING_MAX = 200, EFX_AST_HEIGHT_MAX = 1000 };

struct efx_ast_expr {
    enum efx_ast_op op;
    struct efx_span at;    /* the whole expression */
    struct efx_span op_at; /* the operator's or function's own place */
    uint32_t n_args;
    struct efx_ast_expr **args;
    bool negated;                /* NOT IN, NOT LIKE, IS NOT … */
    bool has_else;               /* CASE */
    bool has_subject;            /* CASE x */
    bool distinct;               /* f(DISTINCT …) */
    bool parens;                 /* written in parentheses */
    uint16_t height;             /* of the tree below, this node included */
    struct efx_ast_expr *filter; /* FILTER (WHERE …) */
    enum efx_ast_is is;
    enum efx_ast_lit lit;
    struct efx_str str; /* LIT_STRING */
    int64_t i;          /* LIT_INT (see big), LIT_BOOL, LIT_INTERVAL */
    double d;           /* LIT_DOUBLE */
    enum efx_ast_index index_kind;
    uint32_t index;
    struct efx_ast_name qualifier; /* REF */
    struct efx_ast_name name;      /* REF column; CALL, EXTRACT unit, TRIM side; IN_TABLE table */
    struct efx_ast_name column;    /* IN_TABLE t.c */
    struct efx_ast_type type;      /* CAST */
};

/* A duration as written: ms > 0. bare = an integer without unit (warning EFX-2401). */
struct efx_ast_duration {
    bool there;
    bool bare;
    int64_t ms;
    struct efx_span at;
};

/* ---- WITH (key = value) ---- */

struct efx_ast_prop {
    const char *key;
    struct efx_str value; /* text, ${…} not replaced yet */
    struct efx_span key_at, value_at;
};

struct efx_ast_props {
    uint32_t n;
    struct efx_ast_prop *v;
    struct efx_span at;
};

/* ---- windows ---- */

struct
    efx_ast_arg { /* of a window: a duration (also bare integers: both filled) or an expression */
    struct efx_ast_duration duration; /* .there if it can be read as one */
    struct efx_ast_expr *expr;        /* NULL if it can only be a duration (5 SEC) */
    struct efx_span at;
};

struct efx_ast_window {
    const char *kind; /* as written; NULL = no window */
    uint32_t n_args;
    struct efx_ast_arg *args;
    struct efx_span at, kind_at;
};

/* ---- patterns ---- */

enum efx_ast_pat {
    EFX_AST_PAT_EVENT = 1, /* alias, stream, filters, count */
    EFX_AST_PAT_NOT,       /* stream, filters, [for_] */
    EFX_AST_PAT_AND,
    EFX_AST_PAT_OR,
    EFX_AST_PAT_EVERY, /* kids[0] */
    EFX_AST_PAT_CHAIN, /* kids in order; grouped = in parentheses */
};

struct efx_ast_bound { /* WITHIN */
    bool there;
    bool events; /* n EVENTS; else a duration */
    int64_t n;
    struct efx_ast_duration duration;
    struct efx_span at;
};

struct efx_ast_pattern_node {
    enum efx_ast_pat kind;
    struct efx_span at;
    uint32_t n_kids;
    struct efx_ast_pattern_node **kids;
    struct efx_ast_name alias, stream;
    uint32_t n_filters;
    struct efx_ast_expr **filters;
    bool has_count, no_max; /* {m,} */
    int64_t min, max;       /* 1, 1 without count */
    struct efx_span count_at;
    struct efx_ast_duration for_;
    struct efx_ast_bound within, within_behind; /* inside as last thing; right after ')' */
    bool grouped;
    bool comma; /* CHAIN: some step was joined by ',' (EFX-1605 in PATTERN), at comma_at */
    struct efx_span comma_at;
};

struct efx_ast_pattern {
    bool sequence;
    struct efx_span at;
    struct efx_ast_pattern_node *root; /* a CHAIN */
    struct efx_ast_bound within;       /* after PATTERN(…) */
    bool skip_past_last_row;
    struct efx_ast_names partition_by;
};

/* ---- queries ---- */

enum efx_ast_join {
    EFX_AST_JOIN_INNER = 1,
    EFX_AST_JOIN_LEFT,
    EFX_AST_JOIN_RIGHT,
    EFX_AST_JOIN_FULL,
    EFX_AST_JOIN_CROSS
};

struct efx_ast_relation {
    struct efx_ast_name name, alias;
    struct efx_ast_window window;
    bool unidirectional;
    struct efx_span unidirectional_at, at;
};

struct efx_ast_join_step { /* … JOIN right ON … */
    enum efx_ast_join kind;
    struct efx_ast_relation right;
    struct efx_ast_expr *on; /* NULL = none */
    struct efx_ast_names using_;
    struct efx_ast_duration within;
    bool has_range; /* WITHIN … PER …: aggregations */
    struct efx_ast_expr *range_start, *range_end, *range_per;
    struct efx_span at;
};

struct efx_ast_item {
    bool star; /* * or qualifier.* */
    struct efx_ast_name qualifier;
    struct efx_ast_expr *expr;
    struct efx_ast_name alias; /* .s NULL = none */
    struct efx_span at;
};

struct efx_ast_order {
    struct efx_ast_expr *expr;
    bool desc;
    bool nulls_first;
};

enum efx_ast_kinds { EFX_AST_CURRENT = 1, EFX_AST_EXPIRED, EFX_AST_ALL };
enum efx_ast_limiter {
    EFX_AST_OUTPUT_NONE = 0,
    EFX_AST_OUTPUT_ALL,
    EFX_AST_OUTPUT_FIRST,
    EFX_AST_OUTPUT_LAST,
    EFX_AST_OUTPUT_SNAPSHOT
};

struct efx_ast_output { /* OUTPUT … EVERY … */
    enum efx_ast_limiter kind;
    bool events;
    int64_t n; /* events */
    struct efx_ast_duration duration;
    struct efx_span at;
};

struct efx_ast_recognize { /* MATCH_RECOGNIZE: recognised, not built (EFX-9001) */
    bool there;
    struct efx_span at;
};

struct efx_ast_select {
    struct efx_span at;
    bool distinct;
    struct efx_span distinct_at;
    uint32_t n_items;
    struct efx_ast_item *items;
    struct efx_ast_relation from; /* unless pattern or values */
    struct efx_ast_pattern *pattern;
    struct efx_ast_recognize recognize;
    uint32_t n_joins;
    struct efx_ast_join_step *joins;
    bool has_range; /* on-demand over an aggregation */
    struct efx_span range_at;
    struct efx_ast_expr *where, *having;
    uint32_t n_group;
    struct efx_ast_expr **group;
    uint32_t n_order;
    struct efx_ast_order *order;
    struct efx_span order_at;
    struct efx_ast_expr *limit, *offset;
    struct efx_ast_output output;
};

/* ---- statements ---- */

enum efx_ast_stmt_kind {
    EFX_AST_CREATE_STREAM = 1,
    EFX_AST_CREATE_TABLE,
    EFX_AST_CREATE_WINDOW,
    EFX_AST_CREATE_TRIGGER,
    EFX_AST_CREATE_AGGREGATION,
    EFX_AST_CREATE_FUNCTION,
    EFX_AST_QUERY,  /* [INSERT INTO target] select */
    EFX_AST_UPSERT, /* UPSERT INTO target [columns] select [ON on] */
    EFX_AST_UPDATE, /* table SET … FROM source WHERE on */
    EFX_AST_DELETE, /* FROM table USING source WHERE on */
    EFX_AST_PARTITION,
    EFX_AST_INSERT_VALUES, /* on-demand: INSERT/UPSERT INTO target VALUES … (upsert says which) */
};

struct efx_ast_col { /* of a CREATE */
    struct efx_ast_name name;
    struct efx_ast_type type;
    bool not_null, primary_key, unique, index;
    struct efx_span at;
};

struct efx_ast_key { /* PRIMARY KEY (a, b), UNIQUE (…), INDEX [name] (…) of a table */
    bool primary_key, unique;
    struct efx_ast_names cols;
    struct efx_span at;
};

struct efx_ast_assign {
    struct efx_ast_name table, column; /* [table.]column = value */
    struct efx_ast_expr *value;
};

struct efx_ast_label { /* cond AS 'label' */
    struct efx_ast_expr *cond;
    struct efx_str label;
};

struct efx_ast_part { /* (exprs | labels) OF stream */
    uint32_t n_exprs;
    struct efx_ast_expr **exprs;
    uint32_t n_labels; /* > 0: ranges */
    struct efx_ast_label *labels;
    struct efx_ast_name stream;
    struct efx_span at;
};

enum efx_ast_trigger { EFX_AST_TRIGGER_START = 1, EFX_AST_TRIGGER_EVERY, EFX_AST_TRIGGER_CRON };

struct efx_ast_stmt {
    enum efx_ast_stmt_kind kind;
    struct efx_span at; /* the statement, without its ';' */
    struct efx_ast_stmt *next;

    struct efx_ast_name
        name; /* what is created; target of INSERT, UPSERT; table of UPDATE, DELETE */
    uint32_t n_cols;
    struct efx_ast_col *cols;
    uint32_t n_keys;
    struct efx_ast_key *keys;
    struct efx_ast_props with;
    struct efx_ast_window window; /* CREATE WINDOW */
    enum efx_ast_kinds kinds; /* INSERT … EVENTS; OUTPUT … EVENTS of a window; 0 = not said */
    struct efx_ast_select *select; /* QUERY, UPSERT, AGGREGATION, INSERT … SELECT on demand */
    struct efx_ast_names columns;  /* INSERT INTO t (…) */
    bool has_columns, has_target;  /* QUERY without INSERT has no target */
    enum efx_ast_trigger trigger;
    struct efx_ast_duration every;
    struct efx_str cron;
    struct efx_span cron_at;
    struct efx_ast_col *params; /* CREATE FUNCTION: n_cols of them */
    struct efx_ast_type returns;
    struct efx_ast_expr *body;
    struct efx_ast_name alias; /* UPDATE t AS a, DELETE FROM t AS a */
    struct efx_ast_relation
        source; /* UPDATE … FROM, DELETE … USING; name.s NULL = none (on demand) */
    uint32_t n_assigns;
    struct efx_ast_assign *assigns;
    struct efx_ast_expr *on; /* UPSERT … ON, WHERE of UPDATE and DELETE */
    uint32_t n_parts;
    struct efx_ast_part *parts;
    struct efx_ast_stmt *body_stmts; /* PARTITION: chained by next */
    uint32_t n_rows;                 /* VALUES */
    struct efx_ast_expr ***rows;
    uint32_t n_row_values;
    bool upsert;
    struct efx_ast_name agg_by; /* AGGREGATE BY; .s NULL = none */
    uint32_t grains;            /* AGGREGATE EVERY: bit 0 seconds, … bit 5 years */
};

struct efx_ast {
    struct efx_ast_stmt *first;
    /* Names that statements which could not be read would have made: that they are unknown follows
     * from an earlier error. */
    struct efx_ast_names lost;
};

/* Parses a program (or, on demand, one statement of language §12) and reports what is wrong; a tree
 * comes out all the same, without the statements that could not be read. EFX_ENOMEM only. */
enum efx_rc efx_parse_program(struct efx_arena *arena, struct efx_diags *diags,
                              struct efx_ast **out) EFX_MUST_USE;
enum efx_rc efx_parse_on_demand(struct efx_arena *arena, struct efx_diags *diags,
                                struct efx_ast_stmt **out) EFX_MUST_USE;
/* One expression that is the whole text; NULL in *out if it could not be read. */
enum efx_rc efx_parse_expr(struct efx_arena *arena, struct efx_diags *diags,
                           struct efx_ast_expr **out) EFX_MUST_USE;
/* A duration as WITH values and options hold it: '5 sec', '1 hour 30 min', '100ms', '250'. */
bool efx_parse_duration(struct efx_str text, int64_t *ms);

#endif /* EFX_AST_H */
