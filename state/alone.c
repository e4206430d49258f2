/* One process and its checkpoints. */
#include "efx_alone.h"

#include "ckpt.h"

#include <stdio.h>

enum { PUMP_ROWS = 4000, RETAIN = 10 };

struct efx_alone {
    struct efx_alone_conf conf;
    struct efx_world *world;
    struct efx_stores *stores;
    struct efx_arena arena; /* texts, the manifest that was restored */
    struct efx_lease leader;
    struct efx_app *app;
    struct efx_manifest manifest;
    struct efx_storage *storage;
    uint64_t last, next;
    bool restored;       /* the manifest is that */
    bool marked, queued; /* a save is under way; it is the storage's */
    struct efx_storage_job job;

    struct efx_arena job_arena;
};

static const char HOLDER[] = "alone/0000000000000001";

static enum efx_rc record_of(const struct efx_alone *a, uint64_t *epoch, struct efx_err *err)
{
    struct efx_coord *c = a->stores->coord;
    uint8_t *p = efx_mem_libc.alloc(&efx_mem_libc, EFX_RECORD_MAX);
    struct efx_writer w = {.p = p, .max = EFX_RECORD_MAX};
    struct efx_err inner = {0};
    if (p == NULL) {
        return efx_ckpt__no_memory(err);
    }
    enum efx_rc rc = c->vt->get_record(c, epoch, &w, &inner);
    efx_mem_libc.free(&efx_mem_libc, p, EFX_RECORD_MAX);
    if (rc == EFX_EABSENT) {
        *epoch = 0;
        return EFX_OK;
    }
    return rc == EFX_OK ? EFX_OK : EFX_FAIL(err, rc, inner.kind, 0, "%s", inner.msg);
}

/* A lock or a lease of long duration: nobody else is to lead while we live. */
static enum efx_rc lead(struct efx_alone *a, struct efx_err *err)
{
    struct efx_coord *c = a->stores->coord;
    uint64_t epoch;
    (void)snprintf(a->leader.name, sizeof a->leader.name, "leader");
    (void)snprintf(a->leader.holder, sizeof a->leader.holder, "%s", HOLDER);
    struct efx_bytes value = {(const uint8_t *)"alone", 5};
    EFX_RET(c->vt->take(c, &a->leader, EFX_LEASE_MS_MAX, value, err));
    EFX_RET(efx_ckpt__newest(a->stores->store, &a->last, err));
    EFX_RET(record_of(a, &epoch, err));
    struct efx_next next = {
        .from = epoch, .to = epoch + 1, .start = a->last, .leader = &a->leader, .record = value};
    EFX_RET(c->vt->next_epoch(c, &next, err));
    a->leader.epoch = epoch + 1;
    a->next = a->last + 1;
    return EFX_OK;
}

static enum efx_rc know(struct efx_alone *a, struct efx_err *err)
{
    struct efx_store *s = a->stores->store;
    struct efx_hash id, is;
    uint64_t half[2] = {a->world->dice->random(a->world), a->world->dice->random(a->world)};
    memcpy(id.b, half, sizeof id.b);
    enum efx_rc rc = s->vt->identity(s, NULL, NULL, &is, err);
    return rc == EFX_EABSENT ? s->vt->identity(s, NULL, &id, &is, err) : rc;
}

static enum efx_rc open_stores(struct efx_alone *a, struct efx_err *err)
{
    a->stores = a->conf.stores;
    return a->stores != NULL
               ? EFX_OK
               : efx_stores_open(&a->stores, a->conf.url, &a->conf.conf, a->world, err);
}

enum efx_rc efx_alone_open(struct efx_alone **out, const struct efx_alone_conf *conf,
                           struct efx_world *world, struct efx_err *err)
{
    struct efx_alone *a = efx_mem_libc.alloc(&efx_mem_libc, sizeof *a);
    if (a == NULL) {
        return efx_ckpt__no_memory(err);
    }
    memset(a, 0, sizeof *a);
    a->conf = *conf;
    a->world = world;
    a->conf.retain = conf->retain > 0 ? conf->retain : RETAIN;
    efx_arena_init(&a->arena, &efx_mem_libc, SIZE_MAX);
    efx_arena_init(&a->job_arena, &efx_mem_libc, SIZE_MAX);
    const char *restore = conf->restore != NULL ? conf->restore : "last";
    const char *name = conf->conf.app != NULL ? conf->conf.app : "app";
    a->conf.restore = efx_arena_str(&a->arena, restore, strlen(restore));
    a->conf.conf.app = efx_arena_str(&a->arena, name, strlen(name));
    enum efx_rc rc = a->conf.restore == NULL || a->conf.conf.app == NULL ? efx_ckpt__no_memory(err)
                                                                         : open_stores(a, err);
    rc = rc == EFX_OK ? know(a, err) : rc;
    rc = rc == EFX_OK ? lead(a, err) : rc;
    if (rc != EFX_OK) {
        efx_alone_close(&a);
        return rc;
    }
    *out = a;
    return EFX_OK;
}

static bool is_word(const struct efx_alone *a, const char *word)
{
    return strcmp(a->conf.restore, word) == 0;
}

/* `--restore REVISION`: what came after it leaves, unless it is the newest. */
enum efx_rc efx_alone_back(struct efx_alone *a, struct efx_err *err)
{
    struct efx_arena tmp;
    struct efx_manifest m;
    char name[EFX_REVISION_BYTES];
    uint64_t no = efx_revision_no(a->conf.restore), made = 0;
    if (no == 0) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                        "'%s' is no revision: last, none, compatible, or a name that efx state ls "
                        "shows",
                        a->conf.restore);
    }
    efx_arena_init(&tmp, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = efx_checkpoint_read(a->stores->store, no, &tmp, &m, err);
    if (rc == EFX_OK) {
        efx_revision_name(&m, name);
        if (strcmp(name, a->conf.restore) != 0) {
            rc = EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 0,
                          "there is no revision '%s'; number %llu is '%s'", a->conf.restore,
                          (unsigned long long)no, name);
        }
    }
    efx_arena_fini(&tmp);
    if (rc != EFX_OK || no == a->last) {
        return rc;
    }
    struct efx_by by = {a->leader.epoch, &a->leader};
    EFX_RET(efx_checkpoint_back(a->stores->store, &by, no, a->world->clock->wall_ms(a->world),
                                a->conf.lose_committed, &made, err));
    a->last = made;
    a->next = made + 1;
    return EFX_OK;
}

enum efx_rc efx_alone_restore(struct efx_alone *a, struct efx_app *app,
                              const struct efx_manifest **out, struct efx_restore_info *info,
                              struct efx_err *err)
{
    struct efx_restore_opts opts = {.kg = {0, EFX_KEY_GROUPS - 1},
                                    .placed = true,
                                    .compatible = is_word(a, "compatible"),
                                    .may_fall_back = a->conf.may_fall_back};
    *info = (struct efx_restore_info){0};
    *out = NULL;
    a->app = app;
    bool newest = opts.compatible || is_word(a, "last");
    if (is_word(a, "none") || (newest && a->last == 0)) {
        return EFX_DONE;
    }
    if (!newest) {
        EFX_RET(efx_alone_back(a, err));
    }
    EFX_RET(efx_checkpoint_restore(a->stores->store, 0, app, &opts, &a->arena, &a->manifest, info,
                                   err));
    *out = &a->manifest;
    a->restored = true;
    return EFX_OK;
}

enum efx_rc efx_alone_start(struct efx_alone *a, struct efx_err *err)
{
    struct efx_storage_conf conf = {.store = a->stores->store,
                                    .world = a->world,
                                    .app = a->app,
                                    .name = a->conf.conf.app,
                                    .member = "",
                                    .commits = true,
                                    .retain = a->conf.retain,
                                    .by = {a->leader.epoch, &a->leader},
                                    .last = a->last,
                                    .from = a->restored ? &a->manifest : NULL};
    return efx_storage_open(&conf, &a->storage, err);
}

uint64_t efx_alone_epoch(const struct efx_alone *a)
{
    return a->leader.epoch;
}

uint64_t efx_alone_last(const struct efx_alone *a)
{
    return a->last;
}

uint64_t efx_alone_next(const struct efx_alone *a)
{
    return a->next;
}

/* ---- saving ---- */

/* The lease is long, a process may live longer. */
static enum efx_rc stay_leader(struct efx_alone *a, struct efx_err *err)
{
    struct efx_coord *c = a->stores->coord;
    struct efx_bytes value = {(const uint8_t *)"alone", 5};
    uint64_t now_ns = a->world->clock->boottime_ns(a->world);
    uint64_t half_ns = (uint64_t)EFX_LEASE_MS_MAX * 500000;
    return now_ns + half_ns < a->leader.ends_ns
               ? EFX_OK
               : c->vt->renew(c, &a->leader, EFX_LEASE_MS_MAX, value, err);
}

enum efx_rc efx_alone_begin(struct efx_alone *a, const struct efx_storage_job *job,
                            struct efx_err *err)
{
    if (a->marked || a->queued) {
        return EFX_AGAIN;
    }
    union {
        const struct efx_ckpt_bytes *borrowed;
        struct efx_ckpt_bytes *own;
    } sections = {.borrowed = job->sections}, positions = {.borrowed = job->positions};
    struct efx_ckpt_body given = {.n_sections = job->n_sections,
                                  .sections = sections.own,
                                  .n_positions = job->n_positions,
                                  .positions = positions.own},
                         copy;
    EFX_RET(stay_leader(a, err));
    efx_arena_reset(&a->job_arena);
    if (efx_ckpt__copy_body(&a->job_arena, &given, &copy) != EFX_OK) {
        return efx_ckpt__no_memory(err);
    }
    enum efx_rc rc = efx_app_mark(a->app, a->next, false);
    if (rc != EFX_OK) {
        return rc == EFX_AGAIN ? rc : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "the app has stopped");
    }
    a->job = *job;
    a->job.epoch = a->leader.epoch;
    a->job.sections = copy.sections;
    a->job.positions = copy.positions;
    a->next++;
    a->marked = true;
    return EFX_OK;
}

bool efx_alone_busy(const struct efx_alone *a)
{
    return a->marked || a->queued;
}

static void hand_over(struct efx_alone *a)
{
    a->job.saved = efx_app_save_take(a->app);
    enum efx_rc rc = efx_storage_put(a->storage, &a->job);
    EFX_ASSERT(rc == EFX_OK); /* it has nothing else to do */
    a->marked = false;
    a->queued = true;
}

static void finished(struct efx_alone *a, const struct efx_storage_outcome *out)
{
    a->queued = false;
    a->last = out->rc == EFX_OK ? out->no : a->last;
}

bool efx_alone_poll(struct efx_alone *a, bool idle, struct efx_storage_outcome *out)
{
    if (a->marked && idle) {
        efx_app_save_pump(a->app, PUMP_ROWS);
    }
    if (a->marked && efx_app_save_ready(a->app)) {
        hand_over(a);
    }
    if (!a->queued || !efx_storage_poll(a->storage, out)) {
        return false;
    }
    finished(a, out);
    return true;
}

bool efx_alone_wait(struct efx_alone *a, struct efx_storage_outcome *out)
{
    if (a->marked) {
        efx_app_save_wait(a->app);
        if (!efx_app_save_ready(a->app)) { /* the app has stopped by itself */
            return false;
        }
        hand_over(a);
    }
    if (!a->queued || !efx_storage_wait(a->storage, out)) {
        return false;
    }
    finished(a, out);
    return true;
}

void efx_alone_close(struct efx_alone **alone)
{
    struct efx_alone *a = *alone;
    if (a == NULL) {
        return;
    }
    efx_storage_close(&a->storage);
    if (a->stores != NULL) {
        struct efx_coord *c = a->stores->coord;
        if (a->leader.term != 0) {
            (void)!c->vt->release(c, &a->leader, NULL);
        }
        efx_stores_close(&a->stores);
    }
    efx_arena_fini(&a->job_arena);
    efx_arena_fini(&a->arena);
    efx_mem_libc.free(&efx_mem_libc, a, sizeof *a);
    *alone = NULL;
}
