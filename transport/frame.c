/* The codec of frames. */
#include "efx_frame.h"

/* Strict: no surrogates, nothing above U+10FFFF, no longer form than needed. */
static bool is_utf8(struct efx_bytes s)
{
    for (size_t i = 0; i < s.n;) {
        uint8_t c = s.p[i];
        size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        if (more == 0) {
            i++;
            continue;
        }
        if (c < 0xC2 || c > 0xF4 || s.n - i <= more) {
            return false;
        }
        uint8_t next = s.p[i + 1];
        if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) ||
            (c == 0xF0 && next < 0x90) || (c == 0xF4 && next > 0x8F)) {
            return false;
        }
        for (size_t k = 1; k <= more; k++) {
            if ((s.p[i + k] & 0xC0) != 0x80) {
                return false;
            }
        }
        i += more + 1;
    }
    return true;
}

size_t efx_frame_bytes(const struct efx_msg *msg)
{
    size_t n = EFX_FRAME_BYTES_MIN + msg->id.n + msg->payload.n;
    for (uint32_t i = 0; i < msg->n_headers; i++) {
        n += 16 + msg->headers[i].key.n + msg->headers[i].value.n;
    }
    return n;
}

enum efx_rc efx_frame_check(const struct efx_msg *msg)
{
    bool good = msg->type <= EFX_MSG_CHECKPOINT && msg->n_headers <= EFX_FRAME_HEADERS_MAX &&
                is_utf8(msg->id);
    for (uint32_t i = 0; good && i < msg->n_headers; i++) {
        good = is_utf8(msg->headers[i].key) && is_utf8(msg->headers[i].value);
    }
    return good ? EFX_OK : EFX_EPARSE;
}

static void put_text(struct efx_writer *w, struct efx_bytes s)
{
    efx_put_u64(w, s.n);
    efx_put_raw(w, s.p, s.n);
}

void efx_frame_put_front(struct efx_writer *w, const struct efx_msg *msg)
{
    efx_put_u32(w, __builtin_bswap32((uint32_t)efx_frame_bytes(msg)));
    put_text(w, msg->id);
    efx_put_u64(w, msg->payload.n);
}

void efx_frame_put_back(struct efx_writer *w, const struct efx_msg *msg)
{
    efx_put_u64(w, msg->n_headers);
    for (uint32_t i = 0; i < msg->n_headers; i++) {
        put_text(w, msg->headers[i].key);
        put_text(w, msg->headers[i].value);
    }
    efx_put_u32(w, (uint32_t)msg->type);
}

void efx_frame_put(struct efx_writer *w, const struct efx_msg *msg)
{
    efx_frame_put_front(w, msg);
    efx_put_raw(w, msg->payload.p, msg->payload.n);
    efx_frame_put_back(w, msg);
}

static struct efx_bytes get_text(struct efx_reader *r)
{
    return efx_get_view(r, efx_get_u64(r));
}

enum efx_rc efx_frame_take(struct efx_bytes buf, size_t bytes_max, struct efx_msg_header *headers,
                           struct efx_msg *out, size_t *used)
{
    struct efx_reader r = {.p = buf.p, .left = buf.n};
    uint32_t n = __builtin_bswap32(efx_get_u32(&r));
    *used = 0;
    if (r.bad) {
        return EFX_AGAIN;
    }
    if (n > bytes_max) {
        return EFX_ELIMIT;
    }
    if (n < EFX_FRAME_BYTES_MIN) {
        return EFX_EPARSE;
    }
    *used = EFX_FRAME_LENGTH_BYTES + (size_t)n;
    if (r.left < n) {
        return EFX_AGAIN;
    }
    r.left = n;
    struct efx_msg m = {.headers = headers};
    m.id = get_text(&r);
    m.payload = get_text(&r);
    uint64_t n_headers = efx_get_u64(&r);
    if (n_headers > EFX_FRAME_HEADERS_MAX) {
        return EFX_EPARSE;
    }
    m.n_headers = (uint32_t)n_headers;
    for (uint32_t i = 0; i < m.n_headers; i++) {
        headers[i].key = get_text(&r);
        headers[i].value = get_text(&r);
    }
    uint32_t type = efx_get_u32(&r);
    if (r.bad || r.left > 0 || type > EFX_MSG_CHECKPOINT) {
        return EFX_EPARSE;
    }
    m.type = (enum efx_msg_type)type;
    *out = m;
    return efx_frame_check(out);
}
