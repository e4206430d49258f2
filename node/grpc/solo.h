#ifndef SOLO_H
#define SOLO_H

#include "efx_solo.h"

#include <pthread.h>

/* Shared by the files of the node alone.
 *
 *   solo.c          open, close, the queue, the service's table
 *   solo_submit.c   sessions, rows into the app
 *   solo_rows.c     subscriptions, queries
 */
enum op_what {
    OP_OPEN = 1,
    OP_ROWS,
    OP_ASK,
    OP_CLOSE,
    OP_SUBSCRIBE,
    OP_QUERY,
    OP_CANCEL,
};

struct op { /* a call that waits for the loop; part of what it is about */
    enum op_what what;
    bool queued; /* under the lock */
    struct op *next;
    void *about; /* pooled, efx_submit, efx_rows_call */
};

struct pooled {   /* a builder, with memory of its own: another thread fills it */
    struct op op; /* rows */
    struct efx_submit *submit;
    uint64_t first_seq;
    struct efx_arena keep;
    struct efx_builder *b;
    struct pooled *next;
};

struct session {
    char name[EFX_SESSION_BYTES_MAX + 1];
    uint64_t next_seq, opening;
    struct efx_submit *open; /* the call that has it; NULL */
    int64_t used_ms;
    struct session *next;
};

struct efx_submit {
    struct efx_submit_front *front;
    struct efx_submit_open how;
    struct op open_op, ask_op, close_op;
    bool drain, graceful;    /* of ask and close; drain under the lock */
    struct session *session; /* NULL: none */
    struct efx_ack ack;
    bool touched, ended, closed;
    struct efx_submit *next, **at;
};

struct efx_rows_call {
    struct efx_rows_front *front;
    struct op op, cancel_op;
    char *text; /* [text_bytes] stream or statement */
    size_t text_bytes;
    enum efx_level level;
    char session[EFX_SESSION_BYTES_MAX + 1];
    uint64_t seq;
    uint32_t object; /* subscribed to */
    uint64_t n_rows;
    bool listed, ended, cancelled;
    struct efx_rows_call *next, **at;
};

enum { SESSION_BUCKETS = 4096 };

struct efx_solo {
    struct efx_service base;
    struct efx *efx;
    struct efx_app *app;
    const struct efx_program *program;
    struct efx_service_app info;
    char *name, *sql;
    size_t name_bytes, sql_bytes;
    int fd;
    bool leaving, is_virtual;
    pthread_mutex_t lock; /* of the queue, builders, waiting, subscriptions, numbers */
    struct op *first, **last;
    struct pooled pool[ALONE_BUILDERS];
    struct pooled *free;
    struct efx_wake **waiting; /* [n_waiting] for a builder */
    uint32_t n_waiting, waiting_max;
    struct efx_rows_call *subscribers;
    struct efx_submit *submits;
    struct session *sessions[SESSION_BUCKETS];
    uint32_t n_sessions;
    struct efx_status numbers;
    _Atomic uint64_t rows_out;
};

void efx_solo__put(struct efx_solo *a, struct op *op); /* nothing if it waits already */
void efx_solo__builder_back(struct efx_solo *a, struct efx_builder *b);
int64_t efx_solo__now_ms(void);

void efx_solo__open(struct efx_solo *a, struct efx_submit *s);
void efx_solo__take(struct efx_solo *a, const struct pooled *p);
void efx_solo__ask(struct efx_solo *a, struct efx_submit *s);
void efx_solo__close_submit(struct efx_solo *a, struct efx_submit *s);
void efx_solo__ack_touched(struct efx_solo *a);
void efx_solo__end_submits(struct efx_solo *a, const struct efx_err *why);
void efx_solo__free_sessions(struct efx_solo *a);
/* Of that name, perhaps new; NULL: no room. */
struct session *efx_solo__session(struct efx_solo *a, const char *name, bool *known);

void efx_solo__subscribe(struct efx_solo *a, struct efx_rows_call *c);
void efx_solo__query(struct efx_solo *a, struct efx_rows_call *c);
void efx_solo__cancel(struct efx_solo *a, struct efx_rows_call *c);
void efx_solo__end_subscribers(struct efx_solo *a, const struct efx_err *why);

#endif /* SOLO_H */
