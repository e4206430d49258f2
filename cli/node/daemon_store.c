/* Where a node's state goes: the address out of the settings, and opening it with patience.
 *
 *   --redis URL                          Redis: store and coordination of a cluster
 *   persistence.type = file|sqlite|memory   a node alone
 *   --data DIR and none of these         a node alone, in DIR/state
 *   --join and none of these             what a member says
 *
 * The address that goes to the node, and by it to joiners, bears the names of cluster and app.
 */
#include "daemon.h"

#include "efx_world_real.h"

#include <string.h>

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* What stands behind '?' or could be taken for it is written as %hh. */
static const char *encoded(struct efx_arena *arena, const char *text)
{
    size_t n = strlen(text), k = 0;
    char *out = efx_arena_bytes(arena, 3 * n + 1);
    for (size_t i = 0; out != NULL && i < n; i++) {
        if (strchr("?%&= #", text[i]) != NULL) {
            k += (size_t)snprintf(out + k, 4, "%%%02x", (unsigned char)text[i]);
        } else {
            out[k++] = text[i];
        }
    }
    if (out != NULL) {
        out[k] = '\0';
    }
    return out;
}

static const char *redis_url(struct daemon *d)
{
    const struct node_settings *s = &d->s;
    return efx_arena_printf(
        &d->arena,
        "%s%ccluster=%s&app=%s&prefix=%s&connections=%lld&connect_ms=%lld&ttl=%lld&"
        "replicas=%lld",
        s->store_url, strchr(s->store_url, '?') != NULL ? '&' : '?', encoded(&d->arena, s->cluster),
        encoded(&d->arena, d->app_name), encoded(&d->arena, s->redis_prefix),
        (long long)s->redis_connections, (long long)s->redis_connect_ms, (long long)s->redis_ttl,
        (long long)s->redis_replicas);
}

static int local_url(struct daemon *d, const char *type)
{
    const struct node_settings *s = &d->s;
    const char *path = s->store_path;
    if (path[0] == '\0') {
        if (s->data[0] == '\0') {
            return cli_fail(CLI_USER,
                            "efx-node: where does state go? --redis URL for a cluster, --data DIR "
                            "for a node alone, or --join HOST:PORT to learn it");
        }
        path = efx_arena_printf(&d->arena, is(type, "sqlite") ? "%s/state.sqlite" : "%s/state",
                                s->data);
    }
    d->store_url = efx_arena_printf(
        &d->arena, "%s:%s?cluster=%s&app=%s", is(type, "sqlite") ? "sqlite" : "dir",
        encoded(&d->arena, path), encoded(&d->arena, s->cluster), encoded(&d->arena, d->app_name));
    return -1;
}

int daemon_store_url(struct daemon *d)
{
    const struct node_settings *s = &d->s;
    const char *type = s->store_type[0] != '\0'  ? s->store_type
                       : s->store_url[0] != '\0' ? "redis"
                       : d->n_seeds > 0          ? ""
                                                 : "file";
    if (is(type, "")) {
        return -1;
    }
    if (d->app_name == NULL) {
        return cli_fail(CLI_USER, "efx-node: whose state is it? give --app FILE, or --set "
                                  "application.name=NAME, or only --join and learn it");
    }
    if (is(type, "redis")) {
        if (strncmp(s->store_url, "redis://", 8) != 0 &&
            strncmp(s->store_url, "rediss://", 9) != 0) {
            return cli_fail(CLI_USER, "efx-node: --redis takes redis://… or rediss://…");
        }
        d->store_url = redis_url(d);
    } else if (is(type, "memory")) {
        d->store_url =
            efx_arena_printf(&d->arena, "memory:?cluster=%s&app=%s", encoded(&d->arena, s->cluster),
                             encoded(&d->arena, d->app_name));
    } else {
        int status = local_url(d, type);
        if (status >= 0) {
            return status;
        }
    }
    return d->store_url != NULL ? -1 : cli_fail(CLI_FAILED, "efx-node: no memory");
}

static void warned(void *arg, const char *line)
{
    (void)arg;
    log_line(LOG_WARN, "store: %s", line);
}

/* Tries until it is there, refuses, or patience ends; `quit` says that nobody waits any more. */
static enum efx_rc open_patiently(struct daemon *d, const char *url, bool on_loop,
                                  struct efx_stores **out, struct efx_err *err)
{
    struct efx_world *w = efx_world_real();
    struct efx_stores_conf conf = {.warn = warned};
    char public[256];
    efx_stores_url_public(url, public, sizeof public);
    uint64_t give_up_ns = w->clock->monotonic_ns(w) + (uint64_t)STORE_PATIENCE_MS * 1000000;
    for (uint32_t wait_ms = 50, n = 0;; n++) {
        enum efx_rc rc = efx_stores_open(out, url, &conf, w, err);
        if (rc == EFX_OK || rc != EFX_EIO || err->kind != EFX_KIND_ENV ||
            w->clock->monotonic_ns(w) >= give_up_ns) {
            return rc;
        }
        if (n == 0) {
            log_line(LOG_WARN, "store %s is away, trying for %d s: %s", public,
                     STORE_PATIENCE_MS / 1000, err->msg);
        }
        if (on_loop && daemon_signalled(d, (int)wait_ms)) {
            return EFX_DONE;
        }
        if (!on_loop) {
            w->clock->sleep_ns(w, (uint64_t)wait_ms * 1000000);
        }
        wait_ms = wait_ms * 2 > 1000 ? 1000 : wait_ms * 2;
    }
}

int daemon_store_open(struct daemon *d)
{
    struct efx_err err = {0};
    if (d->store_url == NULL) {
        return -1;
    }
    efx_admin_starting(d->admin, "its store is not open yet");
    enum efx_rc rc = open_patiently(d, d->store_url, true, &d->stores, &err);
    if (rc == EFX_DONE) {
        return CLI_OK;
    }
    if (rc != EFX_OK) {
        log_line(LOG_ERROR, "%s", err.msg);
        return err.kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED;
    }
    if (strncmp(d->store_url, "redis", 5) != 0) {
        log_line(LOG_INFO, "alone: without --redis no other node can join");
    }
    return -1;
}

enum efx_rc daemon_store_of(void *arg, const char *url, struct efx_store **store,
                            struct efx_coord **coord, struct efx_err *err)
{
    struct daemon *d = arg;
    struct efx_stores *stores = d->stores;
    if (stores == NULL || strcmp(url, d->store_url) != 0) {
        EFX_RET(open_patiently(d, url, false, &d->learned, err));
        stores = d->learned;
    }
    *store = stores->store;
    *coord = stores->coord;
    return EFX_OK;
}
