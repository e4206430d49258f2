#ifndef AGG_TEST_H
#define AGG_TEST_H

#include "efx_aggs.h"
#include "efx_heap.h"

/* States of one aggregate in a slab of their own, as a keyed table would have them. */
enum { STATES = 4, STATE_MAX = 128 };

struct states {
    struct efx_states at;
    uint8_t *slab[1];
    _Alignas(8) uint8_t bytes[STATES * STATE_MAX];
};

static inline void states_init(struct states *s, const struct efx_agg_vt *vt, struct efx_heap *heap,
                               struct efx_ctx *ctx)
{
    s->slab[0] = s->bytes;
    s->at = (struct efx_states){
        .slab = s->slab, .shift = 2, .stride = STATE_MAX, .heap = heap, .ctx = ctx};
    for (uint32_t i = 0; i < STATES; i++) {
        vt->init(efx_state_at(&s->at, i));
    }
}

static inline void states_fini(struct states *s, const struct efx_agg_vt *vt)
{
    for (uint32_t i = 0; i < STATES && vt->fini != NULL; i++) {
        vt->fini(&s->at, efx_state_at(&s->at, i));
    }
}

static inline const struct efx_agg_vt *agg_find(const char *name, enum efx_type in)
{
    for (uint32_t i = 0; i < efx_n_aggs; i++) {
        if (efx_aggs[i]->in == in && strcmp(efx_aggs[i]->base.name, name) == 0) {
            return efx_aggs[i];
        }
    }
    return NULL;
}

#endif /* AGG_TEST_H */
