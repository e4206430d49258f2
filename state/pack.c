/* Zero bytes out, word by word: counts and small numbers fill a quarter of their 8 bytes.
 *
 *   word       8 bytes of the input; the last one is filled up with zeros
 *   tag        bit i = byte i is not zero; the bytes that are not follow
 *   0          this word and as many more as the next byte says are zero
 *   255        8 bytes, then a count of words that follow as they are
 *
 *   Source  the layout of the packed messages that Cap'n Proto describes
 */
#include "ckpt.h"

enum { RUN_MAX = 255, WORD = 8 };

size_t efx_ckpt__packed_max(size_t n)
{
    return (n + WORD - 1) / WORD * (WORD + 2) + 2 * WORD;
}

static uint64_t word_at(const uint8_t *p, size_t n, size_t at)
{
    uint64_t w = 0;
    memcpy(&w, p + at, n - at < WORD ? n - at : WORD);
    return w;
}

static uint32_t n_zero_bytes(uint64_t w)
{
    uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    uint64_t t = ~(((w & low) + low) | w | low); /* top bit of each zero byte */
    return (uint32_t)__builtin_popcountll(t);
}

static uint8_t *put_word(uint8_t *to, uint64_t w)
{
    uint8_t *tag = to++;
    uint32_t bits = 0;
    for (uint32_t i = 0; i < WORD; i++) {
        uint8_t b = (uint8_t)(w >> (8 * i));
        *to = b;
        to += b != 0;
        bits |= (uint32_t)(b != 0) << i;
    }
    *tag = (uint8_t)bits;
    return to;
}

size_t efx_ckpt__pack(const uint8_t *p, size_t n, uint8_t *out)
{
    uint8_t *to = out;
    for (size_t at = 0; at < n;) {
        uint64_t w = word_at(p, n, at);
        at += WORD;
        to = put_word(to, w);
        if (w == 0) {
            uint8_t run = 0;
            for (; at < n && run < RUN_MAX && word_at(p, n, at) == 0; run++) {
                at += WORD;
            }
            *to++ = run;
        } else if (n_zero_bytes(w) == 0) {
            uint8_t *count = to++, run = 0;
            for (; at + WORD <= n && run < RUN_MAX; run++) {
                uint64_t next = word_at(p, n, at);
                if (n_zero_bytes(next) > 1) {
                    break;
                }
                memcpy(to, &next, WORD);
                to += WORD;
                at += WORD;
            }
            *count = run;
        }
    }
    return (size_t)(to - out);
}

struct unpacking {
    const uint8_t *p, *end;
    uint8_t *out;
    size_t n, at;
};

/* A word's bytes that are not zero, into place; the last word may be short. */
static bool get_word(struct unpacking *u, uint32_t tag)
{
    uint64_t w = 0;
    uint32_t k = (uint32_t)__builtin_popcount(tag);
    if ((size_t)(u->end - u->p) < k || u->at >= u->n) {
        return false;
    }
    if (u->end - u->p >= WORD) { /* tags are no pattern: a branch a byte would be guessed wrong */
        const uint8_t *p = u->p;
        for (uint32_t i = 0; i < WORD; i++) {
            uint32_t bit = tag >> i & 1;
            w |= (uint64_t)(*p & (0u - bit)) << (8 * i);
            p += bit;
        }
        u->p = p;
    } else {
        for (uint32_t i = 0; i < WORD; i++) {
            if ((tag >> i & 1) != 0) {
                w |= (uint64_t)*u->p++ << (8 * i);
            }
        }
    }
    size_t left = u->n - u->at;
    if (left < WORD && w >> (8 * left) != 0) {
        return false;
    }
    memcpy(u->out + u->at, &w, left < WORD ? left : WORD);
    u->at += left < WORD ? left : WORD;
    return true;
}

static bool get_run(struct unpacking *u, uint32_t tag)
{
    if (u->p == u->end) {
        return false;
    }
    size_t run = (size_t)*u->p++ * WORD, left = u->n - u->at;
    if (tag == 0) {
        if (run > left + WORD - 1) {
            return false;
        }
        run = run < left ? run : left;
        memset(u->out + u->at, 0, run);
    } else {
        if (run > left || run > (size_t)(u->end - u->p)) {
            return false;
        }
        memcpy(u->out + u->at, u->p, run);
        u->p += run;
    }
    u->at += run;
    return true;
}

bool efx_ckpt__unpack(const uint8_t *p, size_t packed, uint8_t *out, size_t n)
{
    struct unpacking u = {p, p + packed, out, n, 0};
    while (u.p < u.end) {
        uint32_t tag = *u.p++;
        if (!get_word(&u, tag) || ((tag == 0 || tag == 0xFF) && !get_run(&u, tag))) {
            return false;
        }
    }
    return u.at == n;
}
