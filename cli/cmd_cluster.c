/* efx cluster: looks at a cluster and steers it. */
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cluster_opts {
    struct remote_opts remote;
    bool json, full, compatible;
    int64_t timeout_ms;
};

static const struct opt options[] = {
    REMOTE_OPTIONS(struct cluster_opts, remote),
    {.name = "json",
     .kind = OPT_FLAG,
     .off = offsetof(struct cluster_opts, json),
     .help = "status: for machines"},
    {.name = "full",
     .kind = OPT_FLAG,
     .off = offsetof(struct cluster_opts, full),
     .help = "checkpoint: one that depends on no older one"},
    {.name = "compatible",
     .kind = OPT_FLAG,
     .off = offsetof(struct cluster_opts, compatible),
     .help = "deploy: statements whose state does not fit begin empty"},
    {.name = "timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct cluster_opts, timeout_ms),
     .arg = "D",
     .help = "how long it may take (30 s)"},
    {0},
};

enum { TIMEOUT_MS = 30000 };

struct cluster {
    struct remote remote;
    const struct cluster_opts *opts;
    uint64_t timeout_ms;
};

static void hex(const ProtobufCBinaryData *b, char *out, size_t max)
{
    out[0] = '\0';
    for (size_t i = 0; i < b->len && i * 2 + 2 < max; i++) {
        (void)snprintf(out + i * 2, 3, "%02x", b->data[i]);
    }
}

static const char *state_name(Eventflux__V1__NodeState s)
{
    static const char *const names[] = {"unknown",  "joining", "restoring", "running",
                                        "draining", "fenced",  "lost",      "holding"};
    return (uint32_t)s < sizeof names / sizeof *names ? names[(uint32_t)s] : names[0];
}

/* ---- status ---- */

/* Names, addresses and reasons are text: quoted as JSON wants it. */
static void put_json(const char *key, const char *text)
{
    printf("\"%s\":\"", key);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            (void)putchar(c);
        }
    }
    (void)putchar('"');
}

static void json_checkpoint(const Eventflux__V1__CheckpointInfo *k)
{
    printf("{\"no\":%llu,", (unsigned long long)k->no);
    put_json("revision", k->revision);
    printf(",\"committed_ms\":%lld,\"epoch\":%llu,\"bytes\":%llu,\"new_bytes\":%llu}",
           (long long)k->committed_ms, (unsigned long long)k->epoch, (unsigned long long)k->bytes,
           (unsigned long long)k->new_bytes);
}

static void json_node(const Eventflux__V1__Node *n)
{
    (void)putchar('{');
    put_json("id", n->id);
    printf(",\"incarnation\":\"%016llx\",", (unsigned long long)n->incarnation);
    put_json("state", state_name(n->state));
    (void)putchar(',');
    put_json("tcp", n->tcp);
    (void)putchar(',');
    put_json("grpc", n->grpc);
    (void)putchar(',');
    put_json("http", n->http);
    (void)putchar(',');
    put_json("version", n->version);
    printf(",\"key_groups\":%u,\"lease_left_ms\":%lld,\"tick\":%llu,\"self\":%s}", n->key_groups,
           (long long)n->lease_left_ms, (unsigned long long)n->tick, n->self ? "true" : "false");
}

static void print_json(const Eventflux__V1__StatusResponse *s)
{
    char hash[129];
    hex(&s->app_hash, hash, sizeof hash);
    (void)putchar('{');
    put_json("cluster", s->cluster);
    (void)putchar(',');
    put_json("app", s->app);
    (void)putchar(',');
    put_json("app_hash", hash);
    printf(",\"epoch\":%llu,", (unsigned long long)s->epoch);
    put_json("leader", s->leader);
    (void)putchar(',');
    put_json("store", s->store_state);
    printf(",\"clock_ms\":%lld,\"sessions\":%u,\"rows_in\":%llu,\"rows_out\":%llu,\"nodes\":[",
           (long long)s->clock_ms, s->sessions, (unsigned long long)s->rows_in,
           (unsigned long long)s->rows_out);
    for (size_t i = 0; i < s->n_nodes; i++) {
        printf("%s", i > 0 ? "," : "");
        json_node(s->nodes[i]);
    }
    printf("],\"kept\":[");
    for (size_t i = 0; i < s->n_kept; i++) {
        printf("%s", i > 0 ? "," : "");
        json_checkpoint(s->kept[i]);
    }
    printf("],\"last\":");
    if (s->last != NULL) {
        json_checkpoint(s->last);
    } else {
        printf("null");
    }
    printf(",\"alarms\":[");
    for (size_t i = 0; i < s->n_alarms; i++) {
        printf("%s{", i > 0 ? "," : "");
        put_json("text", s->alarms[i]);
        printf("}");
    }
    printf("]}\n");
}

static void print_checkpoint(const char *what, const Eventflux__V1__CheckpointInfo *k)
{
    printf("%s %llu (%s): %.1f MiB, %.1f MiB of them new, epoch %llu\n", what,
           (unsigned long long)k->no, k->revision, (double)k->bytes / 1048576.0,
           (double)k->new_bytes / 1048576.0, (unsigned long long)k->epoch);
}

static void print_status(const Eventflux__V1__StatusResponse *s)
{
    printf("cluster %s, app %s, epoch %llu, leader %s, store %s\n", s->cluster, s->app,
           (unsigned long long)s->epoch, s->leader, s->store_state);
    printf("%llu rows in, %llu rows out, %u sessions\n", (unsigned long long)s->rows_in,
           (unsigned long long)s->rows_out, s->sessions);
    if (s->last != NULL) {
        print_checkpoint("last checkpoint", s->last);
    }
    printf("\n  %-20s %-10s %10s %12s  %s\n", "node", "state", "key groups", "lease left", "gRPC");
    for (size_t i = 0; i < s->n_nodes; i++) {
        const Eventflux__V1__Node *n = s->nodes[i];
        printf("%s %-20s %-10s %10u %9lld ms  %s\n", n->self ? "*" : " ", n->id,
               state_name(n->state), n->key_groups, (long long)n->lease_left_ms, n->grpc);
    }
    for (size_t i = 0; i < s->n_alarms; i++) {
        printf("alarm: %s\n", s->alarms[i]);
    }
}

static int status(struct cluster *c, const char *arg)
{
    Eventflux__V1__StatusRequest ask;
    eventflux__v1__status_request__init(&ask);
    ProtobufCMessage *m;
    (void)arg;
    int rc = remote_unary(&c->remote, "/eventflux.v1.EventFlux/Status", &ask.base,
                          &eventflux__v1__status_response__descriptor, c->timeout_ms, &m);
    if (rc >= 0) {
        return rc;
    }
    if (c->opts->json) {
        print_json((const Eventflux__V1__StatusResponse *)m);
    } else {
        print_status((const Eventflux__V1__StatusResponse *)m);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return CLI_OK;
}

/* ---- operations ---- */

static int checkpoint(struct cluster *c, const char *arg)
{
    Eventflux__V1__CheckpointRequest ask;
    eventflux__v1__checkpoint_request__init(&ask);
    ProtobufCMessage *m;
    (void)arg;
    ask.full = c->opts->full;
    int rc = remote_unary(&c->remote, "/eventflux.v1.EventFlux/Checkpoint", &ask.base,
                          &eventflux__v1__checkpoint_response__descriptor, c->timeout_ms, &m);
    if (rc < 0) {
        const Eventflux__V1__CheckpointResponse *r = (const Eventflux__V1__CheckpointResponse *)m;
        if (r->checkpoint != NULL) {
            print_checkpoint("checkpoint", r->checkpoint);
        }
        protobuf_c_message_free_unpacked(m, NULL);
        rc = CLI_OK;
    }
    return rc;
}

static int drain(struct cluster *c, const char *arg)
{
    Eventflux__V1__DrainRequest ask;
    eventflux__v1__drain_request__init(&ask);
    ProtobufCMessage *m;
    ask.node = remote_text(arg);
    int rc = remote_unary(&c->remote, "/eventflux.v1.EventFlux/Drain", &ask.base,
                          &eventflux__v1__drain_response__descriptor, c->timeout_ms, &m);
    if (rc < 0) {
        const Eventflux__V1__DrainResponse *r = (const Eventflux__V1__DrainResponse *)m;
        printf("%s owns nothing any more, epoch %llu\n", arg, (unsigned long long)r->epoch);
        protobuf_c_message_free_unpacked(m, NULL);
        rc = CLI_OK;
    }
    return rc;
}

static int deploy(struct cluster *c, const char *arg)
{
    Eventflux__V1__DeployRequest ask;
    eventflux__v1__deploy_request__init(&ask);
    ProtobufCMessage *m;
    char hash[129];
    char *sql = cli_read_file(arg);
    if (sql == NULL) {
        return CLI_FAILED;
    }
    ask.sql = sql;
    ask.compatible = c->opts->compatible;
    int rc = remote_unary(&c->remote, "/eventflux.v1.EventFlux/Deploy", &ask.base,
                          &eventflux__v1__deploy_response__descriptor, c->timeout_ms, &m);
    free(sql);
    if (rc < 0) {
        const Eventflux__V1__DeployResponse *r = (const Eventflux__V1__DeployResponse *)m;
        hex(&r->app_hash, hash, sizeof hash);
        printf("%s runs, hash %s, epoch %llu\n", arg, hash, (unsigned long long)r->epoch);
        for (size_t i = 0; i < r->n_not_carried; i++) {
            printf("began empty: %s\n", r->not_carried[i]);
        }
        protobuf_c_message_free_unpacked(m, NULL);
        rc = CLI_OK;
    }
    return rc;
}

/* ---- which ---- */

static const struct verb {
    const char *name, *arg; /* NULL: takes none */
    int (*run)(struct cluster *c, const char *arg);
} verbs[] = {
    {"status", NULL, status},
    {"checkpoint", NULL, checkpoint},
    {"drain", "NODE", drain},
    {"deploy", "APP.sql", deploy},
};

static int run(int argc, char **argv)
{
    struct cluster_opts o = {0};
    struct opt_list rest = {0};
    struct cluster c = {.opts = &o};
    const struct verb *v = NULL;
    int rc = opts_parse(&cmd_cluster, argc, argv, &o, &rest);
    if (rc >= 0) {
        return rc;
    }
    for (uint32_t i = 0; rest.n > 0 && i < sizeof verbs / sizeof *verbs; i++) {
        v = strcmp(rest.v[0], verbs[i].name) == 0 ? &verbs[i] : v;
    }
    if (v == NULL) {
        return cli_fail(CLI_USER, "efx cluster: status, checkpoint, drain NODE or deploy APP.sql");
    }
    if (rest.n != (v->arg != NULL ? 2u : 1u)) {
        return cli_fail(CLI_USER, "efx cluster %s: %s%s", v->name,
                        v->arg != NULL ? "give one " : "takes nothing more",
                        v->arg != NULL ? v->arg : "");
    }
    c.timeout_ms = o.timeout_ms > 0 ? (uint64_t)o.timeout_ms : TIMEOUT_MS;
    rc = remote_open(&c.remote, "cluster", &o.remote);
    if (rc < 0) {
        rc = v->run(&c, rest.n > 1 ? rest.v[1] : NULL);
        remote_close(&c.remote);
    }
    return rc;
}

const struct command cmd_cluster = {
    .name = "cluster",
    .args = "status|checkpoint|drain NODE|deploy APP.sql",
    .help = "looks at a cluster and steers it",
    .opts = options,
    .run = run,
};
