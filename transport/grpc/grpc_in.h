#ifndef GRPC_IN_H
#define GRPC_IN_H

#include "efx_grpc.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>

/* Shared by the files of libefx_grpc.so.
 *
 *   grpc_core.c    library life, clock, buffers, pieces of a message
 *   grpc_server.c  the server's thread, armed slots, tasks, draining
 *   grpc_call.c    a call of the server
 *   grpc_client.c  the other end
 *   grpc_tls.c     credentials; certificates that are read again
 *   grpc_files.c   descriptors: the limit, the watch, a listener that died of it
 *   grpc_pack.c    lz4, snappy, zstd
 */

/* What a completion queue gives back: embedded in whoever waits for it. */
struct tag {
    void (*fn)(struct tag *self, bool ok);
    void *owner;
};

struct buf { /* a slice of up to 23 bytes lies in here: its address is good while this stays */
    struct efx_grpc_buf pub;
    grpc_slice slice;
};

struct queue { /* messages that wait to be sent */
    struct efx_grpc_buf *head, *tail;
    size_t n_bytes;
};

struct pieces { /* a received message as views */
    grpc_byte_buffer *message;
    struct efx_bytes *v;
    uint32_t n, max;
};

/* ---- core ---- */

void efx_grpc__init(void); /* paired with fini; signals stay with the program's own threads */
void efx_grpc__fini(void);
uint64_t efx_grpc__now_ns(void);
gpr_timespec efx_grpc__in_ms(uint64_t ms); /* on the monotonic clock */

struct efx_grpc_buf *efx_grpc__buf(size_t max);
void efx_grpc__buf_drop(struct efx_grpc_buf *b);
/* The message as gRPC takes it; the buffer is gone. */
grpc_byte_buffer *efx_grpc__buf_bytes(struct efx_grpc_buf *b);

void efx_grpc__queue_put(struct queue *q, struct efx_grpc_buf *b);
struct efx_grpc_buf *efx_grpc__queue_take(struct queue *q);
void efx_grpc__queue_clear(struct queue *q);

/* Views of p->message; false: no memory. */
bool efx_grpc__pieces_open(struct pieces *p);
void efx_grpc__pieces_close(struct pieces *p); /* the message goes; room for views stays */
void efx_grpc__pieces_fini(struct pieces *p);

const struct efx_grpc_vt *efx_grpc_entry(uint32_t abi);

/* ---- server ---- */

enum { SLOTS = 32, TICK_MS = 100, PATHS_MAX = 64, LISTEN_ON_MS = 300, QUIET_MS = 2000 };

struct slot { /* a call that may come */
    struct tag tag;
    struct core *core;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array meta;
};

/* One listening server of the core. A server whose listener died gets another (grpc_files.c). */
struct core {
    struct efx_grpc_server *owner;
    grpc_server *server;
    struct slot slots[SLOTS];
    uint32_t n_armed;
    struct tag down;
    bool stopping, stopped;
    struct core *next;
};

struct efx_grpc_server {
    struct efx_grpc_serve how;
    const struct efx_grpc_vt *vt;
    char address[256];
    int port;
    grpc_completion_queue *cq;
    struct core *cores; /* the newest first */
    pthread_t thread;
    /* Tasks from other threads. */
    pthread_mutex_t lock;
    struct efx_grpc_task *first, **last;
    bool woken;
    grpc_channel *lame;
    grpc_call *wake_call;
    struct tag wake;
    /* Draining. */
    struct efx_grpc_task drain_task;
    _Atomic uint64_t drain_until_ns, listen_until_ns; /* 0 = runs */
    bool leaving, draining, cancelled;
    atomic_bool down;
    uint32_t n_objects;         /* calls whose memory is there */
    _Atomic uint64_t called_ns; /* when the last one came */
    _Atomic uint32_t n_calls;
    _Atomic uint64_t n_calls_refused, n_auth_refused, n_relistens;
    uint64_t tick_ns;
    struct files_watch {
        _Atomic uint32_t n_files, max;
        uint64_t looked_ns;
        bool was_full; /* accept may have failed since the listener was last tried */
    } files;
    struct tls_files *tls;
};

enum efx_rc efx_grpc__core_open(struct efx_grpc_server *s, int port, struct efx_err *err);
void efx_grpc__core_stop(struct core *c);
void efx_grpc__server_tick_files(struct efx_grpc_server *s, uint64_t now_ns);
void efx_grpc__files_raise(struct files_watch *w);

/* A call that came with slot's contents; takes call, borrows details and metadata. */
void efx_grpc__call_open(struct efx_grpc_server *s, grpc_call *call,
                         const grpc_call_details *details, const grpc_metadata_array *meta);

void efx_grpc__call_next(struct efx_grpc_call *c);
void efx_grpc__call_send(struct efx_grpc_call *c, struct efx_grpc_buf *b);
void efx_grpc__call_finish(struct efx_grpc_call *c, const struct efx_grpc_status *status);
void efx_grpc__call_hold(struct efx_grpc_call *c);
void efx_grpc__call_release(struct efx_grpc_call *c);

enum efx_rc efx_grpc__serve(const struct efx_grpc_serve *how, struct efx_grpc_server **out,
                            struct efx_err *err);
const char *efx_grpc__address(const struct efx_grpc_server *s);
void efx_grpc__post(struct efx_grpc_server *s, struct efx_grpc_task *t);
void efx_grpc__drain(struct efx_grpc_server *s, uint64_t ms);
bool efx_grpc__is_down(const struct efx_grpc_server *s);
void efx_grpc__close(struct efx_grpc_server **s);
void efx_grpc__numbers(const struct efx_grpc_server *s, struct efx_grpc_numbers *out);

/* ---- tls ---- */

struct tls_files;
enum efx_rc efx_grpc__tls_open(const struct efx_grpc_tls *tls, struct tls_files **out,
                               struct efx_err *err);
void efx_grpc__tls_close(struct tls_files **t);
grpc_server_credentials *efx_grpc__tls_server(struct tls_files *t); /* NULL: cannot */
enum efx_rc efx_grpc__tls_client(const struct efx_grpc_tls *tls, grpc_channel_credentials **out,
                                 struct efx_err *err);

/* ---- client ---- */

enum efx_rc efx_grpc__dial(const struct efx_grpc_dial *how, struct efx_grpc_client **out,
                           struct efx_err *err);
struct efx_grpc_ccall *efx_grpc__ccall(struct efx_grpc_client *cl, const char *path,
                                       uint64_t timeout_ms, const struct efx_grpc_client_user *user,
                                       void *arg);
void efx_grpc__ccall_next(struct efx_grpc_ccall *c);
void efx_grpc__ccall_send(struct efx_grpc_ccall *c, struct efx_grpc_buf *b);
void efx_grpc__ccall_half_close(struct efx_grpc_ccall *c);
void efx_grpc__ccall_cancel(struct efx_grpc_ccall *c);
size_t efx_grpc__ccall_queued(const struct efx_grpc_ccall *c);
bool efx_grpc__poll(struct efx_grpc_client *cl, uint64_t ms);
void efx_grpc__hang_up(struct efx_grpc_client **cl);

/* ---- pack ---- */

enum efx_rc efx_grpc__unpack(enum efx_grpc_packing how, struct efx_bytes in, size_t max,
                             uint8_t **out, size_t *n_out);
enum efx_rc efx_grpc__pack(enum efx_grpc_packing how, struct efx_bytes in, uint8_t **out,
                           size_t *n_out);

#endif /* GRPC_IN_H */
