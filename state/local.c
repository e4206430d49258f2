/* The place behind stores of one process: its life, its leases, who may. */
#include "local.h"

#include "names.h"

enum efx_rc efx_local__begin(struct efx_local *l, struct efx_err *err)
{
    l->n_refs = 1;
    EFX_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    enum efx_rc rc = l->shelf->load(l, err);
    if (rc != EFX_OK) {
        efx_local__unref(&l);
    }
    return rc;
}

void efx_local__ref(struct efx_local *l)
{
    (void)__atomic_add_fetch(&l->n_refs, 1, __ATOMIC_RELAXED);
}

static void drop_lease(struct efx_local *l, uint32_t i)
{
    l->mem->free(l->mem, l->lease[i].value, EFX_LEASE_VALUE_MAX);
    l->n_leases--;
    memmove(&l->lease[i], &l->lease[i + 1], (l->n_leases - i) * sizeof l->lease[0]);
}

static void drop_record(struct efx_local *l)
{
    if (l->epoch.record.p != NULL) {
        l->mem->free(l->mem, (void *)(uintptr_t)l->epoch.record.p, l->epoch.record.n);
    }
    l->epoch = (struct efx_epoch){0};
}

void efx_local__forget(struct efx_local *l)
{
    while (l->n_leases > 0) {
        drop_lease(l, l->n_leases - 1);
    }
    drop_record(l);
    l->terms = 0;
}

void efx_local__unref(struct efx_local **place)
{
    struct efx_local *l = *place;
    *place = NULL;
    if (l == NULL || __atomic_sub_fetch(&l->n_refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    efx_local__forget(l);
    (void)pthread_mutex_destroy(&l->lock);
    l->shelf->close(l);
}

enum efx_rc efx_local__set_epoch(struct efx_local *l, const struct efx_epoch *epoch, bool save,
                                 struct efx_err *err)
{
    uint8_t *copy = NULL;
    size_t n = epoch->record.n;
    if (n > 0) {
        copy = l->mem->alloc(l->mem, n);
        if (copy == NULL) {
            return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0,
                            "no memory for an epoch's record of %zu bytes", n);
        }
        memcpy(copy, epoch->record.p, n);
    }
    enum efx_rc rc = save ? l->shelf->put_epoch(l, epoch, err) : EFX_OK;
    if (rc != EFX_OK) {
        if (copy != NULL) {
            l->mem->free(l->mem, copy, n);
        }
        return rc;
    }
    drop_record(l);
    l->epoch = (struct efx_epoch){epoch->no, epoch->start, epoch->term, {copy, n}};
    return EFX_OK;
}

struct efx_local_lease *efx_local__lease(struct efx_local *l, const char *name)
{
    uint64_t now_ns = l->world->clock->boottime_ns(l->world);
    for (uint32_t i = 0; i < l->n_leases; i++) {
        if (strcmp(l->lease[i].name, name) == 0) {
            return l->lease[i].ends_ns > now_ns ? &l->lease[i] : NULL;
        }
    }
    return NULL;
}

enum efx_rc efx_local__holds(struct efx_local *l, const struct efx_lease *lease,
                             struct efx_err *err)
{
    const struct efx_local_lease *held = efx_local__lease(l, lease->name);
    if (held == NULL) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "lease '%s' of term %llu has ended",
                        lease->name, (unsigned long long)lease->term);
    }
    if (held->term != lease->term || strcmp(held->holder, lease->holder) != 0) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                        "lease '%s' is held by %s in term %llu, not by %s in term %llu",
                        lease->name, held->holder, (unsigned long long)held->term, lease->holder,
                        (unsigned long long)lease->term);
    }
    return EFX_OK;
}

enum efx_rc efx_local__may(struct efx_local *l, const struct efx_by *by, struct efx_err *err)
{
    EFX_RET(efx_state__check_by(by, err));
    if (l->epoch.no != by->epoch) {
        return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0, "the epoch is %llu, not %llu",
                        (unsigned long long)l->epoch.no, (unsigned long long)by->epoch);
    }
    return efx_local__holds(l, by->leader, err);
}

enum efx_rc efx_local__newest(struct efx_local *l, uint64_t *no, struct efx_err *err)
{
    struct efx_manifest_info info;
    uint32_t n = 1;
    EFX_RET(l->shelf->list_manifests(l, 0, &info, &n, err));
    *no = n == 0 ? 0 : info.no;
    return EFX_OK;
}
