/* Asks the node's own gRPC address for its health, by hand: one call of grpc.health.v1 over HTTP/2
 * without a library, since this process's libgrpc is what may have stopped accepting.
 *
 *   ► preface, SETTINGS {}, HEADERS POST /grpc.health.v1.Health/Check, DATA 00 00000000
 *   ◄ any HEADERS of stream 1: it answers, whatever it says; of readiness /ready tells
 *
 * With TLS on that address the first bytes are a ClientHello's worth of garbage to it: it closes,
 * and that is an answer too, since only a living accept loop closes.
 *
 *   Errors   no connection, or no answer in its time: missed
 *   Source   RFC 9113, RFC 7541 (literals without indexing only)
 */
#include "admin.h"

#include "efx_str.h"

#include <event2/bufferevent.h>
#include <stdio.h>
#include <sys/socket.h>

enum { H2_HEAD = 9, H2_HEADERS = 1, H2_SETTINGS = 4, H2_STREAM = 1 };

bool admin_address_split(const char *address, char *host, size_t host_bytes, uint16_t *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) {
        return false;
    }
    const char *from = address;
    size_t n = (size_t)(colon - address);
    if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    } else if (memchr(from, ':', n) != NULL) {
        return false; /* v6 without brackets */
    }
    int64_t v;
    if (n == 0 || n >= host_bytes || !efx_str_i64(efx_str_of(colon + 1), &v) || v < 0 ||
        v > 65535) {
        return false;
    }
    memcpy(host, from, n);
    host[n] = '\0';
    *port = (uint16_t)v;
    return true;
}

static void add_literal(struct evbuffer *b, const char *name, const char *value)
{
    uint8_t head[2] = {0x00, (uint8_t)strlen(name)};
    uint8_t n = (uint8_t)strlen(value);
    (void)evbuffer_add(b, head, 2);
    (void)evbuffer_add(b, name, head[1]);
    (void)evbuffer_add(b, &n, 1);
    (void)evbuffer_add(b, value, n);
}

static void add_frame(struct evbuffer *out, uint8_t type, uint8_t flags, uint32_t stream,
                      struct evbuffer *payload)
{
    size_t n = evbuffer_get_length(payload);
    uint8_t head[H2_HEAD] = {
        (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags, 0, 0, 0, (uint8_t)stream};
    (void)evbuffer_add(out, head, sizeof head);
    (void)evbuffer_add_buffer(out, payload);
}

static void write_call(struct evbuffer *out, const char *authority)
{
    struct evbuffer *b = evbuffer_new();
    EFX_ASSERT(b != NULL);
    (void)evbuffer_add_printf(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    add_frame(out, H2_SETTINGS, 0, 0, b);
    add_literal(b, ":method", "POST");
    add_literal(b, ":scheme", "http");
    add_literal(b, ":path", "/grpc.health.v1.Health/Check");
    add_literal(b, ":authority", authority);
    add_literal(b, "content-type", "application/grpc");
    add_literal(b, "te", "trailers");
    add_frame(out, H2_HEADERS, 0x4 /* END_HEADERS */, H2_STREAM, b);
    (void)evbuffer_add(b, "\0\0\0\0\0", 5); /* not compressed, 0 bytes: HealthCheckRequest {} */
    add_frame(out, 0 /* DATA */, 0x1 /* END_STREAM */, H2_STREAM, b);
    evbuffer_free(b);
}

static void finish(struct admin_probe *p, bool answered)
{
    bufferevent_free(p->link);
    p->link = NULL;
    p->n++;
    p->n_missed += !answered;
    p->missed = answered ? 0 : p->missed + 1;
}

static void came(struct bufferevent *link, void *arg)
{
    struct admin_probe *p = arg;
    struct evbuffer *in = bufferevent_get_input(link);
    uint8_t head[H2_HEAD];
    while (evbuffer_copyout(in, head, sizeof head) == (ev_ssize_t)sizeof head) {
        size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (head[3] == H2_HEADERS && head[8] == H2_STREAM) {
            finish(p, true);
            return;
        }
        if (n > 16384) { /* no frame of HTTP/2: somebody else speaks here, so somebody lives */
            finish(p, true);
            return;
        }
        if (evbuffer_get_length(in) < sizeof head + n) {
            return;
        }
        (void)evbuffer_drain(in, sizeof head + n);
    }
}

static void happened(struct bufferevent *link, short what, void *arg)
{
    (void)link;
    if ((what & BEV_EVENT_CONNECTED) == 0) {
        /* Closed after it was accepted is TLS's answer; refused, reset or silent is none. */
        finish(arg, (what & BEV_EVENT_EOF) != 0);
    }
}

static void probe(evutil_socket_t unused, short what, void *arg)
{
    struct admin_probe *p = arg;
    char authority[EFX_ADDRESS_BYTES_MAX + 8];
    (void)unused;
    (void)what;
    if (p->link != NULL) { /* whole time gone, no end of it */
        finish(p, false);
    }
    p->link = bufferevent_socket_new(p->of->base, -1, BEV_OPT_CLOSE_ON_FREE);
    EFX_ASSERT(p->link != NULL);
    bufferevent_setcb(p->link, came, NULL, happened, p);
    (void)bufferevent_set_timeouts(p->link, &p->often, &p->often);
    (void)bufferevent_enable(p->link, EV_READ | EV_WRITE);
    (void)snprintf(authority, sizeof authority, "localhost:%u", p->port);
    write_call(bufferevent_get_output(p->link), authority);
    if (bufferevent_socket_connect_hostname(p->link, NULL, AF_UNSPEC, p->host, p->port) != 0 &&
        p->link != NULL) {
        finish(p, false);
    }
}

void admin_probe_begin(struct efx_admin *a, const char *grpc)
{
    struct admin_probe *p = &a->probe;
    uint32_t ms = a->conf.silent_ms * 2 / 5;
    p->often = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)admin_address_split(grpc, p->host, sizeof p->host, &p->port);
    /* What listens everywhere is asked here. */
    if (strcmp(p->host, "0.0.0.0") == 0 || strcmp(p->host, "localhost") == 0) {
        (void)snprintf(p->host, sizeof p->host, "127.0.0.1");
    } else if (strcmp(p->host, "::") == 0) {
        (void)snprintf(p->host, sizeof p->host, "::1");
    }
    p->timer = event_new(a->base, -1, EV_PERSIST, probe, p);
    EFX_ASSERT(p->timer != NULL);
    (void)event_add(p->timer, &p->often);
}

void admin_probe_end(struct efx_admin *a)
{
    if (a->probe.link != NULL) {
        bufferevent_free(a->probe.link);
    }
    if (a->probe.timer != NULL) {
        event_free(a->probe.timer);
    }
}
