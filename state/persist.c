/* Checkpoints of an app of the public library: efx_persist_open, efx_persist, efx_restored. */
#include "efx_alone.h"
#include "efx_lib.h"
#include "efx_world_real.h"

#include <stdio.h>

enum { POSITION_MAX = 64 * 1024 };

static const char POSITION[] = "library";

struct keeping {
    struct efx *app;
    struct efx_alone *alone;
    struct efx_bytes restored; /* of the alone's manifest */
    bool anew;
};

static enum efx_code fail(struct efx_error *err, enum efx_code code, const char *msg)
{
    if (err != NULL) {
        err->code = code;
        err->efx = 0;
        (void)snprintf(err->msg, sizeof err->msg, "%s", msg);
    }
    return code;
}

static enum efx_code fail_rc(struct efx_error *err, enum efx_rc rc, const struct efx_err *e)
{
    enum efx_code code = efx_lib_code(rc);
    if (rc == EFX_ESTALE && e->kind == EFX_KIND_USER) {
        code = EFX_RC_SQL; /* of another program */
    } else if (rc == EFX_EPARSE) {
        code = e->kind == EFX_KIND_USER ? EFX_RC_USE : EFX_RC_ENV; /* an option; damaged */
    }
    return fail(err, code, e->msg);
}

static void close_keeping(void *arg)
{
    struct keeping *k = arg;
    efx_alone_close(&k->alone);
    efx_mem_libc.free(&efx_mem_libc, k, sizeof *k);
}

static enum efx_rc restore(struct keeping *k, struct efx_err *err)
{
    const struct efx_manifest *m;
    struct efx_restore_info info;
    enum efx_rc rc = efx_alone_restore(k->alone, efx_lib_app(k->app), &m, &info, err);
    if (rc != EFX_OK && rc != EFX_DONE) {
        return rc;
    }
    const struct efx_ckpt_bytes *p = m != NULL ? efx_ckpt_position(&m->body, POSITION) : NULL;
    k->anew = m == NULL;
    k->restored = p != NULL ? p->bytes : (struct efx_bytes){(const uint8_t *)"", 0};
    return efx_alone_start(k->alone, err);
}

enum efx_code efx_persist_open(struct efx *app, const struct efx_persist_options *options,
                               struct efx_error *err)
{
    struct efx_persist_options o = EFX_PERSIST_OPTIONS_INIT;
    struct efx_err inner = {0};
    if (!efx_lib_started(app) || efx_lib_keeper(app)->arg != NULL || options == NULL) {
        return fail(err, EFX_RC_USE, "after efx_start, once");
    }
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    if (o.url == NULL) {
        return fail(err, EFX_RC_USE, "say where checkpoints are kept: url");
    }
    struct efx_alone_conf conf = {.url = o.url,
                                  .conf = {.app = o.name},
                                  .retain = o.retain,
                                  .restore = o.restore,
                                  .lose_committed = o.lose_committed};
    struct keeping *k = efx_mem_libc.alloc(&efx_mem_libc, sizeof *k);
    if (k == NULL) {
        return fail(err, EFX_RC_MEMORY, "out of memory");
    }
    *k = (struct keeping){.app = app};
    efx_lib_lock(app);
    enum efx_rc rc = efx_alone_open(&k->alone, &conf, efx_world_real(), &inner);
    rc = rc == EFX_OK ? restore(k, &inner) : rc;
    efx_lib_unlock(app);
    if (rc != EFX_OK) {
        close_keeping(k);
        return fail_rc(err, rc, &inner);
    }
    *efx_lib_keeper(app) = (struct efx_lib_keeper){k, close_keeping};
    return EFX_RC_OK;
}

const void *efx_restored(const struct efx *app, size_t *n)
{
    union {
        const struct efx *borrowed;
        struct efx *own;
    } p = {.borrowed = app};
    const struct keeping *k = efx_lib_keeper(p.own)->arg;
    if (k == NULL || k->anew) {
        *n = 0;
        return NULL;
    }
    *n = k->restored.n;
    return k->restored.p;
}

/* The mark and its slices, so that what is sent from now on is of the next one. */
static enum efx_rc mark(struct keeping *k, struct efx_bytes position, struct efx_err *err)
{
    struct efx_app *app = efx_lib_app(k->app);
    struct efx_ckpt_bytes at = {POSITION, position};
    struct efx_storage_job job = {.n_positions = 1, .positions = &at};
    EFX_RET(efx_app_flush(app));
    enum efx_rc rc = efx_alone_begin(k->alone, &job, err);
    return rc == EFX_AGAIN
               ? EFX_FAIL(err, EFX_ESTALE, EFX_KIND_BUG, 0, "another thread is making a checkpoint")
               : rc;
}

enum efx_code efx_persist(struct efx *app, const void *position, size_t n, struct efx_error *err)
{
    struct keeping *k = efx_lib_keeper(app)->arg;
    struct efx_storage_outcome out = {.rc = EFX_EBUG};
    struct efx_err inner = {0};
    if (k == NULL || n > POSITION_MAX) {
        return fail(err, EFX_RC_USE,
                    k == NULL ? "efx_persist_open comes first" : "a position has 64 KiB at most");
    }
    efx_lib_lock(app);
    enum efx_rc rc = mark(k, (struct efx_bytes){position, n}, &inner);
    bool any = false;
    if (rc == EFX_OK) { /* the storage works on while others may send again */
        efx_app_save_wait(efx_lib_app(app));
        any = efx_alone_poll(k->alone, false, &out);
    }
    efx_lib_unlock(app);
    if (rc != EFX_OK) {
        return fail_rc(err, rc, &inner);
    }
    if (!any && !efx_alone_wait(k->alone, &out)) {
        return fail(err, EFX_RC_ENV, "the app has stopped");
    }
    return out.rc == EFX_OK ? EFX_RC_OK : fail_rc(err, out.rc, &out.err);
}
