/* Talking to a cluster: addresses, retries, calls with one answer. */
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const home[] = {"127.0.0.1:7100"};
enum { RETRY_MS = 30000, MESSAGE_BYTES = 64 * 1024 * 1024 };

static uint32_t n_addresses(const struct remote *r)
{
    return r->opts->to.n > 0 ? r->opts->to.n : 1;
}

const char *remote_address(const struct remote *r)
{
    return r->opts->to.n > 0 ? r->opts->to.v[r->at] : home[0];
}

char *remote_text(const char *text)
{
    union {
        const char *from;
        char *to;
    } same = {text};
    return same.to;
}

static int dial(struct remote *r)
{
    struct efx_err err = {0};
    const struct remote_opts *o = r->opts;
    bool tls = o->ca != NULL || o->cert != NULL || o->key != NULL;
    struct efx_grpc_dial how = {.target = remote_address(r),
                                .secure = tls,
                                .tls = {o->cert, o->key, o->ca, o->name},
                                .token = o->token,
                                .max_message_bytes = MESSAGE_BYTES};
    if (r->vt->dial(&how, &r->client, &err) != EFX_OK) {
        return cli_fail(err.kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx %s: %s", r->command,
                        err.msg);
    }
    return -1;
}

int remote_open(struct remote *r, const char *command, const struct remote_opts *opts)
{
    struct efx_err err = {0};
    *r = (struct remote){.command = command, .opts = opts, .pause_ms = REMOTE_PAUSE_MS};
    for (uint32_t i = 0; i < opts->to.n; i++) {
        if (strchr(opts->to.v[i], ':') == NULL) {
            return cli_fail(CLI_USER, "efx %s: --to takes HOST:PORT, not '%s'", command,
                            opts->to.v[i]);
        }
    }
    if (efx_grpc_load(&r->vt, &err) != EFX_OK) {
        return cli_fail(CLI_FAILED, "efx %s: %s", command, err.msg);
    }
    return dial(r);
}

void remote_close(struct remote *r)
{
    if (r->client != NULL) {
        r->vt->hang_up(&r->client);
    }
}

static void pause_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

int remote_next(struct remote *r, const char *why)
{
    uint64_t now_ns = r->vt->now_ns();
    uint64_t retry_ms = r->opts->retry_ms > 0 ? (uint64_t)r->opts->retry_ms : RETRY_MS;
    r->away_ns = r->away_ns == 0 ? now_ns : r->away_ns;
    if (now_ns - r->away_ns > retry_ms * 1000000) {
        return cli_fail(CLI_FAILED, "efx %s: no node answers; %s: %s", r->command,
                        remote_address(r), why);
    }
    r->at = (r->at + 1) % n_addresses(r);
    if (r->at == 0) { /* all were asked */
        pause_ms(r->pause_ms);
        r->pause_ms = r->pause_ms * 2 < REMOTE_PAUSE_MAX_MS ? r->pause_ms * 2 : REMOTE_PAUSE_MAX_MS;
    }
    remote_close(r);
    return dial(r);
}

void remote_answers(struct remote *r)
{
    r->away_ns = 0;
    r->pause_ms = REMOTE_PAUSE_MS;
}

int remote_failed(struct remote *r, const struct efx_grpc_status *status)
{
    bool user = status->code == EFX_GRPC_INVALID_ARGUMENT ||
                status->code == EFX_GRPC_UNAUTHENTICATED || status->code == EFX_GRPC_NOT_FOUND ||
                status->code == EFX_GRPC_UNIMPLEMENTED;
    bool bug = status->code == EFX_GRPC_INTERNAL;
    return cli_fail(user  ? CLI_USER
                    : bug ? CLI_BUG
                          : CLI_FAILED,
                    "efx %s: %s: %s (%s)", r->command, remote_address(r),
                    status->text[0] != '\0' ? status->text : "the call failed",
                    efx_grpc_code_name(status->code));
}

/* ---- messages ---- */

struct efx_grpc_buf *remote_pack(const struct remote *r, const ProtobufCMessage *m)
{
    struct efx_grpc_buf *b = r->vt->buf(protobuf_c_message_get_packed_size(m));
    if (b != NULL) {
        b->n = protobuf_c_message_pack(m, b->p);
    }
    return b;
}

ProtobufCMessage *remote_unpack(const ProtobufCMessageDescriptor *type,
                                const struct efx_bytes *pieces, uint32_t n)
{
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++) {
        size += pieces[i].n;
    }
    uint8_t *all = malloc(size + 1), *p = all;
    for (uint32_t i = 0; i < n && all != NULL; i++) {
        memcpy(p, pieces[i].p, pieces[i].n);
        p += pieces[i].n;
    }
    ProtobufCMessage *m = all == NULL ? NULL : protobuf_c_message_unpack(type, NULL, size, all);
    free(all);
    return m;
}

/* ---- one answer ---- */

struct unary {
    struct remote *r;
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *answer;
    bool ended, away;
    int status;
    char why[EFX_GRPC_TEXT_BYTES];
};

static void on_message(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                       uint32_t n)
{
    struct unary *u = arg;
    if (u->answer == NULL) {
        u->answer = remote_unpack(u->type, pieces, n);
    }
    u->r->vt->call_next(c);
}

static void on_ended(void *arg, const struct efx_grpc_status *status)
{
    struct unary *u = arg;
    u->ended = true;
    u->away = status->code == EFX_GRPC_UNAVAILABLE;
    (void)snprintf(u->why, sizeof u->why, "%s", status->text);
    u->status = -1;
    if (status->code != EFX_GRPC_OK && !u->away) {
        u->status = remote_failed(u->r, status);
    } else if (!u->away && u->answer == NULL) {
        u->status =
            cli_fail(CLI_FAILED, "efx %s: %s gave no answer", u->r->command, remote_address(u->r));
    }
}

static const struct efx_grpc_client_user unary_user = {on_message, NULL, on_ended};

int remote_unary(struct remote *r, const char *path, const ProtobufCMessage *ask,
                 const ProtobufCMessageDescriptor *type, uint64_t timeout_ms,
                 ProtobufCMessage **out)
{
    for (;;) {
        struct unary u = {.r = r, .type = type};
        struct efx_grpc_ccall *c = r->vt->call(r->client, path, timeout_ms, &unary_user, &u);
        if (c == NULL) {
            return cli_fail(CLI_FAILED, "efx %s: out of memory", r->command);
        }
        r->vt->call_send(c, remote_pack(r, ask));
        r->vt->call_half_close(c);
        while (!u.ended) {
            (void)r->vt->poll(r->client, 100);
        }
        if (!u.away) {
            remote_answers(r);
            *out = u.answer;
            if (u.status >= 0 && u.answer != NULL) {
                protobuf_c_message_free_unpacked(u.answer, NULL);
            }
            return u.status;
        }
        int status = remote_next(r, u.why);
        if (status >= 0) {
            return status;
        }
    }
}
