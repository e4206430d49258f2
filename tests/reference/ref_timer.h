#ifndef REF_TIMER_H
#define REF_TIMER_H

#include "ref.h"

/* The clock of the reference evaluator: it starts with the first event, and whenever it moves, what
 * is due fires on the way. */
void ref_clock_start(struct efx_reference *r, int64_t ms);
void ref_clock_to(struct efx_reference *r, int64_t to_ms);

#endif /* REF_TIMER_H */
