#ifndef EFX_EVAL_H
#define EFX_EVAL_H

#include "efx_bind.h"

/* The meaning of operators on single values: what constants are folded with, what the reference
 * evaluator is made of, and what kernels are tested against.
 *
 *   Errors   0, or the code of a data error (3101, 3301 …); then *out is NULL of its type
 *   Owner    texts of results live in tmp
 *   Threads  all pure (REGEXP keeps a small cache per thread)
 */
/* NEG … REGEXP of enum efx_bx_op on values that were already computed: `bx` gives op, type, func,
 * escape. Not for lazy forms and references: AND, OR, CASE, COALESCE, IN_LIST, COL … */
uint16_t efx_eval_op(const struct efx_bx *bx, const struct efx_value *args, struct efx_arena *tmp,
                     struct efx_value *out);

/* As CAST (NULL where it cannot be done), and as insertion narrows (3101). */
void efx_eval_cast(const struct efx_value *v, enum efx_type to, struct efx_arena *tmp,
                   struct efx_value *out);
uint16_t efx_eval_narrow(const struct efx_value *v, enum efx_type to, struct efx_value *out);

/* The one text of a number, language §2.2; returns the length, buf holds at least 40 bytes. */
uint32_t efx_eval_double_text(double d, char *buf);
uint32_t efx_eval_float_text(float f, char *buf);
/* Trimmed decimal text; false = is none. */
bool efx_eval_parse_double(struct efx_str s, double *out);

/* uuid() is a function of its cause: seed, turn (or timer moment), place, how-many-eth
 * evaluation. */
void efx_eval_uuid(uint64_t seed, uint64_t turn, uint32_t place, uint32_t nth, char out[36]);

#endif /* EFX_EVAL_H */
