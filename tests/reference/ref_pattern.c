#include "ref.h"

/* Patterns of events, chains and EVERY (language §8.2 – §8.8): a list of partial matches, each
 * offered every event, the oldest first.
 *
 *   EVERY e1=A{2,3} -> (e2=B -> e3=C WITHIN 1 SEC)
 *
 *   elements   0 e1   1 e2   2 e3       in order of the text: the tree is flat, but for scopes
 *   EVERY      elements 0 … 0           when the first one is complete, the partial as it was
 *                                       before is armed again
 *   bounds     elements 1 … 2           from the first event bound in them
 *
 * A partial stands at the element that collects. Open are that one while it has room, and, once it
 * is complete, the next, and so on through elements that may stay empty.
 */
struct scope { /* elements first … last */
    uint32_t first, last;
    int64_t within_ms, within_events; /* bounds; -1 = none */
};

struct ref_pattern_plan {
    uint32_t n_elems;
    const struct efx_bpat **elems;
    uint32_t n_bounds, n_everies;
    struct scope *bounds, *everies;
};

/* ---- plan ---- */

static void count_nodes(const struct efx_bpat *p, uint32_t *n, const char **why)
{
    if (p->kind != EFX_AST_PAT_EVENT && p->kind != EFX_AST_PAT_CHAIN &&
        p->kind != EFX_AST_PAT_EVERY) {
        *why = "AND, OR and NOT in patterns";
    }
    (*n)++;
    for (uint32_t i = 0; i < p->n_kids; i++) {
        count_nodes(p->kids[i], n, why);
    }
}

static void add_node(struct ref_pattern_plan *plan, const struct efx_bpat *p)
{
    struct scope s = {plan->n_elems, 0, p->within_ms, p->within_events};
    if (p->kind == EFX_AST_PAT_EVENT) {
        plan->elems[plan->n_elems++] = p;
    }
    for (uint32_t i = 0; i < p->n_kids; i++) {
        add_node(plan, p->kids[i]);
    }
    s.last = plan->n_elems - 1;
    if (p->kind == EFX_AST_PAT_EVERY) {
        plan->everies[plan->n_everies++] = s;
    }
    if (p->kind == EFX_AST_PAT_CHAIN && (s.within_ms >= 0 || s.within_events >= 0)) {
        plan->bounds[plan->n_bounds++] = s;
    }
}

struct ref_pattern_plan *ref_pattern_plan_make(struct efx_reference *r, const struct efx_bstmt *q,
                                               const char **why)
{
    const struct efx_bpattern *p = q->pattern;
    uint32_t n = 1;
    *why = p->sequence ? "SEQUENCE" : NULL;
    count_nodes(p->root, &n, why);
    if (*why != NULL) {
        return NULL;
    }
    struct ref_pattern_plan *plan = REF_NEW(r, struct ref_pattern_plan);
    plan->elems = REF_NEW_N(r, const struct efx_bpat *, n);
    plan->bounds = REF_NEW_N(r, struct scope, n + 1);
    plan->everies = REF_NEW_N(r, struct scope, n);
    add_node(plan, p->root);
    if (p->within_ms >= 0 || p->within_events >= 0) {
        plan->bounds[plan->n_bounds++] =
            (struct scope){0, plan->n_elems - 1, p->within_ms, p->within_events};
    }
    return plan;
}

/* ---- partials ---- */

struct offering { /* one event, or one due time, and what comes of it */
    struct ref_copy *c;
    const struct ref_pattern_plan *plan;
    struct ref_machine *m;
    const struct ref_event *event;
    uint32_t input;
    struct ref_list matches; /* of struct ref_partial */
};

static uint32_t n_bound(const struct ref_partial *p, uint32_t elem)
{
    return p->elems[elem].n;
}

static bool complete(const struct offering *o, const struct ref_partial *p, uint32_t elem)
{
    return n_bound(p, elem) >= o->plan->elems[elem]->min;
}

/* A bound event knows its number among those of the machine. */
struct numbered {
    struct ref_event event;
    uint64_t no;
};

static uint64_t no_of(const struct ref_event *bound)
{
    return ((const struct numbered *)bound)->no;
}

static const struct ref_event *first_event(const struct ref_partial *p, uint32_t first,
                                           uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        if (p->elems[i].n > 0) {
            return p->elems[i].v[0];
        }
    }
    return NULL;
}

static struct ref_partial *partial_make(const struct offering *o, const struct ref_partial *like,
                                        uint32_t at)
{
    struct efx_reference *r = o->c->r;
    struct ref_partial *p = REF_NEW(r, struct ref_partial);
    p->elems = REF_NEW_N(r, struct ref_list, o->plan->n_elems);
    p->at = at;
    for (uint32_t i = 0; i < at; i++) {
        p->elems[i] = ref_list_copy(r, &like->elems[i]);
    }
    return p;
}

/* Does the partial still work on these elements? Behind them, or with all of them complete, their
 * bound has ended; the whole pattern's never does before the match. */
static bool inside(const struct offering *o, const struct ref_partial *p, const struct scope *s)
{
    if (p->at > s->last || first_event(p, s->first, s->last) == NULL) {
        return false;
    }
    bool done = true;
    for (uint32_t i = p->at < s->first ? s->first : p->at; i <= s->last; i++) {
        done = done && complete(o, p, i);
    }
    return !done || s->last + 1 == o->plan->n_elems;
}

/* The greatest clock at which the partial lives. */
static int64_t limit_ms(const struct offering *o, const struct ref_partial *p)
{
    int64_t limit = EFX_NEVER_MS;
    for (uint32_t i = 0; i < o->plan->n_bounds; i++) {
        const struct scope *s = &o->plan->bounds[i];
        if (s->within_ms >= 0 && inside(o, p, s)) {
            int64_t t = first_event(p, s->first, s->last)->ts_ms + s->within_ms;
            limit = t < limit ? t : limit;
        }
    }
    return limit;
}

static bool out_of_events(const struct offering *o, const struct ref_partial *p)
{
    for (uint32_t i = 0; i < o->plan->n_bounds; i++) {
        const struct scope *s = &o->plan->bounds[i];
        if (s->within_events >= 0 && inside(o, p, s)) {
            uint64_t first = no_of(first_event(p, s->first, s->last));
            if (o->m->n_events - first + 1 > (uint64_t)s->within_events) {
                return true;
            }
        }
    }
    return false;
}

/* Is the event too far from the first one of each bounded part that the element stands in? */
static bool too_far(const struct offering *o, const struct ref_partial *p, uint32_t elem)
{
    for (uint32_t i = 0; i < o->plan->n_bounds; i++) {
        const struct scope *s = &o->plan->bounds[i];
        const struct ref_event *first =
            s->first <= elem && elem <= s->last ? first_event(p, s->first, s->last) : NULL;
        if (first == NULL) {
            continue;
        }
        int64_t apart = o->event->ts_ms - first->ts_ms;
        if (s->within_ms >= 0 && (apart > s->within_ms || -apart > s->within_ms)) {
            return true;
        }
        if (s->within_events >= 0 &&
            o->m->n_events - no_of(first) + 1 > (uint64_t)s->within_events) {
            return true;
        }
    }
    return false;
}

/* A copy that dies before the first element of its EVERY is complete arms that EVERY again. */
static void rearm_after_death(struct offering *o, const struct ref_partial *p)
{
    for (uint32_t i = 0; i < o->plan->n_everies; i++) {
        uint32_t a = o->plan->everies[i].first;
        if (p->at == a && n_bound(p, a) > 0 && !complete(o, p, a)) {
            struct ref_partial *again = partial_make(o, p, a);
            if (limit_ms(o, again) >= o->c->r->clock_ms && !out_of_events(o, again)) {
                ref_list_add(o->c->r, &o->m->partials, again);
            }
            return;
        }
    }
}

/* ---- matches ---- */

/* In order of the arrival of their first events, then of their second … */
static int match_compare(const struct offering *o, const struct ref_partial *a,
                         const struct ref_partial *b)
{
    uint32_t ia = 0;
    uint32_t ib = 0;
    uint32_t ka = 0;
    uint32_t kb = 0;
    for (;;) {
        while (ia < o->plan->n_elems && ka == a->elems[ia].n) {
            ia++;
            ka = 0;
        }
        while (ib < o->plan->n_elems && kb == b->elems[ib].n) {
            ib++;
            kb = 0;
        }
        if (ia == o->plan->n_elems || ib == o->plan->n_elems) {
            return (ib == o->plan->n_elems) - (ia == o->plan->n_elems);
        }
        uint64_t x = no_of(a->elems[ia].v[ka++]);
        uint64_t y = no_of(b->elems[ib].v[kb++]);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
}

static void add_match(struct offering *o, struct ref_partial *p)
{
    uint32_t at = o->matches.n;
    while (at > 0 && match_compare(o, p, o->matches.v[at - 1]) < 0) {
        at--;
    }
    ref_list_insert(o->c->r, &o->matches, at, p);
}

static uint64_t first_no(const struct offering *o, const struct ref_partial *p)
{
    const struct ref_event *e = first_event(p, 0, o->plan->n_elems - 1);
    return e != NULL ? no_of(e) : UINT64_MAX;
}

/* AFTER MATCH SKIP PAST LAST ROW: the first match drops all that shares its events. Its last event
 * is the present one, which started partials cannot come after. */
static void skip_past_last_row(struct offering *o)
{
    if (!o->c->q->pattern->skip_past_last_row || o->matches.n == 0) {
        return;
    }
    o->matches.n = 1;
    struct ref_list old = ref_list_copy(o->c->r, &o->m->partials);
    for (uint32_t i = 0; i < old.n; i++) {
        if (first_no(o, old.v[i]) != UINT64_MAX) {
            ref_list_drop(&o->m->partials, old.v[i]);
            rearm_after_death(o, old.v[i]);
        }
    }
}

/* The rows of matches, or of partials that died by WITHIN (expired: no aggregate changes). */
static void rows_of(struct offering *o, bool expired, int64_t ts_ms, const struct ref_list *of,
                    struct ref_list *rows)
{
    struct ref_copy *c = o->c;
    for (uint32_t i = 0; i < of->n; i++) {
        struct ref_entry like = {.elems = ((const struct ref_partial *)of->v[i])->elems,
                                 .key = o->m->key,
                                 .ts_ms = ts_ms,
                                 .cause = o->event,
                                 .cause_object = c->q->inputs[o->input].object};
        struct ref_env env = ref_entry_env(c, &like);
        bool wanted = ref_eval_true(&env, c->q->where);
        if (env.error != 0) {
            ref_data_error(c->r, like.cause_object, like.cause, env.error);
        }
        struct ref_entry *e = wanted ? ref_entry_make(c, &like) : NULL;
        if (e == NULL) {
            continue;
        }
        if (!expired) {
            ref_entry_in(c, e);
        }
        if (expired || !e->arg_failed) {
            ref_row_make(c, e, expired, ts_ms, rows);
        }
    }
}

/* ---- events ---- */

static bool accepts(struct offering *o, const struct ref_partial *p, uint32_t elem)
{
    const struct efx_bpat *e = o->plan->elems[elem];
    if (e->input != o->input || n_bound(p, elem) >= e->max || too_far(o, p, elem)) {
        return false;
    }
    struct ref_env env = {.r = o->c->r,
                          .elems = p->elems,
                          .key = o->m->key,
                          .candidate = o->event,
                          .ts_ms = o->event->ts_ms};
    bool yes = ref_eval_true(&env, e->filter);
    if (env.error != 0) {
        ref_data_error(o->c->r, o->c->q->inputs[o->input].object, o->event, env.error);
    }
    return yes;
}

/* Has this binding completed the first element of an EVERY? Then that is armed again, as the
 * partial was on entering it. An element that may stay empty counts from the first event on. */
static void rearm_after_binding(struct offering *o, const struct ref_partial *p, uint32_t was_at)
{
    for (uint32_t i = 0; i < o->plan->n_everies; i++) {
        const struct scope *s = &o->plan->everies[i];
        uint32_t a = s->first;
        uint32_t min = o->plan->elems[a]->min;
        uint32_t n = 0; /* events in the EVERY */
        for (uint32_t k = a; k < o->plan->n_elems; k++) {
            n += n_bound(p, k);
        }
        bool now = min > 0 ? p->at == a && n_bound(p, a) == min : n == 1 && p->at >= a;
        if (now && was_at <= a) {
            ref_list_add(o->c->r, &o->m->partials, partial_make(o, p, a));
            return;
        }
    }
}

static bool matched(const struct offering *o, const struct ref_partial *p)
{
    for (uint32_t i = p->at; i < o->plan->n_elems; i++) {
        if (!complete(o, p, i)) {
            return false;
        }
    }
    return true;
}

static void bind(struct offering *o, struct ref_partial *p, uint32_t elem)
{
    uint32_t was_at = p->at;
    ref_list_add(o->c->r, &p->elems[elem], (void *)(uintptr_t)o->event);
    p->at = elem;
    rearm_after_binding(o, p, was_at);
    if (matched(o, p)) {
        ref_list_drop(&o->m->partials, p);
        add_match(o, p);
    }
}

/* To the open elements, the last one of the chain first. */
static void offer(struct offering *o, struct ref_partial *p)
{
    uint32_t last = p->at;
    while (last + 1 < o->plan->n_elems && complete(o, p, last)) {
        last++;
    }
    for (uint32_t elem = last + 1; elem-- > p->at;) {
        if (accepts(o, p, elem)) {
            bind(o, p, elem);
            return;
        }
    }
}

static void drop_out_of_events(struct offering *o)
{
    struct ref_list old = ref_list_copy(o->c->r, &o->m->partials);
    for (uint32_t i = 0; i < old.n; i++) {
        if (out_of_events(o, old.v[i])) {
            ref_list_drop(&o->m->partials, old.v[i]);
            rearm_after_death(o, old.v[i]);
        }
    }
}

static struct ref_machine *machine_of(struct ref_copy *c, const struct efx_value *key)
{
    for (uint32_t i = 0; i < c->machines.n; i++) {
        struct ref_machine *m = c->machines.v[i];
        if (ref_same_all(m->key, key, c->q->pattern->n_keys)) {
            return m;
        }
    }
    struct ref_machine *m = REF_NEW(c->r, struct ref_machine);
    m->key = key;
    struct offering o = {.c = c, .plan = c->r->patterns[c->q->id], .m = m};
    ref_list_add(c->r, &m->partials, partial_make(&o, NULL, 0));
    ref_list_add(c->r, &c->machines, m);
    return m;
}

/* The key of PARTITION BY; false = it has a NULL. */
static bool key_of(struct ref_copy *c, uint32_t input, const struct ref_event *event,
                   const struct efx_value **key)
{
    const struct efx_bpattern *p = c->q->pattern;
    struct efx_value *v = REF_NEW_N(c->r, struct efx_value, p->n_keys);
    for (uint32_t i = 0; i < p->n_keys; i++) {
        struct efx_bx col = {.op = EFX_BX_COL,
                             .type = event->v[p->key_cols[input].col[i]].type,
                             .col = p->key_cols[input].col[i]};
        struct efx_bx *arg = &col;
        struct efx_bx cast = {
            .op = EFX_BX_CAST, .type = p->key_types[i], .n_args = 1, .args = &arg};
        struct ref_env env = {.r = c->r, .input = {event}};
        v[i] = ref_eval(&env, &cast);
        if (v[i].null) {
            return false;
        }
    }
    *key = v;
    return true;
}

void ref_pattern_start(struct ref_copy *c)
{
    if (c->q->pattern->n_keys == 0) {
        machine_of(c, NULL);
    }
}

/* ---- time ---- */

/* A partial is dropped when the clock has passed its limit: a millisecond later. */
int64_t ref_pattern_due(const struct ref_copy *c)
{
    int64_t due = EFX_NEVER_MS;
    struct offering o = {.c = (struct ref_copy *)(uintptr_t)c, .plan = c->r->patterns[c->q->id]};
    for (uint32_t i = 0; i < c->machines.n; i++) {
        o.m = c->machines.v[i];
        for (uint32_t k = 0; k < o.m->partials.n; k++) {
            int64_t limit = limit_ms(&o, o.m->partials.v[k]);
            if (limit != EFX_NEVER_MS && limit + 1 < due) {
                due = limit + 1;
            }
        }
    }
    return due;
}

static void machine_fire(struct ref_copy *c, struct ref_machine *m, struct ref_list *rows)
{
    struct offering o = {.c = c, .plan = c->r->patterns[c->q->id], .m = m};
    struct ref_list old = ref_list_copy(c->r, &m->partials);
    for (uint32_t i = 0; i < old.n; i++) {
        int64_t limit = limit_ms(&o, old.v[i]);
        if (limit >= c->r->clock_ms) {
            continue;
        }
        ref_list_drop(&m->partials, old.v[i]);
        add_match(&o, old.v[i]);
        rearm_after_death(&o, old.v[i]);
    }
    for (uint32_t i = 0; c->q->expired && i < o.matches.n; i++) {
        struct ref_list one = {.v = &o.matches.v[i], .n = 1};
        rows_of(&o, true, limit_ms(&o, o.matches.v[i]), &one, rows);
    }
}

void ref_pattern_fire(struct ref_copy *c)
{
    struct ref_list rows = {0};
    for (uint32_t i = 0; i < c->machines.n; i++) {
        machine_fire(c, c->machines.v[i], &rows);
    }
    ref_rows_pass(c, &rows);
}

void ref_pattern(struct ref_copy *c, const struct efx_bobject *object,
                 const struct ref_event *event)
{
    uint32_t input = 0;
    while (c->q->inputs[input].object != object) {
        input++;
    }
    const struct efx_value *key = NULL;
    if (!key_of(c, input, event, &key)) {
        return;
    }
    struct ref_machine *m = machine_of(c, key);
    struct numbered *e = REF_NEW(c->r, struct numbered);
    *e = (struct numbered){.event = *event, .no = ++m->n_events};
    struct offering o = {
        .c = c, .plan = c->r->patterns[c->q->id], .m = m, .event = &e->event, .input = input};
    struct ref_list rows = {0};
    for (uint32_t i = 0; i < c->machines.n; i++) { /* bounds that time has passed come first */
        machine_fire(c, c->machines.v[i], &rows);
    }
    drop_out_of_events(&o);
    struct ref_list old = ref_list_copy(c->r, &m->partials);
    for (uint32_t i = 0; i < old.n; i++) {
        offer(&o, old.v[i]);
    }
    skip_past_last_row(&o);
    rows_of(&o, false, event->ts_ms, &o.matches, &rows);
    machine_fire(c, m, &rows); /* a late event may begin what is over already */
    ref_rows_pass(c, &rows);
}
