/* Keys of a node's configuration: the table, and from text into the struct. */
#include "settings.h"

#include "../cli.h"

#include "efx_plugin.h"
#include "efx_str.h"

#include <stdlib.h>
#include <string.h>

#define KEY(name_, kind_, field_, otherwise_, min_, max_, help_)                                   \
    {                                                                                              \
        .name = name_, .kind = kind_, .off = offsetof(struct node_settings, field_),               \
        .otherwise = otherwise_, .min = min_, .max = max_, .help = help_                           \
    }
#define WORD(name_, field_, otherwise_, values_, help_)                                            \
    {                                                                                              \
        .name = name_, .kind = EFX_CONF_TEXT, .off = offsetof(struct node_settings, field_),       \
        .otherwise = otherwise_, .values = values_, .help = help_                                  \
    }
#define TEXT(name_, field_, otherwise_, help_)                                                     \
    KEY(name_, EFX_CONF_TEXT, field_, otherwise_, 0, 0, help_)
#define LONG(name_, field_, otherwise_, min_, max_, help_)                                         \
    KEY(name_, EFX_CONF_LONG, field_, otherwise_, min_, max_, help_)
#define TIME(name_, field_, otherwise_, min_, max_, help_)                                         \
    KEY(name_, EFX_CONF_DURATION, field_, otherwise_, min_, max_, help_)
#define BYTES(name_, field_, otherwise_, min_, max_, help_)                                        \
    KEY(name_, EFX_CONF_BYTES, field_, otherwise_, min_, max_, help_)
#define SECRET(name_, field_, help_) KEY(name_, EFX_CONF_SECRET, field_, "", 0, 0, help_)

enum { DAY_MS = 86400000, MIB = 1024 * 1024 };

static const struct efx_conf_key keys[] = {
    TEXT("application.name", app_name, "", "of the app; by default its file's"),
    LONG("application.shards", shards, "0", 0, 64, "parallel parts here; 0: one a core"),
    WORD("application.clock", clock, "", "system|virtual",
         "whose time windows follow; by default the events' where the app has event.time"),
    LONG("application.max_batch", max_batch, "4096", 1, 4096, "events a step; changes no result"),
    LONG("application.seed", seed, "0", 0, INT64_MAX, "of uuid(); 0: drawn at the founding"),
    BYTES("state.max_bytes", state_bytes, "0", 0, INT64_MAX,
          "state in memory; 0: three quarters of what the process may use"),

    TEXT("cluster.id", cluster, "efx", "which cluster this is"),
    TEXT("cluster.seeds", seeds, "", "addresses of members, by commas; may name this node"),
    TEXT("cluster.node", id, "", "this node's name; by default the host's"),
    TIME("cluster.failure_timeout", failure_ms, "2s", 1000, DAY_MS,
         "length of a lease: so long a silent member is waited for"),
    LONG("cluster.min_nodes", min_nodes, "1", 1, 128, "fewer found nothing, and hold"),
    TIME("cluster.form_timeout", form_ms, "10s", 100, DAY_MS, "how long a founder waits for them"),
    TIME("barrier.timeout", barrier_ms, "10s", 100, DAY_MS,
         "of a checkpoint, a restore, a hand-over"),

    WORD("persistence.type", store_type, "", "memory|file|sqlite|redis",
         "where checkpoints go; by default redis with an address, else a folder in the data's"),
    TEXT("persistence.path", store_path, "", "of the folder or the SQLite file"),
    SECRET("persistence.url", store_url, "redis://user:password@host:6379/0 or rediss://…"),
    TIME("persistence.interval", interval_ms, "1s", 10, DAY_MS, "from one checkpoint to the next"),
    LONG("persistence.retain", retain, "10", 1, 32, "checkpoints that are kept"),
    TEXT("persistence.data", data, "", "this node's folder; it is made if it is missing"),
    TEXT("redis.key_prefix", redis_prefix, "eventflux:", "of every key"),
    LONG("redis.max_connections", redis_connections, "10", 1, 64, "of the store"),
    LONG("redis.connection_timeout_ms", redis_connect_ms, "5000", 1, 600000, "of one attempt"),
    LONG("redis.ttl_seconds", redis_ttl, "0", 0, 1000000000, "that what is deleted stays readable"),
    LONG("redis.min_replicas", redis_replicas, "0", 0, 16, "that must have what counts"),

    TEXT("transport.tcp.listen", listen_tcp, "0.0.0.0:7000", "for other nodes"),
    TEXT("transport.tcp.advertise", advertise_tcp, "", "what others are told"),
    TEXT("transport.grpc.listen", listen_grpc, "0.0.0.0:7100", "for clients"),
    TEXT("transport.grpc.advertise", advertise_grpc, "", "what others are told"),
    TEXT("http.listen", listen_http, "0.0.0.0:7200", "health, metrics, status"),
    TEXT("http.advertise", advertise_http, "", "what others are told"),
    TEXT("transport.tls.cert", tls_cert, "", "PEM file: this node's certificate"),
    TEXT("transport.tls.key", tls_key, "", "PEM file: its key"),
    TEXT("transport.tls.ca", tls_ca, "", "PEM file: who clients must be signed by"),
    TEXT("transport.tls.peer_ca", peer_ca, "", "PEM file: who may join"),
    SECRET("grpc.auth.token", token, "that every call must bear"),
    LONG("grpc.max_calls", grpc_calls, "256", 1, 1000000, "at a time"),
    BYTES("grpc.max_message_bytes", grpc_message_bytes, "4194304", 1024, 64 * MIB, "of a message"),
    LONG("tcp.max_connections", tcp_connections, "1024", 1, 1000000, "links of the transport"),
    BYTES("tcp.max_frame_bytes", tcp_frame_bytes, "10485760", 1024, 64 * MIB,
          "a longer announced frame ends its link; between nodes 32 MiB"),
    BYTES("tcp.compress_bytes", compress_bytes, "0", 0, 1024 * MIB,
          "longer messages between nodes are compressed; 0: none is, as suits a fast network"),
    LONG("http.max_connections", http_connections, "256", 1, 65536, "beyond: 503"),
    BYTES("http.max_body_bytes", http_body_bytes, "1048576", 0, 1024 * MIB, "beyond: 413"),

    LONG("session.max", session_max, "65536", 1, 1000000, "client sessions that are remembered"),
    TIME("session.idle", session_idle_ms, "1h", 1000, INT64_MAX, "until one is forgotten"),
    TIME("session.hold", session_hold_ms, "30s", 100, DAY_MS,
         "how long a broken call holds its watermark"),
    BYTES("subscribe.max_bytes", subscribe_bytes, "16777216", 65536, 1024 * MIB,
          "that may wait for one subscriber"),

    WORD("observability.logging.level", log_level, "info", "error|warn|info|debug",
         "what is logged"),
    WORD("observability.logging.format", log_format, "text", "text|json", "of the lines"),
    {0},
};

/* Words of runtime.md §7 and §10 that nothing stands behind yet. */
static const char *const absent[] = {
    "application.async",
    "application.buffer_size",
    "cluster.key_groups",
    "error.log_rate",
    "event.max_bytes",
    "exchange.max_bytes",
    "extensions",
    "loop.max_rows",
    "observability.metrics",
    "observability.tracing",
    "pattern.max_partials",
    "persistence.compression",
    "sql.max_bytes",
    "streams",
    "subscribe.retain",
    "tables",
    "trigger.max_catch_up",
};

static enum efx_rc bad(struct efx_err *err, const char *from, const char *key, const char *what)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "%s: %s %s", from, key, what);
}

static const struct efx_conf_key *find(const char *name)
{
    for (const struct efx_conf_key *k = keys; k->name != NULL; k++) {
        if (strcmp(k->name, name) == 0) {
            return k;
        }
    }
    return NULL;
}

static enum efx_rc unknown(const char *name, const char *from, struct efx_err *err)
{
    const char *names[sizeof keys / sizeof *keys];
    uint32_t n = 0;
    for (uint32_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        size_t len = strlen(absent[i]);
        if (strncmp(absent[i], name, len) == 0 && (name[len] == '\0' || name[len] == '.')) {
            return bad(err, from, name, "is not built yet");
        }
    }
    for (; keys[n].name != NULL; n++) {
        names[n] = keys[n].name;
    }
    const char *near = opts_nearest(name, names, n);
    return near == NULL ? bad(err, from, name, "is no known key; see --list-settings")
                        : EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                                   "%s: %s is no known key; did you mean %s?", from, name, near);
}

/* 64, 64k, 64KiB, 16 MiB, 1g: powers of 1,024. */
static bool bytes_of(const char *text, int64_t *out)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    uint32_t shift = 0;
    if (end == text || v < 0) {
        return false;
    }
    end += strspn(end, " ");
    if (*end != '\0') {
        const char *at = strchr("kKmMgGtT", *end);
        if (at == NULL) {
            return false;
        }
        static const uint32_t shifts[] = {10, 20, 30, 40};
        shift = shifts[(at - "kKmMgGtT") / 2 % 4];
        end++;
        end += strncmp(end, "iB", 2) == 0 ? 2 : *end == 'B' ? 1 : 0;
    }
    *out = (int64_t)v << shift;
    return *end == '\0' && (shift == 0 || v < (1LL << (62 - shift)));
}

static bool among(const char *values, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = values; p != NULL; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (strncmp(p, word, n) == 0 && (p[n] == '|' || p[n] == '\0')) {
            return n > 0;
        }
    }
    return false;
}

static enum efx_rc set_number(const struct efx_conf_key *k, const char *value, int64_t *field,
                              const char *from, struct efx_err *err)
{
    int64_t v = 0;
    bool good = k->kind == EFX_CONF_BYTES      ? bytes_of(value, &v)
                : k->kind == EFX_CONF_DURATION ? opts_duration(value, &v)
                                               : efx_str_i64(efx_str_of(value), &v);
    if (!good || v < k->min || v > k->max) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "%s: %s = '%s': %s from %lld to %lld%s",
                        from, k->name, value,
                        k->kind == EFX_CONF_BYTES      ? "bytes, like 65536 or 64k,"
                        : k->kind == EFX_CONF_DURATION ? "a duration like 500ms or '2 sec',"
                                                       : "a number",
                        (long long)k->min, (long long)k->max,
                        k->kind == EFX_CONF_DURATION ? " ms" : "");
    }
    *field = v;
    return EFX_OK;
}

enum efx_rc settings_set(struct node_settings *s, struct efx_arena *arena, const char *key,
                         const char *value, const char *from, struct efx_err *err)
{
    const struct efx_conf_key *k = find(key);
    if (k == NULL) {
        return unknown(key, from, err);
    }
    void *field = (char *)s + k->off;
    if (k->kind != EFX_CONF_TEXT && k->kind != EFX_CONF_SECRET) {
        return set_number(k, value, field, from, err);
    }
    if (k->values != NULL && !among(k->values, value)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "%s: %s = '%s': one of %s", from,
                        k->name, value, k->values);
    }
    const char *copy = efx_arena_str(arena, value, strlen(value));
    if (copy == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "%s: no memory", from);
    }
    *(const char **)field = copy;
    return EFX_OK;
}

void settings_init(struct node_settings *s)
{
    struct efx_err err;
    *s = (struct node_settings){0};
    for (const struct efx_conf_key *k = keys; k->name != NULL; k++) {
        void *field = (char *)s + k->off;
        if (k->kind == EFX_CONF_TEXT || k->kind == EFX_CONF_SECRET) {
            *(const char **)field = k->otherwise;
        } else {
            EFX_ASSERT(set_number(k, k->otherwise, field, "default", &err) == EFX_OK);
        }
    }
}

const char *settings_expand(struct efx_arena *arena, const char *text, const char *from,
                            struct efx_err *err)
{
    const char *out = "", *at = text, *next;
    while (out != NULL && (next = strstr(at, "${")) != NULL) {
        const char *end = strchr(next, '}');
        if (end == NULL) {
            (void)EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "%s: '${' without '}'", from);
            return NULL;
        }
        const char *colon = memchr(next, ':', (size_t)(end - next));
        char name[128];
        int n = (int)((colon != NULL ? colon : end) - next) - 2;
        (void)snprintf(name, sizeof name, "%.*s", n, next + 2);
        const char *value = getenv(name);
        if (value == NULL && colon != NULL) {
            value = efx_arena_str(arena, colon + 1, (size_t)(end - colon) - 1);
        } else if (value == NULL) {
            (void)EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                           "%s: the variable %s is not set; ${%s:…} gives it a default", from, name,
                           name);
            return NULL;
        }
        out = efx_arena_printf(arena, "%s%.*s%s", out, (int)(next - at), at, value);
        at = end + 1;
    }
    return out == NULL ? NULL : efx_arena_printf(arena, "%s%s", out, at);
}

/* ---- files ---- */

struct loading {
    struct node_settings *s;
    struct efx_arena *arena;
    const char *path;
    struct efx_err *err;
};

static bool loaded(void *arg, const char *key, const char *value, unsigned line)
{
    struct loading *l = arg;
    char from[256];
    (void)snprintf(from, sizeof from, "%s:%u", l->path, line);
    const char *full = settings_expand(l->arena, value, from, l->err);
    return full != NULL && settings_set(l->s, l->arena, key, full, from, l->err) == EFX_OK;
}

enum efx_rc settings_file(struct node_settings *s, struct efx_arena *arena, const char *path,
                          struct efx_err *err)
{
    const char *dot = strrchr(path, '.');
    bool yaml = dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
    if (!yaml && (dot == NULL || strcmp(dot, ".toml") != 0)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0,
                        "%s: a configuration ends in .toml, .yaml or .yml", path);
    }
    char *text = cli_read_file(path);
    if (text == NULL) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "the configuration cannot be read");
    }
    struct efx_err first = {0};
    struct loading l = {.s = s, .arena = arena, .path = path, .err = &first};
    char why[160] = "";
    bool good = (yaml ? conf_yaml : conf_toml)(text, strlen(text), loaded, &l, why, sizeof why);
    free(text);
    if (good) {
        return EFX_OK;
    }
    return why[0] != '\0' ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "%s: %s", path, why)
                          : EFX_FAIL(err, first.rc, first.kind, 0, "%s", first.msg);
}

void settings_list(FILE *out)
{
    for (const struct efx_conf_key *k = keys; k->name != NULL; k++) {
        const char *kind = k->values != NULL              ? k->values
                           : k->kind == EFX_CONF_TEXT     ? "text"
                           : k->kind == EFX_CONF_SECRET   ? "secret"
                           : k->kind == EFX_CONF_DURATION ? "duration"
                           : k->kind == EFX_CONF_BYTES    ? "bytes"
                                                          : "number";
        (void)fprintf(out, "%-29s %-24s %-13s %s\n", k->name, kind,
                      k->otherwise[0] != '\0' ? k->otherwise : "-", k->help);
    }
}
