/* Template: value → how many rows have it. Open addressing, linear probing, load up to 3/4; what
 * leaves is closed up, so there are no tombstones.
 *
 *   W  prefix      K  item_num or item_text      ITEM, VALUE as K says
 *   HASH  (VALUE) → uint32_t
 *
 * A piece of the heap: struct slot [cap]; count 0 = empty. Saved: u32 n, then for each item, u32
 * count.
 */
#define MAKE(f) AGG_CAT(W, f)
#define ON(f)   AGG_CAT(K, f)
#define SLOT    struct MAKE(slot)

SLOT
{
    ITEM item;
    uint64_t count : 32, hash : 32;
};

static inline SLOT *MAKE(slots)(const struct efx_heap *h, const struct agg_counts *s)
{
    return efx_heap_at(h, s->ref);
}

static void MAKE(release)(struct efx_heap *h, struct agg_counts *s)
{
    for (uint32_t i = 0; i < s->cap; i++) {
        if (MAKE(slots)(h, s)[i].count != 0) {
            ON(drop)(h, &MAKE(slots)(h, s)[i].item);
        }
    }
    if (s->cap != 0) {
        efx_heap_put(h, s->ref, s->cap * (uint32_t)sizeof(SLOT));
    }
    *s = (struct agg_counts){0};
}

static enum efx_rc MAKE(grow)(struct efx_heap *h, struct agg_counts *s)
{
    uint32_t ref, cap = s->cap == 0 ? 4 : s->cap * 2;
    EFX_RET(efx_heap_get(h, cap * (uint32_t)sizeof(SLOT), &ref));
    SLOT *to = memset(efx_heap_at(h, ref), 0, cap * sizeof(SLOT));
    for (uint32_t k = 0; k < s->cap; k++) {
        const SLOT *from = &MAKE(slots)(h, s)[k];
        if (from->count != 0) {
            uint32_t i = from->hash & (cap - 1);
            while (to[i].count != 0) {
                i = (i + 1) & (cap - 1);
            }
            to[i] = *from;
        }
    }
    if (s->cap != 0) {
        efx_heap_put(h, s->ref, s->cap * (uint32_t)sizeof(SLOT));
    }
    s->ref = ref;
    s->cap = cap;
    return EFX_OK;
}

/* The slot of the value, else the empty one where it would be. There is one: load <= 3/4. */
static inline SLOT *MAKE(find)(const struct efx_heap *h, const struct agg_counts *s, VALUE v,
                               uint32_t hash)
{
    SLOT *slot = MAKE(slots)(h, s);
    uint32_t i = hash & (s->cap - 1);
    while (slot[i].count != 0 && (slot[i].hash != hash || !ON(equal)(h, &slot[i].item, v))) {
        i = (i + 1) & (s->cap - 1);
    }
    return &slot[i];
}

/* `count` rows with this value come; *is_new: it was not there. */
static enum efx_rc MAKE(add)(struct efx_heap *h, struct agg_counts *s, VALUE v, uint32_t count,
                             bool *is_new)
{
    uint32_t hash = HASH(v);
    SLOT *slot = s->cap == 0 ? NULL : MAKE(find)(h, s, v, hash);
    *is_new = slot == NULL || slot->count == 0;
    if (!*is_new) {
        slot->count += count;
        return EFX_OK;
    }
    if ((s->n + 1) * 4 > s->cap * 3) {
        EFX_RET(MAKE(grow)(h, s));
        slot = MAKE(find)(h, s, v, hash);
    }
    EFX_RET(ON(keep)(h, v, &slot->item));
    slot->count = count;
    slot->hash = hash;
    s->n++;
    return EFX_OK;
}

/* A row with this value leaves; true = it was the last. */
static bool MAKE(take)(struct efx_heap *h, struct agg_counts *s, VALUE v)
{
    SLOT *slot = s->cap == 0 ? NULL : MAKE(find)(h, s, v, HASH(v));
    if (slot == NULL || slot->count == 0 || --slot->count != 0) {
        return false;
    }
    ON(drop)(h, &slot->item);
    if (--s->n == 0) {
        MAKE(release)(h, s);
        return true;
    }
    SLOT *slots = MAKE(slots)(h, s);
    uint32_t mask = s->cap - 1, i = (uint32_t)(slot - slots);
    for (uint32_t j = (i + 1) & mask; slots[j].count != 0; j = (j + 1) & mask) {
        uint32_t home = (uint32_t)slots[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            slots[i] = slots[j];
            slots[j].count = 0;
            i = j;
        }
    }
    return true;
}

static uint32_t MAKE(saved_bytes)(const struct efx_heap *h, const struct agg_counts *s)
{
    uint32_t n = sizeof(uint32_t);
    for (uint32_t i = 0; i < s->cap; i++) {
        const SLOT *slot = &MAKE(slots)(h, s)[i];
        n += slot->count == 0 ? 0 : ON(bytes)(&slot->item) + (uint32_t)sizeof(uint32_t);
    }
    return n;
}

static void MAKE(put)(const struct efx_heap *h, const struct agg_counts *s, struct efx_writer *w)
{
    efx_put_u32(w, s->n);
    for (uint32_t i = 0; i < s->cap; i++) {
        const SLOT *slot = &MAKE(slots)(h, s)[i];
        if (slot->count != 0) {
            ON(save)(h, &slot->item, w);
            efx_put_u32(w, slot->count);
        }
    }
}

static enum efx_rc MAKE(get)(struct efx_heap *h, struct agg_counts *s, struct efx_reader *r)
{
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        bool is_new;
        VALUE v = ON(read)(r);
        uint32_t count = efx_get_u32(r);
        if (r->bad || count == 0) {
            return EFX_EPARSE;
        }
        EFX_RET(MAKE(add)(h, s, v, count, &is_new));
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

#undef MAKE
#undef ON
#undef SLOT
#undef W
#undef HASH
