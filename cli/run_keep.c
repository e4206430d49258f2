/* Checkpoints of a run: when, of what, and the way back at the start.
 *
 *   due ─► settle ─► positions, sinks cut ─► mark ─► slices beside steps ─► storage ─► sinks show
 *
 * Inputs are asked for their positions when everything they gave is in the app, so a position and
 * the app's state are of the same event. A failed checkpoint is told once and tried again when the
 * next one is due; one that somebody else's refuses ends the run.
 */
#include "run.h"

#include "efx_crash.h"

#include <stdio.h>
#include <string.h>

enum { POLL_NS = 2000000 };

static uint64_t now_ns(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->monotonic_ns(w);
}

static void warn(void *arg, const char *line)
{
    (void)arg;
    (void)fprintf(stderr, "efx: warning: %s\n", line);
}

/* ---- opening ---- */

static int refused(const struct efx_err *err)
{
    return cli_fail(err->kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx run: %s", err->msg);
}

int run_keep_open(struct run_keep *k, const struct run_keep_opts *o, const char *app_path,
                  struct run_in *in, struct run_out *out)
{
    const struct cli_place *p = &o->place;
    uint32_t n = (p->dir != NULL) + (p->sqlite != NULL) + (p->redis != NULL);
    struct efx_err err = {0};
    *k = (struct run_keep){.in = in, .out = out, .next_ns = UINT64_MAX};
    efx_arena_init(&k->arena, &efx_mem_libc, SIZE_MAX);
    if (n > 1) {
        return cli_fail(CLI_USER, "efx run: give one of --persistence-dir, --sqlite and --redis");
    }
    if (n == 0 && (o->restore != NULL || o->interval_ms > 0)) {
        return cli_fail(CLI_USER,
                        "efx run: --%s needs a place for checkpoints: --persistence-dir, "
                        "--sqlite or --redis",
                        o->restore != NULL ? "restore" : "checkpoint-interval");
    }
    if (n == 0 && run_out_exactly_once(out)) {
        return cli_fail(CLI_USER, "efx run: 'delivery' = 'exactly-once' needs checkpoints: "
                                  "--persistence-dir, --sqlite or --redis");
    }
    if (n == 0) {
        return -1;
    }
    struct efx_alone_conf conf = {
        .url = cli_place_url(&k->arena, p),
        .conf = {.app = cli_app_name(&k->arena, app_path), .warn = warn},
        .retain = (uint32_t)o->set.retain,
        .restore = o->restore,
        .lose_committed = o->lose_committed,
        .may_fall_back = run_in_rewinds(in) && !run_out_exactly_once(out),
    };
    int64_t ms = o->interval_ms > 0       ? o->interval_ms
                 : o->set.interval_ms > 0 ? o->set.interval_ms
                                          : 1000;
    k->interval_ns = (uint64_t)ms * 1000000;
    if (conf.url == NULL || efx_alone_open(&k->alone, &conf, efx_world_real(), &err) != EFX_OK) {
        return refused(&err);
    }
    k->on = true;
    return -1;
}

/* ---- the way back ---- */

static void tell_names(const char *what, const char *const *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        (void)fprintf(stderr, "efx: %s: %s\n", what, names[i]);
    }
}

static void tell(const struct efx_manifest *m, const struct efx_restore_info *info)
{
    char name[EFX_REVISION_BYTES];
    if (info->fell_back_from != 0) {
        (void)fprintf(stderr, "efx: WARNING: %s\n", info->why);
        (void)fprintf(stderr,
                      "efx: WARNING: nothing was promised on it, so this run goes on from the one "
                      "before\n");
    }
    efx_revision_name(m, name);
    (void)fprintf(stderr, "efx: goes on from checkpoint %s\n", name);
    tell_names("not carried over, the program has no such operator now", info->lost, info->n_lost);
    tell_names("begins empty, the checkpoint has nothing for it", info->empty, info->n_empty);
    if (info->n_held_lost > 0) {
        (void)fprintf(stderr, "efx: %llu events held for a watermark are lost with their streams\n",
                      (unsigned long long)info->n_held_lost);
    }
}

int run_keep_restore(struct run_keep *k)
{
    const struct efx_manifest *m = NULL;
    struct efx_restore_info info;
    struct efx_err err = {0};
    if (!k->on) {
        return -1;
    }
    enum efx_rc rc = efx_alone_restore(k->alone, k->in->app, &m, &info, &err);
    if (rc != EFX_OK && rc != EFX_DONE) {
        int status = refused(&err);
        if (rc == EFX_ESTALE) {
            (void)fputs("  --restore compatible goes on with what fits, --restore none starts "
                        "anew\n",
                        stderr);
        }
        return status;
    }
    if (m != NULL) {
        tell(m, &info);
        if (run_in_seek(k->in, m, &err) != EFX_OK) {
            return refused(&err);
        }
    }
    if (run_out_begin(k->out, m, efx_alone_last(k->alone), efx_alone_epoch(k->alone), &err) !=
            EFX_OK ||
        efx_alone_start(k->alone, &err) != EFX_OK) {
        return refused(&err);
    }
    efx_crash_point("after-restore");
    k->next_ns = now_ns() + k->interval_ns;
    k->steps = efx_app_steps(k->in->app);
    if (m == NULL && efx_alone_last(k->alone) > 0) { /* --restore none: what was is left behind */
        k->next_ns = 0;
        k->steps = UINT64_MAX;
    }
    return -1;
}

/* ---- saving ---- */

static enum efx_rc begin(struct run_keep *k, struct efx_err *err)
{
    struct efx_app *app = k->in->app;
    struct efx_ckpt_bytes section;
    struct efx_ckpt_bytes *positions = NULL;
    uint32_t n_positions = 0, n_sections = 0;
    efx_arena_reset(&k->arena);
    EFX_RET(efx_app_flush(app));
    run_out_flush(k->out, true);
    efx_crash_point("before-mark");
    if (run_in_positions(k->in, &k->arena, &positions, &n_positions) != EFX_OK) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    EFX_RET(run_out_mark(k->out, efx_alone_next(k->alone), &k->arena, &section, &n_sections, err));
    struct efx_storage_job job = {.n_sections = n_sections,
                                  .sections = &section,
                                  .n_positions = n_positions,
                                  .positions = positions,
                                  .promised = run_out_exactly_once(k->out),
                                  .finish = run_out_finish,
                                  .finish_arg = k->out};
    EFX_RET(efx_alone_begin(k->alone, &job, err));
    k->steps = efx_app_steps(app);
    return EFX_OK;
}

static void fail(struct run_keep *k, enum efx_rc rc, const struct efx_err *err)
{
    if (rc == EFX_ESTALE) {
        k->stale = true;
        (void)fprintf(stderr,
                      "efx: %s: another process goes on with these checkpoints; this one "
                      "stops\n",
                      err->msg);
    } else if (!k->told) {
        k->told = true;
        (void)fprintf(stderr, "efx: a checkpoint failed and is tried again: %s\n", err->msg);
    }
}

static void done(struct run_keep *k, const struct efx_storage_outcome *o)
{
    struct efx_err err = {0};
    if (o->rc != EFX_OK) {
        fail(k, o->rc, &o->err);
        return;
    }
    efx_crash_point("before-commit");
    k->n_made++;
    k->told = false;
    if (run_out_commit(k->out, o->no, &err) != EFX_OK) {
        fail(k, EFX_EIO, &err); /* the next receipt names it again */
    }
    efx_crash_point("after-commit");
}

void run_keep_step(struct run_keep *k, bool idle)
{
    struct efx_storage_outcome out;
    struct efx_err err = {0};
    if (!k->on) {
        return;
    }
    if (efx_alone_busy(k->alone)) {
        efx_crash_point("in-slice");
        if (efx_alone_poll(k->alone, idle, &out)) {
            done(k, &out);
        }
        return;
    }
    uint64_t now = now_ns();
    if (now < k->next_ns || efx_app_steps(k->in->app) == k->steps) {
        return; /* not due, or nothing happened */
    }
    k->next_ns = now + k->interval_ns;
    enum efx_rc rc = begin(k, &err);
    if (rc != EFX_OK && rc != EFX_AGAIN) {
        fail(k, rc, &err);
    }
}

uint64_t run_keep_wait_ns(const struct run_keep *k)
{
    if (!k->on) {
        return UINT64_MAX;
    }
    if (efx_alone_busy(k->alone)) {
        return efx_app_save_under_way(k->in->app) ? 0 : POLL_NS;
    }
    uint64_t now = now_ns();
    return efx_app_steps(k->in->app) == k->steps ? UINT64_MAX
           : k->next_ns > now                    ? k->next_ns - now
                                                 : 0;
}

bool run_keep_last(struct run_keep *k)
{
    struct efx_storage_outcome out;
    struct efx_err err = {0};
    if (!k->on || k->stale) {
        return true;
    }
    if (efx_alone_wait(k->alone, &out)) {
        done(k, &out);
    }
    if (efx_app_steps(k->in->app) == k->steps && k->n_made > 0 && !k->told) {
        return true; /* the last one has it all */
    }
    k->told = false;
    enum efx_rc rc = begin(k, &err);
    if (rc != EFX_OK) {
        fail(k, rc, &err);
        return false;
    }
    if (!efx_alone_wait(k->alone, &out)) {
        return false;
    }
    done(k, &out);
    return out.rc == EFX_OK && !k->told;
}

void run_keep_close(struct run_keep *k)
{
    if (k->arena.mem != NULL) {
        efx_alone_close(&k->alone);
        efx_arena_fini(&k->arena);
    }
    *k = (struct run_keep){0};
}
