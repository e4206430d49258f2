/* A call of the server: what arrives goes to its method, what the method says goes out.
 *
 *   op                       tag     how many                    ends with
 *   RECV_CLOSE_ON_SERVER     close   one, from the beginning     the call is over; cancelled or not
 *   RECV_MESSAGE             recv    one, when `next` asks       message; none = half-closed
 *   SEND_MESSAGE, STATUS     send    one, from the queue         taken by flow control
 *
 * gRPC takes one operation of each kind at a time, so what is sent waits in a queue of the call.
 * After `close` nothing is started any more; the memory goes when the tags are in and nobody holds.
 *
 *   Threads  the server's
 *   Source   dependencies.md §1.3, numbers 6 to 11
 */
#include "grpc_in.h"

#include <stdio.h>
#include <string.h>

struct status_copy {
    enum efx_grpc_code code;
    char text[EFX_GRPC_TEXT_BYTES];
    size_t n_meta;
    grpc_metadata meta[EFX_GRPC_META_MAX];
};

struct call {
    struct efx_grpc_call pub;
    grpc_call *call;
    struct tag close, recv, send;
    struct pieces in;
    struct queue out;
    size_t n_sending; /* bytes of the message that flow control has not taken */
    struct status_copy status;
    int cancelled;
    uint32_t n_tags, n_holds;
    bool counted, receiving, sending, ended; /* ended: the peer's half is closed */
    bool has_status, initial_sent, status_sent, closed;
};

static struct call *call_of(struct efx_grpc_call *c)
{
    return (struct call *)c;
}

/* ---- end ---- */

static void maybe_free(struct call *c)
{
    if (!c->closed || c->n_tags > 0 || c->n_holds > 0) {
        return;
    }
    struct efx_grpc_server *s = c->pub.server;
    efx_grpc__queue_clear(&c->out);
    efx_grpc__pieces_fini(&c->in);
    for (size_t i = 0; i < c->status.n_meta; i++) {
        grpc_slice_unref(c->status.meta[i].key);
        grpc_slice_unref(c->status.meta[i].value);
    }
    grpc_call_unref(c->call);
    efx_mem_libc.free(&efx_mem_libc, c, sizeof *c + c->pub.method->state_bytes);
    s->n_objects--;
}

static bool start(struct call *c, const grpc_op *ops, size_t n, struct tag *tag)
{
    if (grpc_call_start_batch(c->call, ops, n, tag, NULL) != GRPC_CALL_OK) {
        return false;
    }
    c->n_tags++;
    return true;
}

static void on_close(struct tag *t, bool ok)
{
    struct call *c = t->owner;
    (void)ok; /* always true: `cancelled` says it */
    c->n_tags--;
    c->closed = c->pub.over = true;
    if (c->counted) {
        c->pub.server->n_calls--;
    }
    efx_grpc__queue_clear(&c->out);
    c->pub.queued_bytes = 0;
    c->n_holds++; /* the method may release its last hold in here */
    if (c->pub.method->closed != NULL) {
        c->pub.method->closed(&c->pub, c->cancelled != 0);
    }
    c->n_holds--;
    maybe_free(c);
}

/* ---- out ---- */

static grpc_op op_status(struct call *c, grpc_slice *text)
{
    *text = grpc_slice_from_copied_string(c->status.text);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = (grpc_status_code)c->status.code;
    op.data.send_status_from_server.status_details = text;
    op.data.send_status_from_server.trailing_metadata_count = c->status.n_meta;
    op.data.send_status_from_server.trailing_metadata = c->status.meta;
    return op;
}

/* One message and, if it is the last, the status; or the status alone. */
static void push_out(struct call *c)
{
    grpc_op ops[3];
    size_t n = 0;
    grpc_byte_buffer *bytes = NULL;
    grpc_slice text = grpc_empty_slice();
    if (c->sending || c->closed || c->status_sent || (c->out.head == NULL && !c->has_status)) {
        return;
    }
    if (!c->initial_sent) {
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
        c->initial_sent = true;
    }
    struct efx_grpc_buf *b = efx_grpc__queue_take(&c->out);
    if (b != NULL) {
        c->n_sending = b->n;
        bytes = efx_grpc__buf_bytes(b);
        ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE,
                           .flags = c->out.head != NULL ? GRPC_WRITE_BUFFER_HINT : 0};
        ops[n++].data.send_message.send_message = bytes;
    }
    if (c->has_status && c->out.head == NULL) {
        ops[n++] = op_status(c, &text);
        c->status_sent = true;
    }
    c->sending = start(c, ops, n, &c->send);
    if (bytes != NULL) {
        grpc_byte_buffer_destroy(bytes);
    }
    grpc_slice_unref(text);
}

static void on_send(struct tag *t, bool ok)
{
    struct call *c = t->owner;
    c->n_tags--;
    c->sending = false;
    c->n_sending = 0;
    c->pub.queued_bytes = c->out.n_bytes;
    if (ok) {
        push_out(c);
    }
    c->n_holds++;
    if (ok && !c->pub.over && c->out.head == NULL && c->pub.method->room != NULL) {
        c->pub.method->room(&c->pub);
    }
    c->n_holds--;
    maybe_free(c);
}

void efx_grpc__call_send(struct efx_grpc_call *pub, struct efx_grpc_buf *b)
{
    struct call *c = call_of(pub);
    if (pub->over || b == NULL) {
        efx_grpc__buf_drop(b);
        return;
    }
    efx_grpc__queue_put(&c->out, b);
    push_out(c);
    pub->queued_bytes = c->out.n_bytes + c->n_sending;
}

void efx_grpc__call_finish(struct efx_grpc_call *pub, const struct efx_grpc_status *status)
{
    struct call *c = call_of(pub);
    if (pub->over) {
        return;
    }
    pub->over = c->has_status = true;
    c->status.code = status->code;
    (void)strncpy(c->status.text, status->text == NULL ? "" : status->text,
                  sizeof c->status.text - 1);
    for (uint32_t i = 0; i < status->n_meta && i < EFX_GRPC_META_MAX; i++) {
        c->status.meta[i] =
            (grpc_metadata){.key = grpc_slice_from_copied_string(status->meta[i].key),
                            .value = grpc_slice_from_copied_string(status->meta[i].value)};
        c->status.n_meta++;
    }
    push_out(c);
}

/* ---- in ---- */

static void finish_with(struct call *c, enum efx_grpc_code code, const char *text)
{
    efx_grpc__call_finish(&c->pub, &(struct efx_grpc_status){.code = code, .text = text});
}

static void receive(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    if (c->closed || c->receiving || c->ended) {
        return;
    }
    op.data.recv_message.recv_message = &c->in.message;
    c->receiving = start(c, &op, 1, &c->recv);
}

static void take(struct call *c)
{
    if (c->in.message == NULL) {
        c->ended = true;
        if (c->pub.method->half_closed != NULL) {
            c->pub.method->half_closed(&c->pub);
        } else {
            finish_with(c, EFX_GRPC_INVALID_ARGUMENT, "EFX-4002: the request has no message");
        }
    } else if (!efx_grpc__pieces_open(&c->in)) {
        finish_with(c, EFX_GRPC_RESOURCE_EXHAUSTED, "EFX-4005: out of memory");
    } else {
        c->pub.method->message(&c->pub, c->in.v, c->in.n);
    }
}

static void on_recv(struct tag *t, bool ok)
{
    struct call *c = t->owner;
    c->n_tags--;
    c->receiving = false;
    c->n_holds++;
    if (ok && !c->pub.over) {
        take(c);
    } else {
        efx_grpc__pieces_close(&c->in);
    }
    c->n_holds--;
    maybe_free(c);
}

void efx_grpc__call_next(struct efx_grpc_call *pub)
{
    struct call *c = call_of(pub);
    if (!c->receiving) {
        efx_grpc__pieces_close(&c->in);
        receive(c);
    }
}

/* ---- holds ---- */

void efx_grpc__call_hold(struct efx_grpc_call *c)
{
    call_of(c)->n_holds++;
}

void efx_grpc__call_release(struct efx_grpc_call *c)
{
    EFX_ASSERT(call_of(c)->n_holds > 0);
    call_of(c)->n_holds--;
    maybe_free(call_of(c));
}

/* ---- begin ---- */

static bool slice_is(grpc_slice s, const char *text)
{
    size_t n = strlen(text);
    return GRPC_SLICE_LENGTH(s) == n && memcmp(GRPC_SLICE_START_PTR(s), text, n) == 0;
}

static const struct efx_grpc_method *method_of(const struct efx_grpc_server *s, grpc_slice path)
{
    static const struct efx_grpc_method none = {.path = "", .uncounted = true};
    for (uint32_t i = 0; i < s->how.n_methods; i++) {
        if (slice_is(path, s->how.methods[i].path)) {
            return &s->how.methods[i];
        }
    }
    return &none;
}

/* Takes as long whatever is wrong. */
static bool has_token(const struct efx_grpc_server *s, const grpc_metadata_array *meta)
{
    static const char scheme[] = "Bearer ";
    size_t n = strlen(s->how.token), k = sizeof scheme - 1;
    for (size_t i = 0; i < meta->count; i++) {
        const grpc_slice v = meta->metadata[i].value;
        if (!slice_is(meta->metadata[i].key, "authorization") || GRPC_SLICE_LENGTH(v) != n + k) {
            continue;
        }
        const uint8_t *p = GRPC_SLICE_START_PTR(v);
        unsigned differs = 0;
        for (size_t b = 0; b < k; b++) {
            differs |= (unsigned)((p[b] | 0x20) ^ ((unsigned char)scheme[b] | 0x20));
        }
        for (size_t b = 0; b < n; b++) {
            differs |= (unsigned)(p[k + b] ^ (unsigned char)s->how.token[b]);
        }
        return differs == 0;
    }
    return false;
}

static bool is_open_path(const struct efx_grpc_server *s, const char *path)
{
    for (const char *const *p = s->how.open_paths; p != NULL && *p != NULL; p++) {
        if (strcmp(*p, path) == 0) {
            return true;
        }
    }
    return false;
}

/* Why the call is not taken at all; false = it is. */
static bool refuse(struct call *c, const grpc_metadata_array *meta)
{
    struct efx_grpc_server *s = c->pub.server;
    const char *path = c->pub.method->path;
    char text[96];
    if (path[0] == '\0') {
        finish_with(c, EFX_GRPC_UNIMPLEMENTED, "EFX-4003: there is no such method");
    } else if (s->how.token != NULL && !is_open_path(s, path) && !has_token(s, meta)) {
        s->n_auth_refused++;
        finish_with(c, EFX_GRPC_UNAUTHENTICATED,
                    "EFX-4004: the call needs metadata authorization: Bearer and the token");
    } else if (c->counted && s->n_calls > s->how.max_calls) {
        s->n_calls_refused++;
        (void)snprintf(text, sizeof text, "EFX-4005: limit grpc.max_calls, %u, is reached",
                       s->how.max_calls);
        finish_with(c, EFX_GRPC_RESOURCE_EXHAUSTED, text);
    } else if (s->draining) {
        finish_with(c, EFX_GRPC_UNAVAILABLE, "EFX-4006: this node leaves: try another");
    }
    return c->pub.over;
}

static uint64_t deadline_ns(gpr_timespec t)
{
    if (gpr_time_cmp(t, gpr_inf_future(t.clock_type)) == 0) {
        return UINT64_MAX;
    }
    t = gpr_convert_clock_type(t, GPR_CLOCK_MONOTONIC);
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void efx_grpc__call_open(struct efx_grpc_server *s, grpc_call *call,
                         const grpc_call_details *details, const grpc_metadata_array *meta)
{
    const struct efx_grpc_method *m = method_of(s, details->method);
    struct call *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c + m->state_bytes);
    if (c == NULL) {
        (void)grpc_call_cancel(call, NULL);
        grpc_call_unref(call);
        return;
    }
    memset(c, 0, sizeof *c + m->state_bytes);
    c->pub = (struct efx_grpc_call){.vt = s->vt,
                                    .server = s,
                                    .method = m,
                                    .state = c + 1,
                                    .deadline_ns = deadline_ns(details->deadline)};
    c->call = call;
    c->close = (struct tag){on_close, c};
    c->recv = (struct tag){on_recv, c};
    c->send = (struct tag){on_send, c};
    c->counted = !m->uncounted;
    s->n_objects++;
    s->n_calls += c->counted;
    s->called_ns = efx_grpc__now_ns();
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &c->cancelled;
    EFX_ASSERT(start(c, &op, 1, &c->close));
    if (refuse(c, meta)) {
        return;
    }
    if (m->begin != NULL) {
        m->begin(&c->pub);
    }
    if (!c->pub.over) {
        receive(c);
    }
}
