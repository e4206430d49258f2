#ifndef EFX_REFERENCE_H
#define EFX_REFERENCE_H

#include "efx_bind.h"

/* The reference evaluator: a bound program run depth first, one event at a time, exactly by
 * language §3 and as slowly as that takes. It is the judge of the engine, so it shares nothing with
 * it but the parser, the binder and the meaning of operators on single values.
 *
 *   send ──► clock moves, timers fire in order ──► the event to all its consumers, to the end
 *
 * The virtual clock only. Everything is a list: a window is its rows, an aggregate is computed anew
 * from the rows that are in it, a pattern is its partial matches. What the binder lets through and
 * this does not know is refused by create, by name.
 *
 *   Owner    all memory is the evaluator's, until destroy; a program must outlive it
 *   Limits   memory: nothing is given back before destroy
 *   Threads  one at a time
 *   Source   language.md §3–§8, §10, §11, §14–§17
 */
struct efx_reference;

struct efx_reference_row { /* of a stream that the program writes, as subscribers see it */
    uint32_t stream;       /* id of the object */
    bool expired;
    int64_t ts_ms;
    uint32_t n;
    const struct efx_value *values;
};

/* NULL: a construct is not known here; *why says which (static text). */
struct efx_reference *efx_reference_create(const struct efx_program *program, const char **why);
void efx_reference_destroy(struct efx_reference *r);

/* One event from outside for a stream or table; ts_ms EFX_TS_NONE = nobody gave one. `values` has
 * the object's columns and types and is copied. */
void efx_reference_send(struct efx_reference *r, uint32_t stream, int64_t ts_ms,
                        const struct efx_value *values);
/* Moves the clock on. */
void efx_reference_advance(struct efx_reference *r, int64_t ms);
/* End of the input: held events, drain_ms more of time, then what limiters hold. */
void efx_reference_finish(struct efx_reference *r, int64_t drain_ms);

/* All rows so far, in order of delivery; good until the next call that changes something. */
const struct efx_reference_row *efx_reference_rows(const struct efx_reference *r, uint32_t *n);
/* Rows of a table now, in insertion order, as rows of the object's id (for tests). */
const struct efx_reference_row *efx_reference_table(struct efx_reference *r, uint32_t table,
                                                    uint32_t *n);
/* Data errors, and rows dropped because their key existed. */
uint64_t efx_reference_errors(const struct efx_reference *r);
uint64_t efx_reference_duplicates(const struct efx_reference *r);

/* Descriptors of the windows and aggregates that this knows, for the binder, where the engine's
 * own are not wanted. */
extern const struct efx_registry efx_reference_registry;

#endif /* EFX_REFERENCE_H */
