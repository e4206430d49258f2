#ifndef EFX_KEYED_H
#define EFX_KEYED_H

#include "efx_agg.h"
#include "efx_heap.h"
#include "efx_save.h"

/* The keyed table: the one container of per-key state, one per (operator, shard).
 *
 *   group[1024]  made with the first key   { slot*, mask, n }                         16 B each
 *   slot         one array per key group   hash tag :32 | id + 1 :32, linear probing   8 B
 *   slab         2^shift entries each      stamp :32 | extra :32 | key cells | states  stride
 *   heap         bytes of long STRING keys; variable parts of states
 *
 * Keys are n_cells columns, each one 8-byte word or (STRING, BYTES) one 16-byte cell, normalised by
 * value: numbers that the caller has brought to one type, -0 = 0, one NaN; a NULL is a key like
 * any.
 * One LONG-like column without NULL takes the short way. A key's group is the top 10 bits of its
 * hash (efx_hash.h), its place in the group's array the tag's low bits.
 *
 * The mark raises the table's stamp and copies nothing. Between steps slices copy what was dirty at
 * the mark; what changes before its slice comes is copied by the touch, as it was.
 *
 *   stamp 7          │ mark          stamp 8
 *   a b c changed    │  slice: a     b changes: touch copies b first     slice: c     DONE
 *
 * An entry's stamp is the table's at its last change, 0 = unchanged since its last save, DEAD = no
 * entry. Dead entries are the tombstones: their ids rest, keys inside, until they are saved; in a
 * table that is never saved (no mark ever came) they are free at once.
 *
 * Records go to the section of their key group. Rows that refer to entries (a window's log) are
 * saved after DONE, by the entry's ordinal: the how-many-eth entry of its section it was.
 *
 *   Owner    slabs and arrays come from `mem`; ids are stable while a key lives
 *   Errors   EFX_ENOMEM: the table is whole, some keys of the call may be there already
 *   Limits   2^32 - 2 entries, 2^31 - 3 marks
 *   Threads  the shard's owner
 *   Order    as in efx_save.h; a slice never within a step
 */
static const uint32_t EFX_KEYED_DEAD = UINT32_MAX;
enum { EFX_KEYED_CELLS_MAX = 64 };

struct efx_entry {
    uint32_t stamp;
    uint32_t extra; /* the owner's: link of a list, flags; dead: next dead id + 1 */
    uint8_t key[];  /* u64 NULL bits if nullable, then the cells; then the states, 8-byte aligned */
};

struct efx_keyed_state {          /* one part of the states */
    const struct efx_agg_vt *agg; /* NULL: plain bytes of the owner, zero at first */
    uint32_t bytes;               /* of plain ones */
};

struct efx_keyed_conf { /* from the plan; borrowed */
    uint32_t n_cells;
    const enum efx_type *types; /* [n_cells]; none: the table has one entry, key () */
    bool nullable;              /* some key may be NULL */
    uint32_t n_states;
    const struct efx_keyed_state *states;
    bool ordinals;      /* somebody's rows refer to entries */
    uint32_t key_group; /* of keys with n_cells = 0 (and with fixed_group) */
    bool fixed_group;   /* all keys belong to key_group: placed operators */
    bool birth_group;   /* cell 0 is a partition copy's birth: its low 10 bits are the key group */
};

struct efx_keyed;

enum efx_rc efx_keyed_create(struct efx_mem *mem, struct efx_ctx *ctx,
                             const struct efx_keyed_conf *conf,
                             struct efx_keyed **out) EFX_MUST_USE;
void efx_keyed_destroy(struct efx_keyed **t);

/* Hash of key columns at `n` rows row[i] (NULL: rows 0 .. n-1): what shards and key groups are made
 * of, equal for equal values whatever the table. */
void efx_keyed_hash(const struct efx_col *cols, uint32_t n_cells, const uint32_t *row, uint32_t n,
                    uint64_t *hash);

/* Finds or makes the entries of the keys at rows row[i] of cols (NULL: rows 0 .. n-1), touches
 * them,
 * writes id[n]; *n_new counts new ones, whose states are fresh. O(n), in blocks of 256. Types of
 * cols are those of conf. */
enum efx_rc efx_keyed_ids(struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                          uint32_t n, uint32_t *id, uint32_t *n_new) EFX_MUST_USE;
/* The same without making or touching; EFX_KEYED_DEAD where there is none. */
void efx_keyed_find(const struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                    uint32_t n, uint32_t *id);
/* Removes an entry; its states' variable parts go back. */
void efx_keyed_del(struct efx_keyed *t, uint32_t id);

uint32_t efx_keyed_n(const struct efx_keyed *t);     /* live entries */
uint32_t efx_keyed_n_ids(const struct efx_keyed *t); /* ids ever given: bound of a walk */
bool efx_keyed_is_live(const struct efx_keyed *t, uint32_t id);
size_t efx_keyed_bytes(const struct efx_keyed *t);
uint32_t efx_keyed_group(const struct efx_keyed *t, uint32_t id); /* its key group */
struct efx_heap *efx_keyed_heap(const struct efx_keyed *t);

struct efx_entry *efx_keyed_at(const struct efx_keyed *t, uint32_t id);
/* The owner's plain state number k of entry id. Touch before a change. */
void *efx_keyed_state(const struct efx_keyed *t, uint32_t id, uint32_t k);
/* Key column c of the entry as a value slot; false = NULL. Long text points into the heap. */
bool efx_keyed_key(const struct efx_keyed *t, uint32_t id, uint32_t c, void *slot);
/* Where kernels find state k; good until the next efx_keyed_ids. */
struct efx_states efx_keyed_states(const struct efx_keyed *t, uint32_t k);
/* Before the first change of an entry after a mark; every later call is one comparison. */
void efx_keyed_touch(struct efx_keyed *t, uint32_t id);
/* For loops over many entries: e must be touched only if its stamp says so. Good until a mark. */
uint32_t efx_keyed_stamp(const struct efx_keyed *t);
static inline bool efx_keyed_is_touched(const struct efx_entry *e, uint32_t stamp)
{
    return (e->stamp | 1) == (stamp | 1);
}
/* All states of an entry back to fresh. */
void efx_keyed_reset(struct efx_keyed *t, uint32_t id);

/* Begins a save; the one before must be DONE. */
void efx_keyed_mark(struct efx_keyed *t, const struct efx_mark *mark);
/* Looks at about n_max entries; *out is borrowed until DONE. 0 only hands over `out`. */
enum efx_rc efx_keyed_slice(struct efx_keyed *t, uint32_t n_max, struct efx_save *out) EFX_MUST_USE;
/* Of an entry that the last save had, after its DONE. */
uint32_t efx_keyed_ordinal(const struct efx_keyed *t, uint32_t id);

struct efx_keyed_ids_out { /* of a section's entries, by ordinal */
    uint32_t *id;          /* grows from mem */
    uint32_t n, n_max;
    struct efx_mem *mem;
};
/* Applies the records of one section and leaves the reader where they end; *out says which ids its
 * entries have here, NULL = nobody asks. What came in counts as changed. EFX_EPARSE, EFX_ENOMEM. */
enum efx_rc efx_keyed_load(struct efx_keyed *t, uint32_t key_group, struct efx_reader *section,
                           struct efx_keyed_ids_out *out) EFX_MUST_USE;

#endif /* EFX_KEYED_H */
