/* What numbering leaves behind a step, as bytes: clock, turns, watermarks, origins, held events.
 *
 *   u32 magic, u32 version │ clock, start, next turn, seed │ n objects { key of name and columns,
 *   largest timestamp } │ n origins { operator's key, origin } │ held events by object
 *
 * Streams and operators are written by what they are, not by their number, so that an edited
 * program takes what it still has.
 */
#include "run.h"

enum { MAGIC = 0x4E584645, VERSION = 1 };

size_t efx_run__numbering_bytes(const struct efx_app *app)
{
    return 4 + 4 + 8 * 4 + 4 + 16 * (size_t)app->plan->program->n_objects + 4 +
           16 * (size_t)app->n_origins + efx_run__held_bytes(app);
}

void efx_run__numbering_put(const struct efx_app *app, struct efx_writer *w)
{
    const struct efx_program *p = app->plan->program;
    efx_put_u32(w, MAGIC);
    efx_put_u32(w, VERSION);
    efx_put_i64(w, app->clock_ms);
    efx_put_i64(w, app->start_ms);
    efx_put_u64(w, app->next_turn);
    efx_put_u64(w, app->opts.seed);
    efx_put_u32(w, p->n_objects);
    for (uint32_t i = 0; i < p->n_objects; i++) {
        efx_put_u64(w, efx_run__schema_key(&p->objects[i]->schema));
        efx_put_i64(w, app->max_ts[i]);
    }
    efx_put_u32(w, app->n_origins);
    for (uint32_t i = 0; i < app->n_origins; i++) {
        efx_put_u64(w, app->op_keys[app->origins[i].node]);
        efx_put_i64(w, app->origins[i].t0_ms);
    }
    efx_run__held_put(app, w);
}

static uint32_t object_of(const struct efx_app *app, uint64_t key)
{
    const struct efx_program *p = app->plan->program;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        if (efx_run__schema_key(&p->objects[i]->schema) == key) {
            return i;
        }
    }
    return EFX_NO_COL;
}

static void get_origins(struct efx_app *app, struct efx_reader *r)
{
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint64_t key = efx_get_u64(r);
        int64_t t0_ms = efx_get_i64(r);
        for (uint32_t k = 0; k < app->n_origins; k++) {
            if (app->op_keys[app->origins[k].node] == key) {
                app->origins[k].t0_ms = t0_ms;
            }
        }
    }
}

static enum efx_rc get_all(struct efx_app *app, struct efx_reader *r, struct efx_arena *a)
{
    uint64_t dropped = 0;
    if (efx_get_u32(r) != MAGIC || efx_get_u32(r) != VERSION) {
        return EFX_EPARSE;
    }
    app->clock_ms = efx_get_i64(r);
    app->start_ms = efx_get_i64(r);
    app->next_turn = efx_get_u64(r);
    app->opts.seed = efx_get_u64(r);
    uint32_t n = efx_get_u32(r);
    if (r->bad || n > r->left / 16) {
        return EFX_EPARSE;
    }
    uint32_t *map = EFX_NEW_N(a, uint32_t, (size_t)n + 1);
    if (map == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        map[i] = object_of(app, efx_get_u64(r));
        int64_t max_ts = efx_get_i64(r);
        if (map[i] != EFX_NO_COL) {
            app->max_ts[map[i]] = max_ts;
        }
    }
    get_origins(app, r);
    EFX_RET(efx_run__held_get(app, r, map, n, &dropped));
    app->n_held_dropped = dropped;
    return r->bad || r->left > 0 ? EFX_EPARSE : EFX_OK;
}

enum efx_rc efx_app_load_numbering(struct efx_app *app, struct efx_bytes bytes, struct efx_err *err)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = get_all(app, &r, &a);
    efx_arena_fini(&a);
    for (uint32_t u = 0; u < app->n_units; u++) {
        app->units[u].origins_set = false;
        app->units[u].ctx.seed = app->opts.seed;
    }
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, rc, EFX_KIND_ENV, 0,
                                   rc == EFX_ENOMEM ? "out of memory"
                                                    : "the checkpoint's numbering is damaged");
}
