#ifndef LIMIT_H
#define LIMIT_H

#include "efx_ops.h"

/* Private to op_limit.c and limit_save.c: what a limiter holds.
 *
 *   copy   │ n │ chain: rows (ALL) or groups (LAST), first-seen order
 *   group  │ FIRST: how many since the one that passed, when it passed │ LAST: its last row, next
 *   held   │ ts, turn, birth, kind │ the row as bytes (efx_rowbytes.h)
 *
 * Columns of a row that arrives: the target's, the group's, then copy id and birth if partitioned.
 */
enum { LIMIT_ROWS = 256 };

struct limit_copy {
    uint64_t birth;
    int64_t n;           /* rows since the last release */
    uint32_t head, tail; /* ALL: refs of the heap; LAST: group id + 1; 0 = none */
    uint32_t n_held;
    uint32_t known;
};

struct limit_group {
    int64_t n;         /* FIRST n: since the one that passed; FIRST d: 1 = one has passed */
    int64_t passed_ms; /* FIRST d */
    uint32_t last;     /* LAST: ref */
    uint32_t next;     /* LAST: group id + 1 */
};

struct limit_held {
    int64_t ts_ms;
    uint64_t turn; /* that orders it among shards */
    uint64_t birth;
    uint32_t next; /* ALL */
    uint32_t bytes;
    uint32_t group; /* its key group is where the row is saved */
    uint8_t kind;
};

struct limit_loaded { /* a held row between load and load_end */
    uint64_t birth, turn, seq;
    uint32_t copy, group, ref;
};

struct limit_cause { /* why rows are released */
    efx_moment moment;
    int64_t clk_ms;
    bool timer;
    uint64_t sub; /* !timer: of the row that completed the number */
};

struct op_limit {
    struct efx_op base;
    const struct efx_limit_conf *conf;
    struct efx_mem *mem;
    uint32_t n_kept; /* visible columns, and copy and birth if they pass on */
    const enum efx_type *types;
    struct efx_keyed *copies, *groups;
    struct efx_heap *heap;
    uint64_t last_turn; /* of the row that was held last: turns never fall, a load sorts by them */
    uint32_t n_order, n_order_max;
    uint32_t *order; /* copies by birth */
    uint64_t n_held;
    int64_t due_ms;
    bool stopped; /* what comes after that stays */
    bool marked;
    uint32_t n_birth;               /* 1 inside a PARTITION */
    const enum efx_type *key_types; /* birth, group columns */
    struct limit_loaded *loaded;
    uint32_t n_loaded, n_loaded_max;
};

enum efx_rc efx_limit__order(struct op_limit *self, uint32_t copy);
void efx_limit__mark(struct efx_op *op, const struct efx_mark *mark);
enum efx_rc efx_limit__slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out);
void efx_limit__load_begin(struct efx_op *op);
enum efx_rc efx_limit__load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                            struct efx_err *err);
enum efx_rc efx_limit__load_end(struct efx_op *op, struct efx_err *err);

#endif /* LIMIT_H */
