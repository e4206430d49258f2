/* Rows out: the output and the sinks. */
#include "run.h"

#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct efx_world *w = efx_world_real();
    return w->clock->monotonic_ns(w);
}

/* ---- rows ---- */

static void fail_out(struct run_out *o, enum efx_rc rc, const struct efx_err *err)
{
    o->gone = o->gone || rc == EFX_DONE;
    if (rc != EFX_DONE && !o->failed) {
        o->failed = true;
        (void)snprintf(o->why, sizeof o->why, "%s", err->msg);
    }
}

static void to_output(struct run_out *o, struct run_stream *s, const struct efx_rows *rows)
{
    struct efx_err err = {0};
    enum efx_rc rc = EFX_OK;
    if (o->heads && o->last != s->id) {
        rc = efx_out_head(&o->out, o->format, (uint16_t)s->id, &err);
        o->last = s->id;
    }
    if (rc == EFX_OK) {
        rc = efx_out_rows(&o->out, o->format, (uint16_t)s->id, rows, &s->n_rows, &err);
    }
    if (rc != EFX_OK) {
        fail_out(o, rc, &err);
    } else if (o->oldest_ns == 0) {
        o->oldest_ns = now_ns();
    }
}

/* A row that cannot be published: error.strategy of the sink's stream decides. */
static void to_sink(struct run_out *o, struct run_stream *s, const struct efx_rows *rows)
{
    struct efx_rows left = *rows;
    struct efx_err err = {0};
    uint32_t n = efx_rows_count(rows);
    if (s->sink->vt->write(s->sink, &left, &err) == EFX_OK) {
        s->n_rows += s->to_output ? 0 : n;
        return;
    }
    if (s->sink_fails) {
        fail_out(o, err.rc, &err);
        return;
    }
    if (s->n_sink_errors == 0) {
        (void)cli_fail(CLI_FAILED, "efx: stream %s: %s; its rows are dropped",
                       o->program->objects[s->id]->schema.name, err.msg);
    }
    s->n_sink_errors += n;
}

static void on_rows(void *arg, const struct efx_bobject *object, const struct efx_rows *rows)
{
    struct run_stream *s = arg;
    struct run_out *o = s->owner;
    if (o->also != NULL) {
        o->also(o->also_arg, object, rows);
    }
    (void)pthread_mutex_lock(&o->lock);
    if (!o->failed && !o->gone) {
        if (s->to_output) {
            to_output(o, s, rows);
        }
        if (s->sink != NULL) {
            to_sink(o, s, rows);
        }
        if (!s->to_output && s->sink == NULL) {
            s->n_rows += efx_rows_count(rows);
        }
    }
    (void)pthread_mutex_unlock(&o->lock);
}

void run_out_flush(struct run_out *o, bool now)
{
    struct efx_err err = {0};
    (void)pthread_mutex_lock(&o->lock);
    if (o->oldest_ns != 0 && (now || now_ns() - o->oldest_ns >= RUN_FLUSH_NS)) {
        enum efx_rc rc = o->failed || o->gone ? EFX_OK : efx_out_flush(&o->out, &err);
        if (rc != EFX_OK) {
            fail_out(o, rc, &err);
        }
        o->oldest_ns = 0;
    }
    for (uint32_t i = 0; now && i < o->program->n_objects; i++) {
        struct efx_sink *sink = o->streams[i].sink;
        if (sink != NULL && sink->vt->flush(sink, &err) != EFX_OK && o->streams[i].sink_fails) {
            fail_out(o, err.rc, &err);
        }
    }
    (void)pthread_mutex_unlock(&o->lock);
}

/* ---- sinks ---- */

static int sink_status(const struct efx_bobject *b, const struct efx_err *err)
{
    return cli_fail(err->kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx: stream %s: %s",
                    b->schema.name, err->msg);
}

static int check_sink(const struct efx_bobject *b, bool *exactly_once)
{
    const struct efx_sink_vt *vt = (const struct efx_sink_vt *)b->conf.connector;
    *exactly_once = false;
    for (uint32_t i = 0; b->conf.raw != NULL && i < b->conf.raw->n; i++) {
        const struct efx_ast_prop *p = &b->conf.raw->v[i];
        if (strcmp(p->key, "delivery") != 0 ||
            efx_str_equal_ci(p->value, efx_str_of("at-least-once"))) {
            continue;
        }
        if (!efx_str_equal_ci(p->value, efx_str_of("exactly-once"))) {
            return cli_fail(CLI_USER,
                            "efx: stream %s: 'delivery' = '" EFX_STR_FMT
                            "' is neither at-least-once nor exactly-once",
                            b->schema.name, EFX_STR_ARG(p->value));
        }
        if (vt->commit == NULL) {
            return cli_fail(CLI_USER, "efx: stream %s: the sink '%s' cannot deliver 'exactly-once'",
                            b->schema.name, vt->base.name);
        }
        *exactly_once = true;
    }
    if (b->conf.errors == EFX_ERRORS_DLQ) {
        return cli_fail(CLI_USER, "efx: stream %s: error.strategy dlq of a sink is not built yet",
                        b->schema.name);
    }
    return -1;
}

static int open_sink(struct run_out *o, const struct efx_bobject *b)
{
    struct run_stream *s = &o->streams[b->id];
    const struct efx_sink_vt *vt = (const struct efx_sink_vt *)b->conf.connector;
    const struct efx_format_vt *format =
        b->conf.format != NULL ? (const struct efx_format_vt *)b->conf.format : &efx_text_format_vt;
    const struct efx_schema **schemas =
        EFX_NEW_N(&o->arena, const struct efx_schema *, o->program->n_objects);
    struct efx_err err = {0};
    int status = check_sink(b, &s->exactly_once);
    if (status >= 0 || schemas == NULL) {
        return status >= 0 ? status : CLI_FAILED;
    }
    schemas[b->id] = &b->schema;
    struct efx_format_open how = {.conf = b->conf.format_conf,
                                  .streams = schemas,
                                  .n_streams = o->program->n_objects,
                                  .arena = &o->arena,
                                  .sink = true};
    struct efx_prop *props;
    how.n_props = run_props(&o->arena, b->conf.raw, &props);
    how.props = props;
    if (efx_format_make(format, &how, &s->sink_format, &err) != EFX_OK) {
        return sink_status(b, &err);
    }
    s->sink_fails = b->conf.errors == EFX_ERRORS_FAIL;
    if (s->exactly_once) {
        return -1; /* opened when it is known from which checkpoint */
    }
    struct efx_sink_open open = {.conf = b->conf.connector_conf,
                                 .format = s->sink_format,
                                 .schema = &b->schema,
                                 .stream = (uint16_t)b->id,
                                 .arena = &o->arena};
    if (efx_sink_make(vt, &open, efx_world_real(), &s->sink, &err) != EFX_OK) {
        return sink_status(b, &err);
    }
    return -1;
}

/* ---- open ---- */

static int choose(struct run_out *o, const struct efx *app, const struct run_out_opts *opts,
                  bool sinks)
{
    uint32_t n = efx_n_streams(app);
    for (uint32_t i = 0; opts->only != NULL && i < opts->only->n; i++) {
        const struct efx_stream *s = efx_stream_named(app, opts->only->v[i]);
        if (s == NULL || s->is_table) {
            const char *names[256];
            uint32_t k = 0;
            for (; k < n && k < 256; k++) {
                names[k] = efx_stream_at(app, k)->name;
            }
            const char *near = opts_nearest(opts->only->v[i], names, k);
            return cli_fail(CLI_USER, "efx run: --only: there is no stream '%s'%s%s%s",
                            opts->only->v[i], near != NULL ? "; did you mean '" : "",
                            near != NULL ? near : "", near != NULL ? "'?" : "");
        }
        for (uint32_t k = 0; k < n; k++) {
            o->streams[k].to_output = o->streams[k].to_output || efx_stream_at(app, k) == s;
        }
    }
    bool all = (opts->only == NULL || opts->only->n == 0) && (opts->path != NULL || !sinks);
    for (uint32_t i = 0; all && i < n; i++) {
        const struct efx_stream *s = efx_stream_at(app, i);
        o->streams[i].to_output = s->is_derived && s->name[0] != '!' && s->name[0] != '#';
    }
    return -1;
}

static int open_format(struct run_out *o, const struct run_out_opts *opts)
{
    uint32_t n = o->program->n_objects, chosen = 0;
    const struct efx_schema **schemas = EFX_NEW_N(&o->arena, const struct efx_schema *, n + 1);
    struct efx_err err = {0};
    for (uint32_t i = 0; schemas != NULL && i < n; i++) {
        schemas[i] = o->streams[i].to_output ? &o->program->objects[i]->schema : NULL;
        chosen += o->streams[i].to_output;
    }
    if (schemas == NULL || chosen == 0) {
        return schemas == NULL ? CLI_FAILED : -1;
    }
    bool csv = opts->format[0] == 'c', table = opts->format[0] == 't';
    if (csv && chosen > 1) {
        return cli_fail(CLI_USER,
                        "efx run: CSV holds one stream and the program has %u: choose "
                        "with --only STREAM",
                        chosen);
    }
    const struct efx_format_vt *vt = csv     ? &efx_csv_format_vt
                                     : table ? &cli_table_format_vt
                                             : &efx_events_format_vt;
    const struct efx_prop header = {"csv.has-header", {"true", 4}};
    struct efx_format_open how = {.conf = csv ? cli_csv_conf() : NULL,
                                  .streams = schemas,
                                  .n_streams = n,
                                  .arena = &o->arena,
                                  .sink = true,
                                  .props = &header,
                                  .n_props = csv};
    o->heads = csv || table;
    if (efx_format_make(vt, &how, &o->format, &err) != EFX_OK) {
        return cli_fail(CLI_FAILED, "efx run: %s", err.msg);
    }
    return -1;
}

static int open_path(struct run_out *o, const char *path, bool keeps)
{
    int fd = STDOUT_FILENO;
    o->path = path;
    if (path != NULL && strcmp(path, "-") != 0) {
        fd = open(path, O_WRONLY | O_CREAT | (keeps ? 0 : O_TRUNC) | O_CLOEXEC, 0666);
        if (fd < 0) {
            return cli_fail(CLI_FAILED, "efx run: cannot write %s: %s", path, strerror(errno));
        }
    }
    efx_out_init(&o->out, fd);
    return -1;
}

int run_out_open(struct run_out *o, struct efx *app, const struct run_out_opts *opts)
{
    bool sinks = false;
    int status = -1;
    *o = (struct run_out){.program = efx_lib_program(app),
                          .last = EFX_NO_COL,
                          .also = opts->also,
                          .also_arg = opts->also_arg};
    uint32_t n = o->n_streams = o->program->n_objects;
    efx_arena_init(&o->arena, &efx_mem_libc, SIZE_MAX);
    (void)pthread_mutex_init(&o->lock, NULL);
    efx_out_init(&o->out, STDOUT_FILENO);
    o->streams = EFX_NEW_N(&o->arena, struct run_stream, n + 1);
    if (o->streams == NULL) {
        return CLI_FAILED;
    }
    for (uint32_t i = 0; i < n && status < 0; i++) {
        const struct efx_bobject *b = o->program->objects[i];
        o->streams[i] = (struct run_stream){.owner = o, .id = i};
        if (b->kind == EFX_OBJ_STREAM && b->conf.role == EFX_ROLE_SINK && !opts->discard) {
            sinks = true;
            status = open_sink(o, b);
        }
    }
    if (status < 0 && !opts->discard) {
        status = choose(o, app, opts, sinks);
        status = status < 0 ? open_format(o, opts) : status;
        status = status < 0 ? open_path(o, opts->path, opts->keeps) : status;
    }
    for (uint32_t i = 0; i < n && status < 0; i++) {
        const struct efx_stream *s = efx_stream_at(app, i);
        if (o->streams[i].to_output || o->streams[i].sink != NULL || o->streams[i].exactly_once ||
            (s->is_derived && s->name[0] != '!' && s->name[0] != '#')) {
            efx_lib_on(app, i, on_rows, &o->streams[i]);
        }
    }
    return status;
}

void run_out_close(struct run_out *o)
{
    for (uint32_t i = 0; o->streams != NULL && i < o->n_streams; i++) {
        if (o->streams[i].sink != NULL) {
            o->streams[i].sink->vt->close(o->streams[i].sink);
        }
    }
    if (o->out.fd > STDERR_FILENO) {
        (void)close(o->out.fd);
    }
    efx_out_fini(&o->out);
    efx_arena_fini(&o->arena);
    (void)pthread_mutex_destroy(&o->lock);
}
