/* efx bench: generated events through the app, as fast as it takes them.
 *
 * Rows are made once, a batch a stream, and lent again and again with later timestamps (and later
 * values of the event.time column), so what is measured is the engine. A batch's latency is the
 * time from its submission to its last result.
 */
#include "run.h"

#include "efx_datagen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct bench_opts {
    int64_t events, rate_ms;
    struct cli_settings settings;
};

static const struct opt options[] = {
    {.name = "events",
     .kind = OPT_NUMBER,
     .off = offsetof(struct bench_opts, events),
     .arg = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "how many, over all input streams"},
    {.name = "per-ms",
     .kind = OPT_NUMBER,
     .off = offsetof(struct bench_opts, rate_ms),
     .arg = "N",
     .min = 1,
     .max = 1000000,
     .help = "events in a millisecond of their own time; 10"},
    CLI_SETTINGS(struct bench_opts, settings),
    {0},
};

struct pool { /* a stream's rows */
    uint32_t id;
    struct efx_col *cols;
    int64_t *ts_ms;
    int64_t *time_col; /* values of the event.time column; NULL = has none */
};

struct bench {
    struct efx_arena arena;
    struct efx *efx;
    struct efx_app *app;
    uint32_t batch;
    uint32_t n_pools;
    struct pool *pools;
    uint32_t n_latencies;
    uint64_t *latency_ns;
    int64_t per_ms;
    _Atomic uint64_t n_out;
};

static uint64_t now_ns(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->monotonic_ns(w);
}

static void count_rows(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows)
{
    struct bench *b = arg;
    (void)stream;
    b->n_out += efx_rows_count(rows);
}

/* A batch of rows of the stream in columns of its own. */
static enum efx_rc make_pool(struct bench *b, const struct efx_bobject *o, struct efx_err *err)
{
    struct pool *p = &b->pools[b->n_pools];
    struct efx_gen_col *gen;
    struct efx_builder *rows;
    struct efx_prop *props;
    const struct efx_schema **schemas = EFX_NEW_N(&b->arena, const struct efx_schema *, o->id + 1);
    uint32_t n_props = run_props(&b->arena, o->conf.raw, &props);
    if (schemas == NULL) {
        return EFX_ENOMEM;
    }
    schemas[o->id] = &o->schema;
    EFX_RET(efx_datagen_cols(&b->arena, &o->schema, props, n_props, &gen, err));
    EFX_RET(efx_builder_create(&b->arena, &efx_mem_libc, schemas, o->id + 1, b->batch, &rows));
    for (uint32_t i = 0; i < b->batch; i++) {
        EFX_RET(efx_datagen_rows(gen, &o->schema, (uint16_t)o->id, 1, i, 0, 0, rows));
    }
    struct efx_colset *s = rows->set[o->id];
    p->id = o->id;
    p->cols = EFX_NEW_N(&b->arena, struct efx_col, s->n_cols + 1);
    p->ts_ms = s->ts_ms;
    if (p->cols == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        p->cols[c] = (struct efx_col){o->schema.cols[c].type, s->data[c], s->valid[c]};
    }
    if (o->conf.event_time_col < s->n_cols && o->conf.raw != NULL &&
        o->schema.cols[o->conf.event_time_col].type == EFX_TYPE_LONG) {
        p->time_col = s->data[o->conf.event_time_col];
    }
    b->n_pools++;
    return EFX_OK;
}

static int make_pools(struct bench *b)
{
    const struct efx_program *p = efx_lib_program(b->efx);
    struct efx_err err = {0};
    b->pools = EFX_NEW_N(&b->arena, struct pool, p->n_objects + 1);
    for (uint32_t i = 0; b->pools != NULL && i < p->n_objects; i++) {
        const struct efx_stream *s = efx_stream_at(b->efx, i);
        if (p->objects[i]->kind == EFX_OBJ_STREAM && s->is_input && !s->is_derived &&
            make_pool(b, p->objects[i], &err) != EFX_OK) {
            return cli_fail(CLI_FAILED, "efx bench: %s", err.msg);
        }
    }
    return b->n_pools > 0 ? -1 : cli_fail(CLI_USER, "efx bench: the program has no input stream");
}

static enum efx_rc send_batch(struct bench *b, const struct pool *p, uint64_t first, uint32_t n)
{
    struct efx_builder *to = efx_app_builder(b->app);
    for (uint32_t i = 0; i < n; i++) {
        p->ts_ms[i] = (int64_t)(first + i) / b->per_ms;
    }
    if (p->time_col != NULL) {
        memcpy(p->time_col, p->ts_ms, n * sizeof *p->ts_ms);
    }
    EFX_RET(efx_builder_lend(to, (uint16_t)p->id, n, p->cols, p->ts_ms));
    EFX_RET(efx_app_submit(b->app));
    return efx_app_flush(b->app);
}

static enum efx_rc send_all(struct bench *b, uint64_t events)
{
    for (uint64_t done = 0; done < events;) {
        uint64_t left = events - done;
        uint32_t n = left < b->batch ? (uint32_t)left : b->batch;
        uint64_t from = now_ns();
        EFX_RET(send_batch(b, &b->pools[b->n_latencies % b->n_pools], done, n));
        b->latency_ns[b->n_latencies++] = now_ns() - from;
        done += n;
    }
    return efx_app_finish(b->app, 0);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct bench *b, double share)
{
    uint32_t i = (uint32_t)((double)(b->n_latencies - 1) * share);
    return (double)b->latency_ns[i] / 1e3;
}

static void report(struct bench *b, uint64_t events, uint64_t ns)
{
    struct rusage use;
    size_t peak = 0;
    (void)efx_state_bytes(b->efx, &peak);
    (void)getrusage(RUSAGE_SELF, &use);
    qsort(b->latency_ns, b->n_latencies, sizeof *b->latency_ns, by_time);
    double s = (double)ns / 1e9;
    printf("events      %llu in %.3f s, %.0f events/s\n", (unsigned long long)events, s,
           (double)events / s);
    printf("rows out    %llu\n", (unsigned long long)b->n_out);
    printf("latency     of %u events: p50 %.1f us, p90 %.1f us, p99 %.1f us, max %.1f us\n",
           b->batch, percentile_us(b, 0.5), percentile_us(b, 0.9), percentile_us(b, 0.99),
           percentile_us(b, 1));
    printf("memory      %.1f MiB of the process, %.1f MiB state at most\n",
           (double)use.ru_maxrss / 1024, (double)peak / (1024 * 1024));
}

static int run_bench(struct bench *b, uint64_t events)
{
    struct efx_error err = {0};
    uint32_t n = efx_n_streams(b->efx);
    b->app = efx_lib_app(b->efx);
    b->latency_ns = EFX_NEW_N(&b->arena, uint64_t, events / b->batch + 2);
    int status =
        b->latency_ns == NULL ? cli_fail(CLI_FAILED, "efx bench: out of memory") : make_pools(b);
    if (status >= 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (efx_stream_at(b->efx, i)->is_derived) {
            efx_lib_on(b->efx, i, count_rows, b);
        }
    }
    enum efx_code code = efx_start(b->efx, &err);
    if (code != EFX_RC_OK) {
        return cli_refused("bench", code, &err);
    }
    uint64_t from = now_ns();
    enum efx_rc rc = send_all(b, events);
    uint64_t ns = now_ns() - from;
    if (rc != EFX_OK || efx_status(b->efx, &err) != EFX_RC_OK) {
        return cli_fail(CLI_FAILED, "efx bench: %s", err.msg);
    }
    report(b, events, ns);
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    struct bench_opts o = {.events = 1000000, .rate_ms = 10};
    struct opt_list rest = {0};
    struct efx_options options_of = EFX_OPTIONS_INIT;
    struct bench b = {0};
    options_of.clock = EFX_CLOCK_VIRTUAL;
    int status = opts_parse(&cmd_bench, argc, argv, &o, &rest);
    status = status < 0 ? cli_options("bench", &o.settings, &options_of) : status;
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx bench: give one APP.sql");
    }
    status = cli_open("bench", rest.v[0], &options_of, false, &b.efx);
    if (status >= 0) {
        return status;
    }
    b.batch = options_of.max_batch > 0 ? options_of.max_batch : EFX_STEP_TURNS_MAX;
    b.per_ms = o.rate_ms;
    efx_arena_init(&b.arena, &efx_mem_libc, SIZE_MAX);
    status = run_bench(&b, (uint64_t)o.events);
    efx_close(&b.efx);
    efx_arena_fini(&b.arena);
    return status;
}

const struct command cmd_bench = {
    .name = "bench",
    .args = "APP.sql",
    .help = "generates events for the input streams: events/s, latency, memory",
    .opts = options,
    .run = run,
};
