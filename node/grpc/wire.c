#include "wire.h"

struct wire wire_of(const struct efx_bytes *pieces, uint32_t n, struct efx_arena *scratch)
{
    struct wire w = {.piece = pieces, .scratch = scratch};
    for (uint32_t i = 0; i < n; i++) {
        w.more += pieces[i].n;
    }
    return w;
}

/* The window is empty: the next one. */
static bool step(struct wire *w)
{
    while (w->p == w->end && w->more > 0) {
        size_t n = w->piece->n < w->more ? w->piece->n : w->more;
        w->p = w->piece->p;
        w->end = w->p + n;
        w->more -= n;
        w->piece++;
    }
    return w->p < w->end;
}

static bool fail(struct wire *w)
{
    w->bad = true;
    w->p = w->end;
    w->more = 0;
    return false;
}

static uint64_t varint_slow(struct wire *w)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        if (w->p == w->end && !step(w)) {
            break;
        }
        uint8_t b = *w->p++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            return shift == 63 && b > 1 ? (uint64_t)fail(w) : v;
        }
    }
    return (uint64_t)fail(w);
}

uint64_t wire_varint(struct wire *w)
{
    if (w->p < w->end && *w->p < 0x80) {
        return *w->p++;
    }
    return varint_slow(w);
}

static void copy_out(struct wire *w, uint8_t *to, size_t n)
{
    while (n > 0 && step(w)) {
        size_t k = (size_t)(w->end - w->p) < n ? (size_t)(w->end - w->p) : n;
        memcpy(to, w->p, k);
        w->p += k;
        to += k;
        n -= k;
    }
}

static bool has(const struct wire *w, uint64_t n)
{
    size_t here = (size_t)(w->end - w->p);
    return n <= here || n - here <= w->more;
}

uint64_t wire_fixed64(struct wire *w)
{
    uint64_t v = 0;
    if (!has(w, sizeof v)) {
        return (uint64_t)fail(w);
    }
    copy_out(w, (uint8_t *)&v, sizeof v);
    return v;
}

struct efx_bytes wire_bytes(struct wire *w)
{
    static const uint8_t nothing[1];
    uint64_t n = wire_varint(w);
    if (w->bad || !has(w, n)) {
        (void)fail(w);
        return (struct efx_bytes){nothing, 0};
    }
    if (n == 0) {
        return (struct efx_bytes){nothing, 0};
    }
    (void)step(w);
    if (n <= (size_t)(w->end - w->p)) {
        struct efx_bytes view = {w->p, (size_t)n};
        w->p += n;
        return view;
    }
    uint8_t *copy = efx_arena_bytes(w->scratch, (size_t)n);
    if (copy == NULL) {
        (void)fail(w);
        return (struct efx_bytes){nothing, 0};
    }
    copy_out(w, copy, (size_t)n);
    return (struct efx_bytes){copy, (size_t)n};
}

static void pass(struct wire *w, uint64_t n)
{
    if (!has(w, n)) {
        (void)fail(w);
        return;
    }
    while (n > 0 && step(w)) {
        size_t k = (size_t)(w->end - w->p) < n ? (size_t)(w->end - w->p) : (size_t)n;
        w->p += k;
        n -= k;
    }
}

struct wire wire_message(struct wire *w)
{
    uint64_t n = wire_varint(w);
    if (w->bad || !has(w, n)) {
        (void)fail(w);
        return (struct wire){.bad = true};
    }
    (void)step(w);
    struct wire in = *w;
    size_t here = (size_t)(w->end - w->p);
    in.end = n < here ? w->p + n : w->end;
    in.more = n < here ? 0 : (size_t)n - here;
    pass(w, n);
    return in;
}

void wire_skip(struct wire *w, enum wire_type type)
{
    switch (type) {
    case WIRE_VARINT: (void)wire_varint(w); break;
    case WIRE_FIXED64: pass(w, 8); break;
    case WIRE_BYTES: pass(w, wire_varint(w)); break;
    case WIRE_FIXED32: pass(w, 4); break;
    }
}

bool wire_field(struct wire *w, uint32_t *field, enum wire_type *type)
{
    if (w->bad || (w->p == w->end && !step(w))) {
        return false;
    }
    uint64_t tag = wire_varint(w);
    uint32_t t = (uint32_t)(tag & 7);
    if (w->bad || tag >> 3 == 0 || tag >> 32 != 0 || t == 3 || t == 4 || t > 5) {
        return fail(w); /* groups have never been in these messages */
    }
    *field = (uint32_t)(tag >> 3);
    *type = (enum wire_type)t;
    return true;
}
