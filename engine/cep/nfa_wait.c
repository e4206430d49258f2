/* Wait lists: hash → the partials that wait there, oldest first.
 *
 * Linear probing at most half full; a bucket whose list has become empty is taken out by shifting
 * back those behind it. Looking for nothing, the usual case, ends at a byte that counts the lists
 * of some hashes: four bytes a bucket stay in the nearest cache where buckets would not. A partial
 * goes in by age: from the tail on, past those that are younger, mostly none.
 */
#include "nfa_partial.h"

static const uint32_t FIRST_BUCKETS = 64;

static struct efx_nfa_node *node_at(const struct efx_nfa_pool *p, uint32_t node)
{
    return efx_nfa__node(efx_nfa__at(p, (node - 1) >> p->nfa->node_shift),
                         (node - 1) & ((1u << p->nfa->node_shift) - 1));
}

static uint64_t age_of(const struct efx_nfa_pool *p, uint32_t node)
{
    return efx_nfa__at(p, (node - 1) >> p->nfa->node_shift)->age;
}

static uint32_t place_of(const struct efx_nfa_wait *w, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & w->mask;
    while (w->b[i].head != 0 && w->b[i].hash != hash) {
        i = (i + 1) & w->mask;
    }
    return i;
}

static void count_in(struct efx_nfa_wait *w, uint64_t hash)
{
    uint8_t *some = &w->some[efx_nfa__some_place(w, hash)];
    *some = *some < UINT8_MAX ? (uint8_t)(*some + 1) : UINT8_MAX;
}

static void count_out(struct efx_nfa_wait *w, uint64_t hash)
{
    uint8_t *some = &w->some[efx_nfa__some_place(w, hash)];
    *some = *some < UINT8_MAX ? (uint8_t)(*some - 1) : UINT8_MAX;
}

static void give_back(struct efx_nfa_pool *p, struct efx_nfa_wait *w)
{
    if (w->b != NULL) {
        p->mem->free(p->mem, w->b, ((size_t)w->mask + 1) * sizeof *w->b);
    }
    if (w->some != NULL) {
        p->mem->free(p->mem, w->some, ((size_t)w->mask + 1) * EFX_NFA_SOME_TIMES);
    }
}

static enum efx_rc make_room(struct efx_nfa_pool *p, struct efx_nfa_wait *w)
{
    uint32_t n_old = w->b == NULL ? 0 : w->mask + 1;
    if ((w->n + 1) * 2 <= n_old) {
        return EFX_OK;
    }
    struct efx_nfa_wait more = {.mask = (n_old == 0 ? FIRST_BUCKETS : n_old * 2) - 1, .n = w->n};
    size_t n = (size_t)more.mask + 1;
    more.b = p->mem->alloc(p->mem, n * sizeof *more.b);
    more.some = p->mem->alloc(p->mem, n * EFX_NFA_SOME_TIMES);
    if (more.b == NULL || more.some == NULL) {
        give_back(p, &more);
        return EFX_ENOMEM;
    }
    memset(more.b, 0, n * sizeof *more.b);
    memset(more.some, 0, n * EFX_NFA_SOME_TIMES);
    for (uint32_t i = 0; i < n_old; i++) {
        if (w->b[i].head != 0) {
            more.b[place_of(&more, w->b[i].hash)] = w->b[i];
            count_in(&more, w->b[i].hash);
        }
    }
    give_back(p, w);
    *w = more;
    return EFX_OK;
}

enum efx_rc efx_nfa__link(struct efx_nfa_pool *p, uint32_t wi, uint32_t id, uint32_t k,
                          uint64_t hash)
{
    struct efx_nfa_wait *w = &p->wait[wi];
    EFX_RET(make_room(p, w));
    uint32_t node = (id << p->nfa->node_shift | k) + 1;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    struct efx_nfa_node *n = efx_nfa__node(r, k);
    struct efx_nfa_bucket *b = &w->b[place_of(w, hash)];
    n->hash = hash;
    if (b->head == 0) {
        *b = (struct efx_nfa_bucket){.hash = hash, .head = node, .tail = node};
        n->prev = n->next = 0;
        w->n++;
        count_in(w, hash);
        return EFX_OK;
    }
    uint32_t before = b->tail;
    while (before != 0 && age_of(p, before) > r->age) {
        before = node_at(p, before)->prev;
    }
    n->prev = before;
    n->next = before == 0 ? b->head : node_at(p, before)->next;
    if (before == 0) {
        b->head = node;
    } else {
        node_at(p, before)->next = node;
    }
    if (n->next == 0) {
        b->tail = node;
    } else {
        node_at(p, n->next)->prev = node;
    }
    return EFX_OK;
}

/* Empties bucket i and moves up what probing would not find any more. */
static void drop_bucket(struct efx_nfa_wait *w, uint32_t i)
{
    w->n--;
    w->b[i].head = 0;
    for (uint32_t j = (i + 1) & w->mask; w->b[j].head != 0; j = (j + 1) & w->mask) {
        uint32_t home = (uint32_t)w->b[j].hash & w->mask;
        if (((j - home) & w->mask) >= ((j - i) & w->mask)) {
            w->b[i] = w->b[j];
            w->b[j].head = 0;
            i = j;
        }
    }
}

void efx_nfa__unlink(struct efx_nfa_pool *p, uint32_t wi, uint32_t id, uint32_t k)
{
    struct efx_nfa_wait *w = &p->wait[wi];
    struct efx_nfa_node *n = efx_nfa__node(efx_nfa__at(p, id), k);
    if (n->prev == EFX_NFA_UNLINKED) {
        return;
    }
    if (n->prev != 0) {
        node_at(p, n->prev)->next = n->next;
    }
    if (n->next != 0) {
        node_at(p, n->next)->prev = n->prev;
    }
    if (n->prev == 0 || n->next == 0) {
        uint32_t i = place_of(w, n->hash);
        w->b[i].head = n->prev == 0 ? n->next : w->b[i].head;
        w->b[i].tail = n->next == 0 ? n->prev : w->b[i].tail;
        if (w->b[i].tail == 0) {
            count_out(w, n->hash);
            drop_bucket(w, i);
        }
    }
    n->prev = EFX_NFA_UNLINKED;
}
