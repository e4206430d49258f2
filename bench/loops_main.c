/* The loops alone: times them and checks their rows, without an engine.
 *
 *   bench_loops [WORKLOAD …] [--events N] [--reps N]
 */
#include "bench_state.h"
#include "bench_workloads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct bench_rows rows;

static double best_of(const struct bench_workload *w, const struct bench_events *e, int reps)
{
    double best = 0;
    for (int r = 0; r < reps; r++) {
        bench_rows_begin(&rows, w->n_cols, false);
        double start = now_s();
        w->loop(e, &rows);
        double took = now_s() - start;
        best = r == 0 || took < best ? took : best;
    }
    return best;
}

static bool measure(const struct bench_workload *w, const struct bench_events *e, int reps)
{
    if (w->items) {
        bench_lookup_fill(e);
    }
    bench_state_restart();
    double best = best_of(w, e, reps);
    bench_rows_begin(&rows, w->n_cols, true);
    w->loop(e, &rows);
    if (w->items) {
        bench_lookup_drop();
    }
    const struct bench_sums *s = &rows.sums, *x = &w->expected;
    bool as_pinned = s->rows == x->rows && s->checksum == x->checksum && s->rowsum == x->rowsum;
    bool good = as_pinned || e->n_bids != BENCH_DEFAULT_EVENTS;
    double n = (double)(e->n_bids + (w->auctions ? e->n_auctions : 0));
    (void)printf("%-10s %10" PRIu64 " %016" PRIx64 " %016" PRIx64 " %8.1f M/s %7.2f ns %11" PRId64
                 " B %s\n",
                 w->name, s->rows, s->checksum, s->rowsum, n / best / 1e6, best * 1e9 / n,
                 bench_state_peak_bytes, good ? "" : "ROWS DIFFER");
    (void)fflush(stdout);
    return good;
}

int main(int argc, char **argv)
{
    struct bench_events_opts o = {BENCH_DEFAULT_EVENTS, BENCH_DEFAULT_STEP_US, BENCH_DEFAULT_KEYS};
    const struct bench_workload *todo[64];
    int n_todo = 0, reps = 3;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--events") == 0) {
            o.n_bids = strtol(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--reps") == 0) {
            reps = (int)strtol(argv[++i], NULL, 10);
        } else if (n_todo < 64 && bench_workload_named(argv[i]) != NULL) {
            todo[n_todo++] = bench_workload_named(argv[i]);
        } else {
            (void)fprintf(stderr, "bench_loops: no workload or option '%s'\n", argv[i]);
            return 2;
        }
    }
    for (int w = 0; n_todo == 0 && w < bench_n_workloads; w++) {
        todo[w] = &bench_workloads[w];
    }
    n_todo = n_todo == 0 ? bench_n_workloads : n_todo;
    struct bench_events e;
    if (o.n_bids < 1 || reps < 1 || !bench_events_make(&e, &o)) {
        (void)fprintf(stderr, "bench_loops: that many events cannot be made\n");
        return 2;
    }
    bool good = true;
    for (int w = 0; w < n_todo; w++) {
        good &= measure(todo[w], &e, reps);
    }
    bench_events_drop(&e);
    return good ? 0 : 1;
}
