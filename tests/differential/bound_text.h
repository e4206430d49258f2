#ifndef BOUND_TEXT_H
#define BOUND_TEXT_H

#include "efx_reference.h"

/* A program text bound with the reference's registry; NULL = it has errors, which are in diags. The
 * arena is made here, also on failure. */
static inline const struct efx_program *bound_text(const char *text, struct efx_arena *arena,
                                                   struct efx_diags *diags)
{
    struct efx_ast *ast;
    struct efx_program *p = NULL;
    efx_arena_init(arena, &efx_mem_libc, SIZE_MAX);
    efx_diags_init(diags, arena, efx_str_of(text), "random.sql");
    if (efx_parse_program(arena, diags, &ast) != EFX_OK ||
        efx_bind_program(arena, &efx_reference_registry, ast, diags, NULL, &p) != EFX_OK ||
        diags->n_errors > 0) {
        return NULL;
    }
    return p;
}

#endif /* BOUND_TEXT_H */
