/* efx-node: options and files into settings, and what follows from them. */
#include "daemon.h"

#include "efx_str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Options that are keys of the configuration, too; the same place in both tables. */
static const char *const ways[] = {
    "cluster.node",         "transport.tcp.listen",    "transport.grpc.listen",
    "http.listen",          "transport.tcp.advertise", "transport.grpc.advertise",
    "http.advertise",       "persistence.url",         "persistence.data",
    "application.shards",   "application.clock",       "application.seed",
    "persistence.interval", "transport.tls.cert",      "transport.tls.key",
    "transport.tls.ca",     "transport.tls.peer_ca",   "observability.logging.format",
};
enum { N_WAYS = sizeof ways / sizeof *ways };

#define WAY(i_, name_, arg_, help_)                                                                \
    {                                                                                              \
        .name = name_, .kind = OPT_TEXT, .off = offsetof(struct daemon_opts, given[i_]),           \
        .arg = arg_, .help = help_                                                                 \
    }
static const struct opt options[] = {
    {.name = "app",
     .kind = OPT_TEXT,
     .off = offsetof(struct daemon_opts, app),
     .arg = "FILE",
     .help = "the program; founds a cluster, or must be the one that runs"},
    {.name = "join",
     .kind = OPT_LIST,
     .off = offsetof(struct daemon_opts, join),
     .arg = "HOST:PORT",
     .help = "a member's address; may be this node's own"},
    WAY(0, "id", "NAME", "of this node; by default the host's name"),
    WAY(1, "listen-tcp", "HOST:PORT", "for other nodes: 0.0.0.0:7000"),
    WAY(2, "listen-grpc", "HOST:PORT", "for clients: 0.0.0.0:7100"),
    WAY(3, "listen-http", "HOST:PORT", "health, metrics, status: 0.0.0.0:7200"),
    WAY(4, "advertise-tcp", "HOST:PORT", "what others are told; by default the host's name"),
    WAY(5, "advertise-grpc", "HOST:PORT", "likewise"),
    WAY(6, "advertise-http", "HOST:PORT", "likewise"),
    WAY(7, "redis", "URL", "state and coordination of a cluster; without it the node is alone"),
    WAY(8, "data", "DIR", "this node's folder; alone: its state, too"),
    WAY(9, "shards", "N", "parallel parts here; by default one a core"),
    WAY(10, "clock", "system|virtual", "whose time windows and timers follow"),
    WAY(11, "seed", "N", "of uuid(); without it drawn at the founding"),
    WAY(12, "checkpoint-interval", "D", "from one checkpoint to the next: 1s"),
    {.name = "restore",
     .kind = OPT_TEXT,
     .off = offsetof(struct daemon_opts, restore),
     .arg = "last",
     .values = "last",
     .help = "a cluster goes on from its last checkpoint; others by efx cluster"},
    WAY(13, "tls-cert", "FILE", "PEM: this node's certificate, for clients and nodes"),
    WAY(14, "tls-key", "FILE", "PEM: its key"),
    WAY(15, "tls-ca", "FILE", "PEM: clients must have a certificate of it"),
    WAY(16, "peer-ca", "FILE", "PEM: nodes must have a certificate of it"),
    WAY(17, "log", "text|json", "one line a thing on standard error"),
    {.name = "config",
     .kind = OPT_LIST,
     .off = offsetof(struct daemon_opts, config),
     .arg = "FILE",
     .help = "TOML or YAML; a later one wins; ${VAR} and ${VAR:default} in values"},
    {.name = "set",
     .kind = OPT_LIST,
     .off = offsetof(struct daemon_opts, set),
     .arg = "KEY=VALUE",
     .help = "a key of the configuration; see --list-settings"},
    {.name = "list-settings",
     .kind = OPT_FLAG,
     .off = offsetof(struct daemon_opts, list_settings),
     .help = "prints every key with its default"},
    {.name = "list-metrics",
     .kind = OPT_FLAG,
     .off = offsetof(struct daemon_opts, list_metrics),
     .help = "prints what /metrics shows"},
    {.name = "version",
     .kind = OPT_FLAG,
     .off = offsetof(struct daemon_opts, version),
     .help = "prints the version"},
    {0},
};

static const struct command efx_node = {
    .name = "efx-node",
    .program = "efx-node",
    .args = "",
    .help = "one member of a cluster: takes and gives rows by gRPC, shares keys with the others",
    .opts = options,
};

static int wrong(const struct efx_err *err)
{
    return cli_fail(err->kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx-node: %s", err->msg);
}

/* ---- settings ---- */

static int set_pair(struct daemon *d, const char *pair)
{
    struct efx_err err = {0};
    const char *eq = strchr(pair, '=');
    if (eq == NULL) {
        return cli_fail(CLI_USER, "efx-node: --set takes KEY=VALUE, not '%s'", pair);
    }
    const char *key = efx_arena_str(&d->arena, pair, (size_t)(eq - pair));
    if (key == NULL || settings_set(&d->s, &d->arena, key, eq + 1, "--set", &err) != EFX_OK) {
        return wrong(&err);
    }
    return -1;
}

static int set_ways(struct daemon *d, const struct daemon_opts *o)
{
    struct efx_err err = {0};
    for (uint32_t i = 0; i < N_WAYS; i++) {
        if (o->given[i] == NULL) {
            continue;
        }
        const struct opt *opt = options;
        while (opt->off != offsetof(struct daemon_opts, given) + i * sizeof *o->given) {
            opt++;
        }
        char from[64];
        (void)snprintf(from, sizeof from, "--%s", opt->name);
        if (settings_set(&d->s, &d->arena, ways[i], o->given[i], from, &err) != EFX_OK) {
            return wrong(&err);
        }
    }
    return -1;
}

static int read_settings(struct daemon *d, const struct daemon_opts *o)
{
    struct efx_err err = {0};
    settings_init(&d->s);
    for (uint32_t i = 0; i < o->config.n; i++) {
        if (settings_file(&d->s, &d->arena, o->config.v[i], &err) != EFX_OK) {
            return wrong(&err);
        }
    }
    for (uint32_t i = 0; i < o->set.n; i++) {
        int status = set_pair(d, o->set.v[i]);
        if (status >= 0) {
            return status;
        }
    }
    return set_ways(d, o);
}

/* ---- what follows ---- */

static bool is_address(const char *a)
{
    const char *colon = strrchr(a, ':');
    int64_t port;
    return colon != NULL && colon > a && efx_str_i64(efx_str_of(colon + 1), &port) && port >= 0 &&
           port <= 65535;
}

static int read_seeds(struct daemon *d, const struct daemon_opts *o)
{
    uint32_t max = o->join.n + 1;
    for (const char *p = d->s.seeds; *p != '\0'; p++) {
        max += *p == ',';
    }
    d->seeds = EFX_NEW_N(&d->arena, const char *, max + 1);
    EFX_ASSERT(d->seeds != NULL);
    for (uint32_t i = 0; i < o->join.n; i++) {
        d->seeds[d->n_seeds++] = o->join.v[i];
    }
    for (const char *p = o->join.n == 0 ? d->s.seeds : ""; *p != '\0';) {
        size_t n = strcspn(p, ",");
        size_t skip = strspn(p, " ");
        d->seeds[d->n_seeds++] = efx_arena_str(&d->arena, p + skip, n - skip);
        p += n + (p[n] == ',');
    }
    for (uint32_t i = 0; i < d->n_seeds; i++) {
        if (!is_address(d->seeds[i])) {
            return cli_fail(CLI_USER, "efx-node: '%s' is no HOST:PORT of a member", d->seeds[i]);
        }
    }
    return -1;
}

/* Letters, digits, '-', '_' and '.' of the file's name, without its ending. */
static const char *name_of(struct daemon *d, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *from = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(from, '.');
    size_t n = dot != NULL && dot > from ? (size_t)(dot - from) : strlen(from);
    char *name = efx_arena_str(&d->arena, from, n < 63 ? n : 63);
    EFX_ASSERT(name != NULL);
    for (char *p = name; *p != '\0'; p++) {
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || strchr("-_.", *p) != NULL;
        *p = good ? *p : '-';
    }
    return name[0] == '\0' || name[0] == '.' ? "app" : name;
}

/* Compiled here first, for messages with carets. */
static int read_app(struct daemon *d, const char *path)
{
    d->app_name = d->s.app_name[0] != '\0' ? d->s.app_name : NULL;
    if (path == NULL) {
        return d->n_seeds > 0 || d->app_name != NULL
                   ? -1
                   : cli_fail(CLI_USER, "efx-node: give --app FILE, or --join HOST:PORT");
    }
    struct efx_options how = EFX_OPTIONS_INIT;
    struct efx_error err = {0};
    struct efx *app = NULL;
    char *sql = cli_read_file(path);
    if (sql == NULL) {
        return CLI_FAILED;
    }
    how.file = path;
    enum efx_code code = efx_open(&app, sql, &how, &err);
    bool errors = app != NULL && efx_has_errors(app);
    if (app != NULL) {
        (void)fputs(efx_messages(app), stderr);
        efx_close(&app);
    }
    d->sql = efx_arena_str(&d->arena, sql, strlen(sql));
    free(sql);
    d->app_name = d->app_name != NULL ? d->app_name : name_of(d, path);
    if (code == EFX_RC_OK) {
        return -1;
    }
    return errors ? CLI_USER : cli_fail(CLI_FAILED, "efx-node: %s: %s", path, err.msg);
}

static bool is_any(const char *listen)
{
    return strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
}

/* What others are told of a door that listens everywhere: this host's name; NULL: as it listens. */
static const char *told(struct daemon *d, const char *given, const char *listen)
{
    char host[256] = "localhost";
    const char *port = strrchr(listen, ':');
    if (given[0] != '\0') {
        return given;
    }
    if (!is_any(listen) || strcmp(port, ":0") == 0) {
        return NULL;
    }
    (void)gethostname(host, sizeof host - 1);
    return efx_arena_printf(&d->arena, "%s%s", host, port);
}

/* gRPC's port must be known before its door opens: members are told it. */
static const char *free_port(struct daemon *d, const char *listen)
{
    const char *colon = strrchr(listen, ':');
    if (strcmp(colon, ":0") != 0) {
        return listen;
    }
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &n) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return good ? efx_arena_printf(&d->arena, "%.*s:%u", (int)(colon - listen), listen,
                                   ntohs(at.sin_port))
                : listen;
}

static int read_addresses(struct daemon *d)
{
    struct node_settings *s = &d->s;
    const char *const all[] = {s->listen_tcp, s->listen_grpc, s->listen_http};
    for (uint32_t i = 0; i < 3; i++) {
        if (!is_address(all[i])) {
            return cli_fail(CLI_USER, "efx-node: '%s' is no HOST:PORT to listen on", all[i]);
        }
    }
    if ((s->tls_cert[0] == '\0') != (s->tls_key[0] == '\0')) {
        return cli_fail(CLI_USER, "efx-node: --tls-cert and --tls-key are given together");
    }
    if (s->peer_ca[0] != '\0' && s->tls_cert[0] == '\0') {
        return cli_fail(CLI_USER, "efx-node: --peer-ca needs --tls-cert and --tls-key");
    }
    d->grpc_listen = free_port(d, s->listen_grpc);
    d->tcp_at = told(d, s->advertise_tcp, s->listen_tcp);
    d->grpc_at = told(d, s->advertise_grpc, d->grpc_listen);
    d->grpc_at = d->grpc_at != NULL ? d->grpc_at : d->grpc_listen;
    d->http_at = told(d, s->advertise_http, s->listen_http);
    return -1;
}

static int make_data(struct daemon *d)
{
    char path[1024];
    size_t n = strlen(d->s.data);
    if (n == 0) {
        return -1;
    }
    if (n >= sizeof path) {
        return cli_fail(CLI_USER, "efx-node: --data is too long");
    }
    memcpy(path, d->s.data, n + 1);
    for (size_t i = 1; i <= n; i++) {
        char c = path[i];
        if (c != '/' && c != '\0') {
            continue;
        }
        path[i] = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST) {
            return cli_fail(CLI_FAILED, "efx-node: cannot make %s: %s", path, strerror(errno));
        }
        path[i] = c;
    }
    return daemon_recall(d);
}

static int prepare(struct daemon *d, const struct daemon_opts *o)
{
    char host[256] = "";
    int status = read_settings(d, o);
    status = status < 0 ? read_seeds(d, o) : status;
    status = status < 0 ? read_addresses(d) : status;
    status = status < 0 ? read_app(d, o->app) : status;
    status = status < 0 ? make_data(d) : status;
    status = status < 0 ? daemon_store_url(d) : status;
    if (status >= 0) {
        return status;
    }
    (void)gethostname(host, sizeof host - 1);
    d->node_id = d->s.id[0] != '\0' ? d->s.id : efx_arena_str(&d->arena, host, strlen(host));
    if (d->node_id == NULL || d->node_id[0] == '\0' || strlen(d->node_id) > EFX_NODE_ID_BYTES_MAX ||
        strchr(d->node_id, '/') != NULL) {
        return cli_fail(CLI_USER, "efx-node: --id is 1 to %d bytes without '/'",
                        EFX_NODE_ID_BYTES_MAX);
    }
    if (d->s.shards == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        d->s.shards = n < 1 ? 1 : n > 64 ? 64 : n;
    }
    return -1;
}

static void print_metric(void *arg, const char *name, const char *type, const char *labels,
                         const char *help)
{
    char left[80];
    (void)arg;
    (void)snprintf(left, sizeof left, labels[0] != '\0' ? "%s{%s}" : "%s", name, labels);
    printf("%-42s %-8s %s\n", left, type, help);
}

/* As many descriptors as this process may have: a listener that has run out of them once may never
 * accept again. */
static void raise_files(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    static struct daemon d; /* its threads may outlive a panic's stack */
    struct daemon_opts o = {0};
    struct opt_list rest = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    int status = opts_parse(&efx_node, argc - 1, argv + 1, &o, &rest);
    if (status >= 0) {
        return status;
    }
    if (rest.n > 0) {
        return cli_fail(CLI_USER, "efx-node: '%s' is no option; a program is given by --app",
                        rest.v[0]);
    }
    if (o.version || o.list_settings || o.list_metrics) {
        if (o.version) {
            printf("efx-node %s\n", efx_version());
        } else if (o.list_settings) {
            settings_list(stdout);
        } else {
            efx_admin_metrics(print_metric, NULL);
        }
        return CLI_OK;
    }
    efx_arena_init(&d.arena, &efx_mem_libc, 64 * 1024 * 1024);
    status = prepare(&d, &o);
    if (status < 0) {
        log_init(d.s.log_level, d.s.log_format);
        raise_files();
        status = daemon_run(&d);
    }
    efx_arena_fini(&d.arena);
    return status;
}
