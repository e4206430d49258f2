/* Store and coord by one address: made, opened, closed together. */
#include "efx_stores.h"

#include "local.h"
#include "redis.h"
#include "url.h"

enum { TEXT_BYTES_MAX = 256 * 1024 };

static void *instance(struct efx_mem *mem, const struct efx_plugin *base, struct efx_err *err)
{
    void *p = mem->alloc(mem, base->self_bytes);
    if (p == NULL) {
        (void)EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a store");
        return NULL;
    }
    return memset(p, 0, base->self_bytes);
}

static enum efx_rc create(struct efx_stores **out, struct efx_world *world, struct efx_mem *mem,
                          struct efx_err *err)
{
    struct efx_stores *s = mem->alloc(mem, sizeof *s);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a store");
    }
    *s = (struct efx_stores){.world = world, .mem = mem};
    efx_arena_init(&s->arena, mem, TEXT_BYTES_MAX);
    *out = s;
    return EFX_OK;
}

void efx_stores_close(struct efx_stores **stores)
{
    struct efx_stores *s = *stores;
    *stores = NULL;
    if (s == NULL) {
        return;
    }
    if (s->coord != NULL) {
        s->coord->vt->close(s->coord);
        s->mem->free(s->mem, s->coord, s->coord->vt->base.self_bytes);
    }
    if (s->store != NULL) {
        s->store->vt->close(s->store);
        s->mem->free(s->mem, s->store, s->store->vt->base.self_bytes);
    }
    efx_arena_fini(&s->arena);
    s->mem->free(s->mem, s, sizeof *s);
}

static enum efx_rc open_store(struct efx_stores *s, const struct efx_store_vt *vt,
                              struct efx_local *place, const struct efx_stores_conf *conf,
                              struct efx_err *err)
{
    struct efx_store *store = instance(s->mem, &vt->base, err);
    if (store == NULL) {
        return EFX_ENOMEM;
    }
    *store = (struct efx_store){.vt = vt, .world = s->world, .mem = s->mem};
    if (place != NULL) {
        efx_local__ref(place);
        ((struct efx_local_store *)store)->place = place;
    }
    enum efx_rc rc = vt->open(store, conf, err);
    if (rc != EFX_OK) {
        s->mem->free(s->mem, store, vt->base.self_bytes);
        return rc;
    }
    s->store = store;
    return EFX_OK;
}

static enum efx_rc open_coord(struct efx_stores *s, const struct efx_coord_vt *vt,
                              struct efx_local *place, const struct efx_stores_conf *conf,
                              struct efx_err *err)
{
    struct efx_coord *coord = instance(s->mem, &vt->base, err);
    if (coord == NULL) {
        return EFX_ENOMEM;
    }
    *coord = (struct efx_coord){.vt = vt, .world = s->world, .mem = s->mem};
    if (place != NULL) {
        efx_local__ref(place);
        ((struct efx_local_coord *)coord)->place = place;
    }
    enum efx_rc rc = vt->open(coord, conf, err);
    if (rc != EFX_OK) {
        s->mem->free(s->mem, coord, vt->base.self_bytes);
        return rc;
    }
    s->coord = coord;
    return EFX_OK;
}

static enum efx_rc open_both(struct efx_stores *s, enum efx_scheme scheme,
                             const struct efx_stores_conf *conf, struct efx_err *err)
{
    static const struct {
        const struct efx_store_vt *store;
        const struct efx_coord_vt *coord;
        bool local;
    } kind[] = {
        [EFX_SCHEME_MEMORY] = {&efx_store__memory, &efx_coord__memory, true},
        [EFX_SCHEME_DIR] = {&efx_store__dir, &efx_coord__dir, true},
        [EFX_SCHEME_REDIS] = {&efx_store__redis, &efx_coord__redis, false},
    };
    EFX_RET(open_store(s, kind[scheme].store, NULL, conf, err));
    struct efx_local *place =
        kind[scheme].local ? ((struct efx_local_store *)s->store)->place : NULL;
    return open_coord(s, kind[scheme].coord, place, conf, err);
}

/* The caller's texts need not outlive the call. */
static enum efx_rc copy_texts(struct efx_stores *s, struct efx_stores_conf *conf,
                              struct efx_err *err)
{
    const char **const text[] = {&conf->cluster, &conf->app,     &conf->prefix, &conf->ca,
                                 &conf->cert,    &conf->key,     &conf->path,   &conf->host,
                                 &conf->user,    &conf->password};
    for (uint32_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        if (*text[i] != NULL) {
            *text[i] = efx_arena_str(&s->arena, *text[i], strlen(*text[i]));
            if (*text[i] == NULL) {
                return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0,
                                "the store's settings are longer than %d bytes", TEXT_BYTES_MAX);
            }
        }
    }
    return EFX_OK;
}

enum efx_rc efx_stores_open(struct efx_stores **out, const char *url,
                            const struct efx_stores_conf *conf, struct efx_world *world,
                            struct efx_err *err)
{
    struct efx_stores *s = NULL;
    struct efx_stores_conf whole = conf != NULL ? *conf : (struct efx_stores_conf){0};
    enum efx_scheme scheme = 0;
    EFX_RET(create(&s, world, &efx_mem_libc, err));
    enum efx_rc rc = copy_texts(s, &whole, err);
    if (rc == EFX_OK) {
        rc = efx_state__url_parse(url, &whole, &s->arena, &scheme, err);
    }
    if (rc == EFX_OK) {
        rc = open_both(s, scheme, &whole, err);
    }
    if (rc != EFX_OK) {
        efx_stores_close(&s);
        return rc;
    }
    *out = s;
    return EFX_OK;
}

enum efx_rc efx_memory_place_open(struct efx_local *place, struct efx_stores **out,
                                  struct efx_world *world, struct efx_err *err)
{
    struct efx_stores *s = NULL;
    EFX_RET(create(&s, world, place->mem, err));
    enum efx_rc rc = open_store(s, &efx_store__memory, place, NULL, err);
    if (rc == EFX_OK) {
        rc = open_coord(s, &efx_coord__memory, place, NULL, err);
    }
    if (rc != EFX_OK) {
        efx_stores_close(&s);
        return rc;
    }
    *out = s;
    return EFX_OK;
}
