#include "efx_differential.h"

#include "bound_text.h"
#include "ndjson.h"

#include <stdio.h>
#include <stdlib.h>

/* The reference evaluator behind the differential test's callback. */

static void evaluate(struct efx_arena *arena, const struct efx_program *p,
                     const struct efx_run_how *how, const struct efx_lines *events,
                     struct efx_reference *r, struct efx_lines *out)
{
    for (uint32_t i = 0; i < events->n; i++) {
        struct ndjson_line e;
        const char *why;
        if (!ndjson_read(arena, p, efx_str_of(events->v[i]), &e, &why)) {
            continue; /* of a stream that the shrinker has dropped */
        }
        if (e.advance) {
            efx_reference_advance(r, e.advance_ms);
        } else {
            efx_reference_send(r, e.object->id, e.ts_ms, e.values);
        }
    }
    efx_reference_finish(r, how->drain_ms);
    uint32_t n;
    const struct efx_reference_row *rows = efx_reference_rows(r, &n);
    for (uint32_t i = 0; i < n; i++) {
        efx_lines_add(out, ndjson_row(arena, p->objects[rows[i].stream], rows[i].ts_ms,
                                      rows[i].expired, rows[i].values));
    }
}

static bool run(void *arg, const struct efx_run_how *how, const char *program,
                const struct efx_lines *events, struct efx_lines *out)
{
    (void)arg;
    struct efx_arena arena;
    struct efx_diags diags;
    const char *why;
    const struct efx_program *p = bound_text(program, &arena, &diags);
    struct efx_reference *r = p != NULL ? efx_reference_create(p, &why) : NULL;
    if (r != NULL) {
        evaluate(&arena, p, how, events, r, out);
        efx_reference_destroy(r);
    } else if (getenv("EFX_DIFFERENTIAL_VERBOSE") != NULL && diags.errors != NULL) {
        fputs(efx_diag_text(&diags, diags.errors), stderr);
    }
    efx_arena_fini(&arena);
    return r != NULL;
}

const struct efx_engine_run efx_reference_run = {.name = "reference", .run = run};
