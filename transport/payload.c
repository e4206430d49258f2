/* zstd at level 1: between nodes it must cost less than the bytes that it saves. What does not
 * shrink by an eighth is sent as it is, so the receiver is not made to work for nothing. */
#include "efx_payload.h"

#include "efx_crc32c.h"

#include <stdio.h>
#include <zstd.h>

enum { LEVEL = 1, SAVES_AT_LEAST = 8 };

struct efx_payload {
    struct efx_mem *mem;
    size_t threshold_bytes;
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    uint8_t *room;
    size_t room_bytes;
};

enum efx_rc efx_payload_create(struct efx_mem *mem, size_t threshold_bytes,
                               struct efx_payload **out)
{
    struct efx_payload *p = mem->alloc(mem, sizeof *p);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    *p = (struct efx_payload){.mem = mem, .threshold_bytes = threshold_bytes};
    p->pack = ZSTD_createCCtx();
    p->unpack = ZSTD_createDCtx();
    if (p->pack == NULL || p->unpack == NULL) {
        efx_payload_destroy(&p);
        return EFX_ENOMEM;
    }
    *out = p;
    return EFX_OK;
}

void efx_payload_destroy(struct efx_payload **pp)
{
    struct efx_payload *p = *pp;
    if (p == NULL) {
        return;
    }
    (void)ZSTD_freeCCtx(p->pack);
    (void)ZSTD_freeDCtx(p->unpack);
    if (p->room != NULL) {
        p->mem->free(p->mem, p->room, p->room_bytes);
    }
    p->mem->free(p->mem, p, sizeof *p);
    *pp = NULL;
}

static bool make_room(struct efx_payload *p, size_t n)
{
    if (n <= p->room_bytes) {
        return true;
    }
    uint8_t *room = p->mem->alloc(p->mem, n);
    if (room == NULL) {
        return false;
    }
    if (p->room != NULL) {
        p->mem->free(p->mem, p->room, p->room_bytes);
    }
    p->room = room;
    p->room_bytes = n;
    return true;
}

static struct efx_bytes text(const char *s)
{
    return (struct efx_bytes){(const uint8_t *)s, strlen(s)};
}

static bool is(struct efx_bytes b, const char *s)
{
    return b.n == strlen(s) && memcmp(b.p, s, b.n) == 0;
}

void efx_payload_pack(struct efx_payload *p, struct efx_bytes raw, struct efx_payload_packed *out)
{
    out->payload = raw;
    out->n_headers = 1;
    if (p->threshold_bytes != 0 && raw.n >= p->threshold_bytes &&
        make_room(p, ZSTD_compressBound(raw.n))) {
        size_t n = ZSTD_compressCCtx(p->pack, p->room, p->room_bytes, raw.p, raw.n, LEVEL);
        if (!ZSTD_isError(n) && n <= raw.n - raw.n / SAVES_AT_LEAST) {
            out->payload = (struct efx_bytes){p->room, n};
            (void)snprintf(out->length, sizeof out->length, "%zu", raw.n);
            out->headers[out->n_headers++] = (struct efx_msg_header){text("z"), text(out->length)};
        }
    }
    (void)snprintf(out->crc, sizeof out->crc, "%08x",
                   efx_crc32c(0, out->payload.p, out->payload.n));
    out->headers[0] = (struct efx_msg_header){text("c"), text(out->crc)};
}

/* Digits of a base up to 16, lower case; false = something else, or too many. */
static bool number(struct efx_bytes b, uint32_t base, uint64_t *out)
{
    uint64_t v = 0;
    if (b.n == 0 || b.n > 12) {
        return false;
    }
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        uint32_t d = 99;
        if (c >= '0' && c <= '9') {
            d = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            d = (uint32_t)(c - 'a') + 10;
        }
        if (d >= base) {
            return false;
        }
        v = v * base + d;
    }
    *out = v;
    return true;
}

static enum efx_rc expand(struct efx_payload *p, struct efx_bytes packed, size_t n,
                          struct efx_bytes *out)
{
    if (!make_room(p, n)) {
        return EFX_ENOMEM;
    }
    if (ZSTD_decompressDCtx(p->unpack, p->room, n, packed.p, packed.n) != n) {
        return EFX_EPARSE;
    }
    *out = (struct efx_bytes){p->room, n};
    return EFX_OK;
}

enum efx_rc efx_payload_unpack(struct efx_payload *p, const struct efx_msg *msg,
                               size_t raw_bytes_max, struct efx_bytes *out)
{
    bool has_crc = false, has_length = false;
    uint64_t crc = 0, length = 0;
    for (uint32_t i = 0; i < msg->n_headers; i++) {
        const struct efx_msg_header *h = &msg->headers[i];
        if (is(h->key, "c")) {
            has_crc = h->value.n == 8 && number(h->value, 16, &crc);
        } else if (is(h->key, "z")) {
            has_length = true;
            if (!number(h->value, 10, &length)) {
                return EFX_EPARSE;
            }
        }
    }
    if (!has_crc || crc != efx_crc32c(0, msg->payload.p, msg->payload.n)) {
        return EFX_EPARSE;
    }
    if ((has_length ? length : msg->payload.n) > raw_bytes_max) {
        return EFX_ELIMIT;
    }
    if (has_length) {
        return expand(p, msg->payload, (size_t)length, out);
    }
    *out = msg->payload;
    return EFX_OK;
}
