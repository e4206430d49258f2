/* From a host's name to a connected socket, within a deadline. A name is asked for on a thread of
 * its own, for a name server that does not answer must not hold a call up: what it is asked stays
 * with the link, and the next call looks again.
 */
#include "redis_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct efx_redis_resolve {
    pthread_t thread;
    bool asked; /* there is a thread */
    pthread_mutex_t lock;
    pthread_cond_t answered; /* on the monotonic clock */
    bool done;
    int code;
    struct addrinfo *result;
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
    if (r->asked) {
        EFX_ASSERT(pthread_join(r->thread, NULL) == 0); /* as long as the name server is asked */
    }
    if (r->result != NULL) {
        freeaddrinfo(r->result);
    }
    (void)pthread_cond_destroy(&r->answered);
    (void)pthread_mutex_destroy(&r->lock);
    pool->mem->free(pool->mem, r, sizeof *r);
    link->resolve = NULL;
}

static void *ask(void *arg)
{
    struct efx_redis_resolve *r = arg;
    struct addrinfo *result = NULL;
    int code = getaddrinfo(r->host, r->port, &r->hints, &result);
    EFX_ASSERT(pthread_mutex_lock(&r->lock) == 0);
    r->done = true;
    r->code = code;
    r->result = code == 0 ? result : NULL;
    EFX_ASSERT(pthread_cond_signal(&r->answered) == 0);
    EFX_ASSERT(pthread_mutex_unlock(&r->lock) == 0);
    return NULL;
}

/* An address is known at once; a name goes to the thread. */
static enum efx_rc resolve_begin(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                 struct efx_err *err)
{
    pthread_condattr_t attr;
    if (strlen(pool->conf->host) >= sizeof link->resolve->host) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "the name of the host is too long");
    }
    struct efx_redis_resolve *r = pool->mem->alloc(pool->mem, sizeof *r);
    if (r == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory to connect");
    }
    memset(r, 0, sizeof *r);
    EFX_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    EFX_ASSERT(pthread_condattr_init(&attr) == 0);
    EFX_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    EFX_ASSERT(pthread_cond_init(&r->answered, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    (void)snprintf(r->host, sizeof r->host, "%s", pool->conf->host);
    (void)snprintf(r->port, sizeof r->port, "%u", (unsigned)(uint16_t)pool->conf->port);
    r->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    link->resolve = r;
    if (getaddrinfo(r->host, r->port, &r->hints, &r->result) == 0) {
        r->done = true;
        return EFX_OK;
    }
    r->hints.ai_flags = AI_ADDRCONFIG;
    int code = pthread_create(&r->thread, NULL, ask, r);
    r->asked = code == 0;
    return code == 0 ? EFX_OK
                     : EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: no thread to ask for it: %s",
                                pool->where, strerror(code));
}

static enum efx_rc resolve(struct efx_redis_pool *pool, struct efx_redis_link *link,
                           uint64_t deadline_ns, struct efx_err *err)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    if (link->resolve == NULL) {
        enum efx_rc rc = resolve_begin(pool, link, err);
        if (rc != EFX_OK) {
            efx_redis__resolve_end(pool, link);
            return rc;
        }
    }
    struct efx_redis_resolve *r = link->resolve;
    int waited = 0;
    EFX_ASSERT(pthread_mutex_lock(&r->lock) == 0);
    while (!r->done && waited == 0) {
        waited = pthread_cond_timedwait(&r->answered, &r->lock, &until);
    }
    bool done = r->done;
    int code = r->code;
    EFX_ASSERT(pthread_mutex_unlock(&r->lock) == 0);
    if (!done) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: the name server did not answer in time",
                        pool->where);
    }
    if (code != 0) {
        efx_redis__resolve_end(pool, link);
        return no_host(pool, code, err);
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
    for (const struct addrinfo *a = link->resolve->result; a != NULL; a = a->ai_next) {
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
