#ifndef WIRE_H
#define WIRE_H

#include "efx_arena.h"
#include "efx_codec.h"

/* Protobuf on the wire, read over the pieces of a message without joining them.
 *
 *   pieces   │ ····███│████████│███····│       a window (p … end) into one piece; `more` bytes of
 *             window ▲ end      more ──►       this message lie in the pieces behind it
 *
 * A nested message is a reader of its own over the same pieces; the outer one has stepped over it.
 * A length-delimited field is given as one view: straight into its piece, or, where it lies across
 * pieces, copied into scratch.
 *
 *   Owner    the message's pieces; views are good as long as they and the scratch are
 *   Errors   `bad`, once and for ever: nothing behind it is read; every read gives zeros and
 *            empty views
 *   Threads  none
 */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire {
    const uint8_t *p, *end;
    size_t more;
    const struct efx_bytes *piece; /* the one behind the window's */
    struct efx_arena *scratch;
    bool bad;
};

struct wire wire_of(const struct efx_bytes *pieces, uint32_t n, struct efx_arena *scratch);

/* The next field; false at the end, or `bad`. */
bool wire_field(struct wire *w, uint32_t *field, enum wire_type *type);
uint64_t wire_varint(struct wire *w);
uint64_t wire_fixed64(struct wire *w);
struct efx_bytes wire_bytes(struct wire *w);
struct wire wire_message(struct wire *w);
void wire_skip(struct wire *w, enum wire_type type);

/* ---- out: into room that is large enough by the sizes below ---- */

static inline size_t wire_size_varint(uint64_t v)
{
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

static inline size_t wire_size_bytes(size_t n) /* a field below 16, with its length */
{
    return 1 + wire_size_varint(n) + n;
}

static inline uint8_t *wire_put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static inline uint8_t *wire_put_head(uint8_t *p, uint32_t field, size_t n)
{
    *p++ = (uint8_t)(field << 3 | WIRE_BYTES);
    return wire_put_varint(p, n);
}

static inline uint8_t *wire_put_bytes(uint8_t *p, uint32_t field, const void *bytes, size_t n)
{
    p = wire_put_head(p, field, n);
    if (n > 0) {
        memcpy(p, bytes, n);
    }
    return p + n;
}

static inline uint8_t *wire_put_number(uint8_t *p, uint32_t field, uint64_t v)
{
    *p++ = (uint8_t)(field << 3 | WIRE_VARINT);
    return wire_put_varint(p, v);
}

#endif /* WIRE_H */
