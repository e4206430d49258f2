#ifndef EFX_PLAN_H
#define EFX_PLAN_H

#include "efx_ops.h"

/* The plan: a bound program as a graph of operators, and how it must be run.
 *
 *   program ──build──► nodes and edges ──order──► components, merges or row mode ──split──► by
 *   key or
 *                                                                                          placed
 *
 *   node        an operator of engine/op, or a junction: a stream, whose rows go to its consumers
 *   in
 *               the order in which they are defined
 *   component   nodes whose order among each other matters: joined by any edge, except that streams
 *               fed from outside alone bind nothing together. It runs in passes over whole batches
 *               where the merge rules hold (ARCHITECTURE.md, "Order"), else row by row
 *   split       nodes of a component that work on a share of the keys on each shard; what follows
 *               them on one shard is placed
 *
 *   Owner    the plan arena; immutable once made, read by all shards
 *   Errors   what the planner must refuse (9001) goes into the diags
 */
enum efx_pnode_kind {
    EFX_P_STREAM = 1,
    EFX_P_FILTER,
    EFX_P_PROJECT,
    EFX_P_SELECT,
    EFX_P_LIMIT,
    EFX_P_JOIN,
    EFX_P_TABLE,
    EFX_P_PATTERN,
    EFX_P_PARTITION,
    EFX_P_TRIGGER,
    EFX_P_ERRORS,
};

struct efx_pedge { /* to an inlet; node EFX_NO_COL = nobody */
    uint32_t node;
    uint32_t inlet;
};

struct efx_pnode {
    enum efx_pnode_kind kind;
    uint32_t id; /* place in plan->nodes */
    const char *name;
    const void *conf;                 /* of the operator, efx_ops.h */
    const struct efx_bobject *object; /* STREAM, TABLE, TRIGGER */
    const struct efx_bstmt *stmt;     /* whose operator it is; NULL = several or none */
    uint32_t n_inlets;
    uint32_t n_outlets;
    struct efx_pedge *rows;              /* [n_outlets]; not of a STREAM */
    struct efx_pedge *errors;            /* [n_outlets] */
    uint32_t n_consumers, consumers_max; /* STREAM */
    struct efx_pedge *consumers;
    struct efx_op_in in; /* shape of rows: of the first inlet (STREAM: of the stream) */
    bool external;       /* inlet 0 takes events from outside */
    bool copies;         /* STREAM behind a partition that multiplies rows: each consumer takes
                               all rows of a turn before the next does */
    bool output;         /* STREAM: derived, somebody outside may want its rows */
    uint32_t rank;       /* of its timers */
    uint32_t key_group;
    /* Of the order. */
    bool many;   /* may give several rows for one turn */
    bool timers; /* has timers at all */
    bool emits_by_timer;
    uint32_t component;
    bool confluence;      /* inlets buffer and are merged */
    uint32_t *inlet_rank; /* [n_inlets] among rows of one moment */
    uint32_t topo;        /* place in the pass */
    /* Of the distribution. */
    bool split;
    const char *placed_why; /* reason, for EXPLAIN */
};

struct efx_psource { /* a stream from outside that a split component reads, and its key */
    uint32_t node;
    uint32_t n_keys;                    /* 0: any row may go anywhere */
    const struct efx_expr *const *keys; /* over the stream's row, cast to the common types */
    const enum efx_type *types;
    const char *text; /* for EXPLAIN */
};

struct efx_pcomponent {
    bool row_mode;
    const char *why;   /* of row mode */
    bool needs_moment; /* edges carry moments */
    bool split;
    bool loop;
    uint32_t n_sources; /* split: streams from outside */
    struct efx_psource *sources;
    uint32_t n_nodes;
    uint32_t *nodes; /* in topological order (a loop: in order of definition) */
};

struct efx_plan {
    const struct efx_program *program;
    struct efx_arena *arena;
    uint32_t n_nodes, nodes_max;
    struct efx_pnode **nodes;
    uint32_t *stream_node; /* [program n_objects] node of a stream, table or trigger's stream */
    uint32_t *table_node;  /* [program n_objects]; EFX_NO_COL */
    uint32_t n_components;
    struct efx_pcomponent *components;
    uint32_t n_triggers;
};

struct efx_plan_opts {
    const struct efx_registry *registry;
    bool ordered;      /* outputs of several streams are wanted in one order (efx run, test) */
    uint32_t n_shards; /* 1: nothing is split */
    int64_t max_partials, max_catch_up;
};

/* EFX_ETYPE if the diags got an error. */
enum efx_rc efx_plan_make(struct efx_arena *arena, const struct efx_program *program,
                          const struct efx_plan_opts *opts, struct efx_diags *diags,
                          struct efx_plan **out) EFX_MUST_USE;

/* ---- on demand (plan_demand.c) ---- */

struct efx_pdemand_ask { /* where an on-demand statement is planned; the arena is its own */
    struct efx_arena *arena;
    const struct efx_program *program;
    struct efx_diags *diags;
};

struct efx_pdemand_join { /* of two tables */
    enum efx_ast_join kind;
    uint32_t n_left;                       /* columns of the left one */
    uint32_t n_eq;                         /* 0: every pair is looked at */
    const enum efx_type *types;            /* [n_eq] */
    const struct efx_expr *const *keys[2]; /* [n_eq] over each side's own row */
    const struct efx_expr *rest;           /* over left ++ right; NULL = none */
};

/* A SELECT:  table ─► [join] ─► [where] ─► project | select ─► rows of `out` */
struct efx_pdemand {
    struct efx_op_in in;                    /* a table's rows, or joined ones */
    const struct efx_pdemand_join *join;    /* NULL: one table */
    const struct efx_filter_conf *where;    /* NULL: all rows */
    const struct efx_project_conf *project; /* this … */
    const struct efx_select_conf *select;   /* … or this */
    bool whole; /* the selector puts its rows out when it is finished, after the last row */
    bool set;   /* it does when a row set ends */
    struct efx_schema out;
};

enum efx_pdemand_how {
    EFX_PDEMAND_DISTINCT = 1 << 0, /* the caller drops repeated rows, then cuts by LIMIT, OFFSET */
    EFX_PDEMAND_NOTHING = 1 << 1,  /* of one row of NULLs: aggregates of no rows, WHERE left out */
};

/* SELECT, and that of INSERT … SELECT (rows of the table) and UPSERT … SELECT (its outputs).
 * EFX_ETYPE if the diags got an error. */
enum efx_rc efx_plan_demand_select(const struct efx_pdemand_ask *ask, const struct efx_bstmt *stmt,
                                   enum efx_pdemand_how how, struct efx_pdemand *out) EFX_MUST_USE;
/* What efx_op_table_change takes. UPDATE and DELETE: over one row without columns. */
enum efx_rc efx_plan_demand_port(const struct efx_pdemand_ask *ask, const struct efx_bstmt *stmt,
                                 struct efx_table_port *out) EFX_MUST_USE;
/* A value of VALUES, over a row without columns. */
enum efx_rc efx_plan_demand_expr(const struct efx_pdemand_ask *ask, const struct efx_bx *bx,
                                 const struct efx_expr **out) EFX_MUST_USE;

/* ---- EXPLAIN (explain.c) ---- */

enum efx_explain_as { EFX_EXPLAIN_TEXT = 1, EFX_EXPLAIN_JSON, EFX_EXPLAIN_DOT };

struct efx_explain_node { /* what was measured of a node */
    uint64_t n_rows_in, n_rows_out, n_rows_failed;
    size_t state_bytes;
};

struct efx_explain_opts {
    enum efx_explain_as as;
    const struct efx_plan *spread; /* the same program planned for several shards, where the plan is
                                      for one: says what could be split. NULL = the plan itself */
    /* --analyze; NULL: nothing was measured. false = the node has no numbers. */
    bool (*measure)(void *arg, uint32_t node, struct efx_explain_node *out);
    void *arg;
};

/* Operators of each statement with their state and its bound, what is split and by what, what is
 * placed and why; modes and merges of the components. NUL-terminated, in `arena`; NULL: no
 * memory. */
const char *efx_plan_explain(const struct efx_plan *plan, struct efx_arena *arena,
                             const struct efx_explain_opts *opts);

#endif /* EFX_PLAN_H */
