/* efx run: an app in this process until its inputs end or a signal comes. */
#include "run.h"

#include <unistd.h>

struct run_opts {
    struct opt_list inputs, only;
    const char *output, *format;
    struct run_keep_opts keep;
    int64_t drain_ms, nodes;
    struct run_grpc_opts grpc;
    struct cli_settings settings;
};

#define ABSENT(name_, arg_, help_)                                                                 \
    {                                                                                              \
        .name = name_, .kind = OPT_ABSENT, .arg = arg_, .help = help_                              \
    }

static const struct opt options[] = {
    {.name = "input",
     .kind = OPT_LIST,
     .off = offsetof(struct run_opts, inputs),
     .arg = "[STREAM=]F|-",
     .help = "event lines, or rows of one stream; .zst and .gz are unpacked"},
    {.name = "output",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, output),
     .arg = "F|-",
     .help = "where events of derived streams go; standard output if there is no sink"},
    {.name = "only",
     .kind = OPT_LIST,
     .off = offsetof(struct run_opts, only),
     .arg = "STREAM",
     .help = "of the output: this stream"},
    {.name = "format",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, format),
     .arg = "json|table|csv",
     .values = "json|table|csv",
     .help = "of the output"},
    {.name = "drain",
     .kind = OPT_DURATION,
     .off = offsetof(struct run_opts, drain_ms),
     .arg = "D",
     .help = "virtual clock: how far time runs on after the input's end"},
    {.name = "grpc",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, grpc.address),
     .arg = "ADDR",
     .help = "host:port where efx submit, subscribe, query are answered, until a signal comes"},
    {.name = "tls-cert",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, grpc.cert),
     .arg = "FILE",
     .help = "of --grpc: certificate (PEM), read again when it changes"},
    {.name = "tls-key",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, grpc.key),
     .arg = "FILE",
     .help = "of --grpc: its key"},
    {.name = "tls-ca",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, grpc.ca),
     .arg = "FILE",
     .help = "of --grpc: callers must have a certificate of this authority"},
    CLI_SETTINGS(struct run_opts, settings),
    ABSENT("config", "FILE", "configuration file"),
    ABSENT("extension", "LIB", "shared library with extensions"),
    {.name = "persistence-dir",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, keep.place.dir),
     .arg = "DIR",
     .help = "checkpoints are kept in this directory"},
    {.name = "sqlite",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, keep.place.sqlite),
     .arg = "FILE",
     .help = "checkpoints are kept in this SQLite file"},
    {.name = "redis",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, keep.place.redis),
     .arg = "URL",
     .help = "checkpoints are kept in this Redis, redis://host:port/db"},
    {.name = "checkpoint-interval",
     .kind = OPT_DURATION,
     .off = offsetof(struct run_opts, keep.interval_ms),
     .arg = "D",
     .help = "time between checkpoints; 1 sec"},
    {.name = "restore",
     .kind = OPT_TEXT,
     .off = offsetof(struct run_opts, keep.restore),
     .arg = "last|none|compatible|REVISION",
     .help = "checkpoint to start from; last"},
    {.name = "lose-committed",
     .kind = OPT_FLAG,
     .off = offsetof(struct run_opts, keep.lose_committed),
     .help = "--restore REVISION even if a later checkpoint was promised to a sink"},
    {.name = "nodes",
     .kind = OPT_NUMBER,
     .off = offsetof(struct run_opts, nodes),
     .arg = "N",
     .min = 1,
     .max = 16,
     .help = "runs on a cluster of N members in this process: 1"},
    ABSENT("http", "ADDR", "admin, metrics, console"),
    ABSENT("tcp", "ADDR", "TCP frames"),
    {0},
};

static int start_app(struct run *r, const struct run_opts *o)
{
    struct efx_error err = {0};
    enum efx_code code = efx_start(r->efx, &err);
    code = code == EFX_RC_OK && r->together != NULL ? efx_together_start(r->together, &err) : code;
    if (code != EFX_RC_OK) {
        return cli_refused("run", code, &err);
    }
    int status = run_keep_restore(&r->keep);
    return status < 0 ? run_grpc_serve(&r->grpc, &o->grpc) : status;
}

static void close_app(struct run *r)
{
    if (r->together != NULL) {
        efx_together_close(&r->together);
        r->efx = NULL;
    }
    efx_close(&r->efx);
}

/* What a cluster in one process does not have: a store and a door of its own. */
static int no_nodes_with(const struct run_opts *o)
{
    const struct cli_place *p = &o->keep.place;
    if (o->nodes > 1 && (p->dir != NULL || p->sqlite != NULL || p->redis != NULL)) {
        return cli_fail(CLI_USER, "efx run: --nodes keeps its checkpoints in memory; a cluster "
                                  "with a store is made of efx-node");
    }
    if (o->nodes > 1 && o->grpc.address != NULL) {
        return cli_fail(CLI_USER, "efx run: --grpc and --nodes exclude each other; efx-node serves "
                                  "gRPC on a cluster");
    }
    return -1;
}

static int run_app(struct run *r, const struct run_opts *o, const char *path)
{
    const struct run_keep_opts *k = &o->keep;
    struct run_out_opts out = {.path = o->output,
                               .format = o->format,
                               .only = &o->only,
                               .keeps = k->place.dir != NULL || k->place.sqlite != NULL ||
                                        k->place.redis != NULL};
    int status = run_grpc_open(&r->grpc, r->efx, path, &o->grpc);
    out.also = r->grpc.alone != NULL ? efx_solo_rows : NULL;
    out.also_arg = r->grpc.alone;
    status = status < 0 ? run_out_open(&r->out, r->efx, &out) : status;
    if (status < 0) {
        status = run_in_open(&r->in, r->efx, &o->inputs);
        status = status < 0 ? run_keep_open(&r->keep, k, path, &r->in, &r->out) : status;
        status = status < 0 ? start_app(r, o) : status;
        if (status < 0) {
            run_catch_signals();
            status = run_loop(r);
            if (!r->out.gone) {
                run_summary(r);
            }
        }
        run_keep_close(&r->keep);
        run_grpc_close(&r->grpc);
        close_app(r);
        run_in_close(&r->in);
    }
    run_grpc_close(&r->grpc);
    close_app(r);
    run_out_close(&r->out);
    return status;
}

static int run(int argc, char **argv)
{
    struct run_opts o = {.format = "json", .nodes = 1};
    struct opt_list rest = {0};
    struct efx_options options_of = EFX_OPTIONS_INIT;
    struct run r = {0};
    int status = opts_parse(&cmd_run, argc, argv, &o, &rest);
    status = status < 0 ? cli_keep_options("run", &o.settings, &o.keep.set) : status;
    status = status < 0 ? cli_options("run", &o.settings, &options_of) : status;
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx run: give one APP.sql");
    }
    status = no_nodes_with(&o);
    if (status >= 0) {
        return status;
    }
    options_of.ordered = true;
    status = o.nodes > 1 ? cli_open_together("run", rest.v[0], &options_of, (uint32_t)o.nodes,
                                             &r.together, &r.efx)
                         : cli_open("run", rest.v[0], &options_of, false, &r.efx);
    if (status >= 0) {
        return status;
    }
    r.drain_ms = o.drain_ms;
    r.progress = isatty(STDERR_FILENO) != 0 && (o.output != NULL || isatty(STDOUT_FILENO) == 0) &&
                 o.inputs.n > 0;
    return run_app(&r, &o, rest.v[0]);
}

const struct command cmd_run = {
    .name = "run",
    .args = "APP.sql",
    .help = "runs an app in this process until its inputs end or a signal comes",
    .opts = options,
    .run = run,
};
