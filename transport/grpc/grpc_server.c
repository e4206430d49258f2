/* The server: one completion queue, one thread, slots that are always armed.
 *
 * All calls come through the core's generic door and are looked up here by path, so an unknown
 * method is answered at once. Other threads reach the queue by `post`: a list under a lock and, if
 * the thread may sleep, an empty batch on a call that never goes anywhere.
 *
 *   runs ──drain──► LISTEN_ON_MS: calls are still taken, while clients that watch health go
 *        ──► GOAWAY, no new call ──every call over, or time is up: cancelled──► core down
 *        ──nobody holds a call──► queue shut down ──► thread ends
 *
 * A call that is under way when the core is shut down is cancelled, whatever it asked; hence the
 * pause, unless nobody has called for QUIET_MS.
 *
 *   Source   dependencies.md §1.3, numbers 12 to 14, 19, 20, 24 to 28
 */
#include "grpc_in.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { TASKS_A_TURN = 1024 };

/* ---- slots ---- */

static void arm(struct slot *slot)
{
    struct core *c = slot->core;
    grpc_completion_queue *cq = c->owner->cq;
    slot->call = NULL;
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_init(&slot->meta);
    if (c->stopping || grpc_server_request_call(c->server, &slot->call, &slot->details, &slot->meta,
                                                cq, cq, &slot->tag) != GRPC_CALL_OK) {
        grpc_call_details_destroy(&slot->details);
        grpc_metadata_array_destroy(&slot->meta);
        return;
    }
    c->n_armed++;
}

static void on_call(struct tag *t, bool ok)
{
    struct slot *slot = t->owner;
    struct core *c = slot->core;
    grpc_call *call = slot->call;
    grpc_call_details details = slot->details;
    grpc_metadata_array meta = slot->meta;
    c->n_armed--;
    if (ok) {
        arm(slot);
        efx_grpc__call_open(c->owner, call, &details, &meta);
    }
    grpc_call_details_destroy(&details);
    grpc_metadata_array_destroy(&meta);
}

/* ---- a listening core ---- */

static void on_core_down(struct tag *t, bool ok)
{
    struct core *c = t->owner;
    (void)ok;
    c->stopped = true;
}

void efx_grpc__core_stop(struct core *c)
{
    if (!c->stopping) {
        c->stopping = true;
        grpc_server_shutdown_and_notify(c->server, c->owner->cq, &c->down);
    }
}

static void core_free(struct core *c)
{
    grpc_server_destroy(c->server);
    efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
}

static grpc_server *core_server(const struct efx_grpc_server *s)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = "grpc.so_reuseport", .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.max_receive_message_length",
         .value.integer = (int)s->how.max_message_bytes},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.max_send_message_length", .value.integer = -1},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.http2.min_ping_interval_without_data_ms",
         .value.integer = 500},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.http2.max_ping_strikes", .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.keepalive_permit_without_calls",
         .value.integer = 1},
        /* A half-open connection is found: a ping each 30 s, gone after 20 s without an answer. */
        {.type = GRPC_ARG_INTEGER, .key = "grpc.keepalive_time_ms", .value.integer = 30000},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.keepalive_timeout_ms", .value.integer = 20000},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.server_handshake_timeout_ms",
         .value.integer = 10000},
    };
    grpc_channel_args all = {sizeof args / sizeof *args, args};
    return grpc_server_create(&all, NULL);
}

static void listen_text(const struct efx_grpc_server *s, int port, char *out, size_t max)
{
    const char *colon = strrchr(s->how.address, ':');
    if (port > 0 && colon != NULL && strncmp(s->how.address, "unix:", 5) != 0) {
        (void)snprintf(out, max, "%.*s:%d", (int)(colon - s->how.address), s->how.address, port);
    } else {
        (void)snprintf(out, max, "%s", s->how.address);
    }
}

static int add_port(struct efx_grpc_server *s, struct core *c, const char *address)
{
    grpc_server_credentials *creds =
        s->tls != NULL ? efx_grpc__tls_server(s->tls) : grpc_insecure_server_credentials_create();
    int port = creds == NULL ? 0 : grpc_server_add_http2_port(c->server, address, creds);
    if (creds != NULL) {
        grpc_server_credentials_release(creds);
    }
    return port;
}

enum efx_rc efx_grpc__core_open(struct efx_grpc_server *s, int port, struct efx_err *err)
{
    char address[sizeof s->address];
    struct core *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    if (c == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(c, 0, sizeof *c);
    c->owner = s;
    c->down = (struct tag){on_core_down, c};
    c->server = core_server(s);
    grpc_server_register_completion_queue(c->server, s->cq, NULL);
    listen_text(s, port, address, sizeof address);
    int got = add_port(s, c, address);
    if (got == 0) {
        c->stopping = true;
        c->next = s->cores;
        s->cores = c;
        grpc_server_shutdown_and_notify(c->server, s->cq, &c->down);
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot listen on %s for gRPC", address);
    }
    s->port = got;
    listen_text(s, got, s->address, sizeof s->address);
    c->next = s->cores;
    s->cores = c;
    grpc_server_start(c->server);
    for (uint32_t i = 0; i < SLOTS; i++) {
        c->slots[i].tag = (struct tag){on_call, &c->slots[i]};
        c->slots[i].core = c;
        arm(&c->slots[i]);
    }
    return EFX_OK;
}

/* Cores that are down go; true = none is left. */
static bool sweep_cores(struct efx_grpc_server *s)
{
    for (struct core **at = &s->cores; *at != NULL;) {
        struct core *c = *at;
        if (c->stopped && c->n_armed == 0) {
            *at = c->next;
            core_free(c);
        } else {
            at = &c->next;
        }
    }
    return s->cores == NULL;
}

/* ---- tasks ---- */

static struct efx_grpc_task *take_task(struct efx_grpc_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct efx_grpc_task *t = s->first;
    if (t != NULL) {
        s->first = t->next;
        s->last = s->first == NULL ? &s->first : s->last;
        t->posted = false; /* from here on it may be posted anew */
    } else {
        s->woken = false;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return t;
}

static void wake(struct efx_grpc_server *s)
{
    EFX_ASSERT(grpc_call_start_batch(s->wake_call, NULL, 0, &s->wake, NULL) == GRPC_CALL_OK);
}

static void on_wake(struct tag *t, bool ok)
{
    struct efx_grpc_server *s = t->owner;
    (void)ok;
    for (uint32_t i = 0; i < TASKS_A_TURN; i++) {
        struct efx_grpc_task *task = take_task(s);
        if (task == NULL) {
            return;
        }
        task->fn(task->arg);
    }
    wake(s); /* calls have their turn between */
}

void efx_grpc__post(struct efx_grpc_server *s, struct efx_grpc_task *t)
{
    (void)pthread_mutex_lock(&s->lock);
    if (!t->posted) {
        t->posted = true;
        t->next = NULL;
        *s->last = t;
        s->last = &t->next;
        if (!s->woken) {
            s->woken = true;
            wake(s);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- draining ---- */

static void start_drain(void *arg)
{
    struct efx_grpc_server *s = arg;
    s->leaving = true;
}

void efx_grpc__drain(struct efx_grpc_server *s, uint64_t ms)
{
    uint64_t now_ns = efx_grpc__now_ns();
    bool quiet = s->n_calls == 0 && now_ns - s->called_ns > (uint64_t)QUIET_MS * 1000000;
    uint64_t on_ms = quiet ? 0 : ms / 2 < LISTEN_ON_MS ? ms / 2 : LISTEN_ON_MS;
    s->listen_until_ns = now_ns + on_ms * 1000000 + 1;
    s->drain_until_ns = now_ns + ms * 1000000 + 1;
    efx_grpc__post(s, &s->drain_task);
}

bool efx_grpc__is_down(const struct efx_grpc_server *s)
{
    return atomic_load(&s->down);
}

static void check_drain(struct efx_grpc_server *s, uint64_t now_ns)
{
    if (s->leaving && !s->draining && now_ns >= s->listen_until_ns) {
        s->draining = true;
        for (struct core *c = s->cores; c != NULL; c = c->next) {
            efx_grpc__core_stop(c);
        }
    }
    if (s->draining && !s->cancelled && now_ns >= s->drain_until_ns) {
        s->cancelled = true;
        for (struct core *c = s->cores; c != NULL; c = c->next) {
            if (!c->stopped) {
                grpc_server_cancel_all_calls(c->server);
            }
        }
    }
}

/* ---- the thread ---- */

static void tick(struct efx_grpc_server *s)
{
    uint64_t now_ns = efx_grpc__now_ns();
    if (s->leaving) {
        check_drain(s, now_ns);
    }
    if (now_ns - s->tick_ns < (uint64_t)TICK_MS * 1000000) {
        return;
    }
    s->tick_ns = now_ns;
    efx_grpc__server_tick_files(s, now_ns);
    if (s->how.tick != NULL) {
        s->how.tick(s->how.arg);
    }
}

/* Nothing of the server is left but the queue and the wake. */
static bool is_over(struct efx_grpc_server *s)
{
    if (!sweep_cores(s) || !s->draining || s->n_objects > 0) {
        return false;
    }
    (void)pthread_mutex_lock(&s->lock);
    bool over = s->first == NULL && !s->woken;
    (void)pthread_mutex_unlock(&s->lock);
    return over;
}

static void *run(void *arg)
{
    struct efx_grpc_server *s = arg;
    while (!is_over(s)) {
        grpc_event e =
            grpc_completion_queue_next(s->cq, efx_grpc__in_ms(s->leaving ? 5 : TICK_MS), NULL);
        if (e.type == GRPC_OP_COMPLETE) {
            struct tag *t = e.tag;
            t->fn(t, e.success != 0);
        }
        tick(s);
    }
    if (s->how.down != NULL) {
        s->how.down(s->how.arg);
    }
    atomic_store(&s->down, true);
    return NULL;
}

/* ---- open, close ---- */

static void free_server(struct efx_grpc_server *s)
{
    if (s->wake_call != NULL) {
        grpc_call_unref(s->wake_call);
    }
    if (s->lame != NULL) {
        grpc_channel_destroy(s->lame);
    }
    while (!sweep_cores(s)) { /* of one that never listened */
        grpc_event e = grpc_completion_queue_next(s->cq, efx_grpc__in_ms(1000), NULL);
        if (e.type == GRPC_OP_COMPLETE) {
            struct tag *t = e.tag;
            t->fn(t, e.success != 0);
        }
    }
    grpc_completion_queue_shutdown(s->cq);
    while (grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(s->cq);
    efx_grpc__tls_close(&s->tls);
    (void)pthread_mutex_destroy(&s->lock);
    efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
    efx_grpc__fini();
}

static void init_server(struct efx_grpc_server *s, const struct efx_grpc_serve *how)
{
    memset(s, 0, sizeof *s);
    s->how = *how;
    s->vt = efx_grpc_entry(EFX_GRPC_ABI);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->last = &s->first;
    s->drain_task = (struct efx_grpc_task){.fn = start_drain, .arg = s};
    s->wake = (struct tag){on_wake, s};
    s->cq = grpc_completion_queue_create_for_next(NULL);
    s->lame = grpc_lame_client_channel_create(NULL, GRPC_STATUS_UNAVAILABLE, "wakes a queue");
    s->wake_call = grpc_channel_create_call(s->lame, NULL, GRPC_PROPAGATE_DEFAULTS, s->cq,
                                            grpc_slice_from_static_string("/wake"), NULL,
                                            gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    efx_grpc__files_raise(&s->files);
}

static bool start_thread(struct efx_grpc_server *s)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&s->thread, NULL, run, s) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

enum efx_rc efx_grpc__serve(const struct efx_grpc_serve *how, struct efx_grpc_server **out,
                            struct efx_err *err)
{
    if (how->n_methods > PATHS_MAX || strlen(how->address) >= sizeof(*out)->address) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the gRPC address is too long");
    }
    struct efx_grpc_server *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    efx_grpc__init();
    init_server(s, how);
    enum efx_rc rc = how->tls.cert != NULL ? efx_grpc__tls_open(&how->tls, &s->tls, err) : EFX_OK;
    rc = rc == EFX_OK ? efx_grpc__core_open(s, 0, err) : rc;
    *out = s; /* before its first call comes */
    if (rc == EFX_OK && !start_thread(s)) {
        efx_grpc__core_stop(s->cores);
        rc = EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot start a thread");
    }
    if (rc != EFX_OK) {
        *out = NULL;
        free_server(s);
    }
    return rc;
}

const char *efx_grpc__address(const struct efx_grpc_server *s)
{
    return s->address;
}

void efx_grpc__close(struct efx_grpc_server **s_of)
{
    struct efx_grpc_server *s = *s_of;
    if (s == NULL) {
        return;
    }
    if (s->drain_until_ns == 0) {
        efx_grpc__drain(s, 0);
    }
    (void)pthread_join(s->thread, NULL);
    free_server(s);
    *s_of = NULL;
}

void efx_grpc__numbers(const struct efx_grpc_server *s, struct efx_grpc_numbers *out)
{
    *out = (struct efx_grpc_numbers){.n_calls = s->n_calls,
                                     .n_calls_refused = s->n_calls_refused,
                                     .n_auth_refused = s->n_auth_refused,
                                     .n_relistens = s->n_relistens,
                                     .n_files = s->files.n_files,
                                     .files_max = s->files.max};
}
