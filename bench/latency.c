/* Latency at a steady rate: from the moment an event was due to be sent to the callback with its
 * row.
 *
 *   bench_latency [--rate EVENTS/S] [--seconds S] [--json FILE]
 *
 * A thread of its own sends on a fixed schedule and never waits for answers: when the engine is
 * late, the events that have become due meanwhile are late, too, and count as such (no co-ordinated
 * omission). The query is a filter and an average over the last 1,000 rows by key.
 *
 *   schedule   |--10 µs--|--10 µs--|--10 µs--|        event i is due at start + i * period
 *   sent         all that are due, then efx_flush
 *   measured   due ─────────────► callback
 */
#include "efx/efx.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RATE = 100000, SECONDS = 5, KEYS = 100, WARM_UP_PART = 10 };

static const char program[] = "CREATE STREAM Tick (key LONG, price LONG, due LONG);\n"
                              "INSERT INTO Out SELECT key, avg(price) AS a, due\n"
                              "FROM Tick WHERE price > 10 WINDOW('length', 1000) GROUP BY key;\n";

struct bench {
    struct efx *app;
    long rate, n_events;
    int64_t start_ns;
    uint32_t *latency_ns; /* [n_events] */
    long n_rows;
    enum efx_code code; /* of the generator */
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void take_rows(void *arg, const struct efx_stream *stream, const struct efx_columns *rows)
{
    struct bench *b = arg;
    (void)stream;
    int64_t now = now_ns();
    const int64_t *due = rows->data[2];
    for (uint32_t i = 0; i < rows->n_rows; i++) {
        if ((rows->sel == NULL || (rows->sel[i / 64] >> i % 64 & 1) != 0) &&
            b->n_rows < b->n_events) {
            int64_t late = now - due[i];
            b->latency_ns[b->n_rows++] = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
        }
    }
}

static int64_t due_ns(const struct bench *b, long i)
{
    return b->start_ns + (int64_t)((double)i * 1e9 / (double)b->rate);
}

static void *generate(void *arg)
{
    struct bench *b = arg;
    uint64_t s = 42;
    b->start_ns = now_ns();
    for (long i = 0; i < b->n_events && b->code == EFX_RC_OK;) {
        int64_t now = now_ns();
        if (due_ns(b, i) > now) {
            continue; /* a sleep is coarser than the schedule */
        }
        while (i < b->n_events && due_ns(b, i) <= now && b->code == EFX_RC_OK) {
            s = s * UINT64_C(6364136223846793005) + 1442695040888963407;
            efx_val v[] = {EFX_LONG((int64_t)(s >> 33) % KEYS), EFX_LONG((int64_t)(s >> 40) % 100),
                           EFX_LONG(due_ns(b, i))};
            b->code = efx_send(b->app, "Tick", EFX_NO_TS, v, 3);
            i++;
        }
        b->code = b->code == EFX_RC_OK ? efx_flush(b->app) : b->code;
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const uint32_t *sorted, long n, double p)
{
    long at = (long)(p * (double)n);
    return (double)sorted[at < n ? at : n - 1] / 1000;
}

static int report(const struct bench *b, const char *json)
{
    long skip = b->n_rows / WARM_UP_PART, n = b->n_rows - skip;
    if (n < 1) {
        (void)fprintf(stderr, "bench_latency: no row came out\n");
        return 1;
    }
    uint32_t *sorted = b->latency_ns + skip;
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    double p50 = percentile_us(sorted, n, 0.5), p99 = percentile_us(sorted, n, 0.99);
    double p999 = percentile_us(sorted, n, 0.999), max = (double)sorted[n - 1] / 1000;
    (void)printf("latency at %ld events/s, %ld rows: p50 %.1f us  p99 %.1f us  p99.9 %.1f us  "
                 "max %.1f us\n",
                 b->rate, n, p50, p99, p999, max);
    FILE *f = json == NULL ? NULL : fopen(json, "w");
    if (json != NULL && f == NULL) {
        (void)fprintf(stderr, "bench_latency: cannot write %s\n", json);
        return 1;
    }
    if (f != NULL) {
        (void)fprintf(f,
                      "[\n  {\"workload\":\"latency\",\"events_per_s\":%ld,\"rows\":%ld,"
                      "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f}\n]\n",
                      b->rate, n, p50, p99, p999, max);
        (void)fclose(f);
    }
    return 0;
}

static int run(struct bench *b)
{
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error err = {0};
    o.file = "latency.sql";
    o.clock = EFX_CLOCK_SYSTEM;
    o.shards = 1;
    pthread_t generator;
    if (efx_open(&b->app, program, &o, &err) != EFX_RC_OK ||
        efx_on_columns(b->app, "Out", take_rows, b) != EFX_RC_OK ||
        efx_start(b->app, &err) != EFX_RC_OK) {
        (void)fprintf(stderr, "bench_latency: %s\n", err.msg);
        return 1;
    }
    if (pthread_create(&generator, NULL, generate, b) != 0) {
        (void)fprintf(stderr, "bench_latency: no thread for the generator\n");
        return 1;
    }
    (void)pthread_join(generator, NULL);
    if (b->code != EFX_RC_OK) {
        (void)efx_status(b->app, &err);
        (void)fprintf(stderr, "bench_latency: sending failed: %s\n", err.msg);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {.rate = RATE};
    long seconds = SECONDS;
    const char *json = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rate") == 0) {
            b.rate = strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0) {
            json = argv[i + 1];
        } else {
            seconds = 0;
        }
    }
    if (argc % 2 == 0 || b.rate < 1 || seconds < 1) {
        (void)fprintf(stderr, "usage: bench_latency [--rate N] [--seconds S] [--json FILE]\n");
        return 2;
    }
    b.n_events = b.rate * seconds;
    b.latency_ns = calloc((size_t)b.n_events, sizeof *b.latency_ns);
    int rc = 1;
    if (b.latency_ns != NULL) {
        rc = run(&b);
        rc = rc == 0 ? report(&b, json) : rc;
    }
    efx_close(&b.app);
    free(b.latency_ns);
    return rc;
}
