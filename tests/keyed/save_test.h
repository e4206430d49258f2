#ifndef SAVE_TEST_H
#define SAVE_TEST_H

#include "efx_arena.h"
#include "efx_hash.h"
#include "efx_save.h"

#include <stdlib.h>
#include <string.h>

/* A save in memory, and an allocator that says no at its n-th request.
 *
 *   struct test_save   pieces as `room` gave them; test_save_chunk puts them by key group, as the
 *                      store would
 *   struct test_mem    counts what is held; request number fail_at (from 0) and all behind it fail
 */
struct test_piece {
    uint32_t group, n;
    uint8_t *p;
};

struct test_save {
    struct efx_save base;
    struct test_piece *piece;
    uint32_t n, n_max;
    uint8_t *chunk;
};

static inline void *test_save_room(struct efx_save *self, uint32_t key_group, uint32_t bytes)
{
    struct test_save *s = (struct test_save *)self;
    if (s->n == s->n_max) {
        s->n_max = s->n_max == 0 ? 64 : s->n_max * 2;
        s->piece = realloc(s->piece, s->n_max * sizeof *s->piece);
    }
    s->piece[s->n] = (struct test_piece){key_group, bytes, malloc(bytes == 0 ? 1 : bytes)};
    return s->piece[s->n++].p;
}

static inline struct test_save test_save_make(void)
{
    return (struct test_save){.base = {test_save_room}};
}

static inline void test_save_free(struct test_save *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->piece[i].p);
    }
    free(s->piece);
    free(s->chunk);
    *s = test_save_make();
}

/* All sections; good until the save is freed. */
static inline struct efx_reader test_save_chunk(struct test_save *s)
{
    size_t max = 8;
    for (uint32_t i = 0; i < s->n; i++) {
        max += s->piece[i].n + 8;
    }
    free(s->chunk);
    s->chunk = malloc(max);
    struct efx_writer w = {.p = s->chunk, .max = max};
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        uint32_t bytes = 0;
        for (uint32_t i = 0; i < s->n; i++) {
            bytes += s->piece[i].group == g ? s->piece[i].n : 0;
        }
        if (bytes == 0) {
            continue;
        }
        efx_put_u32(&w, g);
        efx_put_u32(&w, bytes);
        for (uint32_t i = 0; i < s->n; i++) {
            if (s->piece[i].group == g) {
                efx_put_raw(&w, s->piece[i].p, s->piece[i].n);
            }
        }
    }
    return (struct efx_reader){.p = s->chunk, .left = w.n};
}

struct test_mem {
    struct efx_mem base;
    size_t held_bytes;
    uint32_t n_requests, fail_at;
};

static inline void *test_mem_alloc(struct efx_mem *self, size_t bytes)
{
    struct test_mem *m = (struct test_mem *)self;
    if (m->n_requests++ >= m->fail_at) {
        return NULL;
    }
    m->held_bytes += bytes;
    return efx_mem_libc.alloc(&efx_mem_libc, bytes);
}

static inline void test_mem_free(struct efx_mem *self, void *p, size_t bytes)
{
    struct test_mem *m = (struct test_mem *)self;
    m->held_bytes -= p == NULL ? 0 : bytes;
    efx_mem_libc.free(&efx_mem_libc, p, bytes);
}

static inline struct test_mem test_mem_make(uint32_t fail_at)
{
    return (struct test_mem){.base = {test_mem_alloc, test_mem_free}, .fail_at = fail_at};
}

#endif /* SAVE_TEST_H */
