#ifndef AGG_PARTS_H
#define AGG_PARTS_H

#include "agg_item.h"

/* States of containers with parts in the heap (agg_*_tmpl.h); all zero = empty. */
enum { AGG_WEDGE_FIRST = 4, AGG_WEDGE_KEPT = 16 };

struct agg_wedge {
    uint32_t ref, cap; /* cap: a power of two; 0 = no ring */
    uint32_t head, n;  /* first item, items */
    uint32_t entered;  /* rows, modulo 2^32 */
    uint32_t left;
};

struct agg_sorted {
    uint32_t ref;      /* directory */
    uint32_t n, n_max; /* blocks */
    uint32_t zero;
};

struct agg_list {
    uint32_t ref, cap; /* 0 = none */
    uint32_t head, n;
};

struct agg_counts {
    uint32_t ref, cap; /* a power of two; 0 = none */
    uint32_t n;        /* distinct values */
    uint32_t zero;
};

/* The methods of a descriptor over a container's: fn_init, fn_reset, fn_fini, fn_save … */
#define AGG_PART_METHODS(fn, S, W) AGG_PART_METHODS_(fn, S, W)
#define AGG_PART_METHODS_(fn, S, W)                                                                \
    static void fn##_init(void *state)                                                             \
    {                                                                                              \
        *(S *)state = (S){0};                                                                      \
    }                                                                                              \
    static void fn##_fini(const struct efx_states *at, void *state)                                \
    {                                                                                              \
        W##_release(at->heap, state);                                                              \
    }                                                                                              \
    static inline void fn##_reset(const struct efx_states *at, S *state)                           \
    {                                                                                              \
        W##_release(at->heap, state);                                                              \
    }                                                                                              \
    static enum efx_rc fn##_merge(const struct efx_states *at, void *into, const void *from)       \
    {                                                                                              \
        return W##_join(at->heap, into, from);                                                     \
    }                                                                                              \
    static uint32_t fn##_save_bytes(const struct efx_states *at, const void *state)                \
    {                                                                                              \
        return W##_saved_bytes(at->heap, state);                                                   \
    }                                                                                              \
    static void fn##_save(const struct efx_states *at, const void *state, struct efx_writer *w)    \
    {                                                                                              \
        W##_put(at->heap, state, w);                                                               \
    }                                                                                              \
    static enum efx_rc fn##_load(const struct efx_states *at, void *state, struct efx_reader *r)   \
    {                                                                                              \
        return W##_get(at->heap, state, r);                                                        \
    }

/* Fields of a descriptor that is written out: run_ gives run and emit, shape the rest. */
#define AGG_BASE(word, help_, removal_)                                                            \
    .base = {.abi = EFX_ABI,                                                                       \
             .vt_bytes = sizeof(struct efx_agg_vt),                                                \
             .name = word,                                                                         \
             .help = help_,                                                                        \
             .traits = {.removal = EFX_REMOVAL_##removal_}}

#define AGG_TYPES(in_, out_) .in = EFX_TYPE_##in_, .out = EFX_TYPE_##out_

#define AGG_METHODS(state, run_, shape)                                                            \
    .pairs = true, .state_bytes = sizeof(state), .init = shape##_init, .run = run_##_run,          \
    .merge = shape##_merge, .emit = run_##_emit

#endif /* AGG_PARTS_H */
