/* A node's parts: made in the order in which they need each other, given back in the other one. */
#include "daemon.h"

#include "efx_world_real.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { WATCH_MS = 50, SIGNAL_ECHO_MS = 200 };

static uint64_t in_ms(struct daemon *d, uint64_t ms)
{
    return d->loop->vt->now_ns(d->loop) + ms * 1000000;
}

/* ---- the way out ---- */

static void left(void *arg, const struct efx_err *why)
{
    struct daemon *d = arg;
    if (why != NULL && why->rc != EFX_OK && why->rc != EFX_DONE) {
        log_line(LOG_ERROR, "not handed over: %s", why->msg);
        d->exit_status = CLI_FAILED;
    } else {
        log_line(LOG_INFO, "handed over");
    }
    d->left = true;
    d->stop_by_ns = in_ms(d, DOOR_LEAVE_MS + 1000);
}

static void leave(struct daemon *d)
{
    d->leaving = true;
    efx_door_ready(d->door, false);
    efx_door_drain(d->door, DOOR_LEAVE_MS);
    efx_node_leave(d->node, left, d);
}

/* It has stopped by itself. */
static void ended(void *arg, const struct efx_err *why)
{
    struct daemon *d = arg;
    log_line(LOG_ERROR, "stopped: %s", why->msg);
    d->exit_status = why->kind == EFX_KIND_BUG ? CLI_BUG : CLI_FAILED;
    d->leaving = d->left = true;
    d->stop_by_ns = in_ms(d, DOOR_LEAVE_MS + 1000);
    efx_door_ready(d->door, false);
    efx_door_drain(d->door, DOOR_LEAVE_MS);
}

static void watch(void *arg)
{
    struct daemon *d = arg;
    struct efx_service *service = efx_node_service(d->node);
    if (!d->leaving) {
        service->vt->status(service, d->status);
        if (d->status->ready != d->ready) {
            d->ready = d->status->ready;
            log_line(LOG_INFO,
                     d->ready ? "ready: epoch %llu, %u members, leader %s"
                              : "not ready: epoch %llu, %u members, leader %s",
                     (unsigned long long)d->status->epoch, d->status->n_nodes, d->status->leader);
            if (!d->ready) {
                log_line(LOG_INFO, "because %s", d->status->why_not);
            }
            efx_door_ready(d->door, d->ready);
        }
    } else if (d->left && (efx_door_is_down(d->door) || in_ms(d, 0) >= d->stop_by_ns)) {
        efx_loop_real_stop(d->loop);
        return;
    }
    d->loop->vt->timer_set(d->loop, &d->watch, in_ms(d, WATCH_MS));
}

/* ---- signals ---- */

bool daemon_signalled(const struct daemon *d, int wait_ms)
{
    struct pollfd p = {.fd = d->signal_fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1;
}

static void signalled(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    struct signalfd_siginfo info;
    (void)what;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return;
    }
    const char *name = info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
    uint64_t now_ns = in_ms(d, 0);
    if (d->leave_ns > 0 && now_ns - d->leave_ns < (uint64_t)SIGNAL_ECHO_MS * 1000000) {
        return; /* to the process and to its group, by whoever stops both */
    }
    if (d->leaving) {
        log_line(LOG_WARN, "%s again: ending at once", name);
        _exit(CLI_INTERRUPTED);
    }
    d->leave_ns = now_ns;
    log_line(LOG_INFO, "%s: handing over", name);
    leave(d);
}

static int open_signals(struct daemon *d)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread: they inherit it */
    d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return d->signal_fd >= 0 ? -1 : cli_fail(CLI_FAILED, "efx-node: signals: %s", strerror(errno));
}

/* ---- parts ---- */

static int failed(const struct efx_err *err)
{
    log_line(LOG_ERROR, "%s", err->msg);
    return err->kind == EFX_KIND_USER ? CLI_USER : err->kind == EFX_KIND_BUG ? CLI_BUG : CLI_FAILED;
}

static int open_loop(struct daemon *d)
{
    struct efx_err err = {0};
    const struct node_settings *s = &d->s;
    bool tls = s->peer_ca[0] != '\0' || s->tls_cert[0] != '\0';
    struct efx_tcp_options tcp = {
        .mem = &efx_mem_libc,
        .frame_bytes_max = (size_t)s->tcp_frame_bytes,
        .links_max = (uint32_t)s->tcp_connections,
        .tls_cert = tls ? s->tls_cert : NULL,
        .tls_key = tls ? s->tls_key : NULL,
        .tls_ca = s->tls_ca[0] != '\0' ? s->tls_ca : NULL,
        .peer_ca = s->peer_ca[0] != '\0' ? s->peer_ca : NULL,
    };
    struct efx_admin_conf admin = {.listen = s->listen_http,
                                   .connections_max = (uint32_t)s->http_connections,
                                   .body_bytes_max = (size_t)s->http_body_bytes,
                                   .mem = &efx_mem_libc,
                                   .world = efx_world_real()};
    if (efx_loop_real_create(&efx_mem_libc, &d->loop, &err) != EFX_OK ||
        efx_admin_open(&admin, &d->admin, &err) != EFX_OK ||
        efx_tcp_create(d->loop, &tcp, &d->transport, &err) != EFX_OK) {
        return failed(&err);
    }
    d->http_at = d->http_at != NULL ? d->http_at : efx_admin_address(d->admin);
    d->signal_event =
        event_new(efx_loop_real_base(d->loop), d->signal_fd, EV_READ | EV_PERSIST, signalled, d);
    if (d->signal_event == NULL || event_add(d->signal_event, NULL) != 0) {
        return cli_fail(CLI_FAILED, "efx-node: no memory");
    }
    return -1;
}

static void node_said(void *arg, const char *line)
{
    (void)arg;
    log_line(LOG_INFO, "%s", line);
}

static int open_node(struct daemon *d)
{
    const struct node_settings *s = &d->s;
    struct efx_err err = {0};
    struct efx_node_conf conf = {
        .id = d->node_id,
        .cluster = s->cluster,
        .app_name = d->app_name,
        .sql = d->sql,
        .seeds = d->seeds,
        .listen = s->listen_tcp,
        .advertise_tcp = d->tcp_at,
        .advertise_grpc = d->grpc_at,
        .advertise_http = d->http_at,
        .store_url = d->store_url,
        .version = efx_version(),
        .loop = d->loop,
        .transport = d->transport,
        .world = efx_world_real(),
        .mem = &efx_mem_libc,
        .open_store = daemon_store_of,
        .arg = d,
        .shards = (uint32_t)s->shards,
        .max_batch = (uint32_t)s->max_batch,
        .clock = s->clock[0] == 'v'   ? EFX_CLOCK_VIRTUAL
                 : s->clock[0] == 's' ? EFX_CLOCK_SYSTEM
                                      : EFX_CLOCK_AUTO,
        .seed = (uint64_t)s->seed,
        .state_max_bytes = (uint64_t)s->state_bytes,
        .failure_timeout_ms = s->failure_ms,
        .form_timeout_ms = s->form_ms,
        .barrier_timeout_ms = s->barrier_ms,
        .checkpoint_interval_ms = s->interval_ms,
        .session_idle_ms = s->session_idle_ms,
        .session_hold_ms = s->session_hold_ms,
        .min_nodes = (uint32_t)s->min_nodes,
        .retain = (uint32_t)s->retain,
        .remembers = d->remembers,
        .stands = daemon_remember,
        .compress_bytes = (size_t)s->compress_bytes,
        .certified = s->peer_ca[0] != '\0',
        .sessions_max = (uint32_t)s->session_max,
        .ended = ended,
        .log = node_said,
    };
    return efx_node_create(&conf, &d->node, &err) == EFX_OK ? -1 : failed(&err);
}

static int open_doors(struct daemon *d)
{
    const struct node_settings *s = &d->s;
    struct efx_err err = {0};
    struct efx_door_opts how = {
        .address = d->grpc_listen,
        .tls = {.cert = s->tls_cert[0] != '\0' ? s->tls_cert : NULL,
                .key = s->tls_key[0] != '\0' ? s->tls_key : NULL,
                .ca = s->tls_ca[0] != '\0' ? s->tls_ca : NULL},
        .token = s->token[0] != '\0' ? s->token : NULL,
        .node = d->node_id,
        .max_calls = (uint32_t)s->grpc_calls,
        .max_message_bytes = (uint32_t)s->grpc_message_bytes,
        .subscribe_bytes = (uint64_t)s->subscribe_bytes,
        .ack_ms = (uint64_t)(s->failure_ms > 2000 ? 1000 : s->failure_ms / 2),
    };
    if (efx_door_open(&d->door, efx_node_service(d->node), &how, &err) != EFX_OK) {
        return failed(&err);
    }
    struct efx_admin_node of = {.service = efx_node_service(d->node),
                                .loop = d->loop,
                                .transport = d->transport,
                                .grpc = efx_door_address(d->door)};
    return efx_admin_serve(d->admin, &of, &err) == EFX_OK ? -1 : failed(&err);
}

static int open_all(struct daemon *d)
{
    int (*const steps[])(struct daemon *) = {open_signals, open_loop, daemon_store_open, open_node,
                                             open_doors};
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int status = steps[i](d);
        if (status >= 0) {
            return status;
        }
    }
    return -1;
}

static void close_all(struct daemon *d)
{
    efx_door_close(&d->door);
    efx_admin_close(&d->admin);
    if (d->node != NULL) {
        efx_node_destroy(&d->node);
    }
    if (d->transport != NULL) {
        /* At once: what it still accepts would find no node. */
        d->transport->vt->destroy(&d->transport);
    }
    if (d->stores != NULL) {
        efx_stores_close(&d->stores);
    }
    if (d->learned != NULL) {
        efx_stores_close(&d->learned);
    }
    if (d->signal_event != NULL) {
        event_free(d->signal_event);
    }
    if (d->loop != NULL) {
        d->loop->vt->cancel(d->loop, &d->watch);
        efx_loop_real_destroy(&d->loop);
    }
    if (d->signal_fd >= 0) {
        (void)close(d->signal_fd);
    }
}

int daemon_run(struct daemon *d)
{
    struct efx_err err = {0};
    struct efx_mem *mem = &efx_mem_libc;
    d->signal_fd = -1;
    d->watch = (struct efx_task){.fn = watch, .arg = d};
    d->status = mem->alloc(mem, sizeof *d->status);
    int status = d->status != NULL ? open_all(d) : cli_fail(CLI_FAILED, "efx-node: no memory");
    if (status < 0 && efx_node_start(d->node, &err) != EFX_OK) {
        status = failed(&err);
    }
    if (status < 0) {
        log_line(LOG_INFO, "node %s: nodes on %s, gRPC on %s, HTTP on %s", d->node_id,
                 d->transport->vt->address(d->transport), efx_door_address(d->door),
                 efx_admin_address(d->admin));
        d->loop->vt->timer_set(d->loop, &d->watch, in_ms(d, 0));
        efx_loop_real_run(d->loop);
        status = d->exit_status;
        if (!efx_door_is_down(d->door)) { /* closing it would wait for them */
            log_line(LOG_WARN, "calls that do not end are left behind");
            _exit(status);
        }
    }
    close_all(d);
    if (d->status != NULL) {
        mem->free(mem, d->status, sizeof *d->status);
    }
    if (status == CLI_OK) {
        log_line(LOG_INFO, "bye");
    }
    return status;
}
