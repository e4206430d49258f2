/* Addresses of stores. */
#include "url.h"

#include "efx_str.h"

#include <stdio.h>

#define TEXT_(name_, field_, help_)                                                                \
    {                                                                                              \
        .name = (name_), .kind = EFX_CONF_TEXT, .off = offsetof(struct efx_stores_conf, field_),   \
        .otherwise = "", .help = (help_)                                                           \
    }
#define LONG_(name_, field_, otherwise_, max_, help_)                                              \
    {                                                                                              \
        .name = (name_), .kind = EFX_CONF_LONG, .off = offsetof(struct efx_stores_conf, field_),   \
        .otherwise = (otherwise_), .min = 0, .max = (max_), .help = (help_)                        \
    }

const struct efx_conf_key efx_state__options[] = {
    TEXT_("cluster", cluster, "Name of the cluster, a part of every key."),
    TEXT_("app", app, "Name of the app whose state this is."),
    TEXT_("prefix", prefix, "Redis: what every key begins with."),
    TEXT_("ca", ca, "TLS: file of the authorities to believe instead of the system's."),
    TEXT_("cert", cert, "TLS: file of one's own certificate."),
    TEXT_("key", key, "TLS: file of its private key."),
    LONG_("deadline_ms", deadline_ms, "5000", 600000, "How long a call may wait."),
    LONG_("connect_ms", connect_ms, "5000", 600000, "Redis: how long one connecting may take."),
    LONG_("connections", connections, "10", 64, "Redis: connections of the store at most."),
    LONG_("ttl", ttl, "0", 1000000000, "Redis: seconds that what was deleted can still be read."),
    LONG_("replicas", replicas, "0", 16, "Redis: replicas that must have a write."),
    {0},
};

static enum efx_rc bad(struct efx_err *err, const char *url, const char *what)
{
    char public[160];
    efx_stores_url_public(url, public, sizeof public);
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 0, "store '%s': %s", public, what);
}

void efx_stores_url_public(const char *url, char *out, size_t n)
{
    const char *begin = strstr(url, "://"), *at = NULL;
    if (begin != NULL) {
        begin += 3;
        size_t authority = strcspn(begin, "/?");
        for (size_t i = 0; i < authority; i++) {
            at = begin[i] == '@' ? begin + i : at;
        }
    }
    const char *colon = at == NULL ? NULL : memchr(begin, ':', (size_t)(at - begin));
    if (colon == NULL) {
        (void)snprintf(out, n, "%s", url);
    } else {
        (void)snprintf(out, n, "%.*s:***%s", (int)(colon - url), url, at);
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A copy with %hh undone; NULL: no memory, or %hh that is none. */
static const char *decoded(struct efx_arena *arena, struct efx_str s)
{
    char *out = efx_arena_str(arena, s.p, s.n);
    uint32_t k = 0;
    for (uint32_t i = 0; out != NULL && i < s.n; i++) {
        if (s.p[i] != '%') {
            out[k++] = s.p[i];
            continue;
        }
        int high = i + 2 < s.n + 0u ? hex(s.p[i + 1]) : -1;
        int low = high < 0 ? -1 : hex(s.p[i + 2]);
        if (low < 0 || high + low == 0) {
            return NULL;
        }
        out[k++] = (char)(high << 4 | low);
        i += 2;
    }
    if (out != NULL) {
        out[k] = '\0';
    }
    return out;
}

static struct efx_str cut(struct efx_str *s, char c)
{
    const char *at = s->n == 0 ? NULL : memchr(s->p, c, s->n);
    struct efx_str head = {s->p, at == NULL ? s->n : (uint32_t)(at - s->p)};
    uint32_t used = at == NULL ? s->n : head.n + 1;
    s->p += used;
    s->n -= used;
    return head;
}

static enum efx_rc unknown_option(const char *url, struct efx_str name, struct efx_err *err)
{
    char text[160];
    const char *near = NULL;
    uint32_t best = 3;
    for (const struct efx_conf_key *k = efx_state__options; k->name != NULL; k++) {
        uint32_t far = efx_str_distance(name, efx_str_of(k->name), best);
        if (far < best) {
            best = far;
            near = k->name;
        }
    }
    (void)snprintf(text, sizeof text, "unknown option '" EFX_STR_FMT "'%s%s%s", EFX_STR_ARG(name),
                   near == NULL ? "" : ", did you mean '", near == NULL ? "" : near,
                   near == NULL ? "" : "'?");
    return bad(err, url, text);
}

static enum efx_rc set_option(const char *url, struct efx_str pair, struct efx_stores_conf *conf,
                              struct efx_arena *arena, struct efx_err *err)
{
    struct efx_str value = pair, name = cut(&value, '=');
    char text[160];
    const struct efx_conf_key *k = efx_state__options;
    while (k->name != NULL && !efx_str_equal(name, efx_str_of(k->name))) {
        k++;
    }
    if (k->name == NULL) {
        return unknown_option(url, name, err);
    }
    const char *as_text = decoded(arena, value);
    if (as_text == NULL) {
        (void)snprintf(text, sizeof text, "'%s' is not written as %%hh wants it", k->name);
        return bad(err, url, text);
    }
    if (k->kind == EFX_CONF_TEXT) {
        *(const char **)((char *)conf + k->off) = as_text;
        return EFX_OK;
    }
    int64_t v = 0;
    if (!efx_str_i64(efx_str_of(as_text), &v) || v < k->min || v > k->max) {
        (void)snprintf(text, sizeof text, "'%s' is a number from %lld to %lld", k->name,
                       (long long)k->min, (long long)k->max);
        return bad(err, url, text);
    }
    *(int64_t *)((char *)conf + k->off) = v;
    return EFX_OK;
}

static enum efx_rc set_defaults(const char *url, struct efx_stores_conf *conf, struct efx_err *err)
{
    conf->cluster = conf->cluster != NULL ? conf->cluster : "efx";
    conf->app = conf->app != NULL ? conf->app : "app";
    conf->prefix = conf->prefix != NULL ? conf->prefix : "eventflux:";
    conf->deadline_ms = conf->deadline_ms > 0 ? conf->deadline_ms : 5000;
    conf->connect_ms = conf->connect_ms > 0 ? conf->connect_ms : 5000;
    conf->connections = conf->connections > 0 ? conf->connections : 10;
    conf->port = conf->port > 0 ? conf->port : 6379;
    const char *const names[] = {conf->cluster, conf->app};
    for (uint32_t i = 0; i < 2; i++) {
        size_t n = strlen(names[i]);
        static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
        if (n == 0 || n > 100 || names[i][0] == '.' || strspn(names[i], good) != n) {
            return bad(err, url,
                       "the names of cluster and app are 1 to 100 letters, digits, '-', '_', '.'");
        }
    }
    return strlen(conf->prefix) <= 200 ? EFX_OK : bad(err, url, "the prefix is too long");
}

/* [user[:password]@]host[:port], where host may be [v6]. */
static enum efx_rc set_authority(const char *url, struct efx_str s, struct efx_stores_conf *conf,
                                 struct efx_arena *arena, struct efx_err *err)
{
    uint32_t n_user = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        n_user = s.p[i] == '@' ? i + 1 : n_user;
    }
    if (n_user > 0) {
        struct efx_str password = {s.p, n_user - 1}, user = cut(&password, ':');
        conf->user = user.n == 0 ? conf->user : decoded(arena, user);
        conf->password = password.n == 0 ? conf->password : decoded(arena, password);
        if ((user.n > 0 && conf->user == NULL) || (password.n > 0 && conf->password == NULL)) {
            return bad(err, url, "user or password is not written as %hh wants it");
        }
        s.p += n_user;
        s.n -= n_user;
    }
    struct efx_str host;
    if (s.n > 0 && s.p[0] == '[') {
        s.p++;
        s.n--;
        host = cut(&s, ']');
        (void)cut(&s, ':');
    } else {
        host = cut(&s, ':');
    }
    conf->host = host.n == 0 ? "127.0.0.1" : efx_arena_str(arena, host.p, host.n);
    if (s.n > 0 && (!efx_str_i64(s, &conf->port) || conf->port < 1 || conf->port > 65535)) {
        return bad(err, url, "a port is a number from 1 to 65535");
    }
    return conf->host != NULL ? EFX_OK : bad(err, url, "no memory for it");
}

static enum efx_rc set_redis(const char *url, struct efx_str rest, struct efx_stores_conf *conf,
                             struct efx_arena *arena, struct efx_err *err)
{
    struct efx_str authority = cut(&rest, '/');
    EFX_RET(set_authority(url, authority, conf, arena, err));
    if (rest.n > 0 && (!efx_str_i64(rest, &conf->db) || conf->db < 0 || conf->db > 1000000)) {
        return bad(err, url, "behind the host stands the number of a database");
    }
    if ((conf->cert == NULL) != (conf->key == NULL)) {
        return bad(err, url, "'cert' and 'key' are given together");
    }
    return EFX_OK;
}

static bool begins(struct efx_str *s, const char *with)
{
    size_t n = strlen(with);
    if (s->n < n || memcmp(s->p, with, n) != 0) {
        return false;
    }
    s->p += n;
    s->n -= (uint32_t)n;
    return true;
}

static enum efx_rc set_path(const char *url, struct efx_str rest, struct efx_stores_conf *conf,
                            struct efx_arena *arena, struct efx_err *err)
{
    conf->path = decoded(arena, rest);
    if (conf->path == NULL || conf->path[0] == '\0') {
        return bad(err, url, "it names no path; '%' is written %25");
    }
    return EFX_OK;
}

enum efx_rc efx_state__url_parse(const char *url, struct efx_stores_conf *conf,
                                 struct efx_arena *arena, enum efx_scheme *scheme,
                                 struct efx_err *err)
{
    struct efx_str options = efx_str_of(url);
    struct efx_str rest = cut(&options, '?');
    while (options.n > 0) {
        EFX_RET(set_option(url, cut(&options, '&'), conf, arena, err));
    }
    EFX_RET(set_defaults(url, conf, err));
    if (begins(&rest, "memory:")) {
        *scheme = EFX_SCHEME_MEMORY;
        return rest.n == 0 ? EFX_OK : bad(err, url, "memory: names nothing else");
    }
    if (begins(&rest, "sqlite:")) {
        *scheme = EFX_SCHEME_SQLITE;
        return set_path(url, rest, conf, arena, err);
    }
    if (begins(&rest, "redis://") || (conf->tls = begins(&rest, "rediss://"))) {
        *scheme = EFX_SCHEME_REDIS;
        return set_redis(url, rest, conf, arena, err);
    }
    if (!begins(&rest, "dir:")) {
        struct efx_str copy = rest, before = cut(&copy, ':');
        if (before.n < rest.n && memchr(before.p, '/', before.n) == NULL) {
            return bad(err, url,
                       "known are memory:, dir:PATH, sqlite:FILE, redis://HOST, rediss://HOST");
        }
    }
    *scheme = EFX_SCHEME_DIR;
    return set_path(url, rest, conf, arena, err);
}
