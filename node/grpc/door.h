#ifndef DOOR_H
#define DOOR_H

#include "batch_in.h"
#include "efx_door.h"

#include <eventflux.pb-c.h>
#include <pthread.h>
#include <transport.pb-c.h>

/* Shared by the files of the door. All of it lives on the server's thread unless it says otherwise.
 *
 *   door.c            open, close, the table of methods, readiness, the tick
 *   door_status.c     errors as statuses; control messages in and out
 *   door_submit.c     Submit, SubmitOnce
 *   door_rows.c       Subscribe, Query
 *   door_info.c       Describe, Status
 *   door_ops.c        Checkpoint, Restore, Deploy, Drain
 *   door_transport.c  SendMessage, StreamMessages
 *   door_events.c     StreamEvents
 *   door_beat.c       Heartbeat
 *   health.c, reflect.c
 */
enum { DOOR_QUEUE_BYTES = 1024 * 1024 }; /* waiting in a call: then nothing more is read from it */

struct efx_door {
    const struct efx_grpc_vt *vt;
    struct efx_grpc_server *server;
    struct efx_service *service;
    struct efx_door_opts opts;
    char node[EFX_NODE_ID_BYTES_MAX + 1];
    struct efx_grpc_method *methods;
    uint32_t n_methods;
    _Atomic bool ready, leaving;
    struct efx_grpc_task ready_task, leave_task;
    struct watch *watches;                           /* health.c */
    struct submit *submits;                          /* door_submit.c: that are open */
    struct rows_call *rows;                          /* door_rows.c */
    uint64_t n_rows_in, rate_at_ns, rate_rows, rate; /* rows taken; a second, as of the last tick */
    uint64_t cpu_us, cpu_at_ns;                      /* of the last heartbeat */
    struct relay *relays;                            /* door_transport.c */
    struct events *events;                           /* door_events.c */
    struct json_cache *json; /* door_transport.c: formats of the app that runs */
};

static inline struct efx_door *door_of(const struct efx_grpc_call *c)
{
    return c->method->arg;
}

/* ---- door_status.c ---- */

/* EFX_AGAIN is UNAVAILABLE and so on: efx_service.h, "Errors". */
enum efx_grpc_code efx_door__code(const struct efx_err *err);
/* "EFX-nnnn: reason", with efx-code and efx-node, and perhaps one more. */
void efx_door__finish(struct efx_grpc_call *c, const struct efx_err *err);
void efx_door__finish_as(struct efx_grpc_call *c, enum efx_grpc_code code, uint16_t efx,
                         const char *text, const struct efx_grpc_meta *more);
void efx_door__finish_ok(struct efx_grpc_call *c);

/* A control message; NULL: it is none, and the call is finished. Its memory is the arena's. */
ProtobufCMessage *efx_door__read(struct efx_grpc_call *c, const ProtobufCMessageDescriptor *type,
                                 const struct efx_bytes *pieces, uint32_t n,
                                 struct efx_arena *arena);
struct efx_grpc_buf *efx_door__pack(const struct efx_door *d, const ProtobufCMessage *m);
void efx_door__send(struct efx_grpc_call *c, const ProtobufCMessage *m);
/* protobuf-c takes char *, and only reads: a copy in the arena; "" where there is no memory. */
char *efx_door__text(struct efx_arena *arena, const char *text);
/* The only answer of a call. */
void efx_door__answer(struct efx_grpc_call *c, const ProtobufCMessage *m);
enum efx_level efx_door__level(Eventflux__V1__Level level); /* 0: is none */
int64_t efx_door__wall_ms(void);

/* ---- methods ---- */

#define DOOR_METHODS_MAX 24
struct door_table {
    struct efx_grpc_method *v;
    uint32_t n;
};
void efx_door__add(struct door_table *t, const struct efx_grpc_method *m);
void efx_door__add_submit(struct door_table *t);
void efx_door__add_rows(struct door_table *t);
void efx_door__add_info(struct door_table *t);
void efx_door__add_ops(struct door_table *t);
void efx_door__add_transport(struct door_table *t);
void efx_door__add_events(struct door_table *t);
void efx_door__add_beat(struct door_table *t);
void efx_door__add_health(struct door_table *t);
void efx_door__add_reflect(struct door_table *t);

void efx_door__health_changed(struct efx_door *d);
void efx_door__health_end(struct efx_door *d); /* Watch streams end */
void efx_door__submit_tick(struct efx_door *d, uint64_t now_ns);
void efx_door__submit_leave(struct efx_door *d);
void efx_door__rows_tick(struct efx_door *d);
void efx_door__rows_leave(struct efx_door *d);
void efx_door__relay_leave(struct efx_door *d);
void efx_door__events_tick(struct efx_door *d);
void efx_door__events_leave(struct efx_door *d);
void efx_door__json_close(struct efx_door *d);
/* The service's status; free with the next. NULL: no memory. */
struct efx_status *efx_door__status(struct efx_door *d);
void efx_door__status_free(struct efx_status *st);

/* Protobuf descriptors of everything served: a FileDescriptorSet. */
extern const uint8_t efx_door__descriptors[], efx_door__descriptors_end[];

#endif /* DOOR_H */
