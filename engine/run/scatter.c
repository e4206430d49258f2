/* Before a step is published: where split windows count from, and which rows each shard gets.
 *
 *   origin      the first row that passes the filters in front of a split window without origin
 *   decides
 *               for all shards, once (language §6.3)
 *   selection   per split component and stream: one bit set a shard, by the key's group, or by
 *   ranges
 *               of rows where any shard will do. Columns are shared, nothing is copied
 */
#include "run.h"

#include "efx_hash.h"

static bool first_row(struct efx_app *app, const struct origin *o, const struct step_slot *slot,
                      int64_t *t0_ms)
{
    uint16_t place = slot->batch_of[o->stream];
    if (place == 0) {
        return false;
    }
    struct efx_ctx *ctx = &app->ingest_ctx;
    struct efx_batch b = slot->batches[place - 1];
    uint32_t words = efx_words(b.n_rows);
    struct efx_fails fails = {efx_scratch_zero(ctx, words * 8), efx_scratch(ctx, b.n_rows * 2),
                              false};
    for (uint32_t i = 0; i < o->n_filters; i++) {
        uint64_t *yes = efx_scratch_zero(ctx, words * 8);
        struct efx_rows rows = efx_rows_all(&b);
        efx_expr_filter(o->filters[i]->pred, ctx, &slot->step, &rows, yes, &fails);
        b.sel = yes;
    }
    for (uint32_t i = 0; i < b.n_rows; i++) {
        if (efx_bit(b.sel, i)) {
            *t0_ms = efx_step_time_ms(&slot->step, &b, i);
            return true;
        }
    }
    return false;
}

/* Windows without origin that are split: all shards count from the first row of any of them. */
enum efx_rc efx_run__origins(struct efx_app *app, const struct step_slot *slot)
{
    for (uint32_t i = 0; i < app->n_origins; i++) {
        struct origin *o = &app->origins[i];
        struct efx_ctx_mark m = efx_ctx_begin(&app->ingest_ctx);
        int64_t t0_ms;
        if (o->t0_ms == EFX_TS_NONE && first_row(app, o, slot, &t0_ms)) {
            efx_run__wait_done(app); /* nobody reads it while it is written; happens once */
            o->t0_ms = t0_ms;
            for (uint32_t u = 0; u < app->n_units; u++) {
                app->units[u].origins_set = false;
            }
        }
        efx_ctx_end(&app->ingest_ctx, m);
    }
    return EFX_OK;
}

static enum efx_rc select_any(struct efx_app *app, struct step_slot *slot, uint64_t **sel,
                              const struct efx_batch *b)
{
    uint32_t words = efx_words(b->n_rows), w = 0;
    for (uint32_t s = 0; s < app->n_shards; s++) {
        uint32_t until = (s + 1) * words / app->n_shards;
        if (until == w || !app->units[s].here) {
            sel[s] = NULL;
            w = until;
            continue;
        }
        sel[s] = EFX_NEW_N(&slot->arena, uint64_t, words);
        if (sel[s] == NULL) {
            return EFX_ENOMEM;
        }
        for (; w < until; w++) {
            sel[s][w] = efx_word(b->sel, w, b->n_rows);
        }
    }
    return EFX_OK;
}

static enum efx_rc select_by_key(struct efx_app *app, struct step_slot *slot,
                                 const struct efx_psource *src, uint64_t **sel,
                                 const struct efx_batch *b)
{
    struct efx_ctx *ctx = &app->ingest_ctx;
    uint32_t words = efx_words(b->n_rows);
    struct efx_rows rows = efx_rows_all(b);
    struct efx_fails fails = {efx_scratch_zero(ctx, words * 8), efx_scratch(ctx, b->n_rows * 2),
                              false};
    struct efx_col *keys = efx_scratch(ctx, src->n_keys * sizeof *keys);
    uint32_t *at = efx_scratch(ctx, b->n_rows * sizeof *at);
    uint64_t *hash = efx_scratch(ctx, b->n_rows * sizeof *hash);
    for (uint32_t k = 0; k < src->n_keys; k++) {
        efx_expr_eval(src->keys[k], ctx, &slot->step, &rows, &keys[k], &fails);
    }
    uint32_t n_of[EFX_SHARDS_MAX] = {0};
    uint32_t n = efx_rows_list(&rows, at);
    efx_keyed_hash(keys, src->n_keys, at, n, hash);
    for (uint32_t s = 0; s < app->n_shards; s++) {
        sel[s] = app->units[s].here ? EFX_NEW_N(&slot->arena, uint64_t, words) : NULL;
        if (app->units[s].here && sel[s] == NULL) {
            return EFX_ENOMEM;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t s = efx_hash_key_group(hash[i]) * app->n_shards / EFX_KEY_GROUPS;
        if (sel[s] == NULL) {
            continue;
        }
        sel[s][at[i] / 64] |= (uint64_t)1 << (at[i] % 64);
        n_of[s]++;
    }
    for (uint32_t s = 0; s < app->n_shards; s++) {
        sel[s] = n_of[s] == 0 ? NULL : sel[s];
    }
    return EFX_OK;
}

/* Which rows each shard gets, per split component and stream. */
enum efx_rc efx_run__selections(struct efx_app *app, struct step_slot *slot)
{
    const struct efx_plan *plan = app->plan;
    if (app->n_shards == 1) {
        return EFX_OK;
    }
    slot->sel = EFX_NEW_N(&slot->arena, uint64_t **, plan->n_components + 1);
    slot->no_rows = EFX_NEW_N(&slot->arena, bool, app->n_shards);
    if (slot->sel == NULL || slot->no_rows == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t s = 0; s < app->n_shards; s++) {
        slot->no_rows[s] = slot->step.n_batches == 0 || !app->units[s].has_whole;
    }
    for (uint32_t c = 0; c < plan->n_components; c++) {
        const struct efx_pcomponent *pc = &plan->components[c];
        if (!pc->split) {
            continue;
        }
        slot->sel[c] = EFX_NEW_N(&slot->arena, uint64_t *, app->n_shards * pc->n_sources + 1);
        uint64_t **by_source = EFX_NEW_N(&slot->arena, uint64_t *, app->n_shards);
        if (slot->sel[c] == NULL || by_source == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t k = 0; k < pc->n_sources; k++) {
            uint16_t place = slot->batch_of[plan->nodes[pc->sources[k].node]->object->id];
            if (place == 0) {
                continue;
            }
            const struct efx_batch *b = &slot->batches[place - 1];
            struct efx_ctx_mark m = efx_ctx_begin(&app->ingest_ctx);
            enum efx_rc rc = pc->sources[k].n_keys == 0
                                 ? select_any(app, slot, by_source, b)
                                 : select_by_key(app, slot, &pc->sources[k], by_source, b);
            efx_ctx_end(&app->ingest_ctx, m);
            EFX_RET(rc);
            for (uint32_t s = 0; s < app->n_shards; s++) {
                slot->sel[c][s * pc->n_sources + k] = by_source[s];
                slot->no_rows[s] = slot->no_rows[s] && by_source[s] == NULL;
            }
        }
    }
    return EFX_OK;
}
