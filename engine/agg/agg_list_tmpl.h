/* Template: values in the order in which they came; any can leave: the oldest one that is equal and
 * has the same number. Without numbers all have 0.
 *
 *   W  prefix      K  item_num or item_text      ITEM, VALUE as K says
 *
 * A piece of the heap: rows [cap], live from head to head + n - 1. To take one from the middle the
 * shorter side moves. Saved: u32 n, u64 number and item of each.
 */
#define MAKE(f) AGG_CAT(W, f)
#define ON(f)   AGG_CAT(K, f)

struct MAKE(row) {
    uint64_t number;
    ITEM item;
};

static inline struct MAKE(row) *
    MAKE(row)(const struct efx_heap *h, const struct agg_list *s, uint32_t i)
{
    return (struct MAKE(row) *)efx_heap_at(h, s->ref) + s->head + i;
}

static inline ITEM *MAKE(item)(const struct efx_heap *h, const struct agg_list *s, uint32_t i)
{
    return &MAKE(row)(h, s, i)->item;
}

static void MAKE(release)(struct efx_heap *h, struct agg_list *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        ON(drop)(h, MAKE(item)(h, s, i));
    }
    if (s->cap != 0) {
        efx_heap_put(h, s->ref, s->cap * (uint32_t)sizeof(struct MAKE(row)));
    }
    *s = (struct agg_list){0};
}

/* Room behind the last item: what has left in front is used before the list grows. */
static enum efx_rc MAKE(room)(struct efx_heap *h, struct agg_list *s)
{
    if (s->head + s->n < s->cap) {
        return EFX_OK;
    }
    if (s->head > s->cap / 2) {
        memmove(efx_heap_at(h, s->ref), MAKE(row)(h, s, 0), s->n * sizeof(struct MAKE(row)));
        s->head = 0;
        return EFX_OK;
    }
    uint32_t ref, cap = s->cap == 0 ? 4 : s->cap * 2;
    EFX_RET(efx_heap_get(h, cap * (uint32_t)sizeof(struct MAKE(row)), &ref));
    if (s->cap != 0) {
        memcpy(efx_heap_at(h, ref), MAKE(row)(h, s, 0), s->n * sizeof(struct MAKE(row)));
        efx_heap_put(h, s->ref, s->cap * (uint32_t)sizeof(struct MAKE(row)));
    }
    *s = (struct agg_list){.ref = ref, .cap = cap, .n = s->n};
    return EFX_OK;
}

static enum efx_rc MAKE(enter)(struct efx_heap *h, struct agg_list *s, VALUE v, uint64_t number)
{
    EFX_RET(MAKE(room)(h, s));
    EFX_RET(ON(keep)(h, v, MAKE(item)(h, s, s->n)));
    MAKE(row)(h, s, s->n)->number = number;
    s->n++;
    return EFX_OK;
}

static void MAKE(leave)(struct efx_heap *h, struct agg_list *s, VALUE v, uint64_t number)
{
    uint32_t i = 0;
    while (i < s->n &&
           (MAKE(row)(h, s, i)->number != number || !ON(equal)(h, MAKE(item)(h, s, i), v))) {
        i++;
    }
    if (i == s->n) {
        return;
    }
    struct MAKE(row) *row = MAKE(row)(h, s, 0);
    ON(drop)(h, &row[i].item);
    s->n--;
    if (i <= s->n / 2) {
        memmove(row + 1, row, i * sizeof *row);
        s->head++;
    } else {
        memmove(row + i, row + i + 1, (s->n - i) * sizeof *row);
    }
    if (s->n == 0) {
        MAKE(release)(h, s);
    }
}

static enum efx_rc MAKE(join)(struct efx_heap *h, struct agg_list *a, const struct agg_list *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        VALUE v = ON(value)(h, MAKE(item)(h, b, i));
        EFX_RET(MAKE(enter)(h, a, v, MAKE(row)(h, b, i)->number));
    }
    return EFX_OK;
}

static uint32_t MAKE(saved_bytes)(const struct efx_heap *h, const struct agg_list *s)
{
    uint32_t n = sizeof(uint32_t);
    for (uint32_t i = 0; i < s->n; i++) {
        n += (uint32_t)sizeof(uint64_t) + ON(bytes)(MAKE(item)(h, s, i));
    }
    return n;
}

static void MAKE(put)(const struct efx_heap *h, const struct agg_list *s, struct efx_writer *w)
{
    efx_put_u32(w, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        efx_put_u64(w, MAKE(row)(h, s, i)->number);
        ON(save)(h, MAKE(item)(h, s, i), w);
    }
}

static enum efx_rc MAKE(get)(struct efx_heap *h, struct agg_list *s, struct efx_reader *r)
{
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint64_t number = efx_get_u64(r);
        VALUE v = ON(read)(r);
        EFX_RET(r->bad ? EFX_EPARSE : MAKE(enter)(h, s, v, number));
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

#undef MAKE
#undef ON
#undef W
