#ifndef EFX_FUNC_H
#define EFX_FUNC_H

#include "efx_batch.h"
#include "efx_ctx.h"
#include "efx_value.h"

/* A scalar function: how its types go together, and the same meaning twice — over a slice of
 * columns for the engine, over single values for constants and the reference evaluator.
 *
 * Forms that evaluate lazily or look at the row itself (coalesce, ifnull, if, now, eventTimestamp,
 * uuid) are operators of the bound expression, not functions.
 *
 *   Owner    descriptors are static
 *   Errors   resolve: 1305 with the argument's number; of a value: data error code, per row
 *   Threads  all pure
 */
struct efx_func_types {
    uint32_t n;
    enum efx_type *arg; /* [n] in: as written (NONE = a NULL literal); out: what each is cast to */
    enum efx_type out;
    uint32_t bad; /* argument number, from 0, that does not fit */
};

struct efx_func_call {
    const struct efx_rows *rows; /* the places to compute; nothing else is touched */
    uint32_t n_args;
    const struct efx_col *args; /* of the types that resolve asked for */
    void *data;                 /* [rows->until] of the result type */
    uint64_t *valid;            /* [words of until]: bits of the slice are all set on entry, and
                                   already cleared where a NULL argument gives NULL (strict) */
    struct efx_fails *fails;
    struct efx_ctx *ctx; /* texts come from its step arena */
};

struct efx_func {
    const char *name;           /* compared without case and underscores */
    uint8_t min_args, max_args; /* 255: any number */
    bool strict;                /* a NULL argument gives NULL; else the kernel handles NULL */
    bool total;                 /* no value ever makes a data error */
    /* 0, or 1305 (then t->bad), 1303. */
    uint16_t (*resolve)(struct efx_func_types *t);
    void (*vec)(const struct efx_func_call *c);
    /* 0 or the code of a data error; strict functions are never called with NULL. Texts of the
     * result live in tmp. */
    uint16_t (*value)(const struct efx_value *args, uint32_t n, struct efx_arena *tmp,
                      struct efx_value *out);
    const char *help;
};

/* All of them, for look-up, hints and documentation; engine/expr owns the table. */
extern const struct efx_func *const efx_funcs[];
extern const uint32_t efx_n_funcs;

#endif /* EFX_FUNC_H */
