/* /metrics: one row a metric; text, help and the page of the documents come from the same table.
 *
 *   kind      field at `off` of struct facts      written as
 *   U64, U32  count or number                     as it is
 *   MS        int64_t or uint64_t milliseconds    seconds
 *   YES       bool                                0 or 1
 *   MANY      –                                   several lines, by `print`
 */
#include "admin.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum metric_kind { M_U64 = 1, M_U32, M_MS, M_YES, M_MANY };

struct facts {
    struct efx_admin *a;
    const struct efx_status *s; /* NULL: there is no node yet */
    struct efx_transport_counts links;
    int64_t lease_left_ms;
    uint64_t resident_bytes, open_files, cpu_ms;
    bool up, leads;
    uint32_t key_groups, connections;
    uint64_t tick, probes, probes_missed;
};

struct metric {
    const char *name, *type, *labels, *help;
    enum metric_kind kind;
    bool of_node; /* only once there is one */
    size_t off;
    size_t status_off; /* not of `facts` but of the status, + 1 */
    void (*print)(const struct metric *m, const struct facts *f, struct evbuffer *out);
};

/* ---- those with labels ---- */

static void print_requests(const struct metric *m, const struct facts *f, struct evbuffer *out)
{
    for (uint32_t i = 0; i + 1 < ADMIN_CODES; i++) {
        (void)evbuffer_add_printf(out, "%s{code=\"%" PRIu32 "\"} %" PRIu64 "\n", m->name,
                                  admin_codes[i], f->a->counts.requests[i]);
    }
    (void)evbuffer_add_printf(out, "%s{code=\"other\"} %" PRIu64 "\n", m->name,
                              f->a->counts.requests[ADMIN_CODES - 1]);
}

static void print_limits(const struct metric *m, const struct facts *f, struct evbuffer *out)
{
    const struct {
        const char *name;
        uint64_t n;
    } limits[] = {
        {"http.max_connections", f->a->counts.refused},
        {"http.max_body_bytes", f->a->counts.too_large},
        {"tcp.max_connections", f->links.refused},
        {"tcp.max_frame_bytes", f->links.too_long},
    };
    for (uint32_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        (void)evbuffer_add_printf(out, "%s{limit=\"%s\"} %" PRIu64 "\n", m->name, limits[i].name,
                                  limits[i].n);
    }
}

static void print_links_ended(const struct metric *m, const struct facts *f, struct evbuffer *out)
{
    const struct {
        const char *why;
        uint64_t n;
    } ends[] = {
        {"malformed", f->links.malformed}, {"untrusted", f->links.untrusted},
        {"timed_out", f->links.timed_out}, {"broken", f->links.broken},
        {"too_long", f->links.too_long},
    };
    for (uint32_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)evbuffer_add_printf(out, "%s{why=\"%s\"} %" PRIu64 "\n", m->name, ends[i].why,
                                  ends[i].n);
    }
}

static void print_build(const struct metric *m, const struct facts *f, struct evbuffer *out)
{
    const char *version = "";
    for (uint32_t i = 0; i < f->s->n_nodes; i++) {
        version = f->s->nodes[i].self ? f->s->nodes[i].version : version;
    }
    (void)evbuffer_add_printf(out, "%s{version=\"%s\",app=\"%s\",cluster=\"%s\"} 1\n", m->name,
                              version, f->s->app, f->s->cluster);
}

/* ---- the table ---- */

#define FACT(name_, type_, kind_, field_, help_)                                                   \
    {                                                                                              \
        .name = name_, .type = type_, .labels = "", .help = help_, .kind = kind_,                  \
        .off = offsetof(struct facts, field_)                                                      \
    }
#define NODE(name_, type_, kind_, field_, help_)                                                   \
    {                                                                                              \
        .name = name_, .type = type_, .labels = "", .help = help_, .kind = kind_, .of_node = true, \
        .off = offsetof(struct facts, field_)                                                      \
    }
#define STATUS(name_, type_, kind_, field_, help_)                                                 \
    {                                                                                              \
        .name = name_, .type = type_, .labels = "", .help = help_, .kind = kind_, .of_node = true, \
        .status_off = offsetof(struct efx_status, field_) + 1                                      \
    }
#define MANY(name_, labels_, print_, help_)                                                        \
    {                                                                                              \
        .name = name_, .type = "counter", .labels = labels_, .help = help_, .kind = M_MANY,        \
        .print = print_                                                                            \
    }
#define COUNT "counter"
#define GAUGE "gauge"

static const struct metric metrics[] = {
    FACT("efx_up", GAUGE, M_YES, up, "1: there is a node behind this page; 0: it is starting."),
    {.name = "efx_build_info",
     .type = GAUGE,
     .labels = "version, app, cluster",
     .help = "What runs here; always 1.",
     .kind = M_MANY,
     .of_node = true,
     .print = print_build},
    STATUS("efx_ready", GAUGE, M_YES, ready, "1: what /ready says."),
    STATUS("efx_epoch", GAUGE, M_U64, epoch, "The fencing number: grows with each change."),
    STATUS("efx_members", GAUGE, M_U32, n_nodes, "Members in the epoch's record."),
    NODE("efx_leader", GAUGE, M_YES, leads, "1: this node plans checkpoints and moves."),
    NODE("efx_key_groups", GAUGE, M_U32, key_groups, "Key groups, of 1,024, that this node owns."),
    NODE("efx_lease_seconds_left", GAUGE, M_MS, lease_left_ms,
         "Until this node falls silent unless its lease is renewed."),
    STATUS("efx_rows_in_total", COUNT, M_U64, rows_in,
           "Rows taken by the cluster since the app was founded or restored."),
    STATUS("efx_rows_out_total", COUNT, M_U64, rows_out, "Rows of derived streams, likewise."),
    STATUS("efx_repeated_rows_total", COUNT, M_U64, n_repeated_rows,
           "Rows that clients sent again and that were dropped by their number."),
    STATUS("efx_sessions", GAUGE, M_U32, n_sessions, "Client sessions that are remembered."),
    NODE("efx_ticks_total", COUNT, M_U64, tick, "Ticks that this node has finished."),
    STATUS("efx_tick_lag_seconds", GAUGE, M_MS, tick_lag_ms,
           "How long the tick at hand has waited for the slowest member."),
    STATUS("efx_checkpoints_total", COUNT, M_U64, n_checkpoints,
           "Checkpoints that were committed."),
    STATUS("efx_checkpoints_failed_total", COUNT, M_U64, n_checkpoints_failed,
           "Checkpoints that came to nothing; they lose no change."),
    STATUS("efx_checkpoint_age_seconds", GAUGE, M_MS, checkpoint_age_ms,
           "Since the last one was committed: what a loss of all nodes would cost."),
    STATUS("efx_checkpoint_duration_seconds", GAUGE, M_MS, checkpoint_took_ms,
           "Of the last one, from its mark to its commit."),
    STATUS("efx_checkpoint_bytes", GAUGE, M_U64, last.n_bytes, "Of all chunks that it names."),
    STATUS("efx_checkpoint_new_bytes", GAUGE, M_U64, last.n_new_bytes,
           "Of those that none before it named."),
    STATUS("efx_rewinds_total", COUNT, M_U64, n_rewinds,
           "Times that the cluster went back to a checkpoint."),
    STATUS("efx_fenced_seconds_total", COUNT, M_MS, fenced_ms,
           "How long this node has been silent because its lease had ended."),
    STATUS("efx_store_errors_total", COUNT, M_U64, n_store_errors,
           "Calls to the store that failed or had no answer."),
    STATUS("efx_state_bytes", GAUGE, M_U64, state_bytes, "State in this node's memory."),
    STATUS("efx_alarms", GAUGE, M_U32, n_alarms, "What /api/status shows under alarms."),
    MANY("efx_limit_reached_total", "limit", print_limits,
         "Times that a limit was reached, under its configuration key."),
    FACT("efx_links", GAUGE, M_U32, links.links, "Links of the transport now."),
    FACT("efx_links_accepted_total", COUNT, M_U64, links.accepted, "Links that came in."),
    FACT("efx_links_connected_total", COUNT, M_U64, links.connected, "Links that went out."),
    MANY("efx_links_ended_total", "why", print_links_ended, "Links that did not end in order."),
    FACT("efx_link_messages_in_total", COUNT, M_U64, links.messages_in, "Messages over links."),
    FACT("efx_link_messages_out_total", COUNT, M_U64, links.messages_out, "Likewise, out."),
    FACT("efx_link_in_bytes_total", COUNT, M_U64, links.bytes_in, "Bytes over links."),
    FACT("efx_link_out_bytes_total", COUNT, M_U64, links.bytes_out, "Likewise, out."),
    FACT("efx_descriptors_missing_total", COUNT, M_U64, links.no_descriptors,
         "Times that accepting a link waited for a file descriptor."),
    FACT("efx_grpc_probes_total", COUNT, M_U64, probes, "Health checks of the own gRPC address."),
    FACT("efx_grpc_probes_missed_total", COUNT, M_U64, probes_missed,
         "Of those, without an answer."),
    FACT("efx_http_connections", GAUGE, M_U32, connections,
         "Connections to this page's server now."),
    MANY("efx_http_requests_total", "code", print_requests, "Answers by status code."),
    FACT("process_cpu_seconds_total", COUNT, M_MS, cpu_ms, "Of all its threads."),
    FACT("process_resident_memory_bytes", GAUGE, M_U64, resident_bytes, "In memory."),
    FACT("process_open_fds", GAUGE, M_U64, open_files, "Open file descriptors."),
};
enum { N_METRICS = sizeof metrics / sizeof *metrics };

/* ---- facts ---- */

static void read_process(struct facts *f)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        unsigned long long pages = 0;
        if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%*u %llu", &pages) == 1) {
            f->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
        (void)close(fd);
    }
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        f->open_files += e->d_name[0] != '.';
    }
    if (d != NULL) {
        (void)closedir(d);
        f->open_files--; /* the one that was reading */
    }
    f->cpu_ms = (uint64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

static void gather(struct efx_admin *a, struct facts *f)
{
    struct efx_service *service;
    *f = (struct facts){.a = a,
                        .connections = a->counts.connections,
                        .probes = a->probe.n,
                        .probes_missed = a->probe.n_missed};
    (void)pthread_mutex_lock(&a->lock);
    service = a->node.service;
    f->links = a->links;
    (void)pthread_mutex_unlock(&a->lock);
    read_process(f);
    if (service == NULL) {
        return;
    }
    service->vt->status(service, a->status);
    f->s = a->status;
    f->up = true;
    for (uint32_t i = 0; i < f->s->n_nodes; i++) {
        const struct efx_node_info *n = &f->s->nodes[i];
        if (n->self) {
            f->lease_left_ms = n->lease_left_ms;
            f->key_groups = n->key_groups;
            f->tick = n->tick;
            f->leads = strcmp(n->id, f->s->leader) == 0;
        }
    }
}

static void print_value(const struct metric *m, const struct facts *f, struct evbuffer *out)
{
    const char *field =
        m->status_off > 0 ? (const char *)f->s + m->status_off - 1 : (const char *)f + m->off;
    uint64_t u = 0;
    switch (m->kind) {
    case M_U64: memcpy(&u, field, sizeof u); break;
    case M_MS: {
        int64_t ms;
        memcpy(&ms, field, sizeof ms);
        (void)evbuffer_add_printf(out, "%s %.3f\n", m->name, (double)ms / 1000);
        return;
    }
    case M_U32: {
        uint32_t v;
        memcpy(&v, field, sizeof v);
        u = v;
        break;
    }
    case M_YES: u = *(const bool *)field; break;
    case M_MANY: m->print(m, f, out); return;
    }
    (void)evbuffer_add_printf(out, "%s %" PRIu64 "\n", m->name, u);
}

int admin_metrics(struct efx_admin *a, struct evbuffer *body)
{
    struct facts f;
    gather(a, &f);
    for (uint32_t i = 0; i < N_METRICS; i++) {
        const struct metric *m = &metrics[i];
        if (m->of_node && f.s == NULL) {
            continue;
        }
        (void)evbuffer_add_printf(body, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                                  m->type);
        print_value(m, &f, body);
    }
    return 200;
}

void efx_admin_metrics(void (*row)(void *arg, const char *name, const char *type,
                                   const char *labels, const char *help),
                       void *arg)
{
    for (uint32_t i = 0; i < N_METRICS; i++) {
        row(arg, metrics[i].name, metrics[i].type, metrics[i].labels, metrics[i].help);
    }
}
