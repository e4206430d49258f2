#ifndef AGG_ITEM_H
#define AGG_ITEM_H

#include "agg_in.h"

/* What containers hold: numbers (64 bits, ranks or raw) and texts, by one set of names, so that one
 * template serves both.
 *
 *   K         item               value
 *   item_num  uint64_t           uint64_t
 *   item_text struct agg_text    struct efx_cell
 *
 *   K_keep   makes an item of a value       K_value  the value of an item (texts: into the heap)
 *   K_drop   gives its bytes back           K_equal, K_compare  item against value
 *   K_bytes, K_save, K_read                 as saved; read gives a value
 */
AGG_INLINE enum efx_rc item_num_keep(struct efx_heap *h, uint64_t v, uint64_t *item)
{
    (void)h;
    *item = v;
    return EFX_OK;
}

AGG_INLINE void item_num_drop(struct efx_heap *h, const uint64_t *item)
{
    (void)h;
    (void)item;
}

AGG_INLINE uint64_t item_num_value(const struct efx_heap *h, const uint64_t *item)
{
    (void)h;
    return *item;
}

AGG_INLINE bool item_num_equal(const struct efx_heap *h, const uint64_t *item, uint64_t v)
{
    (void)h;
    return *item == v;
}

AGG_INLINE int item_num_compare(const struct efx_heap *h, const uint64_t *item, uint64_t v)
{
    (void)h;
    return (*item > v) - (*item < v);
}

AGG_INLINE uint32_t item_num_bytes(const uint64_t *item)
{
    return (uint32_t)sizeof *item;
}

AGG_INLINE void item_num_save(const struct efx_heap *h, const uint64_t *item, struct efx_writer *w)
{
    (void)h;
    efx_put_u64(w, *item);
}

AGG_INLINE uint64_t item_num_read(struct efx_reader *r)
{
    return efx_get_u64(r);
}

static inline enum efx_rc item_text_keep(struct efx_heap *h, struct efx_cell v,
                                         struct agg_text *item)
{
    return agg_text_keep(h, &v, item);
}

static inline void item_text_drop(struct efx_heap *h, const struct agg_text *item)
{
    agg_text_drop(h, item);
}

static inline struct efx_cell item_text_value(const struct efx_heap *h, const struct agg_text *item)
{
    return agg_text_cell(h, item);
}

static inline bool item_text_equal(const struct efx_heap *h, const struct agg_text *item,
                                   struct efx_cell v)
{
    return agg_text_equal(h, item, &v);
}

static inline int item_text_compare(const struct efx_heap *h, const struct agg_text *item,
                                    struct efx_cell v)
{
    return agg_text_compare(h, item, &v);
}

static inline uint32_t item_text_bytes(const struct agg_text *item)
{
    return agg_text_bytes(item);
}

static inline void item_text_save(const struct efx_heap *h, const struct agg_text *item,
                                  struct efx_writer *w)
{
    agg_text_save(h, item, w);
}

static inline struct efx_cell item_text_read(struct efx_reader *r)
{
    return agg_text_read(r);
}

#endif /* AGG_ITEM_H */
