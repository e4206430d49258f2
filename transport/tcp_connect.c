/* Addresses, and the way to a connection. Numbers are connected to at once. Names are asked for by
 * one thread of the transport, since getaddrinfo waits; its answers come back as a posted task.
 * A request belongs to the thread until that task runs; a link that ended meanwhile has taken
 * itself out of it. */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

struct tcp_name_request {
    struct tcp_name_request *next;
    struct tcp_name_request *all_next, **all_place; /* the loop's */
    struct tcp_link *link;                          /* the loop's; NULL = nobody waits any more */
    struct tcp *t;
    struct efx_task done;
    uint32_t n_at;
    struct tcp_at at[TCP_ADDRESSES_MAX];
    char address[TCP_ADDRESS_BYTES];
};

struct tcp_names {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct tcp_name_request *first, **last; /* not begun */
    struct tcp_name_request *all;           /* the loop's */
    bool stopped;
};

/* ---- text ---- */

static enum efx_rc bad_address(const char *address, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                    "'%s' is no address: host:port, [host]:port or unix:/path", address);
}

enum efx_rc efx_tcp__parse(const char *address, char *host, size_t host_bytes, const char **port,
                           struct efx_err *err)
{
    const char *from = address, *to = strrchr(address, ':');
    if (to == NULL || to[1] == 0 || strlen(to + 1) > 5 ||
        strspn(to + 1, "0123456789") != strlen(to + 1)) {
        return bad_address(address, err);
    }
    *port = to + 1;
    if (*from == '[') {
        from++;
        to--;
        if (to < from || *to != ']') {
            return bad_address(address, err);
        }
    } else if (memchr(from, ':', (size_t)(to - from)) != NULL) {
        return bad_address(address, err);
    }
    size_t n = (size_t)(to - from);
    if (n >= host_bytes) {
        return bad_address(address, err);
    }
    memcpy(host, from, n);
    host[n] = 0;
    return EFX_OK;
}

static enum efx_rc unix_at(const char *address, struct tcp_at *out, struct efx_err *err)
{
    const char *path = address + 5;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof out->a.un.sun_path) {
        return bad_address(address, err);
    }
    memset(out, 0, sizeof *out);
    out->a.un.sun_family = AF_UNIX;
    memcpy(out->a.un.sun_path, path, n + 1);
    out->n = sizeof out->a.un;
    return EFX_OK;
}

/* As many as fit; 0 = none. */
static uint32_t look_up(const char *address, int flags, struct tcp_at *at, uint32_t max)
{
    char host[TCP_ADDRESS_BYTES];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    uint32_t n = 0;
    if (efx_tcp__parse(address, host, sizeof host, &port, NULL) != EFX_OK ||
        getaddrinfo(host[0] == 0 ? NULL : host, port, &hints, &found) != 0) {
        return 0;
    }
    for (struct addrinfo *a = found; a != NULL && n < max; a = a->ai_next) {
        if (a->ai_addrlen <= sizeof at[n].a) {
            memset(&at[n], 0, sizeof at[n]);
            memcpy(&at[n].a, a->ai_addr, a->ai_addrlen);
            at[n++].n = a->ai_addrlen;
        }
    }
    freeaddrinfo(found);
    return n;
}

enum efx_rc efx_tcp__listen_at(const char *address, struct tcp_at *out, struct efx_err *err)
{
    char host[TCP_ADDRESS_BYTES];
    const char *port;
    if (strncmp(address, "unix:", 5) == 0) {
        return unix_at(address, out, err);
    }
    EFX_RET(efx_tcp__parse(address, host, sizeof host, &port, err));
    if (look_up(address, AI_PASSIVE, out, 1) == 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "nobody knows the address of '%s'", host);
    }
    return EFX_OK;
}

void efx_tcp__show(const struct tcp_at *at, char *out, size_t n)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (at->a.any.sa_family == AF_UNIX) {
        (void)snprintf(out, n, "unix:%s", at->a.un.sun_path);
    } else if (at->a.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &at->a.in.sin_addr, ip, sizeof ip);
        (void)snprintf(out, n, "%s:%u", ip, ntohs(at->a.in.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &at->a.in6.sin6_addr, ip, sizeof ip);
        (void)snprintf(out, n, "[%s]:%u", ip, ntohs(at->a.in6.sin6_port));
    }
}

/* ---- sockets ---- */

/* EFX_OK: connected or on the way; EFX_EABSENT, EFX_EIO: this address was it not. */
static enum efx_rc try_one(struct tcp_link *l, const struct tcp_at *at)
{
    int fd = socket(at->a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return EFX_EIO;
    }
    EFX_RET(efx_tcp__link_socket(l, fd));
    if (connect(fd, &at->a.any, at->n) == 0) {
        struct efx_loop *loop = efx_tcp__of(l)->base.loop;
        loop->vt->post(loop, &l->turn);
        return EFX_OK;
    }
    if (errno == EINPROGRESS) {
        efx_tcp__link_writing(l, true);
        return EFX_OK;
    }
    return errno == ECONNREFUSED || errno == ENOENT ? EFX_EABSENT : EFX_EIO;
}

/* The next address that can be tried. Nobody is there only if each of them said so. */
static enum efx_rc try_next(struct tcp_link *l)
{
    l->state = TCP_CONNECTING;
    while (l->next_at < l->n_at) {
        enum efx_rc rc = try_one(l, &l->at[l->next_at++]);
        if (rc == EFX_OK) {
            return EFX_OK;
        }
        l->refused = l->refused && rc == EFX_EABSENT;
        efx_tcp__link_no_socket(l, false);
    }
    return l->refused && l->n_at > 0 ? EFX_EABSENT : EFX_EIO;
}

void efx_tcp__connect_answer(struct tcp_link *l)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) {
        e = errno;
    }
    if (e == 0) {
        efx_tcp__link_writing(l, false);
        efx_tcp__link_connected(l);
        return;
    }
    l->refused = l->refused && e == ECONNREFUSED;
    efx_tcp__link_no_socket(l, false);
    enum efx_rc rc = try_next(l);
    if (rc != EFX_OK) {
        efx_tcp__link_down(l, rc);
    }
}

/* ---- names ---- */

static void *ask(void *arg)
{
    struct tcp_names *names = arg;
    pthread_mutex_lock(&names->lock);
    for (;;) {
        while (!names->stopped && names->first == NULL) {
            pthread_cond_wait(&names->more, &names->lock);
        }
        if (names->stopped) {
            break;
        }
        struct tcp_name_request *r = names->first;
        names->first = r->next;
        names->last = names->first == NULL ? &names->first : names->last;
        pthread_mutex_unlock(&names->lock);
        struct efx_loop *loop = r->t->base.loop;
        r->n_at = look_up(r->address, AI_ADDRCONFIG, r->at, TCP_ADDRESSES_MAX);
        pthread_mutex_lock(&names->lock);
        loop->vt->post(loop, &r->done); /* r is the loop's again */
    }
    pthread_mutex_unlock(&names->lock);
    return NULL;
}

static struct tcp_names *names_of(struct tcp *t)
{
    struct efx_mem *mem = t->o.mem;
    if (t->names != NULL) {
        return t->names;
    }
    struct tcp_names *names = mem->alloc(mem, sizeof *names);
    if (names == NULL) {
        return NULL;
    }
    memset(names, 0, sizeof *names);
    names->last = &names->first;
    pthread_mutex_init(&names->lock, NULL);
    pthread_cond_init(&names->more, NULL);
    if (pthread_create(&names->thread, NULL, ask, names) != 0) {
        mem->free(mem, names, sizeof *names);
        return NULL;
    }
    t->names = names;
    return names;
}

static void request_free(struct tcp_name_request *r)
{
    struct efx_mem *mem = r->t->o.mem;
    *r->all_place = r->all_next;
    if (r->all_next != NULL) {
        r->all_next->all_place = r->all_place;
    }
    mem->free(mem, r, sizeof *r);
}

static void named(void *arg)
{
    struct tcp_name_request *r = arg;
    struct tcp_link *l = r->link;
    if (l != NULL) {
        memcpy(l->at, r->at, sizeof l->at);
        l->n_at = r->n_at;
        l->naming = NULL;
    }
    request_free(r);
    if (l != NULL) {
        enum efx_rc rc = try_next(l);
        if (rc != EFX_OK) {
            efx_tcp__link_down(l, rc);
        }
    }
}

void efx_tcp__naming_forget(struct tcp_link *l)
{
    if (l->naming != NULL) {
        l->naming->link = NULL;
        l->naming = NULL;
    }
}

static enum efx_rc ask_for(struct tcp_link *l, const char *address)
{
    struct tcp *t = efx_tcp__of(l);
    struct tcp_names *names = names_of(t);
    struct tcp_name_request *r = t->o.mem->alloc(t->o.mem, sizeof *r);
    if (names == NULL || r == NULL) {
        if (r != NULL) {
            t->o.mem->free(t->o.mem, r, sizeof *r);
        }
        return EFX_ENOMEM;
    }
    *r = (struct tcp_name_request){.link = l, .t = t, .all_next = names->all};
    r->done = (struct efx_task){.fn = named, .arg = r};
    (void)snprintf(r->address, sizeof r->address, "%s", address);
    r->all_place = &names->all;
    if (names->all != NULL) {
        names->all->all_place = &r->all_next;
    }
    names->all = r;
    l->naming = r;
    l->state = TCP_NAMING;
    pthread_mutex_lock(&names->lock);
    *names->last = r;
    names->last = &r->next;
    pthread_cond_signal(&names->more);
    pthread_mutex_unlock(&names->lock);
    return EFX_OK;
}

/* Waits for the answer to the name that is being asked for. */
void efx_tcp__names_destroy(struct tcp *t)
{
    struct tcp_names *names = t->names;
    if (names == NULL) {
        return;
    }
    pthread_mutex_lock(&names->lock);
    names->stopped = true;
    pthread_cond_signal(&names->more);
    pthread_mutex_unlock(&names->lock);
    pthread_join(names->thread, NULL);
    while (names->all != NULL) {
        t->base.loop->vt->cancel(t->base.loop, &names->all->done);
        request_free(names->all);
    }
    pthread_cond_destroy(&names->more);
    pthread_mutex_destroy(&names->lock);
    t->o.mem->free(t->o.mem, names, sizeof *names);
    t->names = NULL;
}

enum efx_rc efx_tcp__connect(struct tcp_link *l, const char *address, struct efx_err *err)
{
    char host[TCP_ADDRESS_BYTES];
    const char *port;
    enum efx_rc rc;
    l->refused = true;
    if (strlen(address) >= sizeof l->peer) {
        return bad_address(address, err);
    }
    (void)snprintf(l->peer, sizeof l->peer, "%s", address);
    if (strncmp(address, "unix:", 5) == 0) {
        EFX_RET(unix_at(address, &l->at[0], err));
        l->n_at = 1;
    } else {
        EFX_RET(efx_tcp__parse(address, host, sizeof host, &port, err));
        l->n_at = look_up(address, AI_NUMERICHOST, l->at, TCP_ADDRESSES_MAX);
    }
    efx_tcp__link_watch(l);
    if (l->n_at == 0) {
        rc = ask_for(l, address);
        return rc == EFX_OK ? rc
                            : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "no memory to ask for a name");
    }
    rc = try_next(l);
    if (rc != EFX_OK) {
        efx_tcp__link_ends(l, rc);
    }
    return EFX_OK;
}
