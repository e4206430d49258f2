/* The table: its layout, the slabs, the entries. How a key is found is told in keyed_find.c. */
#include "keyed_in.h"

enum { SLAB_BYTES = 64 * 1024, SLABS_FIRST = 8, AHEAD_MAX = 127 };
/* So many slabs come one by one, then in runs that fill huge pages. */
enum { RUN_AFTER = 16, RUN_BYTES = 2 * 1024 * 1024 };

/* ---- memory */

void *efx_keyed__take(struct efx_keyed *t, size_t bytes)
{
    void *p = t->mem->alloc(t->mem, bytes);
    t->used_bytes += p == NULL ? 0 : bytes;
    return p;
}

void efx_keyed__give(struct efx_keyed *t, void *p, size_t bytes)
{
    if (p != NULL) {
        t->mem->free(t->mem, p, bytes);
        t->used_bytes -= bytes;
    }
}

static uint32_t whole_words(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

/* Entries that would mostly lie across two cache lines are padded: a miss costs more than bytes. */
static uint32_t stride_of(uint32_t bytes)
{
    return bytes == 24 ? 32 : bytes >= 40 && bytes < EFX_CACHE_LINE ? EFX_CACHE_LINE : bytes;
}

/* Places of cells and states in an entry. */
static void lay_out(struct efx_keyed *t)
{
    uint32_t at = t->conf.nullable && t->conf.n_cells > 0 ? sizeof(uint64_t) : 0;
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        bool text = efx_type_is_cell(t->conf.types[c]);
        t->cell[c] = at;
        at += text ? (uint32_t)sizeof(struct key_text) : (uint32_t)sizeof(uint64_t);
        t->has_text = t->has_text || text;
    }
    t->key_bytes = at;
    t->short_key = t->conf.n_cells == 1 && at == sizeof(uint64_t);
    at += sizeof(struct efx_entry);
    t->states_off = at;
    for (uint32_t k = 0; k < t->conf.n_states; k++) {
        const struct efx_keyed_state *s = &t->conf.states[k];
        t->state_off[k] = at;
        at += whole_words(s->agg == NULL ? s->bytes : s->agg->state_bytes);
        t->has_parts = t->has_parts || (s->agg != NULL && s->agg->fini != NULL);
    }
    t->states_bytes = at - t->states_off;
    t->stride = stride_of(at);
    bool one_line = t->stride <= EFX_CACHE_LINE && EFX_CACHE_LINE % t->stride == 0;
    t->ahead = one_line ? 0 : at - 1 < AHEAD_MAX ? at - 1 : AHEAD_MAX;
}

static void make_fresh(struct efx_keyed *t)
{
    memset(t->fresh, 0, t->states_bytes);
    for (uint32_t k = 0; k < t->conf.n_states; k++) {
        if (t->conf.states[k].agg != NULL) {
            t->conf.states[k].agg->init(t->fresh + t->state_off[k] - t->states_off);
        }
    }
}

static size_t states_max_bytes(const struct efx_keyed_conf *conf)
{
    size_t n = 0;
    for (uint32_t k = 0; k < conf->n_states; k++) {
        const struct efx_keyed_state *s = &conf->states[k];
        n += whole_words(s->agg == NULL ? s->bytes : s->agg->state_bytes);
    }
    return n;
}

static enum efx_rc ordinals_make(struct efx_keyed *t)
{
    size_t bytes = EFX_KEY_GROUPS * sizeof *t->n_saved;
    t->n_saved = efx_keyed__take(t, bytes);
    if (t->n_saved == NULL) {
        return EFX_ENOMEM;
    }
    memset(t->n_saved, 0, bytes);
    return EFX_OK;
}

enum efx_rc efx_keyed_create(struct efx_mem *mem, struct efx_ctx *ctx,
                             const struct efx_keyed_conf *conf, struct efx_keyed **out)
{
    EFX_ASSERT(conf->n_cells <= EFX_KEYED_CELLS_MAX);
    enum efx_rc rc;
    size_t refs_bytes = whole_words(conf->n_states * (uint32_t)sizeof(uint32_t));
    size_t bytes = sizeof(struct efx_keyed) + refs_bytes + states_max_bytes(conf);
    struct efx_keyed *t = mem->alloc(mem, bytes);
    if (t == NULL) {
        return EFX_ENOMEM;
    }
    *t = (struct efx_keyed){.mem = mem, .ctx = ctx, .conf = *conf, .stamp = 2};
    t->self_bytes = bytes;
    t->used_bytes = bytes;
    t->state_off = (uint32_t *)(void *)(t + 1);
    t->fresh = (uint8_t *)(t + 1) + refs_bytes;
    lay_out(t);
    make_fresh(t);
    if (conf->n_cells > 0 && t->stride < SLAB_BYTES) {
        t->shift = 31 - (uint32_t)__builtin_clz(SLAB_BYTES / t->stride);
    }
    EFX_GOTO(no_table, efx_heap_create(mem, &t->heap));
    if (conf->ordinals) {
        EFX_GOTO(no_table, ordinals_make(t));
    }
    if (conf->n_cells == 0) {
        uint32_t id;
        EFX_GOTO(no_table, efx_keyed__entry_new(t, t->fresh, &id));
    }
    *out = t;
    return EFX_OK;
no_table:
    efx_keyed_destroy(&t);
    return rc;
}

/* Slabs that lie one behind the other from slab s, where a run begins. */
static uint32_t run_slabs(const struct efx_keyed *t, uint32_t s)
{
    size_t fit = RUN_BYTES / efx_keyed__slab_bytes(t);
    return s < RUN_AFTER || fit == 0 ? 1 : (uint32_t)fit;
}

static size_t run_bytes(const struct efx_keyed *t, uint32_t s)
{
    size_t bytes = run_slabs(t, s) * efx_keyed__slab_bytes(t);
    return s < RUN_AFTER || bytes > RUN_BYTES ? bytes : RUN_BYTES;
}

void efx_keyed_destroy(struct efx_keyed **table)
{
    struct efx_keyed *t = *table;
    *table = NULL;
    if (t == NULL) {
        return;
    }
    efx_keyed__groups_drop(t);
    for (uint32_t s = 0; s < t->n_slabs; s += run_slabs(t, s)) {
        efx_keyed__give(t, t->slab[s], run_bytes(t, s));
    }
    efx_keyed__give(t, t->n_saved, EFX_KEY_GROUPS * sizeof *t->n_saved);
    efx_keyed__give(t, t->slab, t->n_slabs_max * sizeof *t->slab);
    for (uint32_t i = 0; i < 2; i++) {
        efx_keyed__give(t, t->dirty[i].id, t->dirty[i].n_max * sizeof *t->dirty[i].id);
    }
    efx_heap_destroy(&t->heap);
    EFX_ASSERT(t->used_bytes == t->self_bytes);
    t->mem->free(t->mem, t, t->self_bytes);
}

/* ---- entries */

/* A run of slabs: often just one. */
static enum efx_rc slabs_add(struct efx_keyed *t)
{
    uint32_t n = run_slabs(t, t->n_slabs);
    if (t->n_slabs + n > t->n_slabs_max) {
        uint32_t max = t->conf.n_cells == 0  ? 1
                       : t->n_slabs_max == 0 ? SLABS_FIRST
                                             : t->n_slabs_max * 2;
        max = max < t->n_slabs + n ? t->n_slabs + n : max;
        uint8_t **slab = efx_keyed__take(t, max * sizeof *slab);
        if (slab == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t s = 0; s < t->n_slabs; s++) {
            slab[s] = t->slab[s];
        }
        efx_keyed__give(t, t->slab, t->n_slabs_max * sizeof *slab);
        t->slab = slab;
        t->n_slabs_max = max;
    }
    uint8_t *run = efx_keyed__take(t, run_bytes(t, t->n_slabs));
    if (run == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        t->slab[t->n_slabs++] = run + i * efx_keyed__slab_bytes(t);
    }
    return EFX_OK;
}

enum efx_rc efx_keyed__entry_new(struct efx_keyed *t, const uint8_t *key, uint32_t *id)
{
    if (t->free == 0 && t->n_ids >> t->shift == t->n_slabs) {
        if (t->n_ids >= EFX_KEYED_DEAD - 1) {
            return EFX_ENOMEM;
        }
        EFX_RET(slabs_add(t));
    }
    *id = t->free != 0 ? t->free - 1 : t->n_ids;
    struct efx_entry *e = efx_keyed__at(t, *id);
    uint32_t next = t->free != 0 ? e->extra : 0;
    if (t->has_text) {
        if (efx_keyed__key_store(t, key, e->key) != EFX_OK) {
            return EFX_ENOMEM; /* not taken: nobody looks at the key of a free id */
        }
    } else {
        memcpy(e->key, key, t->key_bytes);
    }
    t->n_ids += t->free == 0;
    t->free = next;
    e->stamp = t->stamp + 1;
    e->extra = 0;
    memcpy((uint8_t *)e + t->states_off, t->fresh, t->states_bytes);
    if (t->tracks) {
        efx_keyed__list(t, *id);
    }
    t->n_live++;
    return EFX_OK;
}

void efx_keyed__states_fini(struct efx_keyed *t, uint32_t id)
{
    for (uint32_t k = 0; k < t->conf.n_states && t->has_parts; k++) {
        const struct efx_agg_vt *agg = t->conf.states[k].agg;
        if (agg != NULL && agg->fini != NULL) {
            struct efx_states at = efx_keyed_states(t, k);
            agg->fini(&at, efx_keyed_state(t, id, k));
        }
    }
}

/* Of a dead one: its id can be given again. */
void efx_keyed__entry_free(struct efx_keyed *t, uint32_t id)
{
    struct efx_entry *e = efx_keyed__at(t, id);
    efx_keyed__key_drop(t, e->key);
    e->extra = t->free;
    t->free = id + 1;
}

void efx_keyed_del(struct efx_keyed *t, uint32_t id)
{
    struct efx_entry *e = efx_keyed__at(t, id);
    EFX_ASSERT(e->stamp != EFX_KEYED_DEAD);
    if (t->conf.n_cells == 0) { /* the one entry is always there */
        efx_keyed_reset(t, id);
        return;
    }
    uint64_t h = efx_keyed__hash_key(t, e->key, true);
    efx_keyed_touch(t, id);
    efx_keyed__states_fini(t, id);
    efx_keyed__unlink(t, h, id);
    t->n_live--;
    bool leaves_no_trace = !t->tracks || e->stamp == t->stamp + 1;
    e->stamp = EFX_KEYED_DEAD;
    if (leaves_no_trace) {
        efx_keyed__entry_free(t, id);
    } else {
        e->extra = t->dirty[t->now].dead;
        t->dirty[t->now].dead = id + 1;
    }
}

void efx_keyed_reset(struct efx_keyed *t, uint32_t id)
{
    efx_keyed_touch(t, id);
    efx_keyed__states_fini(t, id);
    memcpy((uint8_t *)efx_keyed__at(t, id) + t->states_off, t->fresh, t->states_bytes);
}

/* ---- getters */

uint32_t efx_keyed_n(const struct efx_keyed *t)
{
    return t->n_live;
}

uint32_t efx_keyed_n_ids(const struct efx_keyed *t)
{
    return t->n_ids;
}

bool efx_keyed_is_live(const struct efx_keyed *t, uint32_t id)
{
    return id < t->n_ids && efx_keyed__at(t, id)->stamp != EFX_KEYED_DEAD;
}

uint32_t efx_keyed_stamp(const struct efx_keyed *t)
{
    return t->stamp;
}

size_t efx_keyed_bytes(const struct efx_keyed *t)
{
    return t->used_bytes + efx_heap_bytes(t->heap);
}

uint32_t efx_keyed_group(const struct efx_keyed *t, uint32_t id)
{
    return efx_keyed__section(t, efx_keyed__hash_key(t, efx_keyed__at(t, id)->key, true));
}

struct efx_heap *efx_keyed_heap(const struct efx_keyed *t)
{
    return t->heap;
}

struct efx_entry *efx_keyed_at(const struct efx_keyed *t, uint32_t id)
{
    return efx_keyed__at(t, id);
}

void *efx_keyed_state(const struct efx_keyed *t, uint32_t id, uint32_t k)
{
    return (uint8_t *)efx_keyed__at(t, id) + t->state_off[k];
}

struct efx_states efx_keyed_states(const struct efx_keyed *t, uint32_t k)
{
    return (struct efx_states){
        .slab = t->slab,
        .shift = t->shift,
        .stride = t->stride,
        .off = t->state_off[k],
        .heap = t->heap,
        .ctx = t->ctx,
    };
}
