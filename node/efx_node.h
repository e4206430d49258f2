#ifndef EFX_NODE_H
#define EFX_NODE_H

#include "efx_coord.h"
#include "efx_service.h"
#include "efx_store.h"
#include "efx_transport.h"

/* A member of a cluster: the engine's part that it owns, and everything that decides what counts.
 * Rules C1 to C24 of the cluster's protocol stand in this room under their numbers.
 *
 *   doors ─► service ─► part of the next tick ─► all members ─► merged tick ─► engine (its shards)
 *                                                     │ mark
 *                                                     └─► save ─► report ─► leader: manifest
 *
 *   loop      all of a node's decisions; nothing in it waits
 *   engine    numbers ticks and runs shards, on a thread of its own
 *   worker    store and coordination, whose calls wait, on a thread each
 *
 * In a simulation the same code runs on one thread at a time: engine and workers get their turns
 * from the loop.
 *
 *   Owner    everything given in the conf outlives the node
 *   Threads  create, start, stop, destroy: the loop's; the service: any
 *   Errors   `ended` tells why a node has stopped by itself: kind USER: refused (another app,
 *            cluster, version); ENV: the store is away for good or has lost its data (C14)
 *   Limits   EFX_MEMBERS_MAX
 */
struct efx_node;

struct efx_node_conf {
    const char *id; /* 1 .. EFX_NODE_ID_BYTES_MAX; unique in the cluster */
    const char *cluster, *app_name;
    const char *sql;          /* NULL: joins what is there */
    const char *const *seeds; /* [n_seeds] addresses of members; NULL-terminated */
    const char *listen;       /* of the transport */
    const char *advertise_tcp, *advertise_grpc, *advertise_http; /* NULL: as it listens; none */
    const char *store_url; /* told to joiners; NULL: this process only */
    const char *version;

    struct efx_loop *loop;
    struct efx_transport *transport;
    struct efx_world *world;
    struct efx_mem *mem;
    /* Of store_url. A node that learns it from a seed asks for them; both are closed by who opened
     * them. NULL from a call: *err says why. */
    enum efx_rc (*open_store)(void *arg, const char *url, struct efx_store **store,
                              struct efx_coord **coord, struct efx_err *err);
    void *arg;

    uint32_t shards;    /* of this member, >= 1 */
    uint32_t max_batch; /* 0: 4,096 */
    int clock;          /* enum efx_clock of efx/efx.h */
    uint64_t seed;      /* 0: drawn at the founding */
    bool ordered;       /* all outputs in one order on the first member; fixes `shards` of all */
    bool connected; /* who has the node runs the app's sources and sinks; else a text that has any
                         is refused: members do not run them yet (C20) */
    size_t compress_bytes; /* messages between members beyond it are compressed; 0 = none is */
    bool certified;        /* members must show a certificate of the transport's peer_ca */
    bool simulated;        /* loop and transport are: no threads of its own */
    uint64_t state_max_bytes;

    /* 0: the defaults of cluster.md and runtime.md §10. */
    int64_t failure_timeout_ms, form_timeout_ms, barrier_timeout_ms, checkpoint_interval_ms;
    int64_t session_idle_ms, session_hold_ms;
    uint32_t min_nodes, retain, sessions_max;

    /* Rows of derived streams, on the engine's thread; for `ordered`. NULL: only subscribers. */
    void (*rows)(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows);
    /* The engine here is through with a tick of this channel epoch; on the loop. */
    void (*done)(void *arg, uint64_t tick);
    /* A checkpoint stands (C14: what a node remembers beside the store); on the loop. */
    void (*stands)(void *arg, uint64_t epoch, uint64_t no);
    uint64_t remembers; /* checkpoint that this node once knew to stand; 0: none. Then it founds
                           nothing, and a store without a record has lost its data (C18) */
    /* It has stopped by itself; on the loop. */
    void (*ended)(void *arg, const struct efx_err *why);
    /* One line for people: epochs, losses, checkpoints that failed. NULL: silent. */
    void (*log)(void *arg, const char *line);
};

enum efx_rc efx_node_create(const struct efx_node_conf *conf, struct efx_node **out,
                            struct efx_err *err) EFX_MUST_USE;
/* Listens and goes to work: founds, joins, or goes on. */
enum efx_rc efx_node_start(struct efx_node *n, struct efx_err *err) EFX_MUST_USE;
struct efx_service *efx_node_service(struct efx_node *n);
/* C17: hands its keys over, or commits a last checkpoint if it is the last one; `done` comes on the
 * loop within the barrier's timeout. */
void efx_node_leave(struct efx_node *n, void (*done)(void *arg, const struct efx_err *why),
                    void *arg);
void efx_node_destroy(struct efx_node **n);

#endif /* EFX_NODE_H */
