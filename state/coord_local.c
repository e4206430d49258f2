/* The coordination's rules within one process; epoch and terms lie on the place's shelf too. */
#include "local.h"

#include "names.h"

#include <stdio.h>

static struct efx_local *enter(struct efx_coord *self)
{
    struct efx_local *l = ((struct efx_local_coord *)self)->place;
    EFX_ASSERT(pthread_mutex_lock(&l->lock) == 0);
    return l;
}

static enum efx_rc leave(struct efx_local *l, enum efx_rc rc)
{
    EFX_ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    return rc;
}

static void drop(struct efx_local *l, struct efx_local_lease *held)
{
    l->mem->free(l->mem, held->value, EFX_LEASE_VALUE_MAX);
    l->n_leases--;
    memmove(held, held + 1, (size_t)(&l->lease[l->n_leases] - held) * sizeof *held);
}

static void drop_ended(struct efx_local *l, uint64_t now_ns)
{
    for (uint32_t i = l->n_leases; i-- > 0;) {
        if (l->lease[i].ends_ns <= now_ns) {
            drop(l, &l->lease[i]);
        }
    }
}

/* A new entry at its place by name. */
static enum efx_rc add(struct efx_local *l, const char *name, struct efx_local_lease **out,
                       struct efx_err *err)
{
    if (l->n_leases == EFX_LOCAL_LEASES) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0, "there are %u leases already: no more",
                        l->n_leases);
    }
    uint8_t *value = l->mem->alloc(l->mem, EFX_LEASE_VALUE_MAX);
    if (value == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for lease '%s'", name);
    }
    uint32_t i = l->n_leases;
    for (; i > 0 && strcmp(l->lease[i - 1].name, name) > 0; i--) {
        l->lease[i] = l->lease[i - 1];
    }
    l->n_leases++;
    l->lease[i] = (struct efx_local_lease){.value = value};
    (void)snprintf(l->lease[i].name, sizeof l->lease[i].name, "%s", name);
    *out = &l->lease[i];
    return EFX_OK;
}

static void hold(struct efx_local_lease *held, int64_t for_ms, struct efx_bytes value,
                 uint64_t now_ns)
{
    held->ends_ns = now_ns + (uint64_t)for_ms * 1000000;
    held->n_value = (uint32_t)value.n;
    if (value.n > 0) {
        memcpy(held->value, value.p, value.n);
    }
}

static enum efx_rc take_held(struct efx_local *l, struct efx_lease *lease, int64_t for_ms,
                             struct efx_bytes value, struct efx_err *err)
{
    uint64_t now_ns = l->world->clock->boottime_ns(l->world);
    struct efx_local_lease *held = efx_local__lease(l, lease->name);
    if (held != NULL && strcmp(held->holder, lease->holder) == 0) {
        lease->term = held->term;
        hold(held, for_ms, value, now_ns);
        return EFX_OK;
    }
    if (held != NULL && (lease->over == 0 || held->term != lease->over)) {
        lease->term = held->term;
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "lease '%s' is held by %s in term %llu",
                        lease->name, held->holder, (unsigned long long)held->term);
    }
    EFX_RET(l->shelf->put_terms(l, l->terms + 1, err));
    l->terms++;
    if (held == NULL) {
        drop_ended(l, now_ns);
        EFX_RET(add(l, lease->name, &held, err));
    }
    held->term = l->terms;
    (void)snprintf(held->holder, sizeof held->holder, "%s", lease->holder);
    hold(held, for_ms, value, now_ns);
    lease->term = held->term;
    return EFX_OK;
}

static enum efx_rc take(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                        struct efx_bytes value, struct efx_err *err)
{
    EFX_RET(efx_state__check_lease(lease, for_ms, value, err));
    uint64_t before_ns = self->world->clock->boottime_ns(self->world);
    struct efx_local *l = enter(self);
    enum efx_rc rc = take_held(l, lease, for_ms, value, err);
    lease->epoch = l->epoch.no;
    if (rc == EFX_OK) {
        lease->ends_ns = efx_state__ends_ns(before_ns, for_ms);
    }
    return leave(l, rc);
}

static enum efx_rc renew(struct efx_coord *self, struct efx_lease *lease, int64_t for_ms,
                         struct efx_bytes value, struct efx_err *err)
{
    EFX_RET(efx_state__check_lease(lease, for_ms, value, err));
    uint64_t before_ns = self->world->clock->boottime_ns(self->world);
    struct efx_local *l = enter(self);
    enum efx_rc rc = efx_local__holds(l, lease, err);
    lease->epoch = l->epoch.no;
    if (rc == EFX_OK) {
        hold(efx_local__lease(l, lease->name), for_ms, value,
             l->world->clock->boottime_ns(l->world));
        lease->ends_ns = efx_state__ends_ns(before_ns, for_ms);
    }
    return leave(l, rc);
}

static enum efx_rc release(struct efx_coord *self, const struct efx_lease *lease,
                           struct efx_err *err)
{
    struct efx_local *l = enter(self);
    struct efx_local_lease *held = efx_local__lease(l, lease->name);
    (void)err;
    if (held != NULL && held->term == lease->term && strcmp(held->holder, lease->holder) == 0) {
        drop(l, held);
    }
    return leave(l, EFX_OK);
}

static enum efx_rc list(struct efx_coord *self, const char *prefix, struct efx_writer *out,
                        struct efx_err *err)
{
    struct efx_local *l = enter(self);
    uint64_t now_ns = l->world->clock->boottime_ns(l->world);
    size_t at = out->n, n_prefix = strlen(prefix);
    for (uint32_t i = 0; i < l->n_leases; i++) {
        const struct efx_local_lease *h = &l->lease[i];
        if (h->ends_ns > now_ns && strncmp(h->name, prefix, n_prefix) == 0) {
            efx_held_put(
                out, &(struct efx_held){.name = {(const uint8_t *)h->name, strlen(h->name)},
                                        .holder = {(const uint8_t *)h->holder, strlen(h->holder)},
                                        .value = {h->value, h->n_value},
                                        .term = h->term,
                                        .left_ms = (uint32_t)((h->ends_ns - now_ns) / 1000000)});
        }
    }
    enum efx_rc rc = EFX_OK;
    if (out->full) {
        out->n = at;
        rc = EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_BUG, 0, "the leases do not fit in %zu bytes",
                      out->max - at);
    }
    return leave(l, rc);
}

static enum efx_rc get_record(struct efx_coord *self, uint64_t *epoch, struct efx_writer *out,
                              struct efx_err *err)
{
    struct efx_local *l = enter(self);
    enum efx_rc rc = EFX_OK;
    if (l->epoch.no == 0) {
        rc = EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "nothing was founded here");
    } else if (l->epoch.record.n > out->max - out->n) {
        rc = efx_state__no_room(out, l->epoch.record.n, err);
    } else {
        *epoch = l->epoch.no;
        efx_put_raw(out, l->epoch.record.p, l->epoch.record.n);
    }
    return leave(l, rc);
}

static bool is_evicted(const struct efx_next *next, const char *lease)
{
    static const char member[] = "member:";
    if (strncmp(lease, member, sizeof member - 1) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < next->n_evicted; i++) {
        if (strcmp(lease + sizeof member - 1, next->evicted[i]) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t count_alive(struct efx_local *l, const struct efx_next *next)
{
    uint64_t now_ns = l->world->clock->boottime_ns(l->world);
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_leases; i++) {
        n += l->lease[i].ends_ns > now_ns && strncmp(l->lease[i].name, "member:", 7) == 0 &&
             !is_evicted(next, l->lease[i].name);
    }
    return n;
}

static bool was_done(const struct efx_epoch *now, const struct efx_next *next)
{
    return now->no == next->to && now->term == next->leader->term && now->start == next->start &&
           now->record.n == next->record.n &&
           (now->record.n == 0 || memcmp(now->record.p, next->record.p, now->record.n) == 0);
}

static enum efx_rc next_held(struct efx_local *l, const struct efx_next *next, struct efx_err *err)
{
    uint64_t newest = 0;
    if (was_done(&l->epoch, next)) {
        return EFX_OK;
    }
    if (l->epoch.no != next->from) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "the epoch is %llu, not %llu",
                        (unsigned long long)l->epoch.no, (unsigned long long)next->from);
    }
    EFX_RET(efx_local__holds(l, next->leader, err));
    EFX_RET(efx_local__newest(l, &newest, err));
    if (newest != next->start) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "the newest manifest is %llu, not %llu",
                        (unsigned long long)newest, (unsigned long long)next->start);
    }
    uint32_t n_alive = count_alive(l, next);
    if (n_alive < next->n_alive_min) {
        return EFX_FAIL(err, EFX_AGAIN, EFX_KIND_ENV, 0, "%u members are there, %u are needed",
                        n_alive, next->n_alive_min);
    }
    struct efx_epoch to = {next->to, next->start, next->leader->term, next->record};
    EFX_RET(efx_local__set_epoch(l, &to, true, err));
    for (uint32_t i = l->n_leases; i-- > 0;) {
        if (is_evicted(next, l->lease[i].name)) {
            drop(l, &l->lease[i]);
        }
    }
    return EFX_OK;
}

static enum efx_rc next_epoch(struct efx_coord *self, const struct efx_next *next,
                              struct efx_err *err)
{
    EFX_RET(efx_state__check_next(next, err));
    struct efx_local *l = enter(self);
    return leave(l, next_held(l, next, err));
}

static void close_coord(struct efx_coord *self)
{
    efx_local__unref(&((struct efx_local_coord *)self)->place);
}

static enum efx_rc open_memory(struct efx_coord *self, const void *conf, struct efx_err *err)
{
    struct efx_local_coord *c = (struct efx_local_coord *)self;
    (void)conf;
    return c->place != NULL ? EFX_OK : efx_memory__place(&c->place, self->world, self->mem, err);
}

static enum efx_rc open_dir(struct efx_coord *self, const void *conf, struct efx_err *err)
{
    struct efx_local_coord *c = (struct efx_local_coord *)self;
    return c->place != NULL ? EFX_OK : efx_dir__place(&c->place, conf, self->world, self->mem, err);
}

#define COORD(name_, help_, open_)                                                                 \
    {                                                                                              \
        .base = {.abi = EFX_ABI,                                                                   \
                 .vt_bytes = sizeof(struct efx_coord_vt),                                          \
                 .name = (name_),                                                                  \
                 .help = (help_),                                                                  \
                 .conf_bytes = sizeof(struct efx_stores_conf),                                     \
                 .self_bytes = sizeof(struct efx_local_coord)},                                    \
        .open = (open_), .take = take, .renew = renew, .release = release, .list = list,           \
        .get_record = get_record, .next_epoch = next_epoch, .close = close_coord                   \
    }

const struct efx_coord_vt efx_coord__memory =
    COORD("memory", "Leases and epoch of members within this process.", open_memory);
const struct efx_coord_vt efx_coord__dir =
    COORD("dir", "The epoch in a directory, whose lock keeps other processes out.", open_dir);
