/* gRPC Submit, from a client in C into one node: events a second, from the first message to the ack
 * of the last row.
 *
 *   bench_grpc EFX [--rows] [--tls CERT KEY] [--events N] [--batch N]
 *
 * The node is a process of its own: `efx run`, filter, then a count for each thousand rows. What it
 * says it took and gave is compared with what was sent before a figure is printed.
 */
#include "batch_out.h"
#include "efx_grpc.h"

#include <eventflux.pb-c.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { QUEUE_BYTES = 4 * 1024 * 1024, COUNT_ROWS = 1000 };

static const char app[] = "CREATE STREAM S (k STRING, v INT, p DOUBLE);\n"
                          "INSERT INTO Counts SELECT count(*) AS n FROM S WHERE v >= 250\n"
                          "    WINDOW('lengthBatch', 1000);\n";

struct bench {
    const struct efx_grpc_vt *vt;
    struct efx_grpc_client *client;
    const char *efx, *cert, *key;
    bool as_rows;
    uint64_t n_events, batch;
    uint8_t *message;
    size_t message_bytes;
    uint64_t accepted;
    bool ended;
    enum efx_grpc_code code;
    Eventflux__V1__StatusResponse *status;
    pid_t node;
    char folder[64], address[128];
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_grpc: %s\n", what);
    exit(1);
}

/* ---- the node ---- */

static void start_node(struct bench *b)
{
    char path[96], log[96], line[256] = "";
    (void)snprintf(b->folder, sizeof b->folder, "/tmp/bench_grpc.XXXXXX");
    if (mkdtemp(b->folder) == NULL) {
        fail("cannot make a folder");
    }
    (void)snprintf(path, sizeof path, "%s/app.sql", b->folder);
    (void)snprintf(log, sizeof log, "%s/log", b->folder);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs(app, f) < 0 || fclose(f) != 0) {
        fail("cannot write the app");
    }
    const char *argv[] = {
        b->efx,     "run",       path,       "--grpc", "127.0.0.1:0",
        "--output", "/dev/null", "--shards", "1",      b->cert != NULL ? "--tls-cert" : NULL,
        b->cert,    "--tls-key", b->key,     NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, 01 | 0100, 0600);
    union {
        const char *const *from;
        char *const *to;
    } words = {argv};
    if (posix_spawn(&b->node, b->efx, &actions, NULL, words.to, environ) != 0) {
        fail("cannot start the node");
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 1000 && strstr(line, "gRPC on ") == NULL; i++) {
        (void)usleep(20000);
        f = fopen(log, "r");
        if (f != NULL) {
            (void)!fgets(line, sizeof line, f);
            (void)fclose(f);
        }
    }
    if (sscanf(line, "efx: gRPC on %127s", b->address) != 1) {
        fail("the node does not come up");
    }
}

static void stop_node(struct bench *b)
{
    char path[96];
    (void)kill(b->node, SIGTERM);
    (void)waitpid(b->node, NULL, 0);
    (void)snprintf(path, sizeof path, "%s/app.sql", b->folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/log", b->folder);
    (void)unlink(path);
    (void)rmdir(b->folder);
}

/* ---- messages ---- */

static void make_message(struct bench *b)
{
    static const struct efx_schema_col cols[] = {{"k", EFX_TYPE_STRING, false, false},
                                                 {"v", EFX_TYPE_INT, false, false},
                                                 {"p", EFX_TYPE_DOUBLE, false, false}};
    static const struct efx_schema schema = {"S", 3, cols};
    static struct efx_cell k[EFX_BATCH_ROWS_MAX];
    static int32_t v[EFX_BATCH_ROWS_MAX];
    static double p[EFX_BATCH_ROWS_MAX];
    static int64_t ts_ms[EFX_BATCH_ROWS_MAX];
    static uint32_t at[EFX_BATCH_ROWS_MAX];
    static struct batch_out o;
    for (uint32_t i = 0; i < b->batch; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "key%u", i % 97);
        k[i] = efx_cell_make(text, (uint32_t)n);
        v[i] = (int32_t)(i % 1000);
        p[i] = i * 0.25;
        ts_ms[i] = INT64_MIN;
        at[i] = i;
    }
    struct efx_col data[] = {
        {EFX_TYPE_STRING, k, NULL}, {EFX_TYPE_INT, v, NULL}, {EFX_TYPE_DOUBLE, p, NULL}};
    struct efx_batch batch = {
        .n_rows = (uint32_t)b->batch, .n_cols = 3, .cols = data, .ts_ms = ts_ms};
    o.b = &batch;
    o.schema = &schema;
    o.as_rows = b->as_rows;
    o.at = at;
    o.n = (uint32_t)b->batch;
    size_t n = batch_out_size(&o);
    b->message = malloc(n + 16);
    b->message_bytes = (size_t)(batch_out_put(&o, wire_put_head(b->message, 3, n)) - b->message);
}

static void on_ack(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct bench *b = arg;
    struct efx_arena a;
    uint32_t field;
    enum wire_type type;
    efx_arena_init(&a, &efx_mem_libc, 1 << 20);
    struct wire w = wire_of(pieces, n, &a);
    while (wire_field(&w, &field, &type)) {
        if (field == 2 && type == WIRE_VARINT) {
            b->accepted = wire_varint(&w);
        } else {
            wire_skip(&w, type);
        }
    }
    efx_arena_fini(&a);
    b->vt->call_next(c);
}

static void on_status(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                      uint32_t n)
{
    struct bench *b = arg;
    if (n == 1) {
        b->status = eventflux__v1__status_response__unpack(NULL, pieces[0].n, pieces[0].p);
    }
    b->vt->call_next(c);
}

static void on_ended(void *arg, const struct efx_grpc_status *status)
{
    struct bench *b = arg;
    b->ended = true;
    b->code = status->code;
    if (status->code != EFX_GRPC_OK) {
        (void)fprintf(stderr, "bench_grpc: %s\n", status->text);
    }
}

static void send(struct bench *b, struct efx_grpc_ccall *c, const void *bytes, size_t n)
{
    struct efx_grpc_buf *m = b->vt->buf(n);
    memcpy(m->p, bytes, n);
    m->n = n;
    b->vt->call_send(c, m);
}

static double submit(struct bench *b)
{
    static const struct efx_grpc_client_user user = {on_ack, NULL, on_ended};
    static const uint8_t opening[] = {0x0a, 0x00};
    struct efx_grpc_ccall *c =
        b->vt->call(b->client, "/eventflux.v1.EventFlux/Submit", 0, &user, b);
    send(b, c, opening, sizeof opening);
    uint64_t from_ns = b->vt->now_ns();
    for (uint64_t sent = 0; b->accepted < b->n_events && !b->ended;) {
        while (sent < b->n_events && b->vt->call_queued(c) < QUEUE_BYTES) {
            send(b, c, b->message, b->message_bytes);
            sent += b->batch;
        }
        (void)b->vt->poll(b->client, 100);
    }
    double s = (double)(b->vt->now_ns() - from_ns) / 1e9;
    if (b->ended) {
        fail("the call ended early");
    }
    b->vt->call_half_close(c);
    while (!b->ended) {
        (void)b->vt->poll(b->client, 100);
    }
    return s;
}

static void check(struct bench *b)
{
    static const struct efx_grpc_client_user user = {on_status, NULL, on_ended};
    struct efx_grpc_ccall *c =
        b->vt->call(b->client, "/eventflux.v1.EventFlux/Status", 20000, &user, b);
    b->ended = false;
    send(b, c, "", 0);
    b->vt->call_half_close(c);
    while (!b->ended) {
        (void)b->vt->poll(b->client, 100);
    }
    uint64_t pass = 0;
    for (uint64_t i = 0; i < b->batch; i++) {
        pass += i % 1000 >= 250;
    }
    if (b->status == NULL || b->status->rows_in != b->n_events ||
        b->status->rows_out != b->n_events / b->batch * pass / COUNT_ROWS) {
        fail("rows in or out are not what was sent");
    }
    eventflux__v1__status_response__free_unpacked(b->status, NULL);
}

static void read_args(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rows") == 0) {
            b->as_rows = true;
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            b->cert = argv[++i];
            b->key = argv[++i];
        } else if (strcmp(argv[i], "--events") == 0 && i + 1 < argc) {
            b->n_events = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc) {
            b->batch = strtoull(argv[++i], NULL, 10);
        } else if (b->efx == NULL) {
            b->efx = argv[i];
        } else {
            b->batch = 0;
        }
    }
    if (b->efx == NULL || b->batch == 0 || b->batch > EFX_BATCH_ROWS_MAX || b->n_events == 0) {
        fail("usage: bench_grpc EFX [--rows] [--tls CERT KEY] [--events N] [--batch N]");
    }
    b->n_events -= b->n_events % b->batch;
}

int main(int argc, char **argv)
{
    struct bench b = {.n_events = 10000000, .batch = 1000};
    struct efx_err err = {0};
    read_args(&b, argc, argv);
    start_node(&b);
    struct efx_grpc_dial how = {.target = b.address,
                                .secure = b.cert != NULL,
                                .tls = {.ca = b.cert, .name = b.cert != NULL ? "localhost" : NULL},
                                .max_message_bytes = 4 * 1024 * 1024};
    if (efx_grpc_load(&b.vt, &err) != EFX_OK || b.vt->dial(&how, &b.client, &err) != EFX_OK) {
        fail(err.msg);
    }
    make_message(&b);
    double s = submit(&b);
    check(&b);
    b.vt->hang_up(&b.client);
    stop_node(&b);
    free(b.message);
    printf("grpc submit, %s%s, %llu rows a batch: %.2f M events/s\n",
           b.as_rows ? "rows" : "columns", b.cert != NULL ? ", TLS" : "",
           (unsigned long long)b.batch, (double)b.n_events / s / 1e6);
    return 0;
}
