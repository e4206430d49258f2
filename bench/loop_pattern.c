/* Loops of a correlated pattern: a dear bid, then a cheaper one of the same bidder within a second.
 *
 * Bids that wait lie in a queue, oldest first, and in a chain of their bidder's bucket, so that an
 * event meets only those that it could complete. Most events find an empty chain and start nothing.
 *
 *   queue    w0 w1 w2 w3 w4 …            first .. end
 *   bucket   ──► w0 ──► w3               the head is the oldest, so expiry unlinks heads only
 */
#include "bench_loops.h"
#include "bench_state.h"

struct waiting {
    int64_t bidder, price, ts_ms;
    uint32_t next; /* number + 1 of the next in the chain; 0 = last */
    uint32_t bucket;
};

struct chain {
    uint32_t head, tail; /* number + 1 */
};

enum { WAITING = sizeof(struct waiting), BUCKET_BITS = 13, WITHIN_MS = 1000, DONE = 1 << 30 };

struct machine {
    struct bench_queue queue;
    struct chain *bucket; /* [2^BUCKET_BITS] */
};

static inline struct waiting *waiting_at(const struct machine *m, uint32_t number_1)
{
    return bench_queue_row(&m->queue, WAITING, number_1 - 1);
}

static inline void expire(struct machine *m, int64_t now_ms)
{
    while (m->queue.first != m->queue.end) {
        const struct waiting *w = bench_queue_row(&m->queue, WAITING, m->queue.first);
        if ((w->bucket & DONE) == 0) {
            if (w->ts_ms + WITHIN_MS >= now_ms) {
                return;
            }
            m->bucket[w->bucket].head = w->next;
        }
        m->queue.first++;
    }
}

static inline void complete(struct machine *m, struct chain *c, int64_t bidder, int64_t price,
                            struct bench_rows *out)
{
    uint32_t before = 0;
    for (uint32_t no = c->head, next; no != 0; no = next) {
        struct waiting *w = waiting_at(m, no);
        next = w->next;
        if (w->bidder != bidder || price >= w->price) {
            before = no;
            continue;
        }
        bench_rows_room(out, 1);
        out->buf[0][out->n] = bidder;
        out->buf[1][out->n] = w->price;
        out->buf[2][out->n++] = price;
        w->bucket |= DONE;
        if (before != 0) {
            waiting_at(m, before)->next = next;
        } else {
            c->head = next;
        }
        c->tail = next == 0 ? before : c->tail;
    }
}

static inline void start(struct machine *m, uint32_t bucket, const struct waiting *w)
{
    struct chain *c = &m->bucket[bucket];
    bench_queue_room(&m->queue, WAITING, 1);
    uint32_t no = ++m->queue.end;
    *waiting_at(m, no) = *w;
    if (c->head != 0) {
        waiting_at(m, c->tail)->next = no;
    } else {
        c->head = no;
    }
    c->tail = no;
}

static void run(const struct bench_events *e, int64_t above, struct bench_rows *out)
{
    struct machine m;
    bench_queue_init(&m.queue, WAITING);
    m.bucket = bench_state_alloc(sizeof(struct chain) << BUCKET_BITS);
    uint16_t bucket[BENCH_CHUNK];
    for (long i = 0; i < e->n_bids; i += BENCH_CHUNK) {
        long n = bench_min(BENCH_CHUNK, e->n_bids - i);
        const int64_t *restrict bidder = e->bid[BID_BIDDER] + i;
        const int64_t *restrict price = e->bid[BID_PRICE] + i, *restrict ts = e->bid[BID_TS] + i;
        for (long j = 0; j < n; j++) {
            bucket[j] = (uint16_t)(bench_hash(bidder[j]) >> (64 - BUCKET_BITS));
        }
        for (long j = 0; j < n; j++) {
            struct chain *c = &m.bucket[bucket[j]];
            if (__builtin_expect(c->head == 0 && price[j] <= above, 1)) {
                continue;
            }
            expire(&m, ts[j]);
            complete(&m, c, bidder[j], price[j], out);
            if (price[j] > above) {
                start(&m, bucket[j], &(struct waiting){bidder[j], price[j], ts[j], 0, bucket[j]});
            }
        }
    }
    bench_rows_give(out, out->n);
    bench_queue_fini(&m.queue, WAITING);
    bench_state_free(m.bucket, sizeof(struct chain) << BUCKET_BITS);
}

void bench_loop_pattern(const struct bench_events *e, struct bench_rows *out)
{
    run(e, 94371840, out);
}

void bench_loop_pattern10(const struct bench_events *e, struct bench_rows *out)
{
    run(e, 26214400, out);
}
