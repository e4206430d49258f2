/* Checkpoints of a state of many keys: how long a shard stands still, how long until it is durable,
 * how large it is, how fast it comes back, and what saving every second costs.
 *
 *   bench_checkpoint [--keys N] [--seconds S] [--shards N] [--store URL] [--json FILE]
 *
 *   fill      every key once
 *   full      mark (all dirty) ─► events go on ─► durable: the longest stop, the time, the bytes
 *   restore   a new app from what is there
 *   steady    events to 1 % of the keys, without and with a checkpoint every second, by turns
 */
#include "efx_alone.h"
#include "efx_lib.h"
#include "efx_world_real.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 4096, TURNS = 3 };

static const char SQL[] =
    "CREATE STREAM T (k LONG, v LONG);\n"
    "INSERT INTO Sums SELECT k, sum(v) AS s, count() AS n FROM T GROUP BY k;\n";

struct bench {
    long keys, shards;
    double seconds;
    const char *store, *json;
    struct efx *app;
    struct efx_alone *alone;
    int64_t k[ROWS], v[ROWS], ts[ROWS];
    uint64_t dice;
    int64_t now_ms;
    uint64_t n_rows_out;
    double restore_cpu_s;
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of this process: says what a busy machine hides. */
static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(bool ok, const char *what, const char *why)
{
    if (!ok) {
        (void)fprintf(stderr, "bench_checkpoint: %s: %s\n", what, why);
        exit(1);
    }
}

static void count_rows(void *arg, const struct efx_stream *stream, const struct efx_columns *rows)
{
    (void)stream;
    ((struct bench *)arg)->n_rows_out += rows->n_rows;
}

/* A new app, and what the store has in it; seconds that took. */
static double start(struct bench *b)
{
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error err = {0};
    struct efx_err inner = {0};
    const struct efx_manifest *m;
    struct efx_restore_info info;
    struct efx_alone_conf conf = {.url = b->store};
    o.clock = EFX_CLOCK_VIRTUAL;
    o.shards = (uint32_t)b->shards;
    must(efx_open(&b->app, SQL, &o, &err) == EFX_RC_OK, "open", err.msg);
    must(efx_on_columns(b->app, "Sums", count_rows, b) == EFX_RC_OK, "listen", "");
    must(efx_start(b->app, &err) == EFX_RC_OK, "start", err.msg);
    must(efx_alone_open(&b->alone, &conf, efx_world_real(), &inner) == EFX_OK, "store", inner.msg);
    double from = now_s(), cpu = cpu_s();
    enum efx_rc rc = efx_alone_restore(b->alone, efx_lib_app(b->app), &m, &info, &inner);
    double took = now_s() - from;
    b->restore_cpu_s = cpu_s() - cpu;
    must(rc == EFX_OK || rc == EFX_DONE, "restore", inner.msg);
    must(efx_alone_start(b->alone, &inner) == EFX_OK, "storage", inner.msg);
    return took;
}

static void stop(struct bench *b)
{
    efx_alone_close(&b->alone);
    efx_close(&b->app);
}

static void send(struct bench *b)
{
    const void *data[] = {b->k, b->v};
    b->now_ms++;
    for (uint32_t i = 0; i < ROWS; i++) {
        b->ts[i] = b->now_ms;
    }
    must(efx_send_columns(b->app, "T", ROWS, data, NULL, b->ts) == EFX_RC_OK, "send", "");
}

static void fill(struct bench *b)
{
    for (long at = 0; at < b->keys; at += ROWS) {
        for (uint32_t i = 0; i < ROWS; i++) {
            b->k[i] = (at + i) % b->keys;
            b->v[i] = (at + i) % 1000;
        }
        send(b);
    }
    (void)efx_flush(b->app);
}

static void send_some(struct bench *b, long of)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        b->dice = b->dice * 6364136223846793005u + 1442695040888963407u;
        b->k[i] = (int64_t)((b->dice >> 33) % (uint64_t)of);
        b->v[i] = (int64_t)(b->dice >> 54);
    }
    send(b);
}

static void begin(struct bench *b)
{
    struct efx_storage_job job = {0};
    struct efx_err err = {0};
    must(efx_alone_begin(b->alone, &job, &err) == EFX_OK, "mark", err.msg);
}

/* ---- full ---- */

struct full {
    double durable_s, cpu_s;
    uint64_t stop_ns;
    struct efx_storage_outcome o;
};

/* Until the slices are through events go on; `quiet`: nothing comes, the caller pumps. */
static void full(struct bench *b, bool quiet, struct full *out)
{
    double from = now_s(), cpu = cpu_s();
    begin(b);
    while (!efx_alone_poll(b->alone, quiet, &out->o)) {
        if (!quiet && efx_app_save_under_way(efx_lib_app(b->app))) {
            send_some(b, b->keys);
        } else if (!efx_app_save_under_way(efx_lib_app(b->app))) {
            (void)usleep(200);
        }
    }
    out->durable_s = now_s() - from;
    out->cpu_s = cpu_s() - cpu;
    must(out->o.rc == EFX_OK, "checkpoint", out->o.err.msg);
    (void)efx_app_saving(efx_lib_app(b->app), &out->stop_ns);
}

/* ---- steady ---- */

/* Events a second; every second a checkpoint if it `saves`. */
static double steady(struct bench *b, bool saves, uint32_t *n_saves)
{
    double from = now_s(), next = from + 0.5, now = from;
    uint64_t n = 0;
    struct efx_storage_outcome o;
    while (now - from < b->seconds) {
        send_some(b, b->keys / 100);
        n += ROWS;
        now = now_s();
        if (saves && efx_alone_busy(b->alone)) {
            *n_saves += efx_alone_poll(b->alone, false, &o);
        } else if (saves && now >= next) {
            next += 1;
            begin(b);
        }
    }
    (void)efx_flush(b->app);
    double took = now_s() - from;
    if (efx_alone_wait(b->alone, &o)) {
        ++*n_saves;
    }
    return (double)n / took;
}

/* ---- all ---- */

static long number(int argc, char **argv, const char *name, long otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtol(argv[i + 1], NULL, 10);
        }
    }
    return otherwise;
}

static const char *word(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return otherwise;
}

static void report(const struct bench *b, const struct full *f, const struct full *q,
                   double restore_s, const double *rate, uint32_t n_saves)
{
    printf("%ld keys, %ld shards, %s\n", b->keys, b->shards, b->store);
    printf("full, events going on   %6.1f ms until durable, longest stop %.3f ms\n",
           f->durable_s * 1e3, (double)f->stop_ns / 1e6);
    printf("full, nothing else      %6.1f ms until durable, %.1f of them chunks and manifest; %.1f "
           "ms of a core\n",
           q->durable_s * 1e3, (double)q->o.ns / 1e6, q->cpu_s * 1e3);
    printf("bytes                   %6.1f MB of state, %.1f packed, %.1f stored, %llu chunks\n",
           (double)q->o.raw_bytes / 1e6, (double)q->o.packed_bytes / 1e6,
           (double)q->o.stored_bytes / 1e6, (unsigned long long)q->o.n_chunks);
    printf("restore                 %6.1f ms, %.1f of a core\n", restore_s * 1e3,
           b->restore_cpu_s * 1e3);
    printf("1 %% dirty, every second %6.1f %% of %.1f million events/s without (%u checkpoints)\n",
           100 * rate[1] / rate[0], rate[0] / 1e6, n_saves);
    FILE *out = b->json != NULL ? fopen(b->json, "w") : NULL;
    if (out != NULL) {
        (void)fprintf(out,
                      "{\"keys\":%ld,\"shards\":%ld,\"durable_ms\":%.1f,\"quiet_ms\":%.1f,"
                      "\"longest_stop_ms\":%.3f,\"raw_bytes\":%llu,\"packed_bytes\":%llu,"
                      "\"stored_bytes\":%llu,\"restore_ms\":%.1f,\"share\":%.3f}\n",
                      b->keys, b->shards, f->durable_s * 1e3, q->durable_s * 1e3,
                      (double)f->stop_ns / 1e6, (unsigned long long)q->o.raw_bytes,
                      (unsigned long long)q->o.packed_bytes, (unsigned long long)q->o.stored_bytes,
                      restore_s * 1e3, rate[1] / rate[0]);
        (void)fclose(out);
    }
}

int main(int argc, char **argv)
{
    static struct bench b;
    static char url[96], folder[64] = "/tmp/efx-bench-XXXXXX";
    struct full f = {0}, q = {0};
    double rate[2] = {0, 0}, restore_s = 0;
    uint32_t n_saves = 0, none = 0;
    b.keys = number(argc, argv, "--keys", 1000000);
    b.shards = number(argc, argv, "--shards", 1);
    b.seconds = (double)number(argc, argv, "--seconds", 4);
    b.json = word(argc, argv, "--json", NULL);
    b.store = word(argc, argv, "--store", NULL);
    b.dice = 1;
    if (b.store == NULL) {
        must(mkdtemp(folder) != NULL, "a folder", folder);
        (void)snprintf(url, sizeof url, "dir:%s", folder);
        b.store = url;
    }
    (void)start(&b);
    fill(&b);
    full(&b, false, &f);
    efx_app_base_next(efx_lib_app(b.app), 0);
    full(&b, true, &q);
    stop(&b);
    restore_s = start(&b);
    efx_app_base_next(efx_lib_app(b.app), 0);
    struct full warm = {0};
    full(&b, true, &warm);
    for (int i = 0; i < TURNS; i++) {
        rate[0] += steady(&b, false, &none) / TURNS;
        rate[1] += steady(&b, true, &n_saves) / TURNS;
    }
    stop(&b);
    report(&b, &f, &q, restore_s, rate, n_saves);
    if (b.store == url) {
        char command[96];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command) != 0;
    }
    return 0;
}
