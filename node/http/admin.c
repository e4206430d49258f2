/* Thread, connections and ways of the node's HTTP.
 *
 * evhttp of this libevent neither bounds its connections nor tells when one ends. So a reference to
 * each is kept here: what evhttp has let go of has lost its callbacks. Whoever comes is counted
 * against those that have them.
 */
#include "admin.h"

#include "efx_str.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

const uint32_t admin_codes[ADMIN_CODES] = {200, 400, 404, 405, 413, 501, 503, 0};

/* ---- connections ---- */

/* Also of answers that evhttp gives by itself. */
static void went_out(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    struct efx_admin *a = arg;
    char head[13] = "";
    if (info->orig_size > 0 || info->n_added == 0 || evbuffer_copyout(out, head, 12) != 12 ||
        memcmp(head, "HTTP/1.", 7) != 0) {
        return; /* a body's later bytes */
    }
    int64_t code = 0;
    (void)efx_str_i64((struct efx_str){head + 9, 3}, &code);
    uint32_t i = 0;
    while (i + 1 < ADMIN_CODES && admin_codes[i] != code) {
        i++;
    }
    a->counts.requests[i]++;
    a->counts.too_large += code == 413;
}

static bool is_gone(struct bufferevent *b)
{
    bufferevent_event_cb fn;
    bufferevent_getcb(b, NULL, NULL, &fn, NULL);
    return fn == NULL;
}

static void forget_gone(struct efx_admin *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->counts.connections; i++) {
        if (is_gone(a->conns[i])) {
            (void)bufferevent_decref(a->conns[i]);
        } else {
            a->conns[n++] = a->conns[i];
        }
    }
    a->counts.connections = n;
}

/* A turn after it was accepted its descriptor is known. */
static void refuse(evutil_socket_t unused, short what, void *arg)
{
    static const char body[] = "{\"error\":\"http.max_connections: too many connections\"}\n";
    struct bufferevent *b = arg;
    char no[256];
    (void)unused;
    (void)what;
    if (!is_gone(b)) {
        int n = snprintf(no, sizeof no,
                         "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                         "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                         sizeof body - 1, body);
        (void)send(bufferevent_getfd(b), no, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)shutdown(bufferevent_getfd(b), SHUT_RDWR);
    }
    (void)bufferevent_decref(b);
}

static struct bufferevent *accepted(struct event_base *base, void *arg)
{
    struct efx_admin *a = arg;
    struct bufferevent *b = bufferevent_socket_new(base, -1, 0);
    EFX_ASSERT(b != NULL);
    forget_gone(a);
    bufferevent_incref(b);
    if (a->counts.connections < a->conf.connections_max) {
        (void)evbuffer_add_cb(bufferevent_get_output(b), went_out, a);
        a->conns[a->counts.connections++] = b;
    } else {
        a->counts.refused++;
        EFX_ASSERT(event_base_once(base, -1, EV_TIMEOUT, refuse, b, NULL) == 0);
    }
    return b;
}

/* ---- ways ---- */

static void answer(struct evhttp_request *req, int code, const char *type, struct evbuffer *body)
{
    struct evkeyvalq *head = evhttp_request_get_output_headers(req);
    (void)evhttp_add_header(head, "Content-Type", type);
    (void)evhttp_add_header(head, "Cache-Control", "no-store");
    if (code == 405) {
        (void)evhttp_add_header(head, "Allow", "GET, HEAD");
    }
    if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) { /* evhttp would send the body */
        char n[24];
        (void)snprintf(n, sizeof n, "%zu", evbuffer_get_length(body));
        (void)evhttp_add_header(head, "Content-Length", n);
        (void)evbuffer_drain(body, evbuffer_get_length(body));
    }
    evhttp_send_reply(req, code, NULL, body);
}

static void asked(struct evhttp_request *req, void *arg)
{
    struct efx_admin *a = arg;
    struct evbuffer *body = evbuffer_new();
    EFX_ASSERT(body != NULL);
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const struct admin_page *p = admin_pages;
    while (p->path != NULL && (path == NULL || strcmp(p->path, path) != 0)) {
        p++;
    }
    enum evhttp_cmd_type how = evhttp_request_get_command(req);
    if (p->path == NULL) {
        (void)evbuffer_add_printf(body, "{\"error\":\"nothing is at ");
        admin_json_text(body, path != NULL ? path : "");
        (void)evbuffer_add_printf(body, "\",\"pages\":[");
        for (p = admin_pages; p->path != NULL; p++) {
            (void)evbuffer_add_printf(body, "%s\"%s\"", p == admin_pages ? "" : ",", p->path);
        }
        (void)evbuffer_add_printf(body, "]}\n");
        answer(req, 404, "application/json", body);
    } else if (how != EVHTTP_REQ_GET && how != EVHTTP_REQ_HEAD) {
        (void)evbuffer_add_printf(body, "{\"error\":\"%s is read only\"}\n", p->path);
        answer(req, 405, "application/json", body);
    } else {
        int code = p->fill(a, body);
        answer(req, code, p->type, body);
    }
    evbuffer_free(body);
}

/* ---- the loop's signs ---- */

static void loop_looked(void *arg) /* on the node's loop */
{
    struct efx_admin *a = arg;
    struct efx_transport_counts links = {0};
    struct efx_transport *t = a->node.transport; /* set before this could be posted */
    if (t != NULL) {
        t->vt->counts(t, &links);
    }
    (void)pthread_mutex_lock(&a->lock);
    a->seen_ns = a->conf.world->clock->monotonic_ns(a->conf.world);
    a->links = links;
    (void)pthread_mutex_unlock(&a->lock);
}

static void look(evutil_socket_t unused, short what, void *arg)
{
    struct efx_admin *a = arg;
    struct efx_admin_node node = admin_node(a);
    (void)unused;
    (void)what;
    forget_gone(a);
    if (node.loop != NULL) {
        node.loop->vt->post(node.loop, &a->looked);
    }
    if (node.grpc != NULL && a->probe.timer == NULL) {
        admin_probe_begin(a, node.grpc);
    }
}

static void stop(evutil_socket_t unused, short what, void *arg)
{
    struct efx_admin *a = arg;
    (void)unused;
    (void)what;
    (void)event_base_loopbreak(a->base);
}

static void *run(void *arg)
{
    struct efx_admin *a = arg;
    (void)event_base_loop(a->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* ---- open and close ---- */

static enum efx_rc bind_to(struct efx_admin *a, struct efx_err *err)
{
    char host[EFX_ADDRESS_BYTES_MAX];
    uint16_t port;
    if (!admin_address_split(a->conf.listen, host, sizeof host, &port)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "'%s' is no host:port", a->conf.listen);
    }
    struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(a->http, host, port);
    if (s == NULL) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot listen on %s for HTTP: %s",
                        a->conf.listen, strerror(errno));
    }
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&at, &n) == 0) {
        port = at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&at)->sin6_port)
                                        : ntohs(((struct sockaddr_in *)&at)->sin_port);
    }
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(a->address, sizeof a->address, "%s%.200s%s:%u", v6 ? "[" : "", host,
                   v6 ? "]" : "", port);
    return EFX_OK;
}

static enum efx_rc set_up(struct efx_admin *a, struct efx_err *err)
{
    struct timeval often = {.tv_usec = a->conf.silent_ms * 1000 / 10 % 1000000,
                            .tv_sec = a->conf.silent_ms / 10000};
    a->base = event_base_new();
    a->http = a->base == NULL ? NULL : evhttp_new(a->base);
    if (a->status == NULL || a->conns == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "HTTP: no memory");
    }
    if (a->http == NULL || pipe(a->stop_fd) != 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "HTTP: %s", strerror(errno));
    }
    evhttp_set_max_headers_size(a->http, ADMIN_HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(a->http, (ev_ssize_t)a->conf.body_bytes_max);
    evhttp_set_timeout(a->http, ADMIN_SILENT_S);
    evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_bevcb(a->http, accepted, a);
    evhttp_set_gencb(a->http, asked, a);
    a->look = event_new(a->base, -1, EV_PERSIST, look, a);
    a->stop = event_new(a->base, a->stop_fd[0], EV_READ, stop, a);
    if (a->look == NULL || a->stop == NULL || event_add(a->look, &often) != 0 ||
        event_add(a->stop, NULL) != 0) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "HTTP: no memory");
    }
    EFX_RET(bind_to(a, err));
    a->running = pthread_create(&a->thread, NULL, run, a) == 0;
    return a->running ? EFX_OK
                      : EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "HTTP: no thread to be had");
}

enum efx_rc efx_admin_open(const struct efx_admin_conf *conf, struct efx_admin **out,
                           struct efx_err *err)
{
    struct efx_mem *mem = conf->mem;
    struct efx_admin *a = mem->alloc(mem, sizeof *a);
    if (a == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "HTTP: no memory");
    }
    *a = (struct efx_admin){.conf = *conf, .stop_fd = {-1, -1}};
    a->conf.connections_max = conf->connections_max > 0 ? conf->connections_max : 256;
    a->status = mem->alloc(mem, sizeof *a->status);
    a->conns = mem->alloc(mem, a->conf.connections_max * sizeof *a->conns);
    a->conf.body_bytes_max = conf->body_bytes_max > 0 ? conf->body_bytes_max : 1024 * 1024;
    a->conf.silent_ms = conf->silent_ms > 0 ? conf->silent_ms : 5000;
    a->looked = (struct efx_task){.fn = loop_looked, .arg = a};
    a->probe.of = a;
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)snprintf(a->starting, sizeof a->starting, "it is starting");
    enum efx_rc rc = set_up(a, err);
    if (rc != EFX_OK) {
        efx_admin_close(&a);
        return rc;
    }
    *out = a;
    return EFX_OK;
}

const char *efx_admin_address(const struct efx_admin *a)
{
    return a->address;
}

void efx_admin_starting(struct efx_admin *a, const char *why)
{
    (void)pthread_mutex_lock(&a->lock);
    (void)snprintf(a->starting, sizeof a->starting, "%s", why);
    (void)pthread_mutex_unlock(&a->lock);
}

enum efx_rc efx_admin_serve(struct efx_admin *a, const struct efx_admin_node *node,
                            struct efx_err *err)
{
    char host[EFX_ADDRESS_BYTES_MAX];
    if (node->grpc != NULL && !admin_address_split(node->grpc, host, sizeof host, &a->probe.port)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "'%s' is no host:port", node->grpc);
    }
    (void)pthread_mutex_lock(&a->lock);
    a->seen_ns = a->conf.world->clock->monotonic_ns(a->conf.world);
    a->node = *node;
    (void)pthread_mutex_unlock(&a->lock);
    return EFX_OK;
}

struct efx_admin_node admin_node(struct efx_admin *a)
{
    (void)pthread_mutex_lock(&a->lock);
    struct efx_admin_node node = a->node;
    (void)pthread_mutex_unlock(&a->lock);
    return node;
}

void efx_admin_close(struct efx_admin **out)
{
    struct efx_admin *a = *out;
    if (a == NULL) {
        return;
    }
    *out = NULL;
    if (a->running) {
        (void)!write(a->stop_fd[1], "", 1);
        (void)pthread_join(a->thread, NULL);
    }
    if (a->node.loop != NULL) {
        a->node.loop->vt->cancel(a->node.loop, &a->looked);
    }
    admin_probe_end(a);
    struct event *events[] = {a->look, a->stop};
    for (uint32_t i = 0; i < 2; i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
    if (a->http != NULL) {
        evhttp_free(a->http);
    }
    for (uint32_t i = 0; i < a->counts.connections; i++) {
        (void)bufferevent_decref(a->conns[i]);
    }
    if (a->base != NULL) {
        event_base_free(a->base); /* runs what libevent finishes later */
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (a->stop_fd[i] >= 0) {
            (void)close(a->stop_fd[i]);
        }
    }
    (void)pthread_mutex_destroy(&a->lock);
    struct efx_mem *mem = a->conf.mem;
    if (a->status != NULL) {
        mem->free(mem, a->status, sizeof *a->status);
    }
    if (a->conns != NULL) {
        mem->free(mem, a->conns, a->conf.connections_max * sizeof *a->conns);
    }
    mem->free(mem, a, sizeof *a);
}
