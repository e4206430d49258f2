#include "ref_timer.h"

/* Timers by brute force: before each step of time everything is asked what it is due for, and the
 * first one fires (language §3.3).
 *
 *   order at one due time   triggers, then statements in order of definition: window, pattern,
 *                           limiter, in each the keys in order of creation; last the purging
 */
enum { CATCH_UP_MAX = 1000000, RANK_PURGE = UINT32_MAX - 1 };

uint32_t ref_rank(const struct efx_bstmt *q, uint32_t of)
{
    return EFX_MOMENT_RANKS_MAX + q->id * 4 + of;
}

bool ref_timer_passed(const struct ref_copy *c, uint32_t of)
{
    uint32_t own = ref_rank(c->q, of);
    return c->r->rank > own || (c->r->rank == own && c->r->rank_key >= c->key->no);
}

struct timer {
    int64_t due_ms;
    uint32_t rank;
    struct ref_copy *copy; /* of a statement */
    const struct efx_bobject *trigger;
    uint32_t partition; /* of a purge */
};

static void take_if_earlier(struct timer *best, const struct timer *t)
{
    if (t->due_ms < best->due_ms || (t->due_ms == best->due_ms && t->rank < best->rank)) {
        *best = *t;
    }
}

static int64_t window_due(const struct ref_copy *c)
{
    int64_t a = ref_window_due(&c->window[0]);
    int64_t b = ref_window_due(&c->window[1]);
    return a < b ? a : b;
}

static void ask_copy(struct ref_copy *c, struct timer *best)
{
    take_if_earlier(best, &(struct timer){.due_ms = window_due(c),
                                          .rank = ref_rank(c->q, EFX_TIMER_OF_WINDOW),
                                          .copy = c});
    if (c->q->kind == EFX_STMT_PATTERN) {
        take_if_earlier(best, &(struct timer){.due_ms = ref_pattern_due(c),
                                              .rank = ref_rank(c->q, EFX_TIMER_OF_PATTERN),
                                              .copy = c});
    }
    take_if_earlier(best, &(struct timer){.due_ms = ref_limit_due(c),
                                          .rank = ref_rank(c->q, EFX_TIMER_OF_LIMITER),
                                          .copy = c});
}

/* The first multiple of the interval after the start at which some key has been idle long enough.
 */
static int64_t purge_due(const struct efx_reference *r, uint32_t partition)
{
    const struct efx_bpartition *p = &r->p->partitions[partition];
    int64_t due = EFX_NEVER_MS;
    for (uint32_t i = 0; p->purge_idle_ms >= 0 && i < r->keys[partition].n; i++) {
        const struct ref_key *k = r->keys[partition].v[i];
        int64_t idle = k->last_ms + p->purge_idle_ms - r->start_ms;
        int64_t n = (idle + p->purge_interval_ms - 1) / p->purge_interval_ms;
        int64_t t = r->start_ms + (n > 0 ? n : 1) * p->purge_interval_ms;
        due = t < due ? t : due;
    }
    return due;
}

static void purge(struct efx_reference *r, uint32_t partition)
{
    for (uint32_t i = 0; i < r->keys[partition].n; i++) {
        const struct ref_key *k = r->keys[partition].v[i];
        if (k->last_ms + r->p->partitions[partition].purge_idle_ms <= r->clock_ms) {
            ref_list_remove(&r->keys[partition], i--);
        }
    }
}

static struct timer next_timer(struct efx_reference *r)
{
    struct timer best = {.due_ms = EFX_NEVER_MS, .rank = UINT32_MAX};
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        const struct efx_bobject *o = r->p->objects[i];
        if (o->kind == EFX_OBJ_TRIGGER) {
            take_if_earlier(&best, &(struct timer){.due_ms = r->trigger_due[i],
                                                   .rank = o->trigger.rank,
                                                   .trigger = o});
        }
    }
    for (uint32_t s = 0; s < r->p->n_stmts; s++) {
        uint32_t partition = r->p->stmts[s]->partition;
        if (partition == EFX_NO_COL) {
            ask_copy(r->root->copies[s], &best);
        }
        for (uint32_t k = 0; partition != EFX_NO_COL && k < r->keys[partition].n; k++) {
            ask_copy(((struct ref_key *)r->keys[partition].v[k])->copies[s], &best);
        }
    }
    for (uint32_t i = 0; i < r->p->n_partitions; i++) {
        take_if_earlier(
            &best, &(struct timer){.due_ms = purge_due(r, i), .rank = RANK_PURGE, .partition = i});
    }
    return best;
}

static void fire_trigger(struct efx_reference *r, const struct efx_bobject *o)
{
    struct efx_value *v = REF_NEW(r, struct efx_value);
    *v = (struct efx_value){.type = EFX_TYPE_LONG, .l = r->clock_ms};
    r->trigger_due[o->id] = EFX_NEVER_MS;
    if (o->trigger.kind == EFX_AST_TRIGGER_EVERY) {
        r->trigger_due[o->id] = r->clock_ms + o->trigger.every_ms;
    }
    ref_publish(r, r->root, o, false, ref_event_make(r, r->clock_ms, v));
}

static void fire(struct efx_reference *r, const struct timer *t)
{
    r->clock_ms = t->due_ms > r->clock_ms ? t->due_ms : r->clock_ms;
    r->rank = t->rank;
    r->rank_key = t->copy != NULL ? t->copy->key->no : 0;
    r->turn++;
    r->looped = 0;
    if (t->trigger != NULL) {
        fire_trigger(r, t->trigger);
    } else if (t->copy == NULL) {
        purge(r, t->partition);
    } else if (t->rank == ref_rank(t->copy->q, EFX_TIMER_OF_LIMITER)) {
        ref_limit_fire(t->copy);
    } else if (t->copy->q->kind == EFX_STMT_PATTERN) {
        ref_pattern_fire(t->copy);
    } else if (t->copy->q->kind == EFX_STMT_JOIN) {
        ref_join_fire(t->copy);
    } else {
        ref_single_fire(t->copy);
    }
}

/* Of a great many due times of one trigger only the last ones fire. */
static void catch_up(struct efx_reference *r, int64_t to_ms)
{
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        const struct efx_bobject *o = r->p->objects[i];
        if (o->kind != EFX_OBJ_TRIGGER || o->trigger.kind != EFX_AST_TRIGGER_EVERY ||
            r->trigger_due[i] > to_ms) {
            continue;
        }
        int64_t n = (to_ms - r->trigger_due[i]) / o->trigger.every_ms + 1;
        if (n > CATCH_UP_MAX) {
            r->trigger_due[i] += (n - CATCH_UP_MAX) * o->trigger.every_ms;
        }
    }
}

void ref_clock_to(struct efx_reference *r, int64_t to_ms)
{
    catch_up(r, to_ms);
    for (;;) {
        struct timer t = next_timer(r);
        if (t.due_ms > to_ms) {
            break;
        }
        fire(r, &t);
    }
    r->clock_ms = to_ms > r->clock_ms ? to_ms : r->clock_ms;
    r->rank = UINT32_MAX;
    r->turn++;
    r->looped = 0;
}

void ref_clock_start(struct efx_reference *r, int64_t ms)
{
    r->started = true;
    r->start_ms = r->clock_ms = ms;
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        const struct efx_bobject *o = r->p->objects[i];
        if (o->kind == EFX_OBJ_TRIGGER) {
            r->trigger_due[i] =
                o->trigger.kind == EFX_AST_TRIGGER_START ? ms : ms + o->trigger.every_ms;
        }
    }
    ref_clock_to(r, ms);
}
