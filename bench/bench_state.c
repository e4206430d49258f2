#include "bench_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { BIG_BYTES = 4 << 20 }; /* from here on blocks are mapped, and large pages pay */

int64_t bench_state_peak_bytes;
static int64_t held_bytes;

static void *must(void *p)
{
    if (p == NULL || p == MAP_FAILED) {
        (void)fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return p;
}

void *bench_state_alloc(size_t bytes)
{
    held_bytes += (int64_t)bytes;
    bench_state_peak_bytes =
        held_bytes > bench_state_peak_bytes ? held_bytes : bench_state_peak_bytes;
    if (bytes < BIG_BYTES) {
        size_t whole = (bytes + 63) / 64 * 64;
        return memset(must(aligned_alloc(64, whole)), 0, whole);
    }
    int access = PROT_READ | PROT_WRITE;
    void *p = must(mmap(NULL, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish: without it the loop is slower, not wrong */
    return p;
}

void bench_state_free(void *p, size_t bytes)
{
    if (p == NULL) {
        return;
    }
    held_bytes -= (int64_t)bytes;
    if (bytes < BIG_BYTES) {
        free(p);
    } else {
        (void)munmap(p, bytes);
    }
}

void *bench_state_grow(void *p, size_t old_bytes, size_t new_bytes)
{
    void *q = bench_state_alloc(new_bytes);
    memcpy(q, p, old_bytes);
    bench_state_free(p, old_bytes);
    return q;
}

void bench_state_restart(void)
{
    bench_state_peak_bytes = held_bytes;
}

/* ---- index ---- */

enum { INDEX_BITS = 8, INDEX_ENTRIES = 64 };

static uint64_t *slots_of(uint32_t shift)
{
    return bench_state_alloc(sizeof(uint64_t) << (64 - shift));
}

void bench_index_init(struct bench_index *x, uint32_t entry_bytes)
{
    *x = (struct bench_index){.shift = 64 - INDEX_BITS, .entries_max = INDEX_ENTRIES};
    x->slot = slots_of(x->shift);
    x->entry = bench_state_alloc((size_t)entry_bytes * x->entries_max);
}

void bench_index_fini(struct bench_index *x, uint32_t entry_bytes)
{
    bench_state_free(x->slot, sizeof(uint64_t) * bench_slots(x));
    bench_state_free(x->entry, (size_t)entry_bytes * x->entries_max);
    *x = (struct bench_index){0};
}

void bench_index_clear(struct bench_index *x, uint32_t entry_bytes)
{
    memset(x->slot, 0, sizeof(uint64_t) * bench_slots(x));
    memset(x->entry, 0, (size_t)entry_bytes * x->n_entries);
    x->n_entries = x->n_live = 0;
}

static void place(struct bench_index *x, uint64_t hash, uint32_t id)
{
    uint32_t mask = bench_slots(x) - 1;
    uint32_t at = (uint32_t)(hash >> x->shift);
    while (x->slot[at] != 0) {
        at = (at + 1) & mask;
    }
    x->slot[at] = hash << 32 | (id + 1);
}

static void widen(struct bench_index *x, uint32_t entry_bytes)
{
    uint64_t *old = x->slot;
    uint32_t n_old = bench_slots(x);
    x->shift--;
    x->slot = slots_of(x->shift);
    for (uint32_t at = 0; at < n_old; at++) {
        if (old[at] != 0) {
            uint32_t id = (uint32_t)old[at] - 1;
            place(x, bench_hash(bench_entry_key(x, entry_bytes, id)), id);
        }
    }
    bench_state_free(old, sizeof(uint64_t) * n_old);
}

static uint32_t fresh_id(struct bench_index *x, uint32_t entry_bytes)
{
    if (x->spare != 0) {
        uint32_t id = x->spare - 1;
        char *e = x->entry + (size_t)id * entry_bytes;
        memcpy(&x->spare, e + sizeof(int64_t), sizeof x->spare);
        memset(e, 0, entry_bytes);
        return id;
    }
    if (x->n_entries == x->entries_max) {
        size_t bytes = (size_t)entry_bytes * x->entries_max;
        x->entry = bench_state_grow(x->entry, bytes, 2 * bytes);
        x->entries_max *= 2;
    }
    return x->n_entries++;
}

/* At most a third of the slots is taken: the first probe nearly always decides. */
__attribute__((noinline)) uint32_t bench_index_insert(struct bench_index *x, uint32_t entry_bytes,
                                                      int64_t key, uint64_t hash)
{
    if ((x->n_live + 1) * UINT64_C(3) > bench_slots(x)) {
        widen(x, entry_bytes);
    }
    uint32_t id = fresh_id(x, entry_bytes);
    memcpy(x->entry + (size_t)id * entry_bytes, &key, sizeof key);
    place(x, hash, id);
    x->n_live++;
    return id;
}

void bench_index_remove(struct bench_index *x, uint32_t entry_bytes, uint32_t id)
{
    uint32_t mask = bench_slots(x) - 1;
    char *e = x->entry + (size_t)id * entry_bytes;
    uint32_t hole = (uint32_t)(bench_hash(bench_entry_key(x, entry_bytes, id)) >> x->shift);
    while ((uint32_t)x->slot[hole] != id + 1) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; x->slot[at] != 0; at = (at + 1) & mask) {
        int64_t key = bench_entry_key(x, entry_bytes, (uint32_t)x->slot[at] - 1);
        uint32_t home = (uint32_t)(bench_hash(key) >> x->shift);
        /* It may move into the hole unless its home lies behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            x->slot[hole] = x->slot[at];
            hole = at;
        }
    }
    x->slot[hole] = 0;
    memcpy(e + sizeof(int64_t), &x->spare, sizeof x->spare);
    x->spare = id + 1;
    x->n_live--;
}

/* ---- queue ---- */

enum { QUEUE_ROWS = 256 };

void bench_queue_init(struct bench_queue *q, uint32_t row_bytes)
{
    *q = (struct bench_queue){.mask = QUEUE_ROWS - 1};
    q->row = bench_state_alloc((size_t)row_bytes * QUEUE_ROWS);
}

void bench_queue_fini(struct bench_queue *q, uint32_t row_bytes)
{
    bench_state_free(q->row, (size_t)row_bytes * (q->mask + 1));
    q->row = NULL;
}

__attribute__((noinline)) void bench_queue_double(struct bench_queue *q, uint32_t row_bytes)
{
    struct bench_queue old = *q;
    q->mask = 2 * old.mask + 1;
    q->row = bench_state_alloc((size_t)row_bytes * (q->mask + 1));
    for (uint32_t no = old.first; no != old.end; no++) {
        memcpy(bench_queue_row(q, row_bytes, no), bench_queue_row(&old, row_bytes, no), row_bytes);
    }
    bench_queue_fini(&old, row_bytes);
}

/* ---- ticks ---- */

enum { TICK = sizeof(struct bench_tick) };

void bench_ticks_add(struct bench_queue *q, int64_t ts_ms, uint32_t n_rows)
{
    struct bench_tick *last = bench_queue_row(q, TICK, q->end - 1);
    if (q->first != q->end && last->ts_ms == ts_ms) {
        last->n_rows += n_rows;
        return;
    }
    bench_queue_room(q, TICK, 1);
    struct bench_tick *next = bench_queue_row(q, TICK, q->end++);
    *next = (struct bench_tick){ts_ms, n_rows};
}

uint32_t bench_ticks_due(struct bench_queue *q, int64_t now_ms, int64_t length_ms)
{
    uint32_t n = 0;
    while (q->first != q->end) {
        const struct bench_tick *t = bench_queue_row(q, TICK, q->first);
        if (t->ts_ms + length_ms > now_ms) {
            break;
        }
        n += t->n_rows;
        q->first++;
    }
    return n;
}
