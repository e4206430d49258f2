/* Records of partials: slabs, the free chain, slots and their texts.
 *
 * A slot of text is a cell as everywhere, but a long one has its place in the heap where a column's
 * cell has a pointer, so records can be told apart from memory and saved; reading gives the
 * pointer.
 */
#include "nfa_partial.h"

static const uint32_t FIRST_SLABS = 16;

enum efx_rc efx_nfa__pool_init(struct efx_nfa_pool *p, const struct efx_nfa *nfa,
                               struct efx_arena *arena, struct efx_mem *mem, struct efx_ctx *ctx)
{
    *p = (struct efx_nfa_pool){
        .nfa = nfa, .ctx = ctx, .mem = mem, .dues = {.least_ms = EFX_NEVER_MS}};
    while (p->shift < 12 && (nfa->stride << (p->shift + 1)) <= EFX_NFA_SLAB_BYTES) {
        p->shift++;
    }
    p->wait = EFX_NEW_N(arena, struct efx_nfa_wait, (size_t)nfa->n_elems + 1);
    if (p->wait == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_heap_create(mem, &p->heap));
    uint32_t blank;
    EFX_RET(efx_nfa__alloc(p, &blank));
    EFX_ASSERT(blank == 0);
    efx_nfa__at(p, blank)->state = EFX_NFA_BLANK;
    p->n_live = 0;
    p->n_held = 0;
    return EFX_OK;
}

void efx_nfa__pool_fini(struct efx_nfa_pool *p)
{
    size_t slab_bytes = (size_t)p->nfa->stride << p->shift;
    for (uint32_t q = 0; q <= p->nfa->n_elems; q++) {
        if (p->wait[q].b != NULL) {
            size_t n = (size_t)p->wait[q].mask + 1;
            p->mem->free(p->mem, p->wait[q].b, n * sizeof *p->wait[q].b);
            p->mem->free(p->mem, p->wait[q].some, n * EFX_NFA_SOME_TIMES);
        }
    }
    for (uint32_t i = 0; i < p->n_slabs; i++) {
        p->mem->free(p->mem, p->slab[i], slab_bytes);
    }
    if (p->slab != NULL) {
        p->mem->free(p->mem, p->slab, p->max_slabs * sizeof *p->slab);
    }
    if (p->dues.heap != NULL) {
        p->mem->free(p->mem, p->dues.heap, p->dues.n_max * sizeof *p->dues.heap);
    }
    efx_heap_destroy(&p->heap);
}

size_t efx_nfa__pool_bytes(const struct efx_nfa_pool *p)
{
    size_t bytes = ((size_t)p->nfa->stride << p->shift) * p->n_slabs + efx_heap_bytes(p->heap) +
                   p->dues.n_max * sizeof *p->dues.heap;
    for (uint32_t q = 0; q <= p->nfa->n_elems; q++) {
        bytes += p->wait[q].b == NULL
                     ? 0
                     : ((size_t)p->wait[q].mask + 1) * (sizeof *p->wait[q].b + EFX_NFA_SOME_TIMES);
    }
    return bytes;
}

static enum efx_rc add_slab(struct efx_nfa_pool *p)
{
    if (p->n_slabs == p->max_slabs) {
        uint32_t max = p->max_slabs == 0 ? FIRST_SLABS : p->max_slabs * 2;
        void *more =
            efx_mem_grow(p->mem, p->slab, p->max_slabs * sizeof *p->slab, max * sizeof *p->slab);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        p->slab = more;
        p->max_slabs = max;
    }
    size_t bytes = (size_t)p->nfa->stride << p->shift;
    p->slab[p->n_slabs] = p->mem->alloc(p->mem, bytes);
    if (p->slab[p->n_slabs] == NULL) {
        return EFX_ENOMEM;
    }
    memset(p->slab[p->n_slabs], 0, bytes);
    p->n_slabs++;
    return EFX_OK;
}

enum efx_rc efx_nfa__alloc(struct efx_nfa_pool *p, uint32_t *id)
{
    const struct efx_nfa *nfa = p->nfa;
    if (p->free != 0) {
        *id = p->free - 1;
        p->free = efx_nfa__at(p, *id)->due_next;
    } else {
        if (p->n_ids >> p->shift == p->n_slabs) {
            EFX_RET(add_slab(p));
        }
        *id = p->n_ids++;
    }
    struct efx_nfa_partial *r = efx_nfa__at(p, *id);
    *r = (struct efx_nfa_partial){.age = p->next_age++, .state = EFX_NFA_LIVE};
    for (uint32_t k = 0; k < 1u << nfa->node_shift; k++) {
        efx_nfa__node(r, k)->prev = EFX_NFA_UNLINKED;
    }
    uint32_t after = nfa->n_slots > 0 ? nfa->slots[0].off : nfa->stride;
    memset((uint8_t *)r + nfa->bound_off, 0, after - nfa->bound_off);
    for (uint32_t a = 0; a < nfa->n_aggs; a++) {
        nfa->aggs[a].vt->init((uint8_t *)r + nfa->aggs[a].off);
    }
    p->n_live++;
    p->n_held++;
    return EFX_OK;
}

static void text_put(struct efx_nfa_pool *p, const struct efx_cell *c)
{
    if (c->len > EFX_CELL_INLINE) {
        uint32_t ref;
        memcpy(&ref, c->tail, sizeof ref);
        efx_heap_put(p->heap, ref, c->len);
    }
}

static bool is_text(const struct efx_nfa *nfa, uint32_t s)
{
    return efx_type_is_cell(nfa->slots[s].type);
}

void efx_nfa__free(struct efx_nfa_pool *p, uint32_t id)
{
    const struct efx_nfa *nfa = p->nfa;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    const uint64_t *valid = efx_nfa__valid(nfa, r);
    for (uint32_t s = 0; nfa->has_texts && s < nfa->n_slots; s++) {
        if (is_text(nfa, s) && efx_bit(valid, s)) {
            text_put(p, (const struct efx_cell *)((uint8_t *)r + nfa->slots[s].off));
        }
    }
    for (uint32_t a = 0; a < nfa->n_aggs; a++) {
        if (nfa->aggs[a].vt->fini != NULL) {
            struct efx_states at = efx_nfa__states(p, a);
            nfa->aggs[a].vt->fini(&at, (uint8_t *)r + nfa->aggs[a].off);
        }
    }
    p->n_live -= r->state == EFX_NFA_LIVE ? 1 : 0;
    p->n_held--;
    r->state = EFX_NFA_FREE;
    r->due_next = p->free;
    p->free = id + 1;
}

enum efx_rc efx_nfa__text_set(struct efx_nfa_pool *p, uint32_t id, uint32_t s,
                              const struct efx_col *col, uint32_t row)
{
    const struct efx_nfa *nfa = p->nfa;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    uint64_t *valid = efx_nfa__valid(nfa, r);
    struct efx_cell *to = (struct efx_cell *)((uint8_t *)r + nfa->slots[s].off);
    const struct efx_cell *from = (const struct efx_cell *)col->data + row;
    if (efx_bit(valid, s)) {
        text_put(p, to);
    }
    efx_bit_put(valid, s, false);
    if (!efx_bit(col->valid, row)) {
        return EFX_OK;
    }
    *to = *from;
    if (from->len > EFX_CELL_INLINE) {
        uint32_t ref;
        EFX_RET(efx_heap_get(p->heap, from->len, &ref));
        memcpy(efx_heap_at(p->heap, ref), from->ptr, from->len);
        memset(to->tail, 0, sizeof to->tail);
        memcpy(to->tail, &ref, sizeof ref);
    }
    efx_bit_put(valid, s, true);
    return EFX_OK;
}

void efx_nfa__text_get(const struct efx_nfa_pool *p, const void *slot, struct efx_cell *out)
{
    memcpy(out, slot, sizeof *out);
    if (out->len > EFX_CELL_INLINE) {
        uint32_t ref;
        memcpy(&ref, out->tail, sizeof ref);
        out->ptr = efx_heap_at(p->heap, ref);
    }
}

void efx_nfa__slot_shift(struct efx_nfa_pool *p, uint32_t id, uint32_t s)
{
    const struct efx_nfa *nfa = p->nfa;
    struct efx_nfa_partial *r = efx_nfa__at(p, id);
    uint64_t *valid = efx_nfa__valid(nfa, r);
    uint32_t from = nfa->slots[s].from;
    uint8_t *to = (uint8_t *)r + nfa->slots[s].off;
    if (is_text(nfa, s) && efx_bit(valid, s)) {
        text_put(p, (const struct efx_cell *)to);
    }
    memcpy(to, (uint8_t *)r + nfa->slots[from].off, efx_nfa_slot_bytes(nfa->slots[s].type));
    efx_bit_put(valid, s, efx_bit(valid, from));
    efx_bit_put(valid, from, false); /* its text has moved */
}

struct efx_states efx_nfa__states(const struct efx_nfa_pool *p, uint32_t agg)
{
    return (struct efx_states){.slab = p->slab,
                               .shift = p->shift,
                               .stride = p->nfa->stride,
                               .off = p->nfa->aggs[agg].off,
                               .heap = p->heap,
                               .ctx = p->ctx};
}
