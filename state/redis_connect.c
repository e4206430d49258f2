/* From a host's name to a connected socket, within a deadline. Names are asked for by glibc's own
 * thread, for a name server that does not answer must not hold a call up: what it is asked stays
 * with the link, and the next call looks again.
 */
#define _GNU_SOURCE /* getaddrinfo_a */
#include "redis_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct efx_redis_resolve {
    struct gaicb ask;
    struct addrinfo hints;
    char port[8];
    char host[256];
};

static enum efx_rc no_host(struct efx_redis_pool *pool, int code, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: %s", pool->where, gai_strerror(code));
}

void efx_redis__resolve_end(struct efx_redis_pool *pool, struct efx_redis_link *link)
{
    struct efx_redis_resolve *r = link->resolve;
    if (r == NULL) {
        return;
    }
    const struct gaicb *asked[] = {&r->ask};
    (void)gai_cancel(&r->ask);
    while (gai_error(&r->ask) == EAI_INPROGRESS) {
        (void)gai_suspend(asked, 1, NULL); /* its bytes are in use until it is through */
    }
    if (r->ask.ar_result != NULL) {
        freeaddrinfo(r->ask.ar_result);
    }
    pool->mem->free(pool->mem, r, sizeof *r);
    link->resolve = NULL;
}

static enum efx_rc resolve_begin(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                 struct efx_err *err)
{
    struct efx_redis_resolve *r = pool->mem->alloc(pool->mem, sizeof *r);
    if (r == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory to connect");
    }
    memset(r, 0, sizeof *r);
    if (strlen(pool->conf->host) >= sizeof r->host) {
        pool->mem->free(pool->mem, r, sizeof *r);
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the name of the host is too long");
    }
    (void)snprintf(r->host, sizeof r->host, "%s", pool->conf->host);
    (void)snprintf(r->port, sizeof r->port, "%u", (unsigned)(uint16_t)pool->conf->port);
    r->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    link->resolve = r;
    int code = getaddrinfo(r->host, r->port, &r->hints, &r->ask.ar_result);
    if (code == 0) {
        return EFX_OK;
    }
    struct gaicb *ask[] = {&r->ask};
    r->hints.ai_flags = AI_ADDRCONFIG;
    r->ask = (struct gaicb){.ar_name = r->host, .ar_service = r->port, .ar_request = &r->hints};
    code = getaddrinfo_a(GAI_NOWAIT, ask, 1, NULL);
    return code == 0 ? EFX_OK : no_host(pool, code, err);
}

static enum efx_rc resolve(struct efx_redis_pool *pool, struct efx_redis_link *link,
                           uint64_t deadline_ns, struct efx_err *err)
{
    if (link->resolve == NULL) {
        enum efx_rc rc = resolve_begin(pool, link, err);
        if (rc != EFX_OK) {
            efx_redis__resolve_end(pool, link);
            return rc;
        }
    }
    struct efx_redis_resolve *r = link->resolve;
    const struct gaicb *asked[] = {&r->ask};
    while (r->ask.ar_result == NULL) {
        int code = gai_error(&r->ask);
        if (code != EAI_INPROGRESS && code != 0) {
            efx_redis__resolve_end(pool, link);
            return no_host(pool, code, err);
        }
        uint64_t now_ns = pool->world->clock->monotonic_ns(pool->world);
        if (now_ns >= deadline_ns) {
            return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0,
                            "%s: the name server did not answer in time", pool->where);
        }
        uint64_t left_ns = deadline_ns - now_ns;
        struct timespec t = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
        (void)gai_suspend(asked, 1, &t);
    }
    return EFX_OK;
}

static void set_options(int fd)
{
    static const int on = 1, idle_s = 30, every_s = 10, times = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

static enum efx_rc connect_one(struct efx_redis_pool *pool, struct efx_redis_link *link,
                               const struct addrinfo *to, uint64_t deadline_ns, struct efx_err *err)
{
    int e = 0;
    socklen_t n = sizeof e;
    link->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: no socket: %s", pool->where,
                        strerror(errno));
    }
    set_options(link->fd);
    if (connect(link->fd, to->ai_addr, to->ai_addrlen) != 0) {
        e = errno;
        if (e == EINPROGRESS) {
            EFX_RET(efx_redis__wait(pool, link, POLLOUT, deadline_ns, "connecting", err));
            (void)getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &e, &n);
        }
    }
    return e == 0 ? EFX_OK
                  : EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: %s", pool->where, strerror(e));
}

enum efx_rc efx_redis__connect(struct efx_redis_pool *pool, struct efx_redis_link *link,
                               uint64_t deadline_ns, struct efx_err *err)
{
    EFX_RET(resolve(pool, link, deadline_ns, err));
    enum efx_rc rc = EFX_EIO;
    for (const struct addrinfo *a = link->resolve->ask.ar_result; a != NULL; a = a->ai_next) {
        rc = connect_one(pool, link, a, deadline_ns, err);
        if (rc == EFX_OK) {
            break;
        }
        if (link->fd >= 0) {
            (void)close(link->fd);
            link->fd = -1;
        }
    }
    efx_redis__resolve_end(pool, link);
    return rc;
}
