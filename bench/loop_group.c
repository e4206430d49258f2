/* Loops that group: a count per auction and window, the different bidders of a second, and a
 * running sum per key over a million keys. */
#include "bench_loops.h"
#include "bench_state.h"

/* ---- tumbling: entries lie in order of first sight, so a flush is a copy ---- */

struct tally {
    int64_t key, n;
};
enum { TALLY = sizeof(struct tally), TUMBLE_MS = 10000 };

static void tumble_flush(const struct bench_index *x, struct bench_rows *out)
{
    const struct tally *t = (const struct tally *)(const void *)x->entry;
    for (long from = 0, n; from < x->n_entries; from += n) {
        bench_rows_room(out, 1);
        n = bench_min(BENCH_ROWS_MAX - out->n, x->n_entries - from);
        int64_t *restrict key = bench_longs(out, 0), *restrict count = bench_longs(out, 1);
        for (long i = 0; i < n; i++) {
            key[i] = t[from + i].key;
            count[i] = t[from + i].n;
        }
        out->n += n;
    }
}

void bench_loop_tumbling(const struct bench_events *e, struct bench_rows *out)
{
    const int64_t *ts = e->bid[BID_TS], *auction = e->bid[BID_AUCTION];
    struct bench_index x;
    bench_index_init(&x, TALLY);
    uint32_t id[BENCH_CHUNK];
    int64_t end_ms = ts[0] + TUMBLE_MS;
    for (long i = 0, to; i < e->n_bids; i = to) {
        if (ts[i] >= end_ms) {
            tumble_flush(&x, out);
            bench_index_clear(&x, TALLY);
            end_ms += ((ts[i] - end_ms) / TUMBLE_MS + 1) * TUMBLE_MS;
        }
        to = bench_before(ts, i, bench_min(i + BENCH_CHUNK, e->n_bids), end_ms);
        bench_index_chunk(&x, TALLY, auction + i, to - i, id);
        struct tally *t = (struct tally *)(void *)x.entry;
        for (long j = 0; j < to - i; j++) {
            t[id[j]].n++;
        }
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&x, TALLY);
}

/* ---- distinct: a set per second; its size is the row ---- */

enum { MEMBER = sizeof(int64_t), DISTINCT_MS = 1000 };

void bench_loop_distinct(const struct bench_events *e, struct bench_rows *out)
{
    const int64_t *ts = e->bid[BID_TS], *bidder = e->bid[BID_BIDDER];
    struct bench_index x;
    bench_index_init(&x, MEMBER);
    uint32_t id[BENCH_CHUNK];
    int64_t end_ms = ts[0] + DISTINCT_MS;
    for (long i = 0, to; i < e->n_bids; i = to) {
        if (ts[i] >= end_ms) {
            bench_rows_room(out, 1);
            out->buf[0][out->n++] = x.n_entries;
            bench_index_clear(&x, MEMBER);
            end_ms += ((ts[i] - end_ms) / DISTINCT_MS + 1) * DISTINCT_MS;
        }
        to = bench_before(ts, i, bench_min(i + BENCH_CHUNK, e->n_bids), end_ms);
        bench_index_chunk(&x, MEMBER, bidder + i, to - i, id);
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&x, MEMBER);
}

/* ---- running: sums inside the slots, so a row costs one cache line, asked for ahead ---- */

struct cell {
    int64_t key, sum, n; /* n = 0: free */
    int64_t pad;         /* two to a cache line */
};

struct cells {
    struct cell *cell;
    uint32_t bits, n_used;
};

static void cells_widen(struct cells *t)
{
    struct cell *old = t->cell;
    uint32_t n_old = 1u << t->bits++, mask = (1u << t->bits) - 1;
    t->cell = bench_state_alloc(sizeof(struct cell) << t->bits);
    for (uint32_t o = 0; o < n_old; o++) {
        if (old[o].n != 0) {
            uint64_t at = bench_hash(old[o].key) >> (64 - t->bits);
            while (t->cell[at].n != 0) {
                at = (at + 1) & mask;
            }
            t->cell[at] = old[o];
        }
    }
    bench_state_free(old, sizeof(struct cell) * n_old);
}

static void running_chunk(struct cells *t, const int64_t *restrict key,
                          const int64_t *restrict price, long n, struct bench_rows *out)
{
    uint32_t home[BENCH_CHUNK + BENCH_AHEAD], mask = (1u << t->bits) - 1;
    struct cell *const cell = t->cell;
    for (long j = 0; j < n; j++) {
        home[j] = (uint32_t)(bench_hash(key[j]) >> (64 - t->bits));
    }
    for (long j = 0; j < BENCH_AHEAD; j++) {
        home[n + j] = home[0];
        __builtin_prefetch(&cell[home[bench_min(j, n)]], 1);
    }
    int64_t *restrict sum = bench_longs(out, 1), *restrict count = bench_longs(out, 2);
    memcpy(bench_longs(out, 0), key, sizeof(int64_t) * (size_t)n);
    for (long j = 0; j < n; j++) {
        __builtin_prefetch(&cell[home[j + BENCH_AHEAD]], 1);
        uint32_t at = home[j];
        while (cell[at].key != key[j] && cell[at].n != 0) {
            at = (at + 1) & mask;
        }
        struct cell *c = &cell[at];
        t->n_used += c->n == 0;
        c->key = key[j];
        sum[j] = c->sum += price[j];
        count[j] = ++c->n;
    }
    out->n += n;
}

void bench_loop_running(const struct bench_events *e, struct bench_rows *out)
{
    struct cells t = {.bits = 8};
    t.cell = bench_state_alloc(sizeof(struct cell) << t.bits);
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i);
        while ((t.n_used + (uint32_t)n) * 2 > 1u << t.bits) { /* all of the chunk may be new */
            cells_widen(&t);
        }
        bench_rows_room(out, n);
        running_chunk(&t, e->bid[BID_KEY] + i, e->bid[BID_PRICE] + i, n, out);
    }
    bench_rows_give(out, out->n);
    bench_state_free(t.cell, sizeof(struct cell) << t.bits);
}
