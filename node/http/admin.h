#ifndef ADMIN_H
#define ADMIN_H

#include "efx_admin.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>

/* Shared by admin.c (thread, connections, ways), pages.c (JSON), metrics.c and probe.c.
 *
 *   Threads  everything is the admin thread's but what stands behind `lock`; `looked` is the node's
 *            loop's and the lock's
 */
enum {
    ADMIN_PROBES_MISSED = 3, /* so many in a row, and the node is not alive */
    ADMIN_HEADERS_BYTES_MAX = 16 * 1024,
    ADMIN_SILENT_S = 30,
    ADMIN_CODES = 8,
};

struct admin_counts {
    uint64_t requests[ADMIN_CODES]; /* by admin_codes */
    uint64_t refused;               /* over connections_max */
    uint64_t too_large;             /* bodies */
    uint32_t connections;           /* now */
};
extern const uint32_t admin_codes[ADMIN_CODES];

struct admin_probe { /* one health check after the other */
    struct efx_admin *of;
    char host[EFX_ADDRESS_BYTES_MAX];
    uint16_t port;
    struct event *timer;
    struct timeval often;     /* how often gRPC is asked, and how long it may take */
    struct bufferevent *link; /* NULL = none is on its way */
    uint32_t missed;          /* in a row */
    uint64_t n, n_missed;
};

struct efx_admin {
    struct efx_admin_conf conf;
    char address[EFX_ADDRESS_BYTES_MAX];
    struct event_base *base;
    struct evhttp *http;
    struct event *look;
    pthread_t thread;
    bool running;
    int stop_fd[2];
    struct event *stop;
    struct admin_counts counts;
    struct bufferevent **conns; /* [counts.connections], room for connections_max */
    struct admin_probe probe;
    struct efx_status *status; /* where the last one lies */

    pthread_mutex_t lock;
    struct efx_admin_node node; /* service NULL: there is none yet */
    char starting[EFX_ERR_MSG_BYTES];
    struct efx_transport_counts links; /* as of the last look */
    uint64_t seen_ns;                  /* when the loop last gave a sign, by the monotonic clock */

    struct efx_task looked; /* the node's loop runs it */
};

/* Copies of what stands behind the lock. service NULL: not yet. */
struct efx_admin_node admin_node(struct efx_admin *a);

/* ---- pages.c ---- */

struct admin_page {
    const char *path;
    /* Fills body; the status code. */
    int (*fill)(struct efx_admin *a, struct evbuffer *body);
    const char *type;
};
extern const struct admin_page admin_pages[]; /* ends with {0} */
int admin_health(struct efx_admin *a, struct evbuffer *body);
int admin_ready(struct efx_admin *a, struct evbuffer *body);
void admin_json_text(struct evbuffer *out, const char *text);

/* ---- metrics.c ---- */

int admin_metrics(struct efx_admin *a, struct evbuffer *body);

/* ---- probe.c ---- */

/* Begins to ask `grpc` for its health; on the admin thread. */
void admin_probe_begin(struct efx_admin *a, const char *grpc);
void admin_probe_end(struct efx_admin *a);
/* "host:port", "[v6]:port"; false: is none. */
bool admin_address_split(const char *address, char *host, size_t host_bytes, uint16_t *port);

#endif /* ADMIN_H */
