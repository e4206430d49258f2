/* efx subscribe: a stream's rows as they come, from any node of a cluster.
 *
 *   accepted    as they come; a rewind of the cluster takes some back: {"stream":…,"take_back":n},
 *               the last n printed rows are void. A call that breaks may miss rows, which is said
 *   committed   each row once; the token of the last batch that was printed is kept in --resume
 *               FILE, so that another run goes on behind it
 */
#include "remote.h"

#include "efx_out.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_MAX = 64 * 1024 };

struct subscribe_opts {
    struct remote_opts remote;
    const char *level, *resume, *format;
    int64_t count;
};

static const struct opt options[] = {
    REMOTE_OPTIONS(struct subscribe_opts, remote),
    {.name = "level",
     .kind = OPT_TEXT,
     .off = offsetof(struct subscribe_opts, level),
     .arg = "accepted|committed",
     .values = "accepted|committed",
     .help = "rows as they come, or once they are in a checkpoint"},
    {.name = "resume",
     .kind = OPT_TEXT,
     .off = offsetof(struct subscribe_opts, resume),
     .arg = "FILE",
     .help = "committed: where the place is kept, and taken from"},
    {.name = "format",
     .kind = OPT_TEXT,
     .off = offsetof(struct subscribe_opts, format),
     .arg = "json|table|csv",
     .values = "json|table|csv",
     .help = "of the rows"},
    {.name = "count",
     .kind = OPT_NUMBER,
     .off = offsetof(struct subscribe_opts, count),
     .arg = "N",
     .min = 1,
     .max = INT64_MAX,
     .help = "ends after N rows or some more"},
    {0},
};

struct subscription {
    struct remote remote;
    const struct subscribe_opts *opts;
    const char *stream;
    struct remote_rows rows;
    struct efx_out out;
    struct efx_grpc_ccall *call; /* NULL: has ended */
    int status;                  /* -1: goes on */
    bool committed, began;
    uint64_t last_row; /* of the call */
    uint8_t token[TOKEN_MAX];
    size_t token_bytes;
    struct efx_grpc_status end;
    char why[EFX_GRPC_TEXT_BYTES];
};

static volatile sig_atomic_t n_signals;

static void on_signal(int no)
{
    (void)no;
    n_signals = n_signals + 1;
}

/* ---- the token ---- */

static int read_token(struct subscription *s)
{
    FILE *f = s->opts->resume == NULL ? NULL : fopen(s->opts->resume, "rb");
    if (f == NULL) {
        return s->opts->resume == NULL || errno == ENOENT
                   ? -1
                   : cli_fail(CLI_FAILED, "efx subscribe: cannot read %s: %s", s->opts->resume,
                              strerror(errno));
    }
    s->token_bytes = fread(s->token, 1, sizeof s->token, f);
    (void)fclose(f);
    return -1;
}

/* The rows before it are written by then. */
static int keep_token(struct subscription *s, const ProtobufCBinaryData *token)
{
    char path[4096];
    if (token->len == 0 || token->len > sizeof s->token) {
        return -1;
    }
    memcpy(s->token, token->data, token->len);
    s->token_bytes = token->len;
    if (s->opts->resume == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s.new", s->opts->resume);
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(token->data, 1, token->len, f) == token->len && fflush(f) == 0 &&
              fsync(fileno(f)) == 0;
    ok = f != NULL && fclose(f) == 0 && ok && rename(path, s->opts->resume) == 0;
    return ok ? -1
              : cli_fail(CLI_FAILED, "efx subscribe: cannot write %s: %s", s->opts->resume,
                         strerror(errno));
}

/* ---- rows ---- */

static int flush(struct subscription *s)
{
    struct efx_err err = {0};
    enum efx_rc rc = efx_out_flush(&s->out, &err);
    return rc == EFX_OK     ? -1
           : rc == EFX_DONE ? CLI_OK
                            : cli_fail(CLI_FAILED, "efx subscribe: %s", err.msg);
}

static int take_back(struct subscription *s, uint64_t from)
{
    char line[512];
    struct efx_err err = {0};
    uint64_t n = s->last_row + 1 > from ? s->last_row + 1 - from : 0;
    int k = snprintf(line, sizeof line, "{\"stream\":\"%.200s\",\"take_back\":%llu}\n", s->stream,
                     (unsigned long long)n);
    s->last_row = from - 1;
    return efx_out_bytes(&s->out, line, (size_t)k, &err) == EFX_OK ? -1 : CLI_OK;
}

static int take(struct subscription *s, const Eventflux__V1__EventBatch *b)
{
    int status = remote_rows_schema(&s->rows, s->stream, b->n_schema, b->schema);
    if (status < 0 && b->take_back_from != 0) {
        status = take_back(s, b->take_back_from);
    }
    if (status < 0 && b->batch != NULL && b->batch->row_count > 0) {
        status = remote_rows_print(&s->rows, b->batch);
        s->last_row = b->first_row + b->batch->row_count - 1;
    }
    status = status < 0 ? flush(s) : status;
    if (status < 0 && s->committed) {
        status = keep_token(s, &b->resume);
    }
    if (status < 0 && s->opts->count > 0 && s->rows.n >= (uint64_t)s->opts->count) {
        status = CLI_OK;
    }
    return status;
}

static void on_message(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                       uint32_t n)
{
    struct subscription *s = arg;
    Eventflux__V1__EventBatch *b = (Eventflux__V1__EventBatch *)remote_unpack(
        &eventflux__v1__event_batch__descriptor, pieces, n);
    if (!s->began) {
        s->began = true;
        remote_answers(&s->remote);
        (void)fprintf(stderr, "efx subscribe: %s from %s\n", s->stream, remote_address(&s->remote));
    }
    if (b == NULL) {
        s->status = cli_fail(CLI_FAILED, "efx subscribe: a batch cannot be read");
    } else if (s->status < 0) {
        s->status = take(s, b);
    }
    if (b != NULL) {
        protobuf_c_message_free_unpacked(&b->base, NULL);
    }
    s->remote.vt->call_next(c);
}

static void on_ended(void *arg, const struct efx_grpc_status *status)
{
    struct subscription *s = arg;
    s->call = NULL;
    s->end = *status;
    (void)snprintf(s->why, sizeof s->why, "%s", status->text);
    s->end.text = s->why;
}

static const struct efx_grpc_client_user user = {on_message, NULL, on_ended};

/* ---- calls ---- */

static int begin(struct subscription *s)
{
    Eventflux__V1__SubscribeRequest m;
    eventflux__v1__subscribe_request__init(&m);
    m.stream = remote_text(s->stream);
    m.level =
        s->committed ? EVENTFLUX__V1__LEVEL__LEVEL_COMMITTED : EVENTFLUX__V1__LEVEL__LEVEL_ACCEPTED;
    m.resume = (ProtobufCBinaryData){s->token_bytes, s->token};
    s->began = false;
    s->last_row = 0;
    s->call =
        s->remote.vt->call(s->remote.client, "/eventflux.v1.EventFlux/Subscribe", 0, &user, s);
    if (s->call == NULL) {
        return cli_fail(CLI_FAILED, "efx subscribe: out of memory");
    }
    s->remote.vt->call_send(s->call, remote_pack(&s->remote, &m.base));
    s->remote.vt->call_half_close(s->call);
    return -1;
}

/* The call has ended: what now? */
static int ended(struct subscription *s)
{
    bool slow = s->end.code == EFX_GRPC_RESOURCE_EXHAUSTED && s->committed && s->began;
    if (s->end.code == EFX_GRPC_UNAVAILABLE || slow) {
        if (s->began && !s->committed) {
            (void)fputs("efx subscribe: the node is gone; rows may be missing from here on\n",
                        stderr);
        }
        int status = remote_next(&s->remote, s->why);
        return status < 0 ? begin(s) : status;
    }
    return s->end.code == EFX_GRPC_OK ? CLI_OK : remote_failed(&s->remote, &s->end);
}

static int loop(struct subscription *s)
{
    int status = begin(s);
    while (status < 0 && s->status < 0 && n_signals == 0) {
        (void)s->remote.vt->poll(s->remote.client, 50);
        if (s->call == NULL && s->status < 0) {
            status = ended(s);
        }
    }
    return status >= 0 ? status : s->status >= 0 ? s->status : CLI_OK;
}

static int run(int argc, char **argv)
{
    struct subscribe_opts o = {.level = "accepted", .format = "json"};
    struct opt_list rest = {0};
    int status = opts_parse(&cmd_subscribe, argc, argv, &o, &rest);
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx subscribe: give one STREAM");
    }
    struct subscription *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return cli_fail(CLI_FAILED, "efx subscribe: out of memory");
    }
    s->opts = &o;
    s->stream = rest.v[0];
    s->status = -1;
    s->committed = o.level[0] == 'c';
    efx_out_init(&s->out, STDOUT_FILENO);
    s->rows.out = &s->out;
    s->rows.as = o.format;
    if (o.resume != NULL && !s->committed) {
        status = cli_fail(CLI_USER, "efx subscribe: --resume is of --level committed");
    }
    status = status < 0 ? read_token(s) : status;
    status = status < 0 ? remote_open(&s->remote, "subscribe", &o.remote) : status;
    if (status < 0) {
        struct sigaction a = {.sa_handler = on_signal};
        (void)sigaction(SIGINT, &a, NULL);
        (void)sigaction(SIGTERM, &a, NULL);
        status = loop(s);
        remote_close(&s->remote);
    }
    remote_rows_close(&s->rows);
    efx_out_fini(&s->out);
    free(s);
    return status;
}

const struct command cmd_subscribe = {
    .name = "subscribe",
    .args = "STREAM",
    .help = "a stream's events as they come, from a node",
    .opts = options,
    .run = run,
};
