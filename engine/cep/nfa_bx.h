#ifndef NFA_BX_H
#define NFA_BX_H

#include "efx_bind.h"

/* What an expression of a pattern mentions, and its rewriting to a view of one event.
 *
 *   Owner  copies live in the arena given
 */
struct efx_nfa_mention {
    bool cand;  /* the candidate, the row's clock, a table: to be judged with the row */
    bool elem;  /* events bound before */
    bool mixed; /* of several elements or several indexes, aggregates, bound or not */
    uint32_t src;
    bool last; /* index of the one event: LAST n, else AT n */
    uint32_t n;
};

void efx_nfa__mention(const struct efx_bx *bx, const struct efx_bpattern *pattern,
                      struct efx_nfa_mention *m);

/* A copy in which the one event mentioned is the candidate; NULL = out of memory. */
const struct efx_bx *efx_nfa__localise(struct efx_arena *arena, const struct efx_bx *bx);

/* Surely the same value for every row? Knows references, casts and constants. */
bool efx_nfa__same(const struct efx_bx *a, const struct efx_bx *b);

/* Conjuncts of a filter, from left to right; returns how many, writes at most n_max. */
uint32_t efx_nfa__conjuncts(const struct efx_bx *bx, const struct efx_bx **out, uint32_t n_max);

/* bx of the candidate's column, cast to `type` if it is another; NULL = out of memory. */
const struct efx_bx *efx_nfa__column(struct efx_arena *arena, uint32_t col, enum efx_type from,
                                     enum efx_type type);

/* The tree's elements: root is EVERY or not, around an EVENT or a CHAIN of EVENTs. */
struct efx_nfa_chain {
    bool every;
    uint32_t n;
    struct efx_bpat *const *events;   /* [n] */
    int64_t within_ms, within_events; /* least bounds of the whole; -1 = none */
};
/* false = some other form */
bool efx_nfa__chain(struct efx_arena *arena, const struct efx_bpattern *p,
                    struct efx_nfa_chain *out);

#endif /* NFA_BX_H */
