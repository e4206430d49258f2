#include "ref.h"

/* OUTPUT … EVERY (language §14) and the way of a row to its target (§5.6).
 *
 *   ALL    held until n are there, or to the next tick
 *   FIRST  one of n a group at once; or, by time, if none has passed for d
 *   LAST   of n rows, or of a tick, the last of each group, groups in first-seen order
 */

static void raise(struct ref_copy *c, const struct ref_row *row, uint16_t code)
{
    ref_data_error(c->r, row->entry->cause_object, row->entry->cause, code);
}

void ref_row_to_target(struct ref_copy *c, const struct ref_row *row)
{
    const struct efx_bobject *t = c->q->target.object;
    struct efx_value *v = REF_NEW_N(c->r, struct efx_value, t->schema.n_cols);
    struct ref_env env = ref_entry_env(c, row->entry);
    env.out = row->out;
    env.ts_ms = row->ts_ms;
    bool null = false;
    for (uint32_t i = 0; i < t->schema.n_cols && env.error == 0; i++) {
        const struct efx_bx *store = c->q->target.store[i];
        v[i] = store != NULL ? ref_eval(&env, store) : efx_value_null(t->schema.cols[i].type);
        null |= v[i].null && t->schema.cols[i].not_null;
    }
    uint16_t code = env.error != 0 ? env.error : null && t->kind != EFX_OBJ_TABLE ? 3102 : 0;
    if (code == 0 && t->kind == EFX_OBJ_TABLE) {
        code = c->q->upsert ? ref_table_upsert(c, row, v) : ref_table_insert(c->r, t, v);
    } else if (code == 0) {
        ref_publish(c->r, c->key, t, row->expired, ref_event_make(c->r, row->ts_ms, v));
    }
    if (code != 0) {
        raise(c, row, code);
    }
}

static void release(struct ref_copy *c)
{
    struct ref_list rows = c->held_rows;
    c->held_rows = (struct ref_list){0};
    for (uint32_t i = 0; i < rows.n; i++) {
        ref_row_to_target(c, rows.v[i]);
    }
}

/* Is group by group told apart? */
static bool by_group(const struct ref_copy *c)
{
    return c->q->n_group > 0;
}

/* The last row of each group seen since the last release. */
static void keep_last(struct ref_copy *c, struct ref_row *row)
{
    for (uint32_t i = 0; i < c->held_rows.n; i++) {
        const struct ref_row *held = c->held_rows.v[i];
        if (!by_group(c) || held->entry->group == row->entry->group) {
            c->held_rows.v[i] = row;
            return;
        }
    }
    ref_list_add(c->r, &c->held_rows, row);
}

static bool first_passes(struct ref_copy *c, struct ref_row *row)
{
    const struct efx_ast_output *o = &c->q->output;
    struct ref_group *g = row->entry->group;
    if (o->events) {
        uint64_t *n = by_group(c) ? &g->passed : &c->n_rows;
        return (*n)++ % (uint64_t)o->n == 0;
    }
    int64_t *last = by_group(c) ? &g->passed_ms : &c->passed_ms;
    if (*last != EFX_TS_NONE && c->r->clock_ms - *last < o->duration.ms) {
        return false;
    }
    *last = c->r->clock_ms;
    return true;
}

static void limit(struct ref_copy *c, struct ref_row *row)
{
    const struct efx_ast_output *o = &c->q->output;
    switch (o->kind) {
    case EFX_AST_OUTPUT_NONE: ref_row_to_target(c, row); return;
    case EFX_AST_OUTPUT_SNAPSHOT: return;
    case EFX_AST_OUTPUT_FIRST:
        if (first_passes(c, row)) {
            ref_row_to_target(c, row);
        }
        return;
    case EFX_AST_OUTPUT_ALL: ref_list_add(c->r, &c->held_rows, row); break;
    case EFX_AST_OUTPUT_LAST: keep_last(c, row); break;
    }
    if (o->events && ++c->n_rows % (uint64_t)o->n == 0) {
        release(c);
    }
}

void ref_rows_pass(struct ref_copy *c, const struct ref_list *rows)
{
    struct ref_list all = *rows;
    for (uint32_t i = 0; i < all.n; i++) {
        limit(c, all.v[i]);
    }
}

/* Ticks lie at multiples of d after the start. One at the clock is still to come if a timer that
 * stands before it is firing. */
int64_t ref_limit_due(const struct ref_copy *c)
{
    const struct efx_reference *r = c->r;
    const struct efx_ast_output *o = &c->q->output;
    if (o->kind == EFX_AST_OUTPUT_NONE || o->events || c->held_rows.n == 0) {
        return EFX_NEVER_MS;
    }
    int64_t d = o->duration.ms;
    int64_t tick = r->start_ms + (r->clock_ms - r->start_ms) / d * d;
    bool passed =
        tick < r->clock_ms || tick == r->start_ms || ref_timer_passed(c, EFX_TIMER_OF_LIMITER);
    return passed ? tick + d : tick;
}

void ref_limit_fire(struct ref_copy *c)
{
    release(c);
}

void ref_limit_finish(struct ref_copy *c)
{
    if (c->q->output.kind == EFX_AST_OUTPUT_ALL || c->q->output.kind == EFX_AST_OUTPUT_LAST) {
        release(c);
    }
}
