#ifndef NFA_COMPILE_H
#define NFA_COMPILE_H

#include "efx_nfa.h"
#include "nfa_bx.h"

/* The compiler's own: an automaton that still grows.
 *
 *   nfa_compile.c  elements, keys, outputs, the partial's record
 *   nfa_pred.c     filters: pre, cmp, gen; values, slots, aggregates
 *
 *   Errors  EFX_ENOMEM by every maker: EFX_NFA_NO or a result
 */
struct efx_nfa_compiler {
    struct efx_arena *arena;
    const struct efx_nfa_conf *conf;
    const struct efx_bpattern *pattern;
    struct efx_nfa *nfa;
    uint32_t *input_of; /* [pattern->n_elems] */
    /* Of the gen that is being compiled. */
    struct efx_nfa_gen *gen;
    bool failed; /* a map callback ran out of memory or met what it cannot know */
};

/* Room for one more: an array of n items of `bytes`; NULL = out of memory. */
void *efx_nfa__grow(struct efx_arena *arena, void *items, uint32_t n, size_t bytes);

/* The number of the value of bx (over SRC_CANDIDATE; NULL = the timestamp), made if it is new;
 * EFX_NFA_NO = out of memory, or bx can fail and may not. */
uint32_t efx_nfa__val(struct efx_nfa_compiler *c, uint32_t input, const struct efx_bx *bx,
                      bool may_fail);
uint32_t efx_nfa__slot(struct efx_nfa_compiler *c, const struct efx_nfa_slot *like);
/* What a reference outside the candidate stands for: COL, EVENT_TS, ELEM_AGG, IS_BOUND. */
enum efx_rc efx_nfa__ref(struct efx_nfa_compiler *c, const struct efx_bx *bx,
                         struct efx_nfa_ref *out) EFX_MUST_USE;
/* Filter of element q into pre, cmps behind its keys, gen. */
enum efx_rc efx_nfa__filter(struct efx_nfa_compiler *c, uint32_t q,
                            const struct efx_bx *filter) EFX_MUST_USE;

#endif /* NFA_COMPILE_H */
