/* Loop of a window join: bids of the last second with auctions of the last second, by auction.
 *
 * One index for both sides: a key's entry has a chain into either queue. What leaves a window is
 * always the first of its chain, and a chain's order is that of arrival, in which matches come out.
 */
#include "bench_loops.h"
#include "bench_state.h"

struct chain {
    uint32_t head, tail; /* running number + 1; 0 = empty */
};
struct pair {
    int64_t key;
    struct chain side[2];
};
struct row {
    int64_t a, b; /* bid: bidder, price; auction: seller, category */
    uint32_t key_id, next;
};
enum side { BIDS, AUCTIONS };
enum { PAIR = sizeof(struct pair), ROW = sizeof(struct row), LENGTH_MS = 1000 };

struct join {
    struct bench_index keys;
    struct bench_queue rows[2], ticks[2];
    int64_t now_ms;
};

static inline struct pair *pair_at(const struct join *j, uint32_t id)
{
    return (struct pair *)(void *)j->keys.entry + id;
}

static void expire(struct join *j, enum side s)
{
    struct bench_queue *q = &j->rows[s];
    for (uint32_t n = bench_ticks_due(&j->ticks[s], j->now_ms, LENGTH_MS); n > 0; n--) {
        const struct row *r = bench_queue_row(q, ROW, q->first++);
        struct pair *p = pair_at(j, r->key_id);
        p->side[s].head = r->next;
        if (p->side[BIDS].head == 0 && p->side[AUCTIONS].head == 0) {
            bench_index_remove(&j->keys, PAIR, r->key_id);
        }
    }
}

static inline void move_clock(struct join *j, int64_t ts_ms)
{
    if (ts_ms != j->now_ms) {
        j->now_ms = ts_ms;
        expire(j, BIDS);
        expire(j, AUCTIONS);
    }
}

/* Appends a row to its key's chain; the caller made room in the queue. */
static inline struct pair *keep(struct join *j, enum side s, int64_t key, int64_t a, int64_t b)
{
    uint32_t id = bench_index_put(&j->keys, PAIR, key, bench_hash(key));
    struct pair *p = pair_at(j, id);
    struct bench_queue *q = &j->rows[s];
    uint32_t no = ++q->end;
    struct row *r = bench_queue_row(q, ROW, no - 1);
    *r = (struct row){a, b, id, 0};
    if (p->side[s].head != 0) {
        struct row *last = bench_queue_row(q, ROW, p->side[s].tail - 1);
        last->next = no;
    } else {
        p->side[s].head = no;
    }
    p->side[s].tail = no;
    return p;
}

static inline void emit(struct bench_rows *out, int64_t key, const struct row *bid, int64_t seller,
                        int64_t category)
{
    bench_rows_room(out, 1);
    long k = out->n++;
    out->buf[0][k] = key;
    out->buf[1][k] = bid->a;
    out->buf[2][k] = bid->b;
    out->buf[3][k] = seller;
    out->buf[4][k] = category;
}

static void auctions(struct join *j, const struct bench_events *e, long from, long to,
                     struct bench_rows *out)
{
    for (long a = from; a < to; a++) {
        int64_t key = e->auction[AUC_ID][a], seller = e->auction[AUC_SELLER][a];
        int64_t category = e->auction[AUC_CATEGORY][a];
        move_clock(j, e->auction[AUC_TS][a]);
        bench_queue_room(&j->rows[AUCTIONS], ROW, 1);
        const struct pair *p = keep(j, AUCTIONS, key, seller, category);
        bench_ticks_add(&j->ticks[AUCTIONS], j->now_ms, 1);
        for (uint32_t no = p->side[BIDS].head; no != 0;) {
            const struct row *bid = bench_queue_row(&j->rows[BIDS], ROW, no - 1);
            emit(out, key, bid, seller, category);
            no = bid->next;
        }
    }
}

/* Bids of one timestamp, between two blocks of auctions. */
static void bids(struct join *j, const struct bench_events *e, long from, long to,
                 struct bench_rows *out)
{
    move_clock(j, e->bid[BID_TS][from]);
    bench_ticks_add(&j->ticks[BIDS], j->now_ms, (uint32_t)(to - from));
    bench_queue_room(&j->rows[BIDS], ROW, (uint32_t)(to - from));
    for (long i = from; i < to; i++) {
        int64_t key = e->bid[BID_AUCTION][i];
        struct row bid = {e->bid[BID_BIDDER][i], e->bid[BID_PRICE][i], 0, 0};
        const struct pair *p = keep(j, BIDS, key, bid.a, bid.b);
        for (uint32_t no = p->side[AUCTIONS].head; no != 0;) {
            const struct row *auction = bench_queue_row(&j->rows[AUCTIONS], ROW, no - 1);
            emit(out, key, &bid, auction->a, auction->b);
            no = auction->next;
        }
    }
}

void bench_loop_join(const struct bench_events *e, struct bench_rows *out)
{
    struct join j = {.now_ms = INT64_MIN};
    bench_index_init(&j.keys, PAIR);
    for (int s = BIDS; s <= AUCTIONS; s++) {
        bench_queue_init(&j.rows[s], ROW);
        bench_queue_init(&j.ticks[s], sizeof(struct bench_tick));
    }
    for (long i = 0, a = 0; i < e->n_bids;) {
        auctions(&j, e, a, a + BENCH_BLOCK_AUCTIONS, out);
        a += BENCH_BLOCK_AUCTIONS;
        for (long end = bench_min(i + BENCH_BLOCK_BIDS, e->n_bids), to; i < end; i = to) {
            to = bench_same_time(e->bid[BID_TS], i, end);
            bids(&j, e, i, to, out);
        }
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&j.keys, PAIR);
    for (int s = BIDS; s <= AUCTIONS; s++) {
        bench_queue_fini(&j.rows[s], ROW);
        bench_queue_fini(&j.ticks[s], sizeof(struct bench_tick));
    }
}
