#ifndef REDIS_PLACE_H
#define REDIS_PLACE_H

#include "redis_link.h"

/* What store and coord in Redis share: keys, scripts, and the one shape of a call.
 *
 *   key                              what                                      ends
 *   <prefix>{<cluster>/<app>}:
 *     identity                       32 hex digits                             never
 *     epoch                          hash no, start, term, record              never
 *     terms                          counter of takings                        never
 *     leader, member:<incarnation>   hash holder, term, value                  with the lease (PX)
 *     leases                         set of the names taken                    cleaned by list
 *     manifest:<no:20>               bytes                                     `ttl` after deletion
 *     manifests                      sorted <no:20>-<epoch:20>-<bytes:20>-<hash:32>
 *     chunk:<no:20>-<hash:32>        bytes                                     `ttl` after deletion
 *     chunks                         sorted <no:20>-<hash:32>
 *
 * What compares and writes is one script, sent by its hash, or whole to a server that has not seen
 * it. Redis's own clock ends leases. Numbers are compared as text of 20 digits: Lua's end at 2^53.
 *
 *   Threads  store and coord have a place each, so one never waits for the other's connection
 */
enum efx_redis_script {
    EFX_REDIS_IDENTITY = 1,
    EFX_REDIS_COMMIT,
    EFX_REDIS_DEL_CHUNK,
    EFX_REDIS_DEL_MANIFEST,
    EFX_REDIS_TAKE,
    EFX_REDIS_RENEW,
    EFX_REDIS_RELEASE,
    EFX_REDIS_LIST,
    EFX_REDIS_NEXT,
    EFX_REDIS_SCRIPTS,
};

enum { EFX_REDIS_BASE_MAX = 420, EFX_REDIS_KEY_MAX = EFX_REDIS_BASE_MAX + 128 };

struct efx_redis {
    struct efx_redis_pool pool;
    struct efx_stores_conf conf;   /* texts are the opener's, who outlives us */
    char base[EFX_REDIS_BASE_MAX]; /* <prefix>{<cluster>/<app>}: */
    char sha[EFX_REDIS_SCRIPTS][41];
};

enum efx_rc efx_redis__open(struct efx_redis *r, const struct efx_stores_conf *conf,
                            uint32_t n_links, struct efx_world *world, struct efx_mem *mem,
                            struct efx_err *err);
void efx_redis__close(struct efx_redis *r);
/* Refuses a server that throws keys away; warns of one that may forget. */
enum efx_rc efx_redis__check_durable(struct efx_redis *r, struct efx_err *err);

/* base + name. */
void efx_redis__key(const struct efx_redis *r, const char *name, char out[EFX_REDIS_KEY_MAX]);

/* All commands of `out`, on one connection, and if `written` and so configured: the replicas have
 * them, too. */
enum efx_rc efx_redis__call(struct efx_redis *r, struct efx_redis_out *out, bool written,
                            efx_redis_reply_fn *take, void *arg, struct efx_err *err);

/* A script's words: keys by name below the base, then arguments. */
enum { EFX_REDIS_KEYS_MAX = 6, EFX_REDIS_ARGS_MAX = 160, EFX_REDIS_TEXTS = 8 };
struct efx_redis_eval {
    struct efx_redis *redis;
    enum efx_redis_script script;
    uint32_t n_keys, n_args, n_texts;
    char key[EFX_REDIS_KEYS_MAX][EFX_REDIS_KEY_MAX];
    struct efx_bytes arg[EFX_REDIS_ARGS_MAX];
    char text[EFX_REDIS_TEXTS][24];
};
void efx_redis__eval_begin(struct efx_redis_eval *e, struct efx_redis *r,
                           enum efx_redis_script script);
void efx_redis__eval_key(struct efx_redis_eval *e, const char *name);
void efx_redis__eval_bytes(struct efx_redis_eval *e, struct efx_bytes arg);
void efx_redis__eval_z(struct efx_redis_eval *e, const char *arg);
void efx_redis__eval_u64(struct efx_redis_eval *e, uint64_t arg); /* as it is written */
void efx_redis__eval_no(struct efx_redis_eval *e, uint64_t no);   /* with 20 digits */
/* The script answered an array that begins with "ok", "stale", "again" or "absent"; its last word
 * is the sentence if it is not "ok". `take` gets the whole array, also of "stale"; may be NULL. */
enum efx_rc efx_redis__eval_run(struct efx_redis_eval *e, bool written,
                                void (*take)(void *arg, const redisReply *array), void *arg,
                                struct efx_err *err);

/* An answer that must be a string, as bytes. False: it is something else. */
bool efx_redis__is_bytes(const redisReply *reply, struct efx_bytes *out);
bool efx_redis__is_u64(const redisReply *reply, uint64_t *out);

extern const char *const efx_redis__script[EFX_REDIS_SCRIPTS];

#endif /* REDIS_PLACE_H */
