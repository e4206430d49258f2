/* Bytes → messages. All links read into one buffer of the transport; frames that came whole are
 * handed out from there. What is left of a frame at its end goes to the link's own buffer, which
 * grows with what has come, not with what was announced, and then takes the rest of that frame
 * straight from the socket. An idle link has no buffer. What had been read when a user held its
 * link is kept aside and comes first when the link is let go. */
#include "tcp.h"

#include <errno.h>
#include <sys/uio.h>

enum { IN_FIRST = 4096, READS_MAX = 4, RECORDS_MAX = 16, FRAME_HEAD = EFX_FRAME_LENGTH_BYTES };

static void in_free(struct tcp_link *l)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    if (l->in != NULL) {
        mem->free(mem, l->in, l->in_max);
        l->in = NULL;
    }
    l->in_n = l->in_max = l->in_want = 0;
    l->frame_since_ns = 0;
}

/* Room for one more byte at least, at most as much again as there is. */
static enum efx_rc in_grow(struct tcp_link *l, size_t more)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    size_t need = l->in_n + more;
    if (need <= l->in_max) {
        return EFX_OK;
    }
    size_t max = l->in_max == 0 ? IN_FIRST : l->in_max * 2;
    max = max < need ? need : max;
    max = l->in_want > FRAME_HEAD && max > l->in_want ? l->in_want : max;
    uint8_t *in = efx_mem_grow(mem, l->in, l->in_max, max);
    if (in == NULL) {
        return EFX_ENOMEM;
    }
    l->in = in;
    l->in_max = max;
    return EFX_OK;
}

static void hand_out(struct tcp_link *l, const struct efx_msg *msg, size_t n_bytes)
{
    struct efx_transport_counts *c = &efx_tcp__of(l)->counts;
    c->messages_in++;
    c->bytes_in += n_bytes;
    l->user->message(l->arg, &l->base, msg);
}

/* The frame in the link's buffer, if it is whole. */
static enum efx_rc take_own(struct tcp_link *l)
{
    struct tcp *t = efx_tcp__of(l);
    struct efx_msg msg;
    size_t used;
    enum efx_rc rc = efx_frame_take((struct efx_bytes){l->in, l->in_n}, l->frame_bytes_max,
                                    t->headers, &msg, &used);
    if (rc == EFX_AGAIN) {
        l->in_want = used != 0 ? used : FRAME_HEAD;
        return EFX_OK;
    }
    EFX_RET(rc);
    hand_out(l, &msg, used);
    in_free(l);
    return EFX_OK;
}

/* Adds to the frame in the link's buffer what it lacks, at most to its end. */
static enum efx_rc feed_own(struct tcp_link *l, struct efx_bytes *b)
{
    while (b->n > 0 && l->in_n > 0) {
        size_t lacks = l->in_want - l->in_n;
        size_t n = b->n < lacks ? b->n : lacks;
        EFX_RET(in_grow(l, n));
        memcpy(l->in + l->in_n, b->p, n);
        l->in_n += n;
        b->p += n;
        b->n -= n;
        if (l->in_n == l->in_want) {
            EFX_RET(take_own(l));
        }
    }
    return EFX_OK;
}

static enum efx_rc keep_rest(struct tcp_link *l, struct efx_bytes b, size_t want)
{
    struct efx_loop *loop = efx_tcp__of(l)->base.loop;
    l->in_want = want != 0 ? want : FRAME_HEAD;
    EFX_RET(in_grow(l, b.n));
    memcpy(l->in, b.p, b.n);
    l->in_n = b.n;
    l->frame_since_ns = loop->vt->now_ns(loop);
    efx_tcp__link_watch(l);
    return EFX_OK;
}

static enum efx_rc put_aside(struct tcp_link *l, struct efx_bytes b)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    EFX_ASSERT(l->aside == NULL);
    l->aside = mem->alloc(mem, b.n);
    if (l->aside == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(l->aside, b.p, b.n);
    l->aside_n = b.n;
    return EFX_OK;
}

static enum efx_rc feed(struct tcp_link *l, struct efx_bytes b)
{
    struct tcp *t = efx_tcp__of(l);
    EFX_RET(feed_own(l, &b));
    while (b.n > 0 && !l->closed) {
        if (l->held) {
            return put_aside(l, b);
        }
        struct efx_msg msg;
        size_t used;
        enum efx_rc rc = efx_frame_take(b, l->frame_bytes_max, t->headers, &msg, &used);
        if (rc == EFX_AGAIN) {
            return keep_rest(l, b, used);
        }
        EFX_RET(rc);
        b.p += used;
        b.n -= used;
        hand_out(l, &msg, used);
    }
    return EFX_OK;
}

static enum efx_rc feed_aside(struct tcp_link *l)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    struct efx_bytes b = {l->aside, l->aside_n};
    if (b.p == NULL) {
        return EFX_OK;
    }
    l->aside = NULL;
    enum efx_rc rc = feed(l, b);
    mem->free(mem, (void *)(uintptr_t)b.p, b.n);
    return rc;
}

void efx_tcp__in_drop(struct tcp_link *l)
{
    struct efx_mem *mem = efx_tcp__of(l)->o.mem;
    in_free(l);
    if (l->aside != NULL) {
        mem->free(mem, l->aside, l->aside_n);
        l->aside = NULL;
    }
}

/* ---- from the socket ---- */

static enum efx_rc read_tls(struct tcp_link *l, struct iovec *to, size_t *got)
{
    bool want_write;
    enum efx_rc rc = efx_tls__read(l->ssl, to->iov_base, to->iov_len, got, &want_write);
    l->tls_read_wants_write = rc == EFX_AGAIN && want_write;
    if (l->tls_read_wants_write) {
        efx_tcp__link_writing(l, true);
    }
    return rc;
}

static enum efx_rc read_plain(struct tcp_link *l, struct iovec *to, int n_to, size_t *got)
{
    ssize_t n = readv(l->fd, to, n_to);
    if (n > 0) {
        *got = (size_t)n;
        return EFX_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return EFX_AGAIN;
    }
    return n == 0 ? EFX_DONE : EFX_EIO;
}

/* One read: first what lacks of a frame that is under way, then whatever comes. */
static enum efx_rc read_once(struct tcp_link *l, bool *full)
{
    struct tcp *t = efx_tcp__of(l);
    struct iovec to[2];
    size_t got = 0, own = 0;
    int n_to = 0;
    if (l->in_want > FRAME_HEAD) {
        size_t lacks = l->in_want - l->in_n;
        EFX_RET(in_grow(l, lacks < l->in_n + IN_FIRST ? lacks : l->in_n + IN_FIRST));
        own = l->in_max - l->in_n < lacks ? l->in_max - l->in_n : lacks;
        to[n_to++] = (struct iovec){l->in + l->in_n, own};
    }
    to[n_to++] = (struct iovec){t->read_bytes, TCP_READ_BYTES};
    enum efx_rc rc = l->ssl != NULL ? read_tls(l, to, &got) : read_plain(l, to, n_to, &got);
    if (rc == EFX_DONE && l->in_n > 0) {
        return EFX_EIO; /* in the middle of a frame */
    }
    EFX_RET(rc);
    *full = l->ssl != NULL || got >= own + TCP_READ_BYTES;
    if (own == 0) {
        return feed(l, (struct efx_bytes){t->read_bytes, got});
    }
    size_t mine = got < own ? got : own;
    l->in_n += mine;
    if (l->in_n == l->in_want) {
        EFX_RET(take_own(l));
    }
    return got == mine || l->closed ? EFX_OK
                                    : feed(l, (struct efx_bytes){t->read_bytes, got - mine});
}

enum efx_rc efx_tcp__in(struct tcp_link *l)
{
    uint32_t n = l->ssl != NULL ? RECORDS_MAX : READS_MAX;
    if (!l->held) {
        EFX_RET(feed_aside(l));
    }
    for (; n > 0 && !l->closed && !l->held; n--) {
        bool full = false;
        EFX_RET(read_once(l, &full));
        if (!full) {
            return EFX_AGAIN;
        }
    }
    return EFX_OK;
}
