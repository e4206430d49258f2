/* Loops with a table: bids looked up among a million items, and bids written into a table by key.
 */
#include "bench_loops.h"
#include "bench_state.h"

/* ---- lookup: rows inside the slots, so a look costs one cache line, asked for ahead ---- */

struct item {
    int64_t id, category, reserve, used;
};
enum { ITEM_BITS_FIRST = 8 };

static struct item *items;
static uint32_t items_bits;

static struct item *item_place(struct item *t, uint32_t bits, int64_t id)
{
    uint64_t at = bench_hash(id) >> (64 - bits);
    while (t[at].used != 0 && t[at].id != id) {
        at = (at + 1) & ((1u << bits) - 1);
    }
    return &t[at];
}

static void items_widen(void)
{
    struct item *old = items;
    uint32_t n_old = 1u << items_bits++;
    items = bench_state_alloc(sizeof(struct item) << items_bits);
    for (uint32_t o = 0; o < n_old; o++) {
        if (old[o].used != 0) {
            *item_place(items, items_bits, old[o].id) = old[o];
        }
    }
    bench_state_free(old, sizeof(struct item) * n_old);
}

void bench_lookup_fill(const struct bench_events *e)
{
    items_bits = ITEM_BITS_FIRST;
    items = bench_state_alloc(sizeof(struct item) << items_bits);
    for (uint32_t j = 0; j < BENCH_ITEMS; j++) {
        if ((j + 1) * 2 > 1u << items_bits) {
            items_widen();
        }
        int64_t id = e->item[ITEM_ID][j];
        *item_place(items, items_bits, id) =
            (struct item){id, e->item[ITEM_CATEGORY][j], e->item[ITEM_RESERVE][j], 1};
    }
}

void bench_lookup_drop(void)
{
    bench_state_free(items, sizeof(struct item) << items_bits);
    items = NULL;
}

void bench_loop_lookup(const struct bench_events *e, struct bench_rows *out)
{
    const struct item *const t = items;
    const uint32_t mask = (1u << items_bits) - 1, shift = 64 - items_bits;
    uint32_t home[BENCH_CHUNK + BENCH_AHEAD];
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i);
        const int64_t *restrict key = e->bid[BID_KEY] + i;
        const int64_t *restrict auction = e->bid[BID_AUCTION] + i;
        const int64_t *restrict price = e->bid[BID_PRICE] + i;
        for (long j = 0; j < n; j++) {
            home[j] = (uint32_t)(bench_hash(key[j]) >> shift);
        }
        for (long j = 0; j < BENCH_AHEAD; j++) {
            home[n + j] = home[0];
            __builtin_prefetch(&t[home[bench_min(j, n)]]);
        }
        bench_rows_room(out, n);
        long k = out->n;
        for (long j = 0; j < n; j++) {
            __builtin_prefetch(&t[home[j + BENCH_AHEAD]]);
            uint32_t at = home[j];
            while (t[at].id != key[j] && t[at].used != 0) {
                at = (at + 1) & mask;
            }
            out->buf[0][k] = auction[j];
            out->buf[1][k] = price[j];
            out->buf[2][k] = t[at].category;
            out->buf[3][k] = t[at].reserve;
            k += t[at].used; /* the row counts only if the walk ended at its key */
        }
        out->n = k;
    }
    bench_rows_give(out, out->n);
}

/* ---- upsert: rows dense in order of insertion, in which the table is read at the end ---- */

struct last {
    int64_t key, price, bidder;
};
enum { LAST = sizeof(struct last) };

void bench_loop_upsert(const struct bench_events *e, struct bench_rows *out)
{
    struct bench_index x;
    struct bench_far far;
    bench_index_init(&x, LAST);
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i);
        const int64_t *restrict key = e->bid[BID_KEY] + i;
        bench_far_begin(&x, LAST, key, n, &far);
        for (long j = 0; j < n; j++) {
            uint32_t id = bench_far_put(&x, LAST, key[j], j, &far);
            struct last *row = (struct last *)(void *)x.entry + id;
            row->price = e->bid[BID_PRICE][i + j];
            row->bidder = e->bid[BID_BIDDER][i + j];
        }
    }
    const struct last *row = (const struct last *)(const void *)x.entry;
    for (uint32_t id = 0; id < x.n_entries; id++) {
        bench_rows_room(out, 1);
        out->buf[0][out->n] = row[id].key;
        out->buf[1][out->n] = row[id].price;
        out->buf[2][out->n++] = row[id].bidder;
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&x, LAST);
}
