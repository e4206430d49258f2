#ifndef BIND_H
#define BIND_H

#include "efx_bind.h"

#include <setjmp.h>

/* The inside of the binder: one record for the whole run, one scope for each place where an
 * expression stands.
 *
 *   bind.c       program, names, what is left for the end      bind_query.c    SELECT … INSERT
 *   bind_decl.c  CREATE                                        bind_from.c     sources
 *   bind_with.c  WITH of streams, tables                       bind_target.c   where rows go
 *   bind_conf.c  option tables → conf structs                  bind_join.c     JOIN
 *   bind_type.c  types and how they go together                bind_pattern.c  PATTERN
 *   bind_ref.c   names → columns                               bind_window.c   WINDOW
 *   bind_expr.c  operators                                     bind_partition.c
 *   bind_call.c  functions; bind_agg.c aggregates              bind_table.c    UPDATE, UPSERT …
 *   bind_absent.c, bind_unbuilt.c  what this build lacks       bind_demand.c   on demand
 *
 *   Errors   a function that binds an expression gives NULL where it reported something, and is
 *            silent about what follows: NULL in, NULL out. A name whose definition failed is kept
 *            without object ("broken"), and what is asked of it is silent, too.
 *            What is not built is noted apart and reported only in a program that is right
 *            otherwise, so that a wrong one gets the code of the reference.
 *   Memory   efx_bind__new never fails: out of memory leaves the binder through no_memory. Nothing
 *            is held but arena bytes, so there is nothing to unwind.
 */
enum efx_bind_kind { /* of a name without object, for messages */
                     EFX_NAME_OBJECT = 1,
                     EFX_NAME_AGGREGATION,
                     EFX_NAME_WINDOW,
};

struct efx_bind_name {
    const char *name; /* '#x' and '!x' with their sign */
    struct efx_span at;
    enum efx_bind_kind kind;
    uint32_t partition;         /* of an inner stream; else EFX_NO_COL */
    struct efx_bobject *object; /* NULL = broken */
    bool declared;
    struct efx_ast_prop dlq; /* error.dlq.stream, looked up at the end; key NULL = none */
};

struct efx_bind_absent {
    struct efx_span at;
    const char *msg, *hint;
};

struct efx_binder {
    struct efx_arena *arena;
    const struct efx_registry *registry;
    struct efx_diags *diags;
    const char *(*env)(const char *);
    jmp_buf no_memory;
    struct efx_program *program;
    uint32_t n_names;
    struct efx_bind_name **names;
    uint32_t n_user_funcs; /* CREATE FUNCTION: calls of them are silent */
    const char **user_funcs;
    uint32_t n_absent;
    struct efx_bind_absent *absent;
    uint32_t partition; /* block whose body is bound; else EFX_NO_COL */
    uint32_t n_triggers;
    bool lenient;    /* statements were lost in parsing: unknown names may follow from that */
    bool on_demand;  /* tables only */
    uint32_t n_uses; /* on demand: tables that were named */
    const struct efx_bobject **uses;
};

/* ---- bind.c ---- */
void *efx_bind__new(struct efx_binder *b, size_t n, size_t item_bytes, size_t align);
#define BIND_NEW(b, T)      ((T *)efx_bind__new((b), 1, sizeof(T), _Alignof(T)))
#define BIND_NEW_N(b, T, n) ((T *)efx_bind__new((b), (n), sizeof(T), _Alignof(T)))
/* `items` with room for one more behind the n there are. */
void *efx_bind__grow(struct efx_binder *b, const void *items, uint32_t n, size_t item_bytes);
const char *efx_bind__fmt(struct efx_binder *b, const char *fmt, ...) EFX_PRINTF(2, 3);
void efx_bind__absent(struct efx_binder *b, struct efx_span at, const char *hint, const char *fmt,
                      ...) EFX_PRINTF(4, 5);
/* The last byte of a clause: the place of what is missing in it. */
struct efx_span efx_bind__end_of(struct efx_span at);
struct efx_bind_name *efx_bind__find(struct efx_binder *b, const char *name);
struct efx_bind_name *efx_bind__name_add(struct efx_binder *b, const struct efx_ast_name *name);
struct efx_bobject *efx_bind__object_add(struct efx_binder *b, struct efx_bind_name *name,
                                         enum efx_bobject_kind kind,
                                         const struct efx_schema *schema);
/* 1201 with the nearest name, or nothing if it may follow from an earlier error. */
void efx_bind__unknown(struct efx_binder *b, const struct efx_ast_name *name);
void efx_bind__stmt(struct efx_binder *b, const struct efx_ast_stmt *s);

/* ---- bind_decl.c, bind_unbuilt.c, bind_with.c, bind_cron.c ---- */
void efx_bind__create(struct efx_binder *b, const struct efx_ast_stmt *s);
bool efx_bind__taken(struct efx_binder *b, const struct efx_ast_name *name); /* 1101, 1112 */
/* false = some column is wrong. */
bool efx_bind__columns(struct efx_binder *b, const struct efx_ast_stmt *s, struct efx_schema *out);
struct efx_bind_name *efx_bind__declare(struct efx_binder *b, const struct efx_ast_stmt *s);
void efx_bind__create_window(struct efx_binder *b, const struct efx_ast_stmt *s);
void efx_bind__create_aggregation(struct efx_binder *b, const struct efx_ast_stmt *s);
void efx_bind__create_function(struct efx_binder *b, const struct efx_ast_stmt *s);
void efx_bind__with_stream(struct efx_binder *b, const struct efx_ast_props *with,
                           struct efx_bind_name *name);
void efx_bind__with_table(struct efx_binder *b, const struct efx_ast_props *with);
/* Values with ${…} replaced; only these keys ("a", "b*") are known. */
const struct efx_ast_props *efx_bind__with(struct efx_binder *b, const struct efx_ast_props *with);
void efx_bind__with_keys(struct efx_binder *b, const struct efx_ast_props *with,
                         const char *const *keys, uint32_t n_keys);
const struct efx_ast_prop *efx_bind__prop(const struct efx_ast_props *with, const char *key);
bool efx_bind__cron_ok(struct efx_str text);

/* ---- bind_conf.c ---- */
/* One option from its text; reports 1105 and the like at `at`. */
bool efx_bind__conf_text(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                         const struct efx_schema *schema, struct efx_span at, void *conf);
/* All options of a plug-in out of WITH, defaults included. 1106 at the end of the clause. */
void *efx_bind__conf_with(struct efx_binder *b, const struct efx_plugin *p,
                          const struct efx_ast_props *with, const struct efx_schema *schema);
bool efx_bind__conf_default(struct efx_binder *b, const struct efx_conf_key *k,
                            const struct efx_schema *schema, struct efx_span at, void *conf);
bool efx_bind__conf_in_range(const struct efx_conf_key *k, int64_t v);

/* ---- bind_type.c ---- */
/* 1103, 2101; fills type and is_time. */
bool efx_bind__type(struct efx_binder *b, const struct efx_ast_type *t, struct efx_schema_col *out);
struct efx_bx *efx_bind__node(struct efx_binder *b, enum efx_bx_op op, enum efx_type type,
                              struct efx_span at, uint32_t n_args);
struct efx_bx *efx_bind__null(struct efx_binder *b, enum efx_type type, struct efx_span at);
struct efx_bx *efx_bind__i64(struct efx_binder *b, int64_t v, struct efx_span at);
struct efx_bx *efx_bind__str(struct efx_binder *b, struct efx_str s, struct efx_span at);
bool efx_bind__is_null(const struct efx_bx *x); /* a NULL literal without type */
/* Widened, or a NULL literal given its type, or CAST. */
struct efx_bx *efx_bind__to(struct efx_binder *b, struct efx_bx *x, enum efx_type type);
struct efx_bx *efx_bind__not(struct efx_binder *b, struct efx_bx *x);
struct efx_bx *efx_bind__and(struct efx_binder *b, struct efx_bx *x, struct efx_bx *y);
/* One type for all that are there: numbers by rank, else equal. NONE if all are NULL. */
bool efx_bind__common(enum efx_type *into, enum efx_type t);
/* Types as EFX_BX_EQ wants them, of *x and each of the items; 1301, 1303 at op_at. */
bool efx_bind__comparable(struct efx_binder *b, struct efx_bx **x, uint32_t n,
                          struct efx_bx **items, bool ordered, struct efx_span op_at);
struct efx_bx *efx_bind__cast(struct efx_binder *b, struct efx_bx *x, enum efx_type type,
                              struct efx_span at);
/* x = y, of comparable types. */
struct efx_bx *efx_bind__equal(struct efx_binder *b, struct efx_bx *x, struct efx_bx *y,
                               struct efx_span at);
/* The value as a column of `type` takes it on insertion (language §5.6): widened, NARROWed with
 * 2302, or 1310. */
struct efx_bx *efx_bind__store(struct efx_binder *b, struct efx_bx *x,
                               const struct efx_schema_col *col, struct efx_span at);
bool efx_bind__same(const struct efx_bx *x, const struct efx_bx *y);
bool efx_bind__fold_i64(const struct efx_bx *x, int64_t *out);

/* ---- scopes: bind_ref.c ---- */
enum efx_bind_outs {
    EFX_OUTS_NONE = 0,
    EFX_OUTS_FIRST, /* HAVING, ORDER BY: aliases before columns, as SRC_OUT */
    EFX_OUTS_LAST,  /* GROUP BY: columns before aliases, which stand for their expressions */
    EFX_OUTS_ONLY,  /* UPSERT … ON: as src 0 */
};

struct efx_bind_side {     /* what column names may belong to */
    const char *qualifier; /* alias or name; NULL = cannot be named */
    const char *hidden;    /* the name that an alias hides (pattern: that also qualifies) */
    const struct efx_bobject *object; /* NULL = broken */
    uint32_t src;
    bool counted;
    struct efx_span at;
};

struct efx_bind_merged { /* a USING column */
    const char *name;
    struct efx_bx *value; /* NULL = failed */
};

struct efx_bind_keys { /* PARTITION BY of a pattern */
    uint32_t n;
    const struct efx_ast_name *names;
    const enum efx_type *types;
};

struct efx_bind_scope {
    struct efx_binder *b;
    const char *where; /* "WHERE", for messages */
    uint32_t n_sides;
    struct efx_bind_side *sides;
    uint32_t n_merged;
    const struct efx_bind_merged *merged;
    enum efx_bind_outs outs_when;
    struct efx_bstmt *outs; /* whose output columns */
    bool outs_lost;         /* a star of something broken: how many there are is not known */
    struct efx_bstmt *aggs; /* takes aggregates; NULL = not allowed here */
    bool in_agg;
    bool constant;                 /* columns are 1309 */
    bool has_batches;              /* window_start() has a meaning */
    const struct efx_bobject *row; /* the table of (cond) IN table */
    bool pattern;
    bool in_and;        /* filter beside AND: its operands may refer to each other */
    uint32_t candidate; /* filter: number of its element; else EFX_NO_COL */
    uint32_t gathered;  /* argument over one counted element: its number; else EFX_NO_COL */
    struct efx_bind_keys keys;
};

struct efx_bind_scope efx_bind__scope(struct efx_binder *b, const char *where);
struct efx_bx *efx_bind__ref(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
struct efx_bx *efx_bind__col(struct efx_binder *b, const struct efx_schema *s, uint32_t src,
                             uint32_t col, struct efx_span at);
/* Place of the side with that alias, EFX_NO_COL = there is none. */
uint32_t efx_bind__side_of(const struct efx_bind_scope *sc, const char *qualifier);
/* 1203 with the nearest column and the list of them. */
void efx_bind__no_column(struct efx_binder *b, uint16_t code, const struct efx_ast_name *name,
                         const struct efx_schema *s);
/* Number of the one counted element that the arguments are about; else EFX_NO_COL. */
uint32_t efx_bind__gathered(const struct efx_bind_scope *sc, const struct efx_ast_expr *call);
const char *efx_bind__cols_text(struct efx_binder *b, const struct efx_schema *s);

/* ---- bind_expr.c, bind_call.c, bind_agg.c ---- */
struct efx_bx *efx_bind__expr(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
/* 1302 unless it is BOOL. */
struct efx_bx *efx_bind__cond(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
struct efx_bx *efx_bind__call(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
struct efx_bx *efx_bind__in_table(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
/* 1305 for a faulty constant regular expression. */
bool efx_bind__regexp_ok(struct efx_binder *b, const struct efx_bx *pattern);
struct efx_bx *efx_bind__trim(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
struct efx_bx *efx_bind__extract(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
bool efx_bind__is_builtin(const struct efx_binder *b, const char *name);
/* As §20 and §21 spell it. */
const char *efx_bind__spelled(const char *name);
bool efx_bind__same_word(const char *a, const char *b); /* without case and underscores */
bool efx_bind__is_agg(const struct efx_binder *b, const char *name);
const char *efx_bind__agg_spelled(const char *name);
struct efx_bx *efx_bind__agg(struct efx_bind_scope *sc, const struct efx_ast_expr *e);
void efx_bind__no_function(struct efx_binder *b, const struct efx_ast_name *name);
uint32_t efx_bind__agg_names(const char *const **out);

/* ---- bind_absent.c ---- */
/* Windows of language §6 by name: what their arguments are, so that wrong ones get their own code.
 * NULL = the language has no such kind. */
const struct efx_plugin *efx_bind__absent_window(const char *name);
uint32_t efx_bind__window_names(const char *const **out);
struct efx_bind_connector {
    const char *name;
    char payload;              /* 'n' none, 'o' optional, 'r' required */
    const char *source, *sink; /* keys: "a b* c.*", b required, c a family; NULL = is none */
};
const struct efx_bind_connector *efx_bind__connector(const char *name);
const struct efx_bind_connector *efx_bind__absent_table(const char *name);
const struct efx_bind_connector *efx_bind__absent_format(const char *name);
const char *efx_bind__nearest_extension(struct efx_binder *b, struct efx_str name);

/* ---- bind_window.c ---- */
void efx_bind__window(struct efx_binder *b, const struct efx_ast_window *w,
                      const struct efx_schema *schema, const char *qualifier,
                      struct efx_bwindow *out);
bool efx_bind__window_has_batches(const struct efx_ast_window *w);
bool efx_bind__mentions_columns(const struct efx_ast_expr *e);
void efx_bind__bare_duration(struct efx_binder *b, const struct efx_ast_duration *d);

/* ---- queries ---- */
struct efx_bstmt *efx_bind__stmt_add(struct efx_binder *b, const struct efx_ast_stmt *s);
void efx_bind__query(struct efx_binder *b, const struct efx_ast_stmt *s);
/* FROM, joins or pattern; false = nothing more can be said of the query. */
bool efx_bind__from(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                    struct efx_bstmt *st);
/* The stream, table … that a query reads; NULL = broken, and reported if need be. */
struct efx_bobject *efx_bind__source(struct efx_binder *b, const struct efx_ast_name *name);
/* 1502, 1209 for names that stand twice. */
void efx_bind__side_add(struct efx_bind_scope *sc, const struct efx_ast_name *name,
                        const struct efx_ast_name *alias, const struct efx_bobject *object);
void efx_bind__input_window(struct efx_binder *b, const struct efx_ast_relation *r,
                            const struct efx_bobject *object, struct efx_bwindow *out);
void efx_bind__joins(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                     struct efx_bstmt *st);
void efx_bind__pattern(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                       struct efx_bstmt *st);
/* The parts of a query behind its sources, which `sc` knows. */
void efx_bind__select(struct efx_bind_scope *sc, const struct efx_ast_stmt *s,
                      struct efx_bstmt *st);
/* Output columns, with the place of each. */
struct efx_span *efx_bind__items(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                                 struct efx_bstmt *st);
/* Target, column list, types; makes an undeclared target. */
void efx_bind__target(struct efx_bind_scope *sc, const struct efx_ast_stmt *s, struct efx_bstmt *st,
                      const struct efx_span *item_at);
/* 1205, 1303 for rows that go nowhere in particular. */
bool efx_bind__outs_ok(struct efx_bind_scope *sc, const struct efx_bstmt *st,
                       const struct efx_span *item_at);
/* Columns of a list, or all; false = reported. */
bool efx_bind__column_list(struct efx_binder *b, const struct efx_ast_stmt *s,
                           const struct efx_schema *schema, struct efx_conf_cols *out);
/* A target whose columns cannot be known. */
void efx_bind__target_lost(struct efx_binder *b, const struct efx_ast_stmt *s);
/* The table of a statement that reads or changes it as one; NULL = broken, and reported. */
struct efx_bobject *efx_bind__table(struct efx_binder *b, const struct efx_ast_name *name);
/* A statement on demand reads or changes it. */
void efx_bind__uses(struct efx_binder *b, const struct efx_bobject *table);
void efx_bind__upsert_on(struct efx_bind_scope *sources, const struct efx_ast_stmt *s,
                         struct efx_bstmt *st);
void efx_bind__update(struct efx_binder *b, const struct efx_ast_stmt *s);
/* SET and WHERE, over the sides of the scope. */
void efx_bind__mutation(struct efx_bind_scope *sc, const struct efx_ast_stmt *s,
                        struct efx_bstmt *st, const struct efx_bobject *table);
void efx_bind__partition(struct efx_binder *b, const struct efx_ast_stmt *s);

#endif /* BIND_H */
