/* Checkpoint, Restore, Deploy, Drain: asked of the node, answered when it is done. */
#include "door.h"

struct operation {
    struct efx_operation_front front;
    struct efx_door *door;
    struct efx_grpc_call *call;
    enum efx_operation what;
    struct efx_grpc_task task;
    /* From the node's loop, once. */
    struct efx_arena arena; /* of the answer */
    struct efx_operation_done done;
    struct efx_err why;
};

static void keep_names(struct operation *o, const struct efx_operation_done *done)
{
    const char **names = EFX_NEW_N(&o->arena, const char *, done->n_not_carried + 1);
    for (uint32_t i = 0; names != NULL && i < done->n_not_carried; i++) {
        names[i] = efx_door__text(&o->arena, done->not_carried[i]);
    }
    o->done.not_carried = names;
    o->done.n_not_carried = names == NULL ? 0 : done->n_not_carried;
}

static void front_ended(struct efx_operation_front *self, const struct efx_operation_done *done,
                        const struct efx_err *why)
{
    struct operation *o = (struct operation *)self;
    o->why = *why;
    if (why->rc == EFX_OK && done != NULL) {
        o->done = *done;
        keep_names(o, done);
    }
    o->door->vt->post(o->door->server, &o->task);
}

/* ---- answers ---- */

static Eventflux__V1__CheckpointInfo info_of(struct operation *o)
{
    const struct efx_checkpoint_info *from = &o->done.checkpoint;
    Eventflux__V1__CheckpointInfo k;
    eventflux__v1__checkpoint_info__init(&k);
    k.no = from->no;
    k.revision = efx_door__text(&o->arena, from->revision);
    k.committed_ms = from->committed_ms;
    k.epoch = from->epoch;
    k.bytes = from->n_bytes;
    k.new_bytes = from->n_new_bytes;
    k.app_hash =
        (ProtobufCBinaryData){sizeof o->done.checkpoint.app_hash, o->done.checkpoint.app_hash};
    return k;
}

static char **names_of(struct operation *o, size_t *n)
{
    char **names = EFX_NEW_N(&o->arena, char *, o->done.n_not_carried + 1);
    for (*n = 0; names != NULL && *n < o->done.n_not_carried; ++*n) {
        names[*n] = efx_door__text(&o->arena, o->done.not_carried[*n]);
    }
    return names;
}

static void answer(struct operation *o)
{
    Eventflux__V1__CheckpointResponse checkpoint;
    eventflux__v1__checkpoint_response__init(&checkpoint);
    Eventflux__V1__RestoreResponse restore;
    eventflux__v1__restore_response__init(&restore);
    Eventflux__V1__DeployResponse deploy;
    eventflux__v1__deploy_response__init(&deploy);
    Eventflux__V1__DrainResponse drain;
    eventflux__v1__drain_response__init(&drain);
    Eventflux__V1__CheckpointInfo info = info_of(o);
    Eventflux__V1__CheckpointInfo *given = info.no != 0 ? &info : NULL;
    switch (o->what) {
    case EFX_OP_CHECKPOINT:
        checkpoint.checkpoint = given;
        efx_door__answer(o->call, &checkpoint.base);
        break;
    case EFX_OP_RESTORE:
        restore.checkpoint = given;
        restore.epoch = o->done.epoch;
        restore.not_carried = names_of(o, &restore.n_not_carried);
        efx_door__answer(o->call, &restore.base);
        break;
    case EFX_OP_DEPLOY:
        deploy.checkpoint = given;
        deploy.epoch = o->done.epoch;
        deploy.app_hash = (ProtobufCBinaryData){sizeof o->done.app_hash, o->done.app_hash};
        deploy.not_carried = names_of(o, &deploy.n_not_carried);
        efx_door__answer(o->call, &deploy.base);
        break;
    case EFX_OP_DRAIN:
        drain.checkpoint = given;
        drain.epoch = o->done.epoch;
        efx_door__answer(o->call, &drain.base);
        break;
    }
}

static void on_done(void *arg)
{
    struct operation *o = arg;
    if (!o->call->over && o->why.rc == EFX_OK) {
        answer(o);
    } else if (!o->call->over) {
        efx_door__finish(o->call, &o->why);
    }
    efx_arena_fini(&o->arena);
    o->call->vt->release(o->call);
}

/* ---- requests ---- */

static void begin(struct efx_grpc_call *c)
{
    struct operation *o = c->state;
    o->front.ended = front_ended;
    o->door = door_of(c);
    o->call = c;
    o->task = (struct efx_grpc_task){.fn = on_done, .arg = o};
    efx_arena_init(&o->arena, &efx_mem_libc, SIZE_MAX);
}

static void start(struct operation *o, struct efx_operation_ask *ask)
{
    o->what = ask->what;
    o->call->vt->hold(o->call);
    o->door->service->vt->operate(o->door->service, ask, &o->front);
}

static void checkpoint(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct operation *o = c->state;
    const Eventflux__V1__CheckpointRequest *r =
        (const Eventflux__V1__CheckpointRequest *)efx_door__read(
            c, &eventflux__v1__checkpoint_request__descriptor, pieces, n, &o->arena);
    if (r != NULL) {
        start(o,
              &(struct efx_operation_ask){.what = EFX_OP_CHECKPOINT, .full = r->full, .text = ""});
    }
}

static void restore(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct operation *o = c->state;
    const Eventflux__V1__RestoreRequest *r = (const Eventflux__V1__RestoreRequest *)efx_door__read(
        c, &eventflux__v1__restore_request__descriptor, pieces, n, &o->arena);
    if (r != NULL) {
        start(o, &(struct efx_operation_ask){.what = EFX_OP_RESTORE,
                                             .compatible = r->compatible,
                                             .lose_committed = r->lose_committed,
                                             .text = r->revision});
    }
}

static void deploy(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct operation *o = c->state;
    const Eventflux__V1__DeployRequest *r = (const Eventflux__V1__DeployRequest *)efx_door__read(
        c, &eventflux__v1__deploy_request__descriptor, pieces, n, &o->arena);
    if (r != NULL) {
        start(o, &(struct efx_operation_ask){
                     .what = EFX_OP_DEPLOY, .compatible = r->compatible, .text = r->sql});
    }
}

/* Without a time of its own a drain may take as long as its call. */
static int64_t left_ms(const struct efx_grpc_call *c)
{
    uint64_t now_ns = c->vt->now_ns();
    if (c->deadline_ns == UINT64_MAX) {
        return 0;
    }
    return c->deadline_ns > now_ns ? (int64_t)((c->deadline_ns - now_ns) / 1000000) + 1 : 1;
}

static void drain(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct operation *o = c->state;
    const Eventflux__V1__DrainRequest *r = (const Eventflux__V1__DrainRequest *)efx_door__read(
        c, &eventflux__v1__drain_request__descriptor, pieces, n, &o->arena);
    if (r != NULL && r->timeout_ms < 0) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 4002, "timeout_ms is negative", NULL);
    } else if (r != NULL) {
        start(o, &(struct efx_operation_ask){.what = EFX_OP_DRAIN,
                                             .text = r->node,
                                             .timeout_ms =
                                                 r->timeout_ms != 0 ? r->timeout_ms : left_ms(c)});
    }
}

/* The arena goes with the answer, or, where nothing was asked, here. */
static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct operation *o = c->state;
    (void)cancelled;
    if (o->what == 0) {
        efx_arena_fini(&o->arena);
    }
}

void efx_door__add_ops(struct door_table *t)
{
    struct efx_grpc_method m = {.path = "/eventflux.v1.EventFlux/Checkpoint",
                                .state_bytes = sizeof(struct operation),
                                .begin = begin,
                                .message = checkpoint,
                                .closed = closed};
    efx_door__add(t, &m);
    m.path = "/eventflux.v1.EventFlux/Restore";
    m.message = restore;
    efx_door__add(t, &m);
    m.path = "/eventflux.v1.EventFlux/Deploy";
    m.message = deploy;
    efx_door__add(t, &m);
    m.path = "/eventflux.v1.EventFlux/Drain";
    m.message = drain;
    efx_door__add(t, &m);
}
