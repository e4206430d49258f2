#ifndef NFA_PARTIAL_H
#define NFA_PARTIAL_H

#include "efx_hash.h"
#include "efx_heap.h"
#include "efx_nfa.h"

/* Partial matches and where they stand: records in slabs, wait lists by hash, the queue of limits.
 *
 *   slab    │ record │ record │ …    id → slab + place; records never move, free ones are chained
 *
 *   wait list table of an element      bucket   hash of (machine's keys, equations) │ head │ tail
 *   nodes inside the records           ▲ oldest ◄──► … ◄──► youngest
 *
 *   limits  first ◄──► … ◄──► last     by (first event, copy, order, age); what would have to go
 *           heap                       far back goes to a heap beside the queue
 *
 * Buckets hold the hash only: two keys of one hash share a list, and every partial's comparisons
 * tell them apart. A partial waits in one list per element that is open for it.
 *
 *   Owner    `mem` through the pool; long texts of slots in its heap, cells keep the place there
 *   Errors   EFX_ENOMEM
 *   Threads  the shard's owner
 *   Order    a list is by age, oldest first
 */
enum { EFX_NFA_SLAB_BYTES = 64 * 1024, EFX_NFA_WALK_MAX = 32 };

enum efx_nfa_state {
    EFX_NFA_FREE = 0, /* fresh slabs are zero */
    EFX_NFA_LIVE = 1,
    EFX_NFA_DONE,  /* without EVERY: matched or died; the machine never starts again */
    EFX_NFA_STUB,  /* a machine whose events have come; `order` is its creation */
    EFX_NFA_BLANK, /* id 0: what an empty partial answers */
};

struct efx_nfa_node {
    uint64_t hash;
    uint32_t next, prev; /* (id << node_shift | k) + 1; 0 = none. prev UNLINKED = in no list */
};
static const uint32_t EFX_NFA_UNLINKED = UINT32_MAX;

struct efx_nfa_partial {
    uint64_t turn;    /* global number of the turn of its first event */
    uint64_t age;     /* number of its creation */
    uint64_t order;   /* among partials that die together, within a copy: of key, else turn */
    int64_t first_ms; /* WITHIN n EVENTS: number of its first event; a stub's: of the last one */
    uint32_t pos;     /* element of its last event */
    uint32_t count;   /* events there */
    uint32_t state;
    uint32_t stamp;              /* of the save that has it already */
    uint32_t due_prev, due_next; /* in the queue: id + 1; free: next free + 1; loading: likewise */
    uint32_t due_at; /* 0 = no limit runs, 1 = in the queue, else place in the heap + 2 */
    uint32_t mark;   /* padding */
};

struct efx_nfa_bucket {
    uint64_t hash;
    uint32_t head, tail; /* nodes; head 0 = empty bucket */
};

struct efx_nfa_wait {
    struct efx_nfa_bucket *b;
    uint8_t *some; /* lists by hash, SOME_TIMES as many places: 0 = surely none; 255 stays */
    uint32_t mask; /* buckets - 1 */
    uint32_t n;    /* in use */
};
enum { EFX_NFA_SOME_TIMES = 8 };

struct efx_nfa_dues {
    int64_t least_ms;     /* first event's time of the first one; EFX_NEVER_MS = there is none */
    uint32_t first, last; /* id + 1 */
    uint32_t *heap;       /* ids */
    uint32_t n, n_max;
};

struct efx_nfa_pool {
    const struct efx_nfa *nfa;
    struct efx_ctx *ctx;
    struct efx_mem *mem;
    struct efx_heap *heap;
    uint8_t **slab;
    uint32_t n_slabs, max_slabs;
    uint32_t shift;       /* 2^shift records a slab */
    uint32_t n_ids, free; /* free: id + 1 */
    uint32_t n_live;      /* state LIVE */
    uint32_t n_held;      /* DONE and STUB too */
    uint64_t next_age;
    struct efx_nfa_wait *wait; /* [n_elems], then the gate */
    struct efx_nfa_dues dues;
};

/* ---- nfa_partial.c ---- */
enum efx_rc efx_nfa__pool_init(struct efx_nfa_pool *p, const struct efx_nfa *nfa,
                               struct efx_arena *arena, struct efx_mem *mem,
                               struct efx_ctx *ctx) EFX_MUST_USE;
void efx_nfa__pool_fini(struct efx_nfa_pool *p);
size_t efx_nfa__pool_bytes(const struct efx_nfa_pool *p);
/* A LIVE record with no slot valid, in no list. */
enum efx_rc efx_nfa__alloc(struct efx_nfa_pool *p, uint32_t *id) EFX_MUST_USE;
/* In no list any more; texts and aggregates' parts go back. */
void efx_nfa__free(struct efx_nfa_pool *p, uint32_t id);
enum efx_rc efx_nfa__text_set(struct efx_nfa_pool *p, uint32_t id, uint32_t s,
                              const struct efx_col *col, uint32_t row) EFX_MUST_USE;
void efx_nfa__text_get(const struct efx_nfa_pool *p, const void *slot, struct efx_cell *out);
/* LAST n takes over LAST n - 1. */
void efx_nfa__slot_shift(struct efx_nfa_pool *p, uint32_t id, uint32_t s);
struct efx_states efx_nfa__states(const struct efx_nfa_pool *p, uint32_t agg);

static inline struct efx_nfa_partial *efx_nfa__at(const struct efx_nfa_pool *p, uint32_t id)
{
    uint32_t in_slab = id & ((1u << p->shift) - 1);
    return (struct efx_nfa_partial *)(p->slab[id >> p->shift] + (size_t)in_slab * p->nfa->stride);
}

static inline struct efx_nfa_node *efx_nfa__node(struct efx_nfa_partial *r, uint32_t k)
{
    return (struct efx_nfa_node *)(r + 1) + k;
}

static inline uint64_t *efx_nfa__valid(const struct efx_nfa *nfa, struct efx_nfa_partial *r)
{
    return (uint64_t *)((uint8_t *)r + nfa->valid_off);
}

static inline uint64_t *efx_nfa__bound(const struct efx_nfa *nfa, struct efx_nfa_partial *r)
{
    return (uint64_t *)((uint8_t *)r + nfa->bound_off);
}

/* Among partials that die together, copies of a partition go by their births; 0 without one. */
static inline uint64_t efx_nfa__copy_order(const struct efx_nfa *nfa,
                                           const struct efx_nfa_partial *r)
{
    uint64_t birth = 0;
    if (nfa->partitioned) {
        memcpy(&birth, (const uint8_t *)r + nfa->slots[0].off, sizeof birth);
    }
    return birth;
}

/* Slot s = value `row` of col; a long text is copied. */
static inline enum efx_rc efx_nfa__slot_set(struct efx_nfa_pool *p, uint32_t id, uint32_t s,
                                            const struct efx_col *col, uint32_t row)
{
    if (efx_type_is_cell(col->type)) {
        return efx_nfa__text_set(p, id, s, col, row);
    }
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    efx_bit_put(efx_nfa__valid(p->nfa, r), s, efx_bit(col->valid, row));
    efx_col_copy_slot((uint8_t *)r + p->nfa->slots[s].off, 0, col, row);
    return EFX_OK;
}

/* data[row] = the slot; false = NULL. Texts point into the pool's heap. */
static inline bool efx_nfa__slot_get(const struct efx_nfa_pool *p, uint32_t id, uint32_t s,
                                     void *data, uint32_t row)
{
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    const struct efx_nfa_slot *slot = &p->nfa->slots[s];
    if (!efx_bit(efx_nfa__valid(p->nfa, r), s)) {
        return false;
    }
    if (efx_type_is_cell(slot->type)) {
        efx_nfa__text_get(p, (uint8_t *)r + slot->off, (struct efx_cell *)data + row);
    } else {
        struct efx_col one = {.type = slot->type, .data = (uint8_t *)r + slot->off};
        efx_col_copy_slot(data, row, &one, 0);
    }
    return true;
}

/* ---- nfa_wait.c ---- */
/* Node k of the record into list `hash` of table w, by age. */
enum efx_rc efx_nfa__link(struct efx_nfa_pool *p, uint32_t w, uint32_t id, uint32_t k,
                          uint64_t hash) EFX_MUST_USE;
void efx_nfa__unlink(struct efx_nfa_pool *p, uint32_t w, uint32_t id, uint32_t k);

static inline uint32_t efx_nfa__some_place(const struct efx_nfa_wait *w, uint64_t hash)
{
    return (uint32_t)hash & (w->mask * EFX_NFA_SOME_TIMES + EFX_NFA_SOME_TIMES - 1);
}

/* First node of the list; 0 = none. Most rows are waited for by nobody: one byte says so. */
static inline uint32_t efx_nfa__find(const struct efx_nfa_wait *w, uint64_t hash)
{
    if (w->n == 0 || w->some[efx_nfa__some_place(w, hash)] == 0) {
        return 0;
    }
    for (uint32_t i = (uint32_t)hash & w->mask;; i = (i + 1) & w->mask) {
        if (w->b[i].head == 0 || w->b[i].hash == hash) {
            return w->b[i].head;
        }
    }
}

static inline uint32_t efx_nfa__next(const struct efx_nfa_pool *p, uint32_t node)
{
    struct efx_nfa_partial *r = efx_nfa__at(p, (node - 1) >> p->nfa->node_shift);
    return efx_nfa__node(r, (node - 1) & ((1u << p->nfa->node_shift) - 1))->next;
}

/* The node that a partial uses for element q; the gate's is the last one. */
static inline uint32_t efx_nfa__node_of(const struct efx_nfa *nfa, uint32_t q)
{
    uint32_t n = 1u << nfa->node_shift;
    return nfa->gate ? q % (n - 1) : q & (n - 1);
}

/* ---- nfa_due.c ---- */
enum efx_rc efx_nfa__due_add(struct efx_nfa_pool *p, uint32_t id) EFX_MUST_USE;
void efx_nfa__due_del(struct efx_nfa_pool *p, uint32_t id);
/* Whose limit comes first; EFX_NFA_NO = nobody's. */
uint32_t efx_nfa__due_first(const struct efx_nfa_pool *p);
/* Of those that share its time, the first one of this copy. O(those, and all in the heap). */
uint32_t efx_nfa__due_first_of(const struct efx_nfa_pool *p, uint64_t copy);

/* ---- nfa_hash.c ---- */
/* h = mix(h, value): equal for values that EQ calls equal. */
uint64_t efx_nfa__hash_other(uint64_t h, enum efx_type t, const void *value);
static inline uint64_t efx_nfa__hash_value(uint64_t h, enum efx_type t, const void *value)
{
    return t == EFX_TYPE_LONG ? efx_hash_mix(h, *(const uint64_t *)value)
                              : efx_nfa__hash_other(h, t, value);
}
/* hash[at[i]] = mix of it (fresh: of 0) and the column's value there. */
void efx_nfa__hash_col(uint64_t *hash, bool fresh, const struct efx_col *col, const uint32_t *at,
                       uint32_t n);

#endif /* NFA_PARTIAL_H */
