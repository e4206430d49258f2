#include "bench_events.h"

#include <stdlib.h>

static uint64_t draw(uint64_t *s)
{
    uint64_t x = *s;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *s = x;
}

/* Odd draws bid on the hot auction: the first of the present hundred. The others take one of the
 * last hundred or so, or one that has not opened yet. */
static int64_t auction_of(uint64_t r, uint64_t newest)
{
    if (r & 1) {
        return (int64_t)(1000 + newest / 100 * 100);
    }
    uint64_t old = newest > 100 ? newest - 100 : 0;
    uint64_t recent = newest < 100 ? newest : 100;
    return (int64_t)(1000 + old + (r >> 1) % (recent + 11));
}

static int64_t bidder_of(uint64_t r, uint64_t newest)
{
    if (r & 3) {
        return (int64_t)(1000 + newest / 100 * 100 + 1);
    }
    uint64_t active = newest + 1 < 1000 ? newest + 1 : 1000;
    return (int64_t)(1000 + newest + 1 - active + (r >> 2) % (active + 10));
}

/* 16 random bits behind a leading one, shifted by 0 .. 19 places: log-uniform without a logarithm.
 */
static int64_t price_of(uint64_t r)
{
    uint64_t mantissa = 100 * (65536 + (r & 65535));
    return (int64_t)(mantissa << (r >> 32) % 20 >> 16);
}

static void make_bids(struct bench_events *e, const struct bench_events_opts *o)
{
    uint64_t s = 42;
    for (long i = 0; i < e->n_bids; i++) {
        uint64_t person = (uint64_t)(i / BENCH_BLOCK_BIDS);
        uint64_t auction = BENCH_BLOCK_AUCTIONS * person + 2;
        e->bid[BID_AUCTION][i] = auction_of(draw(&s), auction);
        e->bid[BID_BIDDER][i] = bidder_of(draw(&s), person);
        e->bid[BID_PRICE][i] = price_of(draw(&s));
        e->bid[BID_KEY][i] = (int64_t)((draw(&s) >> 11) % (uint64_t)o->n_keys);
        e->bid[BID_TS][i] = BENCH_T0_MS + i * o->step_us / 1000;
    }
}

static void make_auctions(struct bench_events *e, const struct bench_events_opts *o)
{
    for (long a = 0; a < e->n_auctions; a++) {
        long first_bid = a / BENCH_BLOCK_AUCTIONS * BENCH_BLOCK_BIDS;
        e->auction[AUC_ID][a] = 1000 + a;
        e->auction[AUC_SELLER][a] = 1000 + a * 7 % 1009;
        e->auction[AUC_CATEGORY][a] = 10 + a % 5;
        e->auction[AUC_TS][a] = BENCH_T0_MS + first_bid * o->step_us / 1000;
    }
}

static void make_items(struct bench_events *e)
{
    for (int64_t j = 0; j < BENCH_ITEMS; j++) {
        int64_t id = 100000 + j * 611953 % 1000000;
        e->item[ITEM_ID][j] = id;
        e->item[ITEM_CATEGORY][j] = id % 97;
        e->item[ITEM_RESERVE][j] = id * 31 % 100003;
    }
}

static bool make_columns(int64_t **col, int n_cols, long n_rows)
{
    for (int c = 0; c < n_cols; c++) {
        col[c] = aligned_alloc(64, ((size_t)n_rows * sizeof(int64_t) + 63) / 64 * 64);
        if (col[c] == NULL) {
            return false;
        }
    }
    return true;
}

bool bench_events_make(struct bench_events *e, const struct bench_events_opts *o)
{
    long blocks = (o->n_bids + BENCH_BLOCK_BIDS - 1) / BENCH_BLOCK_BIDS;
    *e = (struct bench_events){.n_bids = o->n_bids, .n_auctions = BENCH_BLOCK_AUCTIONS * blocks};
    if (!make_columns(e->bid, BID_COLS, e->n_bids) ||
        !make_columns(e->auction, AUC_COLS, e->n_auctions) ||
        !make_columns(e->item, ITEM_COLS, BENCH_ITEMS)) {
        bench_events_drop(e);
        return false;
    }
    make_bids(e, o);
    make_auctions(e, o);
    make_items(e);
    return true;
}

static void drop_columns(int64_t **col, int n_cols)
{
    for (int c = 0; c < n_cols; c++) {
        free(col[c]);
        col[c] = NULL;
    }
}

void bench_events_drop(struct bench_events *e)
{
    drop_columns(e->bid, BID_COLS);
    drop_columns(e->auction, AUC_COLS);
    drop_columns(e->item, ITEM_COLS);
}
