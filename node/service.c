/* The face for doors: their calls become messages to the loop, and what they look at is a copy.
 *
 *   door's thread ── inbox (a lock, one wake) ──► loop: calls.c, watch.c, ask.c
 *                 ◄── builders, the bound app, status: under the same lock
 *
 *   Limits  NODE_BUILDERS builders: when all are under way a door finds none, and stops reading
 */
#include "node.h"

#include "outbox.h"

struct node_inbox *node_inbox_new(void (*fn)(struct efx_node *n, struct node_inbox *m),
                                  const char *text)
{
    size_t len = strlen(text) + 1;
    struct node_inbox *m = efx_mem_libc.alloc(&efx_mem_libc, sizeof *m + len);
    EFX_ASSERT(m != NULL);
    *m = (struct node_inbox){.fn = fn};
    memcpy(m->text, text, len);
    return m;
}

static void inbox_free(struct node_inbox *m)
{
    efx_mem_libc.free(&efx_mem_libc, m, sizeof *m + strlen(m->text) + 1);
}

void node_post(struct efx_node *n, struct node_inbox *m)
{
    (void)pthread_mutex_lock(&n->lock);
    if (n->inbox_last != NULL) {
        n->inbox_last->next = m;
    } else {
        n->inbox = m;
    }
    n->inbox_last = m;
    (void)pthread_mutex_unlock(&n->lock);
    n->conf.loop->vt->post(n->conf.loop, &n->inbox_task);
}

static void take_inbox(void *arg)
{
    struct efx_node *n = arg;
    (void)pthread_mutex_lock(&n->lock);
    struct node_inbox *m = n->inbox;
    n->inbox = n->inbox_last = NULL;
    (void)pthread_mutex_unlock(&n->lock);
    while (m != NULL) {
        struct node_inbox *next = m->next;
        m->fn(n, m);
        inbox_free(m);
        m = next;
    }
    node_service_status(n);
}

/* ---- the app ---- */

static const struct efx_service_app *app_ref(struct efx_service *self)
{
    struct efx_node *n = (struct efx_node *)self;
    (void)pthread_mutex_lock(&n->lock);
    struct node_app *a = n->app;
    if (a != NULL) {
        atomic_fetch_add(&a->refs, 1);
    }
    (void)pthread_mutex_unlock(&n->lock);
    return a == NULL ? NULL : &a->base;
}

static void app_free(struct node_app *a)
{
    if (a != NULL && atomic_fetch_sub(&a->refs, 1) == 1) {
        efx_close(&a->efx);
        efx_arena_fini(&a->arena);
        efx_mem_libc.free(&efx_mem_libc, a, sizeof *a);
    }
}

static void app_unref(struct efx_service *self, const struct efx_service_app *app)
{
    union {
        const struct efx_service_app *shared;
        struct node_app *own; /* made by app_ref */
    } u = {.shared = app};
    (void)self;
    app_free(u.own);
}

static struct node_app *app_of(const struct efx_builder *b)
{
    return (struct node_app *)(void *)((char *)b->keep - offsetof(struct node_app, arena));
}

static void builder_free(struct efx_builder *b)
{
    struct node_app *a = app_of(b);
    efx_builder_close(b);
    app_free(a);
}

/* Those that are out are freed when they come back. */
static void drop_builders(struct efx_node *n)
{
    while (n->n_builders > 0) {
        builder_free(n->builders[--n->n_builders]);
    }
    n->n_made = 0;
}

/* C20 says what is to come. */
static enum efx_rc connectors_run(const struct efx_program *p, struct efx_err *err)
{
    for (uint32_t i = 0; i < p->n_objects; i++) {
        const struct efx_bobject *o = p->objects[i];
        if (o->kind == EFX_OBJ_STREAM && o->conf.connector != NULL && !node_outbox_is_sink(o)) {
            return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 9001,
                            "stream '%.100s': a cluster does not run the connector '%s' yet; "
                            "submit to its streams and subscribe to them",
                            o->schema.name, o->conf.connector->name);
        }
    }
    return EFX_OK;
}

enum efx_rc node_app_open(const struct efx_node *n, const char *sql, const char *name, int clock,
                          struct efx **out, struct efx_err *err)
{
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error why;
    o.file = name;
    o.clock = (enum efx_clock)clock;
    o.shards = 2; /* the plan that several members have */
    o.max_batch = n->record != NULL ? n->record->max_batch : n->conf.max_batch;
    if (efx_open(out, sql, &o, &why) != EFX_RC_OK) {
        efx_close(out);
        return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, why.efx, "%.200s", why.msg);
    }
    enum efx_rc rc = n->conf.connected ? EFX_OK : connectors_run(efx_lib_program(*out), err);
    if (rc != EFX_OK) {
        efx_close(out);
    }
    return rc;
}

/* The record's text, bound for doors. Builders are of its streams. */
void node_service_app(struct efx_node *n)
{
    struct efx_err why;
    if (n->app != NULL && memcmp(n->app->base.hash, n->record->hash, 16) == 0) {
        return;
    }
    struct node_app *a = efx_mem_libc.alloc(&efx_mem_libc, sizeof *a);
    EFX_ASSERT(a != NULL);
    memset(a, 0, sizeof *a);
    efx_arena_init(&a->arena, &efx_mem_libc, SIZE_MAX);
    if (node_app_open(n, n->record->sql, n->record->app, (int)n->record->clock, &a->efx, &why) !=
        EFX_OK) {
        atomic_store(&a->refs, 1);
        app_free(a);
        node_end(n, &why);
        return;
    }
    atomic_store(&a->refs, 1);
    const struct efx_builder *b = efx_app_builder(efx_lib_app(a->efx));
    a->base = (struct efx_service_app){
        .program = efx_lib_program(a->efx),
        .plan = efx_lib_plan(a->efx),
        .takes = b->schemas,
        .name = efx_arena_str(&a->arena, n->record->app, strlen(n->record->app)),
        .sql = efx_arena_str(&a->arena, n->record->sql, strlen(n->record->sql)),
        .plan_json = efx_explain(a->efx, true, false)};
    memcpy(a->base.hash, n->record->hash, 16);
    (void)pthread_mutex_lock(&n->lock);
    struct node_app *old = n->app;
    n->app = a;
    drop_builders(n);
    (void)pthread_mutex_unlock(&n->lock);
    app_free(old);
}

/* ---- builders ---- */

static struct efx_builder *builder(struct efx_service *self, struct efx_wake *room)
{
    struct efx_node *n = (struct efx_node *)self;
    struct efx_builder *b = NULL;
    (void)pthread_mutex_lock(&n->lock);
    if (n->n_builders > 0) {
        b = n->builders[--n->n_builders];
    } else if (n->app != NULL && n->n_made < NODE_BUILDERS) {
        const struct efx_builder *like = efx_app_builder(efx_lib_app(n->app->efx));
        if (efx_builder_create(&n->app->arena, &efx_mem_libc, like->schemas, like->n_streams,
                               like->turns_max, &b) == EFX_OK) {
            n->n_made++;
            atomic_fetch_add(&n->app->refs, 1);
        }
    }
    if (b == NULL && room != NULL && n->n_rooms < sizeof n->rooms / sizeof *n->rooms) {
        n->rooms[n->n_rooms++] = room;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return b;
}

void node_builder_back(struct efx_node *n, struct efx_builder **b)
{
    struct efx_wake *room = NULL;
    efx_builder_clear(*b);
    (void)pthread_mutex_lock(&n->lock);
    if (app_of(*b) == n->app && n->n_builders < NODE_BUILDERS) {
        n->builders[n->n_builders++] = *b;
    } else {
        builder_free(*b);
    }
    if (n->n_rooms > 0) {
        room = n->rooms[--n->n_rooms];
    }
    (void)pthread_mutex_unlock(&n->lock);
    *b = NULL;
    if (room != NULL) {
        room->fn(room->arg, EFX_OK, 0);
    }
}

static void builder_back(struct efx_service *self, struct efx_builder **b)
{
    node_builder_back((struct efx_node *)self, b);
}

/* ---- status ---- */

static void node_line(struct efx_node *n, const struct node_member *m, struct efx_node_info *out)
{
    uint64_t heard_ns = node_peers_heard_ns(n->peers, m->name);
    const char *slash = strchr(m->name, '/');
    uint32_t at = n->record == NULL ? 0 : node_record_find(n->record, m->name);
    uint32_t shards = n->record == NULL ? 1 : n->record->first_shard[n->record->n_members];
    (void)snprintf(out->id, sizeof out->id, "%.*s", (int)(slash - m->name), m->name);
    out->incarnation = strtoull(slash + 1, NULL, 16);
    (void)snprintf(out->tcp, sizeof out->tcp, "%s", m->tcp);
    (void)snprintf(out->grpc, sizeof out->grpc, "%s", m->grpc);
    (void)snprintf(out->http, sizeof out->http, "%s", m->http);
    (void)snprintf(out->version, sizeof out->version, "%s", m->version);
    if (n->record != NULL && at < n->record->n_members) {
        uint32_t first = n->record->first_shard[at], until = n->record->first_shard[at + 1];
        out->key_groups = (until * EFX_KEY_GROUPS + shards - 1) / shards -
                          (first * EFX_KEY_GROUPS + shards - 1) / shards;
    }
    out->self = strcmp(m->name, n->me.name) == 0;
    uint64_t now_ns = node_now_ns(n), timeout_ns = (uint64_t)n->conf.failure_timeout_ms * 1000000;
    uint64_t since_ns = heard_ns > n->adopted_ns ? heard_ns : n->adopted_ns; /* it is new */
    bool lost = !out->self && now_ns - since_ns > timeout_ns;
    out->state = lost ? EFX_NODE_LOST : EFX_NODE_RUNNING;
    out->tick = n->ticks.next - (n->ticks.next > 0);
    if (!out->self) {
        return;
    }
    out->lease_left_ms =
        n->lease.ends_ns > now_ns ? (int64_t)(n->lease.ends_ns - now_ns) / 1000000 : 0;
    out->state = node_is_fenced(n)          ? EFX_NODE_FENCED
                 : n->leaving               ? EFX_NODE_DRAINING
                 : n->phase == NODE_RUNNING ? EFX_NODE_RUNNING
                 : n->phase == NODE_LOADING ? EFX_NODE_RESTORING
                 : n->registered            ? EFX_NODE_HOLDING
                                            : EFX_NODE_JOINING;
}

static void why_not_ready(const struct efx_node *n, struct efx_status *s)
{
    static const char *const why[] = {"",
                                      "asks its seeds",
                                      "opens the store",
                                      "registers",
                                      "waits to be taken into the cluster",
                                      "loads its state",
                                      "",
                                      "has ended"};
    s->ready = n->phase == NODE_RUNNING && !node_is_fenced(n) && !n->leaving;
    (void)snprintf(s->why_not, sizeof s->why_not, "%s",
                   n->leaving          ? "leaves the cluster"
                   : node_is_fenced(n) ? "its lease has ended: the store does not answer"
                                       : why[n->phase]);
}

/* A copy for doors; made when something has happened. */
void node_service_status(struct efx_node *n)
{
    (void)pthread_mutex_lock(&n->lock);
    struct efx_status *s = n->status;
    uint32_t n_kept = s->n_kept;
    (void)snprintf(s->cluster, sizeof s->cluster, "%s", n->conf.cluster);
    s->n_nodes = 0;
    if (n->record != NULL) {
        (void)snprintf(s->app, sizeof s->app, "%s", n->record->app);
        memcpy(s->app_hash, n->record->hash, sizeof s->app_hash);
        s->epoch = n->record->epoch;
        const char *slash = strchr(n->record->leader, '/');
        (void)snprintf(s->leader, sizeof s->leader, "%.*s",
                       slash == NULL ? 0 : (int)(slash - n->record->leader), n->record->leader);
        for (uint32_t i = 0; i < n->record->n_members; i++) {
            memset(&s->nodes[s->n_nodes], 0, sizeof *s->nodes);
            node_line(n, &n->record->members[i], &s->nodes[s->n_nodes++]);
        }
    } else {
        memset(&s->nodes[0], 0, sizeof *s->nodes);
        node_line(n, &n->me, &s->nodes[s->n_nodes++]);
    }
    s->store_state = n->store == NULL ? "none" : n->store_away ? "away" : "ok";
    s->n_sessions = n->sessions.n;
    s->rows_in = n->rows_in;
    s->rows_out = n->rows_out;
    s->n_rewinds = n->n_rewinds;
    s->n_checkpoints = n->n_checkpoints;
    s->n_checkpoints_failed = n->n_checkpoints_failed;
    s->n_repeated_rows = n->n_repeats;
    s->n_store_errors = n->n_store_errors;
    s->fenced_ms = n->fenced_ns / 1000000;
    s->n_kept = n_kept;
    why_not_ready(n, s);
    (void)pthread_mutex_unlock(&n->lock);
}

static void status(struct efx_service *self, struct efx_status *out)
{
    struct efx_node *n = (struct efx_node *)self;
    (void)pthread_mutex_lock(&n->lock);
    *out = *n->status;
    (void)pthread_mutex_unlock(&n->lock);
    out->clock_ms = n->conf.loop->vt->wall_ms(n->conf.loop);
    if (out->last.no > 0) {
        out->checkpoint_age_ms = out->clock_ms - out->last.committed_ms;
    }
}

/* ---- opening ---- */

static const struct efx_service_vt vt = {
    .app_ref = app_ref,
    .app_unref = app_unref,
    .submit_open = node_submit_open,
    .builder = builder,
    .builder_back = builder_back,
    .submit_rows = node_submit_rows,
    .submit_ask = node_submit_ask,
    .submit_close = node_submit_close,
    .subscribe = node_subscribe,
    .query = node_query,
    .rows_cancel = node_rows_cancel,
    .status = status,
    .operate = node_operate,
};

void node_service_init(struct efx_node *n)
{
    n->service.vt = &vt;
    n->inbox_task = (struct efx_task){.fn = take_inbox, .arg = n};
    (void)pthread_mutex_init(&n->lock, NULL);
    n->status = efx_mem_libc.alloc(&efx_mem_libc, sizeof *n->status);
    EFX_ASSERT(n->status != NULL);
    memset(n->status, 0, sizeof *n->status);
    n->status->store_state = "none";
}

void node_service_fini(struct efx_node *n)
{
    take_inbox(n); /* doors have said what they say; their calls end */
    n->conf.loop->vt->cancel(n->conf.loop, &n->inbox_task);
    drop_builders(n);
    app_free(n->app);
    n->app = NULL;
    efx_mem_libc.free(&efx_mem_libc, n->status, sizeof *n->status);
    (void)pthread_mutex_destroy(&n->lock);
}

struct efx_service *efx_node_service(struct efx_node *n)
{
    return &n->service;
}
