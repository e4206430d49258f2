#ifndef EFX_ADMIN_H
#define EFX_ADMIN_H

#include "efx_arena.h"
#include "efx_service.h"
#include "efx_transport.h"

/* The node's HTTP: what probes, Prometheus and people ask. Nothing can be changed through it.
 *
 *   /health            200: the node's loop turns and its own gRPC address answers a health check;
 *                      503 with the reason. A store that is away is no reason
 *   /ready             200, or 503 with the reason
 *   /metrics           Prometheus text, from one table (metrics.c)
 *   /api/status        JSON: members, checkpoints, counts       /api/checkpoints   those to go back
 *   /api/plan          JSON: as `efx explain --json`            /api/app           text and hash
 *
 * It has a thread of its own, so that it can tell of a loop that does not turn, and answers before
 * there is a node: then nothing is ready, and `starting` says why.
 *
 *   Owner    strings of the conf are copied; service, loop and transport outlive `serve` until
 *            close
 *   Limits   connections_max: 503 and the connection ends; body_bytes_max: 413; 16 KiB of headers;
 *            30 s of silence. Each is counted in /metrics under its name
 *   Threads  open, serve, starting and close: the loop's, or before it runs; close when the loop
 *            runs no more or on it
 *   Errors   EFX_EIO, kind ENV: cannot listen there. EFX_EPARSE, kind USER: no address
 *   Source   tests/http/test_admin.c; names of metrics: cluster.md, runtime.md §8
 */
struct efx_admin;

struct efx_admin_conf {
    const char *listen;       /* "host:port", "[::1]:port"; port 0: the system's choice */
    uint32_t connections_max; /* 0: 256 */
    size_t body_bytes_max;    /* 0: 1 MiB */
    uint32_t silent_ms;       /* so long without a sign of the loop: not alive; 0: 5,000 */
    struct efx_mem *mem;
    struct efx_world *world;
};

struct efx_admin_node { /* what it tells of */
    struct efx_service *service;
    struct efx_loop *loop;           /* NULL: nobody looks whether it turns */
    struct efx_transport *transport; /* NULL: none */
    const char *grpc;                /* whose health check must answer; NULL: no gRPC */
};

enum efx_rc efx_admin_open(const struct efx_admin_conf *conf, struct efx_admin **out,
                           struct efx_err *err) EFX_MUST_USE;
/* "host:port" as it listens. */
const char *efx_admin_address(const struct efx_admin *a);
/* Why nothing is ready yet. */
void efx_admin_starting(struct efx_admin *a, const char *why);
/* From now on it tells of this node. Once. */
enum efx_rc efx_admin_serve(struct efx_admin *a, const struct efx_admin_node *node,
                            struct efx_err *err) EFX_MUST_USE;
void efx_admin_close(struct efx_admin **a);

/* Every metric, for pages: labels without braces, "" = none. */
void efx_admin_metrics(void (*row)(void *arg, const char *name, const char *type,
                                   const char *labels, const char *help),
                       void *arg);

#endif /* EFX_ADMIN_H */
