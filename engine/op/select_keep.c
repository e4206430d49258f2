/* Columns of a group's last row, NULL included: words as plain states, texts as variable ones.
 *
 *   word   { value :64, not NULL :64 }
 *   text   { len, head, tail or ref, state }     state: 0 = no row yet, 1 = NULL, 2 = a value
 */
#include "select.h"

struct word {
    uint64_t value;
    uint64_t valid;
};

struct text {
    uint32_t len;
    uint8_t head[4];
    union {
        uint8_t tail[8];
        uint32_t ref;
    };
    uint32_t valid;
    uint32_t zero;
};

static void text_init(void *state)
{
    memset(state, 0, sizeof(struct text));
}

static void text_fini(const struct efx_states *at, void *state)
{
    struct text *t = state;
    if (t->len > EFX_CELL_INLINE) {
        efx_heap_put(at->heap, t->ref, t->len);
    }
    text_init(state);
}

static uint32_t text_save_bytes(const struct efx_states *at, const void *state)
{
    (void)at;
    const struct text *t = state;
    return 8 + t->len;
}

static void text_save(const struct efx_states *at, const void *state, struct efx_writer *w)
{
    const struct text *t = state;
    efx_put_u32(w, t->valid);
    efx_put_u32(w, t->len);
    efx_put_raw(w, t->len > EFX_CELL_INLINE ? efx_heap_at(at->heap, t->ref) : t->head, t->len);
}

static enum efx_rc text_set(struct efx_heap *heap, struct text *t, const void *bytes, uint32_t len)
{
    struct efx_cell cell = efx_cell_make(bytes, len);
    uint32_t ref = 0;
    if (len > EFX_CELL_INLINE) {
        EFX_RET(efx_heap_get(heap, len, &ref));
        memcpy(efx_heap_at(heap, ref), bytes, len);
    }
    memcpy(t, &cell, sizeof cell);
    if (len > EFX_CELL_INLINE) {
        memset(t->tail, 0, sizeof t->tail);
        t->ref = ref;
    }
    t->valid = 2;
    return EFX_OK;
}

static enum efx_rc text_load(const struct efx_states *at, void *state, struct efx_reader *r)
{
    struct text *t = state;
    uint32_t valid = efx_get_u32(r);
    struct efx_bytes bytes = efx_get_view(r, efx_get_u32(r));
    if (r->bad || valid > 2) {
        return EFX_EPARSE;
    }
    if (valid == 2) {
        return text_set(at->heap, t, bytes.p, (uint32_t)bytes.n);
    }
    t->valid = valid;
    return EFX_OK;
}

static const struct efx_agg_vt text_vt = {
    .base = {.abi = EFX_ABI, .vt_bytes = sizeof(struct efx_agg_vt), .name = "last row"},
    .in = EFX_TYPE_STRING,
    .out = EFX_TYPE_STRING,
    .state_bytes = sizeof(struct text),
    .init = text_init,
    .fini = text_fini,
    .save_bytes = text_save_bytes,
    .save = text_save,
    .load = text_load,
};

struct efx_keyed_state efx_select__keep_state(enum efx_type type)
{
    return efx_type_is_cell(type) ? (struct efx_keyed_state){.agg = &text_vt}
                                  : (struct efx_keyed_state){.bytes = sizeof(struct word)};
}

static enum efx_rc keep_text(const struct efx_states *at, const struct efx_col *from,
                             const uint32_t *row, const uint32_t *id, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct text *t = efx_state_at(at, id[i]);
        uint32_t r = row == NULL ? i : row[i];
        const struct efx_cell *c = &((const struct efx_cell *)from->data)[r];
        text_fini(at, t);
        t->valid = 1;
        if (efx_bit(from->valid, r)) {
            EFX_RET(text_set(at->heap, t, efx_cell_bytes(c), c->len));
        }
    }
    return EFX_OK;
}

enum efx_rc efx_select__keep(struct op_select *self, const struct select_keep *k,
                             const struct efx_col *from, const uint32_t *row, const uint32_t *id,
                             uint32_t n)
{
    struct efx_states at = efx_keyed_states(self->groups, k->state);
    if (efx_type_is_cell(k->type)) {
        return keep_text(&at, from, row, id, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct word *s = efx_state_at(&at, id[i]);
        uint32_t r = row == NULL ? i : row[i];
        s->value = 0;
        s->valid = efx_bit(from->valid, r);
        efx_col_copy_slot(&s->value, 0, from, r);
    }
    return EFX_OK;
}

void efx_select__kept(struct op_select *self, const struct select_keep *k, const uint32_t *id,
                      uint32_t n, struct efx_col *out)
{
    struct efx_ctx *ctx = self->base.ctx;
    void *data = efx_scratch(ctx, (n + 1) * efx_type_width(k->type));
    uint64_t *valid = efx_scratch_zero(ctx, (efx_words(n) + 1) * sizeof *valid);
    bool all = true;
    for (uint32_t i = 0; i < n; i++) {
        union {
            uint64_t word;
            struct efx_cell cell;
        } slot = {.word = 0};
        bool is;
        if (k->key != EFX_NO_COL) {
            is = efx_keyed_key(self->groups, id[i], k->key, &slot);
            if (is && efx_type_is_cell(k->type)) {
                slot.cell = efx_ctx_cell(ctx, efx_cell_bytes(&slot.cell), slot.cell.len);
            }
        } else if (efx_type_is_cell(k->type)) {
            const struct text *t = efx_keyed_state(self->groups, id[i], k->state);
            is = t->valid == 2;
            const void *bytes = t->len > EFX_CELL_INLINE
                                    ? efx_heap_at(efx_keyed_heap(self->groups), t->ref)
                                    : (const void *)t->head;
            slot.cell = efx_ctx_cell(ctx, bytes, t->len);
        } else {
            const struct word *s = efx_keyed_state(self->groups, id[i], k->state);
            is = s->valid != 0;
            slot.word = s->value;
        }
        efx_col_copy_slot(data, i, &(struct efx_col){k->type, &slot, NULL}, 0);
        valid[i / 64] |= (uint64_t)is << i % 64;
        all = all && is;
    }
    *out = (struct efx_col){k->type, data, all ? NULL : valid};
}
