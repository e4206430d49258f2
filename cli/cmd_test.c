/* efx test: query tests on the virtual clock.
 *
 * A case has an app of its own. An expectation sees the rows of its stream since the last one about
 * it; before one that no step follows the input ends, as in efx run. The rows of a query are those
 * of a stream called "query".
 */
#include "cli.h"

#include "test_rows.h"

#include "efx_together.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_opts {
    struct cli_settings settings;
    int64_t nodes;
};

static const struct opt options[] = {
    {.name = "nodes",
     .kind = OPT_NUMBER,
     .off = offsetof(struct test_opts, nodes),
     .arg = "N",
     .min = 1,
     .max = 16,
     .help = "runs on a cluster of N members in this process: 1"},
    CLI_SETTINGS(struct test_opts, settings),
    {0},
};

enum { CHAIN_MAX = 64 };

struct runner { /* of a case */
    struct efx_arena arena;
    const struct test_file *file;
    const struct test_case *c;
    struct efx_options options;
    struct efx *app;
    uint32_t nodes; /* > 1: the app is the front of a cluster */
    struct efx_together *together;
    struct efx_together_place *place;
    struct test_got_stream *streams;
    uint32_t n_chain; /* checkpoints, oldest first */
    void *bytes[CHAIN_MAX];
    size_t n_bytes[CHAIN_MAX];
    uint16_t query_error;
    bool finished;
};

/* ---- rows ---- */

static struct test_got_stream *got_stream(struct runner *r, const char *name)
{
    for (struct test_got_stream *s = r->streams; s != NULL; s = s->next) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    struct test_got_stream *s = EFX_NEW(&r->arena, struct test_got_stream);
    EFX_ASSERT(s != NULL);
    *s = (struct test_got_stream){efx_arena_str(&r->arena, name, strlen(name)), NULL, &s->rows,
                                  r->streams};
    return r->streams = s;
}

static void keep(struct runner *r, struct test_got_stream *s, const struct efx_row *row)
{
    struct test_got *g = EFX_NEW(&r->arena, struct test_got);
    uint32_t n = row->stream->n_columns;
    efx_val *v = EFX_NEW_N(&r->arena, efx_val, n + 1);
    EFX_ASSERT(g != NULL && v != NULL);
    for (uint32_t c = 0; c < n; c++) {
        v[c] = row->values[c];
        if (v[c].type >= EFX_VAL_STRING && !v[c].null) {
            v[c].u.s.p = efx_arena_str(&r->arena, v[c].u.s.p, v[c].u.s.n);
        }
    }
    *g = (struct test_got){row->ts_ms, row->expired, n, v, NULL};
    *s->end = g;
    s->end = &g->next;
}

static void on_row(void *arg, const struct efx_row *row)
{
    struct runner *r = arg;
    keep(r, got_stream(r, row->stream->name), row);
}

static void on_query_row(void *arg, const struct efx_row *row)
{
    struct runner *r = arg;
    keep(r, got_stream(r, "query"), row);
}

/* ---- the app ---- */

static bool say(const struct runner *r, uint32_t line, const char *what)
{
    printf("FAILED %s:%u %s: %s\n", r->file->path, line, r->c->name, what);
    return false;
}

static enum efx_code open_app(struct runner *r, struct efx_error *err)
{
    if (r->nodes == 1) {
        return efx_open(&r->app, r->file->sql, &r->options, err);
    }
    if (r->place == NULL && efx_together_place_create(&r->place) != EFX_RC_OK) {
        return EFX_RC_MEMORY;
    }
    enum efx_code code =
        efx_together_open(&r->together, r->file->sql, &r->options, r->nodes, r->place, err);
    r->app = efx_together_app(r->together);
    return code;
}

static void close_app(struct runner *r)
{
    if (r->nodes == 1) {
        efx_close(&r->app);
    } else {
        efx_together_close(&r->together);
        r->app = NULL;
    }
}

static bool start(struct runner *r, uint32_t line)
{
    struct efx_error err = {0};
    enum efx_code code = open_app(r, &err);
    for (uint32_t i = 0; code == EFX_RC_OK && i < efx_n_streams(r->app); i++) {
        const struct efx_stream *s = efx_stream_at(r->app, i);
        if (!s->is_table) {
            code = efx_on(r->app, s->name, on_row, r);
        }
    }
    code = code == EFX_RC_OK ? efx_start(r->app, &err) : code;
    code = code == EFX_RC_OK && r->nodes > 1 ? efx_together_start(r->together, &err) : code;
    return code == EFX_RC_OK || say(r, line, err.msg);
}

static bool load(struct runner *r, uint32_t line)
{
    struct efx_error err = {0};
    const void *bytes[CHAIN_MAX];
    for (uint32_t i = 0; i < r->n_chain; i++) {
        bytes[i] = r->bytes[i];
    }
    (void)efx_flush(r->app); /* what was sent has happened, and shows, before the stop */
    close_app(r);
    if (!start(r, line)) {
        return false;
    }
    return r->nodes > 1 || r->n_chain == 0 ||
           efx_load(r->app, bytes, r->n_bytes, r->n_chain, &err) == EFX_RC_OK ||
           say(r, line, err.msg);
}

static void drop_chain(struct runner *r)
{
    for (uint32_t i = 0; i < r->n_chain; i++) {
        efx_free(r->bytes[i], r->n_bytes[i]);
    }
    r->n_chain = 0;
}

static bool checkpoint(struct runner *r, bool base, uint32_t line)
{
    struct efx_error err = {0};
    base = base || r->n_chain == 0 || r->n_chain == CHAIN_MAX;
    if (efx_flush(r->app) != EFX_RC_OK) {
        return say(r, line, "the app has stopped");
    }
    if (r->nodes > 1) {
        return efx_together_checkpoint(r->together, &err) == EFX_RC_OK || say(r, line, err.msg);
    }
    if (base) {
        drop_chain(r);
    }
    if (efx_save(r->app, base, &r->bytes[r->n_chain], &r->n_bytes[r->n_chain], &err) != EFX_RC_OK) {
        return say(r, line, err.msg);
    }
    r->n_chain++;
    return true;
}

/* ---- steps ---- */

static bool send_event(struct runner *r, const struct test_step *s)
{
    const struct efx_stream *to = efx_stream_named(r->app, s->stream);
    const struct test_row *row = s->rows;
    char why[256];
    if (to == NULL || !to->is_input) {
        (void)snprintf(why, sizeof why, "no stream '%s' takes events", s->stream);
        return say(r, s->line, why);
    }
    if (row->n != to->n_columns) {
        (void)snprintf(why, sizeof why, "%s has %u columns, not %u", s->stream, to->n_columns,
                       row->n);
        return say(r, s->line, why);
    }
    efx_val *v = EFX_NEW_N(&r->arena, efx_val, row->n + 1);
    EFX_ASSERT(v != NULL);
    for (uint32_t c = 0; c < row->n; c++) {
        v[c] = test_value_of(&r->arena, &row->v[c], to->columns[c].type);
    }
    enum efx_code code = efx_send(r->app, s->stream, row->ts_ms, v, row->n);
    return code == EFX_RC_OK || code == EFX_RC_DATA || say(r, s->line, "the app has stopped");
}

static bool query(struct runner *r, const struct test_step *s)
{
    struct efx_error err = {0};
    uint64_t changed = 0;
    enum efx_code code =
        r->nodes > 1 ? efx_together_query(r->together, s->stream, on_query_row, r, &changed, &err)
                     : efx_query(r->app, s->stream, on_query_row, r, &changed, &err);
    r->query_error = code == EFX_RC_OK ? 0 : err.efx;
    return code == EFX_RC_OK || err.efx != 0 || say(r, s->line, err.msg);
}

static bool has_error(struct runner *r, int64_t code)
{
    struct efx_count counts[512];
    char name[16];
    (void)snprintf(name, sizeof name, "EFX-%04d", (int)code);
    uint32_t n = efx_counts(r->app, counts, 512);
    for (uint32_t i = 0; i < n && i < 512; i++) {
        if (strcmp(counts[i].name, name) == 0 && counts[i].n > 0) {
            return true;
        }
    }
    return r->query_error == code;
}

static bool steps_follow(const struct test_step *s)
{
    for (; s != NULL; s = s->next) {
        if (s->kind != TEST_EXPECT) {
            return true;
        }
    }
    return false;
}

static bool expect(struct runner *r, const struct test_step *s)
{
    char why[256];
    if (efx_flush(r->app) != EFX_RC_OK && efx_status(r->app, NULL) == EFX_RC_OK) {
        return say(r, s->line, "the app has stopped");
    }
    if (!r->finished && !steps_follow(s)) {
        r->finished = true;
        (void)efx_finish(r->app, 0);
        (void)efx_flush(r->app);
    }
    if (s->expect == TEST_ERROR) {
        (void)snprintf(why, sizeof why, "EFX-%04d did not occur", (int)s->number);
        return has_error(r, s->number) || say(r, s->line, why);
    }
    if (strcmp(s->stream, "query") != 0 && efx_stream_named(r->app, s->stream) == NULL) {
        (void)snprintf(why, sizeof why, "there is no stream '%s'", s->stream);
        return say(r, s->line, why);
    }
    struct test_got_stream *got = got_stream(r, s->stream);
    bool ok = test_rows_compare(s, got->rows, false);
    if (!ok) {
        (void)say(r, s->line, s->stream);
        (void)test_rows_compare(s, got->rows, true);
    }
    got->rows = NULL;
    got->end = &got->rows;
    return ok;
}

static bool one_step(struct runner *r, const struct test_step *s)
{
    switch (s->kind) {
    case TEST_EVENT: return send_event(r, s);
    case TEST_ADVANCE:
        return efx_advance(r->app, s->number) == EFX_RC_OK || say(r, s->line, "cannot advance");
    case TEST_CHECKPOINT: return checkpoint(r, false, s->line);
    case TEST_RESTART: return load(r, s->line);
    case TEST_RESCALE:
        if (!checkpoint(r, true, s->line)) {
            return false;
        }
        r->options.shards = (uint32_t)s->number;
        return load(r, s->line);
    case TEST_QUERY: return query(r, s);
    case TEST_EXPECT: return expect(r, s);
    }
    return false;
}

/* ---- cases ---- */

struct run_how {
    struct efx_options options;
    uint32_t nodes;
};

/* A program that is refused: the case may ask for that. */
static bool refused(struct runner *r, uint16_t code)
{
    for (const struct test_step *s = r->c->steps; s != NULL; s = s->next) {
        if (s->kind == TEST_EXPECT && s->expect == TEST_ERROR) {
            return s->number == code ||
                   say(r, s->line, "the program is refused for another reason");
        }
    }
    return say(r, r->c->line, "the program is refused");
}

static bool run_case(const struct test_file *file, const struct test_case *c,
                     const struct run_how *how, uint16_t code)
{
    struct runner r = {.file = file, .c = c, .options = how->options, .nodes = how->nodes};
    efx_arena_init(&r.arena, &efx_mem_libc, SIZE_MAX);
    bool ok = code != 0 ? refused(&r, code) : start(&r, c->line);
    for (const struct test_step *s = c->steps; ok && code == 0 && s != NULL; s = s->next) {
        ok = one_step(&r, s);
    }
    drop_chain(&r);
    close_app(&r);
    efx_together_place_destroy(&r.place);
    efx_arena_fini(&r.arena);
    return ok;
}

/* The code with which the program is refused; its messages are shown if no case wants it. */
static uint16_t refusal(const struct test_file *file, const struct efx_options *options_of)
{
    struct efx *app = NULL;
    struct efx_error err = {0};
    bool wanted = false;
    enum efx_code code = efx_open(&app, file->sql, options_of, &err);
    for (const struct test_case *c = file->cases; c != NULL; c = c->next) {
        for (const struct test_step *s = c->steps; s != NULL; s = s->next) {
            wanted = wanted || (s->kind == TEST_EXPECT && s->expect == TEST_ERROR);
        }
    }
    if (code == EFX_RC_SQL && !wanted) {
        printf("%s", efx_messages(app));
    }
    efx_close(&app);
    return code == EFX_RC_SQL ? err.efx : 0;
}

static int run_file(const char *path, struct run_how how, uint32_t *n, uint32_t *passed)
{
    struct efx_arena a;
    struct test_file file = {0};
    struct efx_err err = {0};
    char *text = cli_read_file(path);
    if (text == NULL) {
        return CLI_FAILED;
    }
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    int status = CLI_OK;
    if (test_file_parse(&a, path, text, &file, &err) != EFX_OK) {
        status = cli_fail(CLI_USER, "efx test: %s", err.msg);
    } else {
        how.options.file = path;
        uint16_t code = refusal(&file, &how.options);
        for (const struct test_case *c = file.cases; c != NULL; c = c->next) {
            bool ok = run_case(&file, c, &how, code);
            *n += 1;
            *passed += ok;
            status = ok ? status : CLI_FAILED;
        }
    }
    efx_arena_fini(&a);
    free(text);
    return status;
}

static int run(int argc, char **argv)
{
    struct test_opts o = {0};
    struct opt_list rest = {0};
    struct run_how how = {.options = EFX_OPTIONS_INIT};
    uint32_t n = 0, passed = 0;
    o.nodes = 1;
    int status = opts_parse(&cmd_test, argc, argv, &o, &rest);
    status = status < 0 ? cli_options("test", &o.settings, &how.options) : status;
    if (status >= 0) {
        return status;
    }
    how.nodes = (uint32_t)o.nodes;
    how.options.shards = how.options.shards == 0 && how.nodes > 1 ? 1 : how.options.shards;
    if (rest.n == 0) {
        return cli_fail(CLI_USER, "efx test: give a FILE.test");
    }
    how.options.clock = EFX_CLOCK_VIRTUAL;
    how.options.ordered = true;
    status = CLI_OK;
    for (uint32_t i = 0; i < rest.n; i++) {
        int one = run_file(rest.v[i], how, &n, &passed);
        status = one > status ? one : status;
    }
    printf("passed %u of %u\n", passed, n);
    return status;
}

const struct command cmd_test = {
    .name = "test",
    .args = "FILE.test…",
    .help = "runs query tests on the virtual clock and prints what differs",
    .opts = options,
    .run = run,
};
