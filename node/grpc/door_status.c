/* Errors as gRPC statuses; control messages in and out of protobuf-c. */
#include "door.h"

#include "efx_world_real.h"

#include <stdio.h>

struct rule {
    enum efx_rc rc;
    enum efx_grpc_code code;
    uint16_t efx; /* where the error has no code of its own */
};

static const struct rule rules[] = {
    {EFX_OK, EFX_GRPC_OK, 0},
    {EFX_AGAIN, EFX_GRPC_UNAVAILABLE, 4006},
    {EFX_DONE, EFX_GRPC_OUT_OF_RANGE, 4007},
    {EFX_ENOMEM, EFX_GRPC_RESOURCE_EXHAUSTED, 4005},
    {EFX_ELIMIT, EFX_GRPC_RESOURCE_EXHAUSTED, 4005},
    {EFX_EPARSE, EFX_GRPC_INVALID_ARGUMENT, 4001},
    {EFX_ETYPE, EFX_GRPC_INVALID_ARGUMENT, 4001},
    {EFX_EABSENT, EFX_GRPC_INVALID_ARGUMENT, 4001},
    {EFX_EDATA, EFX_GRPC_FAILED_PRECONDITION, 4009},
    {EFX_EIO, EFX_GRPC_UNAVAILABLE, 5001},
    {EFX_ESTALE, EFX_GRPC_ABORTED, 4008},
    {EFX_EBUG, EFX_GRPC_INTERNAL, 9002},
};

static const struct rule *rule_of(enum efx_rc rc)
{
    const struct rule *r = rules;
    while (r->rc != rc && r->rc != EFX_EBUG) {
        r++;
    }
    return r;
}

enum efx_grpc_code efx_door__code(const struct efx_err *err)
{
    return rule_of(err->rc)->code;
}

void efx_door__finish_as(struct efx_grpc_call *c, enum efx_grpc_code code, uint16_t efx,
                         const char *text, const struct efx_grpc_meta *more)
{
    char all[EFX_ERR_MSG_BYTES + 16], number[16];
    struct efx_grpc_status st = {.code = code, .text = all};
    (void)snprintf(number, sizeof number, "EFX-%04u", efx);
    (void)snprintf(all, sizeof all, "%s: %s", number, text);
    st.meta[st.n_meta++] = (struct efx_grpc_meta){"efx-code", number};
    if (door_of(c)->node[0] != '\0') {
        st.meta[st.n_meta++] = (struct efx_grpc_meta){"efx-node", door_of(c)->node};
    }
    if (more != NULL) {
        st.meta[st.n_meta++] = *more;
    }
    c->vt->finish(c, &st);
}

void efx_door__finish(struct efx_grpc_call *c, const struct efx_err *err)
{
    const struct rule *r = rule_of(err->rc);
    if (err->rc == EFX_OK) {
        efx_door__finish_ok(c);
        return;
    }
    efx_door__finish_as(c, r->code, err->code != 0 ? err->code : r->efx, err->msg, NULL);
}

void efx_door__finish_ok(struct efx_grpc_call *c)
{
    c->vt->finish(c, &(struct efx_grpc_status){.code = EFX_GRPC_OK});
}

/* ---- messages ---- */

static void *arena_alloc(void *arena, size_t n)
{
    return efx_arena_alloc(arena, 1, n, 16);
}

static void arena_free(void *arena, void *p)
{
    (void)arena;
    (void)p; /* goes with the arena */
}

ProtobufCMessage *efx_door__read(struct efx_grpc_call *c, const ProtobufCMessageDescriptor *type,
                                 const struct efx_bytes *pieces, uint32_t n,
                                 struct efx_arena *arena)
{
    ProtobufCAllocator from = {.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++) {
        size += pieces[i].n;
    }
    uint8_t *all = efx_arena_bytes(arena, size + 1);
    uint8_t *p = all;
    for (uint32_t i = 0; i < n && all != NULL; i++) {
        memcpy(p, pieces[i].p, pieces[i].n);
        p += pieces[i].n;
    }
    ProtobufCMessage *m = all == NULL ? NULL : protobuf_c_message_unpack(type, &from, size, all);
    if (m == NULL) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4001, "the message cannot be read", NULL);
    }
    return m;
}

char *efx_door__text(struct efx_arena *arena, const char *text)
{
    static char nothing[1];
    char *copy = text == NULL ? NULL : efx_arena_str(arena, text, strlen(text));
    return copy == NULL ? nothing : copy;
}

struct efx_status *efx_door__status(struct efx_door *d)
{
    struct efx_status *st = efx_mem_libc.alloc(&efx_mem_libc, sizeof *st);
    if (st != NULL) {
        memset(st, 0, sizeof *st);
        d->service->vt->status(d->service, st);
    }
    return st;
}

void efx_door__status_free(struct efx_status *st)
{
    if (st != NULL) {
        efx_mem_libc.free(&efx_mem_libc, st, sizeof *st);
    }
}

struct efx_grpc_buf *efx_door__pack(const struct efx_door *d, const ProtobufCMessage *m)
{
    struct efx_grpc_buf *b = d->vt->buf(protobuf_c_message_get_packed_size(m));
    if (b != NULL) {
        b->n = protobuf_c_message_pack(m, b->p);
    }
    return b;
}

void efx_door__send(struct efx_grpc_call *c, const ProtobufCMessage *m)
{
    struct efx_grpc_buf *b = efx_door__pack(door_of(c), m);
    if (b == NULL) {
        efx_door__finish_as(c, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory", NULL);
    } else {
        c->vt->send(c, b);
    }
}

void efx_door__answer(struct efx_grpc_call *c, const ProtobufCMessage *m)
{
    efx_door__send(c, m);
    if (!c->over) {
        efx_door__finish_ok(c);
    }
}

enum efx_level efx_door__level(Eventflux__V1__Level level)
{
    switch ((int)level) { /* what a client sends need not be of the enum */
    case EVENTFLUX__V1__LEVEL__LEVEL_UNSPECIFIED:
    case EVENTFLUX__V1__LEVEL__LEVEL_ACCEPTED: return EFX_LEVEL_ACCEPTED;
    case EVENTFLUX__V1__LEVEL__LEVEL_LOGGED: return EFX_LEVEL_LOGGED;
    case EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED: return EFX_LEVEL_COMMITTED;
    default: return 0;
    }
}

int64_t efx_door__wall_ms(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->wall_ms(w);
}
