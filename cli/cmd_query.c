/* efx query: an on-demand statement, asked of a node. */
#include "remote.h"

#include "efx_out.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct query_opts {
    struct remote_opts remote;
    const char *format, *level, *session;
    int64_t seq;
};

static const struct opt options[] = {
    REMOTE_OPTIONS(struct query_opts, remote),
    {.name = "format",
     .kind = OPT_TEXT,
     .off = offsetof(struct query_opts, format),
     .arg = "json|table|csv",
     .values = "json|table|csv",
     .help = "of the rows; a table on a terminal, else json"},
    {.name = "level",
     .kind = OPT_TEXT,
     .off = offsetof(struct query_opts, level),
     .arg = "accepted|committed",
     .values = "accepted|committed",
     .help = "of a statement that changes: when it is answered"},
    {.name = "session",
     .kind = OPT_TEXT,
     .off = offsetof(struct query_opts, session),
     .arg = "NAME",
     .help = "of a statement that changes: whose row number --seq is"},
    {.name = "seq",
     .kind = OPT_NUMBER,
     .off = offsetof(struct query_opts, seq),
     .arg = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "its number in the session: sent again it counts once"},
    {0},
};

struct query {
    struct remote remote;
    struct remote_rows rows;
    struct efx_out out;
    int status; /* -1: goes on well */
    bool ended, away, repeat;
    bool any; /* something of the answer has come */
    uint64_t changed;
    char why[EFX_GRPC_TEXT_BYTES];
};

static void on_message(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                       uint32_t n)
{
    struct query *q = arg;
    Eventflux__V1__QueryResult *r = (Eventflux__V1__QueryResult *)remote_unpack(
        &eventflux__v1__query_result__descriptor, pieces, n);
    q->any = true;
    if (r == NULL) {
        q->status = cli_fail(CLI_FAILED, "efx query: the answer cannot be read");
    } else if (q->status < 0) {
        q->status = remote_rows_schema(&q->rows, "query", r->n_schema, r->schema);
        if (q->status < 0 && r->batch != NULL && r->batch->row_count > 0) {
            q->status = remote_rows_print(&q->rows, r->batch);
        }
        q->changed += r->changed;
        q->repeat = q->repeat || r->repeat;
    }
    if (r != NULL) {
        protobuf_c_message_free_unpacked(&r->base, NULL);
    }
    q->remote.vt->call_next(c);
}

static void on_ended(void *arg, const struct efx_grpc_status *status)
{
    struct query *q = arg;
    q->ended = true;
    q->away = status->code == EFX_GRPC_UNAVAILABLE && !q->any;
    (void)snprintf(q->why, sizeof q->why, "%s", status->text);
    if (status->code != EFX_GRPC_OK && !q->away && q->status < 0) {
        q->status = remote_failed(&q->remote, status);
    }
}

static const struct efx_grpc_client_user user = {on_message, NULL, on_ended};

static int ask(struct query *q, const Eventflux__V1__QueryRequest *m)
{
    for (;;) {
        struct remote *r = &q->remote;
        struct efx_grpc_ccall *c =
            r->vt->call(r->client, "/eventflux.v1.EventFlux/Query", 0, &user, q);
        if (c == NULL) {
            return cli_fail(CLI_FAILED, "efx query: out of memory");
        }
        q->ended = q->away = false;
        r->vt->call_send(c, remote_pack(r, &m->base));
        r->vt->call_half_close(c);
        while (!q->ended) {
            (void)r->vt->poll(r->client, 100);
        }
        int status = q->away ? remote_next(r, q->why) : q->status;
        if (!q->away || status >= 0) {
            return status;
        }
    }
}

static int answer(struct query *q)
{
    struct efx_err err = {0};
    enum efx_rc rc = efx_out_flush(&q->out, &err);
    if (rc != EFX_OK && rc != EFX_DONE) {
        return cli_fail(CLI_FAILED, "efx query: %s", err.msg);
    }
    if (q->repeat) {
        (void)fputs("efx query: the statement ran before\n", stderr);
    } else if (q->rows.format == NULL) {
        (void)fprintf(stderr, "efx query: %llu row%s changed\n", (unsigned long long)q->changed,
                      q->changed == 1 ? "" : "s");
    }
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    struct query_opts o = {.level = "accepted"};
    struct opt_list rest = {0};
    struct query q = {.status = -1};
    Eventflux__V1__QueryRequest m;
    eventflux__v1__query_request__init(&m);
    int status = opts_parse(&cmd_query, argc, argv, &o, &rest);
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx query: give one statement, in quotes");
    }
    if ((o.session == NULL) != (o.seq == 0)) {
        return cli_fail(CLI_USER, "efx query: --session and --seq go together");
    }
    m.sql = remote_text(rest.v[0]);
    m.level = o.level[0] == 'c' ? EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED
                                : EVENTFLUX__V1__LEVEL__LEVEL_ACCEPTED;
    m.session = o.session != NULL ? remote_text(o.session) : m.session;
    m.seq = (uint64_t)o.seq;
    efx_out_init(&q.out, STDOUT_FILENO);
    q.rows.out = &q.out;
    q.rows.bare = true;
    q.rows.as = o.format != NULL ? o.format : isatty(STDOUT_FILENO) != 0 ? "table" : "json";
    status = remote_open(&q.remote, "query", &o.remote);
    if (status < 0) {
        status = ask(&q, &m);
        status = status < 0 ? answer(&q) : status;
        remote_close(&q.remote);
    }
    remote_rows_close(&q.rows);
    efx_out_fini(&q.out);
    return status;
}

const struct command cmd_query = {
    .name = "query",
    .args = "'SELECT …'",
    .help = "an on-demand statement, asked of a node",
    .opts = options,
    .run = run,
};
