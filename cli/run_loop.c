/* The loop of a run, and what is said about it. */
#define _GNU_SOURCE /* ppoll */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t n_signals;

static void on_signal(int no)
{
    (void)no;
    n_signals = n_signals + 1;
    if (n_signals > 1) {
        _exit(CLI_INTERRUPTED);
    }
}

void run_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
}

static uint64_t now_ns(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->monotonic_ns(w);
}

/* The app keeps its first failure with its reason; here it only ends the loop. */
static void note(struct run *r, enum efx_rc rc)
{
    r->stopped = r->stopped || (rc != EFX_OK && rc != EFX_AGAIN && rc != EFX_DONE);
}

/* ---- waiting ---- */

enum { TOGETHER_NS = 1000000 };

/* Until the next timer of the system clock, in ns. */
static uint64_t until_timer_ns(struct run *r)
{
    struct efx_world *w = efx_world_real();
    int64_t due = efx_lib_is_virtual(r->efx) ? EFX_NEVER_MS : efx_app_next_due_ms(r->in.app);
    int64_t now = w->clock->wall_ms(w);
    return due == EFX_NEVER_MS ? UINT64_MAX : due <= now ? 0 : (uint64_t)(due - now) * 1000000;
}

/* Nothing is at hand: until input, a timer or a signal comes. */
static void wait_for_more(struct run *r)
{
    struct pollfd fds[OPT_LIST_MAX + 1];
    uint32_t n = run_in_fds(&r->in, fds, OPT_LIST_MAX);
    if (r->grpc.alone != NULL) {
        fds[n++] = (struct pollfd){.fd = efx_solo_fd(r->grpc.alone), .events = POLLIN};
    }
    uint64_t ns = run_in_wait_ns(&r->in), timer = until_timer_ns(r);
    uint64_t keep = run_keep_wait_ns(&r->keep);
    ns = timer < ns ? timer : ns;
    ns = keep < ns ? keep : ns;
    ns = ns < 100000000 ? ns : 100000000; /* a signal between look and wait is seen then */
    struct timespec t = {0, (long)ns};
    if (r->together != NULL) { /* its timers are its own */
        t.tv_nsec = ns < TOGETHER_NS ? (long)ns : TOGETHER_NS;
        efx_together_wait(r->together, 0);
    }
    if (n_signals == 0 && ns > 0) {
        (void)ppoll(fds, n, &t, NULL);
    }
    if (!efx_lib_is_virtual(r->efx) && until_timer_ns(r) == 0) {
        note(r, efx_app_tick(r->in.app));
    }
}

/* ---- progress ---- */

static void show_progress(struct run *r, uint64_t *last_ns)
{
    uint64_t size = 0, done = 0, rows = 0, now = now_ns();
    if (!r->progress || now - *last_ns < 200000000) {
        return;
    }
    *last_ns = now;
    for (uint32_t i = 0; i < r->in.n_lanes; i++) {
        const struct efx_source *s = r->in.lanes[i].lane.source;
        if (r->in.lanes[i].input) {
            size += efx_input_size(s);
            done += efx_input_read_bytes(s);
        }
    }
    for (uint32_t i = 0; i < r->in.program->n_objects; i++) {
        rows += efx_app_rows_in(r->in.app, i);
    }
    if (size > 0) {
        double s = (double)(now - r->start_ns) / 1e9;
        (void)fprintf(stderr, "\r%3u %%  %llu rows  %.0f rows/s ", (unsigned)(done * 100 / size),
                      (unsigned long long)rows, (double)rows / s);
    }
}

static void end_progress(const struct run *r)
{
    if (r->progress) {
        (void)fputs("\r\033[K", stderr);
    }
}

/* ---- summary ---- */

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_counts(struct run *r, bool errors)
{
    struct efx_count counts[512];
    uint32_t n = efx_counts(r->efx, counts, 512);
    for (uint32_t i = 0; i < n && i < 512; i++) {
        bool rows =
            strcmp(counts[i].name, "rows_in") == 0 || strcmp(counts[i].name, "rows_out") == 0;
        if (rows == errors || counts[i].n == 0 || strcmp(counts[i].name, "rows_out") == 0) {
            continue;
        }
        (void)fprintf(stderr, "  %-9s %-20s %llu\n", rows ? "in" : counts[i].name,
                      counts[i].stream != NULL ? counts[i].stream : "",
                      (unsigned long long)counts[i].n);
    }
}

static uint64_t total_errors(struct run *r)
{
    struct efx_count counts[512];
    uint32_t n = efx_counts(r->efx, counts, 512);
    uint64_t all = 0;
    for (uint32_t i = 0; i < n && i < 512; i++) {
        all += strncmp(counts[i].name, "EFX-", 4) == 0 ? counts[i].n : 0;
    }
    return all;
}

void run_summary(struct run *r)
{
    uint64_t in = 0, out = 0, errors = total_errors(r);
    double s = (double)(now_ns() - r->start_ns) / 1e9;
    for (uint32_t i = 0; i < r->in.program->n_objects; i++) {
        in += efx_app_rows_in(r->in.app, i);
        out += r->out.streams[i].n_rows;
    }
    (void)fprintf(stderr,
                  "efx: %llu row%s in, %llu row%s out, %llu data error%s, %.3f s, %.0f rows/s\n",
                  (unsigned long long)in, plural(in), (unsigned long long)out, plural(out),
                  (unsigned long long)errors, plural(errors), s, s > 0 ? (double)in / s : 0);
    if (r->in.n_lanes == 0 && in == 0 && out == 0) {
        (void)fputs("  no stream has a connector and no --input is given: --input F, --input - for "
                    "standard input\n",
                    stderr);
    }
    print_counts(r, false);
    for (uint32_t i = 0; i < r->in.program->n_objects; i++) {
        const struct run_stream *st = &r->out.streams[i];
        const char *name = r->in.program->objects[i]->schema.name;
        if (st->n_rows > 0) {
            (void)fprintf(stderr, "  out       %-20s %llu\n", name, (unsigned long long)st->n_rows);
        }
        if (st->n_sink_errors > 0) {
            (void)fprintf(stderr, "  unwritten %-20s %llu\n", name,
                          (unsigned long long)st->n_sink_errors);
        }
    }
    print_counts(r, true);
}

/* ---- the loop ---- */

/* Everything taken so far is done and written. */
static void settle(struct run *r)
{
    note(r, efx_app_submit(r->in.app));
    r->in.n_told = 0;
    note(r, efx_app_flush(r->in.app));
    run_out_flush(&r->out, true);
}

static bool goes_on(struct run *r)
{
    struct efx_err err;
    return n_signals == 0 && !r->stopped && !r->keep.stale && !r->out.failed && !r->out.gone &&
           efx_app_error(r->in.app, &err) == EFX_OK;
}

/* Without inputs an app still has its timers, on the system clock, and its callers. */
static bool goes_on_alone(struct run *r)
{
    return r->grpc.alone != NULL || (r->in.n_lanes == 0 && !efx_lib_is_virtual(r->efx) &&
                                     efx_app_next_due_ms(r->in.app) != EFX_NEVER_MS);
}

static int status_of(struct run *r, enum run_in_state state, const struct efx_err *lane)
{
    struct efx_err err = {0};
    if (r->out.gone) {
        return CLI_OK;
    }
    if (r->out.failed) {
        return cli_fail(CLI_FAILED, "efx run: %s", r->out.why);
    }
    if (efx_app_error(r->in.app, &err) != EFX_OK) {
        return cli_fail(err.kind == EFX_KIND_BUG ? CLI_BUG : CLI_FAILED, "efx run: %s", err.msg);
    }
    if (r->stopped) {
        return cli_fail(CLI_FAILED, "efx run: the app has stopped");
    }
    return state == RUN_IN_FAILED ? cli_fail(CLI_FAILED, "efx run: %s", lane->msg) : CLI_OK;
}

int run_loop(struct run *r)
{
    struct efx_err err = {0};
    enum run_in_state state = RUN_IN_MORE;
    uint64_t progress_ns = 0;
    r->start_ns = now_ns();
    if (!efx_lib_is_virtual(r->efx)) {
        note(r, efx_app_tick(r->in.app)); /* the clock starts */
    }
    while (goes_on(r)) {
        state = run_in_pump(&r->in, &err);
        if (state == RUN_IN_FAILED || (state == RUN_IN_ENDED && !goes_on_alone(r))) {
            break;
        }
        bool called = run_grpc_pump(&r->grpc);
        if (state != RUN_IN_MORE && !called) {
            settle(r);
            wait_for_more(r);
        }
        run_out_flush(&r->out, false);
        run_keep_step(&r->keep, state != RUN_IN_MORE);
        show_progress(r, &progress_ns);
    }
    run_grpc_leave(&r->grpc);
    settle(r);
    struct efx_err app_err;
    /* With checkpoints a signal only interrupts: what is held goes on in the next process. */
    bool interrupted = r->keep.on && n_signals > 0 && state != RUN_IN_ENDED;
    if (!r->out.gone && !interrupted && efx_app_error(r->in.app, &app_err) == EFX_OK) {
        note(r, efx_app_finish(r->in.app, r->drain_ms));
        note(r, efx_app_flush(r->in.app));
    }
    run_out_flush(&r->out, true);
    end_progress(r);
    bool sound = !r->stopped && !r->out.failed && state != RUN_IN_FAILED;
    bool kept = !sound || run_keep_last(&r->keep);
    int status = status_of(r, state, &err);
    return status == CLI_OK && (!kept || r->keep.stale) ? CLI_FAILED : status;
}
