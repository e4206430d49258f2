/* Loop of a sliding second by auction: average and count after each row.
 *
 * The window's rows lie in a queue as (group, price), their times beside them, one entry a
 * millisecond. When time moves, all that is due is taken out in one go, then the rows of the new
 * time come in. A group without rows is removed at once: the index stays as small as the window.
 */
#include "bench_loops.h"
#include "bench_state.h"

struct group {
    int64_t key, sum, n;
};
struct held {
    int64_t price;
    uint32_t group;
};
enum { GROUP = sizeof(struct group), HELD = sizeof(struct held), LENGTH_MS = 1000 };

struct window {
    struct bench_index groups;
    struct bench_queue rows, ticks;
};

static void take_out(struct window *w, uint32_t n)
{
    struct group *g = (struct group *)(void *)w->groups.entry;
    for (; n > 0; n--) {
        const struct held *h = bench_queue_row(&w->rows, HELD, w->rows.first++);
        g[h->group].sum -= h->price;
        if (--g[h->group].n == 0) {
            bench_index_remove(&w->groups, GROUP, h->group);
        }
    }
}

static void put_in(struct window *w, const int64_t *restrict auction, const int64_t *restrict price,
                   long n, struct bench_rows *out)
{
    uint32_t id[BENCH_CHUNK];
    int64_t sum[BENCH_CHUNK];
    bench_index_chunk(&w->groups, GROUP, auction, n, id);
    bench_queue_room(&w->rows, HELD, (uint32_t)n);
    int64_t *restrict key = bench_longs(out, 0), *restrict count = bench_longs(out, 2);
    double *restrict avg = bench_doubles(out, 1);
    struct group *g = (struct group *)(void *)w->groups.entry;
    for (long j = 0; j < n; j++) {
        struct held *h = bench_queue_row(&w->rows, HELD, w->rows.end + (uint32_t)j);
        h->price = price[j];
        h->group = id[j];
        sum[j] = g[id[j]].sum += price[j];
        count[j] = ++g[id[j]].n;
        key[j] = auction[j];
    }
    w->rows.end += (uint32_t)n;
    for (long j = 0; j < n; j++) {
        avg[j] = (double)sum[j] / (double)count[j];
    }
    out->n += n;
}

void bench_loop_sliding(const struct bench_events *e, struct bench_rows *out)
{
    const int64_t *ts = e->bid[BID_TS];
    struct window w;
    bench_index_init(&w.groups, GROUP);
    bench_queue_init(&w.rows, HELD);
    bench_queue_init(&w.ticks, sizeof(struct bench_tick));
    for (long i = 0, to; i < e->n_bids; i = to) {
        to = bench_same_time(ts, i, bench_min(i + BENCH_CHUNK, e->n_bids));
        take_out(&w, bench_ticks_due(&w.ticks, ts[i], LENGTH_MS));
        bench_ticks_add(&w.ticks, ts[i], (uint32_t)(to - i));
        bench_rows_room(out, to - i);
        put_in(&w, e->bid[BID_AUCTION] + i, e->bid[BID_PRICE] + i, to - i, out);
    }
    bench_rows_give(out, out->n);
    bench_index_fini(&w.groups, GROUP);
    bench_queue_fini(&w.rows, HELD);
    bench_queue_fini(&w.ticks, sizeof(struct bench_tick));
}
