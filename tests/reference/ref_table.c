#include "ref.h"

/* Tables: rows in insertion order, every condition tried on every row (language §11). */

/* Would these values repeat a key of another row? NULLs in a UNIQUE key repeat. */
static bool key_exists(struct efx_reference *r, const struct efx_bobject *t,
                       const struct efx_value *v, const struct ref_event *except)
{
    const struct ref_list *rows = &r->tables[t->id];
    for (uint32_t k = 0; k < t->n_keys; k++) {
        const struct efx_bkey *key = &t->keys[k];
        for (uint32_t i = 0; (key->primary || key->unique) && i < rows->n; i++) {
            const struct ref_event *row = rows->v[i];
            bool same = row != except;
            for (uint32_t j = 0; j < key->cols.n && same; j++) {
                uint32_t col = key->cols.col[j];
                same = !v[col].null && !row->v[col].null && ref_same(&v[col], &row->v[col]);
            }
            if (same) {
                return true;
            }
        }
    }
    return false;
}

static bool has_forbidden_null(const struct efx_bobject *t, const struct efx_value *v)
{
    for (uint32_t i = 0; i < t->schema.n_cols; i++) {
        if (t->schema.cols[i].not_null && v[i].null) {
            return true;
        }
    }
    for (uint32_t k = 0; k < t->n_keys; k++) {
        for (uint32_t j = 0; t->keys[k].primary && j < t->keys[k].cols.n; j++) {
            if (v[t->keys[k].cols.col[j]].null) {
                return true;
            }
        }
    }
    return false;
}

uint16_t ref_table_insert(struct efx_reference *r, const struct efx_bobject *t,
                          const struct efx_value *v)
{
    if (has_forbidden_null(t, v)) {
        return 3102;
    }
    if (key_exists(r, t, v, NULL)) {
        r->n_duplicates++;
        return 0;
    }
    ref_list_add(r, &r->tables[t->id], (void *)(uintptr_t)ref_event_make(r, r->clock_ms, v));
    return 0;
}

/* Puts new values in the place of row i, unless they repeat a key. */
static uint16_t replace(struct efx_reference *r, const struct efx_bobject *t, uint32_t i,
                        const struct efx_value *v)
{
    struct ref_list *rows = &r->tables[t->id];
    if (has_forbidden_null(t, v)) {
        return 3102;
    }
    if (key_exists(r, t, v, rows->v[i])) {
        r->n_duplicates++;
        return 0;
    }
    rows->v[i] = (void *)(uintptr_t)ref_event_make(r, r->clock_ms, v);
    return 0;
}

static struct efx_value *values_of(struct efx_reference *r, const struct efx_bobject *t,
                                   const struct ref_event *row)
{
    struct efx_value *v = REF_NEW_N(r, struct efx_value, t->schema.n_cols);
    memcpy(v, row->v, t->schema.n_cols * sizeof *v);
    return v;
}

uint16_t ref_table_upsert(struct ref_copy *c, const struct ref_row *row, const struct efx_value *v)
{
    struct efx_reference *r = c->r;
    const struct efx_bobject *t = c->q->target.object;
    const struct ref_list *rows = &r->tables[t->id];
    const struct ref_event selected = {.v = row->out};
    bool any = false;
    for (uint32_t i = 0; i < rows->n; i++) {
        struct ref_env env = {
            .r = r, .input = {&selected, rows->v[i]}, .out = row->out, .ts_ms = row->ts_ms};
        bool hit = ref_eval_true(&env, c->q->upsert_on);
        if (env.error != 0) {
            return env.error;
        }
        if (!hit) {
            continue;
        }
        any = true;
        struct efx_value *now = values_of(r, t, rows->v[i]);
        for (uint32_t k = 0; k < t->schema.n_cols; k++) {
            now[k] = c->q->upsert_sets[k] ? v[k] : now[k];
        }
        uint16_t code = replace(r, t, i, now);
        if (code != 0) {
            return code;
        }
    }
    return any ? 0 : ref_table_insert(r, t, v);
}

static uint16_t update_row(struct ref_copy *c, struct ref_env *env, uint32_t i)
{
    const struct efx_bobject *t = c->q->target.object;
    struct efx_value *v = values_of(c->r, t, env->input[1]);
    for (uint32_t k = 0; k < c->q->n_sets; k++) {
        v[c->q->sets[k].col] = ref_eval(env, c->q->sets[k].value);
    }
    return env->error != 0 ? env->error : replace(c->r, t, i, v);
}

void ref_table_change(struct ref_copy *c, const struct ref_event *event)
{
    struct efx_reference *r = c->r;
    struct ref_list *rows = &r->tables[c->q->target.object->id];
    for (uint32_t i = 0; i < rows->n; i++) {
        struct ref_env env = {.r = r, .input = {event, rows->v[i]}, .ts_ms = event->ts_ms};
        bool hit = ref_eval_true(&env, c->q->where);
        uint16_t code = env.error;
        if (hit && c->q->kind == EFX_STMT_DELETE) {
            ref_list_remove(rows, i--);
        } else if (hit) {
            code = update_row(c, &env, i);
        }
        if (code != 0) {
            ref_data_error(r, c->q->inputs[0].object, event, code);
        }
    }
}
