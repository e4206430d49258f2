/* Functions of regular expressions. A pattern is mostly the same for many rows, so the last few
 * that were compiled are kept for the length of a call (regex.c).
 */
#include "efx_func_impl.h"

static uint16_t texts(struct efx_func_types *t, uint32_t n)
{
    uint16_t code = 0;
    t->out = EFX_TYPE_STRING;
    for (uint32_t i = 0; code == 0 && i < n; i++) {
        code = efx_func__want_text(t, i);
    }
    return code;
}

static uint16_t replace_resolve(struct efx_func_types *t)
{
    return texts(t, 3);
}

static uint16_t extract_resolve(struct efx_func_types *t)
{
    uint16_t code = texts(t, 2);
    return code != 0 || t->n < 3 ? code : efx_func__want_whole(t, 2);
}

/* What they all are over one row; m or tmp serves for memory. */
typedef uint16_t (*regex_fn)(struct efx_text__matcher *m, const struct efx_value *a, uint32_t n,
                             struct efx_arena *to, struct efx_value *out);

static uint16_t replace(struct efx_text__matcher *m, const struct efx_value *a, uint32_t n,
                        struct efx_arena *to, struct efx_value *out)
{
    (void)n;
    *out = (struct efx_value){.type = EFX_TYPE_STRING};
    return efx_text__matcher_replace(m, a[1].s, a[0].s, a[2].s, to, &out->s);
}

static uint16_t extract(struct efx_text__matcher *m, const struct efx_value *a, uint32_t n,
                        struct efx_arena *to, struct efx_value *out)
{
    *out = (struct efx_value){.type = EFX_TYPE_STRING};
    bool hit = false;
    uint16_t code =
        efx_text__matcher_extract(m, a[1].s, a[0].s, n > 2 ? a[2].l : 0, to, &out->s, &hit);
    out->null = !hit;
    return code;
}

static void by_row(const struct efx_func_call *c, regex_fn f)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    struct efx_value args[3];
    const uint64_t *live = efx_func__live(c);
    struct efx_text__matcher *m = efx_text__matcher_begin(c->ctx);
    EFX_KERNEL_EACH(c->rows, live, {
        for (uint32_t k = 0; k < c->n_args; k++) {
            args[k] = efx_value_of_col(&c->args[k], i);
        }
        struct efx_value out;
        uint16_t code = f(m, args, c->n_args, &c->ctx->step, &out);
        if (code != 0) {
            efx_fail_row(c->fails, i, code);
            efx_bit_put(c->valid, i, false);
        } else {
            efx_value_to_slot(&out, c->data, c->valid, i);
        }
    })
    efx_ctx_end(c->ctx, mark);
}

/* A single value borrows a context over the arena's allocator for as long as it takes. */
static uint16_t once(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                     struct efx_value *out, regex_fn f)
{
    struct efx_ctx *ctx = efx_text__room(tmp, sizeof *ctx);
    efx_ctx_init(ctx, tmp->mem);
    uint16_t code = f(efx_text__matcher_begin(ctx), a, n, tmp, out);
    efx_ctx_fini(ctx);
    return code;
}

#define REGEX(ID, NAME, MIN, MAX, F, HELP)                                                         \
    static void F##_vec(const struct efx_func_call *c)                                             \
    {                                                                                              \
        by_row(c, F);                                                                              \
    }                                                                                              \
    static uint16_t F##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,        \
                              struct efx_value *out)                                               \
    {                                                                                              \
        return once(a, n, tmp, out, F);                                                            \
    }                                                                                              \
    const struct efx_func efx_func__##ID = {.name = NAME,                                          \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = true,                                        \
                                            .resolve = F##_resolve,                                \
                                            .vec = F##_vec,                                        \
                                            .value = F##_value,                                    \
                                            .help = HELP};

REGEX(regexp_replace, "regexp_replace", 3, 3, replace,
      "regexp_replace(s, p, r): every match of p by r, in which $1 is the first group")
REGEX(regexp_extract, "regexp_extract", 2, 3, extract,
      "regexp_extract(s, p [, g]): group g, or all, of the first match; NULL if there is none")
