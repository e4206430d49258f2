/* A link's life. Whatever may call its user, or go over it after a user was called, counts in_call
 * up; a link that ended meanwhile is freed when that is 0 again, its buffers too, since a message
 * lies in them. */
#include "tcp.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { LINGER_NS = 2000000000, NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

static uint64_t now_ns(const struct tcp_link *l)
{
    struct efx_loop *loop = efx_tcp__of(l)->base.loop;
    return loop->vt->now_ns(loop);
}

static void post_turn(struct tcp_link *l)
{
    struct efx_loop *loop = efx_tcp__of(l)->base.loop;
    loop->vt->post(loop, &l->turn);
}

/* ---- watching the socket ---- */

static void toggle(struct event *e, bool *is, bool on)
{
    if (*is != on) {
        EFX_ASSERT((on ? event_add(e, NULL) : event_del(e)) == 0);
        *is = on;
    }
}

void efx_tcp__link_reading(struct tcp_link *l, bool on)
{
    toggle(&l->reads, &l->reading, on);
}

void efx_tcp__link_writing(struct tcp_link *l, bool on)
{
    toggle(&l->writes, &l->writing, on);
}

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value); /* a socket without it works as well */
}

static void set_options(const struct tcp *t, int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)t->o.socket_bytes);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)t->o.socket_bytes);
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0 || a.ss_family == AF_UNIX) {
        return;
    }
    int every_s = (int)(t->o.keep_alive_ns / NS_PER_S);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, every_s > 0 ? every_s : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, every_s > 3 ? every_s / 3 : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(t->o.write_ns / NS_PER_MS));
}

static void on_event(evutil_socket_t fd, short what, void *arg);

enum efx_rc efx_tcp__link_socket(struct tcp_link *l, int fd)
{
    struct event_base *base = efx_loop_real_base(efx_tcp__of(l)->base.loop);
    l->fd = fd;
    set_options(efx_tcp__of(l), fd);
    if (event_assign(&l->reads, base, fd, EV_READ | EV_PERSIST, on_event, l) != 0 ||
        event_assign(&l->writes, base, fd, EV_WRITE | EV_PERSIST, on_event, l) != 0) {
        return EFX_ENOMEM;
    }
    l->watched = true;
    return EFX_OK;
}

void efx_tcp__link_no_socket(struct tcp_link *l, bool reset)
{
    if (l->watched) {
        efx_tcp__link_reading(l, false);
        efx_tcp__link_writing(l, false);
        l->watched = false;
    }
    if (l->fd >= 0) {
        if (reset) {
            struct linger now = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        (void)close(l->fd);
        l->fd = -1;
    }
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_deadline(const struct tcp_link *l)
{
    const struct efx_tcp_options *o = &efx_tcp__of(l)->o;
    if (l->state != TCP_UP && l->state != TCP_DRAINING) {
        return l->by_ns;
    }
    uint64_t at_ns = UINT64_MAX;
    if (l->frame_since_ns != 0 && !l->held) {
        at_ns = l->frame_since_ns + o->read_ns;
    }
    if (l->out != NULL) {
        at_ns = earlier(at_ns, l->taken_ns + o->write_ns);
    }
    return at_ns;
}

void efx_tcp__link_watch(struct tcp_link *l)
{
    struct efx_loop *loop = efx_tcp__of(l)->base.loop;
    uint64_t at_ns = next_deadline(l);
    if (at_ns != UINT64_MAX && (l->watch.place == 0 || l->watch.at_ns > at_ns)) {
        loop->vt->timer_set(loop, &l->watch, at_ns);
    }
}

static void gone(struct tcp_link *l, bool reset);

static void on_watch(void *arg)
{
    struct tcp_link *l = arg;
    if (next_deadline(l) > now_ns(l)) {
        efx_tcp__link_watch(l);
    } else if (l->state == TCP_LINGERING) {
        gone(l, true);
    } else {
        struct efx_transport_counts *c = &efx_tcp__of(l)->counts;
        c->timed_out++;
        c->broken--; /* link_down counts it there */
        efx_tcp__link_down(l, EFX_EIO);
    }
}

/* ---- the end ---- */

static void link_free(struct tcp_link *l)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    efx_tcp__in_drop(l);
    efx_tcp__out_drop(l);
    mem->free(mem, l, sizeof *l);
}

void efx_tcp__link_leave(struct tcp_link *l)
{
    l->in_call--;
    if (l->in_call == 0 && l->state == TCP_GONE) {
        link_free(l);
    }
}

static void gone(struct tcp_link *l, bool reset)
{
    struct tcp *t = efx_tcp__of(l);
    struct efx_loop *loop = t->base.loop;
    efx_tcp__naming_forget(l);
    SSL_free(l->ssl);
    l->ssl = NULL;
    efx_tcp__link_no_socket(l, reset);
    loop->vt->cancel(loop, &l->turn);
    loop->vt->cancel(loop, &l->watch);
    *l->place = l->next;
    if (l->next != NULL) {
        l->next->place = l->place;
    }
    t->counts.links--;
    l->state = TCP_GONE;
    l->closed = true;
    if (l->in_call == 0) {
        link_free(l);
    }
}

/* Nothing more comes from us; the peer may still have to read what did. */
static void linger(struct tcp_link *l)
{
    if (l->ssl != NULL && SSL_is_init_finished(l->ssl)) {
        (void)SSL_shutdown(l->ssl);
    }
    (void)shutdown(l->fd, SHUT_WR);
    l->state = TCP_LINGERING;
    l->by_ns = now_ns(l) + LINGER_NS;
    efx_tcp__link_writing(l, false);
    efx_tcp__link_reading(l, true);
    efx_tcp__link_watch(l);
}

static void count_end(struct tcp *t, enum efx_rc why)
{
    t->counts.broken += why == EFX_EIO;
    t->counts.too_long += why == EFX_ELIMIT;
    t->counts.malformed += why == EFX_EPARSE;
    t->counts.untrusted += why == EFX_ESTALE;
}

void efx_tcp__link_down(struct tcp_link *l, enum efx_rc why)
{
    bool in_hello = l->state == TCP_HELLO;
    why = why == EFX_ENOMEM ? EFX_EIO : why;
    count_end(efx_tcp__of(l), why);
    l->in_call++;
    if (!l->closed && l->user != NULL) {
        l->closed = true;
        l->user->down(l->arg, &l->base, why);
    }
    l->closed = true;
    EFX_ASSERT(l->state != TCP_GONE);
    if (in_hello && (why == EFX_ESTALE || why == EFX_EPARSE)) {
        linger(l); /* TLS has told the peer what is wrong */
    } else {
        gone(l, why != EFX_DONE);
    }
    efx_tcp__link_leave(l);
}

void efx_tcp__link_ends(struct tcp_link *l, enum efx_rc why)
{
    l->ends = why;
    post_turn(l);
}

void efx_tcp__link_close(struct tcp_link *l, bool in_order)
{
    EFX_ASSERT(!l->closed);
    l->closed = true;
    l->held = false;
    if (l->state != TCP_UP || !in_order || l->ends != EFX_OK) {
        gone(l, true);
    } else if (l->out != NULL) {
        l->state = TCP_DRAINING;
        efx_tcp__link_reading(l, true);
        post_turn(l);
    } else {
        linger(l);
    }
}

/* ---- the beginning ---- */

static void is_up(struct tcp_link *l)
{
    struct tcp *t = efx_tcp__of(l);
    l->state = TCP_UP;
    efx_tcp__link_writing(l, false);
    efx_tcp__link_reading(l, true);
    if (l->ssl != NULL) {
        struct efx_writer names = {.p = l->names, .max = sizeof l->names};
        efx_tls__names(l->ssl, &names);
        l->names_bytes = names.n;
        l->member = efx_tls__is_member(t->tls, l->ssl);
        l->read_more = true; /* messages may have come with the last of the hello */
        post_turn(l);
    }
    l->in_call++;
    if (l->accepted) {
        t->counts.accepted++;
        t->accepted(t->accepted_arg, &l->base);
        if (l->user == NULL && !l->closed) {
            efx_tcp__link_close(l, false); /* nobody wants it */
        }
    } else {
        t->counts.connected++;
        l->user->up(l->arg, &l->base);
    }
    efx_tcp__link_leave(l);
}

static void hello(struct tcp_link *l)
{
    bool want_write;
    enum efx_rc rc = efx_tls__handshake(l->ssl, &want_write);
    if (rc == EFX_OK) {
        is_up(l);
    } else if (rc == EFX_AGAIN) {
        efx_tcp__link_writing(l, want_write);
    } else {
        efx_tcp__link_down(l, rc == EFX_DONE ? EFX_EIO : rc);
    }
}

static SSL *make_ssl(struct tcp_link *l)
{
    struct tcp *t = efx_tcp__of(l);
    char host[TCP_ADDRESS_BYTES];
    const char *port;
    if (l->accepted) {
        return efx_tls__accept(t->tls, l->fd, now_ns(l), &t->counts);
    }
    if (efx_tcp__parse(l->peer, host, sizeof host, &port, NULL) != EFX_OK) {
        return NULL;
    }
    return efx_tls__connect(t->tls, l->fd, host, now_ns(l), &t->counts);
}

void efx_tcp__link_connected(struct tcp_link *l)
{
    if (efx_tcp__of(l)->tls == NULL || strncmp(l->peer, "unix:", 5) == 0) {
        is_up(l);
        return;
    }
    l->ssl = make_ssl(l);
    if (l->ssl == NULL) {
        efx_tcp__link_down(l, EFX_EIO);
        return;
    }
    l->state = TCP_HELLO;
    efx_tcp__link_watch(l);
    efx_tcp__link_reading(l, true);
    hello(l);
}

/* ---- events and turns ---- */

static void read_some(struct tcp_link *l)
{
    l->read_more = false;
    enum efx_rc rc = efx_tcp__in(l);
    if (l->closed || rc == EFX_AGAIN) {
        return;
    }
    if (rc == EFX_OK) {
        l->read_more = l->ssl != NULL || l->held;
        if (l->read_more && !l->held) {
            post_turn(l);
        }
        return;
    }
    efx_tcp__link_down(l, rc);
}

static void write_some(struct tcp_link *l)
{
    enum efx_rc rc = efx_tcp__out_flush(l);
    if (rc != EFX_OK && rc != EFX_AGAIN) {
        efx_tcp__link_down(l, EFX_EIO);
    } else if (rc == EFX_OK && l->state == TCP_DRAINING) {
        linger(l);
    }
}

/* What a peer still sends to a link that its user has closed. */
static void throw_away(struct tcp_link *l)
{
    ssize_t n = recv(l->fd, efx_tcp__of(l)->read_bytes, TCP_READ_BYTES, 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        return;
    }
    if (n == 0 && l->state == TCP_DRAINING) {
        efx_tcp__link_reading(l, false); /* it sends no more, but may read on */
    } else {
        gone(l, n < 0);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct tcp_link *l = arg;
    (void)fd;
    l->in_call++;
    switch (l->state) {
    case TCP_NAMING: break;
    case TCP_CONNECTING: efx_tcp__connect_answer(l); break;
    case TCP_HELLO: hello(l); break;
    case TCP_UP:
        if ((what & EV_READ) != 0 || l->tls_read_wants_write) {
            read_some(l);
        }
        if ((what & EV_WRITE) != 0 && l->state == TCP_UP) {
            write_some(l);
        }
        break;
    case TCP_DRAINING:
        if ((what & EV_READ) != 0) {
            throw_away(l);
        }
        if ((what & EV_WRITE) != 0 && l->state == TCP_DRAINING) {
            write_some(l);
        }
        break;
    case TCP_LINGERING: throw_away(l); break;
    case TCP_GONE: break;
    }
    efx_tcp__link_leave(l);
}

static void on_turn(void *arg)
{
    struct tcp_link *l = arg;
    l->in_call++;
    if (l->ends != EFX_OK) {
        efx_tcp__link_down(l, l->ends);
    } else if (l->state == TCP_CONNECTING) {
        efx_tcp__connect_answer(l);
    }
    if (l->state == TCP_UP && l->read_more && !l->held) {
        read_some(l);
    }
    if ((l->state == TCP_UP || l->state == TCP_DRAINING) && l->out != NULL && !l->writing) {
        write_some(l);
    }
    if (l->state == TCP_UP && l->room_due) {
        l->room_due = false;
        l->user->room(l->arg, &l->base);
    }
    efx_tcp__link_leave(l);
}

void efx_tcp__link_hold(struct tcp_link *l, bool held)
{
    if (l->state != TCP_UP || l->held == held) {
        return;
    }
    l->held = held;
    efx_tcp__link_reading(l, !held);
    if (!held) {
        l->frame_since_ns = l->frame_since_ns != 0 ? now_ns(l) : 0;
        efx_tcp__link_watch(l);
        l->read_more = true;
        post_turn(l);
    }
}

struct tcp_link *efx_tcp__link_new(struct tcp *t)
{
    struct tcp_link *l = t->o.mem->alloc(t->o.mem, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    memset(l, 0, sizeof *l);
    l->base.of = &t->base;
    l->fd = -1;
    l->state = TCP_CONNECTING;
    l->turn = (struct efx_task){.fn = on_turn, .arg = l};
    l->watch = (struct efx_task){.fn = on_watch, .arg = l};
    l->frame_bytes_max = t->o.frame_bytes_max;
    l->queue_bytes_max = t->o.queue_bytes_max;
    l->by_ns = now_ns(l) + t->o.connect_ns;
    l->next = t->links;
    l->place = &t->links;
    if (t->links != NULL) {
        t->links->place = &l->next;
    }
    t->links = l;
    t->counts.links++;
    return l;
}
