#include "efx_together.h"

#include "efx_sim.h"
#include "efx_stores.h"
#include "node.h"

static const uint64_t FORM_NS = 60000000000u, STEP_NS = 1000000, LEASES_NS = 3600000000000u;

struct member {
    struct efx_together *of;
    struct efx_node *node;
    struct efx_transport *transport;
    struct efx_stores *stores;
    struct efx_submit_front front;
    struct efx_submit *call;
};

struct efx_together_place {
    struct efx_sim *sim; /* its clock decides leases */
    struct efx_local *local;
};

struct efx_together {
    struct efx *shown; /* the front: streams, listeners, builder */
    struct efx_app_front front;
    struct efx_lib_member part;
    struct efx_options options;
    struct efx_arena arena;
    const char *sql;
    struct efx_sim *sim;
    struct efx_together_place *place;
    bool own_place, virtual_clock;
    uint32_t n, next;       /* member that takes the next builder */
    struct member *members; /* [n] */
    struct efx_err end;
    bool ended;
    bool checked; /* a checkpoint was asked for and answered */
    struct efx_err answer;
    struct efx_operation_front operation;
};

/* ---- time ---- */

/* Runs until `is` says so; false: the cluster has ended, or not within so long. */
static bool run_until(struct efx_together *t, bool (*is)(struct efx_together *t), uint64_t ns)
{
    uint64_t until = efx_sim_now_ns(t->sim) + ns;
    while (!t->ended && !is(t) && efx_sim_now_ns(t->sim) < until) {
        if (!efx_sim_step(t->sim)) {
            efx_sim_wait(t->sim, STEP_NS);
        }
    }
    return !t->ended && is(t);
}

static bool all_ready(struct efx_together *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct efx_node *n = t->members[i].node;
        if (n->phase != NODE_RUNNING || n->record->n_members != t->n ||
            n->record->channel != t->members[0].node->record->channel) {
            return false;
        }
    }
    return true;
}

/* What was given is in ticks that all members have. */
static bool all_numbered(struct efx_together *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct efx_node *n = t->members[i].node;
        if (n->inbox != NULL || n->phase != NODE_RUNNING || n->ticks.n_items > 0 ||
            n->ticks.closed + 1 != n->ticks.next ||
            n->ticks.next != t->members[0].node->ticks.next) {
            return false;
        }
        for (const struct efx_submit *c = n->submits; c != NULL; c = c->next) {
            if (c->first != NULL) {
                return false;
            }
        }
    }
    return true;
}

/* … and the engines of all are through with them. */
static bool all_done(struct efx_together *t)
{
    bool done = all_numbered(t);
    for (uint32_t i = 0; i < t->n && done; i++) {
        const struct efx_node *n = t->members[i].node;
        done = n->ticks.done + 1 == n->ticks.next && node_engine_backlog(n->engine) == 0;
    }
    return done;
}

void efx_together_wait(struct efx_together *t, uint64_t max_ns)
{
    uint64_t until = efx_sim_now_ns(t->sim) + max_ns;
    while (efx_sim_step(t->sim)) {
    }
    uint64_t now = efx_sim_now_ns(t->sim);
    if (now < until && !t->virtual_clock) {
        efx_sim_wait(t->sim, until - now);
        while (efx_sim_step(t->sim)) {
        }
    }
}

/* ---- members ---- */

static void opened(struct efx_submit_front *self, const struct efx_opened *o,
                   const struct efx_ack *so_far)
{
    (void)self;
    (void)o;
    (void)so_far;
}

static void ack(struct efx_submit_front *self, const struct efx_ack *a)
{
    (void)self;
    (void)a;
}

static void call_ended(struct efx_submit_front *self, const struct efx_err *why)
{
    (void)self;
    (void)why;
}

static void rows(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows_of)
{
    struct member *m = arg;
    if (m == &m->of->members[0]) {
        efx_lib_give(m->of->shown, stream->id, rows_of);
    }
}

static void ended(void *arg, const struct efx_err *why)
{
    struct member *m = arg;
    if (!m->of->ended) {
        m->of->ended = true;
        m->of->end = *why;
    }
}

static enum efx_rc open_store(void *arg, const char *url, struct efx_store **store,
                              struct efx_coord **coord, struct efx_err *err)
{
    struct member *m = arg;
    uint32_t at = (uint32_t)(m - m->of->members);
    (void)url;
    EFX_RET(
        efx_memory_place_open(m->of->place->local, &m->stores, efx_sim_world(m->of->sim, at), err));
    *store = m->stores->store;
    *coord = m->stores->coord;
    return EFX_OK;
}

static enum efx_rc open_member(struct efx_together *t, uint32_t at, struct efx_err *err)
{
    struct member *m = &t->members[at];
    m->of = t;
    EFX_RET(efx_sim_transport(t->sim, at, &m->transport));
    struct efx_node_conf conf = {
        .id = efx_arena_printf(&t->arena, "n%03u", at),
        .cluster = "together",
        .app_name = "app",
        .sql = t->sql,
        .listen = efx_arena_printf(&t->arena, "sim:n%03u", at),
        .store_url = "memory:",
        .loop = efx_sim_loop(t->sim, at),
        .transport = m->transport,
        .world = efx_sim_world(t->sim, at),
        .mem = &efx_mem_libc,
        .open_store = open_store,
        .arg = m,
        .shards = t->options.shards > 0 ? t->options.shards : 1,
        .max_batch = t->options.max_batch,
        .clock = t->options.clock,
        .seed = t->options.seed != 0 ? t->options.seed : 1,
        .ordered = true,
        .connected = true,
        .simulated = true,
        .state_max_bytes = t->options.state_max_bytes,
        .checkpoint_interval_ms = -1,
        .failure_timeout_ms = 60000,
        .min_nodes = t->n,
        .rows = rows,
        .ended = ended,
    };
    EFX_RET(efx_node_create(&conf, &m->node, err));
    return efx_node_start(m->node, err);
}

enum efx_code efx_together_start(struct efx_together *t, struct efx_error *err)
{
    struct efx_err why = {0};
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < t->n && rc == EFX_OK; i++) {
        rc = open_member(t, i, &why);
    }
    if (rc == EFX_OK && !run_until(t, all_ready, FORM_NS)) {
        why = t->end;
        rc = EFX_EIO;
    }
    for (uint32_t i = 0; i < t->n && rc == EFX_OK; i++) {
        struct efx_service *s = efx_node_service(t->members[i].node);
        struct efx_submit_open how = {.level = EFX_LEVEL_ACCEPTED};
        t->members[i].front = (struct efx_submit_front){opened, ack, call_ended};
        s->vt->submit_open(s, &how, &t->members[i].front, &t->members[i].call);
    }
    rc = rc == EFX_OK && !run_until(t, all_done, FORM_NS) ? EFX_EIO : rc;
    if (rc != EFX_OK && err != NULL) {
        *err = (struct efx_error){.code = EFX_RC_ENV, .efx = why.code};
        (void)snprintf(err->msg, sizeof err->msg, "%s",
                       why.msg[0] != '\0' ? why.msg : "the members do not come together");
    }
    return rc == EFX_OK ? EFX_RC_OK : EFX_RC_ENV;
}

/* ---- the front ---- */

static enum efx_rc error(void *arg, struct efx_err *err)
{
    struct efx_together *t = arg;
    if (t->ended && err != NULL) {
        *err = t->end;
    }
    return t->ended ? t->end.rc : EFX_OK;
}

/* Into a tick of its own, of the member whose turn it is: so the order stays that of the calls. */
static enum efx_rc submit(void *arg, const struct efx_builder *b)
{
    struct efx_together *t = arg;
    struct member *m = &t->members[t->next];
    struct efx_service *s = efx_node_service(m->node);
    struct efx_builder *copy = s->vt->builder(s, NULL);
    if (t->ended || copy == NULL) {
        return t->ended ? t->end.rc : EFX_ENOMEM;
    }
    t->next = (t->next + 1) % t->n;
    EFX_RET(efx_builder_append(copy, b, 0, b->n_turns));
    s->vt->submit_rows(s, m->call, 0, &copy, true);
    return run_until(t, all_numbered, UINT64_MAX / 2) ? EFX_OK : error(t, NULL);
}

static enum efx_rc flush(void *arg)
{
    struct efx_together *t = arg;
    return run_until(t, all_done, UINT64_MAX / 2) ? EFX_OK : error(t, NULL);
}

static enum efx_rc finish(void *arg, int64_t drain_ms)
{
    struct efx_together *t = arg;
    struct node_item item = {.kind = NODE_ITEM_FINISH, .drain_ms = drain_ms};
    if (t->ended) {
        return t->end.rc;
    }
    (void)node_item_add(t->members[0].node, &item);
    node_tick_pump(t->members[0].node);
    return flush(t);
}

static uint64_t rows_in(void *arg, uint32_t object)
{
    struct efx_together *t = arg;
    struct efx *app =
        t->members == NULL || t->members[0].node == NULL || t->members[0].node->engine == NULL
            ? NULL
            : node_engine_app(t->members[0].node->engine);
    return app == NULL ? 0 : efx_app_rows_in(efx_lib_app(app), object);
}

static struct efx *app_of(struct efx_together *t, uint32_t at)
{
    struct efx_node *n = t->members[at].node;
    return n == NULL || n->engine == NULL ? NULL : node_engine_app(n->engine);
}

static uint32_t counts(void *arg, struct efx_app_count *out, uint32_t max)
{
    struct efx_together *t = arg;
    struct efx *first = app_of(t, 0);
    uint32_t n = first == NULL ? 0 : efx_app_counts(efx_lib_app(first), out, max);
    for (uint32_t i = 1; i < t->n; i++) {
        struct efx_app_count more[256];
        struct efx *app = app_of(t, i);
        uint32_t k = app == NULL ? 0 : efx_app_shard_counts(efx_lib_app(app), more, 256);
        for (uint32_t c = 0; c < k && c < 256; c++) {
            uint32_t at = 0;
            while (at < n && (out[at].object != more[c].object || out[at].code != more[c].code ||
                              strcmp(out[at].name, more[c].name) != 0)) {
                at++;
            }
            if (at < n) {
                out[at].n += more[c].n;
            } else if (n < max) {
                out[n++] = more[c];
            }
        }
    }
    return n;
}

/* ---- checkpoints, questions ---- */

static void operated(struct efx_operation_front *self, const struct efx_operation_done *done,
                     const struct efx_err *why)
{
    struct efx_together *t =
        (struct efx_together *)((char *)self - offsetof(struct efx_together, operation));
    (void)done;
    t->checked = true;
    t->answer = *why;
}

static bool is_checked(struct efx_together *t)
{
    return t->checked;
}

enum efx_code efx_together_checkpoint(struct efx_together *t, struct efx_error *err)
{
    struct efx_service *s = efx_node_service(t->members[0].node);
    struct efx_operation_ask ask = {.what = EFX_OP_CHECKPOINT};
    enum efx_rc rc = efx_app_flush(efx_lib_app(t->shown));
    t->checked = false;
    t->operation.ended = operated;
    if (rc == EFX_OK) {
        s->vt->operate(s, &ask, &t->operation);
        rc = run_until(t, is_checked, FORM_NS) ? t->answer.rc : EFX_EIO;
    }
    rc = rc == EFX_OK ? flush(t) : rc;
    if (rc != EFX_OK && err != NULL) {
        *err = (struct efx_error){.code = EFX_RC_ENV, .efx = t->answer.code};
        (void)snprintf(err->msg, sizeof err->msg, "%s", t->ended ? t->end.msg : t->answer.msg);
    }
    return rc == EFX_OK ? EFX_RC_OK : EFX_RC_ENV;
}

enum efx_code efx_together_query(struct efx_together *t, const char *sql, efx_row_fn fn, void *arg,
                                 uint64_t *changed, struct efx_error *err)
{
    if (efx_app_flush(efx_lib_app(t->shown)) != EFX_OK) {
        *err = (struct efx_error){.code = EFX_RC_ENV};
        (void)snprintf(err->msg, sizeof err->msg, "%s", t->end.msg);
        return EFX_RC_ENV;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        struct efx *app = app_of(t, i);
        struct efx_lib_look look;
        enum efx_code code = app == NULL ? EFX_RC_OK : efx_lib_look(app, sql, &look, err);
        if (code != EFX_RC_OK) {
            return code;
        }
        if (app != NULL && look.all_here) {
            const struct efx_lib_answer to = {.row = fn, .arg = arg};
            return efx_lib_query(app, sql, &to, changed, err);
        }
    }
    *err = (struct efx_error){.code = EFX_RC_SQL, .efx = 9001};
    (void)snprintf(err->msg, sizeof err->msg,
                   "EFX-9001: tables of different members in one statement are not built yet");
    return EFX_RC_SQL;
}

/* ---- opening ---- */

enum efx_code efx_together_place_create(struct efx_together_place **out)
{
    struct efx_together_place *p = efx_mem_libc.alloc(&efx_mem_libc, sizeof *p);
    struct efx_sim_options o = {.mem = &efx_mem_libc, .seed = 1, .n_members = 1};
    if (p == NULL) {
        return EFX_RC_MEMORY;
    }
    memset(p, 0, sizeof *p);
    *out = p;
    if (efx_sim_create(&o, &p->sim) != EFX_OK ||
        efx_memory_place_create(&p->local, efx_sim_world(p->sim, 0), &efx_mem_libc) != EFX_OK) {
        efx_together_place_destroy(out);
        return EFX_RC_MEMORY;
    }
    return EFX_RC_OK;
}

void efx_together_place_destroy(struct efx_together_place **place)
{
    struct efx_together_place *p = *place;
    if (p == NULL) {
        return;
    }
    if (p->local != NULL) {
        efx_memory_place_unref(&p->local);
    }
    efx_sim_destroy(&p->sim);
    efx_mem_libc.free(&efx_mem_libc, p, sizeof *p);
    *place = NULL;
}

static enum efx_rc open_sim(struct efx_together *t)
{
    struct efx_sim_options o = {.mem = &efx_mem_libc,
                                .seed = 1,
                                .n_members = t->n,
                                .real_time = !t->virtual_clock,
                                .delay_min_ns = 1000,
                                .delay_max_ns = 2000};
    t->members = EFX_NEW_N(&t->arena, struct member, t->n);
    return t->members == NULL ? EFX_ENOMEM : efx_sim_create(&o, &t->sim);
}

enum efx_code efx_together_open(struct efx_together **out, const char *sql,
                                const struct efx_options *options, uint32_t n_nodes,
                                struct efx_together_place *place, struct efx_error *err)
{
    struct efx_together *t = efx_mem_libc.alloc(&efx_mem_libc, sizeof *t);
    EFX_ASSERT(t != NULL);
    memset(t, 0, sizeof *t);
    *out = t;
    efx_arena_init(&t->arena, &efx_mem_libc, SIZE_MAX);
    t->options = *options;
    t->options.ordered = true;
    t->n = n_nodes;
    t->sql = efx_arena_str(&t->arena, sql, strlen(sql));
    t->front = (struct efx_app_front){t, submit, flush, finish, error, rows_in, counts};
    t->part = (struct efx_lib_member){
        .n_shards = n_nodes * (options->shards > 0 ? options->shards : 1), .front = &t->front};
    enum efx_code code = efx_lib_open_member(&t->shown, sql, &t->options, &t->part, err);
    if (code != EFX_RC_OK) {
        return code;
    }
    t->virtual_clock = efx_lib_is_virtual(t->shown);
    t->options.clock = t->virtual_clock ? EFX_CLOCK_VIRTUAL : EFX_CLOCK_SYSTEM;
    t->place = place;
    if (place == NULL) {
        t->own_place = true;
        code = efx_together_place_create(&t->place);
    } else { /* leases of members that were here before have ended */
        efx_sim_run(place->sim, efx_sim_now_ns(place->sim) + LEASES_NS);
    }
    return code == EFX_RC_OK && open_sim(t) == EFX_OK ? EFX_RC_OK : EFX_RC_MEMORY;
}

struct efx *efx_together_app(struct efx_together *t)
{
    return t->shown;
}

void efx_together_close(struct efx_together **t_of)
{
    struct efx_together *t = *t_of;
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; t->members != NULL && i < t->n; i++) {
        struct member *m = &t->members[i];
        efx_node_destroy(&m->node);
        if (m->transport != NULL) {
            m->transport->vt->destroy(&m->transport);
        }
        if (m->stores != NULL) {
            efx_stores_close(&m->stores);
        }
    }
    if (t->sim != NULL) {
        efx_sim_destroy(&t->sim);
    }
    efx_close(&t->shown);
    if (t->own_place) {
        efx_together_place_destroy(&t->place);
    }
    efx_arena_fini(&t->arena);
    efx_mem_libc.free(&efx_mem_libc, t, sizeof *t);
    *t_of = NULL;
}
