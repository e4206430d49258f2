#include "efx_arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_FIRST = 16 * 1024, CHUNK_MAX = 1024 * 1024, MEM_ALIGN = 64 };
enum { HUGE_BYTES = 2 * 1024 * 1024 };

/* Large blocks are asked for in huge pages: state is read all over the place, and a miss in the TLB
 * costs as much as one in the cache. Whether the system gives them does not matter. */
static void *huge_alloc(size_t bytes)
{
    void *p;
    if (posix_memalign(&p, HUGE_BYTES, bytes) != 0) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes & ~(size_t)(HUGE_BYTES - 1), MADV_HUGEPAGE);
#endif
    return p;
}

static void *libc_alloc(struct efx_mem *self, size_t bytes)
{
    (void)self;
    if (bytes >= HUGE_BYTES) {
        return huge_alloc(bytes);
    }
    size_t whole = (bytes + MEM_ALIGN - 1) & ~(size_t)(MEM_ALIGN - 1);
    return whole < bytes ? NULL : aligned_alloc(MEM_ALIGN, whole == 0 ? MEM_ALIGN : whole);
}

static void libc_free(struct efx_mem *self, void *p, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(p);
}

struct efx_mem efx_mem_libc = {libc_alloc, libc_free};

/* Counted first, so that two threads together never pass the limit. */
static void *budget_alloc(struct efx_mem *self, size_t bytes)
{
    struct efx_budget *b = (struct efx_budget *)self;
    size_t used = __atomic_add_fetch(&b->used_bytes, bytes, __ATOMIC_RELAXED);
    void *p = used > b->limit_bytes ? NULL : b->from->alloc(b->from, bytes);
    if (p == NULL) {
        (void)__atomic_sub_fetch(&b->used_bytes, bytes, __ATOMIC_RELAXED);
        return NULL;
    }
    size_t peak = __atomic_load_n(&b->peak_bytes, __ATOMIC_RELAXED);
    while (used > peak && !__atomic_compare_exchange_n(&b->peak_bytes, &peak, used, true,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return p;
}

static void budget_free(struct efx_mem *self, void *p, size_t bytes)
{
    struct efx_budget *b = (struct efx_budget *)self;
    if (p != NULL) {
        (void)__atomic_sub_fetch(&b->used_bytes, bytes, __ATOMIC_RELAXED);
        b->from->free(b->from, p, bytes);
    }
}

void efx_budget_init(struct efx_budget *b, struct efx_mem *from, size_t limit_bytes)
{
    *b = (struct efx_budget){{budget_alloc, budget_free}, from, 0, 0, limit_bytes};
}

void *efx_mem_grow(struct efx_mem *mem, void *p, size_t old_bytes, size_t new_bytes)
{
    void *q = mem->alloc(mem, new_bytes);
    if (q != NULL && p != NULL) {
        memcpy(q, p, old_bytes < new_bytes ? old_bytes : new_bytes);
        mem->free(mem, p, old_bytes);
    }
    return q;
}

struct efx_arena_chunk {
    struct efx_arena_chunk *below;
    size_t used, bytes; /* of room */
    _Alignas(MEM_ALIGN) uint8_t room[];
};

void efx_arena_init(struct efx_arena *a, struct efx_mem *mem, size_t limit_bytes)
{
    *a = (struct efx_arena){.mem = mem, .limit_bytes = limit_bytes, .chunk_bytes = CHUNK_FIRST};
}

static void pop(struct efx_arena *a)
{
    struct efx_arena_chunk *c = a->top;
    size_t bytes = sizeof *c + c->bytes;
    a->top = c->below;
    a->used_bytes -= bytes;
    a->mem->free(a->mem, c, bytes);
}

void efx_arena_fini(struct efx_arena *a)
{
    while (a->top != NULL) {
        pop(a);
    }
}

void efx_arena_reset(struct efx_arena *a)
{
    while (a->top != NULL && a->top->below != NULL) {
        pop(a);
    }
    if (a->top != NULL) {
        a->top->used = 0;
    }
}

static void *place(struct efx_arena *a, size_t bytes, size_t align)
{
    struct efx_arena_chunk *c = a->top;
    if (c != NULL) {
        size_t at = (c->used + align - 1) & ~(align - 1);
        if (at <= c->bytes && bytes <= c->bytes - at) {
            c->used = at + bytes;
            return c->room + at;
        }
    }
    size_t room = bytes > a->chunk_bytes ? bytes : a->chunk_bytes;
    if (bytes > SIZE_MAX / 2 || room + sizeof *c > a->limit_bytes - a->used_bytes) {
        return NULL;
    }
    c = a->mem->alloc(a->mem, sizeof *c + room);
    if (c == NULL) {
        return NULL;
    }
    *c = (struct efx_arena_chunk){.below = a->top, .used = bytes, .bytes = room};
    a->top = c;
    a->used_bytes += sizeof *c + room;
    a->chunk_bytes = a->chunk_bytes < CHUNK_MAX ? a->chunk_bytes * 2 : CHUNK_MAX;
    return c->room;
}

void *efx_arena_alloc(struct efx_arena *a, size_t n, size_t item_bytes, size_t align)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, item_bytes, &bytes)) {
        return NULL;
    }
    void *p = place(a, bytes, align);
    return p == NULL ? NULL : memset(p, 0, bytes);
}

void *efx_arena_bytes(struct efx_arena *a, size_t n)
{
    return place(a, n, 8);
}

char *efx_arena_str(struct efx_arena *a, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : place(a, n + 1, 1);
    if (p != NULL) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

char *efx_arena_printf(struct efx_arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char small[256];
    int n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    if (n < 0) {
        return NULL;
    }
    char *p = place(a, (size_t)n + 1, 1);
    if (p != NULL) {
        va_start(args, fmt);
        (void)vsnprintf(p, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    return p;
}
