#ifndef DAEMON_H
#define DAEMON_H

#include "../cli.h"
#include "settings.h"

#include "efx_admin.h"
#include "efx_door.h"
#include "efx_loop_real.h"
#include "efx_node.h"
#include "efx_stores.h"
#include "efx_tcp.h"

/* The program efx-node: one member of a cluster in one process.
 *
 *   daemon_main.c   options, files, what follows from them; exit status
 *   daemon.c        loop, transport, node, doors: made, run, drained, given back
 *   daemon_store.c  opens the store, again for 30 s if it is away
 *   log.c           one line a thing, text or JSON
 *
 *   signals   blocked before any thread is made, read from a descriptor on the loop. The first
 *             SIGTERM or SIGINT drains, then exit 0; the second ends at once with 130
 *   Threads   everything here on the main thread, which is the loop's; logging on any; the store is
 *             opened on the node's worker if its address comes from a member
 *   Exit      0 drained; 1 the work failed: no store, refused by the cluster, hand-over not in
 *             time; 2 options, configuration or program are wrong; 70 a bug; 130
 */
enum { STORE_PATIENCE_MS = 30000, DOOR_LEAVE_MS = 3000 };

struct daemon_opts {
    const char *app, *restore;
    struct opt_list join, config, set;
    const char *given[24]; /* by daemon_ways of daemon_main.c */
    bool list_metrics, list_settings, version;
};

struct daemon {
    struct node_settings s;
    struct efx_arena arena;
    const char *sql;      /* NULL: joins */
    const char *app_name; /* NULL: learns it */
    const char **seeds;   /* NULL-terminated */
    uint32_t n_seeds;
    const char *store_url; /* NULL: learns it */
    const char *grpc_listen;
    const char *grpc_at, *http_at, *tcp_at; /* what others are told; NULL: as it listens */
    const char *node_id;

    struct efx_loop *loop;
    struct efx_transport *transport;
    struct efx_node *node;
    struct efx_admin *admin;
    struct efx_door *door;
    struct efx_stores *stores; /* of store_url, opened before the node is made */
    struct efx_stores *learned;

    int signal_fd;
    struct event *signal_event;
    struct efx_task watch; /* of readiness, and of the way out */
    struct efx_status *status;
    bool ready, leaving, left, stopped;
    uint64_t remembers;  /* checkpoint of <data>/last; 0 = none */
    uint64_t leave_ns;   /* when the first signal came */
    uint64_t stop_by_ns; /* when doors that do not end are left behind */
    int exit_status;
};

/* ---- daemon.c ---- */

int daemon_run(struct daemon *d);
/* True: a signal came while nothing runs yet. */
bool daemon_signalled(const struct daemon *d, int wait_ms);

/* ---- daemon_last.c: <data>/last, what this node knows to stand (C14, C18) ---- */

/* -1: go on; else the exit status. */
int daemon_recall(struct daemon *d);
void daemon_remember(void *arg, uint64_t epoch, uint64_t no);

/* ---- daemon_store.c ---- */

/* What the settings say, into d->store_url. -1: go on; else the exit status. */
int daemon_store_url(struct daemon *d);
/* Opens d->store_url, waiting for it. -1: go on. */
int daemon_store_open(struct daemon *d);
/* The node asks. */
enum efx_rc daemon_store_of(void *arg, const char *url, struct efx_store **store,
                            struct efx_coord **coord, struct efx_err *err);

/* ---- log.c ---- */

enum log_level { LOG_ERROR = 1, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_init(const char *level, const char *format);
/* One line, one write; any thread. */
void log_line(enum log_level level, const char *fmt, ...) EFX_PRINTF(2, 3);

#endif /* DAEMON_H */
