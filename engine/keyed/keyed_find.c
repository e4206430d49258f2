/* Keys to ids: the index of each key group, and how a batch of keys goes through it.
 *
 *   hash     h h h h h h h h h h h h …       of a block of 256 rows
 *   slot     ░░░░░░░░░░░░░░░░░▶              asked for two spans ahead
 *   entry    ░░░░░░░░▶                       asked for one span ahead, where the tag agrees
 *   key      ▶                               compared; who is not there is made
 *
 * So two cache misses of a row are waited for while other rows are worked on. A table that fits the
 * near caches asks for nothing ahead, nor does who brings few keys: there the asking costs more
 * than the misses.
 *
 * The first two slots of a key are looked at without a branch: at half load they hold most keys,
 * but which of the two cannot be foretold.
 */
#include "keyed_in.h"

enum { SLOTS_FIRST = 8, SLOTS_SMALL = 64, POOL_FROM_BYTES = 512 * 1024, NEAR_BYTES = 1024 * 1024 };
enum { SPAN = 16, HASHES = KEY_BLOCK_ROWS + 2 * SPAN };

#define FIND_INLINE static inline __attribute__((always_inline))

/* ---- slots of a key group */

static uint64_t nothing[1]; /* of a group without keys: one empty slot, full as it is */

static uint64_t *slots_take(struct efx_keyed *t, size_t bytes, bool *pooled)
{
    *pooled = t->slot_bytes >= POOL_FROM_BYTES && bytes >= POOL_UNIT_BYTES &&
              bytes <= (size_t)POOL_UNIT_BYTES * POOL_UNITS;
    if (!*pooled) {
        return efx_keyed__take(t, bytes);
    }
    size_t held = t->pool.held_bytes;
    uint64_t *slot = efx_keyed__pool_take(&t->pool, t->mem, bytes);
    t->used_bytes += t->pool.held_bytes - held;
    return slot;
}

static void slots_give(struct efx_keyed *t, const struct efx_keyed_slots *g)
{
    size_t bytes = (g->mask + (size_t)1) * sizeof *g->slot;
    if (g->slot == nothing) {
        return;
    }
    t->slot_bytes -= bytes;
    if (!g->pooled) {
        efx_keyed__give(t, g->slot, bytes);
        return;
    }
    size_t held = t->pool.held_bytes;
    efx_keyed__pool_give(&t->pool, t->mem, g->slot, bytes);
    t->used_bytes -= held - t->pool.held_bytes;
}

static enum efx_rc group_grow(struct efx_keyed *t, struct efx_keyed_slots *g)
{
    uint32_t len = g->slot == nothing ? 0 : g->mask + 1;
    uint32_t mask = len == 0 ? SLOTS_FIRST - 1 : len * 2 - 1;
    size_t bytes = (mask + (size_t)1) * sizeof(uint64_t);
    bool pooled;
    uint64_t *slot = slots_take(t, bytes, &pooled);
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
    t->slot_bytes += bytes;
    slots_give(t, g);
    g->slot = slot;
    g->mask = mask;
    g->pooled = pooled;
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
    t->group = efx_keyed__take(t, EFX_KEY_GROUPS * sizeof *t->group);
    if (t->group == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        t->group[g] = (struct efx_keyed_slots){.slot = nothing};
    }
    return EFX_OK;
}

void efx_keyed__groups_drop(struct efx_keyed *t)
{
    for (uint32_t g = 0; t->group != NULL && g < EFX_KEY_GROUPS; g++) {
        slots_give(t, &t->group[g]);
    }
    efx_keyed__give(t, t->group, EFX_KEY_GROUPS * sizeof *t->group);
    t->group = NULL;
}

void efx_keyed__unlink(struct efx_keyed *t, uint64_t h, uint32_t id)
{
    struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    uint32_t i = (uint32_t)h & g->mask;
    while ((uint32_t)g->slot[i] != id + 1) {
        i = (i + 1) & g->mask;
    }
    group_remove(g, i);
}

/* ---- one key */

FIND_INLINE bool words_equal(const uint8_t *a, const uint8_t *b, uint32_t words)
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

/* `words`: the key is so many words of numbers; 0 = anything. The compiler sees it. */
FIND_INLINE bool same_key(const struct efx_keyed *t, const uint8_t *key, const uint8_t *stored,
                          uint32_t words)
{
    return words > 0 ? words_equal(key, stored, words) : efx_keyed__key_equal(t, key, stored);
}

/* The slot that holds the key, else the empty one where it would stand. */
static uint32_t probe(const struct efx_keyed *t, const struct efx_keyed_slots *g, uint64_t h,
                      const uint8_t *key)
{
    uint32_t i = (uint32_t)h & g->mask, words = t->short_key;
    for (; g->slot[i] != 0; i = (i + 1) & g->mask) {
        uint32_t id = (uint32_t)g->slot[i] - 1;
        if (g->slot[i] >> 32 == (uint32_t)h && same_key(t, key, efx_keyed__at(t, id)->key, words)) {
            break;
        }
    }
    return i;
}

/* Small arrays are half empty: there it costs little and saves looks. */
static bool is_full(const struct efx_keyed_slots *g)
{
    uint32_t len = g->mask + 1, n = (uint32_t)g->n + 1;
    return len <= SLOTS_SMALL ? n * 2 > len : n * 4 > len * 3;
}

enum efx_rc efx_keyed__id_of(struct efx_keyed *t, uint64_t h, const uint8_t *key, uint32_t *id,
                             uint32_t *n_new)
{
    struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    uint32_t i = probe(t, g, h, key);
    if (g->slot[i] == 0) {
        if (is_full(g)) {
            EFX_RET(group_grow(t, g));
            i = probe(t, g, h, key);
        }
        EFX_RET(efx_keyed__entry_new(t, key, id));
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
    if (t->group == NULL) {
        return EFX_KEYED_DEAD;
    }
    const struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    return (uint32_t)g->slot[probe(t, g, h, key)] - 1; /* empty: 0 - 1 is DEAD */
}

/* ---- a block of keys */

FIND_INLINE void slot_ahead(const struct efx_keyed *t, uint64_t h)
{
    const struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    __builtin_prefetch(&g->slot[(uint32_t)h & g->mask]);
}

/* Id of the first entry whose tag agrees; DEAD = none does. */
FIND_INLINE uint32_t guess(const struct efx_keyed *t, uint64_t h)
{
    const struct efx_keyed_slots *g = &t->group[efx_hash_key_group(h)];
    uint32_t tag = (uint32_t)h, s = tag & g->mask;
    uint64_t first = g->slot[s], second = g->slot[(s + 1) & g->mask];
    uint64_t is_first =
        -(uint64_t)(first >> 32 == tag); /* no branch: which one is anybody's guess */
    uint64_t slot = second ^ ((first ^ second) & is_first);
    if (__builtin_expect(slot == 0 || slot >> 32 != tag, 0)) {
        for (slot = first; slot != 0 && slot >> 32 != tag; slot = g->slot[s]) {
            s = (s + 1) & g->mask;
        }
    }
    return (uint32_t)slot - 1;
}

FIND_INLINE uint32_t entry_ahead(const struct efx_keyed *t, uint64_t h)
{
    uint32_t id = guess(t, h);
    if (id != EFX_KEYED_DEAD) {
        const uint8_t *e = (const uint8_t *)efx_keyed__at(t, id);
        __builtin_prefetch(e, 1);
        if (t->ahead > 0) {
            __builtin_prefetch(e + t->ahead, 1);
        }
    }
    return id;
}

/* Keys of a block, key_bytes apart, with their hashes; those behind h[n] may be anything. `far`:
 * what is looked at must be asked for ahead. `makes`: ids of keys that are not there yet, too. */
FIND_INLINE enum efx_rc block(struct efx_keyed *t, uint64_t *h, const uint8_t *key, uint32_t n,
                              uint32_t *id, uint32_t *n_new, uint32_t words, bool makes, bool far)
{
    uint32_t guessed[KEY_BLOCK_ROWS + SPAN];
    for (uint32_t j = n; far && j < n + 2 * SPAN; j++) {
        h[j] = h[0];
    }
    for (uint32_t j = 0; far && j < 2 * SPAN; j++) {
        slot_ahead(t, h[j]);
    }
    for (uint32_t j = 0; far && j < SPAN; j++) {
        guessed[j] = entry_ahead(t, h[j]);
    }
    for (uint32_t i = 0; i<n; i++, key += words> 0 ? words * 8 : t->key_bytes) {
        if (far) {
            slot_ahead(t, h[i + 2 * SPAN]);
            guessed[i + SPAN] = entry_ahead(t, h[i + SPAN]);
        }
        uint32_t g = far ? guessed[i] : guess(t, h[i]);
        struct efx_entry *e = g == EFX_KEYED_DEAD ? NULL : efx_keyed__at(t, g);
        id[i] = g;
        if (__builtin_expect(e == NULL || !same_key(t, key, e->key, words), 0)) {
            if (makes) {
                EFX_RET(efx_keyed__id_of(t, h[i], key, &id[i], n_new));
            } else if (e != NULL) {
                id[i] = efx_keyed__lookup(t, h[i], key);
            }
        } else if (makes && !efx_keyed__stamped(t, e)) {
            efx_keyed__touch(t, e, g);
        }
    }
    return EFX_OK;
}

FIND_INLINE enum efx_rc block_as(struct efx_keyed *t, uint64_t *h, const uint8_t *key, uint32_t n,
                                 uint32_t *id, uint32_t *n_new, uint32_t words, bool makes)
{
    return t->used_bytes > NEAR_BYTES && n > SPAN
               ? block(t, h, key, n, id, n_new, words, makes, true)
               : block(t, h, key, n, id, n_new, words, makes, false);
}

/* ---- a batch of keys */

/* One number that is never NULL. */
FIND_INLINE enum efx_rc batch_short(struct efx_keyed *t, const struct efx_col *col,
                                    const uint32_t *row, uint32_t n, uint32_t *id, uint32_t *n_new,
                                    bool makes)
{
    uint64_t word[KEY_BLOCK_ROWS], h[HASHES];
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__words(col, row == NULL ? NULL : row + i, i, rows, word);
        for (uint32_t j = 0; j < rows; j++) {
            h[j] = efx_keyed__place(t, efx_hash_u64(word[j]), word[j]);
        }
        EFX_RET(block_as(t, h, (const uint8_t *)word, rows, id + i, n_new, 1, makes));
    }
    return EFX_OK;
}

/* One number that may be NULL, of rows where none is: the NULL bits are a word of zeros. */
static enum efx_rc ids_whole(struct efx_keyed *t, const struct efx_col *col, const uint32_t *row,
                             uint32_t n, uint32_t *id, uint32_t *n_new)
{
    uint64_t word[KEY_BLOCK_ROWS], key[2 * KEY_BLOCK_ROWS], h[HASHES];
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__words(col, row == NULL ? NULL : row + i, i, rows, word);
        for (uint32_t j = 0; j < rows; j++) {
            h[j] = efx_keyed__place(t, efx_hash_u64(word[j]), word[j]);
            key[2 * j] = 0;
            key[2 * j + 1] = word[j];
        }
        EFX_RET(block_as(t, h, (const uint8_t *)key, rows, id + i, n_new, 2, true));
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

/* Keys of any shape; two numbers are common enough for a loop of their own. */
FIND_INLINE enum efx_rc batch(struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                              uint32_t n, uint32_t *id, uint32_t *n_new, bool makes)
{
    uint64_t h[HASHES];
    _Alignas(8) uint8_t key[KEY_BLOCK_BYTES];
    uint32_t most = block_rows(t);
    bool two = !t->has_text && t->key_bytes == 2 * sizeof(uint64_t);
    for (uint32_t i = 0; i < n; i += most) {
        uint32_t rows = n - i < most ? n - i : most;
        const uint32_t *at = row == NULL ? NULL : row + i;
        block_hash(t, cols, at, i, rows, h);
        efx_keyed__keys(t, cols, at, i, rows, key);
        EFX_RET(two ? block_as(t, h, key, rows, id + i, n_new, 2, makes)
                    : block_as(t, h, key, rows, id + i, n_new, 0, makes));
    }
    return EFX_OK;
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
        return batch_short(t, cols, row, n, id, n_new, true);
    }
    if (is_whole(t, cols)) {
        return ids_whole(t, cols, row, n, id, n_new);
    }
    return batch(t, cols, row, n, id, n_new, true);
}

void efx_keyed_find(const struct efx_keyed *table, const struct efx_col *cols, const uint32_t *row,
                    uint32_t n, uint32_t *id)
{
    union {
        const struct efx_keyed *read;
        struct efx_keyed *t;
    } of = {table}; /* the loops for both are one; this one changes nothing */
    if (of.t->conf.n_cells == 0 || of.t->group == NULL) {
        memset(id, of.t->conf.n_cells == 0 ? 0 : 0xFF, n * sizeof *id);
        return;
    }
    enum efx_rc rc = of.t->short_key ? batch_short(of.t, cols, row, n, id, NULL, false)
                                     : batch(of.t, cols, row, n, id, NULL, false);
    EFX_ASSERT(rc == EFX_OK);
}
