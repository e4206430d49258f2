#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "efx_plan.h"

/* EXPLAIN: what its files share.
 *
 *   explain.c        the three forms: text, JSON, dot
 *   explain_facts.c  the sentences: what an operator does, keeps, and where it runs
 *   explain_out.c    a text that grows in an arena
 *
 *   Owner   the arena that the caller gave
 *   Errors  out of memory makes the rest a no-op; the text is NULL then
 */
struct explain_out {
    struct efx_arena *arena;
    char *p;
    size_t n, max;
    bool failed;
};

void efx_explain__put(struct explain_out *o, const char *text);
void efx_explain__printf(struct explain_out *o, const char *fmt, ...) EFX_PRINTF(2, 3);
/* As a JSON string; NULL = null. */
void efx_explain__json(struct explain_out *o, const char *text);
/* With " and \ escaped, for dot. */
void efx_explain__dot(struct explain_out *o, const char *text);
/* NUL-terminated; NULL = out of memory. */
const char *efx_explain__done(struct explain_out *o);

struct explain {
    const struct efx_plan *plan;
    const struct efx_plan *spread; /* the same nodes, planned for several shards */
    const struct efx_explain_opts *opts;
    struct efx_arena *arena;
    struct explain_out out;
};

struct explain_fact {   /* of a node; NULL = there is nothing to say */
    const char *kind;   /* "select" */
    const char *does;   /* "sum(v) GROUP BY k" */
    const char *state;  /* what it keeps, and the bound of it */
    const char *key;    /* split: by what */
    const char *placed; /* why it is on one shard */
    const char *change; /* what would change that */
    uint32_t n_feeds;   /* confluence in passes: inlets in the order in which they are taken */
    const char **feeds;
};

const char *efx_explain__kind(enum efx_pnode_kind kind);
void efx_explain__fact(struct explain *x, const struct efx_pnode *n, struct explain_fact *out);
/* Key of a stream from outside in a split component; NULL = any row may go anywhere. */
const char *efx_explain__source_key(struct explain *x, const struct efx_pcomponent *c,
                                    const struct efx_psource *s);
/* A stream that only events from outside come to. */
bool efx_explain__is_root(const struct efx_pnode *n);
uint32_t efx_explain__n_edges(const struct efx_pnode *n);
struct efx_pedge efx_explain__edge(const struct efx_pnode *n, uint32_t pos);
/* What the program says there, on one line. */
const char *efx_explain__source(struct explain *x, struct efx_span at);

#endif /* EXPLAIN_H */
