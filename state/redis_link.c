/* Links to Redis: a pool of them, exchanges within a deadline, back-off after failures. */
#include "redis_link.h"

#include "redis_tls.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    ROOM_BYTES = 128 * 1024,
    IOV_MAX_ONCE = 64,
    RETRY_FIRST_MS = 20,
    RETRY_MAX_MS = 250, /* C13: who comes back is heard at least so soon */
};

struct sync {
    pthread_mutex_t lock;
    pthread_cond_t given; /* on the monotonic clock */
};

static uint64_t now_ns(const struct efx_redis_pool *pool)
{
    return pool->world->clock->monotonic_ns(pool->world);
}

uint64_t efx_redis__deadline(const struct efx_redis_pool *pool)
{
    int64_t ms = __atomic_load_n(&pool->deadline_ms, __ATOMIC_RELAXED);
    return now_ns(pool) + (uint64_t)ms * 1000000;
}

enum efx_rc efx_redis__wait(struct efx_redis_pool *pool, struct efx_redis_link *link, short events,
                            uint64_t deadline_ns, const char *what, struct efx_err *err)
{
    for (;;) {
        uint64_t now = now_ns(pool);
        uint64_t left_ms = now >= deadline_ns ? 0 : (deadline_ns - now + 999999) / 1000000;
        struct pollfd p = {.fd = link->fd, .events = events};
        int n = poll(&p, 1, left_ms > 1000000 ? 1000000 : (int)left_ms);
        if (n > 0) {
            return EFX_OK;
        }
        if (n == 0 && left_ms == 0) {
            return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: no answer in time while %s",
                            pool->where, what);
        }
        if (n < 0 && errno != EINTR) {
            return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: %s", pool->where, strerror(errno));
        }
    }
}

ssize_t efx_redis__recv(struct efx_redis_link *link, void *p, size_t n)
{
    if (link->ssl != NULL) {
        return efx_redis__tls_recv(link, p, n);
    }
    ssize_t got = recv(link->fd, p, n, 0);
    if (got == 0) {
        errno = ECONNRESET;
        return -1;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : got;
}

ssize_t efx_redis__send(struct efx_redis_link *link, const void *p, size_t n)
{
    if (link->ssl != NULL) {
        return efx_redis__tls_send(link, p, n);
    }
    ssize_t done = send(link->fd, p, n, MSG_NOSIGNAL);
    return done < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : done;
}

void efx_redis__drop(struct efx_redis_pool *pool, struct efx_redis_link *link)
{
    (void)pool;
    if (link->ssl != NULL) {
        efx_redis__tls_end(link);
    }
    if (link->fd >= 0) {
        (void)close(link->fd);
        link->fd = -1;
    }
    if (link->reader != NULL) {
        redisReaderFree(link->reader);
        link->reader = NULL;
    }
}

/* ---- exchange ------------------------------------------------------------------------------ */

struct place { /* how far the words of an out are written */
    uint32_t word;
    size_t at;
};

static const uint8_t *word_at(const struct efx_redis_out *out, uint32_t i)
{
    return out->word[i].p != NULL ? out->word[i].p : out->text + out->word[i].off;
}

/* As much as the socket takes: many words in one call, without TLS. */
static ssize_t write_some(struct efx_redis_link *link, const struct efx_redis_out *out,
                          const struct place *from)
{
    struct iovec iov[IOV_MAX_ONCE];
    struct msghdr msg = {.msg_iov = iov};
    if (link->ssl != NULL) {
        return efx_redis__send(link, word_at(out, from->word) + from->at,
                               out->word[from->word].n - from->at);
    }
    size_t at = from->at;
    for (uint32_t i = from->word; i < out->n_words && msg.msg_iovlen < IOV_MAX_ONCE; i++, at = 0) {
        iov[msg.msg_iovlen++] =
            (struct iovec){(void *)(uintptr_t)(word_at(out, i) + at), out->word[i].n - at};
    }
    ssize_t n = sendmsg(link->fd, &msg, MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static void advance(const struct efx_redis_out *out, struct place *p, size_t n)
{
    while (n > 0) {
        size_t left = out->word[p->word].n - p->at;
        size_t step = n < left ? n : left;
        p->at += step;
        n -= step;
        if (p->at == out->word[p->word].n) {
            p->word++;
            p->at = 0;
        }
    }
}

struct taking { /* answers so far */
    efx_redis_reply_fn *take;
    void *arg;
    uint32_t n;
    enum efx_rc rc; /* first that was not EFX_OK */
    struct efx_err *err;
};

static enum efx_rc broken(const struct efx_redis_pool *pool, const char *what, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: %s", pool->where, what);
}

static enum efx_rc take_replies(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                uint32_t n_commands, struct taking *t, struct efx_err *err)
{
    while (t->n < n_commands) {
        void *reply = NULL;
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
            return broken(pool, "its answer is none of Redis", err);
        }
        if (reply == NULL) {
            return EFX_OK;
        }
        struct efx_err first;
        enum efx_rc rc = t->take(t->arg, t->n, reply, t->rc == EFX_OK ? t->err : &first);
        t->rc = t->rc == EFX_OK ? rc : t->rc;
        freeReplyObject(reply);
        t->n++;
    }
    return EFX_OK;
}

enum efx_rc efx_redis__exchange(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                const struct efx_redis_out *out, uint64_t deadline_ns,
                                efx_redis_reply_fn *take, void *arg, struct efx_err *err)
{
    struct place at = {0};
    struct taking t = {.take = take, .arg = arg, .rc = EFX_OK, .err = err};
    enum efx_rc rc = EFX_OK;
    if (out->failed) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory to ask %s", pool->where);
    }
    while (t.n < out->n_commands) {
        ssize_t wrote = at.word < out->n_words ? write_some(link, out, &at) : 0;
        if (wrote < 0) {
            EFX_GOTO(drop, broken(pool, strerror(errno), err));
        }
        advance(out, &at, (size_t)wrote);
        ssize_t got = efx_redis__recv(link, link->room, ROOM_BYTES);
        if (got < 0) {
            EFX_GOTO(
                drop,
                broken(pool, errno == ECONNRESET ? "the connection ended" : strerror(errno), err));
        }
        if (got > 0) {
            if (redisReaderFeed(link->reader, (char *)link->room, (size_t)got) != REDIS_OK) {
                EFX_GOTO(drop, broken(pool, "no memory for its answer", err));
            }
            EFX_GOTO(drop, take_replies(pool, link, out->n_commands, &t, err));
        }
        if (wrote == 0 && got == 0) {
            short events = (short)(POLLIN | (at.word < out->n_words ? POLLOUT : 0));
            EFX_GOTO(drop, efx_redis__wait(pool, link, events, deadline_ns, "asking", err));
        } else if (now_ns(pool) >= deadline_ns && t.n < out->n_commands) {
            EFX_GOTO(drop, broken(pool, "no answer in time: it is too slow", err));
        }
    }
    return t.rc;
drop:
    efx_redis__drop(pool, link);
    return rc;
}

static bool begins(const redisReply *r, const char *with)
{
    return strncmp(r->str, with, strlen(with)) == 0;
}

enum efx_rc efx_redis__failed(const struct efx_redis_pool *pool, const redisReply *reply,
                              struct efx_err *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return broken(pool, "its answer is not of the kind that was expected", err);
    }
    if (begins(reply, "OOM") || strstr(reply->str, "No space left") != NULL) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0, "%s is full: %.140s", pool->where,
                        reply->str);
    }
    if (begins(reply, "WRONGTYPE")) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                        "%s: a key is not what it must be; does something else write there?",
                        pool->where);
    }
    bool user = begins(reply, "NOAUTH") || begins(reply, "WRONGPASS") || begins(reply, "NOPERM") ||
                begins(reply, "MOVED") || begins(reply, "ERR AUTH") ||
                begins(reply, "ERR DB index") || begins(reply, "ERR invalid DB");
    return EFX_FAIL(err, EFX_EIO, user ? EFX_KIND_USER : EFX_KIND_ENV, 0, "%s: %.180s", pool->where,
                    reply->str);
}

/* ---- pool ---------------------------------------------------------------------------------- */

static enum efx_rc take_ok(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    (void)i;
    return reply->type == REDIS_REPLY_STATUS ? EFX_OK : efx_redis__failed(arg, reply, err);
}

/* Who we are, and which database. */
static enum efx_rc greet(struct efx_redis_pool *pool, struct efx_redis_link *link,
                         uint64_t deadline_ns, struct efx_err *err)
{
    const struct efx_stores_conf *c = pool->conf;
    struct efx_redis_out out = {.mem = pool->mem};
    if (c->password != NULL) {
        efx_redis__cmd(&out, "AUTH", c->user != NULL ? 2 : 1);
        if (c->user != NULL) {
            efx_redis__arg_z(&out, c->user);
        }
        efx_redis__arg_z(&out, c->password);
    }
    if (c->db != 0) {
        efx_redis__cmd(&out, "SELECT", 1);
        efx_redis__arg_u64(&out, (uint64_t)c->db);
    }
    enum efx_rc rc = EFX_OK;
    if (out.n_commands > 0) {
        rc = efx_redis__exchange(pool, link, &out, deadline_ns, take_ok, pool, err);
    }
    efx_redis__out_fini(&out);
    return rc;
}

static enum efx_rc link_open(struct efx_redis_pool *pool, struct efx_redis_link *link,
                             uint64_t deadline_ns, struct efx_err *err)
{
    EFX_RET(efx_redis__connect(pool, link, deadline_ns, err));
    link->reader = redisReaderCreate();
    if (link->room == NULL) {
        link->room = pool->mem->alloc(pool->mem, ROOM_BYTES);
    }
    if (link->reader == NULL || link->room == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a connection");
    }
    if (pool->tls != NULL) {
        EFX_RET(efx_redis__tls_begin(pool, link, deadline_ns, err));
    }
    return greet(pool, link, deadline_ns, err);
}

/* Nobody speaks to us unasked: what is there to read is the end. */
static bool still_there(struct efx_redis_link *link)
{
    char c;
    if (link->ssl != NULL) {
        return efx_redis__tls_recv(link, &c, 1) == 0;
    }
    return recv(link->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void note(struct efx_redis_pool *pool, bool ok)
{
    struct sync *s = pool->sync;
    EFX_ASSERT(pthread_mutex_lock(&s->lock) == 0);
    if (ok) {
        pool->n_failures = 0;
        pool->retry_at_ns = 0;
    } else {
        uint32_t times = pool->n_failures < 4 ? pool->n_failures : 4;
        uint64_t most = (uint64_t)RETRY_FIRST_MS << times;
        most = (most < RETRY_MAX_MS ? most : RETRY_MAX_MS) * 1000000;
        uint64_t jitter = pool->world->dice->random(pool->world) % (most / 2);
        pool->n_failures++;
        pool->retry_at_ns = now_ns(pool) + most / 2 + jitter;
    }
    EFX_ASSERT(pthread_mutex_unlock(&s->lock) == 0);
}

/* One attempt, not sooner than the back-off wants it. */
static enum efx_rc reconnect(struct efx_redis_pool *pool, struct efx_redis_link *link,
                             uint64_t deadline_ns, struct efx_err *err)
{
    struct sync *s = pool->sync;
    EFX_ASSERT(pthread_mutex_lock(&s->lock) == 0);
    uint64_t from_ns = pool->retry_at_ns;
    EFX_ASSERT(pthread_mutex_unlock(&s->lock) == 0);
    uint64_t now = now_ns(pool);
    if (from_ns > now) {
        uint64_t until_ns = from_ns < deadline_ns ? from_ns : deadline_ns;
        pool->world->clock->sleep_ns(pool->world, until_ns > now ? until_ns - now : 0);
    }
    uint64_t most_ns = now_ns(pool) + (uint64_t)pool->conf->connect_ms * 1000000;
    enum efx_rc rc = link_open(pool, link, most_ns < deadline_ns ? most_ns : deadline_ns, err);
    note(pool, rc == EFX_OK);
    if (rc != EFX_OK) {
        efx_redis__drop(pool, link);
    }
    return rc;
}

/* A link of nobody's, best one that is connected; waits for one if all are busy. */
static enum efx_rc pick(struct efx_redis_pool *pool, uint64_t deadline_ns,
                        struct efx_redis_link **out, struct efx_err *err)
{
    struct sync *s = pool->sync;
    struct timespec until = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    struct efx_redis_link *found = NULL;
    int waited = 0;
    EFX_ASSERT(pthread_mutex_lock(&s->lock) == 0);
    for (;;) {
        for (uint32_t i = 0; i < pool->n_links; i++) {
            struct efx_redis_link *link = &pool->link[i];
            if (!link->busy && (found == NULL || (found->fd < 0 && link->fd >= 0))) {
                found = link;
            }
        }
        if (found != NULL || waited != 0) {
            break;
        }
        waited = pthread_cond_timedwait(&s->given, &s->lock, &until);
    }
    if (found != NULL) {
        found->busy = true;
    }
    EFX_ASSERT(pthread_mutex_unlock(&s->lock) == 0);
    *out = found;
    return found != NULL ? EFX_OK : broken(pool, "all connections are busy", err);
}

enum efx_rc efx_redis__get(struct efx_redis_pool *pool, uint64_t deadline_ns,
                           struct efx_redis_link **out, struct efx_err *err)
{
    struct efx_redis_link *link = NULL;
    EFX_RET(pick(pool, deadline_ns, &link, err));
    if (link->fd >= 0 && !still_there(link)) {
        efx_redis__drop(pool, link);
    }
    enum efx_rc rc = link->fd >= 0 ? EFX_OK : reconnect(pool, link, deadline_ns, err);
    if (rc != EFX_OK) {
        efx_redis__give(pool, link);
        return rc;
    }
    *out = link;
    return EFX_OK;
}

void efx_redis__give(struct efx_redis_pool *pool, struct efx_redis_link *link)
{
    struct sync *s = pool->sync;
    EFX_ASSERT(pthread_mutex_lock(&s->lock) == 0);
    link->busy = false;
    EFX_ASSERT(pthread_cond_signal(&s->given) == 0);
    EFX_ASSERT(pthread_mutex_unlock(&s->lock) == 0);
}

enum efx_rc efx_redis__pool_open(struct efx_redis_pool *pool, const struct efx_stores_conf *conf,
                                 uint32_t n_links, struct efx_err *err)
{
    pthread_condattr_t attr;
    struct sync *s = pool->mem->alloc(pool->mem, sizeof *s);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for connections");
    }
    EFX_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    EFX_ASSERT(pthread_condattr_init(&attr) == 0);
    EFX_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    EFX_ASSERT(pthread_cond_init(&s->given, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    pool->sync = s;
    pool->conf = conf;
    pool->deadline_ms = conf->deadline_ms;
    pool->n_links = n_links < EFX_REDIS_LINKS_MAX ? n_links : EFX_REDIS_LINKS_MAX;
    for (uint32_t i = 0; i < pool->n_links; i++) {
        pool->link[i].fd = -1;
    }
    (void)snprintf(pool->where, sizeof pool->where, "redis %.100s:%d", conf->host, (int)conf->port);
    enum efx_rc rc = conf->tls ? efx_redis__tls_open(&pool->tls, conf, pool->mem, err) : EFX_OK;
    if (rc != EFX_OK) {
        efx_redis__pool_close(pool);
    }
    return rc;
}

void efx_redis__pool_close(struct efx_redis_pool *pool)
{
    struct sync *s = pool->sync;
    for (uint32_t i = 0; i < pool->n_links; i++) {
        efx_redis__resolve_end(pool, &pool->link[i]);
        efx_redis__drop(pool, &pool->link[i]);
        if (pool->link[i].room != NULL) {
            pool->mem->free(pool->mem, pool->link[i].room, ROOM_BYTES);
        }
    }
    efx_redis__tls_close(&pool->tls, pool->mem);
    if (s != NULL) {
        (void)pthread_cond_destroy(&s->given);
        (void)pthread_mutex_destroy(&s->lock);
        pool->mem->free(pool->mem, s, sizeof *s);
    }
    pool->sync = NULL;
    pool->n_links = 0;
}
