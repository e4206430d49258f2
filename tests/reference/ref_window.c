#include "ref.h"

#include <stdlib.h>
#include <strings.h>

/* Windows as plain lists (language §6.2, §6.3). A window says what enters and leaves; the selector
 * or the join behind it says what that means.
 *
 *   length  time       one IN an event, one OUT for each that leaves
 *   lengthBatch        FLUSH with the n-th event
 *   timeBatch          FLUSH at a boundary, while the batch or the last one has events
 *   session            SESSION when the clock reaches the end of one
 */

static const void *conf_at(const struct efx_bwindow *b, uint32_t arg)
{
    for (const struct efx_conf_key *k = b->vt->base.conf; k != NULL && k->name != NULL; k++) {
        if (k->arg == arg) {
            return (const char *)b->conf + k->off;
        }
    }
    return NULL;
}

static int64_t conf_number(const struct efx_bwindow *b, uint32_t arg)
{
    const int64_t *p = conf_at(b, arg);
    return p != NULL ? *p : 0;
}

static enum ref_window_kind kind_of(const char *name)
{
    static const struct {
        const char *name;
        enum ref_window_kind kind;
    } kinds[] = {
        {"length", REF_WINDOW_LENGTH},
        {"time", REF_WINDOW_TIME},
        {"lengthBatch", REF_WINDOW_LENGTH_BATCH},
        {"timeBatch", REF_WINDOW_TIME_BATCH},
        {"tumbling", REF_WINDOW_TIME_BATCH},
        {"session", REF_WINDOW_SESSION},
    };
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcasecmp(name, kinds[i].name) == 0) {
            return kinds[i].kind;
        }
    }
    return REF_WINDOW_NONE;
}

bool ref_window_init(struct ref_window *w, const struct efx_bwindow *bound)
{
    *w = (struct ref_window){
        .kind = REF_WINDOW_NONE, .origin_ms = EFX_TS_NONE, .due_ms = EFX_NEVER_MS};
    if (bound->vt == NULL) {
        return true;
    }
    w->kind = kind_of(bound->vt->base.name);
    switch (w->kind) {
    case REF_WINDOW_NONE: return false;
    case REF_WINDOW_LENGTH:
    case REF_WINDOW_LENGTH_BATCH: w->n = conf_number(bound, 1); break;
    case REF_WINDOW_TIME: w->d_ms = conf_number(bound, 1); break;
    case REF_WINDOW_TIME_BATCH:
        w->d_ms = conf_number(bound, 1);
        w->origin_ms = bound->has_origin ? conf_number(bound, 2) : EFX_TS_NONE;
        break;
    case REF_WINDOW_SESSION:
        w->d_ms = conf_number(bound, 1);
        w->key_cols = *(const struct efx_conf_cols *)conf_at(bound, 2);
        w->latency_ms = conf_number(bound, 3);
        break;
    }
    return true;
}

bool ref_window_is_batch(const struct ref_window *w)
{
    return w->kind == REF_WINDOW_LENGTH_BATCH || w->kind == REF_WINDOW_TIME_BATCH ||
           w->kind == REF_WINDOW_SESSION;
}

static struct ref_act *add_act(struct ref_copy *c, struct ref_list *acts, enum ref_act_kind kind,
                               struct ref_held *held)
{
    struct ref_act *a = REF_NEW(c->r, struct ref_act);
    *a = (struct ref_act){.kind = kind, .held = held};
    ref_list_add(c->r, acts, a);
    return a;
}

static void flush(struct ref_copy *c, struct ref_window *w, struct ref_list *acts)
{
    struct ref_act *a = add_act(c, acts, REF_ACT_FLUSH, NULL);
    a->old = w->last;
    a->batch = w->held;
    w->last = w->held;
    w->held = (struct ref_list){0};
}

/* The first boundary that is still to come: one at the clock is, if a timer that stands before the
 * flush is firing. */
static int64_t next_boundary(const struct ref_copy *c, const struct ref_window *w)
{
    int64_t origin = w->origin_ms != EFX_TS_NONE ? w->origin_ms : c->origin_ms;
    int64_t from = c->r->clock_ms + ref_timer_passed(c, EFX_TIMER_OF_WINDOW);
    int64_t k = (from - origin) / w->d_ms;
    int64_t at = origin + k * w->d_ms;
    while (at >= from) {
        at -= w->d_ms;
    }
    while (at < from) {
        at += w->d_ms;
    }
    return at;
}

/* Takes out of the open batch what lies on its end, and all that came after that: a timer of this
 * time that came first may have brought it; an event exactly on a boundary belongs to the next
 * batch, and with it that one is the open batch, in which late events are counted. */
static struct ref_list events_from(struct ref_copy *c, struct ref_window *w, int64_t end_ms)
{
    struct ref_list next = {0};
    for (uint32_t i = 0; i < w->held.n; i++) {
        struct ref_held *h = w->held.v[i];
        if (next.n > 0 || h->event->ts_ms >= end_ms) {
            ref_list_add(c->r, &next, h);
            ref_list_remove(&w->held, i--);
        }
    }
    return next;
}

/* ---- sessions ---- */

static const struct efx_value *session_key(struct ref_copy *c, const struct ref_window *w,
                                           const struct ref_held *h, uint32_t *n)
{
    if (w->key_cols.n == 0) { /* the GROUP BY list, or one session for all */
        *n = h->entry != NULL ? c->q->n_group : 0;
        return h->entry != NULL ? h->entry->group->key : NULL;
    }
    struct efx_value *key = REF_NEW_N(c->r, struct efx_value, w->key_cols.n);
    for (uint32_t i = 0; i < w->key_cols.n; i++) {
        key[i] = h->event->v[w->key_cols.col[i]];
    }
    *n = w->key_cols.n;
    return key;
}

static int by_arrival(const void *a, const void *b)
{
    const struct ref_held *x = *(void *const *)a;
    const struct ref_held *y = *(void *const *)b;
    return (x->event->no > y->event->no) - (x->event->no < y->event->no);
}

/* Joins the event with all open sessions that its span overlaps; sessions are kept in the order of
 * arrival of their first events. */
static void session_arrive(struct ref_copy *c, struct ref_window *w, struct ref_held *h)
{
    struct efx_reference *r = c->r;
    uint32_t n_key;
    const struct efx_value *key = session_key(c, w, h, &n_key);
    int64_t t = h->event->ts_ms;
    struct ref_session *into = NULL;
    for (uint32_t i = 0; i < w->sessions.n; i++) {
        struct ref_session *s = w->sessions.v[i];
        if (!ref_same_all(s->key, key, n_key) || t >= s->last_ms + w->d_ms ||
            t + w->d_ms <= s->first_ms) {
            continue;
        }
        if (into == NULL) {
            into = s;
            continue;
        }
        for (uint32_t j = 0; j < s->held.n; j++) {
            ref_list_add(r, &into->held, s->held.v[j]);
        }
        into->first_ms = s->first_ms < into->first_ms ? s->first_ms : into->first_ms;
        into->last_ms = s->last_ms > into->last_ms ? s->last_ms : into->last_ms;
        ref_list_remove(&w->sessions, i--);
    }
    if (into == NULL) {
        if (t + w->d_ms + w->latency_ms <= r->clock_ms) {
            return; /* too late */
        }
        into = REF_NEW(r, struct ref_session);
        *into = (struct ref_session){.key = key, .first_ms = t, .last_ms = t};
        ref_list_add(r, &w->sessions, into);
    }
    ref_list_add(r, &into->held, h);
    qsort(into->held.v, into->held.n, sizeof(void *), by_arrival);
    into->first_ms = t < into->first_ms ? t : into->first_ms;
    into->last_ms = t > into->last_ms ? t : into->last_ms;
}

static int64_t session_due(const struct ref_window *w, const struct ref_session *s)
{
    return s->last_ms + w->d_ms + w->latency_ms;
}

static void session_fire(struct ref_copy *c, struct ref_window *w, struct ref_list *acts)
{
    for (uint32_t i = 0; i < w->sessions.n; i++) {
        struct ref_session *s = w->sessions.v[i];
        if (session_due(w, s) <= c->r->clock_ms) {
            add_act(c, acts, REF_ACT_SESSION, NULL)->batch = s->held;
            ref_list_remove(&w->sessions, i--);
        }
    }
}

/* ---- all kinds ---- */

void ref_window_arrive(struct ref_copy *c, struct ref_window *w, struct ref_held *h,
                       struct ref_list *acts)
{
    int64_t t = h->event->ts_ms;
    if (w->kind != REF_WINDOW_NONE && c->origin_ms == EFX_TS_NONE) {
        c->origin_ms = t;
    }
    switch (w->kind) {
    case REF_WINDOW_NONE: add_act(c, acts, REF_ACT_IN, h); break;
    case REF_WINDOW_LENGTH:
        if (w->held.n == w->n) {
            add_act(c, acts, REF_ACT_OUT, w->held.v[0]);
            ref_list_remove(&w->held, 0);
        }
        ref_list_add(c->r, &w->held, h);
        add_act(c, acts, REF_ACT_IN, h);
        break;
    case REF_WINDOW_TIME:
        add_act(c, acts, REF_ACT_IN, h);
        if (t + w->d_ms <= c->r->clock_ms) { /* late: leaves at once */
            add_act(c, acts, REF_ACT_OUT, h);
        } else {
            ref_list_add(c->r, &w->held, h);
        }
        break;
    case REF_WINDOW_LENGTH_BATCH:
        ref_list_add(c->r, &w->held, h);
        if (w->held.n == w->n) {
            flush(c, w, acts);
        }
        break;
    case REF_WINDOW_TIME_BATCH:
        if (w->due_ms == EFX_NEVER_MS) {
            w->due_ms = next_boundary(c, w);
        }
        ref_list_add(c->r, &w->held, h);
        break;
    case REF_WINDOW_SESSION: session_arrive(c, w, h); break;
    }
}

int64_t ref_window_due(const struct ref_window *w)
{
    int64_t due = w->due_ms;
    for (uint32_t i = 0; w->kind == REF_WINDOW_TIME && i < w->held.n; i++) {
        int64_t t = ((const struct ref_held *)w->held.v[i])->event->ts_ms + w->d_ms;
        due = t < due ? t : due;
    }
    for (uint32_t i = 0; i < w->sessions.n; i++) {
        int64_t t = session_due(w, w->sessions.v[i]);
        due = t < due ? t : due;
    }
    return due;
}

void ref_window_fire(struct ref_copy *c, struct ref_window *w, struct ref_list *acts)
{
    int64_t now = c->r->clock_ms;
    for (uint32_t i = 0; w->kind == REF_WINDOW_TIME && i < w->held.n; i++) {
        struct ref_held *h = w->held.v[i];
        if (h->event->ts_ms + w->d_ms <= now) {
            add_act(c, acts, REF_ACT_OUT, h);
            ref_list_remove(&w->held, i--);
        }
    }
    if (w->kind == REF_WINDOW_TIME_BATCH && w->due_ms <= now) {
        struct ref_list next = events_from(c, w, w->due_ms);
        flush(c, w, acts);
        w->held = next;
        w->due_ms = w->last.n + next.n > 0 ? w->due_ms + w->d_ms : EFX_NEVER_MS;
    }
    session_fire(c, w, acts);
}

struct ref_list ref_window_content(struct efx_reference *r, const struct ref_window *w)
{
    switch (w->kind) {
    case REF_WINDOW_NONE:
    case REF_WINDOW_LENGTH:
    case REF_WINDOW_TIME: return w->held;
    case REF_WINDOW_LENGTH_BATCH:
    case REF_WINDOW_TIME_BATCH: return w->last;
    case REF_WINDOW_SESSION: break;
    }
    struct ref_list all = {0};
    for (uint32_t i = 0; i < w->sessions.n; i++) {
        const struct ref_session *s = w->sessions.v[i];
        for (uint32_t j = 0; j < s->held.n; j++) {
            ref_list_add(r, &all, s->held.v[j]);
        }
    }
    if (all.n > 1) {
        qsort(all.v, all.n, sizeof(void *), by_arrival);
    }
    return all;
}
