#include "ref_timer.h"

/* Events from outside (language §16): whose time moves the clock, who waits, who is late.
 *
 *   no stream with watermark.delay   the clock is the largest timestamp seen
 *   some                             the least watermark of those that had an event; their events
 *                                    are held until the clock reaches them
 */
static const int64_t TS_MIN_MS = -62135596800000;
static const int64_t TS_MAX_MS = 253402300799999;

struct held {
    const struct efx_bobject *object;
    const struct ref_event *event;
};

static bool has_forbidden_null(const struct efx_bobject *o, const struct ref_event *e)
{
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        if (o->schema.cols[i].not_null && e->v[i].null) {
            return true;
        }
    }
    return false;
}

/* One event to the program, the clock standing where it belongs. */
static void take(struct efx_reference *r, const struct efx_bobject *o, const struct ref_event *e)
{
    bool late = e->ts_ms < r->clock_ms && o->kind == EFX_OBJ_STREAM;
    r->looped = 0;
    r->turn++;
    if (late && o->conf.late == EFX_LATE_DROP) {
        return;
    }
    if (late && o->conf.late == EFX_LATE_DLQ) {
        ref_data_error(r, o, e, 3004);
        return;
    }
    if (o->kind == EFX_OBJ_TABLE) {
        uint16_t code = ref_table_insert(r, o, e->v);
        if (code != 0) {
            ref_data_error(r, o, e, code);
        }
    } else if (has_forbidden_null(o, e)) {
        ref_data_error(r, o, e, 3102);
    } else {
        ref_publish(r, r->root, o, false, e);
    }
}

/* Releases held events up to a time, the clock going with them, then moves it there. */
static void release_to(struct efx_reference *r, int64_t to_ms)
{
    while (r->held.n > 0) {
        const struct held *h = r->held.v[0];
        if (h->event->ts_ms > to_ms) {
            break;
        }
        ref_list_remove(&r->held, 0);
        if (h->event->ts_ms > r->clock_ms) {
            ref_clock_to(r, h->event->ts_ms);
        }
        take(r, h->object, h->event);
    }
    ref_clock_to(r, to_ms);
}

static const struct ref_event *restamped(struct efx_reference *r, const struct ref_event *e)
{
    return e->ts_ms > r->clock_ms ? ref_event_make(r, r->clock_ms, e->v) : e;
}

static void start(struct efx_reference *r, int64_t ms)
{
    ref_clock_start(r, ms);
    struct ref_list early = r->early;
    r->early = (struct ref_list){0};
    for (uint32_t i = 0; i < early.n; i++) {
        const struct held *h = early.v[i];
        take(r, h->object, restamped(r, h->event));
    }
}

/* The least watermark of the streams with a delay that had an event. */
static int64_t least_watermark(const struct efx_reference *r)
{
    int64_t least = EFX_NEVER_MS;
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        if (r->watermark[i] != EFX_TS_NONE) {
            int64_t w = r->watermark[i] - r->p->objects[i]->conf.watermark_delay_ms;
            least = w < least ? w : least;
        }
    }
    return least;
}

static void take_delayed(struct efx_reference *r, const struct efx_bobject *o,
                         const struct ref_event *e)
{
    int64_t *mark = &r->watermark[o->id];
    *mark = *mark == EFX_TS_NONE || e->ts_ms > *mark ? e->ts_ms : *mark;
    struct held *h = REF_NEW(r, struct held);
    *h = (struct held){.object = o, .event = e};
    uint32_t at = r->held.n;
    while (at > 0 && ((const struct held *)r->held.v[at - 1])->event->ts_ms > e->ts_ms) {
        at--;
    }
    ref_list_insert(r, &r->held, at, h);
    int64_t clock = least_watermark(r);
    if (!r->started) {
        start(r, clock);
    }
    release_to(r, clock > r->clock_ms ? clock : r->clock_ms);
}

static bool time_of(const struct efx_reference *r, const struct efx_bobject *o, int64_t given_ms,
                    const struct efx_value *v, int64_t *ts_ms)
{
    *ts_ms = given_ms != EFX_TS_NONE ? given_ms : r->clock_ms;
    if (o->kind == EFX_OBJ_STREAM && o->conf.event_time_col != EFX_NO_COL) {
        const struct efx_value *t = &v[o->conf.event_time_col];
        if (t->null || t->type != EFX_TYPE_LONG) {
            return false;
        }
        *ts_ms = t->l;
    }
    return *ts_ms >= TS_MIN_MS && *ts_ms <= TS_MAX_MS;
}

static const struct efx_value *values_copy(struct efx_reference *r, const struct efx_bobject *o,
                                           const struct efx_value *values)
{
    struct efx_value *v = REF_NEW_N(r, struct efx_value, o->schema.n_cols);
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        v[i] = values[i];
        v[i].type = o->schema.cols[i].type;
        if (!v[i].null && efx_type_is_cell(v[i].type)) {
            v[i].s.p = efx_arena_str(&r->arena, v[i].s.p, v[i].s.n);
        }
    }
    return v;
}

void efx_reference_send(struct efx_reference *r, uint32_t stream, int64_t given_ms,
                        const struct efx_value *values)
{
    const struct efx_bobject *o = r->p->objects[stream];
    const struct efx_value *v = values_copy(r, o, values);
    int64_t ts_ms;
    if (!time_of(r, o, given_ms, v, &ts_ms)) {
        ref_data_error(r, o, ref_event_make(r, r->clock_ms, v), 3003);
        return;
    }
    const struct ref_event *e = ref_event_make(r, ts_ms, v);
    bool delayed = o->kind == EFX_OBJ_STREAM && o->conf.watermark_delay_ms >= 0;
    if (delayed) {
        take_delayed(r, o, e);
    } else if (!r->has_delay) {
        if (!r->started) {
            ref_clock_start(r, ts_ms);
        }
        ref_clock_to(r, ts_ms > r->clock_ms ? ts_ms : r->clock_ms);
        take(r, o, e);
    } else if (r->started) {
        take(r, o, restamped(r, e));
    } else {
        struct held *h = REF_NEW(r, struct held);
        *h = (struct held){.object = o, .event = e};
        ref_list_add(r, &r->early, h);
    }
}

void efx_reference_advance(struct efx_reference *r, int64_t ms)
{
    if (!r->started) {
        start(r, 0);
    }
    release_to(r, r->clock_ms + ms);
}

void efx_reference_finish(struct efx_reference *r, int64_t drain_ms)
{
    if (!r->started && r->early.n > 0) {
        start(r, 0);
    }
    if (r->held.n > 0) {
        int64_t last = ((const struct held *)r->held.v[r->held.n - 1])->event->ts_ms;
        release_to(r, last > r->clock_ms ? last : r->clock_ms);
    }
    if (r->started && drain_ms > 0) {
        ref_clock_to(r, r->clock_ms + drain_ms);
    }
    for (uint32_t s = 0; s < r->p->n_stmts; s++) {
        uint32_t partition = r->p->stmts[s]->partition;
        if (partition == EFX_NO_COL) {
            ref_limit_finish(r->root->copies[s]);
        }
        for (uint32_t k = 0; partition != EFX_NO_COL && k < r->keys[partition].n; k++) {
            ref_limit_finish(((struct ref_key *)r->keys[partition].v[k])->copies[s]);
        }
    }
}
