#include "library_engine.h"

#include "bound_text.h"
#include "ndjson.h"

#include "efx_alone.h"
#include "efx_lib.h"
#include "efx_plan.h"
#include "efx_world_real.h"

#include "efx/efx.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* One program through the library: open, on, start, send …, finish, close; with save_each_step a
 * new instance takes over after every step, with `rescale` one of another number of shards. Every
 * fourth save is a base, those between are deltas: an instance loads the chain since the last base.
 * Lines are read and written with the reference's binding
 * of the same text. With `members` as many apps of one cluster run, each in a thread of its own,
 * all with the same input; rows come out of the first. */
enum { CHAIN_MAX = 4, MEMBERS_MAX = 4, STORED_EACH = 3 };

struct running;

struct cluster {
    uint32_t n;
    uint32_t first_shard[MEMBERS_MAX + 1];
    struct running *members[MEMBERS_MAX];
    _Atomic uint32_t n_started; /* apps that take packets */
};

struct running {
    struct efx_arena arena;
    struct efx_arena rows; /* rows come on the thread that runs the shard */
    const struct efx_program *p;
    const struct efx_run_how *how;
    const char *text;
    struct efx_lines *out;
    struct efx *app;
    uint32_t shards;
    struct cluster *cluster; /* NULL: alone */
    struct efx_app_member member;
    const struct efx_lines *events;
    void *chain[CHAIN_MAX]; /* [n_chain] checkpoints, the base first */
    size_t n_bytes[CHAIN_MAX];
    uint32_t n_chain;
    struct efx_local *place; /* of stored runs; NULL: bytes are handed over */
    struct efx_alone *alone;
    uint32_t n_stored;
};

static struct efx_value value_of(const efx_val *v, enum efx_type type)
{
    struct efx_value out = {.type = type, .null = v->null};
    switch (type) {
    case EFX_TYPE_INT: out.i = v->u.i; break;
    case EFX_TYPE_LONG: out.l = v->u.l; break;
    case EFX_TYPE_FLOAT: out.f = v->u.f; break;
    case EFX_TYPE_DOUBLE: out.d = v->u.d; break;
    case EFX_TYPE_BOOL: out.b = v->u.b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: out.s = (struct efx_str){v->u.s.p, (uint32_t)v->u.s.n}; break;
    case EFX_TYPE_NONE: break;
    }
    return out;
}

static efx_val val_of(const struct efx_value *v)
{
    efx_val out = {.null = v->null};
    switch (v->type) {
    case EFX_TYPE_NONE:
    case EFX_TYPE_INT: out.type = EFX_VAL_INT, out.u.i = v->i; break;
    case EFX_TYPE_LONG: out.type = EFX_VAL_LONG, out.u.l = v->l; break;
    case EFX_TYPE_FLOAT: out.type = EFX_VAL_FLOAT, out.u.f = v->f; break;
    case EFX_TYPE_DOUBLE: out.type = EFX_VAL_DOUBLE, out.u.d = v->d; break;
    case EFX_TYPE_BOOL: out.type = EFX_VAL_BOOL, out.u.b = v->b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        out.type = EFX_VAL_STRING;
        out.u.s.p = v->s.p;
        out.u.s.n = v->s.n;
        break;
    }
    return out;
}

static const struct efx_bobject *object(const struct running *r, const char *name)
{
    for (uint32_t i = 0; i < r->p->n_objects; i++) {
        if (strcmp(r->p->objects[i]->schema.name, name) == 0) {
            return r->p->objects[i];
        }
    }
    return NULL;
}

static void take_row(void *arg, const struct efx_row *row)
{
    struct running *r = arg;
    const struct efx_bobject *o = object(r, row->stream->name);
    struct efx_value *v = EFX_NEW_N(&r->rows, struct efx_value, o->schema.n_cols);
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        v[i] = value_of(&row->values[i], o->schema.cols[i].type);
    }
    efx_lines_add(r->out, ndjson_row(&r->rows, o, row->ts_ms, row->expired, v));
}

struct efx_library_plans efx_library_plans;

static void count_plan(const struct efx_plan *p)
{
    struct efx_library_plans *count = &efx_library_plans;
    for (uint32_t c = 0; p != NULL && c < p->n_components; c++) {
        const struct efx_pcomponent *pc = &p->components[c];
        uint32_t n_ops = 0;
        for (uint32_t i = 0; i < pc->n_nodes; i++) {
            const struct efx_pnode *n = p->nodes[pc->nodes[i]];
            n_ops += n->kind != EFX_P_STREAM && n->kind != EFX_P_TABLE;
            count->n_merges += !pc->row_mode && n->confluence;
        }
        if (n_ops > 0) {
            count->n_row_mode += pc->row_mode;
            count->n_split += pc->split;
            count->n_placed += !pc->row_mode && !pc->split;
        }
    }
}

/* ---- members ---- */

static void send_packet(void *arg, uint32_t to, uint32_t shard, uint64_t step,
                        struct efx_bytes packet)
{
    struct running *r = arg;
    EFX_ASSERT(efx_app_receive(efx_lib_app(r->cluster->members[to]->app), shard, step, packet) ==
               EFX_OK);
}

static bool wait_packet(void *arg)
{
    (void)arg;
    (void)sched_yield();
    return true;
}

static enum efx_code open_app(struct running *r, const struct efx_options *o, struct efx_error *err)
{
    if (r->cluster == NULL) {
        return efx_open(&r->app, r->text, o, err);
    }
    r->member.send = send_packet;
    r->member.wait = wait_packet;
    r->member.arg = r;
    struct efx_lib_member part = {.member = &r->member,
                                  .n_shards = r->cluster->first_shard[r->cluster->n]};
    return efx_lib_open_member(&r->app, r->text, o, &part, err);
}

/* Opens the store again and goes on from what is there. */
static bool stored_begin(struct running *r)
{
    struct efx_err err = {0};
    struct efx_restore_info info;
    const struct efx_manifest *m;
    struct efx_alone_conf conf = {0};
    enum efx_rc rc = efx_memory_place_open(r->place, &conf.stores, efx_world_real(), &err);
    rc = rc == EFX_OK ? efx_alone_open(&r->alone, &conf, efx_world_real(), &err) : rc;
    rc = rc == EFX_OK ? efx_alone_restore(r->alone, efx_lib_app(r->app), &m, &info, &err) : rc;
    bool anew = rc == EFX_DONE && r->n_stored == 0;
    rc = rc == EFX_OK || anew ? efx_alone_start(r->alone, &err) : rc;
    if (rc != EFX_OK) {
        fprintf(stderr, "store: %d %s\n", (int)rc, err.msg);
        efx_lines_add(r->out, "the store does not open or load");
    }
    return rc == EFX_OK;
}

/* Opens an instance, with the state of the one before if there was one. */
static bool begin(struct running *r)
{
    struct efx_options o = EFX_OPTIONS_INIT;
    o.clock = EFX_CLOCK_VIRTUAL;
    o.shards = r->shards;
    o.max_batch = r->how->step_rows;
    o.ordered = true;
    o.seed = 1;
    struct efx_error err = {0};
    if (open_app(r, &o, &err) != EFX_RC_OK) {
        if (getenv("EFX_DIFFERENTIAL_VERBOSE") != NULL) {
            fprintf(stderr, "%s\n%s\n", err.msg, r->app != NULL ? efx_messages(r->app) : "");
        }
        return false;
    }
    count_plan(efx_lib_plan(r->app));
    for (uint32_t i = 0; i < efx_n_streams(r->app); i++) {
        const struct efx_stream *s = efx_stream_at(r->app, i);
        if (s->is_derived && !s->is_table) {
            (void)efx_on(r->app, s->name, take_row, r);
        }
    }
    enum efx_code rc = efx_start(r->app, &err);
    if (rc == EFX_RC_OK && r->n_chain > 0) {
        const void *chain[CHAIN_MAX];
        for (uint32_t i = 0; i < r->n_chain; i++) {
            chain[i] = r->chain[i];
        }
        rc = efx_load(r->app, chain, r->n_bytes, r->n_chain, &err);
    }
    if (rc != EFX_RC_OK) {
        fprintf(stderr, "%s\n", err.msg);
        efx_lines_add(r->out, "the library does not start or load");
    }
    return rc == EFX_RC_OK && (r->place == NULL || stored_begin(r));
}

static void feed(struct running *r, const char *line)
{
    struct ndjson_line e;
    const char *why;
    if (!ndjson_read(&r->arena, r->p, efx_str_of(line), &e, &why)) {
        return;
    }
    if (e.advance) {
        (void)efx_advance(r->app, e.advance_ms);
        return;
    }
    uint32_t n = e.object->schema.n_cols;
    efx_val *v = EFX_NEW_N(&r->arena, efx_val, n);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = val_of(&e.values[i]);
    }
    (void)efx_send(r->app, e.object->schema.name, e.ts_ms, v, n);
}

static void chain_free(struct running *r)
{
    for (uint32_t i = 0; i < r->n_chain; i++) {
        efx_free(r->chain[i], r->n_bytes[i]);
    }
    r->n_chain = 0;
}

static void next_shards(struct running *r)
{
    if (r->how->rescale) {
        r->shards = r->shards == 1 ? 2 : r->shards == 2 ? 5 : 1;
    }
}

/* A checkpoint into the store; every third time a new instance goes on from it. */
static bool stored_over(struct running *r)
{
    struct efx_storage_job job = {0};
    struct efx_storage_outcome o = {.rc = EFX_EBUG};
    struct efx_err err = {0};
    (void)efx_flush(r->app);
    enum efx_rc rc = efx_alone_begin(r->alone, &job, &err);
    if (rc != EFX_OK || !efx_alone_wait(r->alone, &o) || o.rc != EFX_OK) {
        fprintf(stderr, "store: %s%s\n", err.msg, o.err.msg);
        efx_lines_add(r->out, "the store does not keep");
        return false;
    }
    if (++r->n_stored % STORED_EACH != 0) {
        return true;
    }
    efx_alone_close(&r->alone);
    efx_close(&r->app);
    next_shards(r);
    return begin(r);
}

/* Saves, closes, and goes on in a new instance. */
static bool hand_over(struct running *r)
{
    void *bytes = NULL;
    size_t n = 0;
    struct efx_error err = {0};
    bool base = r->n_chain == 0 || r->n_chain == CHAIN_MAX;
    (void)efx_flush(r->app);
    if (efx_save(r->app, base, &bytes, &n, &err) != EFX_RC_OK) {
        fprintf(stderr, "%s\n", err.msg);
        efx_lines_add(r->out, "the library does not save");
        return false;
    }
    efx_close(&r->app);
    if (base) {
        chain_free(r);
    }
    r->chain[r->n_chain] = bytes;
    r->n_bytes[r->n_chain++] = n;
    next_shards(r);
    return begin(r);
}

static void *run_member(void *arg)
{
    struct running *r = arg;
    atomic_fetch_add(&r->cluster->n_started, 1);
    while (atomic_load(&r->cluster->n_started) < r->cluster->n) {
        (void)sched_yield();
    }
    for (uint32_t i = 0; i < r->events->n; i++) {
        feed(r, r->events->v[i]);
    }
    (void)efx_finish(r->app, r->how->drain_ms);
    return NULL;
}

/* The apps are opened one after the other, then each runs in a thread. */
static bool run_cluster(const struct efx_run_how *how, const char *program,
                        const struct efx_lines *events, struct efx_lines *out)
{
    struct cluster c = {.n = how->members};
    struct running members[MEMBERS_MAX];
    struct efx_diags diags;
    pthread_t threads[MEMBERS_MAX];
    bool opened = true;
    for (uint32_t i = 0; i < c.n; i++) {
        struct running *r = &members[i];
        *r = (struct running){.how = how,
                              .text = program,
                              .out = out,
                              .shards = how->shards,
                              .cluster = &c,
                              .events = events};
        r->member = (struct efx_app_member){.n = c.n, .self = i, .first_shard = c.first_shard};
        c.first_shard[i + 1] = c.first_shard[i] + how->shards;
        c.members[i] = r;
    }
    for (uint32_t i = 0; i < c.n; i++) {
        efx_arena_init(&members[i].rows, &efx_mem_libc, SIZE_MAX);
        members[i].p = bound_text(program, &members[i].arena, &diags);
        opened = opened && members[i].p != NULL && begin(&members[i]);
    }
    for (uint32_t i = 0; opened && i < c.n; i++) {
        (void)pthread_create(&threads[i], NULL, run_member, &members[i]);
    }
    for (uint32_t i = 0; opened && i < c.n; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (uint32_t i = 0; i < c.n; i++) {
        if (members[i].app != NULL) {
            efx_close(&members[i].app);
        }
        efx_arena_fini(&members[i].rows);
        efx_arena_fini(&members[i].arena);
    }
    return opened;
}

static bool run(void *arg, const struct efx_run_how *how, const char *program,
                const struct efx_lines *events, struct efx_lines *out)
{
    (void)arg;
    if (how->members > 1) {
        return run_cluster(how, program, events, out);
    }
    struct efx_diags diags;
    struct running r = {.how = how, .text = program, .out = out, .shards = how->shards};
    efx_arena_init(&r.rows, &efx_mem_libc, SIZE_MAX);
    r.p = bound_text(program, &r.arena, &diags);
    if (arg != NULL) {
        EFX_ASSERT(efx_memory_place_create(&r.place, efx_world_real(), &efx_mem_libc) == EFX_OK);
    }
    bool opened = r.p != NULL && begin(&r);
    bool ok = opened;
    for (uint32_t i = 0; i < events->n && ok; i++) {
        feed(&r, events->v[i]);
        if (how->save_each_step && (i + 1) % how->step_rows == 0) {
            ok = r.place != NULL ? stored_over(&r) : hand_over(&r);
        }
    }
    if (ok) {
        (void)efx_finish(r.app, how->drain_ms);
    }
    efx_alone_close(&r.alone);
    if (r.app != NULL) {
        efx_close(&r.app);
    }
    if (r.place != NULL) {
        efx_memory_place_unref(&r.place);
    }
    chain_free(&r);
    efx_arena_fini(&r.rows);
    efx_arena_fini(&r.arena);
    return opened;
}

static int stored;
const struct efx_engine_run efx_stored_run = {
    .name = "library over a store", .arg = &stored, .run = run};
const struct efx_engine_run efx_library_run = {.name = "library", .run = run};
