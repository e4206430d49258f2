#ifndef LOG_IN_H
#define LOG_IN_H

#include "efx_hash.h"
#include "efx_log.h"

/* The inside of the log, shared by its files.
 *
 *   efx_log.c    segments, adding, dying
 *   log_read.c   slots, views, gathers
 *   log_save.c   mark and slices
 *   log_load.c   sections in, and in order
 *
 *   segment = head, four bitmaps, the arrays, and for each column a bitmap and a flag
 *     dead    [rows] gone                              owed  died before its running save had it
 *     died[2] [rows] gone since the last mark, by period; a save tells them unless they are
 *             behind the head, which says it for all
 *     section [rows] where a save put the row (only where rows have groups)
 *
 * A column's validity bits are made when its first NULL comes; before, its flag says none.
 * A long text is a piece of the heap: u32 its ref, then the bytes, to which the cell points.
 *
 *   Owner    one segment is kept in spare, so a log of steady length allocates nothing
 *   Limits   rows in a segment: a power of two, 64 .. EFX_BATCH_ROWS_MAX
 */
enum { LOG_REF_BYTES = sizeof(uint32_t), LOG_SECTION_WORDS = EFX_KEY_GROUPS / 64 };

struct log_seg {
    uint32_t n_live;
    uint8_t has_died[2]; /* some bit of died[i] is set */
    _Alignas(EFX_CACHE_LINE) uint8_t room[];
};

struct log_at { /* offsets in a segment's room */
    uint32_t dead, owed, died[2];
    uint32_t due, ts, turn, group, copy, section;
    uint32_t null; /* [n_cols] u8: the column has NULLs here */
};

struct log_loaded;

struct efx_log {
    struct efx_mem *mem;
    struct efx_heap *heap; /* of long texts; NULL if no column has any */
    struct efx_log_conf conf;
    struct log_at at;
    uint32_t *col_at;   /* [n_cols] */
    uint32_t *valid_at; /* [n_cols] */
    uint64_t *bits;     /* [n_cols][seg words]: validity of a view that begins within a word */
    size_t self_bytes, seg_bytes;
    uint32_t shift;       /* 2^shift rows a segment */
    struct log_seg **seg; /* [n_segs_max], by number of segment & (n_segs_max - 1) */
    struct log_seg *spare;
    uint32_t n_segs_max;
    uint64_t first, last; /* segments first .. last - 1 are there */
    uint64_t head, end;
    size_t used_bytes;

    bool saving, save_base;
    bool phase_rows;                   /* heads and deaths are out */
    uint32_t now;                      /* died[now] is filled, the other one saved */
    uint64_t marked_end;               /* end at the last mark: rows below are in some save */
    uint64_t save_keep;                /* head at the mark: segments from here stay while saving */
    uint64_t save_dead, save_dead_end; /* rows to look at for deaths */
    uint64_t save_pos, save_end;       /* rows to save */
    uint64_t saved_head;               /* that the last save told */
    uint64_t used[LOG_SECTION_WORDS];  /* sections to which saves since the base gave rows */
    uint64_t anew[LOG_SECTION_WORDS];  /* sections that came by load: rows there are void */
    struct log_loaded *loaded;         /* between load and settle */
};

void *efx_log__take(struct efx_log *l, size_t bytes);
void efx_log__give(struct efx_log *l, void *p, size_t bytes);
void efx_log__drop_texts(struct efx_log *l, uint64_t number);
void efx_log__free_behind(struct efx_log *l); /* segments that nobody needs */
void efx_log__loaded_drop(struct efx_log *l);
/* First live row at `from` or behind; end = none. */
uint64_t efx_log__live_from(const struct efx_log *l, uint64_t from);

static inline struct log_seg *efx_log__seg(const struct efx_log *l, uint64_t number)
{
    return l->seg[number >> l->shift & (l->n_segs_max - 1)];
}

static inline uint32_t efx_log__row(const struct efx_log *l, uint64_t number)
{
    return (uint32_t)number & ((1u << l->shift) - 1);
}

static inline void *efx_log__room(const struct log_seg *s, uint32_t off)
{
    return (uint8_t *)(uintptr_t)s->room + off;
}

static inline uint64_t *efx_log__map(const struct log_seg *s, uint32_t off)
{
    return efx_log__room(s, off);
}

static inline bool efx_log__has_null(const struct efx_log *l, const struct log_seg *s, uint32_t c)
{
    return s->room[l->at.null + c] != 0;
}

#endif /* LOG_IN_H */
