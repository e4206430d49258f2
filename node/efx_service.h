#ifndef EFX_SERVICE_H
#define EFX_SERVICE_H

#include "efx_builder.h"
#include "efx_plan.h"
#include "efx_world.h"

/* What a node offers to its front doors (gRPC, HTTP, the command line in one process). A door
 * turns a protocol's messages into these calls and the answers into messages; it decides nothing.
 *
 *   door's thread                        the node's loop
 *   submit_open ──────────────────────►  session: who has it, which row comes next (C16)
 *        ◄──────────────── opened(next_seq, known)
 *   builder, filled ─ submit_rows ────►  repeats dropped, rows numbered in a tick (C3)
 *        ◄──────────────── ack(accepted, committed)        a tick is finished, a checkpoint stands
 *
 *   Owner    a `front` is the door's and lives until its `ended` was called, which happens once
 *            for each call that was begun, and is the last thing that happens to it. What the call
 *            gave out (efx_submit, efx_rows_call) is the node's and lives until `ended` was called
 *            and the door has called submit_close or rows_cancel, which it does once for each, also
 *            after `ended`. Builders come from `builder` and are given back with submit_rows or
 *            builder_back
 *   Threads  calls may come from any thread and never block; answers come on the node's loop (of a
 *            front one at a time), and the door only hands them to its own thread
 *   Errors   of `ended`: EFX_OK: done. EFX_EPARSE, EFX_ETYPE, EFX_EABSENT: the request is wrong.
 *            EFX_ELIMIT: a limit, named. EFX_AGAIN: not ready or leaving, try another node.
 *            EFX_ESTALE: opened anew elsewhere. EFX_EDATA: precondition. EFX_EIO: store.
 *            EFX_DONE: the place asked for is gone (OUT_OF_RANGE): a gap in row numbers, a token
 *            behind which rows were dropped
 *   Source   cluster.md C16, C21, C22, C24; proto/eventflux.proto, whose comments say what each
 *            field means
 */
enum { EFX_SESSION_BYTES_MAX = 64, EFX_NODE_ID_BYTES_MAX = 64, EFX_ADDRESS_BYTES_MAX = 256 };

enum efx_level { EFX_LEVEL_ACCEPTED = 1, EFX_LEVEL_LOGGED, EFX_LEVEL_COMMITTED };

/* ---- submit ---- */

struct efx_submit_open {
    char session[EFX_SESSION_BYTES_MAX + 1]; /* empty: no numbers, only ACCEPTED */
    enum efx_level level;
    uint64_t opening;      /* the newer one wins; 0: the one that comes later */
    struct efx_bytes hash; /* empty, or must be the app's */
};

struct efx_opened {
    uint64_t next_seq; /* row to send next */
    bool known;
    char node[EFX_NODE_ID_BYTES_MAX + 1];
    uint64_t epoch;
};

struct efx_ack { /* row numbers of the session; without one, of the call from 1 */
    uint64_t accepted, logged, committed;
    uint64_t repeats;
    uint64_t dropped;
    uint64_t resend_from; /* 0 = go on */
    bool moving;
};

struct efx_submit_front {
    void (*opened)(struct efx_submit_front *self, const struct efx_opened *o,
                   const struct efx_ack *so_far);
    void (*ack)(struct efx_submit_front *self, const struct efx_ack *ack);
    void (*ended)(struct efx_submit_front *self,
                  const struct efx_err *why); /* why->rc EFX_OK: OK */
};

struct efx_submit; /* the node's side of one call */

/* ---- rows out ---- */

struct efx_rows_front { /* of Subscribe and Query */
    /* Columns of what follows: first, and when a new app text has changed them; *s stays until the
     * next one or `ended`. `resume`: where COMMITTED begins. */
    void (*schema)(struct efx_rows_front *self, const struct efx_schema *s,
                   struct efx_bytes resume);
    /* Borrowed for the call. first_row counts from 1; take_back_from as in the proto. */
    void (*rows)(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                 uint64_t checkpoint, struct efx_bytes resume);
    void (*take_back)(struct efx_rows_front *self, uint64_t from);
    /* Query: rows that a change changed; repeat: its number was taken. */
    void (*changed)(struct efx_rows_front *self, uint64_t n, uint64_t tick, bool repeat);
    void (*ended)(struct efx_rows_front *self, const struct efx_err *why);
};

struct efx_subscribe_ask {
    const char *stream;
    enum efx_level level;
    struct efx_bytes resume;
    uint64_t bytes_max; /* that may wait in the door; the door ends the call beyond */
};

struct efx_query_ask {
    const char *sql;
    enum efx_level level;
    char session[EFX_SESSION_BYTES_MAX + 1];
    uint64_t seq;
};

struct efx_rows_call; /* the node's side of one Subscribe or Query */

/* ---- operations ---- */

struct efx_checkpoint_info {
    uint64_t no;
    char revision[304]; /* EFX_REVISION_BYTES */
    int64_t committed_ms;
    uint64_t epoch, n_bytes, n_new_bytes;
    uint8_t app_hash[16];
};

enum efx_node_state {
    EFX_NODE_JOINING = 1,
    EFX_NODE_RESTORING,
    EFX_NODE_RUNNING,
    EFX_NODE_DRAINING,
    EFX_NODE_FENCED,
    EFX_NODE_LOST,
    EFX_NODE_HOLDING,
};

struct efx_node_info {
    char id[EFX_NODE_ID_BYTES_MAX + 1];
    uint64_t incarnation;
    enum efx_node_state state;
    char tcp[EFX_ADDRESS_BYTES_MAX], grpc[EFX_ADDRESS_BYTES_MAX], http[EFX_ADDRESS_BYTES_MAX];
    char version[32];
    uint32_t key_groups;
    int64_t lease_left_ms;
    uint64_t tick;
    bool self;
};

enum { EFX_STATUS_NODES_MAX = 128, EFX_STATUS_KEPT_MAX = 32, EFX_STATUS_ALARMS_MAX = 8 };

struct efx_status { /* a copy, good as of the call */
    char cluster[64], app[64], leader[EFX_NODE_ID_BYTES_MAX + 1];
    uint8_t app_hash[16];
    uint64_t epoch;
    uint32_t n_nodes;
    struct efx_node_info nodes[EFX_STATUS_NODES_MAX];
    struct efx_checkpoint_info last;
    const char *store_state; /* static: ok, away, behind, full, none */
    int64_t clock_ms;
    uint32_t n_sessions;
    uint64_t rows_in, rows_out;
    uint32_t n_alarms;
    char alarms[EFX_STATUS_ALARMS_MAX][EFX_ERR_MSG_BYTES];
    uint32_t n_kept;
    struct efx_checkpoint_info kept[EFX_STATUS_KEPT_MAX]; /* newest first */
    bool ready;
    char why_not[EFX_ERR_MSG_BYTES]; /* not ready: the reason */
    /* Counters of /metrics. */
    uint64_t n_rewinds, n_checkpoints, n_checkpoints_failed, n_repeated_rows, n_store_errors;
    uint64_t fenced_ms;
    int64_t checkpoint_age_ms, checkpoint_took_ms, tick_lag_ms;
    uint64_t state_bytes;
};

enum efx_operation { EFX_OP_CHECKPOINT = 1, EFX_OP_RESTORE, EFX_OP_DEPLOY, EFX_OP_DRAIN };

struct efx_operation_ask {
    enum efx_operation what;
    bool full, compatible, lose_committed;
    const char
        *text; /* RESTORE: revision, empty = the last; DEPLOY: SQL; DRAIN: node, empty = this */
    int64_t timeout_ms; /* 0 = none */
};

struct efx_operation_done {
    struct efx_checkpoint_info checkpoint;
    uint64_t epoch;
    uint8_t app_hash[16];
    uint32_t n_not_carried;
    const char *const *not_carried;
};

struct efx_operation_front {
    void (*ended)(struct efx_operation_front *self, const struct efx_operation_done *done,
                  const struct efx_err *why);
};

/* ---- the service ---- */

struct efx_service_app { /* an app text that runs; counted, immutable */
    const struct efx_program *program;
    const struct efx_plan *plan;
    const struct efx_schema *const *takes; /* [n_objects] of what takes events; NULL */
    uint8_t hash[16];
    const char *name, *sql;
    const char *plan_json; /* as `efx explain --json` */
};

struct efx_service {
    const struct efx_service_vt *vt;
};

struct efx_service_vt {
    /* The text that runs now; given back with app_unref. NULL: none runs yet. */
    const struct efx_service_app *(*app_ref)(struct efx_service *self);
    void (*app_unref)(struct efx_service *self, const struct efx_service_app *app);

    void (*submit_open)(struct efx_service *self, const struct efx_submit_open *how,
                        struct efx_submit_front *front, struct efx_submit **out);
    /* A free builder for this app's streams (schemas are the app's `takes`); NULL: none now, `room`
     * is called once when one is, or when the node goes. */
    struct efx_builder *(*builder)(struct efx_service *self, struct efx_wake *room);
    void (*builder_back)(struct efx_service *self, struct efx_builder **b);
    /* Turn i of the builder is row first_seq + i of the session (rejects too; a clock turn has no
     * number and stands last). Without a session first_seq is 0. `unit_end`: last of a message. */
    void (*submit_rows)(struct efx_service *self, struct efx_submit *s, uint64_t first_seq,
                        struct efx_builder **b, bool unit_end);
    /* No rows: asks for an ack. `drain`: end of input of the virtual clock. */
    void (*submit_ask)(struct efx_service *self, struct efx_submit *s, bool drain);
    /* Half-closed (graceful: acks go on until all rows are at the level that open asked for), or
     * broken; `ended` follows unless it was said. */
    void (*submit_close)(struct efx_service *self, struct efx_submit *s, bool graceful);

    void (*subscribe)(struct efx_service *self, const struct efx_subscribe_ask *ask,
                      struct efx_rows_front *front, struct efx_rows_call **out);
    void (*query)(struct efx_service *self, const struct efx_query_ask *ask,
                  struct efx_rows_front *front, struct efx_rows_call **out);
    /* `ended` follows unless it was said. */
    void (*rows_cancel)(struct efx_service *self, struct efx_rows_call *c);

    void (*status)(struct efx_service *self, struct efx_status *out);
    void (*operate)(struct efx_service *self, const struct efx_operation_ask *ask,
                    struct efx_operation_front *front);
};

#endif /* EFX_SERVICE_H */
