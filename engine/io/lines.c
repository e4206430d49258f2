/* Lines of a chunk. */
#define _GNU_SOURCE /* memrchr */
#include "efx_lines.h"

struct tail { /* a line that has no end, with one */
    char *p;
    size_t max;
};

static const char *with_end(const char *p, size_t n)
{
    static _Thread_local struct tail tail;
    if (n + 1 + EFX_CHUNK_PAD > tail.max) {
        size_t max = n * 2 + 4096;
        char *more = efx_mem_grow(&efx_mem_libc, tail.p, tail.max, max);
        EFX_ASSERT(more != NULL);
        tail = (struct tail){more, max};
    }
    memcpy(tail.p, p, n);
    memset(tail.p + n, 0, EFX_CHUNK_PAD + 1);
    tail.p[n] = '\n';
    return tail.p;
}

bool efx_lines_next(struct efx_decode *d, struct efx_line *out)
{
    const struct efx_chunk *c = d->chunk;
    for (; d->msg < c->n_msgs; d->msg++, d->at_bytes = 0) {
        const struct efx_msg *m = &c->msgs[d->msg];
        if (d->at_bytes >= m->len) {
            continue;
        }
        const char *p = (const char *)c->bytes + m->off + d->at_bytes;
        size_t left = m->len - d->at_bytes;
        const char *end = memchr(p, '\n', left);
        size_t n = end != NULL ? (size_t)(end - p) : left;
        *out = (struct efx_line){end != NULL ? p : with_end(p, n), n, m, d->n_lines + 1};
        return true;
    }
    return false;
}

void efx_lines_done(struct efx_decode *d, const struct efx_line *line)
{
    d->at_bytes += (uint32_t)line->n + 1;
    d->n_events = 0;
    d->n_lines++;
}

size_t efx_lines_cut(const struct efx_format *self, struct efx_bytes bytes)
{
    (void)self;
    const uint8_t *end = bytes.n == 0 ? NULL : memrchr(bytes.p, '\n', bytes.n);
    return end == NULL ? 0 : (size_t)(end - bytes.p) + 1;
}
