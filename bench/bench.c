/* The benchmark: engine and hand-written loop over the same columns, row by row the same, then
 * timed in turns.
 *
 *   bench [WORKLOAD …] [--events N] [--step-us US] [--keys N] [--reps N] [--shards N] [--saves]
 *         [--json FILE]
 *   bench --emit N        N bids as event lines (NDJSON) on standard output, for `efx run`
 *
 * Engine and loop alternate, and the best of each counts: what disturbs the machine disturbs both.
 * Exit 1 if a workload failed or its rows differ.
 */
#include "bench_engine.h"
#include "bench_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TODO_MAX = 64 };

struct options {
    struct bench_events_opts events;
    struct bench_engine_opts engine;
    int reps;
    const char *json;
    long emit;
    int n_todo;
    const struct bench_workload *todo[TODO_MAX];
};

struct figures {
    double n_events, loop_s, engine_s;
    struct bench_sums loop, engine;
    struct bench_engine_result last; /* of the engine */
    bool ran, agree;
};

static struct bench_rows rows; /* 200 KB: not on the stack */

static double time_loop(const struct bench_workload *w, const struct bench_events *e, bool verify)
{
    bench_rows_begin(&rows, w->n_cols, verify);
    double start_s = bench_now_s();
    w->loop(e, &rows);
    return bench_now_s() - start_s;
}

static bool same(const struct bench_sums *a, const struct bench_sums *b, bool ordered)
{
    return a->rows == b->rows && a->rowsum == b->rowsum && (!ordered || a->checksum == b->checksum);
}

/* Rows first: a number for wrong rows is worth nothing. Several shards give rows in any order. */
static bool verify(const struct bench_workload *w, const struct bench_events *e,
                   const struct options *o, struct figures *f)
{
    struct bench_engine_opts eo = o->engine;
    eo.verify = true;
    (void)time_loop(w, e, true);
    f->loop = rows.sums;
    f->ran = bench_engine_run(w, e, &eo, &f->last);
    f->engine = f->last.sums;
    bool pinned = o->events.n_bids != BENCH_DEFAULT_EVENTS ||
                  o->events.step_us != BENCH_DEFAULT_STEP_US ||
                  o->events.n_keys != BENCH_DEFAULT_KEYS || same(&f->loop, &w->expected, true);
    f->agree = f->ran && pinned && same(&f->loop, &f->engine, eo.shards == 1);
    return f->ran;
}

static double lesser(double best, double s)
{
    return best == 0 || s < best ? s : best;
}

static bool measure(const struct bench_workload *w, const struct bench_events *e,
                    const struct options *o, struct figures *f)
{
    *f = (struct figures){.n_events = (double)(e->n_bids + (w->auctions ? e->n_auctions : 0))};
    if (w->items) {
        bench_lookup_fill(e);
    }
    bool good = verify(w, e, o, f);
    for (int r = 0; r < o->reps && good; r++) {
        f->loop_s = lesser(f->loop_s, time_loop(w, e, false));
        good = bench_engine_run(w, e, &o->engine, &f->last);
        f->engine_s = lesser(f->engine_s, f->last.seconds);
        f->agree = f->agree && f->last.sums.rows == f->engine.rows;
    }
    if (w->items) {
        bench_lookup_drop();
    }
    return good;
}

static void print_row(const struct bench_workload *w, const struct figures *f, bool good)
{
    if (!good) {
        (void)printf("%-10s failed: %s\n", w->name, f->last.msg);
    } else {
        (void)printf("%-10s %9.2f %9.2f %6.2f %8.2f %12zu %10" PRIu64 "  %s", w->name,
                     f->n_events / f->engine_s / 1e6, f->n_events / f->loop_s / 1e6,
                     f->loop_s / f->engine_s, f->engine_s * 1e9 / f->n_events, f->last.peak_bytes,
                     f->engine.rows, f->agree ? "agree" : "ROWS DIFFER");
        if (f->last.n_saves > 0) {
            (void)printf("  %u saves, longest stop %.2f ms", f->last.n_saves,
                         (double)f->last.longest_stop_ns / 1e6);
        }
        (void)printf("\n");
    }
    (void)fflush(stdout);
}

static void json_row(FILE *out, const struct bench_workload *w, const struct figures *f,
                     const struct options *o, bool first)
{
    bool timed = f->engine_s > 0 && f->loop_s > 0;
    (void)fprintf(out,
                  "%s  {\"workload\":\"%s\",\"shards\":%u,\"events\":%.0f,"
                  "\"mevents_per_s\":%.3f,\"loop_mevents_per_s\":%.3f,\"ratio_to_loop\":%.4f,"
                  "\"rows\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\",\"rowsum\":\"%016" PRIx64
                  "\",\"rows_agree\":%s,\"peak_bytes\":%zu",
                  first ? "" : ",\n", w->name, o->engine.shards, f->n_events,
                  timed ? f->n_events / f->engine_s / 1e6 : 0.0,
                  timed ? f->n_events / f->loop_s / 1e6 : 0.0,
                  timed ? f->loop_s / f->engine_s : 0.0, f->engine.rows, f->engine.checksum,
                  f->engine.rowsum, f->agree ? "true" : "false", f->last.peak_bytes);
    if (o->engine.saves) {
        (void)fprintf(out, ",\"saves\":%u,\"longest_stop_ns\":%" PRIu64, f->last.n_saves,
                      f->last.longest_stop_ns);
    }
    (void)fprintf(out, "}");
}

static int run_all(const struct options *o, const struct bench_events *e)
{
    FILE *json = o->json == NULL ? NULL : fopen(o->json, "w");
    if (o->json != NULL && json == NULL) {
        (void)fprintf(stderr, "bench: cannot write %s\n", o->json);
        return 1;
    }
    (void)printf("%-10s %9s %9s %6s %8s %12s %10s\n", "workload", "M ev/s", "loop", "share",
                 "ns/event", "peak bytes", "rows");
    bool all_good = true;
    for (int t = 0; t < o->n_todo; t++) {
        struct figures f;
        bool good = measure(o->todo[t], e, o, &f);
        print_row(o->todo[t], &f, good);
        if (json != NULL) {
            (void)fprintf(json, "%s", t == 0 ? "[\n" : "");
            json_row(json, o->todo[t], &f, o, t == 0);
        }
        all_good = all_good && good && f.agree;
    }
    if (json != NULL) {
        (void)fprintf(json, "\n]\n");
        all_good = fclose(json) == 0 && all_good;
    }
    return all_good ? 0 : 1;
}

static void emit_lines(const struct bench_events *e)
{
    for (long i = 0; i < e->n_bids; i++) {
        (void)printf("{\"stream\":\"Bid\",\"ts\":%" PRId64 ",\"data\":{\"auction\":%" PRId64
                     ",\"bidder\":%" PRId64 ",\"price\":%" PRId64 ",\"ts\":%" PRId64
                     ",\"key\":%" PRId64 "}}\n",
                     e->bid[BID_TS][i], e->bid[BID_AUCTION][i], e->bid[BID_BIDDER][i],
                     e->bid[BID_PRICE][i], e->bid[BID_TS][i], e->bid[BID_KEY][i]);
    }
}

static bool number(const char *text, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && *out > 0;
}

/* Takes argv[*i] and its value; false = not understood. */
static bool take(struct options *o, int argc, char **argv, int *i)
{
    const char *a = argv[*i], *value = *i + 1 < argc ? argv[*i + 1] : "";
    long n = 0;
    if (strcmp(a, "--saves") == 0) {
        o->engine.saves = true;
        return true;
    }
    if (a[0] != '-') {
        const struct bench_workload *w = bench_workload_named(a);
        if (w == NULL || o->n_todo == TODO_MAX) {
            return false;
        }
        o->todo[o->n_todo++] = w;
        return true;
    }
    ++*i;
    if (strcmp(a, "--json") == 0) {
        o->json = value;
        return value[0] != '\0';
    }
    bool good = number(value, &n);
    if (strcmp(a, "--events") == 0) {
        o->events.n_bids = n;
    } else if (strcmp(a, "--step-us") == 0) {
        o->events.step_us = n;
    } else if (strcmp(a, "--keys") == 0) {
        o->events.n_keys = n;
    } else if (strcmp(a, "--reps") == 0) {
        o->reps = (int)n;
    } else if (strcmp(a, "--shards") == 0) {
        o->engine.shards = (uint32_t)n;
    } else if (strcmp(a, "--emit") == 0) {
        o->emit = o->events.n_bids = n;
    } else {
        good = false;
    }
    return good;
}

int main(int argc, char **argv)
{
    struct options o = {.events = {BENCH_DEFAULT_EVENTS, BENCH_DEFAULT_STEP_US, BENCH_DEFAULT_KEYS},
                        .engine = {.shards = 1},
                        .reps = 3};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!take(&o, argc, argv, &i)) {
            (void)fprintf(stderr,
                          "bench: what is '%s'?\n"
                          "usage: bench [WORKLOAD ...] [--events N] [--step-us US] [--keys N] "
                          "[--reps N] [--shards N] [--saves] [--json FILE] | --emit N\n",
                          a);
            return 2;
        }
    }
    bool all = o.n_todo == 0;
    for (int w = 0; all && w < bench_n_workloads; w++) {
        o.todo[o.n_todo++] = &bench_workloads[w];
    }
    struct bench_events e;
    if (!bench_events_make(&e, &o.events)) {
        (void)fprintf(stderr, "bench: no memory for that many events\n");
        return 1;
    }
    int rc = 0;
    if (o.emit > 0) {
        emit_lines(&e);
    } else {
        rc = run_all(&o, &e);
    }
    bench_events_drop(&e);
    return rc;
}
