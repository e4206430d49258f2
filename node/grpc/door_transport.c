/* SendMessage and StreamMessages of the older contract: JSON payloads into rows.
 *
 *   message ──unpack──► JSON ──format──► builder, builder … ──► node (no session)
 *           answers that wait ◄── ack(accepted): those whose last row is in it are sent, in order
 *
 * A payload is one object or an array of them; line breaks in it are blanks. Rows that cannot be
 * read are rejects of their place and are counted in the answer.
 *
 *   Limits   EFX_MESSAGE_BYTES_MAX unpacked; WAITING_MAX answers that wait, then nothing more is
 *            read from the call
 *   Source   proto/transport.proto
 */
#include "door.h"

#include "efx_io.h"

#include <stdio.h>

enum { WAITING_MAX = 1024, PAYLOAD_BYTES_MAX = EFX_MESSAGE_BYTES_MAX };

struct json_cache { /* formats of one app text, made as they are needed */
    const struct efx_service_app *app;
    struct efx_arena arena;
    struct efx_format **by_stream; /* [n_objects] */
};

struct waiting { /* an answer */
    struct waiting *next;
    uint64_t last_row;
    uint32_t n_rows, n_rejects;
    char reason[EFX_ERR_MSG_BYTES];
    size_t id_bytes;
    char id[]; /* [id_bytes] */
};

struct relay {
    struct efx_submit_front front;
    struct efx_door *door;
    struct efx_grpc_call *call;
    struct efx_submit *node;
    struct relay *next, **at;
    bool stream, opening, open, half_closed, closed_node, busy;
    uint64_t n_rows;   /* of the call so far */
    uint64_t accepted; /* as the node said */
    struct waiting *first, **last;
    uint32_t n_waiting;
    /* The payload that is being decoded. */
    struct waiting *now;
    uint8_t *json; /* [json_max] */
    size_t json_max;
    struct efx_msg msgs[1];
    struct efx_chunk chunk;
    struct efx_decode decode;
    struct efx_format *format;
    const struct efx_schema *const *takes;
    struct efx_wake room;
    struct efx_grpc_task room_task;
    /* From the node's loop. */
    pthread_mutex_t lock;
    struct efx_grpc_task task, end_task; /* the end comes by its own: it is the last that runs */
    bool has_opened;
    struct efx_ack ack;
    struct efx_err why;
};

static const struct efx_service_vt *node_of(const struct relay *r)
{
    return r->door->service->vt;
}

/* ---- formats ---- */

void efx_door__json_close(struct efx_door *d)
{
    struct json_cache *k = d->json;
    if (k != NULL) {
        for (uint32_t i = 0; i < k->app->program->n_objects; i++) {
            if (k->by_stream[i] != NULL) {
                k->by_stream[i]->vt->close(k->by_stream[i]);
            }
        }
        efx_arena_fini(&k->arena);
        d->service->vt->app_unref(d->service, k->app);
        efx_mem_libc.free(&efx_mem_libc, k, sizeof *k);
        d->json = NULL;
    }
}

/* Of the text that runs now; NULL: none does. */
static struct json_cache *cache_of(struct efx_door *d)
{
    const struct efx_service_app *app = d->service->vt->app_ref(d->service);
    if (app == NULL || (d->json != NULL && d->json->app == app)) {
        if (app != NULL) {
            d->service->vt->app_unref(d->service, app);
        }
        return app == NULL ? NULL : d->json;
    }
    efx_door__json_close(d);
    struct json_cache *k = efx_mem_libc.alloc(&efx_mem_libc, sizeof *k);
    if (k != NULL) {
        k->app = app;
        efx_arena_init(&k->arena, &efx_mem_libc, SIZE_MAX);
        k->by_stream = EFX_NEW_N(&k->arena, struct efx_format *, app->program->n_objects + 1);
    }
    if (k == NULL || k->by_stream == NULL) {
        d->service->vt->app_unref(d->service, app);
        return NULL;
    }
    d->json = k;
    return k;
}

static struct efx_format *format_of(struct json_cache *k, uint32_t stream)
{
    uint32_t n = k->app->program->n_objects;
    if (k->by_stream[stream] == NULL) {
        const struct efx_schema **only = EFX_NEW_N(&k->arena, const struct efx_schema *, n + 1);
        if (only == NULL) {
            return NULL;
        }
        only[stream] = k->app->takes[stream];
        struct efx_format_open how = {.streams = only, .n_streams = n, .arena = &k->arena};
        struct efx_err err;
        if (efx_format_make(&efx_json_format_vt, &how, &k->by_stream[stream], &err) != EFX_OK) {
            k->by_stream[stream] = NULL;
        }
    }
    return k->by_stream[stream];
}

/* ---- answers ---- */

static void send_answer(struct relay *r, const struct waiting *w)
{
    struct efx_arena a;
    char accepted[16], rejected[16];
    Eventflux__Transport__TransportMessage m;
    eventflux__transport__transport_message__init(&m);
    Eventflux__Transport__TransportMessage__HeadersEntry h[3], *list[3];
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    (void)snprintf(accepted, sizeof accepted, "%u", w->n_rows - w->n_rejects);
    (void)snprintf(rejected, sizeof rejected, "%u", w->n_rejects);
    const char *keys[] = {"accepted", "rejected", "error"};
    const char *values[] = {accepted, rejected, w->reason};
    for (uint32_t i = 0; i < 3; i++) {
        eventflux__transport__transport_message__headers_entry__init(&h[i]);
        h[i].key = efx_door__text(&a, keys[i]);
        h[i].value = efx_door__text(&a, values[i]);
        list[i] = &h[i];
    }
    m.id = efx_door__text(&a, w->id);
    m.message_type = EVENTFLUX__TRANSPORT__MESSAGE_TYPE__MESSAGE_TYPE_ACKNOWLEDGMENT;
    m.n_headers = w->reason[0] != '\0' ? 3 : 2;
    m.headers = list;
    m.timestamp = efx_door__wall_ms();
    m.source_node = r->door->node;
    efx_door__send(r->call, &m.base);
    efx_arena_fini(&a);
}

static void free_waiting(struct waiting *w)
{
    efx_mem_libc.free(&efx_mem_libc, w, sizeof *w + w->id_bytes);
}

static void close_node(struct relay *r, bool graceful)
{
    if (r->node != NULL && !r->closed_node) {
        r->closed_node = true;
        node_of(r)->submit_close(r->door->service, r->node, graceful);
    }
}

static void refuse_as(struct relay *r, enum efx_grpc_code code, uint16_t efx, const char *text)
{
    efx_door__finish_as(r->call, code, efx, text, NULL);
    close_node(r, false);
}

static void next_message(struct relay *r)
{
    if (r->stream && !r->busy && !r->call->over && r->n_waiting < WAITING_MAX &&
        r->call->queued_bytes < DOOR_QUEUE_BYTES) {
        r->call->vt->next(r->call);
    }
}

/* Sends what the acks cover; a unary call and one that is half-closed are done then. */
static void answer_covered(struct relay *r)
{
    while (r->first != NULL && r->first->last_row <= r->accepted && !r->call->over) {
        struct waiting *w = r->first;
        send_answer(r, w);
        r->first = w->next;
        r->last = r->first == NULL ? &r->first : r->last;
        r->n_waiting--;
        free_waiting(w);
        if (!r->stream && !r->call->over) {
            efx_door__finish_ok(r->call);
            close_node(r, true);
        }
    }
    if (r->half_closed && r->first == NULL && !r->busy && !r->call->over) {
        efx_door__finish_ok(r->call);
        close_node(r, true);
    }
    next_message(r);
}

static void wait_for(struct relay *r, struct waiting *w)
{
    w->next = NULL;
    w->last_row = r->n_rows;
    *r->last = w;
    r->last = &w->next;
    r->n_waiting++;
}

/* ---- rows ---- */

static void drop_payload(struct relay *r)
{
    r->busy = false;
    if (r->json != NULL) {
        efx_mem_libc.free(&efx_mem_libc, r->json, r->json_max);
        r->json = NULL;
    }
    if (r->now != NULL) {
        free_waiting(r->now);
        r->now = NULL;
    }
}

static void note_rejects(struct waiting *w, const struct efx_builder *b)
{
    w->n_rows += b->n_turns;
    w->n_rejects += b->n_rejects;
    if (b->n_rejects > 0 && w->reason[0] == '\0') {
        const struct efx_reject *k = &b->rejects[0];
        int n = k->original.len > 100 ? 100 : (int)k->original.len;
        (void)snprintf(w->reason, sizeof w->reason, "EFX-%04u: %s: %.*s", k->code,
                       k->code == 3001 ? "cannot be read" : "a field does not fit its column", n,
                       (const char *)efx_cell_bytes(&k->original));
    }
}

static void feed(struct relay *r)
{
    enum efx_rc rc = EFX_AGAIN;
    while (rc == EFX_AGAIN) {
        struct efx_builder *b = node_of(r)->builder(r->door->service, &r->room);
        if (b == NULL) {
            r->call->vt->hold(r->call);
            return;
        }
        bool same = b->schemas == r->takes;
        rc = same ? r->format->vt->decode(r->format, &r->decode, b) : EFX_ESTALE;
        if (rc != EFX_OK && rc != EFX_AGAIN) {
            node_of(r)->builder_back(r->door->service, &b);
            drop_payload(r);
            refuse_as(r, same ? EFX_GRPC_RESOURCE_EXHAUSTED : EFX_GRPC_UNAVAILABLE,
                      same ? 4005 : 4006, same ? "out of memory" : "the app changes: send again");
            return;
        }
        note_rejects(r->now, b);
        r->n_rows += b->n_turns;
        r->door->n_rows_in += b->n_turns;
        node_of(r)->submit_rows(r->door->service, r->node, 0, &b, rc == EFX_OK);
    }
    struct waiting *w = r->now;
    r->now = NULL;
    drop_payload(r);
    wait_for(r, w);
    node_of(r)->submit_ask(r->door->service, r->node, false);
    answer_covered(r);
}

static void on_room(void *arg)
{
    struct relay *r = arg;
    if (!r->call->over && r->busy) {
        feed(r);
    }
    r->call->vt->release(r->call);
}

static void wake_room(void *arg, enum efx_rc rc, size_t n)
{
    struct relay *r = arg;
    (void)rc;
    (void)n;
    r->door->vt->post(r->door->server, &r->room_task);
}

static const struct efx_submit_front front;

static void open_node(struct relay *r)
{
    struct efx_submit_open how = {.level = EFX_LEVEL_ACCEPTED};
    r->opening = true;
    r->next = r->door->relays;
    r->at = &r->door->relays;
    if (r->next != NULL) {
        r->next->at = &r->next;
    }
    r->door->relays = r;
    r->call->vt->hold(r->call);
    node_of(r)->submit_open(r->door->service, &how, &r->front, &r->node);
}

/* ---- messages ---- */

static const char *header(const Eventflux__Transport__TransportMessage *m, const char *key)
{
    for (size_t i = 0; i < m->n_headers; i++) {
        if (strcmp(m->headers[i]->key, key) == 0) {
            return m->headers[i]->value;
        }
    }
    return NULL;
}

static struct waiting *waiting_for(const Eventflux__Transport__TransportMessage *m)
{
    size_t n = strlen(m->id) + 1;
    struct waiting *w = efx_mem_libc.alloc(&efx_mem_libc, sizeof *w + n);
    if (w != NULL) {
        memset(w, 0, sizeof *w);
        w->id_bytes = n;
        memcpy(w->id, m->id, n);
    }
    return w;
}

/* The JSON of a payload as one line with room behind it. */
static enum efx_rc unpack(struct relay *r, const Eventflux__Transport__TransportMessage *m,
                          size_t *n_out)
{
    struct efx_bytes in = {m->payload.data, m->payload.len};
    uint8_t *plain;
    size_t n;
    EFX_RET(r->door->vt->unpack((enum efx_grpc_packing)m->compression, in, PAYLOAD_BYTES_MAX,
                                &plain, &n));
    r->json_max = n + EFX_CHUNK_PAD + 1;
    r->json = efx_mem_libc.alloc(&efx_mem_libc, r->json_max);
    if (r->json != NULL) {
        memcpy(r->json, plain, n);
        for (size_t i = 0; i < n; i++) {
            r->json[i] = r->json[i] == '\n' || r->json[i] == '\r' ? ' ' : r->json[i];
        }
        memset(r->json + n, 0, EFX_CHUNK_PAD + 1);
        r->json[n] = '\n';
    }
    efx_mem_libc.free(&efx_mem_libc, plain, n == 0 ? 1 : n);
    *n_out = n;
    return r->json == NULL ? EFX_ENOMEM : EFX_OK;
}

static bool find_stream(struct relay *r, const Eventflux__Transport__TransportMessage *m)
{
    const char *name = header(m, "stream");
    char text[EFX_ERR_MSG_BYTES];
    struct json_cache *k = cache_of(r->door);
    if (k == NULL) {
        refuse_as(r, EFX_GRPC_UNAVAILABLE, 4006, "this node is not ready");
        return false;
    }
    for (uint32_t i = 0; name != NULL && i < k->app->program->n_objects; i++) {
        if (k->app->takes[i] != NULL && strcmp(k->app->takes[i]->name, name) == 0) {
            r->format = format_of(k, i);
            r->takes = k->app->takes;
        }
    }
    if (r->format == NULL) {
        (void)snprintf(text, sizeof text, "no stream '%.100s' takes events: header `stream`",
                       name != NULL ? name : "");
        refuse_as(r, EFX_GRPC_INVALID_ARGUMENT, 1201, text);
    }
    return r->format != NULL;
}

static void take_event(struct relay *r, const Eventflux__Transport__TransportMessage *m)
{
    size_t n = 0;
    r->format = NULL;
    if (!find_stream(r, m)) {
        return;
    }
    enum efx_rc rc = unpack(r, m, &n);
    if (rc != EFX_OK) {
        refuse_as(r, rc == EFX_EPARSE ? EFX_GRPC_INVALID_ARGUMENT : EFX_GRPC_RESOURCE_EXHAUSTED,
                  rc == EFX_EPARSE ? 4001 : 4005,
                  rc == EFX_EPARSE ? "the payload cannot be unpacked"
                                   : "limit event.max_bytes, 16 MiB, is reached");
        return;
    }
    r->now = waiting_for(m);
    if (r->now == NULL) {
        drop_payload(r);
        refuse_as(r, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory");
        return;
    }
    r->msgs[0] = (struct efx_msg){.len = (uint32_t)n + 1,
                                  .ts_ms = m->timestamp != 0 ? m->timestamp : EFX_TS_NONE,
                                  .one_unit = true};
    r->chunk = (struct efx_chunk){.bytes = r->json,
                                  .n_bytes = n + 1,
                                  .max_bytes = n + 1,
                                  .msgs = r->msgs,
                                  .n_msgs = 1,
                                  .begins = true,
                                  .ends = true};
    r->decode = (struct efx_decode){.chunk = &r->chunk};
    r->busy = true;
    if (r->open) {
        feed(r);
    } else if (!r->opening) {
        open_node(r);
    }
}

static void take(struct relay *r, const Eventflux__Transport__TransportMessage *m)
{
    struct waiting *w;
    switch ((int)m->message_type) {
    case EVENTFLUX__TRANSPORT__MESSAGE_TYPE__MESSAGE_TYPE_EVENT: take_event(r, m); break;
    case EVENTFLUX__TRANSPORT__MESSAGE_TYPE__MESSAGE_TYPE_HEARTBEAT:
        w = waiting_for(m);
        if (w != NULL) {
            wait_for(r, w);
        }
        answer_covered(r);
        break;
    default:
        refuse_as(r, EFX_GRPC_UNIMPLEMENTED, 4003,
                  "messages of type EVENT and HEARTBEAT are taken; eventflux.v1 has the rest");
        break;
    }
}

static void message(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct relay *r = c->state;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    const Eventflux__Transport__TransportMessage *m =
        (const Eventflux__Transport__TransportMessage *)efx_door__read(
            c, &eventflux__transport__transport_message__descriptor, pieces, n, &a);
    if (m != NULL && r->door->leaving) {
        refuse_as(r, EFX_GRPC_UNAVAILABLE, 4006, "this node leaves");
    } else if (m != NULL) {
        take(r, m);
    } else {
        close_node(r, false);
    }
    efx_arena_fini(&a);
}

static void half_closed(struct efx_grpc_call *c)
{
    struct relay *r = c->state;
    r->half_closed = true;
    if (!r->stream && r->first == NULL && !r->busy && !r->opening) {
        refuse_as(r, EFX_GRPC_INVALID_ARGUMENT, 4002, "the request has no message");
    } else {
        answer_covered(r);
    }
}

static void room(struct efx_grpc_call *c)
{
    next_message(c->state);
}

static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct relay *r = c->state;
    (void)cancelled;
    close_node(r, false);
    drop_payload(r);
    while (r->first != NULL) {
        struct waiting *w = r->first;
        r->first = w->next;
        free_waiting(w);
    }
    if (r->at != NULL) {
        *r->at = r->next;
        if (r->next != NULL) {
            r->next->at = r->at;
        }
        r->at = NULL;
    }
}

/* ---- what the node says ---- */

static void on_node(void *arg)
{
    struct relay *r = arg;
    (void)pthread_mutex_lock(&r->lock);
    bool opened = r->has_opened;
    r->accepted = r->ack.accepted;
    r->has_opened = false;
    (void)pthread_mutex_unlock(&r->lock);
    if (opened && !r->call->over) {
        r->open = true;
        if (r->busy) {
            feed(r);
        }
    }
    answer_covered(r);
}

static void on_end(void *arg)
{
    struct relay *r = arg;
    if (!r->call->over) {
        efx_door__finish(r->call, &r->why);
    }
    close_node(r, false); /* lets it go */
    r->node = NULL;
    r->call->vt->release(r->call);
}

static void say(struct relay *r, const struct efx_ack *ack)
{
    r->ack = *ack;
    (void)pthread_mutex_unlock(&r->lock);
    r->door->vt->post(r->door->server, &r->task);
}

static void front_opened(struct efx_submit_front *self, const struct efx_opened *o,
                         const struct efx_ack *so_far)
{
    struct relay *r = (struct relay *)self;
    (void)o;
    (void)pthread_mutex_lock(&r->lock);
    r->has_opened = true;
    say(r, so_far);
}

static void front_ack(struct efx_submit_front *self, const struct efx_ack *ack)
{
    struct relay *r = (struct relay *)self;
    (void)pthread_mutex_lock(&r->lock);
    say(r, ack);
}

static void front_ended(struct efx_submit_front *self, const struct efx_err *why)
{
    struct relay *r = (struct relay *)self;
    r->why = *why;
    r->door->vt->post(r->door->server, &r->end_task);
}

static const struct efx_submit_front front = {front_opened, front_ack, front_ended};

/* ---- methods ---- */

static void begin_any(struct efx_grpc_call *c, bool stream)
{
    struct relay *r = c->state;
    r->front = front;
    r->door = door_of(c);
    r->call = c;
    r->stream = stream;
    r->last = &r->first;
    r->room = (struct efx_wake){wake_room, r};
    r->room_task = (struct efx_grpc_task){.fn = on_room, .arg = r};
    r->task = (struct efx_grpc_task){.fn = on_node, .arg = r};
    r->end_task = (struct efx_grpc_task){.fn = on_end, .arg = r};
    (void)pthread_mutex_init(&r->lock, NULL);
}

static void begin(struct efx_grpc_call *c)
{
    begin_any(c, false);
}

static void begin_stream(struct efx_grpc_call *c)
{
    begin_any(c, true);
}

/* What is under way is answered, nothing more is read. */
void efx_door__relay_leave(struct efx_door *d)
{
    for (struct relay *r = d->relays; r != NULL; r = r->next) {
        if (r->stream && !r->busy && r->first == NULL && !r->call->over) {
            refuse_as(r, EFX_GRPC_UNAVAILABLE, 4006, "this node leaves");
        }
    }
}

void efx_door__add_transport(struct door_table *t)
{
    struct efx_grpc_method m = {.path = "/eventflux.transport.Transport/SendMessage",
                                .state_bytes = sizeof(struct relay),
                                .begin = begin,
                                .message = message,
                                .half_closed = half_closed,
                                .room = room,
                                .closed = closed};
    efx_door__add(t, &m);
    m.path = "/eventflux.transport.Transport/StreamMessages";
    m.begin = begin_stream;
    efx_door__add(t, &m);
}
