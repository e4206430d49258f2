#ifndef EFX_NFA_RUN_H
#define EFX_NFA_RUN_H

#include "efx_nfa.h"

/* An automaton at work: rows in, matches and dead partials out.
 *
 *   rows of a slice ──► bitmaps of the rows that may fill an element, values, hashes (columns)
 *                  ──► row loop: limits, partials waiting for it by age, a new one
 *
 * What comes out is told to the sink while the partial is still whole; the sink copies.
 *
 *   Owner    partials in `mem` of the operator; the sink's arg is the caller's
 *   Errors   of a row: in `fails` of the call, once a row; EFX_ENOMEM stops the app
 *   Limits   max_partials: 3106, the row begins none
 *   Threads  the shard's owner
 *   Order    matches of one event by age, which is the order of first events
 */
struct efx_nfa_run;

struct efx_nfa_cause { /* of a row that comes out */
    bool expired;      /* died by WITHIN; else a match */
    uint32_t row;      /* of the input; EFX_NO_COL = a timer */
    int64_t ts_ms, clk_ms;
    efx_moment moment;
    uint64_t sub;
};

struct efx_nfa_sink {
    enum efx_rc (*emit)(void *arg, uint32_t partial, const struct efx_nfa_cause *why);
    void *arg;
};

struct efx_nfa_open {
    const struct efx_op_open *how;
    const struct efx_nfa *nfa;
    struct efx_op *op; /* whose rank its timers have */
    struct efx_nfa_sink sink;
    int64_t max_partials;
};

enum efx_rc efx_nfa_run_create(const struct efx_nfa_open *open,
                               struct efx_nfa_run **out) EFX_MUST_USE;
void efx_nfa_run_close(struct efx_nfa_run *r);
size_t efx_nfa_run_bytes(const struct efx_nfa_run *r);

/* Takes scratch of the ctx that the caller gives back. */
enum efx_rc efx_nfa_run_rows(struct efx_nfa_run *r, uint32_t input, const struct efx_step *step,
                             const struct efx_rows *in, struct efx_fails *fails) EFX_MUST_USE;
/* Fires limits before `until`. For a row: those of its copy that its clock has passed go with its
 * moment, `until`, even if a timer of lower rank made the row at that very time. NULL = no row. */
struct efx_nfa_row {
    int64_t clk_ms;
    uint64_t copy; /* birth; 0 without PARTITION */
};
enum efx_rc efx_nfa_run_expire(struct efx_nfa_run *r, const struct efx_step *step, efx_moment until,
                               const struct efx_nfa_row *row) EFX_MUST_USE;
int64_t efx_nfa_run_due_ms(const struct efx_nfa_run *r);

/* Outputs of a partial (hidden ones behind) as row `row` of columns data[k], valid[k]; texts live
 * until the step ends. 0, or the code of a data error. */
uint16_t efx_nfa_run_outs(struct efx_nfa_run *r, uint32_t partial, void *const *data,
                          uint64_t *const *valid, uint32_t row);

/* See efx_save.h: every save holds all partials. */
void efx_nfa_run_mark(struct efx_nfa_run *r);
enum efx_rc efx_nfa_run_slice(struct efx_nfa_run *r, uint32_t budget, struct efx_save *out);
enum efx_rc efx_nfa_run_load(struct efx_nfa_run *r, struct efx_kg_range kg, struct efx_reader *in,
                             struct efx_err *err) EFX_MUST_USE;
enum efx_rc efx_nfa_run_load_end(struct efx_nfa_run *r) EFX_MUST_USE;

#endif /* EFX_NFA_RUN_H */
