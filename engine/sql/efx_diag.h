#ifndef EFX_DIAG_H
#define EFX_DIAG_H

#include "efx_arena.h"
#include "efx_str.h"

/* Compile-time messages: code, place, sentence, hint (language §22).
 *
 *   error EFX-1203: unknown column 'prise' in stream 'Ticks'
 *     --> app.sql:3:13
 *      3 | SELECT sym, prise FROM Ticks INSERT INTO Out;
 *        |             ^^^^^
 *      hint: did you mean 'price'? 'Ticks' has sym STRING, price DOUBLE, qty INT
 *
 * All errors that do not follow from earlier ones are kept, in order of place, at most
 * EFX_DIAG_ERRORS_MAX; warnings apart, at most EFX_DIAG_WARNINGS_MAX; of more the first ones stay.
 *
 *   Owner   the list lives in its arena; places are byte offsets into the program text
 *   Threads none
 */
enum { EFX_DIAG_ERRORS_MAX = 20, EFX_DIAG_WARNINGS_MAX = 100 };

struct efx_span { /* bytes of the program text */
    uint32_t off;
    uint32_t len;
};

struct efx_diag {
    uint16_t code; /* nnnn of EFX-nnnn; 2xxx are warnings */
    struct efx_span at;
    const char *msg;
    const char *hint; /* NULL = none */
    struct efx_diag *next;
};

struct efx_diags {
    struct efx_arena *arena;
    struct efx_str text;       /* the program */
    const char *file;          /* its name, as messages show it */
    struct efx_diag *errors;   /* sorted by place, then by order of finding */
    struct efx_diag *warnings; /* likewise */
    uint32_t n_errors, n_warnings;
};

void efx_diags_init(struct efx_diags *d, struct efx_arena *arena, struct efx_str text,
                    const char *file);

/* Adds a message; code 2xxx is a warning, any other an error. `hint` may be NULL; both are copied.
 * A second message of the same code at the same place is dropped. Returns the message, whose hint
 * may be set later, or NULL when it was dropped. */
struct efx_diag *efx_diag_add(struct efx_diags *d, uint16_t code, struct efx_span at,
                              const char *hint, const char *fmt, ...) EFX_PRINTF(5, 6);

/* "did you mean 'x'?" of the nearest name, or NULL if none is near; in the arena. */
const char *efx_diag_nearest(struct efx_diags *d, struct efx_str name, const char *const *names,
                             uint32_t n);

/* Line and column (in code points) of an offset, from 1. */
void efx_diag_place(const struct efx_diags *d, uint32_t off, uint32_t *line, uint32_t *column);

/* Text for people (every line ends with a newline, the last too) and for machines (an array, one
 * object a message), into a growing buffer of the arena; NUL-terminated, cut where memory ends. */
const char *efx_diag_text(const struct efx_diags *d, const struct efx_diag *one);
const char *efx_diag_json(const struct efx_diags *d, const struct efx_diag *list);

#endif /* EFX_DIAG_H */
