#include "ref.h"

/* The selector (language §3.4, §3.5): groups, aggregates, rows of events and of flushes. */

struct ref_env ref_entry_env(struct ref_copy *c, const struct ref_entry *e)
{
    return (struct ref_env){.r = c->r,
                            .input = {e->input[0], e->input[1]},
                            .elems = e->elems,
                            .key = e->key,
                            .ts_ms = e->ts_ms};
}

static void raise(struct ref_copy *c, const struct ref_entry *e, uint16_t code)
{
    ref_data_error(c->r, e->cause_object, e->cause, code);
}

static struct ref_group *group_of(struct ref_copy *c, const struct efx_value *key)
{
    for (uint32_t i = 0; i < c->groups.n; i++) {
        struct ref_group *g = c->groups.v[i];
        if (ref_same_all(g->key, key, c->q->n_group)) {
            return g;
        }
    }
    struct ref_group *g = REF_NEW(c->r, struct ref_group);
    g->key = key;
    g->passed_ms = EFX_TS_NONE;
    ref_list_add(c->r, &c->groups, g);
    return g;
}

/* FILTER decides whether an aggregate sees the event; a failed FILTER is not met, a failed argument
 * is NULL. */
static void take_arguments(struct ref_copy *c, struct ref_entry *e)
{
    const struct efx_bstmt *q = c->q;
    uint16_t failed = 0;
    e->args = REF_NEW_N(c->r, struct efx_value, q->n_aggs);
    e->counts = REF_NEW_N(c->r, bool, q->n_aggs);
    for (uint32_t i = 0; i < q->n_aggs; i++) {
        struct ref_env env = ref_entry_env(c, e);
        e->counts[i] = ref_eval_true(&env, q->aggs[i].filter);
        e->args[i] = (struct efx_value){.type = EFX_TYPE_BOOL, .b = true};
        if (e->counts[i] && q->aggs[i].arg != NULL) {
            e->args[i] = ref_eval(&env, q->aggs[i].arg);
            e->args[i].null |= env.error != 0;
        }
        failed = failed != 0 ? failed : env.error;
    }
    e->arg_failed = failed != 0;
    if (failed != 0) {
        raise(c, e, failed);
    }
}

struct ref_entry *ref_entry_make(struct ref_copy *c, const struct ref_entry *like)
{
    struct ref_entry *e = REF_NEW(c->r, struct ref_entry);
    *e = *like;
    struct efx_value *key = REF_NEW_N(c->r, struct efx_value, c->q->n_group);
    struct ref_env env = ref_entry_env(c, e);
    for (uint32_t i = 0; i < c->q->n_group; i++) {
        key[i] = ref_eval(&env, c->q->group[i]);
    }
    if (env.error != 0) {
        raise(c, e, env.error);
        return NULL;
    }
    e->group = group_of(c, key);
    take_arguments(c, e);
    return e;
}

/* Without a window a group is forgotten state.ttl after its last event, by the clock. */
static void forget_old(struct ref_copy *c, struct ref_group *g)
{
    const struct efx_bstmt *q = c->q;
    if (q->kind != EFX_STMT_SINGLE || q->inputs[0].window.vt != NULL || q->n_group == 0 ||
        q->inputs[0].object->kind != EFX_OBJ_STREAM) {
        return;
    }
    int64_t ttl = q->inputs[0].object->conf.state_ttl_ms;
    if (ttl > 0 && g->in.n > 0 && c->r->clock_ms >= g->last_ms + ttl) {
        g->in.n = 0;
    }
}

void ref_entry_in(struct ref_copy *c, struct ref_entry *e)
{
    if (c->q->n_aggs == 0) {
        return;
    }
    forget_old(c, e->group);
    e->group->last_ms = e->ts_ms;
    ref_list_add(c->r, &e->group->in, e);
}

void ref_entry_out(struct ref_copy *c, struct ref_entry *e)
{
    if (c->q->n_aggs > 0) {
        ref_list_drop(&e->group->in, e);
    }
}

/* Present values of the group's aggregates. */
static uint16_t aggregate_all(struct ref_copy *c, const struct ref_group *g,
                              struct efx_value *values)
{
    const struct efx_bstmt *q = c->q;
    uint16_t failed = 0;
    for (uint32_t i = 0; i < q->n_aggs; i++) {
        struct efx_value *args = REF_NEW_N(c->r, struct efx_value, g->in.n);
        uint32_t n = 0;
        for (uint32_t j = 0; j < g->in.n; j++) {
            const struct ref_entry *e = g->in.v[j];
            if (e->counts[i]) {
                args[n++] = e->args[i];
            }
        }
        uint16_t code = ref_aggregate(c->r, &q->aggs[i], args, n, &values[i]);
        failed = failed != 0 ? failed : code;
    }
    return failed;
}

/* ORDER BY works on row sets only: there only its expressions are evaluated. */
static bool has_row_sets(const struct ref_copy *c)
{
    return c->q->kind == EFX_STMT_JOIN || ref_window_is_batch(&c->window[0]);
}

void ref_row_make(struct ref_copy *c, struct ref_entry *e, bool expired, int64_t ts_ms,
                  struct ref_list *rows)
{
    const struct efx_bstmt *q = c->q;
    if (expired ? !q->expired : !q->current) {
        return;
    }
    struct efx_value *aggs = REF_NEW_N(c->r, struct efx_value, q->n_aggs);
    struct efx_value *out = REF_NEW_N(c->r, struct efx_value, q->n_out);
    struct efx_value *order = REF_NEW_N(c->r, struct efx_value, q->n_order);
    struct ref_env env = ref_entry_env(c, e);
    env.ts_ms = ts_ms; /* an expired event is a copy, stamped with the time at which it left */
    env.error = aggregate_all(c, e->group, aggs);
    env.aggs = aggs;
    for (uint32_t i = 0; i < q->n_out && env.error == 0; i++) {
        out[i] = ref_eval(&env, q->out[i].expr);
    }
    env.out = out;
    bool wanted = env.error == 0 && ref_eval_true(&env, q->having);
    for (uint32_t i = 0; i < q->n_order && wanted && has_row_sets(c); i++) {
        order[i] = ref_eval(&env, q->order[i].expr);
    }
    if (env.error != 0) {
        raise(c, e, env.error);
        return;
    }
    if (wanted) {
        struct ref_row *row = REF_NEW(c->r, struct ref_row);
        *row = (struct ref_row){
            .expired = expired, .ts_ms = ts_ms, .out = out, .order = order, .entry = e};
        ref_list_add(c->r, rows, row);
    }
}

/* The last entry of each group, groups in first-seen order; without GROUP BY there is one. */
static struct ref_list last_of_groups(struct ref_copy *c, const struct ref_list *entries)
{
    struct ref_list last = {0};
    for (uint32_t i = 0; i < entries->n; i++) {
        struct ref_entry *e = entries->v[i];
        uint32_t at = 0;
        while (at < last.n && ((struct ref_entry *)last.v[at])->group != e->group) {
            at++;
        }
        if (at == last.n) {
            ref_list_add(c->r, &last, e);
        } else {
            last.v[at] = e;
        }
    }
    return last;
}

void ref_part_make(struct ref_copy *c, const struct ref_list *entries, bool expired,
                   struct ref_list *rows)
{
    uint32_t from = rows->n;
    bool all = c->q->n_aggs == 0 && c->q->n_group == 0;
    struct ref_list of = all ? *entries : last_of_groups(c, entries);
    for (uint32_t i = 0; i < of.n; i++) {
        struct ref_entry *e = of.v[i];
        ref_row_make(c, e, expired, expired ? c->r->clock_ms : e->ts_ms, rows);
    }
    ref_row_set(c, rows, from);
}

/* < 0: a stands before b. */
static int order_compare(const struct ref_copy *c, const struct ref_row *a, const struct ref_row *b)
{
    for (uint32_t i = 0; i < c->q->n_order; i++) {
        const struct efx_border *by = &c->q->order[i];
        const struct efx_value *x = &a->order[i];
        const struct efx_value *y = &b->order[i];
        int sign = 0;
        if (x->null != y->null) {
            sign = x->null == by->nulls_first ? -1 : 1;
        } else if (!x->null) {
            sign = efx_value_compare(x, y) * (by->desc ? -1 : 1);
        }
        if (sign != 0) {
            return sign;
        }
    }
    return 0;
}

void ref_row_set(struct ref_copy *c, struct ref_list *rows, uint32_t from)
{
    for (uint32_t i = from + 1; i < rows->n; i++) { /* insertion sort: stable */
        void *row = rows->v[i];
        uint32_t at = i;
        while (at > from && order_compare(c, row, rows->v[at - 1]) < 0) {
            rows->v[at] = rows->v[at - 1];
            at--;
        }
        rows->v[at] = row;
    }
    for (int64_t skip = c->q->offset; skip > 0 && rows->n > from; skip--) {
        ref_list_remove(rows, from);
    }
    if (c->q->limit >= 0 && rows->n - from > c->q->limit) {
        rows->n = from + (uint32_t)c->q->limit;
    }
}

/* ---- single streams ---- */

static struct ref_list entries_of(struct ref_copy *c, const struct ref_list *held)
{
    struct ref_list entries = {0};
    for (uint32_t i = 0; i < held->n; i++) {
        ref_list_add(c->r, &entries, ((struct ref_held *)held->v[i])->entry);
    }
    return entries;
}

static void all_in(struct ref_copy *c, const struct ref_list *entries)
{
    for (uint32_t i = 0; i < entries->n; i++) {
        ref_entry_in(c, entries->v[i]);
    }
}

static void all_out(struct ref_copy *c, const struct ref_list *entries)
{
    for (uint32_t i = 0; i < entries->n; i++) {
        ref_entry_out(c, entries->v[i]);
    }
}

static void act(struct ref_copy *c, struct ref_act *a, struct ref_list *rows)
{
    struct ref_list old = entries_of(c, &a->old);
    struct ref_list batch = entries_of(c, &a->batch);
    switch (a->kind) {
    case REF_ACT_IN:
        ref_entry_in(c, a->held->entry);
        if (!a->held->entry->arg_failed) {
            ref_row_make(c, a->held->entry, false, a->held->event->ts_ms, rows);
        }
        break;
    case REF_ACT_OUT:
        ref_entry_out(c, a->held->entry);
        ref_row_make(c, a->held->entry, true, c->r->clock_ms, rows);
        break;
    case REF_ACT_FLUSH: /* expired part, reset, current part */
        all_out(c, &old);
        ref_part_make(c, &old, true, rows);
        all_in(c, &batch);
        ref_part_make(c, &batch, false, rows);
        break;
    case REF_ACT_SESSION: /* its expired part follows */
        all_in(c, &batch);
        ref_part_make(c, &batch, false, rows);
        all_out(c, &batch);
        ref_part_make(c, &batch, true, rows);
        break;
    }
}

static void act_all(struct ref_copy *c, const struct ref_list *acts)
{
    struct ref_list rows = {0};
    for (uint32_t i = 0; i < acts->n; i++) {
        act(c, acts->v[i], &rows);
    }
    ref_rows_pass(c, &rows);
}

void ref_single(struct ref_copy *c, const struct ref_event *event)
{
    struct ref_entry like = {.input = {event},
                             .ts_ms = event->ts_ms,
                             .cause = event,
                             .cause_object = c->q->inputs[0].object};
    struct ref_env env = ref_entry_env(c, &like);
    bool wanted = ref_eval_true(&env, c->q->where);
    if (env.error != 0) {
        raise(c, &like, env.error);
    }
    if (!wanted) {
        return;
    }
    struct ref_held *h = REF_NEW(c->r, struct ref_held);
    *h = (struct ref_held){.event = event, .entry = ref_entry_make(c, &like)};
    if (h->entry == NULL) {
        return;
    }
    struct ref_list acts = {0};
    ref_window_arrive(c, &c->window[0], h, &acts);
    act_all(c, &acts);
}

void ref_single_fire(struct ref_copy *c)
{
    struct ref_list acts = {0};
    ref_window_fire(c, &c->window[0], &acts);
    act_all(c, &acts);
}
