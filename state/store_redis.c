/* Checkpoints in Redis. Chunks go as they are, many in one command and several commands on their
 * way at once: with appendfsync always each costs one wait for the disk, whatever it carries. Their
 * names go into the index in the same action, so nothing is there that no list shows.
 */
#include "redis.h"

#include "names.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* One MSET, and one exchange within a deadline. */
    SET_BYTES = 2 * 1024 * 1024,
    EXCHANGE_BYTES = 16 * 1024 * 1024,
    EXCHANGE_CHUNKS = 1024,
    ENTRY_TEXT = 3 * (EFX_NO_TEXT + 1) + EFX_HASH_TEXT,
};

static struct efx_redis *redis_of(struct efx_store *self)
{
    return &((struct efx_redis_store *)self)->redis;
}

static void chunk_key(const struct efx_chunk_name *name, char out[EFX_CHUNK_TEXT + 7])
{
    memcpy(out, "chunk:", 6);
    efx_state__chunk_text(name, out + 6);
}

static void manifest_key(uint64_t no, char out[EFX_NO_TEXT + 10])
{
    memcpy(out, "manifest:", 9);
    efx_state__no_text(no, out + 9);
}

/* OK, QUEUED, or what EXEC did. */
static enum efx_rc take_done(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    (void)i;
    for (size_t k = 0; reply->type == REDIS_REPLY_ARRAY && k < reply->elements; k++) {
        EFX_RET(take_done(arg, i, reply->element[k], err));
    }
    return reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_INTEGER ||
                   reply->type == REDIS_REPLY_ARRAY
               ? EFX_OK
               : efx_redis__failed(arg, reply, err);
}

struct identity_answer {
    struct efx_hash *out;
    bool bad;
};

static void take_identity(void *arg, const redisReply *array)
{
    struct identity_answer *a = arg;
    struct efx_bytes b;
    if (array->elements == 2 && strcmp(array->element[0]->str, "absent") == 0) {
        return;
    }
    if (array->elements < 2 || !efx_redis__is_bytes(array->element[1], &b)) {
        a->bad = true;
    } else if (b.n > 0) {
        a->bad = !efx_state__hash_parse((const char *)b.p, b.n, a->out);
    }
}

static enum efx_rc identity(struct efx_store *self, const struct efx_hash *from,
                            const struct efx_hash *to, struct efx_hash *out, struct efx_err *err)
{
    struct efx_redis_eval e;
    struct identity_answer a = {.out = out};
    const struct efx_hash *const hash[] = {from, to};
    char text[2][EFX_HASH_TEXT + 1] = {"", ""};
    efx_redis__eval_begin(&e, redis_of(self), EFX_REDIS_IDENTITY);
    efx_redis__eval_key(&e, "identity");
    for (uint32_t i = 0; i < 2; i++) {
        if (hash[i] != NULL) {
            efx_state__hash_text(hash[i], text[i]);
        }
        efx_redis__eval_z(&e, text[i]);
    }
    enum efx_rc rc = efx_redis__eval_run(&e, to != NULL, take_identity, &a, err);
    return a.bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s: the identity is damaged",
                            redis_of(self)->pool.where)
                 : rc;
}

/* Names and chunks in one action, so that one wait for the disk does for both. */
static void cmd_group(struct efx_redis *r, struct efx_redis_out *out,
                      const struct efx_chunk_name *names, const struct efx_bytes *bytes, uint32_t n)
{
    char text[EFX_CHUNK_TEXT + 7], key[EFX_REDIS_KEY_MAX];
    efx_redis__cmd(out, "MULTI", 0);
    efx_redis__cmd(out, "ZADD", 1 + 2 * (size_t)n);
    efx_redis__key(r, "chunks", key);
    efx_redis__arg_z(out, key);
    for (uint32_t i = 0; i < n; i++) {
        efx_state__chunk_text(&names[i], text);
        efx_redis__arg_z(out, "0");
        efx_redis__arg_z(out, text);
    }
    efx_redis__cmd(out, "MSET", 2 * (size_t)n);
    for (uint32_t i = 0; i < n; i++) {
        chunk_key(&names[i], text);
        efx_redis__key(r, text, key);
        efx_redis__arg_z(out, key);
        efx_redis__arg(out, bytes[i].p, bytes[i].n);
    }
    efx_redis__cmd(out, "EXEC", 0);
}

static enum efx_rc put_some(struct efx_redis *r, const struct efx_chunk_name *names,
                            const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    struct efx_redis_out out = {.mem = r->pool.mem};
    for (uint32_t from = 0, to = 0; from < n; from = to) {
        size_t size = 0;
        while (to < n && (to == from || size + bytes[to].n <= SET_BYTES)) {
            size += bytes[to++].n;
        }
        cmd_group(r, &out, names + from, bytes + from, to - from);
    }
    enum efx_rc rc = efx_redis__call(r, &out, true, take_done, &r->pool, err);
    efx_redis__out_fini(&out);
    return rc;
}

static enum efx_rc put_chunks(struct efx_store *self, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    EFX_RET(efx_state__check_put(names, bytes, n, err));
    for (uint32_t from = 0, to = 0; from < n; from = to) {
        size_t size = 0;
        while (to < n && to - from < EXCHANGE_CHUNKS &&
               (to == from || size + bytes[to].n <= EXCHANGE_BYTES)) {
            size += bytes[to++].n;
        }
        EFX_RET(put_some(redis_of(self), names + from, bytes + from, to - from, err));
    }
    return EFX_OK;
}

/* Where bytes of an answer go. */
struct got {
    const struct efx_redis *redis;
    struct efx_writer *out;
    struct efx_manifest_info info; /* no 0: the index does not name it */
    uint32_t at;                   /* which answer has the bytes */
    bool absent;
};

static bool parse_entry(const redisReply *reply, struct efx_manifest_info *out)
{
    struct efx_bytes b;
    if (!efx_redis__is_bytes(reply, &b) || b.n != ENTRY_TEXT) {
        return false;
    }
    const char *p = (const char *)b.p;
    enum { NEXT = EFX_NO_TEXT + 1 };
    return efx_state__no_parse(p, EFX_NO_TEXT, &out->no) &&
           efx_state__no_parse(p + NEXT, EFX_NO_TEXT, &out->epoch) &&
           efx_state__no_parse(p + 2 * NEXT, EFX_NO_TEXT, &out->n_bytes) &&
           efx_state__hash_parse(p + 3 * NEXT, EFX_HASH_TEXT, &out->hash);
}

static enum efx_rc take_bytes(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    struct got *g = arg;
    struct efx_bytes b;
    if (i < g->at) { /* the index, first */
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements > 1 ||
            (reply->elements == 1 && !parse_entry(reply->element[0], &g->info))) {
            return efx_redis__failed(&g->redis->pool, reply, err);
        }
        return EFX_OK;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        g->absent = true;
        return EFX_OK;
    }
    if (!efx_redis__is_bytes(reply, &b)) {
        return efx_redis__failed(&g->redis->pool, reply, err);
    }
    if (b.n > g->out->max - g->out->n) {
        return efx_state__no_room(g->out, b.n, err);
    }
    efx_put_raw(g->out, b.p, b.n);
    return EFX_OK;
}

static void cmd_get(struct efx_redis *r, struct efx_redis_out *out, const char *name)
{
    char key[EFX_REDIS_KEY_MAX];
    efx_redis__cmd(out, "GET", 1);
    efx_redis__key(r, name, key);
    efx_redis__arg_z(out, key);
}

static enum efx_rc get_chunk(struct efx_store *self, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_out ask = {.mem = r->pool.mem};
    struct got g = {.redis = r, .out = out};
    char text[EFX_CHUNK_TEXT + 7];
    size_t at = out->n;
    chunk_key(name, text);
    cmd_get(r, &ask, text);
    enum efx_rc rc = efx_redis__call(r, &ask, false, take_bytes, &g, err);
    efx_redis__out_fini(&ask);
    if (rc == EFX_OK && g.absent) {
        return efx_state__absent_chunk(name, err);
    }
    if (rc == EFX_OK) {
        rc = efx_state__check_chunk(name, (struct efx_bytes){out->p + at, out->n - at}, err);
    }
    out->n = rc == EFX_OK ? out->n : at;
    return rc;
}

static enum efx_rc get_manifest(struct efx_store *self, uint64_t no, struct efx_writer *out,
                                struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_out ask = {.mem = r->pool.mem};
    struct got g = {.redis = r, .out = out, .at = 1};
    char text[EFX_NO_TEXT + 10], from[EFX_NO_TEXT + 4], to[EFX_NO_TEXT + 4];
    char key[EFX_REDIS_KEY_MAX];
    size_t at = out->n;
    manifest_key(no, text);
    (void)snprintf(from, sizeof from, "[%s-", text + 9);
    (void)snprintf(to, sizeof to, "(%s.", text + 9);
    efx_redis__key(r, "manifests", key);
    efx_redis__cmd(&ask, "ZRANGEBYLEX", 3);
    efx_redis__arg_z(&ask, key);
    efx_redis__arg_z(&ask, from);
    efx_redis__arg_z(&ask, to);
    cmd_get(r, &ask, text);
    enum efx_rc rc = efx_redis__call(r, &ask, false, take_bytes, &g, err);
    efx_redis__out_fini(&ask);
    if (rc == EFX_ELIMIT && g.info.no != 0 && g.info.n_bytes <= out->max - at) {
        rc = EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                      "manifest %llu is damaged: it is longer than what was stored",
                      (unsigned long long)no);
    }
    if (rc == EFX_OK && g.info.no == 0) {
        rc = efx_state__absent_manifest(no, err);
    } else if (rc == EFX_OK && g.absent) {
        rc = EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                      "manifest %llu is damaged: it is listed, but its bytes are gone",
                      (unsigned long long)no);
    } else if (rc == EFX_OK) {
        rc = efx_state__check_manifest(&g.info, (struct efx_bytes){out->p + at, out->n - at}, err);
    }
    out->n = rc == EFX_OK ? out->n : at;
    return rc;
}

struct listed {
    const struct efx_redis *redis;
    struct efx_chunk_name *chunks;
    struct efx_manifest_info *manifests;
    uint32_t n, max;
};

static enum efx_rc take_list(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    struct listed *l = arg;
    (void)i;
    if (reply->type != REDIS_REPLY_ARRAY) {
        return efx_redis__failed(&l->redis->pool, reply, err);
    }
    for (size_t k = 0; k < reply->elements && l->n < l->max; k++, l->n++) {
        struct efx_bytes b = {0};
        bool ok = l->chunks != NULL
                      ? efx_redis__is_bytes(reply->element[k], &b) &&
                            efx_state__chunk_parse((const char *)b.p, b.n, &l->chunks[l->n])
                      : parse_entry(reply->element[k], &l->manifests[l->n]);
        if (!ok) {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                            "%s: the list of %s has an entry that is none", l->redis->pool.where,
                            l->chunks != NULL ? "chunks" : "manifests");
        }
    }
    return EFX_OK;
}

static enum efx_rc list_range(struct efx_redis *r, const char *cmd, const char *from,
                              const char *to, struct listed *l, struct efx_err *err)
{
    struct efx_redis_out ask = {.mem = r->pool.mem};
    char key[EFX_REDIS_KEY_MAX];
    efx_redis__key(r, l->chunks != NULL ? "chunks" : "manifests", key);
    efx_redis__cmd(&ask, cmd, 6);
    efx_redis__arg_z(&ask, key);
    efx_redis__arg_z(&ask, from);
    efx_redis__arg_z(&ask, to);
    efx_redis__arg_z(&ask, "LIMIT");
    efx_redis__arg_z(&ask, "0");
    efx_redis__arg_u64(&ask, l->max);
    enum efx_rc rc = efx_redis__call(r, &ask, false, take_list, l, err);
    efx_redis__out_fini(&ask);
    return rc;
}

static enum efx_rc list_chunks(struct efx_store *self, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct listed l = {.redis = redis_of(self), .chunks = out};
    char from[EFX_CHUNK_TEXT + 2] = "-";
    l.max = *n < EFX_LIST_MAX ? *n : EFX_LIST_MAX;
    if (after != NULL) {
        from[0] = '(';
        efx_state__chunk_text(after, from + 1);
    }
    *n = 0;
    EFX_RET(l.max == 0 ? EFX_OK : list_range(redis_of(self), "ZRANGEBYLEX", from, "+", &l, err));
    *n = l.n;
    return EFX_OK;
}

static enum efx_rc list_manifests(struct efx_store *self, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct listed l = {.redis = redis_of(self), .manifests = out};
    char from[EFX_NO_TEXT + 2] = "+";
    l.max = *n < EFX_LIST_MAX ? *n : EFX_LIST_MAX;
    if (before != 0) {
        from[0] = '(';
        efx_state__no_text(before, from + 1);
    }
    *n = 0;
    EFX_RET(l.max == 0 ? EFX_OK : list_range(redis_of(self), "ZREVRANGEBYLEX", from, "-", &l, err));
    *n = l.n;
    return EFX_OK;
}

static void eval_by(struct efx_redis_eval *e, const struct efx_by *by)
{
    efx_redis__eval_u64(e, by->epoch);
    efx_redis__eval_z(e, by->leader->holder);
    efx_redis__eval_u64(e, by->leader->term);
}

static enum efx_rc commit_manifest(struct efx_store *self, const struct efx_commit *c,
                                   struct efx_err *err)
{
    struct efx_redis_eval e;
    struct efx_hash hash = efx_state__hash(c->manifest);
    char key[EFX_NO_TEXT + 10], entry[ENTRY_TEXT + 1], text[EFX_HASH_TEXT + 1];
    EFX_RET(efx_state__check_commit(c, err));
    manifest_key(c->no, key);
    efx_state__hash_text(&hash, text);
    (void)snprintf(entry, sizeof entry, "%020llu-%020llu-%020llu-%s", (unsigned long long)c->no,
                   (unsigned long long)c->by.epoch, (unsigned long long)c->manifest.n, text);
    efx_redis__eval_begin(&e, redis_of(self), EFX_REDIS_COMMIT);
    efx_redis__eval_key(&e, "epoch");
    efx_redis__eval_key(&e, "leader");
    efx_redis__eval_key(&e, "manifests");
    efx_redis__eval_key(&e, key);
    eval_by(&e, &c->by);
    efx_redis__eval_no(&e, c->last);
    efx_redis__eval_no(&e, c->no);
    efx_redis__eval_z(&e, entry);
    efx_redis__eval_bytes(&e, c->manifest);
    return efx_redis__eval_run(&e, true, NULL, NULL, err);
}

static enum efx_rc del_chunk(struct efx_store *self, const struct efx_by *by,
                             const struct efx_chunk_name *name, struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_eval e;
    char key[EFX_CHUNK_TEXT + 7];
    EFX_RET(efx_state__check_by(by, err));
    chunk_key(name, key);
    efx_redis__eval_begin(&e, r, EFX_REDIS_DEL_CHUNK);
    efx_redis__eval_key(&e, "epoch");
    efx_redis__eval_key(&e, "leader");
    efx_redis__eval_key(&e, "manifests");
    efx_redis__eval_key(&e, "chunks");
    efx_redis__eval_key(&e, key);
    eval_by(&e, by);
    efx_redis__eval_no(&e, name->no);
    efx_redis__eval_z(&e, key + 6);
    efx_redis__eval_u64(&e, (uint64_t)r->conf.ttl);
    return efx_redis__eval_run(&e, false, NULL, NULL, err);
}

static enum efx_rc del_manifest(struct efx_store *self, const struct efx_by *by, uint64_t no,
                                struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_eval e;
    char key[EFX_NO_TEXT + 10];
    EFX_RET(efx_state__check_by(by, err));
    manifest_key(no, key);
    efx_redis__eval_begin(&e, r, EFX_REDIS_DEL_MANIFEST);
    efx_redis__eval_key(&e, "epoch");
    efx_redis__eval_key(&e, "leader");
    efx_redis__eval_key(&e, "manifests");
    efx_redis__eval_key(&e, key);
    eval_by(&e, by);
    efx_redis__eval_no(&e, no);
    efx_redis__eval_u64(&e, (uint64_t)r->conf.ttl);
    return efx_redis__eval_run(&e, true, NULL, NULL, err);
}

static enum efx_rc open_store(struct efx_store *self, const void *conf, struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    const struct efx_stores_conf *c = conf;
    EFX_RET(efx_redis__open(r, c, (uint32_t)c->connections, self->world, self->mem, err));
    enum efx_rc rc = efx_redis__check_durable(r, err);
    if (rc != EFX_OK) {
        efx_redis__close(r);
    }
    return rc;
}

static void close_store(struct efx_store *self)
{
    efx_redis__close(redis_of(self));
}

const struct efx_store_vt efx_store__redis = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_store_vt),
             .name = "redis",
             .help = "Keeps checkpoints in Redis, for all members of a cluster.",
             .conf = efx_state__options,
             .conf_bytes = sizeof(struct efx_stores_conf),
             .self_bytes = sizeof(struct efx_redis_store)},
    .open = open_store,
    .identity = identity,
    .put_chunks = put_chunks,
    .get_chunk = get_chunk,
    .list_chunks = list_chunks,
    .del_chunk = del_chunk,
    .commit_manifest = commit_manifest,
    .get_manifest = get_manifest,
    .list_manifests = list_manifests,
    .del_manifest = del_manifest,
    .close = close_store,
};
