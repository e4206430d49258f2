#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "efx_stores.h"

#include <hiredis.h>

/* Connections to Redis, and what goes over them: commands written one after the other, answers in
 * the same order, each exchange within a deadline. hiredis reads the answers; sockets, deadlines
 * and TLS are ours, for it has no bounds on waiting and no TLS.
 *
 *   out     cmd SET k v │ cmd SET k v │ …   small words are copied, large ones stay where they are
 *   link    ──── all of it, as the socket takes it ────►
 *           ◄─── answers, taken as they come ───          so neither side fills up and waits
 *
 *   Owner    words that are large (WORD_COPIED) are borrowed until the exchange ends
 *   Errors   EFX_EIO and the link is closed: what was sent may have been done, or may yet be.
 *            EFX_EIO of kind USER: rights, password, certificate. An answer that is an error is
 *            the caller's: efx_redis__failed
 *   Threads  a link one; a pool any
 */
struct efx_redis_word {
    const uint8_t *p; /* NULL: in text, at off */
    size_t off, n;
};

struct efx_redis_out { /* zeroed, with mem, it is empty */
    struct efx_mem *mem;
    uint8_t *text;
    size_t n_text, max_text;
    struct efx_redis_word *word; /* [n_words] what is written, one after the other */
    uint32_t n_words, max_words;
    uint32_t n_commands;
    bool failed; /* no memory: exchange says so */
};

void efx_redis__cmd(struct efx_redis_out *out, const char *name, size_t n_args);
void efx_redis__arg(struct efx_redis_out *out, const void *p, size_t n);
void efx_redis__arg_z(struct efx_redis_out *out, const char *z);
void efx_redis__arg_u64(struct efx_redis_out *out, uint64_t v);
void efx_redis__out_reset(struct efx_redis_out *out);
void efx_redis__out_fini(struct efx_redis_out *out);

struct efx_redis_tls; /* redis_tls.h */
struct efx_redis_resolve;

struct efx_redis_link {
    int fd; /* -1: closed */
    void *ssl;
    redisReader *reader;
    struct efx_redis_resolve *resolve; /* of a name, while it takes longer than a deadline */
    uint8_t *room;                     /* what is read passes through here */
    bool busy;                         /* somebody has it */
};

/* The answer to command i; it is freed afterwards. Not EFX_OK: that is what the exchange answers,
 * once all have come. */
typedef enum efx_rc efx_redis_reply_fn(void *arg, uint32_t i, const redisReply *reply,
                                       struct efx_err *err);

enum { EFX_REDIS_LINKS_MAX = 64 };

struct efx_redis_pool {
    struct efx_world *world;
    struct efx_mem *mem;
    const struct efx_stores_conf *conf;
    struct efx_redis_tls *tls;
    char where[160];     /* "redis 127.0.0.1:6379", for messages */
    int64_t deadline_ms; /* of a call; atomic */
    void *sync;          /* lock and condition */
    uint32_t n_links;
    struct efx_redis_link link[EFX_REDIS_LINKS_MAX];
    uint64_t retry_at_ns; /* monotonic: no connecting before */
    uint32_t n_failures;  /* in a row */
};

enum efx_rc efx_redis__pool_open(struct efx_redis_pool *pool, const struct efx_stores_conf *conf,
                                 uint32_t n_links, struct efx_err *err);
void efx_redis__pool_close(struct efx_redis_pool *pool);

/* A connected link, until given back. deadline_ns is monotonic, as efx_redis__deadline says. */
enum efx_rc efx_redis__get(struct efx_redis_pool *pool, uint64_t deadline_ns,
                           struct efx_redis_link **out, struct efx_err *err);
void efx_redis__give(struct efx_redis_pool *pool, struct efx_redis_link *link);
uint64_t efx_redis__deadline(const struct efx_redis_pool *pool);

enum efx_rc efx_redis__exchange(struct efx_redis_pool *pool, struct efx_redis_link *link,
                                const struct efx_redis_out *out, uint64_t deadline_ns,
                                efx_redis_reply_fn *take, void *arg, struct efx_err *err);
void efx_redis__drop(struct efx_redis_pool *pool, struct efx_redis_link *link);

/* An answer that is an error, or not what was expected. */
enum efx_rc efx_redis__failed(const struct efx_redis_pool *pool, const redisReply *reply,
                              struct efx_err *err);

/* A socket that is connected, within the deadline. */
enum efx_rc efx_redis__connect(struct efx_redis_pool *pool, struct efx_redis_link *link,
                               uint64_t deadline_ns, struct efx_err *err);
void efx_redis__resolve_end(struct efx_redis_pool *pool, struct efx_redis_link *link);

/* Bytes, or 0: nothing goes now; -1: it ended or failed, errno says how. */
ssize_t efx_redis__recv(struct efx_redis_link *link, void *p, size_t n);
ssize_t efx_redis__send(struct efx_redis_link *link, const void *p, size_t n);
/* Until one of `events` or the deadline: EFX_EIO. */
enum efx_rc efx_redis__wait(struct efx_redis_pool *pool, struct efx_redis_link *link, short events,
                            uint64_t deadline_ns, const char *what, struct efx_err *err);

#endif /* REDIS_LINK_H */
