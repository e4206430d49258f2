/* StreamEvents of the older contract: rows of one or all streams as JSON, as they come.
 *
 *   call ──┬── subscription to stream A ──┐ each encodes on the node's loop into
 *          └── subscription to stream B ──┴► one inbox of the call ──► its queue
 *
 * A message carries an array of objects of one stream: header `stream`, timestamp of the first row.
 * Expired rows have no word in this contract and are left out.
 *
 *   Limits   subscribe_bytes that wait in a call, like Subscribe
 */
#include "door.h"

#include "json.h"

#include <stdio.h>

enum { EVENTS_BATCH = 256, EVENTS_BYTES = 1024 * 1024 };

struct feed { /* one stream's rows */
    struct efx_rows_front front;
    struct events *owner;
    struct efx_rows_call *node;
    struct efx_grpc_task ended_task;
    const struct efx_schema *schema;
    struct efx_err why;
    bool started, cancelled;
};

struct events {
    struct efx_door *door;
    struct efx_grpc_call *call;
    struct events *next, **at;
    struct feed *feeds; /* [feeds_max] */
    uint32_t n_feeds, feeds_max, n_ended;
    bool asked;
    uint32_t batch_rows;
    int64_t from_ms, until_ms;
    pthread_mutex_t lock;
    struct efx_grpc_task task;
    struct efx_grpc_buf *first, **last;
    size_t inbox_bytes, call_bytes;
    uint64_t n_messages;
    bool overflow;
};

/* ---- on the node's loop ---- */

static char *put_row(char *o, const struct efx_schema *schema, const struct efx_batch *b,
                     uint32_t row)
{
    *o++ = '{';
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        const char *name = schema->cols[c].name;
        if (c > 0) {
            *o++ = ',';
        }
        o = efx_json_put_string(o, name, (uint32_t)strlen(name));
        *o++ = ':';
        o = efx_json_put_value(o, &b->cols[c], row);
    }
    *o++ = '}';
    return o;
}

static size_t bound(const struct efx_schema *schema, const struct efx_batch *b, uint32_t row)
{
    size_t n = efx_json_bound(b, row) + 4;
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        n += strlen(schema->cols[c].name) * 6 + 4;
    }
    return n;
}

static void put_in(struct events *e, const struct efx_schema *schema, const char *json, size_t n,
                   int64_t ts_ms)
{
    struct efx_arena a;
    char id[24];
    Eventflux__Transport__TransportMessage m;
    eventflux__transport__transport_message__init(&m);
    Eventflux__Transport__TransportMessage__HeadersEntry h;
    eventflux__transport__transport_message__headers_entry__init(&h);
    Eventflux__Transport__TransportMessage__HeadersEntry *headers[] = {&h};
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    (void)pthread_mutex_lock(&e->lock);
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)++e->n_messages);
    uint8_t *copy = efx_arena_bytes(&a, n + 1);
    if (copy != NULL) {
        memcpy(copy, json, n);
        h.key = efx_door__text(&a, "stream");
        h.value = efx_door__text(&a, schema->name);
        m.id = id;
        m.message_type = EVENTFLUX__TRANSPORT__MESSAGE_TYPE__MESSAGE_TYPE_EVENT;
        m.payload = (ProtobufCBinaryData){n, copy};
        m.n_headers = 1;
        m.headers = headers;
        m.timestamp = ts_ms;
        m.source_node = e->door->node;
    }
    struct efx_grpc_buf *b = copy == NULL ? NULL : efx_door__pack(e->door, &m.base);
    e->overflow = e->overflow || b == NULL ||
                  e->inbox_bytes + e->call_bytes + b->n > e->door->opts.subscribe_bytes;
    if (!e->overflow) {
        b->next = NULL;
        *e->last = b;
        e->last = &b->next;
        e->inbox_bytes += b->n;
        b = NULL;
    }
    (void)pthread_mutex_unlock(&e->lock);
    e->door->vt->buf_drop(b);
    efx_arena_fini(&a);
    e->door->vt->post(e->door->server, &e->task);
}

/* Rows of the asked time that are current. */
static uint32_t choose(const struct events *e, const struct efx_rows *rows, uint32_t *at)
{
    uint32_t all[EFX_BATCH_ROWS_MAX], n = efx_rows_list(rows, all), k = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t ts_ms = rows->b->ts_ms[all[i]];
        if (efx_batch_kind(rows->b, all[i]) == EFX_ROW_CURRENT && ts_ms >= e->from_ms &&
            ts_ms <= e->until_ms) {
            at[k++] = all[i];
        }
    }
    return k;
}

static void feed_rows(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                      uint64_t checkpoint, struct efx_bytes resume)
{
    struct feed *f = (struct feed *)self;
    uint32_t at[EFX_BATCH_ROWS_MAX], n = choose(f->owner, rows, at);
    (void)first_row;
    (void)checkpoint;
    (void)resume;
    for (uint32_t from = 0; from < n;) {
        size_t room = 64;
        uint32_t until = from;
        while (until < n && until - from < f->owner->batch_rows && room < EVENTS_BYTES) {
            room += bound(f->schema, rows->b, at[until++]);
        }
        char *json = efx_mem_libc.alloc(&efx_mem_libc, room);
        if (json == NULL) {
            (void)pthread_mutex_lock(&f->owner->lock);
            f->owner->overflow = true;
            (void)pthread_mutex_unlock(&f->owner->lock);
            f->owner->door->vt->post(f->owner->door->server, &f->owner->task);
            return;
        }
        char *o = json;
        for (uint32_t i = from; i < until; i++) {
            *o++ = i == from ? '[' : ',';
            o = put_row(o, f->schema, rows->b, at[i]);
        }
        *o++ = ']';
        put_in(f->owner, f->schema, json, (size_t)(o - json), rows->b->ts_ms[at[from]]);
        efx_mem_libc.free(&efx_mem_libc, json, room);
        from = until;
    }
}

static void feed_schema(struct efx_rows_front *self, const struct efx_schema *s,
                        struct efx_bytes resume)
{
    (void)resume;
    ((struct feed *)self)->schema = s;
}

static void feed_take_back(struct efx_rows_front *self, uint64_t from)
{
    (void)self; /* this contract has no word for it: its rows are at least once */
    (void)from;
}

static void feed_changed(struct efx_rows_front *self, uint64_t n, uint64_t tick, bool repeat)
{
    (void)self; /* of queries */
    (void)n;
    (void)tick;
    (void)repeat;
}

static void feed_ended(struct efx_rows_front *self, const struct efx_err *why)
{
    struct feed *f = (struct feed *)self;
    f->why = *why;
    f->owner->door->vt->post(f->owner->door->server, &f->ended_task);
}

static const struct efx_rows_front front = {feed_schema, feed_rows, feed_take_back, feed_changed,
                                            feed_ended};

/* ---- on the server's thread ---- */

static void cancel(struct events *e)
{
    for (uint32_t i = 0; i < e->n_feeds; i++) {
        struct feed *f = &e->feeds[i];
        if (f->node != NULL && !f->cancelled) {
            f->cancelled = true;
            e->door->service->vt->rows_cancel(e->door->service, f->node);
        }
    }
}

static void on_rows(void *arg)
{
    struct events *e = arg;
    (void)pthread_mutex_lock(&e->lock);
    struct efx_grpc_buf *b = e->first;
    e->first = NULL;
    e->last = &e->first;
    e->inbox_bytes = 0;
    bool overflow = e->overflow;
    (void)pthread_mutex_unlock(&e->lock);
    while (b != NULL) {
        struct efx_grpc_buf *next = b->next;
        e->call->vt->send(e->call, b);
        b = next;
    }
    (void)pthread_mutex_lock(&e->lock);
    e->call_bytes = e->call->queued_bytes;
    (void)pthread_mutex_unlock(&e->lock);
    if (overflow && !e->call->over) {
        efx_door__finish_as(e->call, EFX_GRPC_RESOURCE_EXHAUSTED, 4005,
                            "limit subscribe.max_bytes is reached: the reader is too slow", NULL);
        cancel(e);
    }
}

static void free_feeds(struct events *e)
{
    if (e->feeds != NULL) {
        efx_mem_libc.free(&efx_mem_libc, e->feeds, e->feeds_max * sizeof *e->feeds);
        e->feeds = NULL;
        e->n_feeds = e->n_ended = 0;
    }
}

/* One subscription has ended: so does the call. */
static void on_ended(void *arg)
{
    struct feed *f = arg;
    struct events *e = f->owner;
    on_rows(e);
    if (!e->call->over) {
        efx_door__finish(e->call, &f->why);
    }
    cancel(e);
    f->node = NULL;
    if (++e->n_ended == e->n_feeds) {
        free_feeds(e);
        e->call->vt->release(e->call);
    }
}

static void begin(struct efx_grpc_call *c)
{
    struct events *e = c->state;
    e->door = door_of(c);
    e->call = c;
    e->last = &e->first;
    e->task = (struct efx_grpc_task){.fn = on_rows, .arg = e};
    (void)pthread_mutex_init(&e->lock, NULL);
}

static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct events *e = c->state;
    (void)cancelled;
    cancel(e);
    if (e->at != NULL) {
        *e->at = e->next;
        if (e->next != NULL) {
            e->next->at = e->at;
        }
        e->at = NULL;
    }
}

static void half_closed(struct efx_grpc_call *c)
{
    struct events *e = c->state;
    if (!e->asked) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002, "the request has no message", NULL);
    }
}

static bool wants(const Eventflux__Transport__EventFilter *f, const char *stream)
{
    for (size_t i = 0; f != NULL && i < f->n_stream_names; i++) {
        if (strcmp(f->stream_names[i], stream) == 0) {
            return true;
        }
    }
    return f == NULL || f->n_stream_names == 0;
}

static bool wants_events(const Eventflux__Transport__EventFilter *f)
{
    for (size_t i = 0; f != NULL && i < f->n_message_types; i++) {
        if (f->message_types[i] == EVENTFLUX__TRANSPORT__MESSAGE_TYPE__MESSAGE_TYPE_EVENT) {
            return true;
        }
    }
    return f == NULL || f->n_message_types == 0;
}

static void add_feed(struct events *e, const char *stream)
{
    struct feed *f = &e->feeds[e->n_feeds++];
    *f = (struct feed){.front = front, .owner = e};
    f->ended_task = (struct efx_grpc_task){.fn = on_ended, .arg = f};
    struct efx_subscribe_ask how = {
        .stream = stream, .level = EFX_LEVEL_ACCEPTED, .bytes_max = e->door->opts.subscribe_bytes};
    e->door->service->vt->subscribe(e->door->service, &how, &f->front, &f->node);
}

/* Streams that some statement writes: what is only submitted its sender knows. */
static bool is_public(const struct efx_program *p, const struct efx_bobject *o)
{
    bool written = false;
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        written = written || p->stmts[i]->target.object == o;
    }
    return written && o->kind == EFX_OBJ_STREAM && o->partition == EFX_NO_COL &&
           o->fault_of == NULL;
}

static void subscribe_all(struct events *e, const struct efx_service_app *app,
                          const Eventflux__Transport__EventFilter *f)
{
    uint32_t n = app->program->n_objects, n_named = 0;
    e->feeds_max = n + 1;
    e->feeds = efx_mem_libc.alloc(&efx_mem_libc, e->feeds_max * sizeof *e->feeds);
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_bobject *o = app->program->objects[i];
        n_named += is_public(app->program, o) && wants(f, o->schema.name);
    }
    if (e->feeds == NULL || n_named == 0 ||
        (f != NULL && f->n_stream_names > 0 && n_named < f->n_stream_names)) {
        efx_door__finish_as(e->call, EFX_GRPC_INVALID_ARGUMENT, 1201, "there is no such stream",
                            NULL);
        free_feeds(e);
        return;
    }
    e->call->vt->hold(e->call);
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_bobject *o = app->program->objects[i];
        if (is_public(app->program, o) && wants(f, o->schema.name)) {
            add_feed(e, o->schema.name);
        }
    }
}

static void start(struct events *e, const struct efx_service_app *app,
                  const Eventflux__Transport__EventRequest *ask)
{
    const Eventflux__Transport__EventFilter *f = ask->filter;
    e->asked = true;
    e->batch_rows = ask->batch_size > 0 && ask->batch_size < EFX_BATCH_ROWS_MAX
                        ? (uint32_t)ask->batch_size
                        : EVENTS_BATCH;
    e->from_ms = f != NULL && f->start_timestamp != 0 ? f->start_timestamp : INT64_MIN;
    e->until_ms = f != NULL && f->end_timestamp != 0 ? f->end_timestamp : INT64_MAX;
    e->next = e->door->events;
    e->at = &e->door->events;
    if (e->next != NULL) {
        e->next->at = &e->next;
    }
    e->door->events = e;
    if (wants_events(f)) {
        subscribe_all(e, app, f);
    } /* else nothing ever comes: the call stays until its caller ends it */
}

static void message(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct events *e = c->state;
    struct efx_service *service = e->door->service;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    const Eventflux__Transport__EventRequest *ask =
        (const Eventflux__Transport__EventRequest *)efx_door__read(
            c, &eventflux__transport__event_request__descriptor, pieces, n, &a);
    const struct efx_service_app *app = ask == NULL ? NULL : service->vt->app_ref(service);
    if (ask != NULL && app == NULL) {
        efx_door__finish_as(c, EFX_GRPC_UNAVAILABLE, 4006, "no app runs here yet", NULL);
    } else if (ask != NULL) {
        start(e, app, ask);
        service->vt->app_unref(service, app);
    }
    efx_arena_fini(&a);
}

void efx_door__events_tick(struct efx_door *d)
{
    for (struct events *e = d->events; e != NULL; e = e->next) {
        (void)pthread_mutex_lock(&e->lock);
        e->call_bytes = e->call->queued_bytes;
        (void)pthread_mutex_unlock(&e->lock);
    }
}

void efx_door__events_leave(struct efx_door *d)
{
    for (struct events *e = d->events; e != NULL; e = e->next) {
        efx_door__finish_as(e->call, EFX_GRPC_UNAVAILABLE, 4006, "this node leaves", NULL);
        cancel(e);
    }
}

void efx_door__add_events(struct door_table *t)
{
    efx_door__add(t,
                  &(struct efx_grpc_method){.path = "/eventflux.transport.Transport/StreamEvents",
                                            .state_bytes = sizeof(struct events),
                                            .begin = begin,
                                            .message = message,
                                            .half_closed = half_closed,
                                            .closed = closed});
}
