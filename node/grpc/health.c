/* grpc.health.v1: Check answers, Watch says it again whenever it changes.
 *
 *   service   "" or any that is served: SERVING if the node is ready; else NOT_FOUND, of Watch
 *             SERVICE_UNKNOWN
 */
#include "door.h"
#include "wire.h"

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct watch {
    struct efx_grpc_call *call;
    struct watch *next, **at;
    bool asked, known;
    int told;
};

static const char *const services[] = {
    "",
    "eventflux.v1.EventFlux",
    "eventflux.transport.Transport",
    "grpc.health.v1.Health",
};

static bool read_service(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n,
                         bool *known)
{
    struct efx_arena a;
    struct efx_bytes name = {(const uint8_t *)"", 0};
    uint32_t field;
    enum wire_type type;
    efx_arena_init(&a, &efx_mem_libc, 1024 * 1024);
    struct wire w = wire_of(pieces, n, &a);
    while (wire_field(&w, &field, &type)) {
        if (field == 1 && type == WIRE_BYTES) {
            name = wire_bytes(&w);
        } else {
            wire_skip(&w, type);
        }
    }
    *known = false;
    for (uint32_t i = 0; i < sizeof services / sizeof *services; i++) {
        *known =
            *known || (strlen(services[i]) == name.n && memcmp(services[i], name.p, name.n) == 0);
    }
    efx_arena_fini(&a);
    if (w.bad) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4001, "the message cannot be read", NULL);
    }
    return !w.bad;
}

static void say(struct efx_grpc_call *c, int status)
{
    struct efx_grpc_buf *b = c->vt->buf(2);
    if (b != NULL) {
        b->n = (size_t)(wire_put_number(b->p, 1, (uint64_t)status) - b->p);
        c->vt->send(c, b);
    }
}

static int status_now(const struct efx_door *d)
{
    return d->ready && !d->leaving ? SERVING : NOT_SERVING;
}

static void check(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    bool known;
    if (!read_service(c, pieces, n, &known)) {
        return;
    }
    if (!known) {
        efx_door__finish_as(c, EFX_GRPC_NOT_FOUND, 4003, "there is no such service", NULL);
        return;
    }
    say(c, status_now(door_of(c)));
    efx_door__finish_ok(c);
}

/* ---- Watch ---- */

static void watch(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct efx_door *d = door_of(c);
    struct watch *w = c->state;
    if (w->asked || !read_service(c, pieces, n, &w->known)) {
        return;
    }
    w->asked = true;
    w->call = c;
    w->next = d->watches;
    w->at = &d->watches;
    if (w->next != NULL) {
        w->next->at = &w->next;
    }
    d->watches = w;
    w->told = w->known ? status_now(d) : SERVICE_UNKNOWN;
    say(c, w->told);
    if (d->leaving) {
        efx_door__health_end(d);
    }
}

static void watch_closed(struct efx_grpc_call *c, bool cancelled)
{
    struct watch *w = c->state;
    (void)cancelled;
    if (w->asked) {
        *w->at = w->next;
        if (w->next != NULL) {
            w->next->at = w->at;
        }
    }
}

static void watch_half_closed(struct efx_grpc_call *c)
{
    struct watch *w = c->state;
    if (!w->asked) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002, "the request has no message", NULL);
    }
}

void efx_door__health_changed(struct efx_door *d)
{
    int now = status_now(d);
    for (struct watch *w = d->watches; w != NULL; w = w->next) {
        if (w->known && w->told != now && w->call->queued_bytes < DOOR_QUEUE_BYTES) {
            w->told = now;
            say(w->call, now);
        }
    }
}

void efx_door__health_end(struct efx_door *d)
{
    efx_door__health_changed(d);
    for (struct watch *w = d->watches; w != NULL; w = w->next) {
        efx_door__finish_as(w->call, EFX_GRPC_UNAVAILABLE, 4006, "this node leaves", NULL);
    }
}

void efx_door__add_health(struct door_table *t)
{
    efx_door__add(t, &(struct efx_grpc_method){.path = "/grpc.health.v1.Health/Check",
                                               .uncounted = true,
                                               .message = check});
    efx_door__add(t, &(struct efx_grpc_method){.path = "/grpc.health.v1.Health/Watch",
                                               .state_bytes = sizeof(struct watch),
                                               .message = watch,
                                               .half_closed = watch_half_closed,
                                               .closed = watch_closed});
}
