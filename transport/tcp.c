/* The transport: what listens, what is accepted, and the contract's table. */
#define _GNU_SOURCE /* accept4 */
#include "efx_tcp.h"

#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 1024, ACCEPTS_MAX = 64, ACCEPT_PAUSE_NS = 50000000 };

static struct tcp *of(struct efx_transport *self)
{
    return (struct tcp *)self;
}

static struct tcp_link *link_of(struct efx_link *link)
{
    return (struct tcp_link *)link;
}

/* ---- accepting ---- */

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

static void keep_spare(struct tcp *t)
{
    if (t->spare_fd < 0) {
        t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static int next_fd(struct tcp *t)
{
    return accept4(t->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* The descriptor kept for this tells one client so; the others wait in the kernel. */
static void no_descriptor(struct tcp *t)
{
    struct efx_loop *loop = t->base.loop;
    t->counts.no_descriptors++;
    if (t->spare_fd >= 0) {
        (void)close(t->spare_fd);
        t->spare_fd = -1;
        int fd = next_fd(t);
        if (fd >= 0) {
            t->counts.refused++;
            reset(fd);
        }
        keep_spare(t);
    }
    (void)event_del(&t->accepts);
    loop->vt->timer_set(loop, &t->accept_later, loop->vt->now_ns(loop) + ACCEPT_PAUSE_NS);
}

static void accept_again(void *arg)
{
    struct tcp *t = arg;
    keep_spare(t);
    EFX_ASSERT(event_add(&t->accepts, NULL) == 0);
}

static void take(struct tcp *t, int fd)
{
    struct tcp_at at = {.n = sizeof at.a};
    struct tcp_link *l = t->counts.links >= t->o.links_max ? NULL : efx_tcp__link_new(t);
    if (l == NULL) {
        t->counts.refused++;
        reset(fd);
        return;
    }
    l->accepted = true;
    if (strncmp(t->address, "unix:", 5) == 0 || getpeername(fd, &at.a.any, &at.n) != 0) {
        (void)snprintf(l->peer, sizeof l->peer, "%s", t->address);
    } else {
        efx_tcp__show(&at, l->peer, sizeof l->peer);
    }
    if (efx_tcp__link_socket(l, fd) != EFX_OK) {
        efx_tcp__link_down(l, EFX_EIO);
        return;
    }
    efx_tcp__link_connected(l);
}

static void on_accepts(evutil_socket_t listen_fd, short what, void *arg)
{
    struct tcp *t = arg;
    (void)listen_fd;
    (void)what;
    for (uint32_t i = 0; i < ACCEPTS_MAX; i++) {
        int fd = next_fd(t);
        if (fd >= 0) {
            take(t, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            no_descriptor(t);
            return;
        } /* else that one client is gone already */
    }
}

/* ---- listening ---- */

/* A socket's file outlives its process: nobody answers, so it may go. */
static bool is_left_over(const struct tcp_at *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool refused = connect(fd, &at->a.any, at->n) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static bool bind_to(int fd, const struct tcp_at *at)
{
    int on = 1;
    if (at->a.any.sa_family != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (bind(fd, &at->a.any, at->n) == 0) {
        return true;
    }
    return errno == EADDRINUSE && at->a.any.sa_family == AF_UNIX && is_left_over(at) &&
           unlink(at->a.un.sun_path) == 0 && bind(fd, &at->a.any, at->n) == 0;
}

static void stop_listening(struct tcp *t)
{
    if (t->listen_fd >= 0) {
        (void)event_del(&t->accepts);
        (void)close(t->listen_fd);
        t->listen_fd = -1;
        if (strncmp(t->address, "unix:", 5) == 0) {
            (void)unlink(t->address + 5);
        }
    }
    t->base.loop->vt->cancel(t->base.loop, &t->accept_later);
}

static enum efx_rc tcp_listen(struct efx_transport *self, const char *address,
                              void (*accepted)(void *arg, struct efx_link *link), void *arg,
                              struct efx_err *err)
{
    struct tcp *t = of(self);
    struct tcp_at at;
    EFX_ASSERT(t->listen_fd < 0);
    EFX_RET(efx_tcp__listen_at(address, &at, err));
    if (t->tls != NULL && !efx_tls__can_listen(t->tls)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                        "TLS: to listen takes a certificate and its key");
    }
    int fd = socket(at.a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !bind_to(fd, &at) || listen(fd, BACKLOG) != 0) {
        int e = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        errno = e;
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot listen on %s: %m", address);
    }
    struct event_base *base = efx_loop_real_base(self->loop);
    at.n = sizeof at.a;
    (void)getsockname(fd, &at.a.any, &at.n);
    efx_tcp__show(&at, t->address, sizeof t->address);
    t->listen_fd = fd;
    t->accepted = accepted;
    t->accepted_arg = arg;
    EFX_ASSERT(event_assign(&t->accepts, base, fd, EV_READ | EV_PERSIST, on_accepts, t) == 0 &&
               event_add(&t->accepts, NULL) == 0);
    return EFX_OK;
}

static const char *tcp_address(const struct efx_transport *self)
{
    return ((const struct tcp *)self)->address;
}

/* ---- links ---- */

static enum efx_rc tcp_connect(struct efx_transport *self, const char *address,
                               const struct efx_link_user *user, void *arg, struct efx_link **out,
                               struct efx_err *err)
{
    struct tcp *t = of(self);
    if (t->counts.links >= t->o.links_max) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0, "%u links are open, no more may be",
                        t->counts.links);
    }
    struct tcp_link *l = efx_tcp__link_new(t);
    if (l == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a link to %s", address);
    }
    enum efx_rc rc = efx_tcp__connect(l, address, err);
    if (rc != EFX_OK) {
        efx_tcp__link_close(l, false);
        return rc;
    }
    l->user = user;
    l->arg = arg;
    *out = &l->base;
    return EFX_OK;
}

static void tcp_use(struct efx_link *link, const struct efx_link_user *user, void *arg)
{
    link_of(link)->user = user;
    link_of(link)->arg = arg;
}

static enum efx_rc tcp_send(struct efx_link *link, const struct efx_msg *msg)
{
    struct tcp_link *l = link_of(link);
    struct tcp *t = efx_tcp__of(l);
    size_t n = efx_frame_bytes(msg);
    EFX_RET(efx_frame_check(msg));
    if (n > l->frame_bytes_max) {
        return EFX_ELIMIT;
    }
    if (l->ends != EFX_OK) {
        return EFX_EIO;
    }
    if (l->state != TCP_UP) {
        return EFX_AGAIN;
    }
    n += EFX_FRAME_LENGTH_BYTES;
    if (l->out_bytes > 0 && l->out_bytes + n > l->queue_bytes_max) {
        l->wants_room = true;
        return EFX_AGAIN;
    }
    enum efx_rc rc = efx_tcp__out_put(l, msg, n);
    if (rc == EFX_ENOMEM) {
        return rc;
    }
    if (rc != EFX_OK) {
        efx_tcp__link_ends(l, EFX_EIO);
        return EFX_EIO;
    }
    t->counts.messages_out++;
    t->counts.bytes_out += n;
    if (l->out != NULL && !l->writing && !l->turn.posted) { /* only this thread posts it */
        t->base.loop->vt->post(t->base.loop, &l->turn);
    }
    return EFX_OK;
}

static void tcp_limits(struct efx_link *link, size_t frame_bytes_max, size_t queue_bytes_max)
{
    struct tcp_link *l = link_of(link);
    l->frame_bytes_max = frame_bytes_max != 0 ? frame_bytes_max : l->frame_bytes_max;
    l->queue_bytes_max = queue_bytes_max != 0 ? queue_bytes_max : l->queue_bytes_max;
}

static void tcp_hold(struct efx_link *link, bool held)
{
    efx_tcp__link_hold(link_of(link), held);
}

static void tcp_close(struct efx_link *link, bool in_order)
{
    efx_tcp__link_close(link_of(link), in_order);
}

static const char *tcp_peer(const struct efx_link *link)
{
    return ((const struct tcp_link *)link)->peer;
}

static struct efx_bytes tcp_peer_names(const struct efx_link *link)
{
    const struct tcp_link *l = (const struct tcp_link *)link;
    return (struct efx_bytes){l->names, l->names_bytes};
}

static bool tcp_peer_is_member(const struct efx_link *link)
{
    return ((const struct tcp_link *)link)->member;
}

static void tcp_counts(const struct efx_transport *self, struct efx_transport_counts *out)
{
    *out = ((const struct tcp *)self)->counts;
}

static void tcp_destroy(struct efx_transport **self)
{
    if (*self == NULL) {
        return;
    }
    struct tcp *t = of(*self);
    struct efx_mem *mem = t->o.mem;
    stop_listening(t);
    while (t->links != NULL) {
        EFX_ASSERT(t->links->in_call == 0);
        t->links->closed = false;
        efx_tcp__link_close(t->links, false);
    }
    efx_tcp__names_destroy(t);
    efx_tcp__chunks_free(t);
    efx_tls__destroy(&t->tls);
    if (t->spare_fd >= 0) {
        (void)close(t->spare_fd);
    }
    mem->free(mem, t->read_bytes, TCP_READ_BYTES);
    efx_arena_fini(&t->arena);
    mem->free(mem, t, sizeof *t);
    *self = NULL;
}

static const struct efx_transport_vt tcp_vt = {
    .listen = tcp_listen,
    .address = tcp_address,
    .connect = tcp_connect,
    .use = tcp_use,
    .send = tcp_send,
    .limits = tcp_limits,
    .hold = tcp_hold,
    .close = tcp_close,
    .peer = tcp_peer,
    .peer_names = tcp_peer_names,
    .peer_is_member = tcp_peer_is_member,
    .counts = tcp_counts,
    .destroy = tcp_destroy,
};

/* ---- making ---- */

static void with_defaults(struct efx_tcp_options *o)
{
    const uint64_t second_ns = 1000000000;
    o->frame_bytes_max = o->frame_bytes_max != 0 ? o->frame_bytes_max : EFX_FRAME_BYTES_MAX;
    o->queue_bytes_max = o->queue_bytes_max != 0 ? o->queue_bytes_max : (size_t)8 << 20;
    o->links_max = o->links_max != 0 ? o->links_max : 1024;
    o->socket_bytes = o->socket_bytes != 0 ? o->socket_bytes : 64 * 1024;
    o->connect_ns = o->connect_ns != 0 ? o->connect_ns : 5 * second_ns;
    o->read_ns = o->read_ns != 0 ? o->read_ns : 30 * second_ns;
    o->write_ns = o->write_ns != 0 ? o->write_ns : 30 * second_ns;
    o->look_ns = o->look_ns != 0 ? o->look_ns : second_ns;
    o->keep_alive_ns = o->keep_alive_ns != 0 ? o->keep_alive_ns : 30 * second_ns;
}

static bool copy_text(struct efx_arena *a, const char **text)
{
    if (*text != NULL) {
        *text = efx_arena_str(a, *text, strlen(*text));
        return *text != NULL;
    }
    return true;
}

enum efx_rc efx_tcp_create(struct efx_loop *loop, const struct efx_tcp_options *options,
                           struct efx_transport **out, struct efx_err *err)
{
    struct efx_mem *mem = options->mem;
    struct tcp *t = mem->alloc(mem, sizeof *t);
    uint8_t *read_bytes = mem->alloc(mem, TCP_READ_BYTES);
    EFX_ASSERT(efx_loop_is_real(loop));
    if (t == NULL || read_bytes == NULL) {
        if (t != NULL) {
            mem->free(mem, t, sizeof *t);
        }
        if (read_bytes != NULL) {
            mem->free(mem, read_bytes, TCP_READ_BYTES);
        }
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for sockets");
    }
    memset(t, 0, sizeof *t);
    t->base = (struct efx_transport){&tcp_vt, loop};
    t->o = *options;
    t->read_bytes = read_bytes;
    t->listen_fd = t->spare_fd = -1;
    t->accept_later = (struct efx_task){.fn = accept_again, .arg = t};
    with_defaults(&t->o);
    efx_arena_init(&t->arena, mem, SIZE_MAX);
    struct efx_transport *half = &t->base;
    if (!copy_text(&t->arena, &t->o.tls_cert) || !copy_text(&t->arena, &t->o.tls_key) ||
        !copy_text(&t->arena, &t->o.tls_ca) || !copy_text(&t->arena, &t->o.peer_ca) ||
        !copy_text(&t->arena, &t->o.server_name)) {
        tcp_destroy(&half);
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for sockets");
    }
    enum efx_rc rc = efx_tls__create(&t->o, &t->tls, err);
    if (rc != EFX_OK) {
        tcp_destroy(&half);
        return rc;
    }
    keep_spare(t);
    *out = &t->base;
    return EFX_OK;
}
