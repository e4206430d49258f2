#ifndef BATCH_H
#define BATCH_H

#include "batch_in.h"

/* Shared by batch_in.c (reading and checking a message), batch_cols.c and batch_rows.c (into
 * builders, by form).
 */
enum { VIEWS = 256 };

struct views { /* of rows */
    uint32_t n;
    struct efx_bytes v[VIEWS];
    struct views *next;
};

struct batch_col {         /* as sent */
    struct efx_bytes name; /* empty: the next one */
    enum efx_type type;    /* NONE: not said, or none that is known */
    struct efx_bytes nulls, fixed, ends, heap;
    uint32_t to; /* column of the schema */
    struct batch_col *next;
};

struct batch {
    uint16_t stream;
    const struct efx_schema *schema;
    struct efx_bytes stream_name;
    uint64_t row_count; /* as said, of the column form */
    uint32_t n_rows;
    bool as_rows;
    struct efx_bytes ts_ms;
    uint32_t n_cols; /* sent */
    struct batch_col *cols, **last_col;
    struct batch_col **by_col; /* [schema n_cols] of the column form; NULL = not sent */
    const uint32_t *to;        /* [n_to] of the row form: place of value i */
    uint32_t n_to;
    struct views *views, **last_view;
    bool checked; /* of the column form: bad, any_bad are known */
    bool any_bad;
    uint64_t *bad;          /* [words] rows that are rejected */
    const struct views *at; /* of the row form: where `row` lies */
    uint32_t at_first;      /* row of at->v[0] */
    struct batch *next;
};

/* Why a row is rejected; code 0: it is not. */
struct batch_fault {
    uint16_t code;
    uint32_t col;
    const char *reason;
};

enum efx_rc efx_batch__malformed(struct efx_err *err, const char *what);
/* One reject, as a turn and as an answer. */
enum efx_rc efx_batch__reject(struct batch_in *in, struct efx_builder *b, const struct batch *k,
                              const struct batch_fault *f);

/* Columns: lengths and types; then up to n rows from in->row. */
enum efx_rc efx_batch__check_cols(struct batch_in *in, struct batch *k, struct efx_err *err);
enum efx_rc efx_batch__fill_cols(struct batch_in *in, struct batch *k, struct efx_builder *b);
/* Rows: the same. */
enum efx_rc efx_batch__check_rows(struct batch_in *in, struct batch *k, struct efx_err *err);
enum efx_rc efx_batch__fill_row(struct batch_in *in, struct batch *k, struct efx_builder *b);

#endif /* BATCH_H */
