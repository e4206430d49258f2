/* The functions of texts that programs use most, each with a loop of its own: length, upper, lower,
 * substring, concat. Lengths and places count code points, from 1.
 */
#include "efx_func_impl.h"

#define DESCRIBE(ID, NAME, MIN, MAX, RESOLVE, BASE, HELP)                                          \
    const struct efx_func efx_func__##ID = {.name = NAME,                                          \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = true,                                        \
                                            .total = true,                                         \
                                            .resolve = RESOLVE,                                    \
                                            .vec = BASE##_vec,                                     \
                                            .value = BASE##_value,                                 \
                                            .help = HELP};

static struct efx_value text_value(const char *p, uint32_t n)
{
    return (struct efx_value){.type = EFX_TYPE_STRING, .s = {p, n}};
}

static const uint8_t *bytes_of(const struct efx_value *v)
{
    return (const uint8_t *)(v->s.n == 0 ? "" : v->s.p);
}

static uint16_t text_to_int(struct efx_func_types *t)
{
    t->out = EFX_TYPE_INT;
    return efx_func__want_text(t, 0);
}

static uint16_t bytes_to_int(struct efx_func_types *t)
{
    t->out = EFX_TYPE_INT;
    return t->arg[0] == EFX_TYPE_BYTES ? 0 : efx_func__want_text(t, 0);
}

static uint16_t text_to_text(struct efx_func_types *t)
{
    t->out = EFX_TYPE_STRING;
    return efx_func__want_text(t, 0);
}

/* ---- lengths ---- */

static void length_vec(const struct efx_func_call *c)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    const uint64_t *live = efx_func__live(c);
    const struct efx_cell *a = c->args[0].data;
    int32_t *o = c->data;
    EFX_KERNEL_EACH(c->rows, live,
                    o[i] = (int32_t)efx_text__length(efx_cell_bytes(&a[i]), a[i].len))
    efx_ctx_end(c->ctx, mark);
}

static uint16_t length_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                             struct efx_value *out)
{
    (void)n;
    (void)tmp;
    int32_t length = (int32_t)efx_text__length(bytes_of(a), a->s.n);
    *out = (struct efx_value){.type = EFX_TYPE_INT, .i = length};
    return 0;
}

static void octet_length_vec(const struct efx_func_call *c)
{
    const struct efx_cell *a = c->args[0].data;
    int32_t *o = c->data;
    for (uint32_t i = c->rows->from; i < c->rows->until; i++) {
        o[i] = (int32_t)a[i].len; /* follows no pointer: any slot will do */
    }
}

static uint16_t octet_length_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                                   struct efx_value *out)
{
    (void)n;
    (void)tmp;
    *out = (struct efx_value){.type = EFX_TYPE_INT, .i = (int32_t)a->s.n};
    return 0;
}

DESCRIBE(length, "length", 1, 1, text_to_int, length, "length(s): code points")
DESCRIBE(char_length, "char_length", 1, 1, text_to_int, length, "char_length(s): length")
DESCRIBE(octet_length, "octet_length", 1, 1, bytes_to_int, octet_length,
         "octet_length(x): bytes of a STRING or BYTES")

/* ---- upper, lower ---- */

static void map_vec(const struct efx_func_call *c, bool upper)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    const uint64_t *live = efx_func__live(c);
    const struct efx_cell *a = c->args[0].data;
    struct efx_cell *o = c->data;
    struct efx_ctx_mark each = efx_ctx_begin(c->ctx);
    EFX_KERNEL_EACH(c->rows, live, {
        uint8_t *room = efx_scratch(c->ctx, (size_t)a[i].len * 2);
        uint32_t n = efx_text__map(efx_cell_bytes(&a[i]), a[i].len, upper, room);
        o[i] = efx_ctx_cell(c->ctx, room, n);
        efx_ctx_end(c->ctx, each);
    })
    efx_ctx_end(c->ctx, mark);
}

static uint16_t map_value(const struct efx_value *a, bool upper, struct efx_arena *tmp,
                          struct efx_value *out)
{
    uint8_t *room = efx_text__room(tmp, (size_t)a->s.n * 2);
    uint32_t n = efx_text__map(bytes_of(a), a->s.n, upper, room);
    *out = text_value((const char *)room, n);
    return 0;
}

#define MAPPED(ID, UPPER, HELP)                                                                    \
    static void ID##_vec(const struct efx_func_call *c)                                            \
    {                                                                                              \
        map_vec(c, UPPER);                                                                         \
    }                                                                                              \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)                                              \
    {                                                                                              \
        (void)n;                                                                                   \
        return map_value(a, UPPER, tmp, out);                                                      \
    }                                                                                              \
    DESCRIBE(ID, #ID, 1, 1, text_to_text, ID, HELP)

MAPPED(upper, true, "upper(s): in capitals, code point by code point")
MAPPED(lower, false, "lower(s): in small letters, code point by code point")

/* ---- substring ---- */

static uint16_t text_and_wholes(struct efx_func_types *t)
{
    t->out = EFX_TYPE_STRING;
    uint16_t code = efx_func__want_text(t, 0);
    for (uint32_t i = 1; code == 0 && i < t->n; i++) {
        code = efx_func__want_whole(t, i);
    }
    return code;
}

static struct efx_str part(const uint8_t *s, uint32_t n, int64_t start, int64_t len)
{
    uint32_t from = efx_text__skip(s, n, 0, start < 1 ? 0 : (uint64_t)start - 1);
    uint32_t to = efx_text__skip(s, n, from, len < 0 ? 0 : (uint64_t)len);
    return (struct efx_str){(const char *)s + from, to - from};
}

/* A part longer than a cell lies in bytes that the text it is of keeps for the step. */
static void substring_vec(const struct efx_func_call *c)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    const uint64_t *live = efx_func__live(c);
    const struct efx_cell *a = c->args[0].data;
    const int64_t *start = c->args[1].data;
    const int64_t *len = c->n_args > 2 ? c->args[2].data : NULL;
    struct efx_cell *o = c->data;
    EFX_KERNEL_EACH(c->rows, live, {
        int64_t want = len != NULL ? len[i] : INT64_MAX;
        struct efx_str s = part(efx_cell_bytes(&a[i]), a[i].len, start[i], want);
        o[i] = efx_cell_make(s.p, s.n);
    })
    efx_ctx_end(c->ctx, mark);
}

static uint16_t substring_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                                struct efx_value *out)
{
    struct efx_str s = part(bytes_of(a), a->s.n, a[1].l, n > 2 ? a[2].l : INT64_MAX);
    char *p = efx_text__room(tmp, s.n);
    memcpy(p, s.p, s.n);
    *out = text_value(p, s.n);
    return 0;
}

DESCRIBE(substring, "substring", 2, 3, text_and_wholes, substring,
         "substring(s, start [, len]): part of a text")
DESCRIBE(substr, "substr", 2, 3, text_and_wholes, substring, "substr(s, start [, len]): substring")

/* ---- concat ---- */

static uint16_t all_as_text(struct efx_func_types *t)
{
    t->out = EFX_TYPE_STRING;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->arg[i] == EFX_TYPE_OBJECT) {
            t->bad = i;
            return 1305;
        }
        t->arg[i] = EFX_TYPE_STRING;
    }
    return 0;
}

static void concat_vec(const struct efx_func_call *c)
{
    struct efx_ctx_mark mark = efx_ctx_begin(c->ctx);
    const uint64_t *live = efx_func__live(c);
    struct efx_cell *o = c->data;
    EFX_KERNEL_EACH(c->rows, live, {
        uint32_t n = 0;
        for (uint32_t k = 0; k < c->n_args; k++) {
            n += ((const struct efx_cell *)c->args[k].data)[i].len;
        }
        uint8_t here[EFX_CELL_INLINE];
        uint8_t *p = n <= EFX_CELL_INLINE ? here : efx_ctx_step_bytes(c->ctx, n);
        uint32_t at = 0;
        for (uint32_t k = 0; k < c->n_args; k++) {
            const struct efx_cell *a = (const struct efx_cell *)c->args[k].data + i;
            memcpy(p + at, efx_cell_bytes(a), a->len);
            at += a->len;
        }
        o[i] = efx_cell_make(p, n);
    })
    efx_ctx_end(c->ctx, mark);
}

static uint16_t concat_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,
                             struct efx_value *out)
{
    size_t bytes = 0;
    for (uint32_t k = 0; k < n; k++) {
        bytes += a[k].s.n;
    }
    char *p = efx_text__room(tmp, bytes);
    *out = text_value(p, (uint32_t)bytes);
    for (uint32_t k = 0; k < n; k++) {
        memcpy(p, bytes_of(&a[k]), a[k].s.n);
        p += a[k].s.n;
    }
    return 0;
}

DESCRIBE(concat, "concat", 1, 255, all_as_text, concat,
         "concat(x, …): texts in a row, others as by CAST")
