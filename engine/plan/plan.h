#ifndef PLAN_H
#define PLAN_H

#include "efx_plan.h"

#include "efx_diag.h"

/* Private to engine/plan: the builder that all its files work on.
 *
 *   Errors  out of memory sets b->rc and makes the rest a no-op; what is refused goes to the diags
 */
struct plan_builder {
    struct efx_arena *arena;
    struct efx_plan *plan;
    const struct efx_program *program;
    const struct efx_plan_opts *opts;
    struct efx_diags *diags;
    enum efx_rc rc;
    uint32_t **part_node; /* [partition][object]: junction of the block for a stream; EFX_NO_COL */
};

/* Key group of what has no key: by the name of its statement or object. */
uint32_t efx_plan__name_group(const char *name);
void *efx_plan__new(struct plan_builder *b, size_t n, size_t bytes);
#define PLAN_NEW_N(b, T, n) ((T *)efx_plan__new((b), (n), sizeof(T)))
#define PLAN_NEW(b, T)      PLAN_NEW_N(b, T, 1)

struct efx_pnode *efx_plan__node(struct plan_builder *b, enum efx_pnode_kind kind,
                                 uint32_t n_inlets, uint32_t n_outlets);
/* A new inlet of a junction, or of a table that counts them up; returns its number. */
uint32_t efx_plan__inlet(struct efx_pnode *n);
void efx_plan__consume(struct plan_builder *b, uint32_t stream_node, uint32_t node, uint32_t inlet);

/* ---- expressions ---- */

enum plan_env_kind { PLAN_ENV_SINGLE = 1, PLAN_ENV_PAIR, PLAN_ENV_PATTERN };
struct plan_env { /* where references of a statement are found in a batch */
    enum plan_env_kind kind;
    uint32_t n_cols;   /* visible ones of the row (PAIR: of both sides) */
    uint32_t n_left;   /* PAIR: columns of source 0 */
    bool swapped;      /* PAIR: source 1 stands first */
    uint32_t agg, out; /* where aggregates and outputs begin; EFX_NO_COL = cannot be used */
    uint32_t n_refs;   /* PATTERN: output column j holds refs[j] */
    const struct efx_bx *const *refs;
};
const struct efx_expr *efx_plan__compile(struct plan_builder *b, const struct efx_bx *bx,
                                         const struct plan_env *env);
/* SRC_OUT references replaced by the outputs' expressions. */
struct efx_bx *efx_plan__substitute(struct plan_builder *b, const struct efx_bx *bx,
                                    const struct efx_bout *out);
typedef void (*plan_visit_fn)(void *arg, const struct efx_bx *bx);
void efx_plan__visit(const struct efx_bx *bx, plan_visit_fn fn, void *arg);
bool efx_plan__reads_table(const struct efx_bstmt *s);
bool efx_plan__bx_equal(const struct efx_bx *a, const struct efx_bx *b);

struct plan_match { /* a condition between two sources, taken apart */
    uint32_t n_eq;
    const struct efx_bx **left, **right; /* [n_eq] of one type: of source 0, of source 1 */
    enum efx_type *types;
    struct efx_bx *rest; /* NULL = none */
};
/* Splits ANDed equalities between the sources from the rest. NULL bx: matches everything. */
void efx_plan__match(struct plan_builder *b, const struct efx_bx *bx, struct plan_match *out);

/* ---- statements ---- */

void efx_plan__statement(struct plan_builder *b, const struct efx_bstmt *s);
uint32_t efx_plan__rank(const struct plan_builder *b, const struct efx_bstmt *s,
                        enum efx_timer_of of);
struct plan_tail { /* rows on their way to the target: the outlet that has no reader yet */
    uint32_t node, outlet;
    struct plan_env env;
    bool kinds, sets;           /* rows come with kinds, in row sets */
    const enum efx_type *types; /* [env.n_cols] */
    bool partitioned;
};
/* WHERE (unless done), selector, limiter, target. */
void efx_plan__tail(struct plan_builder *b, const struct efx_bstmt *s, struct plan_tail *t);
void efx_plan__connect(struct plan_builder *b, struct plan_tail *t, uint32_t node, uint32_t inlet);
/* The junction that a statement reads for its input k. */
uint32_t efx_plan__source(struct plan_builder *b, const struct efx_bstmt *s, uint32_t k);
void efx_plan__join(struct plan_builder *b, const struct efx_bstmt *s);
void efx_plan__errors(struct plan_builder *b, const struct efx_bstmt *s, struct efx_pnode *n,
                      uint32_t outlet, uint32_t first_col, bool whole_row);
/* Table nodes: ports are collected while statements are built, the conf is made at the end. */
void efx_plan__tables_begin(struct plan_builder *b);
uint32_t efx_plan__port(struct plan_builder *b, const struct efx_bobject *table,
                        const struct efx_table_port *port);
void efx_plan__port_match(struct plan_builder *b, const struct efx_bx *on,
                          const struct plan_env *row, uint32_t n_row, struct efx_table_port *port);
void efx_plan__upsert_port(struct plan_builder *b, const struct efx_bstmt *s,
                           struct efx_table_port *port);
void efx_plan__change(struct plan_builder *b, const struct efx_bstmt *s);
void efx_plan__partitions_begin(struct plan_builder *b);
/* At the block's first statement: its consumers stand in the streams' lists at this place. */
void efx_plan__block(struct plan_builder *b, uint32_t number);

/* ---- after building ---- */

void efx_plan__order(struct plan_builder *b); /* components, confluences, merges, row mode */
void efx_plan__split(struct plan_builder *b); /* keys and placed nodes */

#endif /* PLAN_H */
