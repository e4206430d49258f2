#include "keyed_pool.h"

#include "efx_err.h"

static const size_t BLOCK_BYTES = (size_t)POOL_UNIT_BYTES * POOL_UNITS;

static uint32_t order_of(size_t bytes)
{
    return (uint32_t)__builtin_ctzll(bytes / POOL_UNIT_BYTES);
}

static struct pool_block *block_of(struct efx_keyed_pool *p, const void *piece)
{
    struct pool_block *b = p->block;
    while (b != NULL && (uintptr_t)piece - (uintptr_t)b->base >= BLOCK_BYTES) {
        b = b->next;
    }
    EFX_ASSERT(b != NULL);
    return b;
}

static uint32_t unit_of(const struct pool_block *b, const void *piece)
{
    return (uint32_t)(((uintptr_t)piece - (uintptr_t)b->base) / POOL_UNIT_BYTES);
}

static void put(struct efx_keyed_pool *p, struct pool_block *b, uint32_t unit, uint32_t order)
{
    struct pool_piece *piece = (void *)(b->base + (size_t)unit * POOL_UNIT_BYTES);
    *piece = (struct pool_piece){.next = p->free[order]};
    if (piece->next != NULL) {
        piece->next->prev = piece;
    }
    p->free[order] = piece;
    b->free[unit] = (uint8_t)(order + 1);
}

static void unlink_piece(struct efx_keyed_pool *p, struct pool_block *b, uint32_t unit,
                         uint32_t order)
{
    struct pool_piece *piece = (void *)(b->base + (size_t)unit * POOL_UNIT_BYTES);
    *(piece->prev != NULL ? &piece->prev->next : &p->free[order]) = piece->next;
    if (piece->next != NULL) {
        piece->next->prev = piece->prev;
    }
    b->free[unit] = 0;
}

static bool block_add(struct efx_keyed_pool *p, struct efx_mem *mem)
{
    struct pool_block *b = mem->alloc(mem, sizeof *b);
    uint8_t *base = b == NULL ? NULL : mem->alloc(mem, BLOCK_BYTES);
    if (base == NULL) {
        mem->free(mem, b, sizeof *b);
        return false;
    }
    *b = (struct pool_block){.next = p->block, .base = base};
    p->block = b;
    p->held_bytes += BLOCK_BYTES + sizeof *b;
    put(p, b, 0, POOL_ORDERS - 1);
    return true;
}

static void block_drop(struct efx_keyed_pool *p, struct efx_mem *mem, struct pool_block *b)
{
    struct pool_block **at = &p->block;
    while (*at != b) {
        at = &(*at)->next;
    }
    *at = b->next;
    p->held_bytes -= BLOCK_BYTES + sizeof *b;
    mem->free(mem, b->base, BLOCK_BYTES);
    mem->free(mem, b, sizeof *b);
}

void *efx_keyed__pool_take(struct efx_keyed_pool *p, struct efx_mem *mem, size_t bytes)
{
    uint32_t order = order_of(bytes), from = order;
    EFX_ASSERT(order < POOL_ORDERS);
    while (from < POOL_ORDERS && p->free[from] == NULL) {
        from++;
    }
    if (from == POOL_ORDERS) {
        if (!block_add(p, mem)) {
            return NULL;
        }
        from = POOL_ORDERS - 1;
    }
    struct pool_piece *piece = p->free[from];
    struct pool_block *b = block_of(p, piece);
    uint32_t unit = unit_of(b, piece);
    unlink_piece(p, b, unit, from);
    while (from > order) { /* the back half is free */
        from--;
        put(p, b, unit + (1u << from), from);
    }
    return piece;
}

void efx_keyed__pool_give(struct efx_keyed_pool *p, struct efx_mem *mem, void *piece, size_t bytes)
{
    struct pool_block *b = block_of(p, piece);
    uint32_t order = order_of(bytes), unit = unit_of(b, piece);
    while (order < POOL_ORDERS - 1 && b->free[unit ^ 1u << order] == order + 1) {
        unlink_piece(p, b, unit ^ 1u << order, order);
        unit &= ~(1u << order);
        order++;
    }
    if (order == POOL_ORDERS - 1) {
        block_drop(p, mem, b);
    } else {
        put(p, b, unit, order);
    }
}
