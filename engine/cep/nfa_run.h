#ifndef NFA_RUN_H
#define NFA_RUN_H

#include "efx_hash.h"
#include "efx_nfa_run.h"
#include "nfa_partial.h"

/* Shared by the files of a running automaton.
 *
 *   nfa_slice.c   what is computed per slice: candidates, values, hashes
 *   nfa_accept.c  may this partial take this row? and values of references
 *   nfa_run.c     life of partials, the row loop
 *   nfa_save.c    save and load
 */
struct efx_nfa_run {
    struct efx_nfa_pool pool;
    const struct efx_nfa *nfa;
    struct efx_ctx *ctx;
    struct efx_op *op;
    struct efx_nfa_sink sink;
    uint32_t max_partials;
    bool finished;            /* without EVERY, without keys: nothing will match any more */
    struct efx_col *gen_cols; /* [n_refs_max] of one row, room for a word of rows */
    uint64_t *gen_valid;      /* [n_refs_max] */
    /* Save. */
    uint32_t stamp;      /* raised by a mark; a partial of this stamp is saved or new */
    uint64_t last_turn;  /* of the partial that began last */
    uint64_t last_order; /* that was given to a partial or a machine */
    bool saving;
    uint32_t next_id, last_id; /* what the slices have yet to look at */
    struct efx_save *out;
    uint32_t key_group;                  /* of what has no key */
    uint64_t had[EFX_KEY_GROUPS / 64];   /* groups with something in the last save */
    uint64_t begun[EFX_KEY_GROUPS / 64]; /* in this one */
    uint32_t *loaded; /* [EFX_KEY_GROUPS] while loading: chain of records, id + 1 */
};

struct efx_nfa_look { /* an element of this stream at which partials may wait */
    const uint64_t *cand, *hash;
    const struct efx_nfa_wait *wait;
    uint32_t q;
    bool all; /* cand has every row of `at` */
};

struct efx_nfa_slice { /* of one call, from the scratch */
    const struct efx_step *step;
    const struct efx_rows *in;
    const struct efx_nfa_input *input;
    struct efx_col *vals;        /* [n_vals] at the batch's positions */
    struct efx_fails *val_fails; /* [n_vals] of those that can fail */
    uint64_t **cand;  /* [n_elems] rows that may fill the element; NULL = not its stream */
    uint64_t **hash;  /* [n_elems + 1] by row: which list of the element; the gate's */
    uint64_t *starts; /* rows that may begin */
    uint64_t *visit;
    uint32_t *at; /* [n] rows to look at, ascending */
    uint32_t n;
    uint32_t n_looks;
    struct efx_nfa_look *look; /* [n_looks] the last element first */
    uint32_t *cursor;          /* [n_looks] */
    uint32_t *cursor_elem;
    struct efx_fails *fails;
};

/* n = 0: no row of the slice can do anything. */
void efx_nfa__slice(struct efx_nfa_run *r, uint32_t input, const struct efx_step *step,
                    const struct efx_rows *in, struct efx_nfa_slice *s);

/* Filter of element q over row and partial is TRUE. A partial that is blank has no keys to differ.
 */
bool efx_nfa__accepts(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                      uint32_t id, uint32_t q);
bool efx_nfa__same_machine(const struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                           uint32_t id);
uint16_t efx_nfa__ref_value(struct efx_nfa_run *r, uint32_t id, const struct efx_nfa_ref *ref,
                            void *data, uint32_t row, bool *null);

/* Where it waits, from where it stands; nothing of that is there yet. */
enum efx_rc efx_nfa__link_open(struct efx_nfa_run *r, uint32_t id) EFX_MUST_USE;
enum efx_rc efx_nfa__link_gate(struct efx_nfa_run *r, uint32_t id) EFX_MUST_USE;
int64_t efx_nfa__limit_ms(const struct efx_nfa *nfa, const struct efx_nfa_partial *p);

/* First touch: the partial as it was goes into a save that has yet to come to it. */
void efx_nfa__save_one(struct efx_nfa_run *r, uint32_t id);
static inline void efx_nfa__touch(struct efx_nfa_run *r, uint32_t id)
{
    if (r->saving && efx_nfa__at(&r->pool, id)->stamp != r->stamp) {
        efx_nfa__save_one(r, id);
    }
}

#endif /* NFA_RUN_H */
