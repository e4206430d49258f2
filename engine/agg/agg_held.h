#ifndef AGG_HELD_H
#define AGG_HELD_H

#include "agg_parts.h"

/* One text that a state holds, and a number of rows; n = 0: none. As saved: u64 n, the text. */
struct agg_held {
    struct agg_text text;
    uint64_t n;
};

static inline void agg_held_release(struct efx_heap *h, struct agg_held *s)
{
    if (s->n > 0) {
        agg_text_drop(h, &s->text);
    }
    *s = (struct agg_held){0};
}

/* Another text in place of the one that is held; n stays, or becomes 1. */
static inline enum efx_rc agg_held_set(struct efx_heap *h, struct agg_held *s, struct efx_cell v)
{
    struct agg_text text;
    EFX_RET(agg_text_keep(h, &v, &text));
    if (s->n > 0) {
        agg_text_drop(h, &s->text);
    }
    s->text = text;
    s->n += s->n == 0;
    return EFX_OK;
}

static inline uint32_t agg_held_saved_bytes(const struct efx_heap *h, const struct agg_held *s)
{
    (void)h;
    return (uint32_t)sizeof s->n + (s->n > 0 ? agg_text_bytes(&s->text) : 0);
}

static inline void agg_held_put(const struct efx_heap *h, const struct agg_held *s,
                                struct efx_writer *w)
{
    efx_put_u64(w, s->n);
    if (s->n > 0) {
        agg_text_save(h, &s->text, w);
    }
}

static inline enum efx_rc agg_held_get(struct efx_heap *h, struct agg_held *s, struct efx_reader *r)
{
    uint64_t n = efx_get_u64(r);
    if (n > 0 && !r->bad) {
        struct efx_cell v = agg_text_read(r);
        EFX_RET(r->bad ? EFX_EPARSE : agg_held_set(h, s, v));
        s->n = n;
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

static inline bool agg_held_value(const struct efx_states *at, const struct agg_held *s,
                                  struct efx_cell *to)
{
    if (s->n == 0) {
        memset(to, 0, sizeof *to);
        return false;
    }
    *to = agg_text_result(at, &s->text);
    return true;
}

#endif /* AGG_HELD_H */
