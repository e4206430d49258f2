/* Keys, calls and scripts of a place in Redis, and what it must be like. */
#include "redis_place.h"

#include "names.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum efx_rc efx_redis__open(struct efx_redis *r, const struct efx_stores_conf *conf,
                            uint32_t n_links, struct efx_world *world, struct efx_mem *mem,
                            struct efx_err *err)
{
    r->conf = *conf;
    r->pool.world = world;
    r->pool.mem = mem;
    (void)snprintf(r->base, sizeof r->base, "%s{%s/%s}:", conf->prefix, conf->cluster, conf->app);
    for (int i = 1; i < EFX_REDIS_SCRIPTS; i++) {
        uint8_t digest[EVP_MAX_MD_SIZE];
        const char *text = efx_redis__script[i];
        EFX_ASSERT(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL) == 1);
        for (int k = 0; k < 20; k++) {
            (void)snprintf(r->sha[i] + 2 * k, 3, "%02x", digest[k]);
        }
    }
    return efx_redis__pool_open(&r->pool, &r->conf, n_links, err);
}

void efx_redis__close(struct efx_redis *r)
{
    efx_redis__pool_close(&r->pool);
}

void efx_redis__key(const struct efx_redis *r, const char *name, char out[EFX_REDIS_KEY_MAX])
{
    (void)snprintf(out, EFX_REDIS_KEY_MAX, "%s%s", r->base, name);
}

bool efx_redis__is_bytes(const redisReply *reply, struct efx_bytes *out)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) {
        return false;
    }
    *out = (struct efx_bytes){(const uint8_t *)reply->str, reply->len};
    return true;
}

bool efx_redis__is_u64(const redisReply *reply, uint64_t *out)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0 || reply->len > EFX_NO_TEXT) {
        return false;
    }
    char text[EFX_NO_TEXT + 1];
    (void)snprintf(text, sizeof text, "%0*d", EFX_NO_TEXT - (int)reply->len, 0);
    memcpy(text + EFX_NO_TEXT - reply->len, reply->str, reply->len);
    return efx_state__no_parse(text, EFX_NO_TEXT, out);
}

/* ---- calls --------------------------------------------------------------------------------- */

static enum efx_rc take_wait(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    const struct efx_redis *r = arg;
    (void)i;
    if (reply->type != REDIS_REPLY_INTEGER) {
        return efx_redis__failed(&r->pool, reply, err);
    }
    if (reply->integer < r->conf.replicas) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0,
                        "%s: %lld of %lld replicas have it, the others did not answer in time",
                        r->pool.where, reply->integer, (long long)r->conf.replicas);
    }
    return EFX_OK;
}

/* Replicas have what this connection wrote. */
static enum efx_rc wait_replicas(struct efx_redis *r, struct efx_redis_link *link,
                                 uint64_t deadline_ns, struct efx_err *err)
{
    struct efx_redis_out out = {.mem = r->pool.mem};
    uint64_t now_ns = r->pool.world->clock->monotonic_ns(r->pool.world);
    uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / 1000000 : 0;
    efx_redis__cmd(&out, "WAIT", 2);
    efx_redis__arg_u64(&out, (uint64_t)r->conf.replicas);
    efx_redis__arg_u64(&out, left_ms > 20 ? left_ms - left_ms / 10 : 1); /* its answer in time */
    enum efx_rc rc = efx_redis__exchange(&r->pool, link, &out, deadline_ns, take_wait, r, err);
    efx_redis__out_fini(&out);
    return rc;
}

enum efx_rc efx_redis__call(struct efx_redis *r, struct efx_redis_out *out, bool written,
                            efx_redis_reply_fn *take, void *arg, struct efx_err *err)
{
    struct efx_redis_link *link = NULL;
    uint64_t deadline_ns = efx_redis__deadline(&r->pool);
    EFX_RET(efx_redis__get(&r->pool, deadline_ns, &link, err));
    enum efx_rc rc = efx_redis__exchange(&r->pool, link, out, deadline_ns, take, arg, err);
    if (rc == EFX_OK && written && r->conf.replicas > 0) {
        rc = wait_replicas(r, link, deadline_ns, err);
    }
    efx_redis__give(&r->pool, link);
    return rc;
}

/* ---- scripts ------------------------------------------------------------------------------- */

void efx_redis__eval_begin(struct efx_redis_eval *e, struct efx_redis *r,
                           enum efx_redis_script script)
{
    e->redis = r;
    e->script = script;
    e->n_keys = e->n_args = e->n_texts = 0;
}

void efx_redis__eval_key(struct efx_redis_eval *e, const char *name)
{
    EFX_ASSERT(e->n_keys < EFX_REDIS_KEYS_MAX);
    efx_redis__key(e->redis, name, e->key[e->n_keys++]);
}

void efx_redis__eval_bytes(struct efx_redis_eval *e, struct efx_bytes arg)
{
    EFX_ASSERT(e->n_args < EFX_REDIS_ARGS_MAX);
    e->arg[e->n_args++] = arg;
}

void efx_redis__eval_z(struct efx_redis_eval *e, const char *arg)
{
    efx_redis__eval_bytes(e, (struct efx_bytes){(const uint8_t *)arg, strlen(arg)});
}

void efx_redis__eval_u64(struct efx_redis_eval *e, uint64_t arg)
{
    EFX_ASSERT(e->n_texts < EFX_REDIS_TEXTS);
    char *text = e->text[e->n_texts++];
    (void)snprintf(text, sizeof e->text[0], "%llu", (unsigned long long)arg);
    efx_redis__eval_z(e, text);
}

void efx_redis__eval_no(struct efx_redis_eval *e, uint64_t no)
{
    EFX_ASSERT(e->n_texts < EFX_REDIS_TEXTS);
    char *text = e->text[e->n_texts++];
    efx_state__no_text(no, text);
    efx_redis__eval_z(e, text);
}

static void eval_words(const struct efx_redis_eval *e, bool whole, struct efx_redis_out *out)
{
    efx_redis__cmd(out, whole ? "EVAL" : "EVALSHA", 2 + e->n_keys + e->n_args);
    efx_redis__arg_z(out, whole ? efx_redis__script[e->script] : e->redis->sha[e->script]);
    efx_redis__arg_u64(out, e->n_keys);
    for (uint32_t i = 0; i < e->n_keys; i++) {
        efx_redis__arg_z(out, e->key[i]);
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        efx_redis__arg(out, e->arg[i].p, e->arg[i].n);
    }
}

struct answer {
    const struct efx_redis *redis;
    void (*take)(void *arg, const redisReply *array);
    void *arg;
    bool unknown; /* the server has not seen the script */
};

static enum efx_rc take_answer(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    static const struct {
        const char *word;
        enum efx_rc rc;
    } known[] = {
        {"ok", EFX_OK}, {"stale", EFX_ESTALE}, {"again", EFX_AGAIN}, {"absent", EFX_EABSENT}};
    struct answer *a = arg;
    (void)i;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        a->unknown = true;
        return EFX_OK;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
        reply->element[0]->type != REDIS_REPLY_STRING) {
        return efx_redis__failed(&a->redis->pool, reply, err);
    }
    for (uint32_t k = 0; k < 4; k++) {
        if (strcmp(reply->element[0]->str, known[k].word) == 0) {
            const redisReply *last = reply->element[reply->elements - 1];
            if (a->take != NULL) {
                a->take(a->arg, reply);
            }
            return known[k].rc == EFX_OK
                       ? EFX_OK
                       : EFX_FAIL(err, known[k].rc, EFX_KIND_ENV, 0, "%.200s",
                                  last->type == REDIS_REPLY_STRING ? last->str : known[k].word);
        }
    }
    return efx_redis__failed(&a->redis->pool, reply, err);
}

enum efx_rc efx_redis__eval_run(struct efx_redis_eval *e, bool written,
                                void (*take)(void *arg, const redisReply *array), void *arg,
                                struct efx_err *err)
{
    struct efx_redis *r = e->redis;
    struct efx_redis_out out = {.mem = r->pool.mem};
    struct answer a = {.redis = r, .take = take, .arg = arg};
    eval_words(e, false, &out);
    enum efx_rc rc = efx_redis__call(r, &out, written, take_answer, &a, err);
    if (rc == EFX_OK && a.unknown) {
        a.unknown = false;
        efx_redis__out_reset(&out);
        eval_words(e, true, &out);
        rc = efx_redis__call(r, &out, written, take_answer, &a, err);
        if (rc == EFX_OK && a.unknown) {
            rc = EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "%s: takes no scripts", r->pool.where);
        }
    }
    efx_redis__out_fini(&out);
    return rc;
}

/* ---- durability ---------------------------------------------------------------------------- */

struct settings {
    char policy[32], appendonly[8], appendfsync[16];
    bool config_refused;
};

static void copy_word(char *out, size_t n, const char *p)
{
    (void)snprintf(out, n, "%.*s", (int)strcspn(p, "\r\n"), p);
}

static void find_line(char *out, size_t n, const char *info, const char *name)
{
    const char *at = strstr(info, name);
    if (at != NULL) {
        copy_word(out, n, at + strlen(name));
    }
}

static enum efx_rc take_settings(void *arg, uint32_t i, const redisReply *reply,
                                 struct efx_err *err)
{
    struct settings *s = arg;
    (void)err;
    if (i < 2) { /* INFO memory, INFO persistence: what some rights do not show stays unknown */
        if (reply->type == REDIS_REPLY_STRING) {
            char aof[8] = "";
            find_line(s->policy, sizeof s->policy, reply->str, "maxmemory_policy:");
            find_line(aof, sizeof aof, reply->str, "aof_enabled:");
            if (aof[0] != '\0') {
                copy_word(s->appendonly, sizeof s->appendonly, aof[0] == '1' ? "yes" : "no");
            }
        }
        return EFX_OK;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        copy_word(s->appendfsync, sizeof s->appendfsync, reply->element[1]->str);
    }
    return EFX_OK;
}

static void warn(const struct efx_redis *r, const char *what)
{
    char line[400];
    if (r->conf.warn != NULL) {
        (void)snprintf(line, sizeof line, "%s: %s", r->pool.where, what);
        r->conf.warn(r->conf.warn_arg, line);
    }
}

enum efx_rc efx_redis__check_durable(struct efx_redis *r, struct efx_err *err)
{
    struct settings s = {0};
    struct efx_redis_out out = {.mem = r->pool.mem};
    static const char *const infos[] = {"memory", "persistence"};
    for (uint32_t i = 0; i < 2; i++) {
        efx_redis__cmd(&out, "INFO", 1);
        efx_redis__arg_z(&out, infos[i]);
    }
    efx_redis__cmd(&out, "CONFIG", 2);
    efx_redis__arg_z(&out, "GET");
    efx_redis__arg_z(&out, "appendfsync");
    enum efx_rc rc = efx_redis__call(r, &out, false, take_settings, &s, err);
    efx_redis__out_fini(&out);
    EFX_RET(rc);
    if (strncmp(s.policy, "allkeys-", 8) == 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_USER, 0,
                        "%s throws any key away when its memory is full (maxmemory-policy %s): "
                        "set it to noeviction",
                        r->pool.where, s.policy);
    }
    if (s.policy[0] == '\0') {
        warn(r, "does not show its maxmemory-policy: it must be noeviction, or state may vanish");
    }
    if (strcmp(s.appendonly, "no") == 0) {
        warn(r, "keeps no append-only file: if it crashes, checkpoints since its last snapshot are "
                "lost; set appendonly yes and appendfsync always");
    } else if (s.appendfsync[0] == '\0' || s.appendonly[0] == '\0') {
        warn(r, "does not show how it writes to disk: without appendonly yes and appendfsync "
                "always, checkpoints may be lost if it crashes");
    } else if (strcmp(s.appendfsync, "always") != 0) {
        char text[240];
        (void)snprintf(text, sizeof text,
                       "appendfsync is %s: if its machine crashes, checkpoints of the last %s are "
                       "lost; set it to always",
                       s.appendfsync, strcmp(s.appendfsync, "everysec") == 0 ? "second" : "minute");
        warn(r, text);
    }
    return EFX_OK;
}
