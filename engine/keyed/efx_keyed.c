/* Keys to ids: the index per key group, the slabs, the entries. */
#include "keyed_in.h"

enum { SLAB_BYTES = 64 * 1024, SLOTS_FIRST = 8, SLABS_FIRST = 8, AHEAD_MAX = 127 };
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
    t->ahead = at - 1 < AHEAD_MAX ? at - 1 : AHEAD_MAX;
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

static enum efx_rc entry_new(struct efx_keyed *t, const uint8_t *key, uint32_t *id);

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
        EFX_GOTO(no_table, entry_new(t, t->fresh, &id));
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
    for (uint32_t g = 0; t->group != NULL && g < EFX_KEY_GROUPS; g++) {
        efx_keyed__give(t, t->group[g].slot, (t->group[g].mask + (size_t)1) * sizeof(uint64_t));
    }
    for (uint32_t s = 0; s < t->n_slabs; s += run_slabs(t, s)) {
        efx_keyed__give(t, t->slab[s], run_bytes(t, s));
    }
    efx_keyed__give(t, t->group, EFX_KEY_GROUPS * sizeof *t->group);
    efx_keyed__give(t, t->n_saved, EFX_KEY_GROUPS * sizeof *t->n_saved);
    efx_keyed__give(t, t->slab, t->n_slabs_max * sizeof *t->slab);
    for (uint32_t i = 0; i < 2; i++) {
        efx_keyed__give(t, t->dirty[i].id, t->dirty[i].n_max * sizeof *t->dirty[i].id);
    }
    efx_heap_destroy(&t->heap);
    EFX_ASSERT(t->used_bytes == t->self_bytes);
    t->mem->free(t->mem, t, t->self_bytes);
}

/* ---- slots of a key group */

static enum efx_rc group_grow(struct efx_keyed *t, struct efx_keyed_slots *g)
{
    uint32_t len = g->slot == NULL ? 0 : g->mask + 1;
    uint32_t mask = len == 0 ? SLOTS_FIRST - 1 : len * 2 - 1;
    size_t bytes = (mask + (size_t)1) * sizeof(uint64_t);
    uint64_t *slot = efx_keyed__take(t, bytes);
    if (slot == NULL) {
        return EFX_ENOMEM;
    }
    memset(slot, 0, bytes);
    for (uint32_t from = 0; from < len; from++) {
        if (g->slot[from] == 0) {
            continue;
        }
        uint32_t i = (uint32_t)(g->slot[from] >> 32) & mask;
        while (slot[i] != 0) {
            i = (i + 1) & mask;
        }
        slot[i] = g->slot[from];
    }
    efx_keyed__give(t, g->slot, len * sizeof *slot);
    g->slot = slot;
    g->mask = mask;
    return EFX_OK;
}

/* Empties slot i and shifts back what probed across it: no tombstones in the index. */
static void group_remove(struct efx_keyed_slots *g, uint32_t i)
{
    for (uint32_t j = (i + 1) & g->mask; g->slot[j] != 0; j = (j + 1) & g->mask) {
        uint32_t home = (uint32_t)(g->slot[j] >> 32) & g->mask;
        if (((j - home) & g->mask) >= ((j - i) & g->mask)) {
            g->slot[i] = g->slot[j];
            i = j;
        }
    }
    g->slot[i] = 0;
    g->n--;
}

enum efx_rc efx_keyed__groups_make(struct efx_keyed *t)
{
    if (t->group != NULL) {
        return EFX_OK;
    }
    size_t bytes = EFX_KEY_GROUPS * sizeof *t->group;
    t->group = efx_keyed__take(t, bytes);
    if (t->group == NULL) {
        return EFX_ENOMEM;
    }
    memset(t->group, 0, bytes);
    return EFX_OK;
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

static enum efx_rc entry_new(struct efx_keyed *t, const uint8_t *key, uint32_t *id)
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
    struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    uint32_t i = (uint32_t)h & g->mask;
    while ((uint32_t)g->slot[i] != id + 1) {
        i = (i + 1) & g->mask;
    }
    efx_keyed_touch(t, id);
    efx_keyed__states_fini(t, id);
    group_remove(g, i);
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

/* ---- keys to ids */

static inline bool same_key(const struct efx_keyed *t, const uint8_t *key, const uint8_t *stored)
{
    return t->short_key ? memcmp(key, stored, sizeof(uint64_t)) == 0
                        : efx_keyed__key_equal(t, key, stored);
}

/* The slot that holds the key, else the empty one where it would stand. */
static uint32_t probe(const struct efx_keyed *t, const struct efx_keyed_slots *g, uint64_t h,
                      const uint8_t *key)
{
    uint32_t i = (uint32_t)h & g->mask;
    for (; g->slot[i] != 0; i = (i + 1) & g->mask) {
        uint32_t id = (uint32_t)g->slot[i] - 1;
        if (g->slot[i] >> 32 == (uint32_t)h && same_key(t, key, efx_keyed__at(t, id)->key)) {
            break;
        }
    }
    return i;
}

enum efx_rc efx_keyed__id_of(struct efx_keyed *t, uint64_t h, const uint8_t *key, uint32_t *id,
                             uint32_t *n_new)
{
    struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    if (g->slot == NULL) {
        EFX_RET(group_grow(t, g));
    }
    uint32_t i = probe(t, g, h, key);
    if (g->slot[i] == 0) {
        if ((g->n + 1) * 4 > (g->mask + 1) * 3) {
            EFX_RET(group_grow(t, g));
            i = probe(t, g, h, key);
        }
        EFX_RET(entry_new(t, key, id));
        g->slot[i] = h << 32 | (*id + 1);
        g->n++;
        ++*n_new;
        return EFX_OK;
    }
    *id = (uint32_t)g->slot[i] - 1;
    efx_keyed_touch(t, *id);
    return EFX_OK;
}

uint32_t efx_keyed__lookup(const struct efx_keyed *t, uint64_t h, const uint8_t *key)
{
    const struct efx_keyed_slots *g = t->group == NULL ? NULL : &t->group[efx_hash_key_group(h)];
    if (g == NULL || g->slot == NULL) {
        return EFX_KEYED_DEAD;
    }
    uint64_t slot = g->slot[probe(t, g, h, key)];
    return slot == 0 ? EFX_KEYED_DEAD : (uint32_t)slot - 1;
}

/* Two passes over the hashes, so that the misses of a block's rows are waited for together: slots,
 * then the entries that their tags name, both lines that one mostly lies on. guess[i] = such an
 * entry, NULL = no tag fits. */
static void guess_entries(const struct efx_keyed *t, const uint64_t *h, uint32_t n, uint32_t *id,
                          struct efx_entry **guess)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h[i])];
        if (g->slot != NULL) {
            __builtin_prefetch(&g->slot[(uint32_t)h[i] & g->mask]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h[i])];
        guess[i] = NULL;
        if (g->slot == NULL) {
            continue;
        }
        uint32_t s = (uint32_t)h[i] & g->mask;
        while (g->slot[s] != 0 && g->slot[s] >> 32 != (uint32_t)h[i]) {
            s = (s + 1) & g->mask;
        }
        if (g->slot[s] != 0) {
            id[i] = (uint32_t)g->slot[s] - 1;
            guess[i] = efx_keyed__at(t, id[i]);
            __builtin_prefetch(guess[i], 1);
            __builtin_prefetch((uint8_t *)guess[i] + t->ahead, 1);
        }
    }
}

/* Is the key that many words of numbers? The compiler sees how many. */
static inline __attribute__((always_inline)) bool words_equal(const uint8_t *a, const uint8_t *b,
                                                              uint32_t words)
{
    uint64_t differs = 0;
    for (uint32_t w = 0; w < words; w++) {
        uint64_t x, y;
        memcpy(&x, a + w * sizeof x, sizeof x);
        memcpy(&y, b + w * sizeof y, sizeof y);
        differs |= x ^ y;
    }
    return differs == 0;
}

/* Keys of a block, key_bytes apart: so many words, 0 = anything. */
static inline __attribute__((always_inline)) enum efx_rc
block_ids(struct efx_keyed *t, const uint64_t *h, const uint8_t *key, uint32_t n, uint32_t *id,
          uint32_t *n_new, uint32_t words)
{
    struct efx_entry *guess[KEY_BLOCK_ROWS];
    guess_entries(t, h, n, id, guess);
    for (uint32_t i = 0; i<n; i++, key += words> 0 ? words * sizeof(uint64_t) : t->key_bytes) {
        struct efx_entry *e = guess[i];
        bool same = e != NULL && (words > 0 ? words_equal(key, e->key, words)
                                            : efx_keyed__key_equal(t, key, e->key));
        if (!same) {
            EFX_RET(efx_keyed__id_of(t, h[i], key, &id[i], n_new));
        } else if (!efx_keyed__stamped(t, e)) {
            efx_keyed__touch(t, e, id[i]);
        }
    }
    return EFX_OK;
}

static enum efx_rc ids_short(struct efx_keyed *t, const struct efx_col *col, const uint32_t *row,
                             uint32_t n, uint32_t *id, uint32_t *n_new)
{
    uint64_t word[KEY_BLOCK_ROWS], h[KEY_BLOCK_ROWS];
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__words(col, row == NULL ? NULL : row + i, i, rows, word);
        for (uint32_t j = 0; j < rows; j++) {
            h[j] = efx_keyed__place(t, efx_hash_u64(word[j]), word[j]);
        }
        EFX_RET(block_ids(t, h, (const uint8_t *)word, rows, id + i, n_new, 1));
    }
    return EFX_OK;
}

/* One number that may be NULL, of rows where none is: the NULL bits are a word of zeros. */
static enum efx_rc ids_whole(struct efx_keyed *t, const struct efx_col *col, const uint32_t *row,
                             uint32_t n, uint32_t *id, uint32_t *n_new)
{
    uint64_t word[KEY_BLOCK_ROWS], key[2 * KEY_BLOCK_ROWS], h[KEY_BLOCK_ROWS];
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__words(col, row == NULL ? NULL : row + i, i, rows, word);
        for (uint32_t j = 0; j < rows; j++) {
            h[j] = efx_keyed__place(t, efx_hash_u64(word[j]), word[j]);
            key[2 * j] = 0;
            key[2 * j + 1] = word[j];
        }
        EFX_RET(block_ids(t, h, (const uint8_t *)key, rows, id + i, n_new, 2));
    }
    return EFX_OK;
}

static bool is_whole(const struct efx_keyed *t, const struct efx_col *col)
{
    return t->conf.n_cells == 1 && t->conf.nullable && !t->has_text && col->valid == NULL;
}

static uint32_t block_rows(const struct efx_keyed *t)
{
    uint32_t fit = KEY_BLOCK_BYTES / t->key_bytes;
    return fit < KEY_BLOCK_ROWS ? fit : KEY_BLOCK_ROWS;
}

static void by_birth(const struct efx_keyed *t, const struct efx_col *birth, const uint32_t *row,
                     uint32_t from, uint32_t n, uint64_t *h)
{
    const uint64_t *word = birth->data;
    for (uint32_t i = 0; t->conf.birth_group && i < n; i++) {
        h[i] = efx_keyed__place(t, h[i], word[row == NULL ? from + i : row[i]]);
    }
}

/* Hashes of a block's keys; valid bits count only where a NULL can be. */
static void block_hash(const struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                       uint32_t from, uint32_t n, uint64_t *h)
{
    if (t->conf.nullable) {
        efx_keyed__hash_cols(cols, t->conf.n_cells, row, from, n, h);
        by_birth(t, &cols[0], row, from, n, h);
        return;
    }
    struct efx_col whole[EFX_KEYED_CELLS_MAX];
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        whole[c] = (struct efx_col){.type = cols[c].type, .data = cols[c].data};
    }
    efx_keyed__hash_cols(whole, t->conf.n_cells, row, from, n, h);
    by_birth(t, &cols[0], row, from, n, h);
}

enum efx_rc efx_keyed_ids(struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                          uint32_t n, uint32_t *id, uint32_t *n_new)
{
    *n_new = 0;
    if (t->conf.n_cells == 0) {
        memset(id, 0, n * sizeof *id);
        efx_keyed_touch(t, 0);
        return EFX_OK;
    }
    EFX_RET(efx_keyed__groups_make(t));
    if (t->short_key) {
        return ids_short(t, cols, row, n, id, n_new);
    }
    if (is_whole(t, cols)) {
        return ids_whole(t, cols, row, n, id, n_new);
    }
    uint64_t h[KEY_BLOCK_ROWS];
    _Alignas(8) uint8_t key[KEY_BLOCK_BYTES];
    uint32_t block = block_rows(t);
    for (uint32_t i = 0; i < n; i += block) {
        uint32_t rows = n - i < block ? n - i : block;
        const uint32_t *at = row == NULL ? NULL : row + i;
        block_hash(t, cols, at, i, rows, h);
        efx_keyed__keys(t, cols, at, i, rows, key);
        EFX_RET(!t->has_text && t->key_bytes == 2 * sizeof(uint64_t)
                    ? block_ids(t, h, key, rows, id + i, n_new, 2)
                    : block_ids(t, h, key, rows, id + i, n_new, 0));
    }
    return EFX_OK;
}

static void find_short(const struct efx_keyed *t, const struct efx_col *col, const uint32_t *row,
                       uint32_t n, uint32_t *id)
{
    uint64_t word[KEY_BLOCK_ROWS], h[KEY_BLOCK_ROWS];
    struct efx_entry *guess[KEY_BLOCK_ROWS];
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__words(col, row == NULL ? NULL : row + i, i, rows, word);
        for (uint32_t j = 0; j < rows; j++) {
            h[j] = efx_keyed__place(t, efx_hash_u64(word[j]), word[j]);
        }
        guess_entries(t, h, rows, id + i, guess);
        for (uint32_t j = 0; j < rows; j++) {
            if (guess[j] == NULL) {
                id[i + j] = EFX_KEYED_DEAD;
            } else if (memcmp(&word[j], guess[j]->key, sizeof word[j]) != 0) {
                id[i + j] = efx_keyed__lookup(t, h[j], (const uint8_t *)&word[j]);
            }
        }
    }
}

void efx_keyed_find(const struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                    uint32_t n, uint32_t *id)
{
    uint64_t h[KEY_BLOCK_ROWS];
    struct efx_entry *guess[KEY_BLOCK_ROWS];
    _Alignas(8) uint8_t key[KEY_BLOCK_BYTES];
    if (t->conf.n_cells == 0 || t->group == NULL) {
        memset(id, t->conf.n_cells == 0 ? 0 : 0xFF, n * sizeof *id);
        return;
    }
    if (t->short_key) {
        find_short(t, cols, row, n, id);
        return;
    }
    uint32_t block = block_rows(t);
    for (uint32_t i = 0; i < n; i += block) {
        uint32_t rows = n - i < block ? n - i : block;
        const uint32_t *at = row == NULL ? NULL : row + i;
        block_hash(t, cols, at, i, rows, h);
        efx_keyed__keys(t, cols, at, i, rows, key);
        guess_entries(t, h, rows, id + i, guess);
        for (uint32_t j = 0; j < rows; j++) {
            const uint8_t *k = key + (size_t)j * t->key_bytes;
            if (guess[j] == NULL) {
                id[i + j] = EFX_KEYED_DEAD;
            } else if (!same_key(t, k, guess[j]->key)) {
                id[i + j] = efx_keyed__lookup(t, h[j], k);
            }
        }
    }
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
