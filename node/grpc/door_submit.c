/* Submit and SubmitOnce: messages into builders, levels back.
 *
 *   WAITS     ──open──► OPENING ──opened──► READY ◄──all rows in a builder── FILLING
 *   (first message)      (the node answers)    └──── message with rows ──────►  │ no builder: the
 *                                                                               │ next message is
 *   half-close, or cancelled ──► submit_close ──► ended by the node             │ not asked for
 *
 * What the node's loop says is kept under the call's lock and worked on by the server's thread: the
 * newest levels count, so a slow client gets few acks, never old ones. The gap in row numbers is
 * found here, since here is known which row must come next; repeated rows are the node's.
 *
 *   Limits   a message's rows (batch_in.h); DOOR_QUEUE_BYTES of acks that wait, then nothing more
 *            is read from the call; REJECTS_AN_ACK
 *   Source   proto/eventflux.proto; cluster.md C16, C24
 */
#include "door.h"

#include <stdio.h>

enum { REJECTS_AN_ACK = 512 };

enum phase { WAITS = 1, OPENING, READY, FILLING, CLOSING };

struct submit {
    struct efx_submit_front front;
    struct efx_door *door;
    struct efx_grpc_call *call;
    struct efx_submit *node;
    struct submit *next, **at;
    enum phase phase;
    bool listed, once, has_session, half_closed, closed_node, must_ask;
    enum efx_level level;
    uint64_t expected;   /* row that comes next */
    uint64_t rewound_to; /* resend_from that was said; 0 = its row has come */
    uint64_t last_row;   /* of SubmitOnce */
    uint64_t acked_ns;
    struct batch_in in;
    bool in_open;
    const struct efx_service_app *app; /* of `in` */
    uint64_t first;                    /* row of the message's first */
    struct efx_wake room;              /* a builder is free again */
    bool waits_for_room;
    struct efx_grpc_task room_task;
    /* From the node's loop. */
    pthread_mutex_t lock;
    struct efx_grpc_task task, end_task; /* the end comes by its own: it is the last that runs */
    bool has_opened, has_ack;
    struct efx_opened opened;
    struct efx_ack ack;
    struct efx_err why;
};

static struct submit *submit_of(struct efx_grpc_call *c)
{
    return c->state;
}

static const struct efx_service_vt *node_of(const struct submit *s)
{
    return s->door->service->vt;
}

/* ---- end ---- */

static void drop_message(struct submit *s)
{
    if (s->in_open) {
        batch_in_close(&s->in);
        s->in_open = false;
    }
    if (s->app != NULL) {
        node_of(s)->app_unref(s->door->service, s->app);
        s->app = NULL;
    }
}

static void close_node(struct submit *s, bool graceful)
{
    if (s->node != NULL && !s->closed_node) {
        s->closed_node = true;
        node_of(s)->submit_close(s->door->service, s->node, graceful);
    }
}

static void refuse(struct submit *s, const struct efx_err *err)
{
    efx_door__finish(s->call, err);
    close_node(s, false);
}

static void refuse_as(struct submit *s, enum efx_grpc_code code, uint16_t efx, const char *text)
{
    efx_door__finish_as(s->call, code, efx, text, NULL);
    close_node(s, false);
}

/* ---- acks ---- */

struct ack_out {
    Eventflux__V1__SubmitAck ack;
    Eventflux__V1__Opened opened;
    Eventflux__V1__Reject rejects[REJECTS_AN_ACK], *list[REJECTS_AN_ACK];
    char codes[REJECTS_AN_ACK][16];
};

static void put_levels(const struct submit *s, const struct efx_ack *a, struct ack_out *out)
{
    out->ack.accepted = a->accepted;
    out->ack.logged = a->logged;
    out->ack.committed = a->committed;
    out->ack.repeats = a->repeats;
    out->ack.dropped = a->dropped;
    out->ack.resend_from = a->resend_from;
    out->ack.moving = a->moving || s->door->leaving;
}

static void send_ack(struct submit *s, struct ack_out *out)
{
    s->acked_ns = s->door->vt->now_ns();
    efx_door__send(s->call, &out->ack.base);
}

/* Rejects of the last fill, each time with the levels as they are. */
static void send_rejects(struct submit *s)
{
    struct efx_ack levels;
    const struct batch_reject *r = s->in.rejects;
    struct ack_out *out = r == NULL ? NULL : efx_mem_libc.alloc(&efx_mem_libc, sizeof *out);
    if (out == NULL) {
        return; /* they may be lost */
    }
    (void)pthread_mutex_lock(&s->lock);
    levels = s->ack;
    levels.resend_from = 0; /* that is said once */
    (void)pthread_mutex_unlock(&s->lock);
    while (r != NULL) {
        eventflux__v1__submit_ack__init(&out->ack);
        put_levels(s, &levels, out);
        uint32_t n = 0;
        for (; r != NULL && n < REJECTS_AN_ACK; r = r->next) {
            if (s->first + r->row < s->expected) {
                continue; /* a repeat: told when it was taken */
            }
            (void)snprintf(out->codes[n], sizeof out->codes[n], "EFX-%04u", r->code);
            eventflux__v1__reject__init(&out->rejects[n]);
            out->rejects[n].seq = s->first + r->row;
            out->rejects[n].code = out->codes[n];
            union { /* protobuf-c takes char *, and only reads */
                const char *from;
                char *to;
            } stream = {r->stream}, column = {r->column}, reason = {r->reason};
            out->rejects[n].stream = stream.to;
            out->rejects[n].column = column.to;
            out->rejects[n].reason = reason.to;
            out->list[n] = &out->rejects[n];
            n++;
        }
        out->ack.n_rejects = n;
        out->ack.rejects = out->list;
        if (n > 0) {
            send_ack(s, out);
        }
    }
    efx_mem_libc.free(&efx_mem_libc, out, sizeof *out);
}

static bool is_done_once(const struct submit *s, const struct efx_ack *a)
{
    uint64_t at = s->level == EFX_LEVEL_COMMITTED ? a->committed
                  : s->level == EFX_LEVEL_LOGGED  ? a->logged
                                                  : a->accepted;
    return s->phase == READY && at >= s->last_row;
}

static void on_levels(struct submit *s, const struct efx_ack *a, const struct efx_opened *opened)
{
    struct ack_out *out = efx_mem_libc.alloc(&efx_mem_libc, sizeof *out);
    if (out == NULL) {
        refuse_as(s, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory");
        return;
    }
    eventflux__v1__submit_ack__init(&out->ack);
    put_levels(s, a, out);
    if (a->resend_from != 0) {
        s->expected = s->rewound_to = a->resend_from;
    }
    char node[sizeof opened->node];
    if (opened != NULL) {
        eventflux__v1__opened__init(&out->opened);
        out->opened.next_seq = opened->next_seq;
        out->opened.known = opened->known;
        out->opened.epoch = opened->epoch;
        out->opened.max_message_bytes = s->door->opts.max_message_bytes;
        memcpy(node, opened->node, sizeof node);
        out->opened.node = node;
        out->ack.opened = &out->opened;
    }
    if (!s->once) {
        send_ack(s, out);
    } else if (is_done_once(s, a)) {
        efx_door__answer(s->call, &out->ack.base);
        close_node(s, true);
    }
    efx_mem_libc.free(&efx_mem_libc, out, sizeof *out);
}

/* ---- rows ---- */

static void feed(struct submit *s);

static void next_message(struct submit *s)
{
    if (!s->once && s->call->queued_bytes < DOOR_QUEUE_BYTES) {
        s->call->vt->next(s->call);
    } /* else when the acks have gone: room() */
}

static void on_room(void *arg)
{
    struct submit *s = arg;
    s->waits_for_room = false;
    if (!s->call->over && s->phase == FILLING) {
        feed(s);
    }
    s->call->vt->release(s->call);
}

static void wake_room(void *arg, enum efx_rc rc, size_t n)
{
    struct submit *s = arg;
    (void)rc;
    (void)n;
    s->door->vt->post(s->door->server, &s->room_task);
}

static struct efx_builder *take_builder(struct submit *s)
{
    struct efx_builder *b = node_of(s)->builder(s->door->service, &s->room);
    if (b == NULL) {
        s->waits_for_room = true;
        s->call->vt->hold(s->call);
    }
    return b;
}

static void message_done(struct submit *s)
{
    uint64_t behind = s->first + s->in.n_rows;
    if (s->rewound_to != 0 && s->first <= s->rewound_to && behind > s->rewound_to) {
        s->rewound_to = 0;
    }
    if (s->rewound_to == 0 && behind > s->expected) {
        s->expected = behind;
    }
    bool ask = s->in.n_rows == 0 || s->in.drain || s->once, drain = s->in.drain;
    drop_message(s);
    s->phase = READY;
    if (ask) {
        node_of(s)->submit_ask(s->door->service, s->node, drain);
    }
    next_message(s);
}

/* Builder after builder until the message is in, or there is none. */
static void feed(struct submit *s)
{
    enum efx_rc rc = s->in.n_rows == 0 && !s->in.has_advance ? EFX_OK : EFX_AGAIN;
    while (rc == EFX_AGAIN) {
        struct efx_builder *b = take_builder(s);
        if (b == NULL) {
            return;
        }
        if (b->schemas != s->app->takes) { /* a new app text since the message was read */
            node_of(s)->builder_back(s->door->service, &b);
            refuse_as(s, EFX_GRPC_UNAVAILABLE, 4006, "the app changes: open again");
            drop_message(s);
            return;
        }
        uint64_t from = s->in.n_done;
        rc = batch_in_fill(&s->in, b);
        if (rc != EFX_OK && rc != EFX_AGAIN) {
            node_of(s)->builder_back(s->door->service, &b);
            refuse_as(s, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory");
            drop_message(s);
            return;
        }
        s->door->n_rows_in += s->in.n_done - from;
        node_of(s)->submit_rows(s->door->service, s->node, s->has_session ? s->first + from : 0, &b,
                                rc == EFX_OK);
        if (!s->once) {
            send_rejects(s);
        }
    }
    message_done(s);
}

/* May these rows come now? */
static bool in_order(struct submit *s)
{
    char text[96], number[24];
    if (!s->has_session) {
        s->first = s->expected;
        if (s->in.first_seq != 0) {
            refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002, "first_seq without a session");
        }
        return !s->call->over;
    }
    if (s->in.first_seq == 0 && s->in.n_rows > 0) {
        refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002, "rows of a session need first_seq");
        return false;
    }
    s->first = s->in.n_rows == 0 ? s->expected : s->in.first_seq;
    if (s->rewound_to == 0 && s->first > s->expected) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)s->expected);
        (void)snprintf(text, sizeof text, "row %s comes next, not %llu", number,
                       (unsigned long long)s->first);
        efx_door__finish_as(s->call, EFX_GRPC_OUT_OF_RANGE, 4007, text,
                            &(struct efx_grpc_meta){"efx-next-seq", number});
        close_node(s, false);
        return false;
    }
    return s->first + s->in.n_rows >= s->first ||
           (refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4001, "row numbers end at 2^64"), false);
}

/* ---- open ---- */

static bool read_open(struct submit *s, struct efx_submit_open *how)
{
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, 1024 * 1024);
    ProtobufCMessage *m =
        efx_door__read(s->call, &eventflux__v1__open__descriptor, &s->in.open, 1, &a);
    const Eventflux__V1__Open *o = (const Eventflux__V1__Open *)m;
    *how = (struct efx_submit_open){0};
    if (o == NULL) {
        efx_arena_fini(&a);
        return false;
    }
    size_t n = strlen(o->session);
    how->level = efx_door__level(o->level);
    how->opening = o->opening;
    if (n > EFX_SESSION_BYTES_MAX || how->level == 0 || o->app_hash.len > 64 ||
        (n == 0 && how->level != EFX_LEVEL_ACCEPTED)) {
        refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002,
                  n > EFX_SESSION_BYTES_MAX ? "a session's name has at most 64 bytes"
                  : how->level == 0         ? "there is no such level"
                  : n == 0                  ? "only a session has levels above ACCEPTED"
                                            : "app_hash is too long");
    } else {
        memcpy(how->session, o->session, n + 1);
        s->has_session = n > 0;
        s->level = how->level;
        if (o->app_hash.len > 0 && (o->app_hash.len != sizeof s->app->hash ||
                                    memcmp(o->app_hash.data, s->app->hash, o->app_hash.len) != 0)) {
            refuse_as(s, EFX_GRPC_FAILED_PRECONDITION, 4009, "another app runs here: app_hash");
        }
    }
    efx_arena_fini(&a);
    return !s->call->over;
}

static const struct efx_submit_front front;

static void open_call(struct submit *s)
{
    struct efx_submit_open how;
    if (!s->in.has_open || (!s->once && (s->in.n_rows > 0 || s->in.has_advance || s->in.drain))) {
        refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002,
                  "the first message has `open` and no rows, the others none");
        return;
    }
    if (!read_open(s, &how)) {
        return;
    }
    s->phase = OPENING;
    s->listed = true;
    s->next = s->door->submits;
    s->at = &s->door->submits;
    if (s->next != NULL) {
        s->next->at = &s->next;
    }
    s->door->submits = s;
    s->call->vt->hold(s->call); /* until the node has said `ended` */
    node_of(s)->submit_open(s->door->service, &how, &s->front, &s->node);
}

/* ---- messages ---- */

static void message(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct submit *s = submit_of(c);
    struct efx_err err = {0};
    s->app = node_of(s)->app_ref(s->door->service);
    if (s->app == NULL) {
        refuse_as(s, EFX_GRPC_UNAVAILABLE, 4006, "this node is not ready");
        return;
    }
    uint32_t n_streams = s->app->program->n_objects;
    enum efx_rc rc = batch_in_open(&s->in, s->app->takes, n_streams, pieces, n, &err);
    s->in_open = true;
    if (rc != EFX_OK) {
        refuse(s, &err);
    } else if (s->phase == WAITS) {
        open_call(s);
    } else if (s->in.has_open) {
        refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002, "the session is open already");
    } else if (in_order(s)) {
        s->phase = FILLING;
        feed(s);
        return;
    }
    if (c->over || !s->once) {
        drop_message(s);
    }
}

static void half_closed(struct efx_grpc_call *c)
{
    struct submit *s = submit_of(c);
    s->half_closed = true;
    if (s->phase == WAITS) {
        refuse_as(s, EFX_GRPC_INVALID_ARGUMENT, 4002, "the request has no message");
    } else if (!s->once) {
        close_node(s, true);
    }
}

static void room(struct efx_grpc_call *c)
{
    struct submit *s = submit_of(c);
    if (s->phase == READY && !s->half_closed) {
        next_message(s);
    }
}

static void free_state(struct submit *s)
{
    drop_message(s);
    if (s->listed) {
        *s->at = s->next;
        if (s->next != NULL) {
            s->next->at = s->at;
        }
        s->listed = false;
    }
}

static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct submit *s = submit_of(c);
    (void)cancelled;
    close_node(s, false);
    free_state(s);
    s->phase = CLOSING;
}

/* ---- what the node says ---- */

static void on_opened(struct submit *s, const struct efx_opened *o, const struct efx_ack *a)
{
    s->expected = s->has_session ? o->next_seq : 1;
    s->phase = READY;
    on_levels(s, a, o);
    if (!s->once) {
        next_message(s);
        return;
    }
    if (!s->call->over && in_order(s)) {
        s->last_row = s->first + s->in.n_rows - 1;
        s->phase = FILLING;
        feed(s);
    }
}

static void on_node(void *arg)
{
    struct submit *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    bool has_opened = s->has_opened, has_ack = s->has_ack;
    struct efx_opened opened = s->opened;
    struct efx_ack ack = s->ack;
    s->has_opened = s->has_ack = false;
    s->ack.resend_from = 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (has_opened && !s->call->over) {
        on_opened(s, &opened, &ack);
    } else if (has_ack && !s->call->over) {
        on_levels(s, &ack, NULL);
    }
}

static void on_end(void *arg)
{
    struct submit *s = arg;
    if (!s->call->over) {
        efx_door__finish(s->call, &s->why);
    }
    close_node(s, false); /* lets it go */
    s->node = NULL;
    s->call->vt->release(s->call);
}

/* On the node's loop. */
static void front_opened(struct efx_submit_front *self, const struct efx_opened *o,
                         const struct efx_ack *so_far)
{
    struct submit *s = (struct submit *)self;
    (void)pthread_mutex_lock(&s->lock);
    s->opened = *o;
    s->ack = *so_far;
    s->has_opened = true;
    (void)pthread_mutex_unlock(&s->lock);
    s->door->vt->post(s->door->server, &s->task);
}

static void front_ack(struct efx_submit_front *self, const struct efx_ack *ack)
{
    struct submit *s = (struct submit *)self;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t resend_from = ack->resend_from != 0 ? ack->resend_from : s->ack.resend_from;
    s->ack = *ack;
    s->ack.resend_from = resend_from;
    s->has_ack = true;
    (void)pthread_mutex_unlock(&s->lock);
    s->door->vt->post(s->door->server, &s->task);
}

static void front_ended(struct efx_submit_front *self, const struct efx_err *why)
{
    struct submit *s = (struct submit *)self;
    s->why = *why;
    s->door->vt->post(s->door->server, &s->end_task);
}

static const struct efx_submit_front front = {front_opened, front_ack, front_ended};

/* ---- methods ---- */

static void begin_any(struct efx_grpc_call *c, bool once)
{
    struct submit *s = submit_of(c);
    s->front = front;
    s->door = door_of(c);
    s->call = c;
    s->phase = WAITS;
    s->once = once;
    s->room = (struct efx_wake){wake_room, s};
    s->room_task = (struct efx_grpc_task){.fn = on_room, .arg = s};
    s->task = (struct efx_grpc_task){.fn = on_node, .arg = s};
    s->end_task = (struct efx_grpc_task){.fn = on_end, .arg = s};
    (void)pthread_mutex_init(&s->lock, NULL);
}

static void begin(struct efx_grpc_call *c)
{
    begin_any(c, false);
}

static void begin_once(struct efx_grpc_call *c)
{
    begin_any(c, true);
    submit_of(c)->last_row = UINT64_MAX; /* not known yet */
}

/* An ack at least every ack_ms: who has heard nothing for half of it is asked about. */
void efx_door__submit_tick(struct efx_door *d, uint64_t now_ns)
{
    for (struct submit *s = d->submits; s != NULL; s = s->next) {
        if (s->phase >= READY && !s->closed_node && !s->call->over &&
            now_ns - s->acked_ns > d->opts.ack_ms * 500000) {
            s->acked_ns = now_ns;
            d->service->vt->submit_ask(d->service, s->node, false);
        }
    }
}

void efx_door__submit_leave(struct efx_door *d)
{
    for (struct submit *s = d->submits; s != NULL; s = s->next) {
        if (s->phase >= READY && !s->closed_node && !s->call->over && !s->once) {
            d->service->vt->submit_ask(d->service, s->node, false); /* the ack says `moving` */
        }
    }
}

void efx_door__add_submit(struct door_table *t)
{
    struct efx_grpc_method m = {.path = "/eventflux.v1.EventFlux/Submit",
                                .state_bytes = sizeof(struct submit),
                                .begin = begin,
                                .message = message,
                                .half_closed = half_closed,
                                .room = room,
                                .closed = closed};
    efx_door__add(t, &m);
    m.path = "/eventflux.v1.EventFlux/SubmitOnce";
    m.begin = begin_once;
    efx_door__add(t, &m);
}
