/* Leases and epochs in Redis: scripts decide (redis_script.c), over a connection of their own. */
#include "redis.h"

#include "names.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEADLINE_MIN_MS = 1000 };

static struct efx_redis *redis_of(struct efx_coord *self)
{
    return &((struct efx_redis_coord *)self)->redis;
}

static uint64_t boot_ns(struct efx_coord *self)
{
    return self->world->clock->boottime_ns(self->world);
}

/* {status, epoch} or {status, epoch, term …} */
struct lease_answer {
    struct efx_lease *lease;
    bool with_term, bad;
};

static void take_lease(void *arg, const redisReply *array)
{
    struct lease_answer *a = arg;
    a->bad = array->elements < (a->with_term ? 3 : 2) ||
             !efx_redis__is_u64(array->element[1], &a->lease->epoch) ||
             (a->with_term && !efx_redis__is_u64(array->element[2], &a->lease->term));
}

/* A call that waits on a dead connection must leave time to renew over another: none takes longer
 * than half of the lease that is kept here. */
static void keep_pace(struct efx_redis *r, int64_t for_ms)
{
    int64_t ms = for_ms / 2 < DEADLINE_MIN_MS ? DEADLINE_MIN_MS : for_ms / 2;
    ms = ms < r->conf.deadline_ms ? ms : r->conf.deadline_ms;
    __atomic_store_n(&r->pool.deadline_ms, ms, __ATOMIC_RELAXED);
}

static enum efx_rc lease_run(struct efx_coord *self, struct efx_redis_eval *e,
                             struct lease_answer *a, int64_t for_ms, struct efx_err *err)
{
    keep_pace(redis_of(self), for_ms);
    uint64_t before_ns = boot_ns(self);
    enum efx_rc rc = efx_redis__eval_run(e, false, take_lease, a, err);
    if (a->bad) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s: lease '%s' is damaged",
                        redis_of(self)->pool.where, a->lease->name);
    }
    if (rc == EFX_OK) {
        a->lease->ends_ns = efx_state__ends_ns(before_ns, for_ms);
    }
    return rc;
}

static enum efx_rc take(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                        struct efx_bytes value, struct efx_err *err)
{
    struct efx_redis_eval e;
    struct lease_answer a = {.lease = lease, .with_term = true};
    EFX_RET(efx_state__check_lease(lease, for_ms, value, err));
    efx_redis__eval_begin(&e, redis_of(self), EFX_REDIS_TAKE);
    efx_redis__eval_key(&e, lease->name);
    efx_redis__eval_key(&e, "terms");
    efx_redis__eval_key(&e, "epoch");
    efx_redis__eval_key(&e, "leases");
    efx_redis__eval_z(&e, lease->name);
    efx_redis__eval_z(&e, lease->holder);
    efx_redis__eval_u64(&e, (uint64_t)for_ms);
    efx_redis__eval_bytes(&e, value);
    efx_redis__eval_u64(&e, lease->over);
    return lease_run(self, &e, &a, for_ms, err);
}

static void eval_held(struct efx_redis_eval *e, const struct efx_lease *lease)
{
    efx_redis__eval_z(e, lease->name);
    efx_redis__eval_z(e, lease->holder);
    efx_redis__eval_u64(e, lease->term);
}

static enum efx_rc renew(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                         struct efx_bytes value, struct efx_err *err)
{
    struct efx_redis_eval e;
    struct lease_answer a = {.lease = lease};
    EFX_RET(efx_state__check_lease(lease, for_ms, value, err));
    efx_redis__eval_begin(&e, redis_of(self), EFX_REDIS_RENEW);
    efx_redis__eval_key(&e, lease->name);
    efx_redis__eval_key(&e, "epoch");
    eval_held(&e, lease);
    efx_redis__eval_u64(&e, (uint64_t)for_ms);
    efx_redis__eval_bytes(&e, value);
    return lease_run(self, &e, &a, for_ms, err);
}

static enum efx_rc release(struct efx_coord *self, const struct efx_lease *lease,
                           struct efx_err *err)
{
    struct efx_redis_eval e;
    EFX_RET(efx_state__check_lease(lease, 1, (struct efx_bytes){NULL, 0}, err));
    efx_redis__eval_begin(&e, redis_of(self), EFX_REDIS_RELEASE);
    efx_redis__eval_key(&e, lease->name);
    efx_redis__eval_key(&e, "leases");
    eval_held(&e, lease);
    return efx_redis__eval_run(&e, false, NULL, NULL, err);
}

struct list_answer {
    struct efx_mem *mem;
    struct efx_writer *out;
    bool bad, no_memory;
};

static int by_name(const void *a, const void *b)
{
    const redisReply *const *x = a, *const *y = b;
    return strcmp((*x)->element[0]->str, (*y)->element[0]->str);
}

static bool is_held(const redisReply *r)
{
    struct efx_bytes b;
    bool ok = r->type == REDIS_REPLY_ARRAY && r->elements == 5;
    for (uint32_t i = 0; ok && i < 5; i++) {
        ok = efx_redis__is_bytes(r->element[i], &b);
    }
    return ok;
}

static void put_held(struct list_answer *a, const redisReply *r)
{
    struct efx_held held = {0};
    uint64_t left_ms = 0;
    a->bad = a->bad || !efx_redis__is_bytes(r->element[0], &held.name) ||
             !efx_redis__is_bytes(r->element[1], &held.holder) ||
             !efx_redis__is_bytes(r->element[2], &held.value) ||
             !efx_redis__is_u64(r->element[3], &held.term) ||
             !efx_redis__is_u64(r->element[4], &left_ms);
    held.left_ms = left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
    efx_held_put(a->out, &held);
}

static void take_list(void *arg, const redisReply *array)
{
    struct list_answer *a = arg;
    size_t n = array->elements - 1;
    const redisReply **sorted = n == 0 ? NULL : a->mem->alloc(a->mem, n * sizeof *sorted);
    a->no_memory = n > 0 && sorted == NULL;
    for (size_t i = 0; sorted != NULL && i < n; i++) {
        sorted[i] = array->element[i + 1];
        a->bad = a->bad || !is_held(sorted[i]);
    }
    if (sorted != NULL && !a->bad) {
        qsort(sorted, n, sizeof *sorted, by_name);
        for (size_t i = 0; i < n; i++) {
            put_held(a, sorted[i]);
        }
    }
    if (sorted != NULL) {
        a->mem->free(a->mem, sorted, n * sizeof *sorted);
    }
}

static enum efx_rc list(struct efx_coord *self, const char *prefix, struct efx_writer *out,
                        struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_eval e;
    struct list_answer a = {.mem = self->mem, .out = out};
    size_t at = out->n;
    efx_redis__eval_begin(&e, r, EFX_REDIS_LIST);
    efx_redis__eval_key(&e, "leases");
    efx_redis__eval_z(&e, r->base);
    efx_redis__eval_z(&e, prefix);
    enum efx_rc rc = efx_redis__eval_run(&e, false, take_list, &a, err);
    if (rc == EFX_OK && a.no_memory) {
        rc = EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for the leases");
    } else if (rc == EFX_OK && a.bad) {
        rc = EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s: a lease is damaged", r->pool.where);
    } else if (rc == EFX_OK && out->full) {
        rc = EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0, "the leases do not fit in %zu bytes",
                      out->max - at);
    }
    out->n = rc == EFX_OK ? out->n : at;
    return rc;
}

struct record_answer {
    const struct efx_redis *redis;
    uint64_t *epoch;
    struct efx_writer *out;
};

static enum efx_rc take_record(void *arg, uint32_t i, const redisReply *reply, struct efx_err *err)
{
    struct record_answer *a = arg;
    struct efx_bytes b;
    uint64_t epoch;
    (void)i;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return efx_redis__failed(&a->redis->pool, reply, err);
    }
    if (reply->element[0]->type == REDIS_REPLY_NIL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "nothing was founded here");
    }
    if (!efx_redis__is_u64(reply->element[0], &epoch) ||
        !efx_redis__is_bytes(reply->element[1], &b)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "%s: the epoch's record is damaged",
                        a->redis->pool.where);
    }
    if (b.n > a->out->max - a->out->n) {
        return efx_state__no_room(a->out, b.n, err);
    }
    *a->epoch = epoch;
    efx_put_raw(a->out, b.p, b.n);
    return EFX_OK;
}

static enum efx_rc get_record(struct efx_coord *self, uint64_t *epoch, struct efx_writer *out,
                              struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_out ask = {.mem = self->mem};
    struct record_answer a = {.redis = r, .epoch = epoch, .out = out};
    char key[EFX_REDIS_KEY_MAX];
    efx_redis__key(r, "epoch", key);
    efx_redis__cmd(&ask, "HMGET", 3);
    efx_redis__arg_z(&ask, key);
    efx_redis__arg_z(&ask, "no");
    efx_redis__arg_z(&ask, "record");
    enum efx_rc rc = efx_redis__call(r, &ask, false, take_record, &a, err);
    efx_redis__out_fini(&ask);
    return rc;
}

static enum efx_rc next_epoch(struct efx_coord *self, const struct efx_next *next,
                              struct efx_err *err)
{
    struct efx_redis *r = redis_of(self);
    struct efx_redis_eval e;
    EFX_RET(efx_state__check_next(next, err));
    efx_redis__eval_begin(&e, r, EFX_REDIS_NEXT);
    efx_redis__eval_key(&e, "epoch");
    efx_redis__eval_key(&e, "leader");
    efx_redis__eval_key(&e, "manifests");
    efx_redis__eval_key(&e, "leases");
    efx_redis__eval_u64(&e, next->from);
    efx_redis__eval_u64(&e, next->to);
    efx_redis__eval_no(&e, next->start);
    efx_redis__eval_z(&e, next->leader->holder);
    efx_redis__eval_u64(&e, next->leader->term);
    efx_redis__eval_bytes(&e, next->record);
    efx_redis__eval_u64(&e, next->n_alive_min);
    efx_redis__eval_z(&e, r->base);
    for (uint32_t i = 0; i < next->n_evicted; i++) {
        efx_redis__eval_z(&e, next->evicted[i]);
    }
    return efx_redis__eval_run(&e, true, NULL, NULL, err);
}

static enum efx_rc open_coord(struct efx_coord *self, const void *conf, struct efx_err *err)
{
    return efx_redis__open(redis_of(self), conf, 1, self->world, self->mem, err);
}

static void close_coord(struct efx_coord *self)
{
    efx_redis__close(redis_of(self));
}

const struct efx_coord_vt efx_coord__redis = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_coord_vt),
             .name = "redis",
             .help = "Leases and epochs in Redis, for all members of a cluster.",
             .conf = efx_state__options,
             .conf_bytes = sizeof(struct efx_stores_conf),
             .self_bytes = sizeof(struct efx_redis_coord)},
    .open = open_coord,
    .take = take,
    .renew = renew,
    .release = release,
    .list = list,
    .get_record = get_record,
    .next_epoch = next_epoch,
    .close = close_coord,
};
