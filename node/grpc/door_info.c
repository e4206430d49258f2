/* Describe and Status: what runs here, as messages. Answered at once, on the server's thread. */
#include "door.h"

#include "efx_plan.h"

static const char *kind_of(const struct efx_bobject *o)
{
    switch (o->kind) {
    case EFX_OBJ_TABLE: return "table";
    case EFX_OBJ_TRIGGER: return "trigger";
    case EFX_OBJ_WINDOW: return "window";
    case EFX_OBJ_STREAM: break;
    }
    if (o->fault_of != NULL) {
        return "fault";
    }
    return o->conf.role == EFX_ROLE_SOURCE ? "source"
           : o->conf.role == EFX_ROLE_SINK ? "sink"
                                           : "internal";
}

static bool is_committed(const struct efx_bobject *o)
{
    return o->kind == EFX_OBJ_STREAM && o->conf.role == EFX_ROLE_SINK &&
           o->conf.connector != NULL && strcmp(o->conf.connector->name, "grpc") == 0;
}

static bool is_key(const struct efx_bobject *o, uint32_t col)
{
    bool is = false;
    for (uint32_t k = 0; o->kind == EFX_OBJ_TABLE && k < o->n_keys; k++) {
        for (uint32_t i = 0; o->keys[k].primary && i < o->keys[k].cols.n; i++) {
            is = is || o->keys[k].cols.col[i] == col;
        }
    }
    return is;
}

/* By what a stream is split, as EXPLAIN says it; NULL = it is not. */
static const char *split_by(const struct efx_plan *plan, const struct efx_bobject *o)
{
    for (uint32_t c = 0; plan != NULL && c < plan->n_components; c++) {
        for (uint32_t i = 0; i < plan->components[c].n_sources; i++) {
            const struct efx_psource *s = &plan->components[c].sources[i];
            if (plan->nodes[s->node]->object == o && s->n_keys > 0) {
                return s->text;
            }
        }
    }
    return NULL;
}

/* "a, b" as two texts. */
static void put_keys(struct efx_arena *a, Eventflux__V1__StreamInfo *out, const char *text)
{
    out->key = EFX_NEW_N(a, char *, EFX_SCHEMA_COLS_MAX);
    while (out->key != NULL && text != NULL && *text != '\0' && out->n_key < EFX_SCHEMA_COLS_MAX) {
        size_t n = strcspn(text, ",");
        char *key = efx_arena_str(a, text, n);
        if (key != NULL) {
            out->key[out->n_key++] = key;
        }
        text += n;
        text += strspn(text, ", ");
    }
}

static Eventflux__V1__StreamInfo *stream_info(struct efx_arena *a, const struct efx_bobject *o,
                                              const struct efx_plan *plan)
{
    Eventflux__V1__StreamInfo *s = EFX_NEW(a, Eventflux__V1__StreamInfo);
    Eventflux__V1__ColumnInfo *cols = EFX_NEW_N(a, Eventflux__V1__ColumnInfo, o->schema.n_cols + 1);
    if (s == NULL || cols == NULL) {
        return NULL;
    }
    eventflux__v1__stream_info__init(s);
    s->name = efx_door__text(a, o->schema.name);
    s->kind = efx_door__text(a, kind_of(o));
    s->committed = is_committed(o);
    s->columns = EFX_NEW_N(a, Eventflux__V1__ColumnInfo *, o->schema.n_cols + 1);
    for (uint32_t c = 0; s->columns != NULL && c < o->schema.n_cols; c++) {
        eventflux__v1__column_info__init(&cols[c]);
        cols[c].name = efx_door__text(a, o->schema.cols[c].name);
        cols[c].type = (Eventflux__V1__Type)o->schema.cols[c].type; /* the same numbers */
        cols[c].not_null = o->schema.cols[c].not_null;
        cols[c].key = is_key(o, c);
        s->columns[s->n_columns++] = &cols[c];
    }
    put_keys(a, s, split_by(plan, o));
    return s;
}

/* Where all of it lies on one node: with one node, everything does. */
static char *only_node(struct efx_door *d, struct efx_arena *a)
{
    struct efx_status *st = efx_door__status(d);
    char *name = efx_door__text(a, st != NULL && st->n_nodes == 1 ? st->nodes[0].id : "");
    efx_door__status_free(st);
    return name;
}

static void answer_describe(struct efx_grpc_call *c, const struct efx_service_app *app,
                            const Eventflux__V1__DescribeRequest *ask, struct efx_arena *a)
{
    Eventflux__V1__DescribeResponse r;
    eventflux__v1__describe_response__init(&r);
    uint8_t hash[sizeof app->hash];
    memcpy(hash, app->hash, sizeof hash);
    r.app = efx_door__text(a, app->name);
    r.app_hash = (ProtobufCBinaryData){sizeof hash, hash};
    r.sql = efx_door__text(a, app->sql);
    r.plan_json = ask->plan ? efx_door__text(a, app->plan_json) : r.plan_json;
    r.streams = EFX_NEW_N(a, Eventflux__V1__StreamInfo *, app->program->n_objects + 1);
    char *node = only_node(door_of(c), a);
    for (uint32_t i = 0; r.streams != NULL && i < app->program->n_objects; i++) {
        const struct efx_bobject *o = app->program->objects[i];
        bool inner = o->kind == EFX_OBJ_STREAM && o->partition != EFX_NO_COL;
        if (inner || (ask->name[0] != '\0' && strcmp(ask->name, o->schema.name) != 0)) {
            continue;
        }
        Eventflux__V1__StreamInfo *s = stream_info(a, o, app->plan);
        if (s != NULL) {
            s->placed = s->n_key == 0 ? node : s->placed;
            r.streams[r.n_streams++] = s;
        }
    }
    if (ask->name[0] != '\0' && r.n_streams == 0) {
        efx_door__finish_as(c, EFX_GRPC_INVALID_ARGUMENT, 1201, "nothing of that name is declared",
                            NULL);
    } else {
        efx_door__answer(c, &r.base);
    }
}

static void describe(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct efx_service *service = door_of(c)->service;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    const Eventflux__V1__DescribeRequest *ask =
        (const Eventflux__V1__DescribeRequest *)efx_door__read(
            c, &eventflux__v1__describe_request__descriptor, pieces, n, &a);
    const struct efx_service_app *app = ask == NULL ? NULL : service->vt->app_ref(service);
    if (ask != NULL && app == NULL) {
        efx_door__finish_as(c, EFX_GRPC_UNAVAILABLE, 4006, "no app runs here yet", NULL);
    } else if (ask != NULL) {
        answer_describe(c, app, ask, &a);
        service->vt->app_unref(service, app);
    }
    efx_arena_fini(&a);
}

/* ---- Status ---- */

static Eventflux__V1__CheckpointInfo *checkpoint_info(struct efx_arena *a,
                                                      const struct efx_checkpoint_info *from)
{
    Eventflux__V1__CheckpointInfo *k = EFX_NEW(a, Eventflux__V1__CheckpointInfo);
    uint8_t *hash = efx_arena_bytes(a, sizeof from->app_hash);
    if (k == NULL || hash == NULL) {
        return NULL;
    }
    memcpy(hash, from->app_hash, sizeof from->app_hash);
    eventflux__v1__checkpoint_info__init(k);
    k->no = from->no;
    k->revision = efx_door__text(a, from->revision);
    k->committed_ms = from->committed_ms;
    k->epoch = from->epoch;
    k->bytes = from->n_bytes;
    k->new_bytes = from->n_new_bytes;
    k->app_hash = (ProtobufCBinaryData){sizeof from->app_hash, hash};
    return k;
}

static Eventflux__V1__Node *node_info(struct efx_arena *a, const struct efx_node_info *from)
{
    Eventflux__V1__Node *n = EFX_NEW(a, Eventflux__V1__Node);
    if (n == NULL) {
        return NULL;
    }
    eventflux__v1__node__init(n);
    n->id = efx_door__text(a, from->id);
    n->incarnation = from->incarnation;
    n->state = (Eventflux__V1__NodeState)from->state; /* the same numbers */
    n->tcp = efx_door__text(a, from->tcp);
    n->grpc = efx_door__text(a, from->grpc);
    n->http = efx_door__text(a, from->http);
    n->version = efx_door__text(a, from->version);
    n->key_groups = from->key_groups;
    n->lease_left_ms = from->lease_left_ms;
    n->tick = from->tick;
    n->self = from->self;
    return n;
}

static void put_lists(struct efx_arena *a, const struct efx_status *st,
                      Eventflux__V1__StatusResponse *r)
{
    r->nodes = EFX_NEW_N(a, Eventflux__V1__Node *, st->n_nodes + 1);
    r->alarms = EFX_NEW_N(a, char *, st->n_alarms + 1);
    r->kept = EFX_NEW_N(a, Eventflux__V1__CheckpointInfo *, st->n_kept + 1);
    for (uint32_t i = 0; r->nodes != NULL && i < st->n_nodes; i++) {
        Eventflux__V1__Node *n = node_info(a, &st->nodes[i]);
        if (n != NULL) {
            r->nodes[r->n_nodes++] = n;
        }
    }
    for (uint32_t i = 0; r->alarms != NULL && i < st->n_alarms; i++) {
        r->alarms[r->n_alarms++] = efx_door__text(a, st->alarms[i]);
    }
    for (uint32_t i = 0; r->kept != NULL && i < st->n_kept; i++) {
        Eventflux__V1__CheckpointInfo *k = checkpoint_info(a, &st->kept[i]);
        if (k != NULL) {
            r->kept[r->n_kept++] = k;
        }
    }
}

static void status(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct efx_arena a;
    Eventflux__V1__StatusResponse r;
    eventflux__v1__status_response__init(&r);
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    struct efx_status *st = NULL;
    if (efx_door__read(c, &eventflux__v1__status_request__descriptor, pieces, n, &a) != NULL) {
        st = efx_door__status(door_of(c));
    }
    if (st != NULL) {
        uint8_t hash[sizeof st->app_hash];
        memcpy(hash, st->app_hash, sizeof hash);
        r.cluster = efx_door__text(&a, st->cluster);
        r.app = efx_door__text(&a, st->app);
        r.app_hash = (ProtobufCBinaryData){sizeof hash, hash};
        r.epoch = st->epoch;
        r.leader = efx_door__text(&a, st->leader);
        r.last = st->last.no != 0 ? checkpoint_info(&a, &st->last) : NULL;
        r.store_state = efx_door__text(&a, st->store_state);
        r.clock_ms = st->clock_ms;
        r.sessions = st->n_sessions;
        r.rows_in = st->rows_in;
        r.rows_out = st->rows_out;
        put_lists(&a, st, &r);
        efx_door__answer(c, &r.base);
    } else if (!c->over) {
        efx_door__finish_as(c, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory", NULL);
    }
    efx_door__status_free(st);
    efx_arena_fini(&a);
}

void efx_door__add_info(struct door_table *t)
{
    efx_door__add(t, &(struct efx_grpc_method){.path = "/eventflux.v1.EventFlux/Describe",
                                               .message = describe});
    efx_door__add(
        t, &(struct efx_grpc_method){.path = "/eventflux.v1.EventFlux/Status", .message = status});
}
