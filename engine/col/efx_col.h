#ifndef EFX_COL_H
#define EFX_COL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A column: a borrowed view of up to 4,096 values of one type.
 *
 *   field   shape           unit / range                              owner
 *   data    [n_rows]        C type of `type`, 64-byte aligned          step or scratch
 *   valid   [ceil(n/64)]    bit i = row i is not NULL; NULL = no NULLs  step or scratch
 *
 * A NULL row's slot holds anything, NaN included (a cell: anything but a bad pointer is not even
 * promised): kernels skip it. Views never outlive the step; who keeps a string copies its bytes.
 *
 *   Limits  EFX_BATCH_ROWS_MAX rows; a string of 2^32 - 1 bytes
 *   Order   bits past n_rows are zero in what we write and unknown in what we read
 */
enum { EFX_BATCH_ROWS_MAX = 4096, EFX_BATCH_WORDS = EFX_BATCH_ROWS_MAX / 64, EFX_CACHE_LINE = 64 };

/* With the C type of a slot. TIMESTAMP and the like are LONG milliseconds. */
enum efx_type {
    EFX_TYPE_NONE = 0, /* not known yet: a NULL literal before its place gave it a type */
    EFX_TYPE_INT = 1,  /* int32_t */
    EFX_TYPE_LONG,     /* int64_t */
    EFX_TYPE_FLOAT,    /* float */
    EFX_TYPE_DOUBLE,   /* double */
    EFX_TYPE_BOOL,     /* uint8_t, 0 or 1 */
    EFX_TYPE_STRING,   /* struct efx_cell, UTF-8 */
    EFX_TYPE_BYTES,    /* struct efx_cell */
    EFX_TYPE_OBJECT,   /* struct efx_cell, encoded value */
};
enum { EFX_TYPES = 9 };

struct efx_col {
    enum efx_type type;
    const void *data;
    const uint64_t *valid;
};

/* Bytes of a slot. */
static inline uint32_t efx_type_width(enum efx_type t)
{
    static const uint8_t width[EFX_TYPES] = {0, 4, 8, 4, 8, 1, 16, 16, 16};
    return width[t];
}

static inline bool efx_type_is_number(enum efx_type t)
{
    return t >= EFX_TYPE_INT && t <= EFX_TYPE_DOUBLE;
}

static inline bool efx_type_is_cell(enum efx_type t)
{
    return t >= EFX_TYPE_STRING;
}

const char *efx_type_name(enum efx_type t); /* "INT"; NONE is "NULL" */

/* A string in 16 bytes. Up to 12 bytes lie in the cell, zero-padded; of a longer one the first 4
 * do, so most comparisons end here, and `ptr` says where all of them are. */
enum { EFX_CELL_INLINE = 12 };

struct efx_cell {
    uint32_t len;    /* bytes */
    uint8_t head[4]; /* first bytes, zero-padded */
    union {
        uint8_t tail[8];    /* len <= 12: bytes 4 .. 11, zero-padded */
        const uint8_t *ptr; /* len > 12: all bytes, good until the step ends */
    };
};
static_assert(sizeof(struct efx_cell) == 16, "a cell is two words");

/* Good as long as *c stays where it is. */
static inline const uint8_t *efx_cell_bytes(const struct efx_cell *c)
{
    return c->len > EFX_CELL_INLINE ? c->ptr : c->head;
}

/* `bytes` must outlive the cell if there are more than 12. */
static inline struct efx_cell efx_cell_make(const void *bytes, uint32_t len)
{
    struct efx_cell c;
    memset(&c, 0, sizeof c);
    c.len = len;
    if (len > EFX_CELL_INLINE) {
        memcpy(c.head, bytes, sizeof c.head);
        c.ptr = bytes;
    } else if (len > 0) {
        memcpy((uint8_t *)&c + offsetof(struct efx_cell, head), bytes, len);
    }
    return c;
}

static inline bool efx_cell_equal(const struct efx_cell *a, const struct efx_cell *b)
{
    if (memcmp(a, b, offsetof(struct efx_cell, tail)) != 0) {
        return false; /* lengths or first bytes differ */
    }
    if (a->len <= EFX_CELL_INLINE) {
        return memcmp(a->tail, b->tail, sizeof a->tail) == 0;
    }
    return a->ptr == b->ptr || memcmp(a->ptr, b->ptr, a->len) == 0;
}

/* By code point, which for UTF-8 is by byte. */
static inline int efx_cell_compare(const struct efx_cell *a, const struct efx_cell *b)
{
    uint32_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(efx_cell_bytes(a), efx_cell_bytes(b), n);
    return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static inline uint32_t efx_words(uint32_t n_rows)
{
    return (n_rows + 63) / 64;
}

/* Word w of a row set: NULL = all rows; bits past n_rows are zero, whatever lies there. */
static inline uint64_t efx_word(const uint64_t *bits, uint32_t w, uint32_t n_rows)
{
    uint32_t left = n_rows - w * 64;
    uint64_t rows = left >= 64 ? UINT64_MAX : ~(UINT64_MAX << left);
    return bits == NULL ? rows : bits[w] & rows;
}

static inline bool efx_bit(const uint64_t *bits, uint32_t i)
{
    return bits == NULL || (bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void efx_bit_put(uint64_t *bits, uint32_t i, bool on)
{
    uint64_t bit = (uint64_t)1 << (i % 64);
    bits[i / 64] = on ? bits[i / 64] | bit : bits[i / 64] & ~bit;
}

/* data[to] = from.data[row], for any type. */
static inline void efx_col_copy_slot(void *data, uint32_t to, const struct efx_col *from,
                                     uint32_t row)
{
    switch (efx_type_width(from->type)) {
    case 1: ((uint8_t *)data)[to] = ((const uint8_t *)from->data)[row]; break;
    case 4: ((uint32_t *)data)[to] = ((const uint32_t *)from->data)[row]; break;
    case 8: ((uint64_t *)data)[to] = ((const uint64_t *)from->data)[row]; break;
    case 16: ((struct efx_cell *)data)[to] = ((const struct efx_cell *)from->data)[row]; break;
    default: break;
    }
}

#endif /* EFX_COL_H */
