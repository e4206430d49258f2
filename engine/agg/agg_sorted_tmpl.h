/* Template: a multiset in order, values with counts in blocks of 32; any value can leave.
 *
 *   directory  ref ref ref …        in a piece of the heap, by first value
 *   block      n │ item[32] │ count[32]       a full one is split, a thin one joined to its next
 *
 *   W  prefix      K  item_num or item_text      ITEM, VALUE as K says
 *   DOWN  1: greatest first, else 0
 *
 * O(log n) to find, a move within a block and now and then of the directory to change. Saved: u32
 * distinct values, then for each item, u32 count.
 */
#define MAKE(f)   AGG_CAT(W, f)
#define ON(f)     AGG_CAT(K, f)
#define BLOCK     struct MAKE(block)
#define BLOCK_LEN 32

BLOCK
{
    uint32_t n;
    uint32_t count[BLOCK_LEN];
    ITEM item[BLOCK_LEN];
};

static inline int MAKE(order)(const struct efx_heap *h, const ITEM *item, VALUE v)
{
    int c = ON(compare)(h, item, v);
    return DOWN ? -c : c;
}

static inline BLOCK *MAKE(block_at)(const struct efx_heap *h, const struct agg_sorted *s,
                                    uint32_t b)
{
    const uint32_t *dir = efx_heap_at(h, s->ref);
    return efx_heap_at(h, dir[b]);
}

/* Room for one more block. */
static enum efx_rc MAKE(dir_room)(struct efx_heap *h, struct agg_sorted *s)
{
    uint32_t ref, max = s->n_max == 0 ? 4 : s->n_max * 2;
    if (s->n < s->n_max) {
        return EFX_OK;
    }
    EFX_RET(efx_heap_get(h, max * (uint32_t)sizeof(uint32_t), &ref));
    if (s->n_max != 0) {
        memcpy(efx_heap_at(h, ref), efx_heap_at(h, s->ref), s->n * sizeof(uint32_t));
        efx_heap_put(h, s->ref, s->n_max * (uint32_t)sizeof(uint32_t));
    }
    s->ref = ref;
    s->n_max = max;
    return EFX_OK;
}

/* A new, empty block at place b of the directory. */
static enum efx_rc MAKE(block_new)(struct efx_heap *h, struct agg_sorted *s, uint32_t b)
{
    uint32_t ref;
    EFX_RET(MAKE(dir_room)(h, s));
    EFX_RET(efx_heap_get(h, sizeof(BLOCK), &ref));
    uint32_t *dir = efx_heap_at(h, s->ref);
    memmove(dir + b + 1, dir + b, (s->n - b) * sizeof *dir);
    dir[b] = ref;
    s->n++;
    ((BLOCK *)efx_heap_at(h, ref))->n = 0;
    return EFX_OK;
}

static void MAKE(block_drop)(struct efx_heap *h, struct agg_sorted *s, uint32_t b)
{
    uint32_t *dir = efx_heap_at(h, s->ref);
    efx_heap_put(h, dir[b], sizeof(BLOCK));
    memmove(dir + b, dir + b + 1, (s->n - b - 1) * sizeof *dir);
    if (--s->n == 0) {
        efx_heap_put(h, s->ref, s->n_max * (uint32_t)sizeof(uint32_t));
        *s = (struct agg_sorted){0};
    }
}

/* The block where the value is or belongs. */
static uint32_t MAKE(block_of)(const struct efx_heap *h, const struct agg_sorted *s, VALUE v)
{
    uint32_t lo = 0, hi = s->n; /* first block whose first item is behind v */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (MAKE(order)(h, &MAKE(block_at)(h, s, mid)->item[0], v) > 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo == 0 ? 0 : lo - 1;
}

/* First place in the block whose item is not before v. */
static uint32_t MAKE(place_of)(const struct efx_heap *h, const BLOCK *b, VALUE v)
{
    uint32_t lo = 0, hi = b->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (MAKE(order)(h, &b->item[mid], v) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void MAKE(move)(BLOCK *to, uint32_t at, const BLOCK *from, uint32_t i, uint32_t n)
{
    memmove(to->item + at, from->item + i, n * sizeof to->item[0]);
    memmove(to->count + at, from->count + i, n * sizeof to->count[0]);
}

/* Room for one more item at place *i of block *at; may lead to the next block. */
static enum efx_rc MAKE(block_room)(struct efx_heap *h, struct agg_sorted *s, uint32_t *at,
                                    uint32_t *i)
{
    if (s->n == 0) {
        return MAKE(block_new)(h, s, 0);
    }
    BLOCK *b = MAKE(block_at)(h, s, *at);
    if (b->n < BLOCK_LEN) {
        return EFX_OK;
    }
    EFX_RET(MAKE(block_new)(h, s, *at + 1));
    BLOCK *next = MAKE(block_at)(h, s, *at + 1);
    MAKE(move)(next, 0, b, BLOCK_LEN / 2, BLOCK_LEN / 2);
    next->n = BLOCK_LEN / 2;
    b->n = BLOCK_LEN / 2;
    if (*i > BLOCK_LEN / 2) {
        *at += 1;
        *i -= BLOCK_LEN / 2;
    }
    return EFX_OK;
}

static enum efx_rc MAKE(add)(struct efx_heap *h, struct agg_sorted *s, VALUE v, uint32_t count)
{
    uint32_t at = 0, i = 0;
    if (s->n > 0) {
        at = MAKE(block_of)(h, s, v);
        BLOCK *b = MAKE(block_at)(h, s, at);
        i = MAKE(place_of)(h, b, v);
        if (i < b->n && ON(equal)(h, &b->item[i], v)) {
            b->count[i] += count;
            return EFX_OK;
        }
    }
    ITEM kept;
    EFX_RET(ON(keep)(h, v, &kept));
    if (MAKE(block_room)(h, s, &at, &i) != EFX_OK) {
        ON(drop)(h, &kept);
        return EFX_ENOMEM;
    }
    BLOCK *b = MAKE(block_at)(h, s, at);
    MAKE(move)(b, i + 1, b, i, b->n - i);
    b->item[i] = kept;
    b->count[i] = count;
    b->n++;
    return EFX_OK;
}

/* One of this value leaves; one that is not there is none of ours. */
static void MAKE(take)(struct efx_heap *h, struct agg_sorted *s, VALUE v)
{
    if (s->n == 0) {
        return;
    }
    uint32_t at = MAKE(block_of)(h, s, v);
    BLOCK *b = MAKE(block_at)(h, s, at);
    uint32_t i = MAKE(place_of)(h, b, v);
    if (i == b->n || !ON(equal)(h, &b->item[i], v) || --b->count[i] > 0) {
        return;
    }
    ON(drop)(h, &b->item[i]);
    b->n--;
    MAKE(move)(b, i, b, i + 1, b->n - i);
    if (b->n == 0) {
        MAKE(block_drop)(h, s, at);
        return;
    }
    BLOCK *next = at + 1 < s->n ? MAKE(block_at)(h, s, at + 1) : NULL;
    if (b->n < BLOCK_LEN / 4 && next != NULL && b->n + next->n <= BLOCK_LEN / 2) {
        MAKE(move)(b, b->n, next, 0, next->n);
        b->n += next->n;
        MAKE(block_drop)(h, s, at + 1);
    }
}

static void MAKE(release)(struct efx_heap *h, struct agg_sorted *s)
{
    while (s->n > 0) {
        BLOCK *b = MAKE(block_at)(h, s, s->n - 1);
        for (uint32_t i = 0; i < b->n; i++) {
            ON(drop)(h, &b->item[i]);
        }
        MAKE(block_drop)(h, s, s->n - 1);
    }
    if (s->n_max != 0) { /* a directory whose first block there was no memory for */
        efx_heap_put(h, s->ref, s->n_max * (uint32_t)sizeof(uint32_t));
    }
    *s = (struct agg_sorted){0};
}

static enum efx_rc MAKE(join)(struct efx_heap *h, struct agg_sorted *a, const struct agg_sorted *b)
{
    for (uint32_t k = 0; k < b->n; k++) {
        const BLOCK *from = MAKE(block_at)(h, b, k);
        for (uint32_t i = 0; i < from->n; i++) {
            EFX_RET(MAKE(add)(h, a, ON(value)(h, &from->item[i]), from->count[i]));
        }
    }
    return EFX_OK;
}

static uint32_t MAKE(saved_bytes)(const struct efx_heap *h, const struct agg_sorted *s)
{
    uint32_t n = sizeof(uint32_t);
    for (uint32_t k = 0; k < s->n; k++) {
        const BLOCK *b = MAKE(block_at)(h, s, k);
        for (uint32_t i = 0; i < b->n; i++) {
            n += ON(bytes)(&b->item[i]) + (uint32_t)sizeof b->count[i];
        }
    }
    return n;
}

static void MAKE(put)(const struct efx_heap *h, const struct agg_sorted *s, struct efx_writer *w)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        n += MAKE(block_at)(h, s, k)->n;
    }
    efx_put_u32(w, n);
    for (uint32_t k = 0; k < s->n; k++) {
        const BLOCK *b = MAKE(block_at)(h, s, k);
        for (uint32_t i = 0; i < b->n; i++) {
            ON(save)(h, &b->item[i], w);
            efx_put_u32(w, b->count[i]);
        }
    }
}

static enum efx_rc MAKE(get)(struct efx_heap *h, struct agg_sorted *s, struct efx_reader *r)
{
    uint32_t n = efx_get_u32(r);
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        VALUE v = ON(read)(r);
        uint32_t count = efx_get_u32(r);
        if (r->bad || count == 0) {
            return EFX_EPARSE;
        }
        EFX_RET(MAKE(add)(h, s, v, count));
    }
    return r->bad ? EFX_EPARSE : EFX_OK;
}

#undef MAKE
#undef ON
#undef BLOCK
#undef BLOCK_LEN
#undef W
#undef DOWN
