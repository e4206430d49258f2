/* Template: a queue from whose back a new value takes those that can never be the answer again.
 *
 *   rows    5  3  4  7        kept (smallest wanted)   3 4 7     front = the answer
 *   BEATEN  item >= value     wedge                    a row is told by its number, so what leaves
 *           never             plain queue              is found without looking at values
 *
 *   W     prefix            K      item_num or item_text
 *   ITEM, VALUE             as K says
 *   BEATEN(heap, const ITEM *, VALUE)
 *
 * A piece of the heap is a ring: ITEM [cap], then row numbers u32 [cap]. Saved: u32 rows, u32
 * items, then for each u32 place among the rows, item.
 */
#define MAKE(f) AGG_CAT(W, f)
#define ON(f)   AGG_CAT(K, f)

static inline uint32_t MAKE(piece)(uint32_t cap)
{
    return cap * (uint32_t)(sizeof(ITEM) + sizeof(uint32_t));
}

AGG_INLINE ITEM *MAKE(item)(const struct efx_heap *h, const struct agg_wedge *s, uint32_t i)
{
    return (ITEM *)efx_heap_at(h, s->ref) + ((s->head + i) & (s->cap - 1));
}

AGG_INLINE uint32_t *MAKE(seq)(const struct efx_heap *h, const struct agg_wedge *s, uint32_t i)
{
    ITEM *items = efx_heap_at(h, s->ref);
    return (uint32_t *)(void *)(items + s->cap) + ((s->head + i) & (s->cap - 1));
}

static void MAKE(release)(struct efx_heap *h, struct agg_wedge *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        ON(drop)(h, MAKE(item)(h, s, i));
    }
    if (s->cap != 0) {
        efx_heap_put(h, s->ref, MAKE(piece)(s->cap));
    }
    *s = (struct agg_wedge){0};
}

static enum efx_rc MAKE(grow)(struct efx_heap *h, struct agg_wedge *s)
{
    struct agg_wedge next = *s;
    next.cap = s->cap == 0 ? AGG_WEDGE_FIRST : s->cap * 2;
    next.head = 0;
    EFX_RET(efx_heap_get(h, MAKE(piece)(next.cap), &next.ref));
    for (uint32_t i = 0; i < s->n; i++) {
        *MAKE(item)(h, &next, i) = *MAKE(item)(h, s, i);
        *MAKE(seq)(h, &next, i) = *MAKE(seq)(h, s, i);
    }
    if (s->cap != 0) {
        efx_heap_put(h, s->ref, MAKE(piece)(s->cap));
    }
    *s = next;
    return EFX_OK;
}

AGG_INLINE enum efx_rc MAKE(push)(struct efx_heap *h, struct agg_wedge *s, VALUE v, uint32_t seq)
{
    while (s->n > 0 && BEATEN(h, MAKE(item)(h, s, s->n - 1), v)) {
        ON(drop)(h, MAKE(item)(h, s, s->n - 1));
        s->n--;
    }
    if (__builtin_expect(s->n == s->cap, 0)) {
        EFX_RET(MAKE(grow)(h, s));
    }
    EFX_RET(ON(keep)(h, v, MAKE(item)(h, s, s->n)));
    *MAKE(seq)(h, s, s->n) = seq;
    s->n++;
    return EFX_OK;
}

AGG_INLINE enum efx_rc MAKE(enter)(struct efx_heap *h, struct agg_wedge *s, VALUE v)
{
    EFX_RET(MAKE(push)(h, s, v, s->entered));
    s->entered++;
    return EFX_OK;
}

/* The oldest row leaves. An empty state keeps only a small ring. */
AGG_INLINE void MAKE(leave)(struct efx_heap *h, struct agg_wedge *s)
{
    if (s->n == 0) {
        return;
    }
    if (*MAKE(seq)(h, s, 0) == s->left) {
        ON(drop)(h, MAKE(item)(h, s, 0));
        s->head = (s->head + 1) & (s->cap - 1);
        s->n--;
    }
    s->left++;
    if (__builtin_expect(s->n == 0 && s->cap > AGG_WEDGE_KEPT, 0)) {
        MAKE(release)(h, s);
    }
}

static enum efx_rc MAKE(join)(struct efx_heap *h, struct agg_wedge *a, const struct agg_wedge *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        VALUE v = ON(value)(h, MAKE(item)(h, b, i));
        EFX_RET(MAKE(push)(h, a, v, a->entered + (*MAKE(seq)(h, b, i) - b->left)));
    }
    a->entered += b->entered - b->left;
    return EFX_OK;
}

static uint32_t MAKE(saved_bytes)(const struct efx_heap *h, const struct agg_wedge *s)
{
    uint32_t n = 2 * sizeof(uint32_t);
    for (uint32_t i = 0; i < s->n; i++) {
        n += (uint32_t)sizeof(uint32_t) + ON(bytes)(MAKE(item)(h, s, i));
    }
    return n;
}

static void MAKE(put)(const struct efx_heap *h, const struct agg_wedge *s, struct efx_writer *w)
{
    efx_put_u32(w, s->entered - s->left);
    efx_put_u32(w, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        efx_put_u32(w, *MAKE(seq)(h, s, i) - s->left);
        ON(save)(h, MAKE(item)(h, s, i), w);
    }
}

static enum efx_rc MAKE(get)(struct efx_heap *h, struct agg_wedge *s, struct efx_reader *r)
{
    s->entered = efx_get_u32(r);
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t seq = efx_get_u32(r);
        VALUE v = ON(read)(r);
        if (r->bad || seq >= s->entered) {
            return EFX_EPARSE;
        }
        EFX_RET(MAKE(push)(h, s, v, seq));
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

#undef MAKE
#undef ON
#undef W
#undef BEATEN
