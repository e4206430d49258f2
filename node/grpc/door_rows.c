/* Rows out: Subscribe and Query.
 *
 *   node's loop    schema, rows ──encoded there──► inbox (bytes counted) ──post──┐
 *   server         inbox ──► the call's queue ──► flow control                  ◄┘
 *
 * Rows are borrowed for the node's call only, so they become bytes on its loop; the server only
 * moves buffers. A reader that is too slow fills its share of memory: then the call ends, and a
 * COMMITTED one goes on from its last token.
 *
 *   Limits   subscribe_bytes of a Subscribe, QUERY_BYTES_MAX of a Query; messages of about
 *            MESSAGE_BYTES, so that a client with default limits takes them
 *   Source   proto/eventflux.proto; cluster.md C21, C22
 */
#include "door.h"

#include "batch_out.h"

#include <stdio.h>

enum {
    MESSAGE_BYTES = 1024 * 1024,
    QUERY_BYTES_MAX = 256 * 1024 * 1024,
    EVENT_BATCH = 1, /* fields of EventBatch */
    EVENT_RESUME = 2,
    EVENT_CHECKPOINT = 3,
    EVENT_TAKE_BACK = 4,
    EVENT_SCHEMA = 5,
    EVENT_FIRST_ROW = 6,
    RESULT_SCHEMA = 1, /* of QueryResult */
    RESULT_BATCH = 2,
    RESULT_CHANGED = 3,
    RESULT_TICK = 4,
    RESULT_REPEAT = 5,
};

struct rows_call {
    struct efx_rows_front front;
    struct efx_door *door;
    struct efx_grpc_call *call;
    struct efx_rows_call *node;
    struct rows_call *next, **at;
    bool listed, asked, is_query, as_rows, cancelled_node;
    uint32_t max_rows;
    uint64_t bytes_max;
    const struct efx_schema *schema; /* on the node's loop */
    pthread_mutex_t lock;
    struct efx_grpc_task task, end_task; /* the end comes by its own: it is the last that runs */
    struct efx_grpc_buf *first, **last;
    size_t inbox_bytes, call_bytes; /* waiting: here; in the call, as of the last look */
    bool overflow, no_memory;
    struct efx_err why; /* of the end */
};

/* ---- on the node's loop ---- */

static void put_in(struct rows_call *r, struct efx_grpc_buf *b)
{
    (void)pthread_mutex_lock(&r->lock);
    r->no_memory = r->no_memory || b == NULL;
    if (b != NULL && r->inbox_bytes + r->call_bytes + b->n > r->bytes_max) {
        r->overflow = true;
    }
    if (b != NULL && !r->overflow && !r->no_memory) {
        b->next = NULL;
        *r->last = b;
        r->last = &b->next;
        r->inbox_bytes += b->n;
        b = NULL;
    }
    (void)pthread_mutex_unlock(&r->lock);
    r->door->vt->buf_drop(b);
    r->door->vt->post(r->door->server, &r->task);
}

static bool is_full(struct rows_call *r)
{
    (void)pthread_mutex_lock(&r->lock);
    bool full = r->overflow || r->no_memory;
    (void)pthread_mutex_unlock(&r->lock);
    return full;
}

static void front_schema(struct efx_rows_front *self, const struct efx_schema *schema,
                         struct efx_bytes resume)
{
    struct rows_call *r = (struct rows_call *)self;
    size_t n = batch_out_schema_size(schema) + resume.n + 32;
    struct efx_grpc_buf *b = r->door->vt->buf(n);
    r->schema = schema;
    if (b != NULL) {
        uint8_t *p = batch_out_schema_put(schema, r->is_query ? RESULT_SCHEMA : EVENT_SCHEMA, b->p);
        if (!r->is_query && resume.n > 0) {
            p = wire_put_bytes(p, EVENT_RESUME, resume.p, resume.n);
        }
        b->n = (size_t)(p - b->p);
    }
    put_in(r, b);
}

struct part { /* of a slice: what goes into one message */
    uint64_t first_row, checkpoint;
    struct efx_bytes resume;
};

static void encode(struct rows_call *r, struct batch_out *o, const struct part *part)
{
    size_t n = batch_out_size(o);
    struct efx_grpc_buf *b = r->door->vt->buf(n + part->resume.n + 64);
    if (b != NULL) {
        uint8_t *p = wire_put_head(b->p, r->is_query ? RESULT_BATCH : EVENT_BATCH, n);
        p = batch_out_put(o, p);
        if (!r->is_query) {
            p = part->resume.n > 0 ? wire_put_bytes(p, EVENT_RESUME, part->resume.p, part->resume.n)
                                   : p;
            p = part->checkpoint > 0 ? wire_put_number(p, EVENT_CHECKPOINT, part->checkpoint) : p;
            p = wire_put_number(p, EVENT_FIRST_ROW, part->first_row);
        }
        b->n = (size_t)(p - b->p);
    }
    put_in(r, b);
}

static void front_rows(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                       uint64_t checkpoint, struct efx_bytes resume)
{
    struct rows_call *r = (struct rows_call *)self;
    uint32_t at[EFX_BATCH_ROWS_MAX], n = efx_rows_list(rows, at);
    struct batch_out *o = efx_mem_libc.alloc(&efx_mem_libc, sizeof *o);
    if (o == NULL) {
        put_in(r, NULL);
        return;
    }
    for (uint32_t from = 0; from < n && !is_full(r);) {
        uint32_t k = n - from < r->max_rows ? n - from : r->max_rows;
        k = batch_out_cut(rows->b, r->schema, at + from, k, MESSAGE_BYTES);
        o->b = rows->b;
        o->schema = r->schema;
        o->as_rows = r->as_rows;
        o->at = at + from;
        o->n = k;
        /* The token stands behind the slice's last row. */
        struct part part = {first_row + from, checkpoint,
                            from + k == n ? resume : (struct efx_bytes){NULL, 0}};
        encode(r, o, &part);
        from += k;
    }
    efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
}

static void front_take_back(struct efx_rows_front *self, uint64_t from)
{
    struct rows_call *r = (struct rows_call *)self;
    struct efx_grpc_buf *b = r->door->vt->buf(16);
    if (b != NULL) {
        b->n = (size_t)(wire_put_number(b->p, EVENT_TAKE_BACK, from) - b->p);
    }
    put_in(r, b);
}

static void front_changed(struct efx_rows_front *self, uint64_t n, uint64_t tick, bool repeat)
{
    struct rows_call *r = (struct rows_call *)self;
    struct efx_grpc_buf *b = r->door->vt->buf(48);
    if (b != NULL) {
        uint8_t *p = wire_put_number(b->p, RESULT_CHANGED, n);
        p = wire_put_number(p, RESULT_TICK, tick);
        p = repeat ? wire_put_number(p, RESULT_REPEAT, 1) : p;
        b->n = (size_t)(p - b->p);
    }
    put_in(r, b);
}

static void front_ended(struct efx_rows_front *self, const struct efx_err *why)
{
    struct rows_call *r = (struct rows_call *)self;
    r->why = *why;
    r->door->vt->post(r->door->server, &r->end_task);
}

static const struct efx_rows_front front = {front_schema, front_rows, front_take_back,
                                            front_changed, front_ended};

/* ---- on the server's thread ---- */

static void cancel_node(struct rows_call *r)
{
    if (r->node != NULL && !r->cancelled_node) {
        r->cancelled_node = true;
        r->door->service->vt->rows_cancel(r->door->service, r->node);
    }
}

static struct efx_grpc_buf *take_inbox(struct rows_call *r)
{
    struct efx_grpc_buf *b = r->first;
    r->first = NULL;
    r->last = &r->first;
    r->inbox_bytes = 0;
    return b;
}

static void too_much(struct rows_call *r, bool overflow)
{
    char text[96];
    (void)snprintf(text, sizeof text, "limit %s, %llu, is reached: the reader is too slow",
                   r->is_query ? "query.max_bytes" : "subscribe.max_bytes",
                   (unsigned long long)r->bytes_max);
    efx_door__finish_as(r->call, EFX_GRPC_RESOURCE_EXHAUSTED, 4005,
                        overflow ? text : "out of memory", NULL);
    cancel_node(r);
}

static void on_node(void *arg)
{
    struct rows_call *r = arg;
    (void)pthread_mutex_lock(&r->lock);
    struct efx_grpc_buf *b = take_inbox(r);
    bool overflow = r->overflow, bad = overflow || r->no_memory;
    (void)pthread_mutex_unlock(&r->lock);
    while (b != NULL) {
        struct efx_grpc_buf *next = b->next;
        r->call->vt->send(r->call, b);
        b = next;
    }
    (void)pthread_mutex_lock(&r->lock);
    r->call_bytes = r->call->queued_bytes;
    (void)pthread_mutex_unlock(&r->lock);
    if (bad && !r->call->over) {
        too_much(r, overflow);
    }
}

static void on_end(void *arg)
{
    struct rows_call *r = arg;
    if (!r->call->over) {
        efx_door__finish(r->call, &r->why);
    }
    cancel_node(r); /* lets it go */
    r->node = NULL;
    r->call->vt->release(r->call);
}

static void look(struct rows_call *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->call_bytes = r->call->queued_bytes;
    (void)pthread_mutex_unlock(&r->lock);
}

static void room(struct efx_grpc_call *c)
{
    look(c->state);
}

static void begin(struct efx_grpc_call *c)
{
    struct rows_call *r = c->state;
    r->front = front;
    r->door = door_of(c);
    r->call = c;
    r->last = &r->first;
    r->task = (struct efx_grpc_task){.fn = on_node, .arg = r};
    r->end_task = (struct efx_grpc_task){.fn = on_end, .arg = r};
    (void)pthread_mutex_init(&r->lock, NULL);
}

static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct rows_call *r = c->state;
    (void)cancelled;
    cancel_node(r);
    if (r->listed) {
        *r->at = r->next;
        if (r->next != NULL) {
            r->next->at = r->at;
        }
        r->listed = false;
    }
}

static void half_closed(struct efx_grpc_call *c)
{
    struct rows_call *r = c->state;
    if (!r->asked) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002, "the request has no message", NULL);
    }
}

/* The node's `ended` will come. */
static void start(struct rows_call *r)
{
    r->asked = r->listed = true;
    r->next = r->door->rows;
    r->at = &r->door->rows;
    if (r->next != NULL) {
        r->next->at = &r->next;
    }
    r->door->rows = r;
    r->call->vt->hold(r->call);
}

/* ---- Subscribe ---- */

static void subscribe(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct rows_call *r = c->state;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, 16 * 1024 * 1024);
    const Eventflux__V1__SubscribeRequest *ask =
        (const Eventflux__V1__SubscribeRequest *)efx_door__read(
            c, &eventflux__v1__subscribe_request__descriptor, pieces, n, &a);
    enum efx_level level = ask == NULL ? 0 : efx_door__level(ask->level);
    if (ask != NULL && (level == 0 || level == EFX_LEVEL_LOGGED)) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002,
                            "rows come at level ACCEPTED or COMMITTED", NULL);
    } else if (ask != NULL) {
        struct efx_subscribe_ask how = {.stream = ask->stream,
                                        .level = level,
                                        .resume = {ask->resume.data, ask->resume.len},
                                        .bytes_max = r->door->opts.subscribe_bytes};
        r->as_rows = ask->as_rows;
        r->max_rows = ask->max_rows == 0 || ask->max_rows > EFX_BATCH_ROWS_MAX ? EFX_BATCH_ROWS_MAX
                                                                               : ask->max_rows;
        r->bytes_max = how.bytes_max;
        start(r);
        r->door->service->vt->subscribe(r->door->service, &how, &r->front, &r->node);
    }
    efx_arena_fini(&a);
}

/* ---- Query ---- */

static void query(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct rows_call *r = c->state;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, 16 * 1024 * 1024);
    const Eventflux__V1__QueryRequest *ask = (const Eventflux__V1__QueryRequest *)efx_door__read(
        c, &eventflux__v1__query_request__descriptor, pieces, n, &a);
    struct efx_query_ask how = {.level = ask == NULL ? 0 : efx_door__level(ask->level)};
    if (ask != NULL && (how.level == 0 || strlen(ask->session) > EFX_SESSION_BYTES_MAX)) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002,
                            how.level == 0 ? "there is no such level"
                                           : "a session's name has at most 64 bytes",
                            NULL);
    } else if (ask != NULL) {
        how.sql = ask->sql;
        how.seq = ask->seq;
        memcpy(how.session, ask->session, strlen(ask->session) + 1);
        r->is_query = true;
        r->as_rows = ask->as_rows;
        r->max_rows = EFX_BATCH_ROWS_MAX;
        r->bytes_max = QUERY_BYTES_MAX;
        start(r);
        r->door->service->vt->query(r->door->service, &how, &r->front, &r->node);
    }
    efx_arena_fini(&a);
}

/* ---- all ---- */

void efx_door__rows_tick(struct efx_door *d)
{
    for (struct rows_call *r = d->rows; r != NULL; r = r->next) {
        look(r);
    }
}

/* Subscribers look for another node. */
void efx_door__rows_leave(struct efx_door *d)
{
    for (struct rows_call *r = d->rows; r != NULL; r = r->next) {
        if (!r->is_query && !r->call->over) {
            efx_door__finish_as(r->call, EFX_GRPC_UNAVAILABLE, 4006, "this node leaves", NULL);
            cancel_node(r);
        }
    }
}

void efx_door__add_rows(struct door_table *t)
{
    struct efx_grpc_method m = {.path = "/eventflux.v1.EventFlux/Subscribe",
                                .state_bytes = sizeof(struct rows_call),
                                .begin = begin,
                                .message = subscribe,
                                .half_closed = half_closed,
                                .room = room,
                                .closed = closed};
    efx_door__add(t, &m);
    m.path = "/eventflux.v1.EventFlux/Query";
    m.message = query;
    efx_door__add(t, &m);
}
