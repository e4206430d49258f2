/* Life of partials, and the row loop that lets events meet them (language §8.2, §8.3, §8.6).
 *
 *   row ─► limits passed ─► partials waiting for it, oldest first ─► a new one
 *
 *   empty ──first event──► LIVE ──last element complete──► match, gone (without EVERY: DONE)
 *   (no record)            │  ▲ └──limit passed──► dead, an EXPIRED row if asked for
 *                          └──┘ every event that it takes
 *
 * The empty partial needs no record: with EVERY it is armed again as soon as the first element of
 * the copy is complete, so an event begins a new copy unless there is one whose first element is
 * not; that one waits at e1 and has just been asked. Without EVERY the one partial of a machine
 * stands in the gate's list, also when it is DONE, and nothing begins beside it.
 *
 * Age is the order of first events, since a machine begins at most one partial an event. So asking
 * the lists merged by age gives matches in the order that the language wants.
 *
 *   Open elements of a partial at p are a run lo .. hi: p itself while it may collect, then, if p
 *   is complete, the next ones up to the first that needs an event.
 */
#include "nfa_run.h"

struct range {
    uint32_t lo, hi; /* lo > hi: none */
};

static struct range open_at(const struct efx_nfa *nfa, uint32_t pos, uint32_t count)
{
    const struct efx_nfa_elem *e = &nfa->elems[pos];
    struct range o = {count < e->max ? pos : pos + 1, pos};
    if (count < e->min) {
        return o;
    }
    while (o.hi + 1 < nfa->n_elems) {
        o.hi++;
        if (nfa->elems[o.hi].min > 0) {
            break;
        }
    }
    return o;
}

int64_t efx_nfa__limit_ms(const struct efx_nfa *nfa, const struct efx_nfa_partial *p)
{
    int64_t limit;
    return __builtin_add_overflow(p->first_ms, nfa->within_ms, &limit) ? INT64_MAX : limit;
}

int64_t efx_nfa_run_due_ms(const struct efx_nfa_run *r)
{
    int64_t first_ms = r->pool.dues.least_ms, limit_ms;
    if (first_ms == EFX_NEVER_MS ||
        __builtin_add_overflow(first_ms, r->nfa->within_ms, &limit_ms) ||
        limit_ms >= EFX_NEVER_MS - 1) {
        return EFX_NEVER_MS;
    }
    return limit_ms + 1; /* the bound is inclusive */
}

/* Into the list of element q; a NULL in an equation is met by nobody. */
static enum efx_rc link_at(struct efx_nfa_run *r, uint32_t id, uint32_t q)
{
    const struct efx_nfa *nfa = r->nfa;
    const struct efx_nfa_elem *e = &nfa->elems[q];
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < nfa->n_keys + e->n_corr; i++) {
        struct efx_cell value[1];
        uint32_t s = e->cmps[i].slot;
        if (!efx_nfa__slot_get(&r->pool, id, s, value, 0)) {
            return EFX_OK;
        }
        hash = efx_nfa__hash_value(hash, nfa->slots[s].type, value);
    }
    uint32_t k = efx_nfa__node_of(nfa, q);
    EFX_ASSERT(efx_nfa__node(p, k)->prev == EFX_NFA_UNLINKED);
    return efx_nfa__link(&r->pool, q, id, k, hash);
}

enum efx_rc efx_nfa__link_open(struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    struct range o = open_at(r->nfa, p->pos, p->count);
    for (uint32_t q = o.lo; q <= o.hi; q++) {
        EFX_RET(link_at(r, id, q));
    }
    return EFX_OK;
}

enum efx_rc efx_nfa__link_gate(struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    uint64_t hash = 0;
    for (uint32_t k = 0; k < nfa->n_keys; k++) {
        struct efx_cell value[1];
        if (efx_nfa__slot_get(&r->pool, id, k, value, 0)) {
            hash = efx_nfa__hash_value(hash, nfa->slots[k].type, value);
        }
    }
    return efx_nfa__link(&r->pool, nfa->n_elems, id, (1u << nfa->node_shift) - 1, hash);
}

static void unlink_range(struct efx_nfa_run *r, uint32_t id, struct range o)
{
    for (uint32_t q = o.lo; q <= o.hi; q++) {
        efx_nfa__unlink(&r->pool, q, id, efx_nfa__node_of(r->nfa, q));
    }
}

/* Matched or dead; o are the elements at which it waits. */
static void end_at(struct efx_nfa_run *r, uint32_t id, struct range o)
{
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    efx_nfa__touch(r, id);
    unlink_range(r, id, o);
    efx_nfa__due_del(&r->pool, id);
    if (!r->nfa->every) {
        p->state = EFX_NFA_DONE; /* stays in the gate's list */
        r->pool.n_live--;
        r->finished = r->nfa->n_keys == 0;
        return;
    }
    if (r->nfa->gate) {
        efx_nfa__unlink(&r->pool, r->nfa->n_elems, id, (1u << r->nfa->node_shift) - 1);
    }
    efx_nfa__free(&r->pool, id);
}

static void end_partial(struct efx_nfa_run *r, uint32_t id)
{
    const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    end_at(r, id, open_at(r->nfa, p->pos, p->count));
}

static enum efx_rc die(struct efx_nfa_run *r, uint32_t id, const struct efx_nfa_cause *why)
{
    if (r->nfa->expired) {
        EFX_RET(r->sink.emit(r->sink.arg, id, why));
    }
    end_partial(r, id);
    return EFX_OK;
}

enum efx_rc efx_nfa_run_expire(struct efx_nfa_run *r, const struct efx_step *step, efx_moment until,
                               const struct efx_nfa_row *row)
{
    for (;;) {
        int64_t due_ms = efx_nfa_run_due_ms(r);
        bool timer = efx_op_due(r->op, step, due_ms, until);
        bool passed = !timer && row != NULL && due_ms <= row->clk_ms;
        uint32_t id = timer    ? efx_nfa__due_first(&r->pool)
                      : passed ? efx_nfa__due_first_of(&r->pool, row->copy)
                               : EFX_NFA_NO;
        if (id == EFX_NFA_NO) {
            return EFX_OK;
        }
        const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
        EFX_RET(die(r, id,
                    &(struct efx_nfa_cause){
                        .expired = true,
                        .row = EFX_NO_COL,
                        .ts_ms = due_ms - 1,
                        .clk_ms = due_ms,
                        .moment = timer ? efx_op_timer_moment(r->op, step, due_ms) : until,
                        .sub = r->nfa->partitioned ? efx_nfa__copy_order(r->nfa, p) : p->order,
                    }));
    }
}

static struct efx_nfa_cause cause_of(const struct efx_nfa_slice *s, uint32_t row)
{
    const struct efx_batch *b = s->in->b;
    return (struct efx_nfa_cause){
        .row = row,
        .ts_ms = b->ts_ms[row],
        .clk_ms = efx_batch_clk_ms(b, row),
        .moment = efx_op_row_moment(s->step, b, row),
        .sub = b->sub != NULL ? b->sub[row] : 0,
    };
}

static enum efx_rc add_to_agg(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                              uint32_t id, uint32_t agg)
{
    const struct efx_nfa_agg *a = &r->nfa->aggs[agg];
    if (a->filter != EFX_NFA_NO) {
        const struct efx_col *f = &s->vals[a->filter];
        if (!efx_bit(f->valid, row) || ((const uint8_t *)f->data)[row] == 0) {
            return EFX_OK;
        }
    }
    if (a->arg != EFX_NFA_NO && s->val_fails[a->arg].any &&
        efx_bit(s->val_fails[a->arg].failed, row)) {
        efx_fail_row(s->fails, row, s->val_fails[a->arg].code[row]); /* NULL for the aggregate */
        return EFX_OK;
    }
    struct efx_states at = efx_nfa__states(&r->pool, agg);
    uint64_t failed = 0, valid = 0;
    uint16_t code;
    struct efx_agg_in in = {
        .n = 1, .id = &id, .row = &row, .arg = a->arg == EFX_NFA_NO ? NULL : &s->vals[a->arg]};
    struct efx_agg_out out = {.valid = &valid, .fails = {.failed = &failed, .code = &code}};
    return a->vt->run(&at, &in, &out);
}

/* A slot whose index or text has to be looked at. */
static enum efx_rc set_slot(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                            uint32_t id, uint32_t i)
{
    const struct efx_nfa_slot *slot = &r->nfa->slots[i];
    if (slot->last && slot->n > 0) {
        efx_nfa__slot_shift(&r->pool, id, i);
        return EFX_OK;
    }
    bool mine = slot->last || slot->n == efx_nfa__at(&r->pool, id)->count - 1;
    return mine ? efx_nfa__slot_set(&r->pool, id, i, &s->vals[slot->val], row) : EFX_OK;
}

/* The event becomes number count - 1 of the element where the partial stands now. */
static enum efx_rc bind(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                        uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    const struct efx_nfa_elem *e = &nfa->elems[p->pos];
    uint64_t *valid = efx_nfa__valid(nfa, p);
    efx_nfa__bound(nfa, p)[p->pos / 64] |= (uint64_t)1 << p->pos % 64;
    for (uint32_t i = 0; i < e->n_sets; i++) {
        const struct efx_nfa_set *set = &e->sets[i];
        if (!set->plain) {
            EFX_RET(set_slot(r, s, row, id, set->slot));
            continue;
        }
        const struct efx_col *col = &s->vals[set->val];
        valid[set->slot / 64] |= (uint64_t)efx_bit(col->valid, row) << set->slot % 64;
        memcpy((uint8_t *)p + set->off, (const uint64_t *)col->data + row, 8);
    }
    for (uint32_t i = 0; i < e->n_aggs; i++) {
        EFX_RET(add_to_agg(r, s, row, id, e->aggs[i]));
    }
    return EFX_OK;
}

/* AFTER MATCH SKIP PAST LAST ROW: nothing of this machine goes on. */
static void drop_machine(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row)
{
    const struct efx_nfa *nfa = r->nfa;
    uint32_t node = efx_nfa__find(&r->pool.wait[nfa->n_elems], s->hash[nfa->n_elems][row]);
    while (node != 0) {
        uint32_t id = (node - 1) >> nfa->node_shift;
        node = efx_nfa__next(&r->pool, node);
        if (efx_nfa__at(&r->pool, id)->state == EFX_NFA_LIVE &&
            efx_nfa__same_machine(r, s, row, id)) {
            end_partial(r, id);
        }
    }
}

static bool completes(const struct efx_nfa *nfa, uint32_t q, uint32_t count)
{
    return q + 1 == nfa->n_elems && count >= nfa->elems[q].min;
}

/* The row completes it; `was` are the elements at which it has waited. *stop: no further partial is
 * asked and none begins. */
static enum efx_rc match(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                         uint32_t id, struct range was, bool *stop)
{
    struct efx_nfa_cause why = cause_of(s, row);
    EFX_RET(bind(r, s, row, id));
    EFX_RET(r->sink.emit(r->sink.arg, id, &why));
    end_at(r, id, was);
    *stop = r->nfa->skip_past_last_row;
    if (*stop && r->nfa->every) {
        drop_machine(r, s, row);
    }
    return EFX_OK;
}

/* A waiting partial takes the row for element q. */
static enum efx_rc take(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                        uint32_t id, uint32_t q, bool *stop)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    struct range was = open_at(nfa, p->pos, p->count);
    efx_nfa__touch(r, id);
    p->count = q == p->pos ? p->count + 1 : 1;
    p->pos = q;
    if (completes(nfa, q, p->count)) {
        return match(r, s, row, id, was, stop);
    }
    struct range is = open_at(nfa, q, p->count);
    if (was.lo < is.lo) { /* closed: what it has left, and what it is full of */
        unlink_range(r, id, (struct range){was.lo, is.lo - 1 < was.hi ? is.lo - 1 : was.hi});
    }
    EFX_RET(bind(r, s, row, id));
    for (uint32_t k = was.hi + 1 > is.lo ? was.hi + 1 : is.lo; k <= is.hi; k++) {
        EFX_RET(link_at(r, id, k));
    }
    return EFX_OK;
}

static bool in_time(const struct efx_nfa *nfa, const struct efx_nfa_partial *p, int64_t t_ms)
{
    int64_t since;
    if (nfa->within_ms < 0) {
        return true;
    }
    if (__builtin_sub_overflow(t_ms, p->first_ms, &since)) {
        return false;
    }
    return since <= nfa->within_ms && since >= -nfa->within_ms;
}

/* *armed: a copy whose first element is not complete has been asked, so none may begin. */
static enum efx_rc offer(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                         uint32_t n_cursors, bool *armed, bool *stop)
{
    const struct efx_nfa *nfa = r->nfa;
    int64_t t_ms = efx_step_time_ms(s->step, s->in->b, row);
    while (!*stop) {
        uint32_t best = n_cursors;
        uint64_t age = UINT64_MAX;
        for (uint32_t k = 0; k < n_cursors; k++) { /* last elements first: they win a tie */
            uint32_t id = s->cursor[k] == 0 ? 0 : (s->cursor[k] - 1) >> nfa->node_shift;
            if (id != 0 && efx_nfa__at(&r->pool, id)->age < age) {
                best = k;
                age = efx_nfa__at(&r->pool, id)->age;
            }
        }
        if (best == n_cursors) {
            break;
        }
        uint32_t q = s->cursor_elem[best], id = (s->cursor[best] - 1) >> nfa->node_shift;
        const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
        s->cursor[best] = efx_nfa__next(&r->pool, s->cursor[best]);
        if (q == 0 && p->count < nfa->elems[0].min && efx_nfa__same_machine(r, s, row, id)) {
            *armed = true;
        }
        if (!in_time(nfa, p, t_ms) || !efx_nfa__accepts(r, s, row, id, q)) {
            continue;
        }
        for (uint32_t k = 0; k < n_cursors; k++) {
            if (s->cursor[k] != 0 && (s->cursor[k] - 1) >> nfa->node_shift == id) {
                s->cursor[k] = efx_nfa__next(&r->pool, s->cursor[k]);
            }
        }
        EFX_RET(take(r, s, row, id, q, stop));
    }
    return EFX_OK;
}

static enum efx_rc set_keys(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                            uint32_t id)
{
    const struct efx_nfa *nfa = r->nfa;
    for (uint32_t k = 0; k < nfa->n_keys; k++) {
        EFX_RET(efx_nfa__slot_set(&r->pool, id, k, &s->vals[s->input->keys[k].val], row));
    }
    if (nfa->copy_slot != EFX_NFA_NO) {
        EFX_RET(efx_nfa__slot_set(&r->pool, id, nfa->copy_slot, &s->vals[s->input->copy_val], row));
    }
    return nfa->gate ? efx_nfa__link_gate(r, id) : EFX_OK;
}

/* Turns never fall: a load puts partials of several shards in order by them. */
static uint64_t next_turn(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row)
{
    const efx_moment *m = s->in->b->moment;
    uint64_t turn = m != NULL && efx_moment_is_event(m[row]) ? efx_step_turn(s->step, m[row])
                                                             : s->step->first_turn;
    r->last_turn = turn > r->last_turn ? turn : r->last_turn;
    return r->last_turn;
}

/* Place among partials, or machines, that die together: by turn. Rows of timers have none of
 * their own: they stay behind what came before them. */
static uint64_t next_order(struct efx_nfa_run *r, uint64_t turn)
{
    enum { IN_TURN_BITS = 16 };
    uint64_t order = turn << IN_TURN_BITS;
    r->last_order = order > r->last_order ? order : r->last_order + 1;
    return r->last_order;
}

/* A partial begins with this row at element q. */
static enum efx_rc begin(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                         uint32_t q, uint32_t stub)
{
    uint32_t id;
    bool stop;
    EFX_RET(efx_nfa__alloc(&r->pool, &id));
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    p->stamp = r->stamp;
    p->turn = next_turn(r, s, row);
    p->order = next_order(r, p->turn);
    p->first_ms = r->nfa->within_events < 0 ? efx_step_time_ms(s->step, s->in->b, row)
                                            : efx_nfa__at(&r->pool, stub)->first_ms;
    p->pos = q;
    p->count = 1;
    EFX_RET(set_keys(r, s, row, id));
    if (stub != EFX_NFA_NO) {
        p->order = efx_nfa__at(&r->pool, stub)->order;
    }
    if (completes(r->nfa, q, 1)) {
        return match(r, s, row, id, (struct range){1, 0}, &stop);
    }
    EFX_RET(bind(r, s, row, id));
    EFX_RET(efx_nfa__link_open(r, id));
    if (r->nfa->within_ms < 0) {
        return EFX_OK;
    }
    int64_t limit_ms = efx_nfa__limit_ms(r->nfa, p);
    if (limit_ms < efx_batch_clk_ms(s->in->b, row)) { /* late: the clock has passed it already */
        struct efx_nfa_cause why = cause_of(s, row);
        why.expired = true;
        why.ts_ms = limit_ms;
        return die(r, id, &why);
    }
    return efx_nfa__due_add(&r->pool, id);
}

static enum efx_rc try_begin(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                             uint32_t stub)
{
    for (uint32_t k = 0; k < s->input->n_elems; k++) {
        uint32_t q = s->input->elems[k];
        if (!r->nfa->elems[q].starts || !efx_bit(s->cand[q], row) ||
            !efx_nfa__accepts(r, s, row, 0, q)) {
            continue;
        }
        if (r->pool.n_live >= r->max_partials) {
            efx_fail_row(s->fails, row, 3106);
            return EFX_OK;
        }
        return begin(r, s, row, q, stub);
    }
    return EFX_OK;
}

static enum efx_rc make_stub(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                             uint32_t *stub)
{
    EFX_RET(efx_nfa__alloc(&r->pool, stub));
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, *stub);
    r->pool.n_live--;
    p->state = EFX_NFA_STUB;
    p->stamp = r->stamp;
    p->turn = next_turn(r, s, row);
    p->order = next_order(r, p->turn);
    return set_keys(r, s, row, *stub);
}

/* What the gate's list says of the row's machine: *blocked: its one partial is there or was. */
static enum efx_rc ask_gate(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                            bool *blocked, uint32_t *stub)
{
    const struct efx_nfa *nfa = r->nfa;
    uint32_t node = efx_nfa__find(&r->pool.wait[nfa->n_elems], s->hash[nfa->n_elems][row]);
    for (; node != 0 && !*blocked; node = efx_nfa__next(&r->pool, node)) {
        uint32_t id = (node - 1) >> nfa->node_shift;
        if (efx_nfa__same_machine(r, s, row, id)) {
            bool is_stub = efx_nfa__at(&r->pool, id)->state == EFX_NFA_STUB;
            *stub = is_stub ? id : *stub;
            *blocked = !is_stub && !nfa->every;
            if (is_stub && nfa->every) {
                break; /* the oldest of its machine; nothing else is asked */
            }
        }
    }
    return nfa->stubs && *stub == EFX_NFA_NO ? make_stub(r, s, row, stub) : EFX_OK;
}

/* WITHIN n EVENTS: one more event of the machine; partials that began n events ago are out. */
static void count_event(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                        uint32_t stub)
{
    const struct efx_nfa *nfa = r->nfa;
    efx_nfa__touch(r, stub);
    int64_t number = ++efx_nfa__at(&r->pool, stub)->first_ms;
    uint32_t node = efx_nfa__find(&r->pool.wait[nfa->n_elems], s->hash[nfa->n_elems][row]);
    while (node != 0) {
        uint32_t id = (node - 1) >> nfa->node_shift;
        const struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
        node = efx_nfa__next(&r->pool, node);
        if (p->state != EFX_NFA_LIVE || !efx_nfa__same_machine(r, s, row, id)) {
            continue;
        }
        if (number - p->first_ms < nfa->within_events) {
            break; /* younger ones began later */
        }
        end_partial(r, id);
    }
}

/* Lists that wait for the row; returns how many. */
static inline uint32_t look_up(const struct efx_nfa_slice *s, uint32_t row)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->n_looks; k++) {
        const struct efx_nfa_look *l = &s->look[k];
        uint32_t node = efx_bit(l->cand, row) ? efx_nfa__find(l->wait, l->hash[row]) : 0;
        if (node != 0) {
            s->cursor[n] = node;
            s->cursor_elem[n++] = l->q;
        }
    }
    return n;
}

static enum efx_rc do_row(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row)
{
    const struct efx_nfa *nfa = r->nfa;
    uint32_t stub = EFX_NFA_NO;
    bool blocked = false, armed = false, stop = false, may_begin = efx_bit(s->starts, row);
    if (nfa->stubs || (may_begin && !nfa->every)) {
        EFX_RET(ask_gate(r, s, row, &blocked, &stub));
    }
    if (nfa->within_events >= 0) {
        count_event(r, s, row, stub);
    }
    uint32_t n_cursors = look_up(s, row);
    if (n_cursors > 0) {
        EFX_RET(offer(r, s, row, n_cursors, &armed, &stop));
    }
    return may_begin && !blocked && !armed && !stop ? try_begin(r, s, row, stub) : EFX_OK;
}

static void prefetch(const struct efx_nfa_slice *s, uint32_t from, uint32_t until)
{
    enum { CACHED_BUCKETS = 8192 };
    for (uint32_t k = 0; k < s->n_looks; k++) {
        const struct efx_nfa_look *l = &s->look[k];
        if (l->wait->n == 0 || l->wait->mask < CACHED_BUCKETS) {
            continue;
        }
        for (uint32_t i = from; i < until; i++) {
            if (efx_bit(l->cand, s->at[i])) {
                __builtin_prefetch(&l->wait->some[efx_nfa__some_place(l->wait, l->hash[s->at[i]])]);
            }
        }
    }
}

/* The next place in `at` at which something may happen: a limit has passed, the row may begin, or a
 * list may wait for it. The loop over rows that concern nobody. */
static uint32_t next_hot(const struct efx_nfa_slice *s, uint32_t i, uint32_t until,
                         const int64_t *clk_ms, int64_t due_ms)
{
    const uint64_t *starts = s->starts;
    const uint32_t *at = s->at;
    if (s->n_looks == 1 && s->look[0].all && s->look[0].wait->n > 0) {
        const struct efx_nfa_look l = s->look[0];
        const uint8_t *some = l.wait->some;
        uint32_t mask = efx_nfa__some_place(l.wait, UINT64_MAX);
        for (; i < until; i++) {
            uint32_t row = at[i];
            if (clk_ms[row] >= due_ms || efx_bit(starts, row) ||
                some[(uint32_t)l.hash[row] & mask] != 0) {
                break;
            }
        }
        return i;
    }
    for (; i < until; i++) {
        uint32_t row = at[i];
        if (clk_ms[row] >= due_ms || efx_bit(starts, row)) {
            return i;
        }
        for (uint32_t k = 0; k < s->n_looks; k++) {
            const struct efx_nfa_look *l = &s->look[k];
            if (l->wait->n > 0 && efx_bit(l->cand, row) &&
                l->wait->some[efx_nfa__some_place(l->wait, l->hash[row])] != 0) {
                return i;
            }
        }
    }
    return i;
}

static uint64_t copy_of(const struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row)
{
    return r->nfa->partitioned ? ((const uint64_t *)s->vals[s->input->keys[0].val].data)[row] : 0;
}

enum efx_rc efx_nfa_run_rows(struct efx_nfa_run *r, uint32_t input, const struct efx_step *step,
                             const struct efx_rows *in, struct efx_fails *fails)
{
    enum { BLOCK = 64 };
    struct efx_nfa_slice s = {.fails = fails};
    if (r->finished || in->from >= in->until) {
        return EFX_OK;
    }
    efx_nfa__slice(r, input, step, in, &s);
    const int64_t *clk_ms = in->b->clk_ms != NULL ? in->b->clk_ms : in->b->ts_ms;
    bool every_row = r->nfa->stubs;
    for (uint32_t i = 0, end = 0; i < s.n && !r->finished; i++) {
        if (i >= end) {
            end = i + BLOCK < s.n ? i + BLOCK : s.n;
            prefetch(&s, i, end);
        }
        i = every_row ? i : next_hot(&s, i, end, clk_ms, efx_nfa_run_due_ms(r));
        if (i == end) {
            i--;
            continue;
        }
        uint32_t row = s.at[i];
        if (efx_nfa_run_due_ms(r) <= clk_ms[row]) {
            struct efx_nfa_row at = {efx_batch_clk_ms(in->b, row), copy_of(r, &s, row)};
            EFX_RET(efx_nfa_run_expire(r, step, efx_op_row_moment(step, in->b, row), &at));
        }
        EFX_RET(do_row(r, &s, row));
    }
    return EFX_OK;
}
