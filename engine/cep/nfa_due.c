/* Limits of WITHIN: whose comes first.
 *
 * All partials have the same d, so the limit's order is that of their first events' times, and
 * those come in order but for late ones: a queue, filled from its end. A partial that would have to
 * go far back in it is put into a binary heap instead; whoever asks takes the less of both heads.
 */
#include "nfa_partial.h"

static bool before(const struct efx_nfa_pool *p, uint32_t a, uint32_t b)
{
    const struct efx_nfa_partial *x = efx_nfa__at(p, a), *y = efx_nfa__at(p, b);
    if (x->first_ms != y->first_ms) {
        return x->first_ms < y->first_ms;
    }
    uint64_t x_copy = efx_nfa__copy_order(p->nfa, x), y_copy = efx_nfa__copy_order(p->nfa, y);
    if (x_copy != y_copy) {
        return x_copy < y_copy;
    }
    return x->order != y->order ? x->order < y->order : x->age < y->age;
}

static void put(struct efx_nfa_pool *p, uint32_t place, uint32_t id)
{
    p->dues.heap[place] = id;
    efx_nfa__at(p, id)->due_at = place + 2;
}

static void sift_up(struct efx_nfa_pool *p, uint32_t place, uint32_t id)
{
    while (place > 0 && before(p, id, p->dues.heap[(place - 1) / 2])) {
        put(p, place, p->dues.heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(p, place, id);
}

static void sift_down(struct efx_nfa_pool *p, uint32_t place, uint32_t id)
{
    for (;;) {
        uint32_t kid = place * 2 + 1;
        if (kid >= p->dues.n) {
            break;
        }
        if (kid + 1 < p->dues.n && before(p, p->dues.heap[kid + 1], p->dues.heap[kid])) {
            kid++;
        }
        if (!before(p, p->dues.heap[kid], id)) {
            break;
        }
        put(p, place, p->dues.heap[kid]);
        place = kid;
    }
    put(p, place, id);
}

static enum efx_rc heap_add(struct efx_nfa_pool *p, uint32_t id)
{
    struct efx_nfa_dues *d = &p->dues;
    if (d->n == d->n_max) {
        uint32_t max = d->n_max == 0 ? 256 : d->n_max * 2;
        void *more =
            efx_mem_grow(p->mem, d->heap, d->n_max * sizeof *d->heap, max * sizeof *d->heap);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        d->heap = more;
        d->n_max = max;
    }
    sift_up(p, d->n++, id);
    return EFX_OK;
}

static void heap_del(struct efx_nfa_pool *p, uint32_t place)
{
    uint32_t last = p->dues.heap[--p->dues.n];
    if (place == p->dues.n) {
        return;
    }
    if (place > 0 && before(p, last, p->dues.heap[(place - 1) / 2])) {
        sift_up(p, place, last);
    } else {
        sift_down(p, place, last);
    }
}

static void note_first(struct efx_nfa_pool *p)
{
    uint32_t id = efx_nfa__due_first(p);
    p->dues.least_ms = id == EFX_NFA_NO ? EFX_NEVER_MS : efx_nfa__at(p, id)->first_ms;
}

enum efx_rc efx_nfa__due_add(struct efx_nfa_pool *p, uint32_t id)
{
    struct efx_nfa_dues *d = &p->dues;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    d->least_ms = r->first_ms < d->least_ms ? r->first_ms : d->least_ms;
    uint32_t prev = d->last, steps = 0;
    while (prev != 0 && before(p, id, prev - 1)) {
        if (++steps > EFX_NFA_WALK_MAX) {
            return heap_add(p, id);
        }
        prev = efx_nfa__at(p, prev - 1)->due_prev;
    }
    r->due_at = 1;
    r->due_prev = prev;
    r->due_next = prev == 0 ? d->first : efx_nfa__at(p, prev - 1)->due_next;
    if (prev == 0) {
        d->first = id + 1;
    } else {
        efx_nfa__at(p, prev - 1)->due_next = id + 1;
    }
    if (r->due_next == 0) {
        d->last = id + 1;
    } else {
        efx_nfa__at(p, r->due_next - 1)->due_prev = id + 1;
    }
    return EFX_OK;
}

void efx_nfa__due_del(struct efx_nfa_pool *p, uint32_t id)
{
    struct efx_nfa_dues *d = &p->dues;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    if (r->due_at == 0) {
        return;
    }
    if (r->due_at >= 2) {
        heap_del(p, r->due_at - 2);
    } else {
        if (r->due_prev == 0) {
            d->first = r->due_next;
        } else {
            efx_nfa__at(p, r->due_prev - 1)->due_next = r->due_next;
        }
        if (r->due_next == 0) {
            d->last = r->due_prev;
        } else {
            efx_nfa__at(p, r->due_next - 1)->due_prev = r->due_prev;
        }
    }
    r->due_at = 0;
    note_first(p);
}

uint32_t efx_nfa__due_first(const struct efx_nfa_pool *p)
{
    const struct efx_nfa_dues *d = &p->dues;
    if (d->n == 0) {
        return d->first == 0 ? EFX_NFA_NO : d->first - 1;
    }
    return d->first != 0 && before(p, d->first - 1, d->heap[0]) ? d->first - 1 : d->heap[0];
}

static bool is_due_of(const struct efx_nfa_pool *p, uint32_t id, uint64_t copy)
{
    const struct efx_nfa_partial *r = efx_nfa__at(p, id);
    return r->first_ms == p->dues.least_ms && efx_nfa__copy_order(p->nfa, r) == copy;
}

uint32_t efx_nfa__due_first_of(const struct efx_nfa_pool *p, uint64_t copy)
{
    const struct efx_nfa_dues *d = &p->dues;
    if (!p->nfa->partitioned) {
        return efx_nfa__due_first(p);
    }
    uint32_t first = EFX_NFA_NO;
    for (uint32_t at = d->first; at != 0 && first == EFX_NFA_NO;) {
        const struct efx_nfa_partial *r = efx_nfa__at(p, at - 1);
        first = is_due_of(p, at - 1, copy) ? at - 1 : EFX_NFA_NO;
        at = r->first_ms > d->least_ms ? 0 : r->due_next;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        bool is = is_due_of(p, d->heap[i], copy);
        first = is && (first == EFX_NFA_NO || before(p, d->heap[i], first)) ? d->heap[i] : first;
    }
    return first;
}
