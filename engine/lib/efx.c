/* The public library: compiles a program, makes the app, and translates between values and
 * columns. */
#include "lib.h"

#include "efx_aggs.h"
#include "efx_io.h"
#include "efx_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- errors ---- */

static enum efx_code fail(struct efx_error *err, enum efx_code code, uint16_t efx, const char *msg)
{
    if (err != NULL) {
        err->code = code;
        err->efx = efx;
        (void)snprintf(err->msg, sizeof err->msg, "%s", msg);
    }
    return code;
}

enum efx_code efx_lib__code(enum efx_rc rc)
{
    switch (rc) {
    case EFX_OK:
    case EFX_AGAIN:
    case EFX_DONE: return EFX_RC_OK;
    case EFX_ENOMEM:
    case EFX_ELIMIT: return EFX_RC_MEMORY;
    case EFX_EPARSE:
    case EFX_ETYPE: return EFX_RC_SQL;
    case EFX_EDATA: return EFX_RC_DATA;
    case EFX_EIO:
    case EFX_EABSENT:
    case EFX_ESTALE: return EFX_RC_ENV;
    case EFX_EBUG: return EFX_RC_BUG;
    }
    return EFX_RC_BUG;
}

static enum efx_code fail_rc(struct efx_error *err, enum efx_rc rc, const struct efx_err *e)
{
    return rc == EFX_OK ? EFX_RC_OK : fail(err, efx_lib__code(rc), e->code, e->msg);
}

/* ---- registry ---- */

const struct efx_registry *efx_lib_registry(void)
{
    static struct efx_registry r;
    r = (struct efx_registry){
        .windows = efx_windows,
        .n_windows = efx_n_windows,
        .aggs = efx_aggs,
        .n_aggs = efx_n_aggs,
        .sources = efx_io_sources,
        .n_sources = efx_io_n_sources,
        .sinks = efx_io_sinks,
        .n_sinks = efx_io_n_sinks,
        .formats = efx_io_formats,
        .n_formats = efx_io_n_formats,
    };
    return &r;
}

/* ---- open ---- */

static enum efx_val_type val_type(enum efx_type t)
{
    return (enum efx_val_type)t; /* the same numbers, checked below */
}
_Static_assert((int)EFX_VAL_INT == (int)EFX_TYPE_INT && (int)EFX_VAL_OBJECT == (int)EFX_TYPE_OBJECT,
               "public and inner types have the same numbers");

static enum efx_rc describe_streams(struct efx *e)
{
    const struct efx_program *p = e->program;
    e->streams = EFX_NEW_N(&e->arena, struct efx_stream, p->n_objects + 1);
    e->listeners = EFX_NEW_N(&e->arena, struct listener, p->n_objects + 1);
    if (e->streams == NULL || e->listeners == NULL) {
        return EFX_ENOMEM;
    }
    e->n_streams = p->n_objects;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        const struct efx_bobject *o = p->objects[i];
        struct efx_column *cols = EFX_NEW_N(&e->arena, struct efx_column, o->schema.n_cols + 1);
        if (cols == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t c = 0; c < o->schema.n_cols; c++) {
            cols[c] = (struct efx_column){o->schema.cols[c].name, val_type(o->schema.cols[c].type)};
        }
        e->streams[i] = (struct efx_stream){
            .name = o->schema.name,
            .n_columns = o->schema.n_cols,
            .columns = cols,
            .is_table = o->kind == EFX_OBJ_TABLE,
            .is_input = o->kind == EFX_OBJ_TABLE ||
                        (o->kind == EFX_OBJ_STREAM && o->declared && o->partition == EFX_NO_COL),
            .is_derived = o->fault_of != NULL,
        };
        e->listeners[i] = (struct listener){.owner = e, .object = i};
    }
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        const struct efx_bobject *to = p->stmts[i]->target.object;
        if (to != NULL && to->kind == EFX_OBJ_STREAM && to->partition == EFX_NO_COL) {
            e->streams[to->id].is_derived = true;
        }
    }
    return EFX_OK;
}

static uint64_t memory_limit(const struct efx_options *o)
{
    if (o->state_max_bytes > 0) {
        return o->state_max_bytes;
    }
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
    unsigned long long limit;
    if (f != NULL) {
        if (fscanf(f, "%llu", &limit) == 1 && limit < bytes) {
            bytes = limit;
        }
        (void)fclose(f);
    }
    return bytes / 4 * 3;
}

uint32_t efx_lib__shards(const struct efx_options *o)
{
    long n = o->shards > 0 ? (long)o->shards : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > EFX_SHARDS_MAX ? EFX_SHARDS_MAX : (uint32_t)n;
}

static enum efx_rc compile(struct efx *e)
{
    struct efx_ast *ast;
    EFX_RET(efx_parse_program(&e->arena, &e->diags, &ast));
    enum efx_rc rc =
        efx_bind_program(&e->arena, efx_lib_registry(), ast, &e->diags, NULL, &e->program);
    if (rc == EFX_OK && e->diags.n_errors > 0) {
        rc = EFX_ETYPE;
    }
    EFX_RET(rc);
    struct efx_plan_opts o = {
        .registry = efx_lib_registry(),
        .ordered = e->options.ordered,
        .n_shards = e->part != NULL ? e->part->n_shards : efx_lib__shards(&e->options),
        .max_partials = e->options.max_partials > 0 ? e->options.max_partials : 10000000,
        .max_catch_up = e->options.max_catch_up > 0 ? e->options.max_catch_up : 1000000,
    };
    return efx_plan_make(&e->arena, e->program, &o, &e->diags, &e->plan);
}

static int64_t system_ms(void *arg)
{
    (void)arg;
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum efx_rc make_app(struct efx *e, struct efx_err *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t shards = efx_lib__shards(&e->options);
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    efx_budget_init(&e->budget, &efx_mem_libc, memory_limit(&e->options));
    struct efx_app_opts o = {
        .n_shards = shards,
        .n_workers = shards == 1 ? 0
                     : cores > 2 ? (uint32_t)cores - 1
                                 : 1,
        .max_batch = e->options.max_batch > 0 && e->options.max_batch <= EFX_STEP_TURNS_MAX
                         ? e->options.max_batch
                         : EFX_STEP_TURNS_MAX,
        .virtual_clock = e->virtual_clock,
        .ordered = e->options.ordered,
        .seed = e->options.seed != 0
                    ? e->options.seed
                    : (uint64_t)t.tv_nsec * 0x9E3779B97F4A7C15u ^ (uint64_t)getpid(),
        .loop_max_rows =
            e->options.loop_max_rows > 0 ? (uint64_t)e->options.loop_max_rows : 1000000,
        .mem = &e->budget.base,
        .now_ms = system_ms,
    };
    if (e->part != NULL) {
        o.n_shards = e->part->n_shards;
        o.n_workers = e->part->n_workers;
        o.member = e->part->member;
        o.front = e->part->front;
        o.now_ms = e->part->now_ms != NULL ? e->part->now_ms : system_ms;
        o.now_arg = e->part->now_arg;
    }
    return efx_app_create(e->plan, &o, &e->app, err);
}

static const char *all_messages(struct efx *e)
{
    const char *text = "";
    for (int pass = 0; pass < 2; pass++) {
        const struct efx_diag *d = pass == 0 ? e->diags.errors : e->diags.warnings;
        for (; d != NULL; d = d->next) {
            const char *more =
                efx_arena_printf(&e->arena, "%s%s", text, efx_diag_text(&e->diags, d));
            text = more != NULL ? more : text;
        }
    }
    return text;
}

enum efx_code efx_open(struct efx **out, const char *sql, const struct efx_options *options,
                       struct efx_error *err)
{
    return efx_lib_open_member(out, sql, options, NULL, err);
}

enum efx_code efx_lib_open_member(struct efx **out, const char *sql,
                                  const struct efx_options *options,
                                  const struct efx_lib_member *part, struct efx_error *err)
{
    struct efx_options defaults = EFX_OPTIONS_INIT;
    struct efx *e = efx_mem_libc.alloc(&efx_mem_libc, sizeof *e);
    *out = e;
    if (e == NULL) {
        return fail(err, EFX_RC_MEMORY, 0, "out of memory");
    }
    memset(e, 0, sizeof *e);
    e->options = defaults;
    if (options != NULL) {
        memcpy(&e->options, options,
               options->size < sizeof *options ? options->size : sizeof *options);
    }
    e->part = part;
    (void)pthread_mutex_init(&e->lock, NULL);
    efx_arena_init(&e->arena, &efx_mem_libc, SIZE_MAX);
    char *text = efx_arena_str(&e->arena, sql, strlen(sql));
    efx_diags_init(&e->diags, &e->arena, efx_str_of(text == NULL ? "" : text),
                   e->options.file != NULL ? e->options.file : "app.sql");
    enum efx_rc rc = compile(e);
    e->messages = all_messages(e);
    if (rc != EFX_OK) {
        return e->diags.errors == NULL
                   ? fail(err, efx_lib__code(rc), 0, "out of memory")
                   : fail(err, EFX_RC_SQL, e->diags.errors->code, e->diags.errors->msg);
    }
    e->virtual_clock = e->options.clock == EFX_CLOCK_VIRTUAL ||
                       (e->options.clock == EFX_CLOCK_AUTO && e->program->event_time);
    struct efx_err inner = {0};
    rc = describe_streams(e);
    if (rc == EFX_OK) {
        rc = make_app(e, &inner);
    }
    e->part = NULL;
    return rc == EFX_OK ? EFX_RC_OK : fail_rc(err, rc, &inner);
}

void efx_close(struct efx **app)
{
    struct efx *e = *app;
    if (e != NULL) {
        if (e->keeper.close != NULL) {
            e->keeper.close(e->keeper.arg);
        }
        efx_app_destroy(&e->app);
        efx_arena_fini(&e->arena);
        (void)pthread_mutex_destroy(&e->lock);
        efx_mem_libc.free(&efx_mem_libc, e, sizeof *e);
        *app = NULL;
    }
}

const char *efx_messages(const struct efx *app)
{
    return app->messages;
}

bool efx_has_errors(const struct efx *app)
{
    return app->diags.n_errors > 0;
}

const char *efx_version(void)
{
    return "0.1.0";
}

/* ---- streams ---- */

uint32_t efx_n_streams(const struct efx *app)
{
    return app->n_streams;
}

const struct efx_stream *efx_stream_at(const struct efx *app, uint32_t i)
{
    return i < app->n_streams ? &app->streams[i] : NULL;
}

const struct efx_stream *efx_stream_named(const struct efx *app, const char *name)
{
    for (uint32_t i = 0; i < app->n_streams; i++) {
        if (strcmp(app->streams[i].name, name) == 0) {
            return &app->streams[i];
        }
    }
    return NULL;
}

uint32_t efx_lib__stream(const struct efx *app, const char *name)
{
    const struct efx_stream *s = efx_stream_named(app, name);
    return s == NULL ? EFX_NO_COL : (uint32_t)(s - app->streams);
}

/* ---- events out ---- */

static efx_val val_of(const struct efx_col *c, uint32_t i)
{
    struct efx_value v = efx_value_of_col(c, i);
    efx_val out = {.type = val_type(c->type), .null = v.null};
    if (v.null) {
        return out;
    }
    switch (c->type) {
    case EFX_TYPE_NONE: out.null = true; break;
    case EFX_TYPE_INT: out.u.i = v.i; break;
    case EFX_TYPE_LONG: out.u.l = v.l; break;
    case EFX_TYPE_FLOAT: out.u.f = v.f; break;
    case EFX_TYPE_DOUBLE: out.u.d = v.d; break;
    case EFX_TYPE_BOOL: out.u.b = v.b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        out.u.s.p = v.s.p;
        out.u.s.n = v.s.n;
        break;
    }
    return out;
}

static void give_rows(struct listener *l, const struct efx_bobject *stream,
                      const struct efx_rows *rows)
{
    const struct efx_stream *s = &l->owner->streams[stream->id];
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (!efx_bit(rows->b->sel, i)) {
            continue;
        }
        for (uint32_t c = 0; c < s->n_columns; c++) {
            l->values[c] = val_of(&rows->b->cols[c], i);
        }
        struct efx_row row = {s, rows->b->ts_ms[i], efx_batch_kind(rows->b, i) == EFX_ROW_EXPIRED,
                              l->values};
        l->row(l->row_arg, &row);
    }
}

/* Slices that do not begin at a word of 64 rows are given with a selection of their own. */
static void give_columns(struct listener *l, const struct efx_bobject *stream,
                         const struct efx_rows *rows)
{
    const struct efx_stream *s = &l->owner->streams[stream->id];
    uint64_t sel[EFX_BATCH_WORDS];
    uint8_t expired[EFX_BATCH_ROWS_MAX];
    struct efx_columns out = {
        .n_rows = rows->until, .data = l->data, .valid = l->valid, .ts_ms = rows->b->ts_ms};
    for (uint32_t c = 0; c < s->n_columns; c++) {
        l->data[c] = rows->b->cols[c].data;
        l->valid[c] = rows->b->cols[c].valid;
    }
    if (rows->from != 0 || rows->b->sel != NULL) {
        memset(sel, 0, sizeof sel);
        for (uint32_t w = rows->from / 64; w < efx_words(rows->until); w++) {
            sel[w] = efx_rows_word(rows, w);
        }
        out.sel = sel;
    }
    for (uint32_t i = rows->from; rows->b->kind != NULL && i < rows->until; i++) {
        expired[i] = rows->b->kind[i] == EFX_ROW_EXPIRED;
        out.expired = expired;
    }
    l->columns(l->columns_arg, s, &out);
}

static void give(void *arg, const struct efx_bobject *stream, const struct efx_rows *rows)
{
    struct listener *l = arg;
    if (l->direct != NULL) {
        l->direct(l->direct_arg, stream, rows);
    }
    if (l->row != NULL) {
        give_rows(l, stream, rows);
    }
    if (l->columns != NULL) {
        give_columns(l, stream, rows);
    }
}

void efx_lib_give(struct efx *app, uint32_t object, const struct efx_rows *rows)
{
    give(&app->listeners[object], app->program->objects[object], rows);
}

static struct listener *listen(struct efx *app, const char *stream)
{
    uint32_t id = app->app == NULL || app->started ? EFX_NO_COL : efx_lib__stream(app, stream);
    if (id == EFX_NO_COL) {
        return NULL;
    }
    struct listener *l = &app->listeners[id];
    if (l->values == NULL) {
        uint32_t n = app->streams[id].n_columns + 1;
        l->values = EFX_NEW_N(&app->arena, efx_val, n);
        l->data = EFX_NEW_N(&app->arena, const void *, n);
        l->valid = EFX_NEW_N(&app->arena, const uint64_t *, n);
        if (l->values == NULL || l->data == NULL || l->valid == NULL) {
            return NULL;
        }
    }
    efx_app_on(app->app, id, give, l);
    return l;
}

enum efx_code efx_on(struct efx *app, const char *stream, efx_row_fn fn, void *arg)
{
    struct listener *l = listen(app, stream);
    if (l == NULL) {
        return EFX_RC_USE;
    }
    l->row = fn;
    l->row_arg = arg;
    return EFX_RC_OK;
}

enum efx_code efx_on_columns(struct efx *app, const char *stream, efx_columns_fn fn, void *arg)
{
    struct listener *l = listen(app, stream);
    if (l == NULL) {
        return EFX_RC_USE;
    }
    l->columns = fn;
    l->columns_arg = arg;
    return EFX_RC_OK;
}

void efx_lib_on(struct efx *app, uint32_t object, efx_app_out_fn fn, void *arg)
{
    struct listener *l = listen(app, app->streams[object].name);
    if (l != NULL) {
        l->direct = fn;
        l->direct_arg = arg;
    }
}

/* ---- events in ---- */

enum efx_code efx_start(struct efx *app, struct efx_error *err)
{
    if (app->app == NULL || app->started) {
        return fail(err, EFX_RC_USE, 0, "the app cannot be started");
    }
    struct efx_err inner = {0};
    enum efx_rc rc = efx_app_start(app->app, &inner);
    app->started = rc == EFX_OK;
    return fail_rc(err, rc, &inner);
}

enum efx_code efx_advance(struct efx *app, int64_t by_ms)
{
    if (!app->started || by_ms < 0) {
        return EFX_RC_USE;
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = EFX_OK;
    if (!app->virtual_clock) {
        rc = efx_app_submit(app->app);
        rc = rc == EFX_OK ? efx_app_tick(app->app) : rc;
    } else {
        if (efx_builder_full(efx_app_builder(app->app))) {
            rc = efx_app_submit(app->app);
        }
        rc = rc == EFX_OK ? efx_builder_advance(efx_app_builder(app->app), by_ms) : rc;
    }
    (void)pthread_mutex_unlock(&app->lock);
    return efx_lib__code(rc);
}

enum efx_code efx_flush(struct efx *app)
{
    if (!app->started) {
        return EFX_RC_USE;
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = efx_app_flush(app->app);
    (void)pthread_mutex_unlock(&app->lock);
    return efx_lib__code(rc);
}

enum efx_code efx_finish(struct efx *app, int64_t drain_ms)
{
    if (!app->started) {
        return EFX_RC_USE;
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = efx_app_finish(app->app, drain_ms);
    (void)pthread_mutex_unlock(&app->lock);
    return efx_lib__code(rc);
}

enum efx_code efx_status(const struct efx *app, struct efx_error *err)
{
    struct efx_err inner = {0};
    if (!app->started) {
        return EFX_RC_OK;
    }
    enum efx_rc rc = efx_app_error(app->app, &inner);
    return fail_rc(err, rc, &inner);
}

/* ---- state ---- */

enum efx_code efx_save(struct efx *app, bool base, void **bytes, size_t *n, struct efx_error *err)
{
    if (!app->started) {
        return fail(err, EFX_RC_USE, 0, "the app is not started");
    }
    struct efx_err inner = {0};
    uint8_t *p = NULL;
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = efx_app_save(app->app, base, &p, n, &inner);
    (void)pthread_mutex_unlock(&app->lock);
    *bytes = p;
    return fail_rc(err, rc, &inner);
}

enum efx_code efx_load(struct efx *app, const void *const *bytes, const size_t *n, uint32_t n_chain,
                       struct efx_error *err)
{
    if (!app->started) {
        return fail(err, EFX_RC_USE, 0, "the app is not started");
    }
    struct efx_err inner = {0};
    enum efx_rc rc = EFX_ENOMEM;
    struct efx_bytes *chain = efx_mem_libc.alloc(&efx_mem_libc, (n_chain + 1) * sizeof *chain);
    if (chain != NULL) {
        for (uint32_t i = 0; i < n_chain; i++) {
            chain[i] = (struct efx_bytes){bytes[i], n[i]};
        }
        (void)pthread_mutex_lock(&app->lock);
        rc = efx_app_load(app->app, chain, n_chain, &inner);
        (void)pthread_mutex_unlock(&app->lock);
        efx_mem_libc.free(&efx_mem_libc, chain, (n_chain + 1) * sizeof *chain);
    }
    return fail_rc(err, rc, &inner);
}

void efx_free(void *bytes, size_t n)
{
    efx_mem_libc.free(&efx_mem_libc, bytes, n);
}

enum efx_code efx_lib_query(struct efx *app, const char *sql, const struct efx_lib_answer *to,
                            uint64_t *changed, struct efx_error *err)
{
    if (!app->started) {
        return fail(err, EFX_RC_USE, 0, "the app is not started");
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = efx_app_flush(app->app);
    enum efx_code code = rc == EFX_OK ? efx_lib__query(app, sql, to, changed, err)
                                      : fail(err, efx_lib__code(rc), 0, "the app has stopped");
    (void)pthread_mutex_unlock(&app->lock);
    return code;
}

enum efx_code efx_query(struct efx *app, const char *sql, efx_row_fn fn, void *arg,
                        uint64_t *changed, struct efx_error *err)
{
    const struct efx_lib_answer to = {.row = fn, .arg = arg};
    return efx_lib_query(app, sql, &to, changed, err);
}

/* ---- numbers ---- */

/* "EFX-3101": the head of the code's sentence, which is static. */
static const char *error_name(uint16_t code)
{
    static const char *const names[] = {"EFX-3001", "EFX-3002", "EFX-3003", "EFX-3004",
                                        "EFX-3101", "EFX-3102", "EFX-3104", "EFX-3105",
                                        "EFX-3106", "EFX-3201", "EFX-3301"};
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strtoul(names[i] + 4, NULL, 10) == code) {
            return names[i];
        }
    }
    return "EFX-3000";
}

uint32_t efx_counts(struct efx *app, struct efx_count *out, uint32_t max)
{
    struct efx_app_count inner[512];
    uint32_t n = 0;
    if (!app->started) {
        return 0;
    }
    for (uint32_t i = 0; i < app->n_streams; i++) {
        uint64_t rows = efx_app_rows_in(app->app, i);
        if (rows > 0 && n < max) {
            out[n++] = (struct efx_count){app->streams[i].name, "rows_in", rows};
        }
    }
    uint32_t k = efx_app_counts(app->app, inner, 512);
    for (uint32_t i = 0; i < k && n < max; i++) {
        const char *name = inner[i].name;
        if (inner[i].code != 0) {
            name = error_name(inner[i].code);
        }
        out[n++] = (struct efx_count){
            inner[i].object == EFX_NO_COL ? NULL : app->streams[inner[i].object].name, name,
            inner[i].n};
    }
    return n;
}

size_t efx_state_bytes(struct efx *app, size_t *peak)
{
    if (peak != NULL) {
        *peak = __atomic_load_n(&app->budget.peak_bytes, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&app->budget.used_bytes, __ATOMIC_RELAXED);
}

/* ---- for the command line ---- */

struct efx_app *efx_lib_app(struct efx *app)
{
    return app->app;
}

const struct efx_program *efx_lib_program(const struct efx *app)
{
    return app->program;
}

const struct efx_plan *efx_lib_plan(const struct efx *app)
{
    return app->plan;
}

const char *efx_lib_sql(const struct efx *app)
{
    return app->diags.text.p;
}

bool efx_lib_is_virtual(const struct efx *app)
{
    return app->virtual_clock;
}

struct efx_lib_keeper *efx_lib_keeper(struct efx *app)
{
    return &app->keeper;
}

bool efx_lib_started(const struct efx *app)
{
    return app->started;
}

void efx_lib_lock(struct efx *app)
{
    (void)pthread_mutex_lock(&app->lock);
}

void efx_lib_unlock(struct efx *app)
{
    (void)pthread_mutex_unlock(&app->lock);
}

enum efx_code efx_lib_code(enum efx_rc rc)
{
    return efx_lib__code(rc);
}

struct efx_lib__parts efx_lib__parts(struct efx *app)
{
    return (struct efx_lib__parts){app->app, app->plan, app->program};
}

struct efx_arena *efx_lib__arena(struct efx *app)
{
    return &app->arena;
}

const struct efx_diags *efx_lib__diags(const struct efx *app)
{
    return &app->diags;
}
