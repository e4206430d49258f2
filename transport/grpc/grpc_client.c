/* The other end: a channel, its calls, all run inside `poll` on the caller's thread.
 *
 *   tag      op                                     how many
 *   begun    SEND and RECV_INITIAL_METADATA          one
 *   recv     RECV_MESSAGE                            one, when `next` asks
 *   send     SEND_MESSAGE, SEND_CLOSE_FROM_CLIENT    one, from the queue
 *   status   RECV_STATUS_ON_CLIENT                   one, from the beginning
 *
 * A call ends when its status is there and every tag is in; messages that came before it are given
 * first. One channel is one connection: channels do not share theirs.
 *
 *   Threads  one: that which polls
 *   Source   dependencies.md §1.3, numbers 6, 7, 23, 28, 29
 */
#include "grpc_in.h"

#include <stdio.h>
#include <string.h>

struct efx_grpc_client {
    grpc_completion_queue *cq;
    grpc_channel *channel;
    char *token; /* "Bearer …"; NULL = none */
    size_t token_bytes;
    struct efx_grpc_ccall *calls; /* that are open */
};

struct efx_grpc_ccall {
    struct efx_grpc_client *client;
    struct efx_grpc_ccall *next, **at;
    const struct efx_grpc_client_user *user;
    void *arg;
    grpc_call *call;
    struct tag begun, recv, send, status;
    struct pieces in;
    struct queue out;
    size_t n_sending;
    uint32_t n_tags;
    bool receiving, sending, half_closing, half_closed, has_status, in_user;
    bool held;    /* the user has a message and has not asked for the next one */
    bool no_more; /* messages have ended */
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice text;
};

/* ---- end ---- */

static uint32_t copy_meta(const grpc_metadata_array *from, char text[][EFX_GRPC_TEXT_BYTES],
                          struct efx_grpc_meta *to)
{
    uint32_t n = 0;
    for (size_t i = 0; i < from->count && n < EFX_GRPC_META_MAX; i++) {
        grpc_slice k = from->metadata[i].key, v = from->metadata[i].value;
        if (GRPC_SLICE_LENGTH(k) < 4 || memcmp(GRPC_SLICE_START_PTR(k), "efx-", 4) != 0) {
            continue;
        }
        (void)snprintf(text[2 * n], EFX_GRPC_TEXT_BYTES, "%.*s", (int)GRPC_SLICE_LENGTH(k),
                       (const char *)GRPC_SLICE_START_PTR(k));
        (void)snprintf(text[2 * n + 1], EFX_GRPC_TEXT_BYTES, "%.*s", (int)GRPC_SLICE_LENGTH(v),
                       (const char *)GRPC_SLICE_START_PTR(v));
        to[n] = (struct efx_grpc_meta){text[2 * n], text[2 * n + 1]};
        n++;
    }
    return n;
}

static void free_call(struct efx_grpc_ccall *c)
{
    efx_grpc__queue_clear(&c->out);
    efx_grpc__pieces_fini(&c->in);
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    grpc_slice_unref(c->text);
    grpc_call_unref(c->call);
    *c->at = c->next;
    if (c->next != NULL) {
        c->next->at = c->at;
    }
    efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
}

static void maybe_end(struct efx_grpc_ccall *c)
{
    if (!c->has_status || c->n_tags > 0 || c->in_user || c->held) {
        return;
    }
    char texts[2 * EFX_GRPC_META_MAX][EFX_GRPC_TEXT_BYTES];
    char text[EFX_GRPC_TEXT_BYTES];
    struct efx_grpc_status st = {.code = (enum efx_grpc_code)c->code, .text = text};
    (void)snprintf(text, sizeof text, "%.*s", (int)GRPC_SLICE_LENGTH(c->text),
                   (const char *)GRPC_SLICE_START_PTR(c->text));
    st.n_meta = copy_meta(&c->trailing, texts, st.meta);
    const struct efx_grpc_client_user *user = c->user;
    void *arg = c->arg;
    free_call(c);
    user->ended(arg, &st);
}

static bool start(struct efx_grpc_ccall *c, const grpc_op *ops, size_t n, struct tag *tag)
{
    if (grpc_call_start_batch(c->call, ops, n, tag, NULL) != GRPC_CALL_OK) {
        return false;
    }
    c->n_tags++;
    return true;
}

static void on_status(struct tag *t, bool ok)
{
    struct efx_grpc_ccall *c = t->owner;
    (void)ok;
    c->n_tags--;
    c->has_status = true;
    maybe_end(c);
}

static void on_begun(struct tag *t, bool ok)
{
    struct efx_grpc_ccall *c = t->owner;
    (void)ok;
    c->n_tags--;
    maybe_end(c);
}

/* ---- in ---- */

static void receive(struct efx_grpc_ccall *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    if (!c->receiving && !c->no_more) {
        op.data.recv_message.recv_message = &c->in.message;
        c->receiving = start(c, &op, 1, &c->recv);
    }
}

static void on_recv(struct tag *t, bool ok)
{
    struct efx_grpc_ccall *c = t->owner;
    c->n_tags--;
    c->receiving = false;
    c->no_more = !ok || c->in.message == NULL;
    if (!c->no_more && efx_grpc__pieces_open(&c->in)) {
        c->held = c->in_user = true;
        c->user->message(c->arg, c, c->in.v, c->in.n);
        c->in_user = false;
    }
    maybe_end(c);
}

void efx_grpc__ccall_next(struct efx_grpc_ccall *c)
{
    efx_grpc__pieces_close(&c->in);
    c->held = false;
    receive(c);
    maybe_end(c);
}

/* ---- out ---- */

static void push_out(struct efx_grpc_ccall *c)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    grpc_byte_buffer *bytes = NULL;
    if (c->sending || c->has_status || c->half_closed) {
        return;
    }
    struct efx_grpc_buf *b = efx_grpc__queue_take(&c->out);
    if (b != NULL) {
        c->n_sending = b->n;
        bytes = efx_grpc__buf_bytes(b);
        op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE,
                       .flags = c->out.head != NULL ? GRPC_WRITE_BUFFER_HINT : 0};
        op.data.send_message.send_message = bytes;
    } else if (!c->half_closing) {
        return;
    }
    c->half_closed = b == NULL;
    c->sending = start(c, &op, 1, &c->send);
    if (bytes != NULL) {
        grpc_byte_buffer_destroy(bytes);
    }
}

static void on_send(struct tag *t, bool ok)
{
    struct efx_grpc_ccall *c = t->owner;
    c->n_tags--;
    c->sending = false;
    c->n_sending = 0;
    if (ok) {
        push_out(c);
    }
    if (ok && !c->has_status && c->out.head == NULL && !c->half_closing && c->user->room != NULL) {
        c->in_user = true;
        c->user->room(c->arg, c);
        c->in_user = false;
    }
    maybe_end(c);
}

void efx_grpc__ccall_send(struct efx_grpc_ccall *c, struct efx_grpc_buf *b)
{
    if (c->has_status || c->half_closing || b == NULL) {
        efx_grpc__buf_drop(b);
        return;
    }
    efx_grpc__queue_put(&c->out, b);
    push_out(c);
}

void efx_grpc__ccall_half_close(struct efx_grpc_ccall *c)
{
    c->half_closing = true;
    push_out(c);
}

void efx_grpc__ccall_cancel(struct efx_grpc_ccall *c)
{
    (void)grpc_call_cancel(c->call, NULL);
}

size_t efx_grpc__ccall_queued(const struct efx_grpc_ccall *c)
{
    return c->out.n_bytes + c->n_sending;
}

/* ---- begin ---- */

static bool begin(struct efx_grpc_ccall *c)
{
    grpc_metadata token = {.key = grpc_slice_from_static_string("authorization")};
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    if (c->client->token != NULL) {
        token.value = grpc_slice_from_copied_string(c->client->token);
        ops[0].data.send_initial_metadata.count = 1;
        ops[0].data.send_initial_metadata.metadata = &token;
    }
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &c->initial;
    status.data.recv_status_on_client.status = &c->code;
    status.data.recv_status_on_client.status_details = &c->text;
    status.data.recv_status_on_client.trailing_metadata = &c->trailing;
    bool ok = start(c, &status, 1, &c->status) && start(c, ops, 2, &c->begun);
    if (c->client->token != NULL) {
        grpc_slice_unref(token.value);
    }
    return ok;
}

struct efx_grpc_ccall *efx_grpc__ccall(struct efx_grpc_client *cl, const char *path,
                                       uint64_t timeout_ms, const struct efx_grpc_client_user *user,
                                       void *arg)
{
    struct efx_grpc_ccall *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    memset(c, 0, sizeof *c);
    *c = (struct efx_grpc_ccall){.client = cl, .user = user, .arg = arg, .next = cl->calls};
    c->at = &cl->calls;
    if (c->next != NULL) {
        c->next->at = &c->next;
    }
    cl->calls = c;
    c->begun = (struct tag){on_begun, c};
    c->recv = (struct tag){on_recv, c};
    c->send = (struct tag){on_send, c};
    c->status = (struct tag){on_status, c};
    c->text = grpc_empty_slice();
    grpc_metadata_array_init(&c->initial);
    grpc_metadata_array_init(&c->trailing);
    gpr_timespec until =
        timeout_ms == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : efx_grpc__in_ms(timeout_ms);
    grpc_slice method = grpc_slice_from_copied_string(path);
    c->call = grpc_channel_create_call(cl->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cl->cq, method,
                                       NULL, until, NULL);
    grpc_slice_unref(method);
    EFX_ASSERT(begin(c));
    receive(c);
    return c;
}

/* ---- the client ---- */

bool efx_grpc__poll(struct efx_grpc_client *cl, uint64_t ms)
{
    grpc_event e = grpc_completion_queue_next(cl->cq, efx_grpc__in_ms(ms), NULL);
    for (int i = 0; e.type == GRPC_OP_COMPLETE; i++) {
        struct tag *t = e.tag;
        t->fn(t, e.success != 0);
        if (i == 255) {
            return true;
        }
        e = grpc_completion_queue_next(cl->cq, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type != GRPC_OP_COMPLETE) {
            return true;
        }
    }
    return false;
}

static grpc_channel *open_channel(const struct efx_grpc_dial *how, grpc_channel_credentials *creds)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = "grpc.enable_http_proxy", .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.use_local_subchannel_pool", .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.max_receive_message_length",
         .value.integer = (int)how->max_message_bytes},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.keepalive_time_ms", .value.integer = 30000},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.http2.max_pings_without_data", .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = "grpc.initial_reconnect_backoff_ms",
         .value.integer = 100},
        {.type = GRPC_ARG_INTEGER, .key = "grpc.max_reconnect_backoff_ms", .value.integer = 2000},
        {.type = GRPC_ARG_STRING, .key = "grpc.ssl_target_name_override"},
    };
    grpc_channel_args all = {sizeof args / sizeof *args - (how->tls.name == NULL), args};
    char name[256];
    (void)snprintf(name, sizeof name, "%s", how->tls.name != NULL ? how->tls.name : "");
    args[sizeof args / sizeof *args - 1].value.string = name;
    return grpc_channel_create(how->target, creds, &all);
}

enum efx_rc efx_grpc__dial(const struct efx_grpc_dial *how, struct efx_grpc_client **out,
                           struct efx_err *err)
{
    grpc_channel_credentials *creds = NULL;
    struct efx_grpc_client *cl = efx_mem_libc.alloc(&efx_mem_libc, sizeof *cl);
    if (cl == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(cl, 0, sizeof *cl);
    efx_grpc__init();
    enum efx_rc rc = EFX_OK;
    if (how->secure) {
        rc = efx_grpc__tls_client(&how->tls, &creds, err);
    } else {
        creds = grpc_insecure_credentials_create();
    }
    if (rc == EFX_OK && how->token != NULL) {
        cl->token_bytes = strlen(how->token) + 8;
        cl->token = efx_mem_libc.alloc(&efx_mem_libc, cl->token_bytes);
        rc = cl->token == NULL ? EFX_ENOMEM : EFX_OK;
    }
    if (rc == EFX_OK && cl->token != NULL) {
        (void)snprintf(cl->token, cl->token_bytes, "Bearer %s", how->token);
    }
    if (rc == EFX_OK) {
        cl->cq = grpc_completion_queue_create_for_next(NULL);
        cl->channel = open_channel(how, creds);
    }
    if (creds != NULL) {
        grpc_channel_credentials_release(creds);
    }
    if (rc != EFX_OK) {
        efx_mem_libc.free(&efx_mem_libc, cl, sizeof *cl);
        efx_grpc__fini();
        return rc;
    }
    *out = cl;
    return EFX_OK;
}

void efx_grpc__hang_up(struct efx_grpc_client **cl_of)
{
    struct efx_grpc_client *cl = *cl_of;
    if (cl == NULL) {
        return;
    }
    for (struct efx_grpc_ccall *c = cl->calls; c != NULL; c = c->next) {
        efx_grpc__pieces_close(&c->in);
        c->held = false;
        (void)grpc_call_cancel(c->call, NULL);
    }
    while (cl->calls != NULL) {
        for (struct efx_grpc_ccall *c = cl->calls, *next; c != NULL; c = next) {
            next = c->next;
            c->held = false; /* what comes now is not looked at any more */
            maybe_end(c);
        }
        (void)efx_grpc__poll(cl, 100);
    }
    grpc_channel_destroy(cl->channel);
    grpc_completion_queue_shutdown(cl->cq);
    while (grpc_completion_queue_next(cl->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(cl->cq);
    if (cl->token != NULL) {
        efx_mem_libc.free(&efx_mem_libc, cl->token, cl->token_bytes);
    }
    efx_mem_libc.free(&efx_mem_libc, cl, sizeof *cl);
    *cl_of = NULL;
    efx_grpc__fini();
}
