/* The node alone: its queue, its builders, and the table that a door calls. */
#include "solo.h"

#include "efx_hash.h"
#include "efx_world_real.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct efx_solo *alone_of(struct efx_service *self)
{
    return (struct efx_solo *)self;
}

int64_t efx_solo__now_ms(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->wall_ms(w);
}

/* ---- the queue ---- */

void efx_solo__put(struct efx_solo *a, struct op *op)
{
    uint64_t one = 1;
    (void)pthread_mutex_lock(&a->lock);
    bool first = a->first == NULL && !op->queued;
    if (!op->queued) {
        op->queued = true;
        op->next = NULL;
        *a->last = op;
        a->last = &op->next;
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (first) {
        ssize_t n = write(a->fd, &one, sizeof one);
        EFX_ASSERT(n == sizeof one); /* a counter that overflows only after 2^64 - 1 */
    }
}

static struct op *take_op(struct efx_solo *a)
{
    (void)pthread_mutex_lock(&a->lock);
    struct op *op = a->first;
    if (op != NULL) {
        a->first = op->next;
        a->last = a->first == NULL ? &a->first : a->last;
        op->queued = false;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return op;
}

static struct pooled *pooled_of(struct efx_solo *a, const struct efx_builder *b)
{
    struct pooled *p = a->pool;
    while (p->b != b) {
        p++;
        EFX_ASSERT(p < a->pool + ALONE_BUILDERS);
    }
    return p;
}

static void run_op(struct efx_solo *a, struct op *op)
{
    switch (op->what) {
    case OP_OPEN: efx_solo__open(a, op->about); break;
    case OP_ROWS: {
        struct pooled *p = op->about;
        efx_solo__take(a, p);
        efx_solo__builder_back(a, p->b);
        break;
    }
    case OP_ASK: efx_solo__ask(a, op->about); break;
    case OP_CLOSE: efx_solo__close_submit(a, op->about); break;
    case OP_SUBSCRIBE: efx_solo__subscribe(a, op->about); break;
    case OP_QUERY: efx_solo__query(a, op->about); break;
    case OP_CANCEL: efx_solo__cancel(a, op->about); break;
    }
}

static void note_numbers(struct efx_solo *a, enum efx_rc rc)
{
    struct efx_err err = {0};
    uint64_t rows = 0;
    for (uint32_t i = 0; i < a->program->n_objects; i++) {
        rows += efx_app_rows_in(a->app, i);
    }
    (void)efx_app_error(a->app, &err);
    int64_t clock_ms = efx_app_now(a->app)->clk_last_ms;
    (void)pthread_mutex_lock(&a->lock);
    a->numbers.rows_in = rows;
    a->numbers.clock_ms = clock_ms;
    a->numbers.n_sessions = a->n_sessions;
    a->numbers.ready = rc == EFX_OK && !a->leaving;
    (void)snprintf(a->numbers.why_not, sizeof a->numbers.why_not, "%s",
                   a->leaving ? "this node leaves" : err.msg);
    (void)pthread_mutex_unlock(&a->lock);
}

bool efx_solo_pump(struct efx_solo *a)
{
    uint64_t n;
    bool any = false;
    ssize_t got = read(a->fd, &n, sizeof n);
    (void)got; /* nothing was said: look anyway */
    for (struct op *op; (op = take_op(a)) != NULL; any = true) {
        run_op(a, op);
    }
    if (any) {
        enum efx_rc rc = efx_app_flush(a->app);
        note_numbers(a, rc);
        efx_solo__ack_touched(a);
        if (rc != EFX_OK && !a->leaving) {
            efx_solo_leave(a);
        }
    }
    return any;
}

/* ---- builders ---- */

void efx_solo__builder_back(struct efx_solo *a, struct efx_builder *b)
{
    struct pooled *p = pooled_of(a, b);
    struct efx_wake *wake = NULL;
    efx_builder_clear(b);
    (void)pthread_mutex_lock(&a->lock);
    p->next = a->free;
    a->free = p;
    if (a->n_waiting > 0) {
        wake = a->waiting[0];
        memmove(a->waiting, a->waiting + 1, --a->n_waiting * sizeof(struct efx_wake *));
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (wake != NULL) {
        wake->fn(wake->arg, EFX_OK, 0);
    }
}

/* Under the lock. */
static bool wait_for_builder(struct efx_solo *a, struct efx_wake *room)
{
    if (a->n_waiting == a->waiting_max) {
        uint32_t max = a->waiting_max == 0 ? 64 : a->waiting_max * 2;
        struct efx_wake **more =
            efx_mem_grow(&efx_mem_libc, a->waiting, a->waiting_max * sizeof(struct efx_wake *),
                         max * sizeof(struct efx_wake *));
        if (more == NULL) {
            return false;
        }
        a->waiting = more;
        a->waiting_max = max;
    }
    a->waiting[a->n_waiting++] = room;
    return true;
}

static struct efx_builder *take_builder(struct efx_service *self, struct efx_wake *room)
{
    struct efx_solo *a = alone_of(self);
    bool waits = true;
    (void)pthread_mutex_lock(&a->lock);
    struct pooled *p = a->free;
    if (p != NULL) {
        a->free = p->next;
    } else {
        waits = wait_for_builder(a, room);
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (!waits) {
        room->fn(room->arg, EFX_ENOMEM, 0); /* tries again */
    }
    return p == NULL ? NULL : p->b;
}

static void give_builder(struct efx_service *self, struct efx_builder **b)
{
    efx_solo__builder_back(alone_of(self), *b);
    *b = NULL;
}

/* ---- calls of a door ---- */

static const struct efx_service_app *app_ref(struct efx_service *self)
{
    return &alone_of(self)->info;
}

static void app_unref(struct efx_service *self, const struct efx_service_app *app)
{
    EFX_ASSERT(app == &alone_of(self)->info);
}

static struct efx_err no_memory(void)
{
    return (struct efx_err){
        .rc = EFX_ENOMEM, .kind = EFX_KIND_ENV, .code = 4005, .msg = "out of memory"};
}

static void submit_open(struct efx_service *self, const struct efx_submit_open *how,
                        struct efx_submit_front *front, struct efx_submit **out)
{
    struct efx_submit *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    *out = s;
    if (s == NULL) {
        struct efx_err err = no_memory();
        front->ended(front, &err);
        return;
    }
    memset(s, 0, sizeof *s);
    s->front = front;
    s->how = *how;
    s->open_op = (struct op){.what = OP_OPEN, .about = s};
    s->ask_op = (struct op){.what = OP_ASK, .about = s};
    s->close_op = (struct op){.what = OP_CLOSE, .about = s};
    efx_solo__put(alone_of(self), &s->open_op);
}

static void submit_rows(struct efx_service *self, struct efx_submit *s, uint64_t first_seq,
                        struct efx_builder **b, bool unit_end)
{
    struct pooled *p = pooled_of(alone_of(self), *b);
    (void)unit_end; /* here a unit is whatever a step has room for */
    *b = NULL;
    p->submit = s;
    p->first_seq = first_seq;
    efx_solo__put(alone_of(self), &p->op);
}

static void submit_ask(struct efx_service *self, struct efx_submit *s, bool drain)
{
    struct efx_solo *a = alone_of(self);
    (void)pthread_mutex_lock(&a->lock);
    s->drain = s->drain || drain;
    (void)pthread_mutex_unlock(&a->lock);
    efx_solo__put(a, &s->ask_op);
}

static void submit_close(struct efx_service *self, struct efx_submit *s, bool graceful)
{
    s->graceful = graceful;
    efx_solo__put(alone_of(self), &s->close_op);
}

static struct efx_rows_call *rows_call(struct efx_rows_front *front, const char *text)
{
    struct efx_rows_call *c = efx_mem_libc.alloc(&efx_mem_libc, sizeof *c);
    size_t n = strlen(text) + 1;
    char *copy = efx_mem_libc.alloc(&efx_mem_libc, n);
    if (c != NULL && copy != NULL) {
        memset(c, 0, sizeof *c);
        c->front = front;
        c->text = memcpy(copy, text, n);
        c->text_bytes = n;
        c->cancel_op = (struct op){.what = OP_CANCEL, .about = c};
        return c;
    }
    struct efx_err err = no_memory();
    front->ended(front, &err);
    if (c != NULL) {
        efx_mem_libc.free(&efx_mem_libc, c, sizeof *c);
    }
    if (copy != NULL) {
        efx_mem_libc.free(&efx_mem_libc, copy, n);
    }
    return NULL;
}

static void subscribe(struct efx_service *self, const struct efx_subscribe_ask *ask,
                      struct efx_rows_front *front, struct efx_rows_call **out)
{
    struct efx_rows_call *c = *out = rows_call(front, ask->stream);
    if (c != NULL) {
        c->level = ask->level;
        c->op = (struct op){.what = OP_SUBSCRIBE, .about = c};
        efx_solo__put(alone_of(self), &c->op);
    }
}

static void query(struct efx_service *self, const struct efx_query_ask *ask,
                  struct efx_rows_front *front, struct efx_rows_call **out)
{
    struct efx_rows_call *c = *out = rows_call(front, ask->sql);
    if (c != NULL) {
        c->level = ask->level;
        c->seq = ask->seq;
        memcpy(c->session, ask->session, sizeof c->session);
        c->op = (struct op){.what = OP_QUERY, .about = c};
        efx_solo__put(alone_of(self), &c->op);
    }
}

static void rows_cancel(struct efx_service *self, struct efx_rows_call *c)
{
    efx_solo__put(alone_of(self), &c->cancel_op);
}

static void status(struct efx_service *self, struct efx_status *out)
{
    struct efx_solo *a = alone_of(self);
    (void)pthread_mutex_lock(&a->lock);
    *out = a->numbers;
    (void)pthread_mutex_unlock(&a->lock);
    out->rows_out = a->rows_out;
    out->state_bytes = efx_state_bytes(a->efx, NULL);
}

static void operate(struct efx_service *self, const struct efx_operation_ask *ask,
                    struct efx_operation_front *front)
{
    static const struct efx_err why = {.rc = EFX_EDATA,
                                       .kind = EFX_KIND_USER,
                                       .code = 5002,
                                       .msg = "this node runs without a store and without peers"};
    (void)self;
    (void)ask;
    front->ended(front, NULL, &why);
}

static const struct efx_service_vt table = {
    .app_ref = app_ref,
    .app_unref = app_unref,
    .submit_open = submit_open,
    .builder = take_builder,
    .builder_back = give_builder,
    .submit_rows = submit_rows,
    .submit_ask = submit_ask,
    .submit_close = submit_close,
    .subscribe = subscribe,
    .query = query,
    .rows_cancel = rows_cancel,
    .status = status,
    .operate = operate,
};

/* ---- open, close ---- */

static enum efx_rc make_pool(struct efx_solo *a)
{
    const struct efx_builder *like = efx_app_builder(a->app);
    for (uint32_t i = 0; i < ALONE_BUILDERS; i++) {
        struct pooled *p = &a->pool[i];
        efx_arena_init(&p->keep, &efx_mem_libc, SIZE_MAX);
        p->op = (struct op){.what = OP_ROWS, .about = p};
        EFX_RET(efx_builder_create(&p->keep, &efx_mem_libc, like->schemas, like->n_streams,
                                   like->turns_max, &p->b));
        p->next = a->free;
        a->free = p;
    }
    return EFX_OK;
}

static char *keep_text(const char *text, size_t *n)
{
    *n = strlen(text) + 1;
    char *copy = efx_mem_libc.alloc(&efx_mem_libc, *n);
    return copy == NULL ? NULL : memcpy(copy, text, *n);
}

static void describe(struct efx_solo *a)
{
    uint64_t hash[2] = {efx_hash_bytes(a->sql, a->sql_bytes - 1), 0};
    hash[1] = efx_hash_mix(hash[0], a->sql_bytes);
    a->info = (struct efx_service_app){.program = a->program,
                                       .plan = efx_lib_plan(a->efx),
                                       .takes = efx_app_builder(a->app)->schemas,
                                       .name = a->name,
                                       .sql = a->sql,
                                       .plan_json = efx_explain(a->efx, true, false)};
    memcpy(a->info.hash, hash, sizeof a->info.hash);
    struct efx_status *st = &a->numbers;
    memcpy(st->app_hash, hash, sizeof st->app_hash);
    (void)snprintf(st->cluster, sizeof st->cluster, "alone");
    (void)snprintf(st->app, sizeof st->app, "%s", a->name);
    (void)snprintf(st->leader, sizeof st->leader, "alone");
    st->epoch = 1;
    st->store_state = "none";
    st->ready = true;
    st->n_nodes = 1;
    st->nodes[0] = (struct efx_node_info){
        .id = "alone", .state = EFX_NODE_RUNNING, .key_groups = EFX_KEY_GROUPS, .self = true};
    (void)snprintf(st->nodes[0].version, sizeof st->nodes[0].version, "%s", efx_version());
}

enum efx_rc efx_solo_open(struct efx_solo **out, struct efx *efx, const char *name, const char *sql,
                          struct efx_err *err)
{
    struct efx_solo *a = efx_mem_libc.alloc(&efx_mem_libc, sizeof *a);
    if (a == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(a, 0, sizeof *a);
    a->base.vt = &table;
    a->efx = efx;
    a->app = efx_lib_app(efx);
    a->program = efx_lib_program(efx);
    a->is_virtual = efx_lib_is_virtual(efx);
    a->last = &a->first;
    (void)pthread_mutex_init(&a->lock, NULL);
    a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->name = keep_text(name, &a->name_bytes);
    a->sql = keep_text(sql, &a->sql_bytes);
    if (a->fd < 0 || a->name == NULL || a->sql == NULL || make_pool(a) != EFX_OK) {
        efx_solo_close(&a);
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    describe(a);
    for (uint32_t i = 0; i < a->program->n_objects; i++) {
        if (a->program->objects[i]->kind == EFX_OBJ_STREAM) {
            efx_lib_on(efx, i, efx_solo_rows, a);
        }
    }
    *out = a;
    return EFX_OK;
}

struct efx_service *efx_solo_service(struct efx_solo *a)
{
    return &a->base;
}

int efx_solo_fd(const struct efx_solo *a)
{
    return a->fd;
}

void efx_solo_leave(struct efx_solo *a)
{
    struct efx_err why = {.rc = EFX_AGAIN, .kind = EFX_KIND_ENV, .code = 4006};
    struct efx_err app;
    bool failed = efx_app_error(a->app, &app) != EFX_OK;
    (void)snprintf(why.msg, sizeof why.msg, "%s%.200s",
                   failed ? "the app has stopped: " : "this node leaves", failed ? app.msg : "");
    a->leaving = true;
    note_numbers(a, EFX_AGAIN);
    efx_solo__end_submits(a, &why);
    efx_solo__end_subscribers(a, &why);
}

void efx_solo_close(struct efx_solo **a_of)
{
    struct efx_solo *a = *a_of;
    if (a == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ALONE_BUILDERS; i++) {
        if (a->pool[i].b != NULL) {
            efx_builder_close(a->pool[i].b);
        }
        if (a->pool[i].keep.mem != NULL) {
            efx_arena_fini(&a->pool[i].keep);
        }
    }
    efx_solo__free_sessions(a);
    if (a->waiting != NULL) {
        efx_mem_libc.free(&efx_mem_libc, a->waiting, a->waiting_max * sizeof(struct efx_wake *));
    }
    if (a->name != NULL) {
        efx_mem_libc.free(&efx_mem_libc, a->name, a->name_bytes);
    }
    if (a->sql != NULL) {
        efx_mem_libc.free(&efx_mem_libc, a->sql, a->sql_bytes);
    }
    if (a->fd >= 0) {
        (void)close(a->fd);
    }
    (void)pthread_mutex_destroy(&a->lock);
    efx_mem_libc.free(&efx_mem_libc, a, sizeof *a);
    *a_of = NULL;
}
