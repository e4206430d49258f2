#ifndef KEYED_IN_H
#define KEYED_IN_H

#include "efx_hash.h"
#include "efx_keyed.h"
#include "keyed_pool.h"

/* The inside of the keyed table, shared by its files.
 *
 *   efx_keyed.c   slabs, entries
 *   keyed_find.c  keys to ids: the index
 *   keyed_pool.c  memory of the index
 *   keyed_key.c   keys as bytes: normalised, hashed, compared, stored
 *   keyed_save.c  what changed: touch, mark, slices, load
 *
 * A key in bytes is what an entry holds: NULL bits, then cells. On its way in, a long text is a
 * cell with a pointer; stored, the pointer is a ref into the table's heap (struct key_text).
 *
 * Stamps are even. An entry made since the last mark bears the table's stamp + 1: no save has it,
 * so when it dies before the next mark it leaves no tombstone and its id is free at once.
 */
enum { KEY_BLOCK_ROWS = 256, KEY_BLOCK_BYTES = 16 * 1024 };

struct efx_keyed_slots {
    uint64_t *slot; /* [mask + 1]; 0 = empty */
    uint32_t mask;
    uint32_t n : 31, pooled : 1; /* pooled: the array is the pool's */
};

struct efx_keyed_dirty { /* what changed under one stamp */
    uint32_t *id;        /* [n_max] from mem */
    uint32_t n, n_max;
    bool all;      /* listing no longer pays (or no memory for it): look at every entry */
    uint32_t dead; /* first tombstone's id + 1 */
};

struct efx_keyed {
    struct efx_mem *mem;
    struct efx_ctx *ctx;
    struct efx_heap *heap;
    struct efx_keyed_conf conf;
    bool short_key; /* one 8-byte cell, never NULL */
    bool has_text;
    bool has_parts;                     /* some states have parts in the heap */
    uint32_t key_bytes;                 /* NULL bits and cells */
    uint32_t cell[EFX_KEYED_CELLS_MAX]; /* offset in the key */
    uint32_t *state_off;                /* [n_states] in the entry; behind this struct */
    uint8_t *fresh;                     /* [states_bytes] of a new entry; behind this struct */
    uint32_t states_off, states_bytes;
    size_t self_bytes;

    struct efx_keyed_slots *group; /* [EFX_KEY_GROUPS], with the first key */
    struct efx_keyed_pool pool;
    size_t slot_bytes; /* of the groups' arrays */
    uint8_t **slab;
    uint32_t n_slabs, n_slabs_max;
    uint32_t stride, shift;
    uint32_t ahead; /* offset of an entry's last byte that is fetched ahead; 0 = is on one line */
    uint32_t n_ids, n_live;
    uint32_t free; /* first free id + 1 */
    size_t used_bytes;

    uint32_t stamp;
    bool tracks;                     /* a mark or load has come: changes are listed */
    bool saving;                     /* from a mark to DONE */
    bool save_base, save_walk;       /* everything; by id instead of by list */
    uint32_t save_pos, save_end;     /* of ids or of the list */
    struct efx_keyed_dirty dirty[2]; /* [now] and the one being saved */
    uint32_t now;
    struct efx_save *out; /* since the first slice */
    uint32_t *n_saved;    /* [EFX_KEY_GROUPS] entries of the running save; NULL without ordinals */
};

struct key_text { /* a stored cell; up to 12 bytes as in struct efx_cell */
    uint32_t len;
    uint8_t head[4];
    uint32_t ref; /* len > 12 */
    uint32_t zero;
};

void *efx_keyed__take(struct efx_keyed *t, size_t bytes); /* NULL = no; not zeroed */
void efx_keyed__give(struct efx_keyed *t, void *p, size_t bytes);

/* One number column as 8-byte words: equal words = equal values. Rows row[i], or from + i. */
void efx_keyed__words(const struct efx_col *col, const uint32_t *row, uint32_t from, uint32_t n,
                      uint64_t *word);
/* Keys of n rows into `key`, key_bytes apart. */
void efx_keyed__keys(const struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                     uint32_t from, uint32_t n, uint8_t *key);
void efx_keyed__hash_cols(const struct efx_col *cols, uint32_t n_cells, const uint32_t *row,
                          uint32_t from, uint32_t n, uint64_t *hash);
/* Of one key in bytes. */
uint64_t efx_keyed__hash_key(const struct efx_keyed *t, const uint8_t *key, bool stored);
bool efx_keyed__key_equal(const struct efx_keyed *t, const uint8_t *key, const uint8_t *stored);
enum efx_rc efx_keyed__key_store(struct efx_keyed *t, const uint8_t *key, uint8_t *stored);
void efx_keyed__key_drop(struct efx_keyed *t, uint8_t *stored);

enum efx_rc efx_keyed__groups_make(struct efx_keyed *t); /* with the first key */
void efx_keyed__groups_drop(struct efx_keyed *t);
enum efx_rc efx_keyed__entry_new(struct efx_keyed *t, const uint8_t *key, uint32_t *id);
/* Takes a key of the index that has this id. */
void efx_keyed__unlink(struct efx_keyed *t, uint64_t hash, uint32_t id);
/* Id of one key in bytes, made if need be. */
enum efx_rc efx_keyed__id_of(struct efx_keyed *t, uint64_t hash, const uint8_t *key, uint32_t *id,
                             uint32_t *n_new);
uint32_t efx_keyed__lookup(const struct efx_keyed *t, uint64_t hash, const uint8_t *key);
void efx_keyed__states_fini(struct efx_keyed *t, uint32_t id);
void efx_keyed__entry_free(struct efx_keyed *t, uint32_t id);

void efx_keyed__list(struct efx_keyed *t, uint32_t id); /* as changed; if t->tracks */
void efx_keyed__touch(struct efx_keyed *t, struct efx_entry *e, uint32_t id);

/* A slab, and behind its entries their ordinals. */
static inline size_t efx_keyed__slab_bytes(const struct efx_keyed *t)
{
    return ((size_t)t->stride << t->shift) + (t->conf.ordinals ? sizeof(uint32_t) << t->shift : 0);
}

static inline struct efx_entry *efx_keyed__at(const struct efx_keyed *t, uint32_t id)
{
    size_t in_slab = id & ((1u << t->shift) - 1);
    return (struct efx_entry *)(void *)(t->slab[id >> t->shift] + in_slab * t->stride);
}

static inline uint32_t *efx_keyed__ordinal_at(const struct efx_keyed *t, uint32_t id)
{
    uint8_t *behind = t->slab[id >> t->shift] + ((size_t)t->stride << t->shift);
    return (uint32_t *)(void *)behind + (id & ((1u << t->shift) - 1));
}

static inline bool efx_keyed__stamped(const struct efx_keyed *t, const struct efx_entry *e)
{
    return (e->stamp | 1) == (t->stamp | 1);
}

/* Entries of a partition's copy lie where the copy's key does: cell 0 is the birth, which says
 * it. */
static inline uint64_t efx_keyed__place(const struct efx_keyed *t, uint64_t hash, uint64_t cell_0)
{
    uint64_t low = ~(uint64_t)0 >> 10;
    return t->conf.birth_group ? (hash & low) | (cell_0 & (EFX_KEY_GROUPS - 1)) << 54 : hash;
}

/* Section of a key's records. */
static inline uint32_t efx_keyed__section(const struct efx_keyed *t, uint64_t hash)
{
    bool fixed = t->conf.fixed_group || t->conf.n_cells == 0;
    return fixed ? t->conf.key_group : efx_hash_key_group(hash);
}

static inline bool efx_keyed__is_null(const struct efx_keyed *t, const uint8_t *key, uint32_t c)
{
    uint64_t nulls = 0;
    if (t->conf.nullable) {
        memcpy(&nulls, key, sizeof nulls);
    }
    return (nulls >> c & 1) != 0;
}

#endif /* KEYED_IN_H */
