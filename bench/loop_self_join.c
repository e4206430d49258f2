/* Loop of a self join: the last 100 bids off the hot auctions with the last 100, by auction.
 *
 * Both windows hold the same rows, but for the moment between an event's two roles: as a left event
 * it still meets the row about to leave the right window, as a right event it meets itself, last.
 * So there is one ring, chained by hash, and one walk for each role.
 */
#include "bench_loops.h"
#include "bench_state.h"

enum { HELD_MAX = 100, BUCKET_BITS = 9 };

struct held {
    int64_t auction, bidder, price;
    uint16_t next; /* place + 1 */
    uint16_t bucket;
};
struct chain {
    uint16_t head, tail; /* place + 1; 0 = empty */
};

struct window {
    struct held *row;     /* [HELD_MAX] */
    struct chain *bucket; /* [2^BUCKET_BITS] */
    uint32_t at, n;       /* place of the next row: once full, of the oldest */
};

static inline void as_left(const struct window *w, const struct held *it, struct bench_rows *out)
{
    long k = out->n;
    for (uint32_t p = w->bucket[it->bucket].head; p != 0; p = w->row[p - 1].next) {
        const struct held *other = &w->row[p - 1];
        out->buf[0][k] = it->auction;
        out->buf[1][k] = it->bidder;
        out->buf[2][k] = it->price;
        out->buf[3][k] = other->bidder;
        out->buf[4][k] = other->price;
        k += other->auction == it->auction;
    }
    out->n = k;
}

static inline void as_right(const struct window *w, const struct held *it, struct bench_rows *out)
{
    long k = out->n;
    for (uint32_t p = w->bucket[it->bucket].head; p != 0; p = w->row[p - 1].next) {
        const struct held *other = &w->row[p - 1];
        out->buf[0][k] = it->auction;
        out->buf[1][k] = other->bidder;
        out->buf[2][k] = other->price;
        out->buf[3][k] = it->bidder;
        out->buf[4][k] = it->price;
        k += other->auction == it->auction;
    }
    out->n = k;
}

static inline void replace(struct window *w, const struct held *it)
{
    if (w->n == HELD_MAX) { /* the oldest is the first of its chain */
        const struct held *oldest = &w->row[w->at];
        w->bucket[oldest->bucket].head = oldest->next;
    } else {
        w->n++;
    }
    uint16_t place = (uint16_t)(w->at + 1);
    struct chain *c = &w->bucket[it->bucket];
    w->row[w->at] = *it;
    if (c->head != 0) {
        w->row[c->tail - 1].next = place;
    } else {
        c->head = place;
    }
    c->tail = place;
    w->at = place == HELD_MAX ? 0 : place;
}

void bench_loop_self_join(const struct bench_events *e, struct bench_rows *out)
{
    struct window w = {.row = bench_state_alloc(sizeof(struct held) * HELD_MAX)};
    w.bucket = bench_state_alloc(sizeof(struct chain) << BUCKET_BITS);
    uint16_t cold[BENCH_CHUNK], bucket[BENCH_CHUNK];
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i), n_cold = 0;
        const int64_t *restrict auction = e->bid[BID_AUCTION] + i;
        for (long j = 0; j < n; j++) {
            bucket[j] = (uint16_t)(bench_hash(auction[j]) >> (64 - BUCKET_BITS));
        }
        for (long j = 0; j < n; j++) { /* no branch: half of the bids are hot, at random */
            cold[n_cold] = (uint16_t)j;
            n_cold += auction[j] % 100 != 0;
        }
        for (long c = 0; c < n_cold; c++) {
            long j = cold[c];
            struct held it = {.auction = auction[j],
                              .bidder = e->bid[BID_BIDDER][i + j],
                              .price = e->bid[BID_PRICE][i + j],
                              .bucket = bucket[j]};
            bench_rows_room(out, 2 * HELD_MAX + 2);
            as_left(&w, &it, out);
            replace(&w, &it);
            as_right(&w, &it, out);
        }
    }
    bench_rows_give(out, out->n);
    bench_state_free(w.row, sizeof(struct held) * HELD_MAX);
    bench_state_free(w.bucket, sizeof(struct chain) << BUCKET_BITS);
}
