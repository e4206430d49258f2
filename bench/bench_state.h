#ifndef BENCH_STATE_H
#define BENCH_STATE_H

/* The state of the loops: counted memory, an index of keys, a queue of rows.
 *
 *   index    slot[2^bits]   tag : 32 | entry id + 1 : 32        probed without touching an entry
 *                 │ tag agrees
 *                 ▼
 *            entry[id]      key, then the loop's own fields      dense, in order of first sight
 *
 * An id is good for as long as its key is in the index; pointers are good until the next insert.
 * Removal moves the followers back, so there are no tombstones; ids of removed keys are used again.
 *
 *   queue    rows with running numbers, first in first out, a power of two long, doubled when full
 *
 * The entry's and the row's size is a constant at every call, so that the compiler folds it: all
 * hot functions are inline and take it as their second argument.
 *
 *   Limits  2^31 keys or rows held at once     Errors  out of memory ends the program
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- memory: zeroed, 64-byte aligned; large blocks ask for large pages ---- */

extern int64_t bench_state_peak_bytes;

void *bench_state_alloc(size_t bytes);
void bench_state_free(void *p, size_t bytes);
/* Moves a block into a larger one. */
void *bench_state_grow(void *p, size_t old_bytes, size_t new_bytes);
void bench_state_restart(void);

/* ---- index ---- */

enum {
    BENCH_CHUNK = 1024, /* rows hashed together */
    BENCH_AHEAD = 32,   /* rows between asking for a cache line and using it */
};

struct bench_index {
    uint64_t *slot;
    char *entry;
    uint32_t shift;                                 /* 64 - bits */
    uint32_t n_entries, n_live, entries_max, spare; /* spare: chain of removed ids, id + 1 */
};

void bench_index_init(struct bench_index *x, uint32_t entry_bytes);
void bench_index_fini(struct bench_index *x, uint32_t entry_bytes);
/* Forgets all keys at once; only for an index from which none was removed alone. */
void bench_index_clear(struct bench_index *x, uint32_t entry_bytes);
uint32_t bench_index_insert(struct bench_index *x, uint32_t entry_bytes, int64_t key,
                            uint64_t hash);
void bench_index_remove(struct bench_index *x, uint32_t entry_bytes, uint32_t id);

static inline uint64_t bench_hash(int64_t key)
{
    uint64_t h = (uint64_t)key * UINT64_C(0xA0761D6478BD642F);
    h ^= h >> 32;
    return h * UINT64_C(0xE7037ED1A0B428DB);
}

static inline uint32_t bench_slots(const struct bench_index *x)
{
    return 1u << (64 - x->shift);
}

static inline int64_t bench_entry_key(const struct bench_index *x, uint32_t entry_bytes,
                                      uint32_t id)
{
    int64_t key;
    memcpy(&key, x->entry + (size_t)id * entry_bytes, sizeof key);
    return key;
}

/* The key's id; a new key gets one and an entry of zeros. */
static inline uint32_t bench_index_put(struct bench_index *x, uint32_t entry_bytes, int64_t key,
                                       uint64_t hash)
{
    uint32_t mask = bench_slots(x) - 1;
    uint64_t s;
    for (uint32_t at = (uint32_t)(hash >> x->shift); (s = x->slot[at]) != 0; at = (at + 1) & mask) {
        uint32_t id = (uint32_t)s - 1;
        if (s >> 32 == (uint32_t)hash && bench_entry_key(x, entry_bytes, id) == key) {
            return id;
        }
    }
    return bench_index_insert(x, entry_bytes, key, hash);
}

/* Hashes of n <= BENCH_CHUNK keys; the places behind them repeat the first, for those who look
 * ahead. */
static inline void bench_hash_chunk(const int64_t *restrict key, long n, uint64_t *restrict hash)
{
    for (long j = 0; j < n; j++) {
        hash[j] = bench_hash(key[j]);
    }
    for (long j = n; j < n + 2 * BENCH_AHEAD; j++) {
        hash[j] = hash[0];
    }
}

__attribute__((always_inline)) static inline void
bench_index_chunk_as(struct bench_index *x, uint32_t entry_bytes, const int64_t *restrict key,
                     long n, uint32_t *restrict id, bool far)
{
    uint64_t hash[BENCH_CHUNK + 2 * BENCH_AHEAD];
    bench_hash_chunk(key, n, hash);
    struct bench_index now = *x; /* in registers while nothing is inserted */
    for (long j = 0; j < n; j++) {
        if (far) {
            __builtin_prefetch(&now.slot[hash[j + BENCH_AHEAD] >> now.shift]);
        }
        uint64_t s = now.slot[hash[j] >> now.shift];
        uint32_t guess = (uint32_t)s - 1;
        if (__builtin_expect(s != 0 && s >> 32 == (uint32_t)hash[j], 1) &&
            __builtin_expect(bench_entry_key(&now, entry_bytes, guess) == key[j], 1)) {
            id[j] = guess;
            continue;
        }
        id[j] = bench_index_put(x, entry_bytes, key[j], hash[j]);
        now = *x;
    }
}

/* The ids of n <= BENCH_CHUNK keys. Slots that do not fit the near caches are asked for ahead. */
static inline void bench_index_chunk(struct bench_index *x, uint32_t entry_bytes,
                                     const int64_t *key, long n, uint32_t *id)
{
    if (x->shift < 64 - 16) {
        bench_index_chunk_as(x, entry_bytes, key, n, id, true);
    } else {
        bench_index_chunk_as(x, entry_bytes, key, n, id, false);
    }
}

/* ---- an index far larger than the caches: slot two spans ahead, entry one span ahead ---- */

struct bench_far {
    uint64_t hash[BENCH_CHUNK + 2 * BENCH_AHEAD];
    uint32_t guess[BENCH_CHUNK + BENCH_AHEAD]; /* id + 1 by tag alone; 0 = no such tag */
};

static inline void bench_far_slot(const struct bench_index *x, uint64_t hash)
{
    __builtin_prefetch(&x->slot[hash >> x->shift]);
}

static inline uint32_t bench_far_entry(const struct bench_index *x, uint32_t entry_bytes,
                                       uint64_t hash)
{
    uint32_t mask = bench_slots(x) - 1;
    uint32_t at = (uint32_t)(hash >> x->shift);
    while (x->slot[at] != 0 && x->slot[at] >> 32 != (uint32_t)hash) {
        at = (at + 1) & mask;
    }
    uint32_t found = (uint32_t)x->slot[at];
    const char *e = x->entry + (size_t)(found == 0 ? 0 : found - 1) * entry_bytes;
    for (uint32_t line = 0; line < entry_bytes; line += 64) {
        __builtin_prefetch(e + line, 1);
    }
    return found;
}

static inline void bench_far_begin(const struct bench_index *x, uint32_t entry_bytes,
                                   const int64_t *key, long n, struct bench_far *f)
{
    bench_hash_chunk(key, n, f->hash);
    for (long j = 0; j < 2 * BENCH_AHEAD; j++) {
        bench_far_slot(x, f->hash[j]);
    }
    for (long j = 0; j < BENCH_AHEAD; j++) {
        f->guess[j] = bench_far_entry(x, entry_bytes, f->hash[j]);
    }
}

/* The id of row j; rows in order. */
static inline uint32_t bench_far_put(struct bench_index *x, uint32_t entry_bytes, int64_t key,
                                     long j, struct bench_far *f)
{
    bench_far_slot(x, f->hash[j + 2 * BENCH_AHEAD]);
    f->guess[j + BENCH_AHEAD] = bench_far_entry(x, entry_bytes, f->hash[j + BENCH_AHEAD]);
    uint32_t guess = f->guess[j];
    if (__builtin_expect(guess != 0 && bench_entry_key(x, entry_bytes, guess - 1) == key, 1)) {
        return guess - 1;
    }
    return bench_index_put(x, entry_bytes, key, f->hash[j]);
}

/* ---- queue ---- */

struct bench_queue {
    char *row;
    uint32_t mask, first, end; /* running numbers: rows first .. end-1 are held */
};

void bench_queue_init(struct bench_queue *q, uint32_t row_bytes);
void bench_queue_fini(struct bench_queue *q, uint32_t row_bytes);
void bench_queue_double(struct bench_queue *q, uint32_t row_bytes);

static inline void *bench_queue_row(const struct bench_queue *q, uint32_t row_bytes, uint32_t no)
{
    return q->row + (size_t)(no & q->mask) * row_bytes;
}

static inline void bench_queue_room(struct bench_queue *q, uint32_t row_bytes, uint32_t n)
{
    while (__builtin_expect(q->end - q->first + n > q->mask + 1, 0)) {
        bench_queue_double(q, row_bytes);
    }
}

/* ---- the times of a window's rows: one entry for all rows of a millisecond ---- */

struct bench_tick {
    int64_t ts_ms;
    uint32_t n_rows;
};

void bench_ticks_add(struct bench_queue *q, int64_t ts_ms, uint32_t n_rows);
/* How many rows are older than `length_ms` when the clock reads now_ms; they are forgotten. */
uint32_t bench_ticks_due(struct bench_queue *q, int64_t now_ms, int64_t length_ms);

/* ---- timestamps that do not go back ---- */

/* First of rows i+1 .. to whose timestamp is not that of row i. */
static inline long bench_same_time(const int64_t *ts, long i, long to)
{
    int64_t t = ts[i++];
    while (i < to && ts[i] == t) {
        i++;
    }
    return i;
}

/* First of rows i .. to whose timestamp has reached bound_ms. */
static inline long bench_before(const int64_t *ts, long i, long to, int64_t bound_ms)
{
    if (ts[to - 1] < bound_ms) {
        return to;
    }
    while (ts[i] < bound_ms) {
        i++;
    }
    return i;
}

static inline long bench_min(long a, long b)
{
    return a < b ? a : b;
}

#endif /* BENCH_STATE_H */
