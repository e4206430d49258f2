#include "ref.h"

/* Joins of two sides (language §7). A side is a window, all its events, nothing, or a table; a
 * joined row is a selector entry that stays until a member leaves its window.
 *
 *   L(a,2) arrives, length(2)     OUT of L1: joined rows with L1 leave, in order of entry
 *                                 IN of L2: a row for each partner in the other side's content
 *   L's batch flushes             all joined rows leave, reset, batch × content enters
 */
enum { LEFT = 0, RIGHT = 1 };

static bool is_table(const struct ref_copy *c, uint32_t side)
{
    return c->q->inputs[side].object->kind == EFX_OBJ_TABLE;
}

/* A side keeps its events unless nobody ever looks at them: joined with a table, or the only
 * trigger. */
static bool side_holds(const struct ref_copy *c, uint32_t side)
{
    return !is_table(c, side) && !is_table(c, !side) && !c->q->inputs[side].unidirectional;
}

static bool side_triggers(const struct ref_copy *c, uint32_t side)
{
    return !is_table(c, side) && !c->q->inputs[!side].unidirectional;
}

static bool side_preserved(const struct ref_copy *c, uint32_t side)
{
    switch (c->q->join) {
    case EFX_AST_JOIN_LEFT: return side == LEFT;
    case EFX_AST_JOIN_RIGHT: return side == RIGHT;
    case EFX_AST_JOIN_FULL: return true;
    case EFX_AST_JOIN_INNER:
    case EFX_AST_JOIN_CROSS: break;
    }
    return false;
}

/* Has a windowless side dropped the event? */
static bool dropped(const struct ref_copy *c, uint32_t side, const struct ref_event *e)
{
    int64_t now = c->r->clock_ms;
    const struct efx_bobject *o = c->q->inputs[side].object;
    int64_t ttl = o->kind == EFX_OBJ_STREAM ? o->conf.state_ttl_ms : -1;
    return (c->q->within_ms >= 0 && now > e->ts_ms + c->q->within_ms) ||
           (ttl > 0 && now >= e->ts_ms + ttl);
}

/* Events of a side that the other side meets, in order of insertion. */
static struct ref_list content(struct ref_copy *c, uint32_t side)
{
    struct ref_list events = {0};
    if (is_table(c, side)) {
        return c->r->tables[c->q->inputs[side].object->id];
    }
    if (c->window[side].kind != REF_WINDOW_NONE) {
        struct ref_list held = ref_window_content(c->r, &c->window[side]);
        for (uint32_t i = 0; i < held.n; i++) {
            const struct ref_held *h = held.v[i];
            ref_list_add(c->r, &events, (void *)(uintptr_t)h->event);
        }
        return events;
    }
    for (uint32_t i = 0; i < c->side[side].n; i++) {
        if (!dropped(c, side, c->side[side].v[i])) {
            ref_list_add(c->r, &events, c->side[side].v[i]);
        }
    }
    return events;
}

static bool match(struct ref_copy *c, const struct ref_event *l, const struct ref_event *r)
{
    if (c->q->within_ms >= 0) {
        int64_t apart = l->ts_ms > r->ts_ms ? l->ts_ms - r->ts_ms : r->ts_ms - l->ts_ms;
        if (apart > c->q->within_ms) {
            return false;
        }
    }
    struct ref_env env = {.r = c->r, .input = {l, r}};
    return ref_eval_true(&env, c->q->on);
}

/* ---- joined rows ---- */

struct joining { /* what one event, timer or flush gives */
    struct ref_copy *c;
    const struct ref_event *cause; /* NULL = a timer */
    const struct efx_bobject *cause_object;
    struct ref_list rows;
    struct ref_list part; /* entries of a flush's current part */
    bool flush;           /* rows are made at the end of the part */
};

/* A joined row that passes WHERE enters the aggregates. */
static void pair(struct joining *j, const struct ref_event *l, const struct ref_event *r,
                 int64_t ts_ms)
{
    struct ref_copy *c = j->c;
    struct ref_entry like = {
        .input = {l, r}, .ts_ms = ts_ms, .cause = j->cause, .cause_object = j->cause_object};
    struct ref_env env = ref_entry_env(c, &like);
    bool wanted = ref_eval_true(&env, c->q->where);
    if (env.error != 0) {
        ref_data_error(c->r, j->cause_object, j->cause, env.error);
    }
    struct ref_entry *e = wanted ? ref_entry_make(c, &like) : NULL;
    if (e == NULL) {
        return;
    }
    ref_entry_in(c, e);
    ref_list_add(c->r, &c->joined, e);
    if (j->flush) {
        ref_list_add(c->r, &j->part, e);
    } else if (!e->arg_failed) {
        ref_row_make(c, e, false, ts_ms, &j->rows);
    }
}

/* An event of `side` meets the other side's events. */
static void meet(struct joining *j, uint32_t side, const struct ref_event *event,
                 const struct ref_list *others)
{
    bool any = false;
    for (uint32_t i = 0; i < others->n; i++) {
        const struct ref_event *l = side == LEFT ? event : others->v[i];
        const struct ref_event *r = side == LEFT ? others->v[i] : event;
        if (match(j->c, l, r)) {
            any = true;
            pair(j, l, r, event->ts_ms);
        }
    }
    if (!any && side_preserved(j->c, side)) {
        pair(j, side == LEFT ? event : NULL, side == LEFT ? NULL : event, event->ts_ms);
    }
}

/* Every joined row that has the event as a member leaves. */
static void leave(struct joining *j, uint32_t side, const struct ref_event *event)
{
    struct ref_copy *c = j->c;
    for (uint32_t i = 0; i < c->joined.n; i++) {
        struct ref_entry *e = c->joined.v[i];
        if (e->input[side] == event) {
            ref_list_remove(&c->joined, i--);
            ref_entry_out(c, e);
            e->cause = j->cause;
            e->cause_object = j->cause_object;
            ref_row_make(c, e, true, c->r->clock_ms, &j->rows);
        }
    }
}

static void all_leave(struct joining *j)
{
    struct ref_copy *c = j->c;
    struct ref_list out = c->joined;
    c->joined = (struct ref_list){0};
    for (uint32_t i = 0; i < out.n; i++) {
        struct ref_entry *e = out.v[i];
        ref_entry_out(c, e);
        e->cause = j->cause;
        e->cause_object = j->cause_object;
    }
    ref_part_make(c, &out, true, &j->rows);
}

/* ---- flushes ---- */

static const struct ref_event *held_event(const struct ref_list *held, uint32_t i)
{
    return ((const struct ref_held *)held->v[i])->event;
}

/* Two batches that flush together: each pair once, left by right, then unmatched right ones. */
static void meet_batches(struct joining *j, const struct ref_list *left,
                         const struct ref_list *right)
{
    struct ref_copy *c = j->c;
    bool *met = REF_NEW_N(c->r, bool, right->n);
    for (uint32_t i = 0; i < left->n; i++) {
        const struct ref_event *l = held_event(left, i);
        bool any = false;
        for (uint32_t k = 0; k < right->n; k++) {
            const struct ref_event *r = held_event(right, k);
            if (match(c, l, r)) {
                any = met[k] = true;
                pair(j, l, r, l->ts_ms > r->ts_ms ? l->ts_ms : r->ts_ms);
            }
        }
        if (!any && side_preserved(c, LEFT) && side_triggers(c, LEFT)) {
            pair(j, l, NULL, l->ts_ms);
        }
    }
    for (uint32_t k = 0; k < right->n; k++) {
        if (!met[k] && side_preserved(c, RIGHT) && side_triggers(c, RIGHT)) {
            pair(j, NULL, held_event(right, k), held_event(right, k)->ts_ms);
        }
    }
}

/* flush[side]: the FLUSH or SESSION act of that side, or NULL. */
static void flush(struct joining *j, struct ref_act *const flushes[2])
{
    struct ref_copy *c = j->c;
    const struct ref_act *l = flushes[LEFT];
    const struct ref_act *r = flushes[RIGHT];
    bool session =
        (l != NULL && l->kind == REF_ACT_SESSION) || (r != NULL && r->kind == REF_ACT_SESSION);
    if (!session) {
        all_leave(j);
    }
    j->flush = true;
    if (l != NULL && r != NULL) {
        meet_batches(j, &l->batch, &r->batch);
    } else {
        uint32_t side = l != NULL ? LEFT : RIGHT;
        struct ref_list others = content(c, !side);
        const struct ref_list *batch = &flushes[side]->batch;
        for (uint32_t i = 0; i < batch->n && side_triggers(c, side); i++) {
            meet(j, side, held_event(batch, i), &others);
        }
    }
    j->flush = false;
    ref_part_make(c, &j->part, false, &j->rows);
    j->part = (struct ref_list){0};
    if (session) {
        all_leave(j);
    }
}

/* ---- what the sides' windows do ---- */

/* Sliding acts of one side, in order; a flush is left for later. */
static void slide(struct joining *j, uint32_t side, const struct ref_list *acts,
                  struct ref_list *flushes)
{
    for (uint32_t i = 0; i < acts->n; i++) {
        struct ref_act *a = acts->v[i];
        switch (a->kind) {
        case REF_ACT_IN:
            if (side_triggers(j->c, side)) {
                struct ref_list others = content(j->c, !side);
                meet(j, side, a->held->event, &others);
            }
            break;
        case REF_ACT_OUT: leave(j, side, a->held->event); break;
        case REF_ACT_FLUSH:
        case REF_ACT_SESSION: ref_list_add(j->c->r, flushes, a); break;
        }
    }
}

static void flush_all(struct joining *j, const struct ref_list flushes[2])
{
    uint32_t n = flushes[LEFT].n > flushes[RIGHT].n ? flushes[LEFT].n : flushes[RIGHT].n;
    for (uint32_t i = 0; i < n; i++) {
        struct ref_act *pair_of[2] = {i < flushes[LEFT].n ? flushes[LEFT].v[i] : NULL,
                                      i < flushes[RIGHT].n ? flushes[RIGHT].v[i] : NULL};
        flush(j, pair_of);
    }
}

/* Expired rows that the event pushed out stand before its own: two row sets. */
static void finish_rows(struct joining *j, uint32_t from)
{
    struct ref_list own = {0};
    uint32_t at = from;
    while (at < j->rows.n && ((const struct ref_row *)j->rows.v[at])->expired) {
        at++;
    }
    for (uint32_t i = at; i < j->rows.n; i++) {
        ref_list_add(j->c->r, &own, j->rows.v[i]);
    }
    j->rows.n = at;
    ref_row_set(j->c, &j->rows, from);
    ref_row_set(j->c, &own, 0);
    for (uint32_t i = 0; i < own.n; i++) {
        ref_list_add(j->c->r, &j->rows, own.v[i]);
    }
}

static void arrive(struct joining *j, uint32_t side, const struct ref_event *event,
                   struct ref_list flushes[2])
{
    struct ref_copy *c = j->c;
    struct ref_held *h = REF_NEW(c->r, struct ref_held);
    *h = (struct ref_held){.event = event};
    struct ref_list acts = {0};
    ref_window_arrive(c, &c->window[side], h, &acts);
    if (c->window[side].kind == REF_WINDOW_NONE && side_holds(c, side)) {
        ref_list_add(c->r, &c->side[side], (void *)(uintptr_t)event);
    }
    slide(j, side, &acts, &flushes[side]);
}

/* A self join takes the event as a left one, then as a right one. All its rows are one row set, but
 * for flushes; batches of both sides that it completes flush together. */
static void self_join(struct joining *j, const struct ref_event *event)
{
    struct ref_list flushes[2] = {{0}, {0}};
    bool batch = ref_window_is_batch(&j->c->window[LEFT]);
    bool both = batch && ref_window_is_batch(&j->c->window[RIGHT]);
    arrive(j, LEFT, event, flushes);
    if (batch && !both) {
        flush_all(j, flushes);
        flushes[LEFT] = (struct ref_list){0};
    }
    uint32_t from = batch ? j->rows.n : 0;
    arrive(j, RIGHT, event, flushes);
    finish_rows(j, from);
    flush_all(j, flushes);
}

void ref_join(struct ref_copy *c, const struct efx_bobject *object, const struct ref_event *event)
{
    struct joining j = {.c = c, .cause = event, .cause_object = object};
    if (c->q->inputs[LEFT].object == c->q->inputs[RIGHT].object) {
        self_join(&j, event);
    } else {
        struct ref_list flushes[2] = {{0}, {0}};
        arrive(&j, c->q->inputs[LEFT].object == object ? LEFT : RIGHT, event, flushes);
        finish_rows(&j, 0);
        flush_all(&j, flushes);
    }
    ref_rows_pass(c, &j.rows);
}

/* At one due time what leaves comes first, left before right, then flushes. */
void ref_join_fire(struct ref_copy *c)
{
    struct joining j = {.c = c, .cause_object = c->q->inputs[is_table(c, LEFT)].object};
    struct ref_list flushes[2] = {{0}, {0}};
    for (uint32_t side = LEFT; side <= RIGHT; side++) {
        struct ref_list acts = {0};
        ref_window_fire(c, &c->window[side], &acts);
        slide(&j, side, &acts, &flushes[side]);
    }
    ref_row_set(c, &j.rows, 0);
    flush_all(&j, flushes);
    ref_rows_pass(c, &j.rows);
}
