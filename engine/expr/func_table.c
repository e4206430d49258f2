/* The list of functions, and what their descriptors have in common. */
#include "efx_func_impl.h"

#define ROW(id) &efx_func__##id,
const struct efx_func *const efx_funcs[] = {EFX_FUNC_LIST(ROW)};
const uint32_t efx_n_funcs = sizeof efx_funcs / sizeof efx_funcs[0];

uint64_t *efx_func__live(const struct efx_func_call *c)
{
    uint32_t until = c->rows->until;
    uint64_t *live = efx_scratch(c->ctx, efx_words(until) * sizeof *live);
    for (uint32_t w = c->rows->from / 64; w < efx_words(until); w++) {
        live[w] = efx_rows_word(c->rows, w) & c->valid[w];
    }
    return live;
}

void efx_func__by_row(const struct efx_func_call *c, efx_func__value_fn value)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    struct efx_value *args = efx_scratch(c->ctx, (c->n_args + 1) * sizeof *args);
    const uint64_t *live = efx_func__live(c);
    EFX_KERNEL_EACH(c->rows, live, {
        for (uint32_t k = 0; k < c->n_args; k++) {
            args[k] = efx_value_of_col(&c->args[k], i);
        }
        struct efx_value out = {.null = false};
        uint16_t code = value(args, c->n_args, &c->ctx->step, &out);
        if (code != 0) {
            efx_fail_row(c->fails, i, code);
            efx_bit_put(c->valid, i, false);
        } else {
            efx_value_to_slot(&out, c->data, c->valid, i);
        }
    })
    efx_ctx_end(c->ctx, mark);
}

uint16_t efx_func__want(struct efx_func_types *t, uint32_t i, bool fits, enum efx_type to)
{
    if (!fits && t->arg[i] != EFX_TYPE_NONE) {
        t->bad = i;
        return 1305;
    }
    t->arg[i] = to;
    return 0;
}

uint16_t efx_func__want_double(struct efx_func_types *t, uint32_t i)
{
    return efx_func__want(t, i, efx_type_is_number(t->arg[i]), EFX_TYPE_DOUBLE);
}

uint16_t efx_func__want_whole(struct efx_func_types *t, uint32_t i)
{
    bool fits = t->arg[i] == EFX_TYPE_INT || t->arg[i] == EFX_TYPE_LONG;
    return efx_func__want(t, i, fits, EFX_TYPE_LONG);
}

uint16_t efx_func__want_text(struct efx_func_types *t, uint32_t i)
{
    return efx_func__want(t, i, t->arg[i] == EFX_TYPE_STRING, EFX_TYPE_STRING);
}

uint16_t efx_func__want_common(struct efx_func_types *t, bool texts)
{
    enum efx_type common = EFX_TYPE_NONE;
    for (uint32_t i = 0; i < t->n; i++) {
        enum efx_type a = t->arg[i];
        if (a == EFX_TYPE_NONE) {
            continue;
        }
        bool fits = efx_type_is_number(a) || (texts && a == EFX_TYPE_STRING);
        if (!fits ||
            (common != EFX_TYPE_NONE && efx_type_is_number(common) != efx_type_is_number(a))) {
            t->bad = i;
            return 1305;
        }
        common = a > common ? a : common;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        t->arg[i] = common;
    }
    t->out = common;
    return common == EFX_TYPE_NONE ? 1303 : 0;
}
