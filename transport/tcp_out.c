/* Messages → bytes. They are copied one behind the other into chunks and leave together: at the end
 * of the turn, or at once when much has gathered, so that the kernel's buffer is never empty while
 * we fill. A long payload that nothing waits before is offered to the socket as it lies; only what
 * the socket does not take is copied. */
#include "tcp.h"

#include <errno.h>
#include <sys/uio.h>

enum { WRITE_PARTS_MAX = 32, FLUSH_AT_BYTES = 128 * 1024, LONG_BYTES = 64 * 1024 };

/* ---- chunks ---- */

static struct tcp_chunk *chunk_new(struct tcp *t, size_t bytes)
{
    struct tcp_chunk *c;
    if (bytes <= TCP_CHUNK_BYTES && t->spare_chunks != NULL) {
        c = t->spare_chunks;
        t->spare_chunks = c->next;
        t->n_spare_chunks--;
    } else {
        size_t max = bytes < TCP_CHUNK_BYTES ? TCP_CHUNK_BYTES : bytes;
        c = t->o.mem->alloc(t->o.mem, sizeof *c + max);
        if (c == NULL) {
            return NULL;
        }
        c->max = max;
    }
    c->next = NULL;
    c->from = c->n = 0;
    return c;
}

static void chunk_free(struct tcp *t, struct tcp_chunk *c)
{
    if (c->max == TCP_CHUNK_BYTES && t->n_spare_chunks < TCP_CHUNKS_KEPT) {
        c->next = t->spare_chunks;
        t->spare_chunks = c;
        t->n_spare_chunks++;
    } else {
        t->o.mem->free(t->o.mem, c, sizeof *c + c->max);
    }
}

void efx_tcp__chunks_free(struct tcp *t)
{
    while (t->spare_chunks != NULL) {
        struct tcp_chunk *c = t->spare_chunks;
        t->spare_chunks = c->next;
        t->o.mem->free(t->o.mem, c, sizeof *c + c->max);
    }
    t->n_spare_chunks = 0;
}

void efx_tcp__out_drop(struct tcp_link *l)
{
    while (l->out != NULL) {
        struct tcp_chunk *c = l->out;
        l->out = c->next;
        chunk_free(efx_tcp__of(l), c);
    }
    l->out_last = NULL;
    l->out_bytes = 0;
}

/* Room for n bytes in one piece at the end of what waits. */
static struct tcp_chunk *room_for(struct tcp_link *l, size_t n)
{
    struct tcp_chunk *c = l->out_last;
    if (c != NULL && n <= c->max - c->n) {
        return c;
    }
    c = chunk_new(efx_tcp__of(l), n);
    if (c == NULL) {
        return NULL;
    }
    if (l->out == NULL) {
        l->out = c;
    } else {
        l->out_last->next = c;
    }
    l->out_last = c;
    return c;
}

/* ---- to the socket ---- */

/* n bytes have gone. */
static void sent(struct tcp_link *l, size_t n)
{
    struct tcp *t = efx_tcp__of(l);
    l->taken_ns = t->base.loop->vt->now_ns(t->base.loop);
    l->out_bytes -= n;
    while (n > 0) {
        struct tcp_chunk *c = l->out;
        size_t k = n < c->n - c->from ? n : c->n - c->from;
        c->from += k;
        n -= k;
        if (c->from == c->n) {
            l->out = c->next;
            l->out_last = l->out == NULL ? NULL : l->out_last;
            chunk_free(t, c);
        }
    }
    if (l->wants_room && l->out_bytes <= l->queue_bytes_max / 2) {
        l->wants_room = false;
        l->room_due = true;
        t->base.loop->vt->post(t->base.loop, &l->turn);
    }
}

static enum efx_rc write_plain(struct tcp_link *l, struct iovec *from, int n_from, size_t *put)
{
    struct msghdr m = {.msg_iov = from, .msg_iovlen = (size_t)n_from};
    ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL);
    if (n >= 0) {
        *put = (size_t)n;
        return EFX_OK;
    }
    return errno == EAGAIN || errno == EINTR ? EFX_AGAIN : EFX_EIO;
}

/* The rc of a socket that takes no more is EFX_AGAIN. */
static enum efx_rc write_chunks(struct tcp_link *l)
{
    struct iovec from[WRITE_PARTS_MAX];
    size_t put = 0, all = 0;
    int n = 0;
    for (struct tcp_chunk *c = l->out; c != NULL && n < WRITE_PARTS_MAX; c = c->next) {
        from[n++] = (struct iovec){c->bytes + c->from, c->n - c->from};
        all += c->n - c->from;
    }
    enum efx_rc rc;
    if (l->ssl != NULL) {
        bool want_write;
        all = from[0].iov_len;
        rc = efx_tls__write(l->ssl, from[0].iov_base, all, &put, &want_write);
        EFX_RET(rc);
        sent(l, put);
        return EFX_OK;
    }
    EFX_RET(write_plain(l, from, n, &put));
    sent(l, put);
    return put < all ? EFX_AGAIN : EFX_OK;
}

enum efx_rc efx_tcp__out_flush(struct tcp_link *l)
{
    enum efx_rc rc = EFX_OK;
    while (rc == EFX_OK && l->out != NULL) {
        rc = write_chunks(l);
    }
    if (rc == EFX_AGAIN) {
        efx_tcp__link_writing(l, true);
        efx_tcp__link_watch(l);
    } else if (!l->tls_read_wants_write) {
        efx_tcp__link_writing(l, false);
    }
    return rc;
}

/* ---- messages ---- */

static enum efx_rc put_copy(struct tcp_link *l, const struct efx_msg *msg, size_t n_bytes)
{
    struct tcp_chunk *c = room_for(l, n_bytes);
    if (c == NULL) {
        return EFX_ENOMEM;
    }
    struct efx_writer w = {.p = c->bytes + c->n, .max = n_bytes};
    efx_frame_put(&w, msg);
    EFX_ASSERT(!w.full && w.n == n_bytes);
    c->n += n_bytes;
    l->out_bytes += n_bytes;
    return EFX_OK;
}

/* What of the three parts has not gone is queued. */
static void keep_parts(struct tcp_link *l, struct tcp_chunk *c, const struct iovec *parts,
                       size_t gone)
{
    struct efx_writer w = {.p = c->bytes, .max = c->max};
    for (int i = 0; i < 3; i++) {
        size_t skip = gone < parts[i].iov_len ? gone : parts[i].iov_len;
        efx_put_raw(&w, (const uint8_t *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        gone -= skip;
    }
    EFX_ASSERT(!w.full);
    c->n = w.n;
    l->out_bytes = w.n;
}

static enum efx_rc put_long(struct tcp_link *l, const struct efx_msg *msg, size_t n_bytes)
{
    struct tcp *t = efx_tcp__of(l);
    struct tcp_chunk *ends = chunk_new(t, n_bytes - msg->payload.n);
    if (ends == NULL) {
        return EFX_ENOMEM;
    }
    struct efx_writer w = {.p = ends->bytes, .max = ends->max};
    efx_frame_put_front(&w, msg);
    size_t front = w.n, put = 0;
    efx_frame_put_back(&w, msg);
    struct iovec parts[3] = {
        {ends->bytes, front},
        {(void *)(uintptr_t)msg->payload.p, msg->payload.n},
        {ends->bytes + front, w.n - front},
    };
    enum efx_rc rc = write_plain(l, parts, 3, &put);
    if (rc == EFX_OK && put > 0) {
        l->taken_ns = t->base.loop->vt->now_ns(t->base.loop);
    }
    rc = rc == EFX_AGAIN ? EFX_OK : rc;
    if (rc == EFX_OK && put < n_bytes) {
        struct tcp_chunk *c = room_for(l, n_bytes - put);
        if (c != NULL) {
            keep_parts(l, c, parts, put);
        } else {
            /* nothing gone: it was not sent; otherwise the stream is torn */
            rc = put == 0 ? EFX_ENOMEM : EFX_EIO;
        }
    }
    chunk_free(t, ends);
    return rc;
}

enum efx_rc efx_tcp__out_put(struct tcp_link *l, const struct efx_msg *msg, size_t n_bytes)
{
    struct efx_loop *loop = efx_tcp__of(l)->base.loop;
    enum efx_rc rc;
    if (l->out == NULL) {
        l->taken_ns = loop->vt->now_ns(loop); /* nothing waited until now */
    }
    if (l->out == NULL && l->ssl == NULL && msg->payload.n >= LONG_BYTES) {
        rc = put_long(l, msg, n_bytes);
    } else {
        rc = put_copy(l, msg, n_bytes);
    }
    if (rc == EFX_OK && l->out_bytes >= FLUSH_AT_BYTES && !l->writing) {
        rc = efx_tcp__out_flush(l);
        rc = rc == EFX_AGAIN ? EFX_OK : rc;
    }
    return rc;
}
