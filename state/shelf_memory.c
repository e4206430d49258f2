/* A shelf in memory: two sorted arrays of copies, chunks by (no, hash) and manifests by number.
 *
 *   Owner   everything is the place's, taken from its memory
 *   Limits  that memory's budget: EFX_ELIMIT, and what is there stays
 */
#include "local.h"

#include "names.h"

struct chunk {
    struct efx_chunk_name name;
    uint8_t *p; /* NULL if n is 0 */
    size_t n;
};

struct manifest {
    struct efx_manifest_info info;
    uint8_t *p;
};

struct memory {
    struct efx_local base;
    bool has_identity;
    struct efx_hash identity;
    struct chunk *chunk;
    uint32_t n_chunks, max_chunks;
    struct manifest *manifest;
    uint32_t n_manifests, max_manifests;
};

static enum efx_rc no_memory(size_t n, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                    "the store in memory has no room for %zu "
                    "bytes more",
                    n);
}

static enum efx_rc copy_of(struct memory *m, struct efx_bytes bytes, uint8_t **out,
                           struct efx_err *err)
{
    *out = NULL;
    if (bytes.n == 0) {
        return EFX_OK;
    }
    uint8_t *p = m->base.mem->alloc(m->base.mem, bytes.n);
    if (p == NULL) {
        return no_memory(bytes.n, err);
    }
    memcpy(p, bytes.p, bytes.n);
    *out = p;
    return EFX_OK;
}

static void drop_bytes(struct memory *m, uint8_t *p, size_t n)
{
    if (p != NULL) {
        m->base.mem->free(m->base.mem, p, n);
    }
}

/* Room for one entry more. */
static enum efx_rc grow(struct memory *m, void **array, uint32_t n, uint32_t *max,
                        size_t item_bytes, struct efx_err *err)
{
    if (n < *max) {
        return EFX_OK;
    }
    uint32_t more = *max == 0 ? 64 : *max * 2;
    void *p = efx_mem_grow(m->base.mem, *array, *max * item_bytes, more * item_bytes);
    if (p == NULL) {
        return no_memory(more * item_bytes, err);
    }
    *array = p;
    *max = more;
    return EFX_OK;
}

/* First entry that is not before `name`. */
static uint32_t chunk_at(const struct memory *m, const struct efx_chunk_name *name)
{
    uint32_t low = 0, high = m->n_chunks;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (efx_state__chunk_cmp(&m->chunk[mid].name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool is_chunk(const struct memory *m, uint32_t i, const struct efx_chunk_name *name)
{
    return i < m->n_chunks && efx_state__chunk_cmp(&m->chunk[i].name, name) == 0;
}

static uint32_t manifest_at(const struct memory *m, uint64_t no)
{
    uint32_t i = m->n_manifests;
    while (i > 0 && m->manifest[i - 1].info.no >= no) {
        i--;
    }
    return i;
}

static enum efx_rc load(struct efx_local *l, struct efx_err *err)
{
    (void)l;
    (void)err;
    return EFX_OK;
}

static enum efx_rc get_identity(struct efx_local *l, struct efx_hash *out, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    (void)err;
    if (!m->has_identity) {
        return EFX_EABSENT;
    }
    *out = m->identity;
    return EFX_OK;
}

static enum efx_rc put_identity(struct efx_local *l, const struct efx_hash *id, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    (void)err;
    m->has_identity = true;
    m->identity = *id;
    return EFX_OK;
}

static enum efx_rc put_terms(struct efx_local *l, uint64_t terms, struct efx_err *err)
{
    (void)l;
    (void)terms;
    (void)err;
    return EFX_OK; /* the place itself is what remembers */
}

static enum efx_rc put_epoch(struct efx_local *l, const struct efx_epoch *epoch,
                             struct efx_err *err)
{
    (void)l;
    (void)epoch;
    (void)err;
    return EFX_OK;
}

static enum efx_rc put_chunk(struct memory *m, const struct efx_chunk_name *name,
                             struct efx_bytes bytes, struct efx_err *err)
{
    uint32_t i = chunk_at(m, name);
    uint8_t *p = NULL;
    if (!is_chunk(m, i, name)) {
        EFX_RET(grow(m, (void **)&m->chunk, m->n_chunks, &m->max_chunks, sizeof *m->chunk, err));
    }
    EFX_RET(copy_of(m, bytes, &p, err));
    if (is_chunk(m, i, name)) {
        drop_bytes(m, m->chunk[i].p, m->chunk[i].n);
    } else {
        memmove(&m->chunk[i + 1], &m->chunk[i], (m->n_chunks - i) * sizeof *m->chunk);
        m->n_chunks++;
    }
    m->chunk[i] = (struct chunk){*name, p, bytes.n};
    return EFX_OK;
}

static enum efx_rc put_chunks(struct efx_local *l, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        EFX_RET(put_chunk((struct memory *)l, &names[i], bytes[i], err));
    }
    return EFX_OK;
}

static enum efx_rc give(struct efx_writer *out, const uint8_t *p, size_t n, struct efx_err *err)
{
    if (n > out->max - out->n) {
        return efx_state__no_room(out, n, err);
    }
    efx_put_raw(out, p, n);
    return EFX_OK;
}

static enum efx_rc get_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_writer *out, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = chunk_at(m, name);
    return is_chunk(m, i, name) ? give(out, m->chunk[i].p, m->chunk[i].n, err) : EFX_EABSENT;
}

static enum efx_rc list_chunks(struct efx_local *l, const struct efx_chunk_name *after,
                               struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = after == NULL ? 0 : chunk_at(m, after), k = 0;
    (void)err;
    i += after != NULL && is_chunk(m, i, after);
    for (; i < m->n_chunks && k < *n; i++) {
        out[k++] = m->chunk[i].name;
    }
    *n = k;
    return EFX_OK;
}

static enum efx_rc del_chunk(struct efx_local *l, const struct efx_chunk_name *name,
                             struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = chunk_at(m, name);
    (void)err;
    if (!is_chunk(m, i, name)) {
        return EFX_EABSENT;
    }
    drop_bytes(m, m->chunk[i].p, m->chunk[i].n);
    m->n_chunks--;
    memmove(&m->chunk[i], &m->chunk[i + 1], (m->n_chunks - i) * sizeof *m->chunk);
    return EFX_OK;
}

static enum efx_rc put_manifest(struct efx_local *l, const struct efx_manifest_info *info,
                                struct efx_bytes bytes, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint8_t *p = NULL;
    EFX_RET(grow(m, (void **)&m->manifest, m->n_manifests, &m->max_manifests, sizeof *m->manifest,
                 err));
    EFX_RET(copy_of(m, bytes, &p, err));
    m->manifest[m->n_manifests++] = (struct manifest){*info, p}; /* it is the newest */
    return EFX_OK;
}

static enum efx_rc get_manifest(struct efx_local *l, uint64_t no, struct efx_manifest_info *info,
                                struct efx_writer *out, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = manifest_at(m, no);
    if (i == m->n_manifests || m->manifest[i].info.no != no) {
        return EFX_EABSENT;
    }
    *info = m->manifest[i].info;
    return out == NULL ? EFX_OK : give(out, m->manifest[i].p, (size_t)info->n_bytes, err);
}

static enum efx_rc list_manifests(struct efx_local *l, uint64_t before,
                                  struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = before == 0 ? m->n_manifests : manifest_at(m, before), k = 0;
    (void)err;
    while (i > 0 && k < *n) {
        out[k++] = m->manifest[--i].info;
    }
    *n = k;
    return EFX_OK;
}

static enum efx_rc del_manifest(struct efx_local *l, uint64_t no, struct efx_err *err)
{
    struct memory *m = (struct memory *)l;
    uint32_t i = manifest_at(m, no);
    (void)err;
    if (i == m->n_manifests || m->manifest[i].info.no != no) {
        return EFX_EABSENT;
    }
    drop_bytes(m, m->manifest[i].p, (size_t)m->manifest[i].info.n_bytes);
    m->n_manifests--;
    memmove(&m->manifest[i], &m->manifest[i + 1], (m->n_manifests - i) * sizeof *m->manifest);
    return EFX_OK;
}

static void lose(struct memory *m)
{
    for (uint32_t i = 0; i < m->n_chunks; i++) {
        drop_bytes(m, m->chunk[i].p, m->chunk[i].n);
    }
    for (uint32_t i = 0; i < m->n_manifests; i++) {
        drop_bytes(m, m->manifest[i].p, (size_t)m->manifest[i].info.n_bytes);
    }
    m->n_chunks = 0;
    m->n_manifests = 0;
    m->has_identity = false;
}

static void close_memory(struct efx_local *l)
{
    struct memory *m = (struct memory *)l;
    struct efx_mem *mem = l->mem;
    lose(m);
    drop_bytes(m, (uint8_t *)m->chunk, m->max_chunks * sizeof *m->chunk);
    drop_bytes(m, (uint8_t *)m->manifest, m->max_manifests * sizeof *m->manifest);
    mem->free(mem, m, sizeof *m);
}

static const struct efx_shelf_vt shelf_memory = {
    .load = load,
    .get_identity = get_identity,
    .put_identity = put_identity,
    .put_terms = put_terms,
    .put_epoch = put_epoch,
    .put_chunks = put_chunks,
    .get_chunk = get_chunk,
    .list_chunks = list_chunks,
    .del_chunk = del_chunk,
    .put_manifest = put_manifest,
    .get_manifest = get_manifest,
    .list_manifests = list_manifests,
    .del_manifest = del_manifest,
    .close = close_memory,
};

enum efx_rc efx_memory__place(struct efx_local **out, struct efx_world *world, struct efx_mem *mem,
                              struct efx_err *err)
{
    struct memory *m = mem->alloc(mem, sizeof *m);
    if (m == NULL) {
        return no_memory(sizeof *m, err);
    }
    memset(m, 0, sizeof *m);
    m->base.shelf = &shelf_memory;
    m->base.world = world;
    m->base.mem = mem;
    EFX_RET(efx_local__begin(&m->base, err));
    *out = &m->base;
    return EFX_OK;
}

enum efx_rc efx_memory_place_create(struct efx_local **out, struct efx_world *world,
                                    struct efx_mem *mem)
{
    return efx_memory__place(out, world, mem, NULL);
}

void efx_memory_place_unref(struct efx_local **place)
{
    efx_local__unref(place);
}

void efx_memory_place_lose(struct efx_local *place)
{
    EFX_ASSERT(pthread_mutex_lock(&place->lock) == 0);
    lose((struct memory *)place);
    efx_local__forget(place);
    EFX_ASSERT(pthread_mutex_unlock(&place->lock) == 0);
}
