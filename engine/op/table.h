#ifndef TABLE_H
#define TABLE_H

#include "efx_hash.h"
#include "efx_ops.h"

/* What the files of the table in memory share: rows in slabs, indexes over them.
 *
 *   slab k    live │ pending │ seq[1024] │ stamp[1024] │ valid of col 0, 1 … │ row 0 │ row 1 │ …
 *   row       its values side by side, the widest first: who is looked up lies on one cache line
 *   row id    k * 1024 + place; ids grow in insertion order and are given anew only by compaction
 *   index     keyed table: key ─► first, last row; entry[id]; next[id], prev[id] if keys repeat
 *   text      a piece of the heap: u32 its ref, then the bytes; the cell points to them
 *
 * Row ids in links are id + 1; 0 = none. A key with a NULL is in no index: it equals nothing. Keys
 * are brought to one type first (`as`): INT as LONG, FLOAT as DOUBLE, a LONG column that is asked
 * for FLOATs as FLOAT.
 *
 * Texts that rows have let go go back to the heap in the next step: rows that were put out may
 * still point at them.
 *
 *   Owner    the shard; everything from the operator's mem
 *   Limits   2^32 - 2 rows; EFX_KEYED_CELLS_MAX columns of a key
 *   Errors   EFX_ENOMEM
 *   Threads  the shard's owner
 */
enum {
    TABLE_SLAB_SHIFT = 10,
    TABLE_SLAB_ROWS = 1 << TABLE_SLAB_SHIFT,
    TABLE_SLAB_WORDS = TABLE_SLAB_ROWS / 64,
    TABLE_SEQ_SHIFT = 10
};

struct table_slab {
    uint32_t n_live;
    uint64_t live[TABLE_SLAB_WORDS];
    uint64_t pending[TABLE_SLAB_WORDS]; /* rows that the running slice is about to change */
    uint64_t seq[TABLE_SLAB_ROWS];      /* insertion order over saves: running number, shard */
    uint32_t stamp[TABLE_SLAB_ROWS];    /* the table's at the last change; 0 = saved since */
    alignas(EFX_CACHE_LINE) uint8_t room[];
};

struct table_ends { /* state of a key: rows with it, in insertion order */
    uint32_t first, last;
};

struct table_index {
    uint32_t n_cols;
    uint32_t *cols;    /* [n_cols] ascending */
    enum efx_type *as; /* [n_cols] types of the cells */
    bool unique;
    bool primary;
    struct efx_keyed *keyed;
    struct efx_keyed_conf conf;
    struct efx_keyed_state state;
    uint32_t *entry;       /* by row id; EFX_KEYED_DEAD = key with a NULL */
    uint32_t *next, *prev; /* by row id; NULL if unique */
    uint32_t n_max[3];     /* rows there is room for in each of the three */
};

struct table_port {
    const struct efx_table_port *conf;
    struct table_index *index;            /* NULL: no equality, all rows are looked at */
    uint32_t key_of[EFX_KEYED_CELLS_MAX]; /* [n_eq] index column j is key key_of[j] of the conf */
    bool moves_keys;                      /* UPDATE sets columns that it finds rows by */
};

struct table_text { /* of the heap, given back in the next step */
    uint32_t ref, bytes;
};

struct table_list { /* of u32 */
    uint32_t *at;
    uint32_t n, n_max;
};

struct table_tomb { /* a row that is gone since the last mark */
    uint64_t seq;
    uint32_t key_group;
};

struct table_tombs {
    struct table_tomb *at;
    uint32_t n, n_max;
};

struct table_item; /* table_save.c: a record that was loaded */

struct table_view {
    struct efx_table_view base;
    struct op_table *table;
};

struct op_table {
    struct efx_op base;
    const struct efx_table_conf *conf;
    struct efx_mem *mem;
    struct efx_kg_range kg;
    uint32_t key_group; /* of rows without a primary key */
    uint32_t n_cols;
    enum efx_type *types; /* [n_cols] */
    bool *not_null;       /* [n_cols] declared, or of the primary key */
    /* Rows. */
    struct table_slab **slab;                    /* [n_slabs_max] */
    uint32_t n_slabs, n_slabs_held, n_slabs_max; /* in use; there is memory for; listed */
    uint32_t n_ids;                              /* next row id */
    uint32_t n_live;
    uint32_t *col_at;               /* [n_cols] of a value in its row */
    uint32_t row_bytes, rows_at;    /* rows_at: in a slab's room, behind the valid words */
    size_t slab_bytes, slabs_bytes; /* of one; of all that are held */
    bool *any_null;                 /* [n_cols] some row has had one */
    struct efx_heap *heap;
    struct table_text *garbage;
    uint32_t n_garbage, n_garbage_max;
    uint64_t next_seq; /* running number of the next row */
    uint64_t step_no;  /* of the last call */
    /* Indexes: those of the definition first. */
    struct table_index **index;
    uint32_t n_indexes, n_indexes_max;
    struct table_port *port; /* [conf->n_ports] */
    struct table_view view;
    uint64_t n_duplicates;
    /* Saving; see table_save.c. */
    bool marked; /* there was a mark: changes are noted */
    bool saving, save_all;
    uint32_t stamp;      /* 1 … */
    uint32_t save_at;    /* next row id, or place in save_dirty */
    uint32_t save_until; /* row ids at the mark */
    struct table_list dirty, save_dirty;
    struct table_tombs tombs, save_tombs;
    uint32_t save_tomb; /* next of save_tombs */
    struct efx_save *save_out;
    uint64_t anew[EFX_KEY_GROUPS / 64]; /* sections that came by load */
    struct table_item *item;
    uint32_t n_items, n_items_max;
    uint8_t *loaded; /* bytes of the records */
    size_t n_loaded, n_loaded_max;
    uint32_t *epoch;       /* [EFX_KEY_GROUPS] while loading */
    uint32_t loaded_stamp; /* the greatest of the records */
};

/* table_rows.c */
enum efx_rc efx_table__rows_open(struct op_table *t) EFX_MUST_USE;
void efx_table__rows_close(struct op_table *t);
/* A new row at the end with values col[c][i] (types of the table); nothing is indexed. */
enum efx_rc efx_table__row_add(struct op_table *t, const struct efx_col *cols, uint32_t i,
                               uint32_t *id) EFX_MUST_USE;
/* A new row at the end whose slots the caller fills with numbers that are there. */
enum efx_rc efx_table__row_open(struct op_table *t, uint32_t *id) EFX_MUST_USE;
/* One value of a row; touch it before. */
enum efx_rc efx_table__row_set(struct op_table *t, uint32_t id, uint32_t c,
                               const struct efx_col *from, uint32_t i) EFX_MUST_USE;
bool efx_table__row_equals(const struct op_table *t, uint32_t id, uint32_t c,
                           const struct efx_col *from, uint32_t i);
/* Takes a row out of all indexes and forgets it. */
enum efx_rc efx_table__row_del(struct op_table *t, uint32_t id) EFX_MUST_USE;
/* First live row at or behind id; n_ids = none. */
uint32_t efx_table__live_from(const struct op_table *t, uint32_t id);
/* Columns of rows id1[i] - 1 in scratch; id1[i] = 0: NULLs. */
void efx_table__gather(const struct op_table *t, const uint32_t *id1, uint32_t n,
                       struct efx_col *cols);
/* Column c of them, from place `from` on, a multiple of 64; `holes`: some id1 is 0 and must be
 * NULL, else what stands there is nobody's. */
void efx_table__gather_col(const struct op_table *t, const uint32_t *id1, uint32_t from, uint32_t n,
                           uint32_t c, bool holes, struct efx_col *out);
/* At the beginning of a step: texts go back, and too many dead rows go. */
void efx_table__step_begin(struct op_table *t, const struct efx_step *step);
void efx_table__give_texts(struct op_table *t);
enum efx_rc efx_table__grow(struct efx_mem *mem, void **list, uint32_t need, uint32_t *n_max,
                            size_t item_bytes) EFX_MUST_USE;

/* table_index.c */
enum efx_type efx_table__as(enum efx_type col, enum efx_type key);
/* An index over cols, as types `as`; the one that is there, or a new one with all rows in it. */
struct table_index *efx_table__index_find(const struct op_table *t, const uint32_t *cols,
                                          const enum efx_type *as, uint32_t n);
enum efx_rc efx_table__index_add(struct op_table *t, const uint32_t *cols, const enum efx_type *as,
                                 uint32_t n, struct table_index **out) EFX_MUST_USE;
void efx_table__index_drop(struct op_table *t, struct table_index *ix);
/* Room for row ids below n_ids in all indexes. */
enum efx_rc efx_table__index_fit(struct op_table *t, uint32_t n_ids) EFX_MUST_USE;
/* Column brought to a cell's type, at rows from .. until - 1. */
struct efx_col efx_table__cast(struct efx_ctx *ctx, const struct efx_col *col, enum efx_type as,
                               uint32_t from, uint32_t until);
/* Rows at[k] whose keys have no NULL; place[j] = k. Returns how many; `row` = their rows. */
uint32_t efx_table__not_null(const struct efx_col *keys, uint32_t n_keys, const uint32_t *at,
                             uint32_t n, uint32_t *row, uint32_t *place);
/* First row + 1 of the key keys[.][i]; 0 = none. */
uint32_t efx_table__index_first(const struct table_index *ix, const struct efx_col *keys,
                                uint32_t i);
/* Puts row `id` in, under the entry of keys[.][i] (made), in insertion order. */
enum efx_rc efx_table__index_put(struct table_index *ix, uint32_t id, const struct efx_col *keys,
                                 uint32_t i) EFX_MUST_USE;
void efx_table__index_link(struct table_index *ix, uint32_t id, uint32_t entry);
void efx_table__index_take(struct table_index *ix, uint32_t id);
/* A row's key as columns of one row; from[c] != NULL: column c's value is from[c][i] instead. */
const struct efx_col *efx_table__key_of_row(struct op_table *t, const struct table_index *ix,
                                            uint32_t id, const struct efx_col *const *from,
                                            uint32_t i);
enum efx_rc efx_table__port_open(struct op_table *t, const struct efx_table_port *conf,
                                 struct table_port *out) EFX_MUST_USE;

/* table_match.c: which rows a port's row is about. */
struct table_slice { /* rows that came by a port */
    struct op_table *t;
    const struct table_port *port;
    const struct efx_step *step;
    struct efx_rows in;
    uint32_t *at; /* [n] */
    uint32_t n;
    const struct efx_col *keys; /* [index columns] */
    uint32_t *entry;            /* [n] of the key; EFX_KEYED_DEAD = there is none, or NULL */
    struct efx_fails fails;     /* rows that failed */
    uint64_t n_changed;         /* rows of the table */
};
void efx_table__slice_init(struct table_slice *s, struct op_table *t, const struct table_port *port,
                           const struct efx_step *step, const struct efx_rows *in);
/* Evaluates the keys; finds the entries unless they will be looked up row by row. */
void efx_table__slice_keys(struct table_slice *s, bool find);
/* Candidates of row k: next(0) is the first, next(id1) the one behind; 0 = no more. */
uint32_t efx_table__next(const struct table_slice *s, uint32_t k, uint32_t id1);
/* Rows row[j] of the slice ++ table rows id1[j] - 1, as a batch in scratch. */
void efx_table__pairs(const struct table_slice *s, const uint32_t *row, const uint32_t *id1,
                      uint32_t n, struct efx_batch *b);
/* yes = pairs that `rest` is TRUE for, among those `ask` has; failures are put on their rows. */
void efx_table__rest(struct table_slice *s, const struct efx_batch *pairs, const uint32_t *row,
                     const uint64_t *ask, uint64_t *yes);
/* A failure per slot becomes one of its row. */
void efx_table__fails_of_rows(struct table_slice *s, const struct efx_fails *slots,
                              const uint32_t *row, uint32_t n);

/* table_write.c */
/* UPDATE and DELETE. `strict`: nothing is changed if anything failed. */
enum efx_rc efx_table__write(struct table_slice *s, bool strict) EFX_MUST_USE;
/* One row with the values cols[.][i] into table and indexes. *done = false: its key is there
 * already or, *code != 0, it cannot be a row. primary: its entry if known, else EFX_KEYED_DEAD. */
struct table_new {
    const struct efx_col *cols;        /* [n_cols] */
    const struct efx_col *const *keys; /* [n_keys][columns of the index] */
    uint32_t n_keys;                   /* indexes there were; an IN may have made one since */
};
enum efx_rc efx_table__insert(struct op_table *t, const struct table_new *rows, uint32_t i,
                              uint32_t primary, bool *done, uint16_t *code) EFX_MUST_USE;
/* 3102 if a NOT NULL or primary key column of row i is NULL, else 0. */
uint16_t efx_table__lacks(const struct op_table *t, const struct efx_col *cols, uint32_t i);
void efx_table__new_init(struct op_table *t, const struct efx_col *cols, uint32_t from,
                         uint32_t until, struct table_new *out);
/* Values values[k][i] into columns cols[k] of a row; *done = false: the new key is another row's,
 * or *code != 0. */
struct table_set {
    uint32_t n;
    const uint32_t *cols;
    const struct efx_col *values;
    uint32_t n_indexes; /* those that have one of the columns: rows may move in them */
    struct table_index **index;
};
/* `but`: an index whose columns keep their values; NULL = none. */
void efx_table__set_init(struct op_table *t, const struct efx_table_port *conf,
                         const struct efx_col *values, const struct table_index *but,
                         struct table_set *out);
enum efx_rc efx_table__set(struct op_table *t, uint32_t id, const struct table_set *set, uint32_t i,
                           bool *done, uint16_t *code) EFX_MUST_USE;
uint16_t efx_table__null_code(const struct op_table *t, const struct table_set *set, uint32_t i);

/* table_upsert.c: INSERT and UPSERT */
enum efx_rc efx_table__put(struct table_slice *s, bool strict) EFX_MUST_USE;

/* table_read.c */
enum efx_rc efx_table__lookup(struct table_slice *s, const struct efx_outlet *out) EFX_MUST_USE;
bool efx_table__has(const struct efx_table_view *self, uint32_t col, const struct efx_col *x,
                    uint32_t i);
bool efx_table__scan(const struct efx_table_view *self, struct efx_ctx *ctx, uint64_t *from,
                     struct efx_batch *out);

/* table_save.c */
/* Before the first change of a row after a mark: as it was goes out if a save still needs it. */
enum efx_rc efx_table__touch(struct op_table *t, uint32_t id) EFX_MUST_USE;
enum efx_rc efx_table__bury(struct op_table *t, uint32_t id) EFX_MUST_USE; /* touched, and going */
void efx_table__mark(struct efx_op *self, const struct efx_mark *mark);
enum efx_rc efx_table__slice_out(struct efx_op *self, uint32_t budget_rows, struct efx_save *out);
enum efx_rc efx_table__load(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                            struct efx_err *err);
enum efx_rc efx_table__load_end(struct efx_op *self, struct efx_err *err);
void efx_table__loaded_drop(struct op_table *t);

static inline struct table_slab *table_slab(const struct op_table *t, uint32_t id)
{
    return t->slab[id >> TABLE_SLAB_SHIFT];
}

static inline uint32_t table_place(uint32_t id)
{
    return id & (TABLE_SLAB_ROWS - 1);
}

static inline void *table_slot(const struct op_table *t, const struct table_slab *s, uint32_t place,
                               uint32_t c)
{
    return (uint8_t *)(uintptr_t)s->room + t->rows_at + (size_t)place * t->row_bytes + t->col_at[c];
}

static inline uint64_t *table_valid(const struct table_slab *s, uint32_t c)
{
    return (uint64_t *)(void *)(uintptr_t)s->room + (size_t)c * TABLE_SLAB_WORDS;
}

static inline struct table_ends *table_ends(const struct table_index *ix, uint32_t entry)
{
    return efx_keyed_state(ix->keyed, entry, 0);
}

#endif /* TABLE_H */
