#ifndef AGG_IN_H
#define AGG_IN_H

#include "efx_agg.h"
#include "efx_heap.h"

/* What the files of this room share: how descriptors are written, ranks of numbers, kept texts.
 *
 *   rank   a number as 64 bits that sort like it: NaN greatest and one, -0 = 0. What is greatest
 *          first is kept as ~rank, so every container only knows the smallest
 *   text   a cell in the heap's terms: up to 12 bytes inline, else a ref
 */
enum { AGG_ERROR_SUM_RANGE = 3104 };

#define AGG_CAT_(a, b) a##_##b
#define AGG_CAT(a, b)  AGG_CAT_(a, b)
#define AGG_INLINE     static inline __attribute__((always_inline))

/* fn: prefix of run, emit, merge, init. More fields may follow. */
#define AGG_VT(sym, name_, removal_, in_, out_, state_, fn, help_, ...)                            \
    extern const struct efx_agg_vt efx_agg__##sym;                                                 \
    const struct efx_agg_vt efx_agg__##sym = {                                                     \
        .base = {.abi = EFX_ABI,                                                                   \
                 .vt_bytes = sizeof(struct efx_agg_vt),                                            \
                 .name = name_,                                                                    \
                 .help = help_,                                                                    \
                 .traits = {.removal = EFX_REMOVAL_##removal_}},                                   \
        .in = EFX_TYPE_##in_,                                                                      \
        .out = EFX_TYPE_##out_,                                                                    \
        .pairs = true,                                                                             \
        .state_bytes = sizeof(state_),                                                             \
        .init = fn##_init,                                                                         \
        .run = fn##_run,                                                                           \
        .merge = fn##_merge,                                                                       \
        .emit = fn##_emit,                                                                         \
        __VA_ARGS__}

#define AGG_PARTS(fn)                                                                              \
    .fini = fn##_fini, .save_bytes = fn##_save_bytes, .save = fn##_save, .load = fn##_load

/* All ops on one entry: its state can stay in registers. */
static inline bool agg_one_id(const struct efx_agg_in *in)
{
    uint32_t differs = 0;
    for (uint32_t i = 0; i < in->n; i++) {
        differs |= in->id[i] ^ in->id[0];
    }
    return differs == 0;
}

/* ---- ranks */

static inline uint64_t agg_rank_long(int64_t v)
{
    return (uint64_t)v ^ (uint64_t)1 << 63;
}

static inline int64_t agg_long_of(uint64_t rank)
{
    return (int64_t)(rank ^ (uint64_t)1 << 63);
}

static inline uint64_t agg_rank_double(double v)
{
    double d = v != v ? __builtin_nan("") : v + 0.0;
    uint64_t w;
    memcpy(&w, &d, sizeof w);
    uint64_t flip = (uint64_t)((int64_t)w >> 63) | (uint64_t)1 << 63;
    return w ^ flip;
}

static inline double agg_double_of(uint64_t rank)
{
    uint64_t flip = (uint64_t)((int64_t)~rank >> 63) | (uint64_t)1 << 63;
    uint64_t w = rank ^ flip;
    double d;
    memcpy(&d, &w, sizeof d);
    return d;
}

static inline uint64_t agg_rank_int(int32_t v)
{
    return agg_rank_long(v);
}
static inline int32_t agg_int_of(uint64_t rank)
{
    return (int32_t)agg_long_of(rank);
}
static inline uint64_t agg_rank_float(float v)
{
    return agg_rank_double((double)v);
}
static inline float agg_float_of(uint64_t rank)
{
    return (float)agg_double_of(rank);
}

/* ---- kept texts */

struct agg_text {
    uint32_t len;
    uint8_t head[4];
    union {
        uint8_t tail[8];
        uint32_t ref; /* len > 12 */
    };
};

static inline enum efx_rc agg_text_keep(struct efx_heap *h, const struct efx_cell *cell,
                                        struct agg_text *out)
{
    memcpy(out, cell, sizeof *out);
    if (cell->len > EFX_CELL_INLINE) {
        uint32_t ref;
        EFX_RET(efx_heap_get(h, cell->len, &ref));
        memcpy(efx_heap_at(h, ref), cell->ptr, cell->len);
        memset(out->tail, 0, sizeof out->tail);
        out->ref = ref;
    }
    return EFX_OK;
}

static inline void agg_text_drop(struct efx_heap *h, const struct agg_text *text)
{
    if (text->len > EFX_CELL_INLINE) {
        efx_heap_put(h, text->ref, text->len);
    }
}

/* Points into the heap: good until the text is dropped. */
static inline struct efx_cell agg_text_cell(const struct efx_heap *h, const struct agg_text *text)
{
    struct efx_cell cell;
    memcpy(&cell, text, sizeof cell);
    if (text->len > EFX_CELL_INLINE) {
        cell.ptr = efx_heap_at(h, text->ref);
    }
    return cell;
}

/* A result: its bytes live until the step ends. */
static inline struct efx_cell agg_text_result(const struct efx_states *at,
                                              const struct agg_text *text)
{
    struct efx_cell cell = agg_text_cell(at->heap, text);
    return cell.len > EFX_CELL_INLINE ? efx_ctx_cell(at->ctx, cell.ptr, cell.len) : cell;
}

static inline int agg_text_compare(const struct efx_heap *h, const struct agg_text *text,
                                   const struct efx_cell *cell)
{
    struct efx_cell own = agg_text_cell(h, text);
    return efx_cell_compare(&own, cell);
}

static inline bool agg_text_equal(const struct efx_heap *h, const struct agg_text *text,
                                  const struct efx_cell *cell)
{
    struct efx_cell own = agg_text_cell(h, text);
    return efx_cell_equal(&own, cell);
}

static inline uint32_t agg_text_bytes(const struct agg_text *text)
{
    return (uint32_t)sizeof(uint32_t) + text->len;
}

static inline void agg_text_save(const struct efx_heap *h, const struct agg_text *text,
                                 struct efx_writer *w)
{
    struct efx_cell cell = agg_text_cell(h, text);
    efx_put_u32(w, cell.len);
    efx_put_raw(w, efx_cell_bytes(&cell), cell.len);
}

/* Points into the reader's bytes. */
static inline struct efx_cell agg_text_read(struct efx_reader *r)
{
    struct efx_bytes bytes = efx_get_view(r, efx_get_u32(r));
    return efx_cell_make(bytes.p, (uint32_t)bytes.n);
}

#endif /* AGG_IN_H */
