#include "engine.h"

#include "merge.h"
#include "outbox.h"

#include "efx_hash.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

enum { SLICE_ROWS = 1000, WAIT_NS = 500 * 1000 * 1000 };

struct event {
    struct event *next;
    struct node_engine_event e;
    uint8_t *bytes;
};

struct node_engine {
    struct node_engine_conf conf;
    struct node_record record; /* of its channel epoch, whatever leader comes after it */
    struct efx_arena arena;
    struct efx_app_member member;
    struct efx_lib_member part;
    struct efx *efx;
    struct efx_app *app;
    struct node_merge *merge;
    struct efx_storage *storage;
    struct node_outbox *outbox; /* NULL: no stream is a grpc sink */
    int64_t wall_ms;            /* of the tick that is being numbered */
    uint64_t saving;            /* checkpoint whose slices run; 0 = none */
    struct efx_buf sessions;    /* of it */
    bool failed;
    pthread_t thread;
    bool started;
    /* Simulated: whose turn it is. */
    sem_t turn, back;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct node_tick_job *first, *last;
    struct event *events, *events_last;
    uint64_t signals; /* packets, jobs, outcomes so far */
    bool aborted, loaded;
    uint64_t settled_no;
    bool settled_stands;
    struct event *given; /* the loop's */
    _Atomic uint64_t tick_now;
    _Atomic uint32_t backlog;
    _Atomic int64_t due_ms;
};

void node_tick_job_free(struct node_tick_job *job)
{
    for (uint32_t i = 0; i < job->n_parts; i++) {
        efx_mem_libc.free(&efx_mem_libc, job->parts[i].bytes, job->parts[i].n_bytes);
    }
    efx_mem_libc.free(&efx_mem_libc, job->parts, job->n_parts * sizeof *job->parts);
    efx_mem_libc.free(&efx_mem_libc, job->rows, job->n_rows * sizeof *job->rows);
    efx_mem_libc.free(&efx_mem_libc, job->questions, job->n_questions * sizeof *job->questions);
    if (job->sessions.mem != NULL) {
        efx_buf_fini(&job->sessions);
    }
    efx_mem_libc.free(&efx_mem_libc, job, sizeof *job);
}

/* ---- events to the loop ---- */

static void tell(struct node_engine *e, const struct node_engine_event *what)
{
    struct event *v = efx_mem_libc.alloc(&efx_mem_libc, sizeof *v);
    EFX_ASSERT(v != NULL);
    *v = (struct event){.e = *what};
    if (what->bytes.n > 0) {
        v->bytes = efx_mem_libc.alloc(&efx_mem_libc, what->bytes.n);
        EFX_ASSERT(v->bytes != NULL);
        memcpy(v->bytes, what->bytes.p, what->bytes.n);
        v->e.bytes.p = v->bytes;
    }
    (void)pthread_mutex_lock(&e->lock);
    if (e->events_last != NULL) {
        e->events_last->next = v;
    } else {
        e->events = v;
    }
    e->events_last = v;
    (void)pthread_mutex_unlock(&e->lock);
    e->conf.loop->vt->post(e->conf.loop, e->conf.notify);
}

static void event_free(struct event *v)
{
    if (v != NULL) {
        efx_mem_libc.free(&efx_mem_libc, v->bytes, v->e.bytes.n);
        efx_mem_libc.free(&efx_mem_libc, v, sizeof *v);
    }
}

bool node_engine_event(struct node_engine *e, struct node_engine_event *out)
{
    event_free(e->given);
    (void)pthread_mutex_lock(&e->lock);
    e->given = e->events;
    if (e->given != NULL) {
        e->events = e->given->next;
        e->events_last = e->events == NULL ? NULL : e->events_last;
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (e->given != NULL) {
        *out = e->given->e;
    }
    return e->given != NULL;
}

static void fail(struct node_engine *e, enum efx_rc rc, const struct efx_err *err)
{
    if (!e->failed && !e->aborted) {
        e->failed = true;
        tell(e, &(struct node_engine_event){NODE_ENGINE_FAILED, 0, rc, *err, {0}});
    }
}

/* ---- waiting ---- */

static void wake_up(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->signals++;
    (void)pthread_cond_signal(&e->more);
    (void)pthread_mutex_unlock(&e->lock);
    if (e->conf.simulated) {
        e->conf.loop->vt->post(e->conf.loop, e->conf.turn);
    }
}

void node_engine_turn(struct node_engine *e)
{
    (void)sem_post(&e->turn);
    while (sem_wait(&e->back) != 0) {
    }
}

static void rest(struct node_engine *e)
{
    (void)sem_post(&e->back);
    while (sem_wait(&e->turn) != 0) {
    }
}

static bool is_aborted(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    bool aborted = e->aborted;
    (void)pthread_mutex_unlock(&e->lock);
    return aborted;
}

/* Until something has come since `seen`, at most so long. */
static void sleep_until(struct node_engine *e, uint64_t seen, long ns)
{
    if (e->conf.simulated) {
        rest(e);
        return;
    }
    uint64_t until_ns = e->conf.world->clock->monotonic_ns(e->conf.world) + (uint64_t)ns;
    struct timespec t = {.tv_sec = (time_t)(until_ns / 1000000000),
                         .tv_nsec = (long)(until_ns % 1000000000)};
    (void)pthread_mutex_lock(&e->lock);
    if (e->signals == seen && !e->aborted) {
        (void)pthread_cond_timedwait(&e->more, &e->lock, &t);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static uint64_t signals(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    uint64_t n = e->signals;
    (void)pthread_mutex_unlock(&e->lock);
    return n;
}

static void outcome(struct node_engine *e);

/* The app can do nothing until packets come. */
static bool wait_for_packets(void *arg)
{
    struct node_engine *e = arg;
    uint64_t seen = signals(e);
    if (efx_app_work(e->app)) {
        return true;
    }
    outcome(e);
    sleep_until(e, seen, WAIT_NS);
    return !is_aborted(e);
}

/* ---- opening ---- */

static void send_packet(void *arg, uint32_t to, uint32_t shard, uint64_t step,
                        struct efx_bytes packet)
{
    const struct node_engine *e = arg;
    e->conf.send(e->conf.arg, to, shard, step, packet);
}

static int64_t now_ms(void *arg)
{
    return ((struct node_engine *)arg)->wall_ms;
}

/* Of a derived stream. */
static void rows_out(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows)
{
    struct node_engine *e = arg;
    if (e->outbox != NULL) {
        node_outbox_rows(e->outbox, stream, rows);
    }
    e->conf.rows(e->conf.arg, stream, rows);
}

static enum efx_rc open_app(struct node_engine *e, struct efx_err *err)
{
    const struct node_record *r = e->conf.record;
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error why = {0};
    o.file = r->app;
    o.clock = (enum efx_clock)r->clock;
    o.max_batch = e->conf.max_batch;
    o.seed = r->seed;
    o.ordered = r->ordered;
    o.shards = r->members[e->conf.self].shards;
    o.state_max_bytes = e->conf.state_max_bytes;
    e->part = (struct efx_lib_member){.member = r->n_members > 1 ? &e->member : NULL,
                                      .n_shards = r->first_shard[r->n_members],
                                      .now_ms = now_ms,
                                      .now_arg = e};
    if (o.shards > 1 && !e->conf.simulated) {
        e->part.n_workers = 1;
    }
    if (efx_lib_open_member(&e->efx, r->sql, &o, &e->part, &why) != EFX_RC_OK) {
        return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, why.efx, "%s", why.msg);
    }
    for (uint32_t i = 0; e->conf.rows != NULL && i < efx_n_streams(e->efx); i++) {
        const struct efx_stream *s = efx_stream_at(e->efx, i);
        if (s->is_derived && !s->is_table) {
            efx_lib_on(e->efx, i, rows_out, e);
        }
    }
    EFX_RET(node_outbox_create(efx_lib_program(e->efx), e->conf.store, e->conf.self, &e->outbox));
    if (efx_start(e->efx, &why) != EFX_RC_OK) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, why.efx, "%s", why.msg);
    }
    e->app = efx_lib_app(e->efx);
    const struct efx_builder *b = efx_app_builder(e->app);
    return node_merge_create(e->app, b->schemas, b->n_streams, b->turns_max,
                             efx_lib_is_virtual(e->efx), &e->merge);
}

static enum efx_rc load(struct node_engine *e, struct efx_arena *arena, struct efx_bytes *sessions,
                        struct efx_err *err)
{
    const struct node_record *r = e->conf.record;
    struct efx_manifest m;
    struct efx_restore_opts opts = {
        .kg = {0, EFX_KEY_GROUPS - 1}, .placed = true, .compatible = e->conf.compatible};
    struct efx_restore_info info = {0};
    if (r->start == 0) {
        return EFX_OK;
    }
    EFX_RET(efx_checkpoint_restore(e->conf.store, r->start, e->app, &opts, arena, &m, &info, err));
    const struct efx_ckpt_bytes *s = efx_ckpt_section(&m.body, "sessions");
    *sessions = s == NULL ? (struct efx_bytes){0} : s->bytes;
    return EFX_OK;
}

static enum efx_rc open_storage(struct node_engine *e, struct efx_err *err);

static bool begin(struct node_engine *e)
{
    struct efx_err err = {0};
    struct efx_arena arena;
    struct efx_bytes sessions = {0};
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    enum efx_rc rc = open_app(e, &err);
    rc = rc == EFX_OK && e->conf.store != NULL ? load(e, &arena, &sessions, &err) : rc;
    rc = rc == EFX_OK && e->conf.store != NULL ? open_storage(e, &err) : rc;
    if (rc == EFX_OK) {
        (void)pthread_mutex_lock(&e->lock);
        e->loaded = true;
        (void)pthread_mutex_unlock(&e->lock);
        tell(e, &(struct node_engine_event){
                    NODE_ENGINE_LOADED, e->conf.record->start, EFX_OK, {0}, sessions});
    } else {
        fail(e, rc, &err);
    }
    efx_arena_fini(&arena);
    return rc == EFX_OK;
}

/* ---- saves ---- */

static void storage_ready(void *arg)
{
    wake_up(arg);
}

static enum efx_rc open_storage(struct node_engine *e, struct efx_err *err)
{
    const struct node_record *r = e->conf.record;
    struct efx_storage_conf conf = {.store = e->conf.store,
                                    .world = e->conf.world,
                                    .app = e->app,
                                    .name = r->app,
                                    .member = r->members[e->conf.self].name,
                                    .retain = 1,
                                    .last = r->start,
                                    .ready = e->conf.simulated ? NULL : storage_ready,
                                    .ready_arg = e};
    return efx_storage_open(&conf, &e->storage, err);
}

static void tell_saved(struct node_engine *e, const struct efx_storage_outcome *o)
{
    tell(e, &(struct node_engine_event){NODE_ENGINE_SAVED, o->no, o->rc, o->err, o->report});
}

static void outcome(struct node_engine *e)
{
    struct efx_storage_outcome o;
    if (e->storage != NULL && efx_storage_poll(e->storage, &o)) {
        tell_saved(e, &o);
    }
}

/* C7: the storage names what was stored of a void checkpoint in the next report. */
static void settle(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    uint64_t no = e->settled_no;
    bool stands = e->settled_stands;
    e->settled_no = 0;
    (void)pthread_mutex_unlock(&e->lock);
    if (no != 0 && e->storage != NULL) {
        efx_storage_settled(e->storage, no, stands);
    }
}

static void put_save(struct node_engine *e)
{
    struct efx_ckpt_bytes section = {"sessions", efx_buf_bytes(&e->sessions)};
    struct efx_storage_job job = {.saved = efx_app_save_take(e->app),
                                  .epoch = e->conf.record->channel,
                                  .n_sections = 1,
                                  .sections = &section};
    if (e->outbox != NULL) {
        job.finish = node_outbox_finish;
        job.finish_arg = e->outbox;
    }
    struct efx_storage_outcome o = {.no = e->saving, .rc = EFX_AGAIN};
    enum efx_rc rc = efx_storage_put(e->storage, &job);
    if (rc != EFX_OK) { /* the leader opens one checkpoint at a time: a belief of ours was false */
        efx_app_save_give(e->app, &job.saved);
        efx_app_base_next(e->app, 0);
        o.rc = rc;
        tell_saved(e, &o);
    } else if (e->conf.simulated && efx_storage_wait(e->storage, &o)) {
        tell_saved(e, &o);
    }
    e->saving = 0;
    efx_buf_fini(&e->sessions);
}

/* Slices go on where no step comes; false: nothing is to do. */
static bool save_on(struct node_engine *e)
{
    if (e->saving == 0) {
        return false;
    }
    if (efx_app_save_ready(e->app)) {
        put_save(e);
        return true;
    }
    efx_app_save_pump(e->app, SLICE_ROWS);
    return true;
}

/* ---- a tick ---- */

static enum efx_rc number(struct node_engine *e, struct node_tick_job *job)
{
    struct node_merge_item *items =
        efx_mem_libc.alloc(&efx_mem_libc, (job->n_rows + 1) * sizeof *items);
    if (items == NULL) {
        return EFX_ENOMEM;
    }
    uint32_t part = 0;
    for (uint32_t i = 0; i < job->n_rows; i++) {
        while (job->rows[i].member != part) {
            part++;
        }
        items[i] = (struct node_merge_item){job->rows[i].member, job->rows[i].skip,
                                            job->parts[part].head.wall_ms, job->rows[i].rows};
    }
    e->wall_ms = job->wall_ms > e->wall_ms ? job->wall_ms : e->wall_ms;
    enum efx_rc rc = node_merge_run(e->merge, items, job->n_rows);
    rc = rc == EFX_OK ? efx_app_tick(e->app) : rc;
    if (rc == EFX_OK && job->drain) {
        rc = efx_app_release(e->app);
    }
    if (rc == EFX_OK && job->finish) {
        rc = efx_app_finish(e->app, job->drain_ms);
    }
    efx_mem_libc.free(&efx_mem_libc, items, (job->n_rows + 1) * sizeof *items);
    return rc;
}

static enum efx_rc mark(struct node_engine *e, struct node_tick_job *job)
{
    settle(e);
    enum efx_rc rc = efx_app_mark(e->app, job->mark, job->base);
    if (rc == EFX_AGAIN) { /* the save before is still under way: this one comes to nothing */
        struct efx_storage_outcome o = {.no = job->mark, .rc = EFX_AGAIN};
        tell_saved(e, &o);
        return EFX_OK;
    }
    e->saving = job->mark;
    if (e->outbox != NULL) {
        node_outbox_cut(e->outbox, job->mark);
    }
    efx_buf_fini(&e->sessions);
    e->sessions = job->sessions;
    job->sessions = (struct efx_buf){0};
    return rc;
}

static void run_tick(struct node_engine *e, struct node_tick_job *job)
{
    atomic_store(&e->tick_now, job->tick);
    enum efx_rc rc = number(e, job);
    uint64_t until = efx_app_numbered(e->app);
    while (rc == EFX_OK && efx_app_done(e->app) < until) {
        if (!efx_app_work(e->app) && !wait_for_packets(e)) {
            rc = EFX_ESTALE;
        }
    }
    for (uint32_t i = 0; rc == EFX_OK && i < job->n_questions; i++) {
        e->conf.answer(e->conf.arg, e->efx, &job->questions[i]);
    }
    rc = rc == EFX_OK && job->mark != 0 && e->storage != NULL ? mark(e, job) : rc;
    if (rc != EFX_OK) {
        struct efx_err err = {.rc = rc, .kind = EFX_KIND_BUG, .msg = "a part could not be taken"};
        (void)efx_app_error(e->app, &err);
        fail(e, rc, &err);
        return;
    }
    atomic_store(&e->due_ms, efx_app_due_ms(e->app));
    tell(e, &(struct node_engine_event){NODE_ENGINE_DONE, job->tick, EFX_OK, {0}, {0}});
}

static struct node_tick_job *next_job(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct node_tick_job *job = e->first;
    if (job != NULL) {
        e->first = job->next;
        e->last = e->first == NULL ? NULL : e->last;
    }
    (void)pthread_mutex_unlock(&e->lock);
    return job;
}

static void work(struct node_engine *e)
{
    while (!is_aborted(e)) {
        uint64_t seen = signals(e);
        struct node_tick_job *job = next_job(e);
        if (job != NULL) {
            if (!e->failed) {
                run_tick(e, job);
            }
            node_tick_job_free(job);
            atomic_fetch_sub(&e->backlog, 1);
        }
        outcome(e);
        bool any = job != NULL || efx_app_work(e->app);
        /* A mark's step waits for packets like any other. */
        bool waits = !any && efx_app_done(e->app) < efx_app_numbered(e->app);
        if (waits || (!any && !(e->saving != 0 && save_on(e)))) {
            sleep_until(e, seen, WAIT_NS);
        } else if (e->saving != 0 && efx_app_save_ready(e->app)) {
            put_save(e);
        }
    }
}

static void *thread(void *arg)
{
    struct node_engine *e = arg;
    if (e->conf.simulated) {
        while (sem_wait(&e->turn) != 0) {
        }
    }
    if (begin(e)) {
        work(e);
    }
    while (!is_aborted(e)) {
        sleep_until(e, signals(e), WAIT_NS);
    }
    if (e->conf.simulated) {
        (void)sem_post(&e->back);
    }
    return NULL;
}

/* ---- the face ---- */

enum efx_rc node_engine_open(const struct node_engine_conf *conf, struct node_engine **out,
                             struct efx_err *err)
{
    struct node_engine *e = efx_mem_libc.alloc(&efx_mem_libc, sizeof *e);
    pthread_condattr_t attr;
    if (e == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(e, 0, sizeof *e);
    e->conf = *conf;
    efx_arena_init(&e->arena, &efx_mem_libc, SIZE_MAX);
    e->record = *conf->record;
    e->record.sql = efx_arena_str(&e->arena, conf->record->sql, strlen(conf->record->sql));
    e->record.store_url = NULL;
    e->conf.record = &e->record;
    e->member = (struct efx_app_member){.n = e->record.n_members,
                                        .self = conf->self,
                                        .first_shard = e->record.first_shard,
                                        .send = send_packet,
                                        .wait = wait_for_packets,
                                        .arg = e};
    efx_buf_init(&e->sessions, &efx_mem_libc);
    atomic_store(&e->due_ms, EFX_NEVER_MS);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&e->more, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)sem_init(&e->turn, 0, 0);
    (void)sem_init(&e->back, 0, 0);
    *out = e;
    if (pthread_create(&e->thread, NULL, thread, e) != 0) {
        node_engine_close(out);
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "no thread for the engine");
    }
    e->started = true;
    wake_up(e);
    return EFX_OK;
}

void node_engine_close(struct node_engine **e_of)
{
    struct node_engine *e = *e_of;
    if (e == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&e->lock);
    e->aborted = true;
    (void)pthread_cond_signal(&e->more);
    (void)pthread_mutex_unlock(&e->lock);
    if (e->started) {
        if (e->conf.simulated) {
            node_engine_turn(e);
        }
        (void)pthread_join(e->thread, NULL);
    }
    if (e->storage != NULL) {
        efx_storage_close(&e->storage);
    }
    node_merge_close(e->merge);
    efx_close(&e->efx);
    node_outbox_destroy(&e->outbox);
    node_merge_destroy(&e->merge);
    for (struct node_tick_job *job; (job = next_job(e)) != NULL;) {
        node_tick_job_free(job);
    }
    for (struct node_engine_event ev; node_engine_event(e, &ev);) {
    }
    efx_buf_fini(&e->sessions);
    efx_arena_fini(&e->arena);
    (void)sem_destroy(&e->turn);
    (void)sem_destroy(&e->back);
    (void)pthread_cond_destroy(&e->more);
    (void)pthread_mutex_destroy(&e->lock);
    efx_mem_libc.free(&efx_mem_libc, e, sizeof *e);
    *e_of = NULL;
}

void node_engine_tick(struct node_engine *e, struct node_tick_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&e->lock);
    if (e->last != NULL) {
        e->last->next = job;
    } else {
        e->first = job;
    }
    e->last = job;
    (void)pthread_mutex_unlock(&e->lock);
    atomic_fetch_add(&e->backlog, 1);
    wake_up(e);
}

void node_engine_packet(struct node_engine *e, uint32_t shard, uint64_t step,
                        struct efx_bytes packet)
{
    if (efx_app_receive(e->app, shard, step, packet) != EFX_OK) {
        return; /* of a shard that is here, or of none: its sender is wrong, the tick will wait */
    }
    wake_up(e);
}

void node_engine_settled(struct node_engine *e, uint64_t no, bool stands)
{
    (void)pthread_mutex_lock(&e->lock);
    e->settled_no = no;
    e->settled_stands = stands;
    (void)pthread_mutex_unlock(&e->lock);
    if (node_engine_app(e) != NULL && e->outbox != NULL) {
        node_outbox_verdict(e->outbox, no, stands);
    }
}

uint64_t node_engine_tick_now(const struct node_engine *e)
{
    return atomic_load(&e->tick_now);
}

const struct node_record *node_engine_record(const struct node_engine *e)
{
    return &e->record;
}

uint32_t node_engine_backlog(const struct node_engine *e)
{
    return atomic_load(&e->backlog);
}

int64_t node_engine_due_ms(const struct node_engine *e)
{
    return atomic_load(&e->due_ms);
}

struct efx *node_engine_app(struct node_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    bool loaded = e->loaded;
    (void)pthread_mutex_unlock(&e->lock);
    return loaded ? e->efx : NULL;
}
