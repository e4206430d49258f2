/* The pages in JSON: probes and what the API shows. Each is made from one copy of the status. */
#include "admin.h"

#include <inttypes.h>

/* ---- JSON ---- */

void admin_json_text(struct evbuffer *out, const char *text)
{
    (void)evbuffer_add(out, "\"", 1);
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            (void)evbuffer_add_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)evbuffer_add_printf(out, "\\u%04x", c);
        } else {
            (void)evbuffer_add(out, p, 1);
        }
    }
    (void)evbuffer_add(out, "\"", 1);
}

static void put_text(struct evbuffer *out, const char *before, const char *text)
{
    (void)evbuffer_add(out, before, strlen(before));
    admin_json_text(out, text);
}

static void put_hash(struct evbuffer *out, const char *before, const uint8_t hash[16])
{
    (void)evbuffer_add_printf(out, "%s\"", before);
    for (uint32_t i = 0; i < 16; i++) {
        (void)evbuffer_add_printf(out, "%02x", hash[i]);
    }
    (void)evbuffer_add(out, "\"", 1);
}

static const char *state_text(enum efx_node_state s)
{
    switch (s) {
    case EFX_NODE_JOINING: return "joining";
    case EFX_NODE_RESTORING: return "restoring";
    case EFX_NODE_RUNNING: return "running";
    case EFX_NODE_DRAINING: return "draining";
    case EFX_NODE_FENCED: return "fenced";
    case EFX_NODE_LOST: return "lost";
    case EFX_NODE_HOLDING: return "holding";
    }
    return "starting";
}

/* ---- probes ---- */

int admin_health(struct efx_admin *a, struct evbuffer *body)
{
    (void)pthread_mutex_lock(&a->lock);
    uint64_t seen_ns = a->seen_ns;
    bool watched = a->node.loop != NULL;
    (void)pthread_mutex_unlock(&a->lock);
    uint64_t now_ns = a->conf.world->clock->monotonic_ns(a->conf.world);
    uint64_t silent_ms = now_ns > seen_ns ? (now_ns - seen_ns) / 1000000 : 0;
    if (watched && silent_ms > a->conf.silent_ms) {
        (void)evbuffer_add_printf(
            body,
            "{\"alive\":false,\"reason\":\"the node's loop has not turned for "
            "%" PRIu64 " ms\"}\n",
            silent_ms);
        return 503;
    }
    if (a->probe.missed >= ADMIN_PROBES_MISSED) {
        (void)evbuffer_add_printf(body,
                                  "{\"alive\":false,\"reason\":\"gRPC on port %u has not answered "
                                  "the last %u health checks\"}\n",
                                  a->probe.port, a->probe.missed);
        return 503;
    }
    (void)evbuffer_add_printf(body, "{\"alive\":true}\n");
    return 200;
}

int admin_ready(struct efx_admin *a, struct evbuffer *body)
{
    struct efx_admin_node node = admin_node(a);
    char why[EFX_ERR_MSG_BYTES];
    if (node.service == NULL) {
        (void)pthread_mutex_lock(&a->lock);
        memcpy(why, a->starting, sizeof why);
        (void)pthread_mutex_unlock(&a->lock);
    } else {
        node.service->vt->status(node.service, a->status);
        if (a->status->ready) {
            (void)evbuffer_add_printf(body, "{\"ready\":true,\"epoch\":%" PRIu64 "}\n",
                                      a->status->epoch);
            return 200;
        }
        memcpy(why, a->status->why_not, sizeof why);
    }
    put_text(body, "{\"ready\":false,\"reason\":", why);
    (void)evbuffer_add_printf(body, "}\n");
    return 503;
}

/* ---- API ---- */

static bool fill_status(struct efx_admin *a, struct evbuffer *body)
{
    struct efx_admin_node node = admin_node(a);
    if (node.service == NULL) {
        put_text(body, "{\"error\":", "the node is starting");
        (void)evbuffer_add_printf(body, "}\n");
        return false;
    }
    node.service->vt->status(node.service, a->status);
    return true;
}

static void put_checkpoint(struct evbuffer *out, const struct efx_checkpoint_info *c)
{
    (void)evbuffer_add_printf(out, "{\"no\":%" PRIu64, c->no);
    put_text(out, ",\"revision\":", c->revision);
    (void)evbuffer_add_printf(out,
                              ",\"committed_ms\":%" PRId64 ",\"epoch\":%" PRIu64
                              ",\"bytes\":%" PRIu64 ",\"new_bytes\":%" PRIu64,
                              c->committed_ms, c->epoch, c->n_bytes, c->n_new_bytes);
    put_hash(out, ",\"app_hash\":", c->app_hash);
    (void)evbuffer_add(out, "}", 1);
}

static void put_node(struct evbuffer *out, const struct efx_node_info *n)
{
    put_text(out, "{\"id\":", n->id);
    (void)evbuffer_add_printf(out, ",\"incarnation\":\"%016" PRIx64 "\"", n->incarnation);
    put_text(out, ",\"state\":", state_text(n->state));
    put_text(out, ",\"tcp\":", n->tcp);
    put_text(out, ",\"grpc\":", n->grpc);
    put_text(out, ",\"http\":", n->http);
    put_text(out, ",\"version\":", n->version);
    (void)evbuffer_add_printf(out,
                              ",\"key_groups\":%" PRIu32 ",\"lease_left_ms\":%" PRId64
                              ",\"tick\":%" PRIu64 ",\"self\":%s}",
                              n->key_groups, n->lease_left_ms, n->tick, n->self ? "true" : "false");
}

static int status_page(struct efx_admin *a, struct evbuffer *body)
{
    if (!fill_status(a, body)) {
        return 503;
    }
    const struct efx_status *s = a->status;
    put_text(body, "{\"cluster\":", s->cluster);
    put_text(body, ",\"app\":", s->app);
    put_hash(body, ",\"app_hash\":", s->app_hash);
    (void)evbuffer_add_printf(body, ",\"epoch\":%" PRIu64, s->epoch);
    put_text(body, ",\"leader\":", s->leader);
    (void)evbuffer_add_printf(body, ",\"ready\":%s", s->ready ? "true" : "false");
    put_text(body, ",\"reason\":", s->ready ? "" : s->why_not);
    (void)evbuffer_add_printf(body, ",\"nodes\":[");
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        (void)evbuffer_add(body, ",", i > 0);
        put_node(body, &s->nodes[i]);
    }
    (void)evbuffer_add_printf(body, "],\"last\":");
    put_checkpoint(body, &s->last);
    put_text(body, ",\"store\":", s->store_state != NULL ? s->store_state : "none");
    (void)evbuffer_add_printf(body,
                              ",\"clock_ms\":%" PRId64 ",\"sessions\":%" PRIu32
                              ",\"rows_in\":%" PRIu64 ",\"rows_out\":%" PRIu64
                              ",\"rewinds\":%" PRIu64 ",\"state_bytes\":%" PRIu64 ",\"alarms\":[",
                              s->clock_ms, s->n_sessions, s->rows_in, s->rows_out, s->n_rewinds,
                              s->state_bytes);
    for (uint32_t i = 0; i < s->n_alarms; i++) {
        put_text(body, i > 0 ? "," : "", s->alarms[i]);
    }
    (void)evbuffer_add_printf(body, "]}\n");
    return 200;
}

static int checkpoints_page(struct efx_admin *a, struct evbuffer *body)
{
    if (!fill_status(a, body)) {
        return 503;
    }
    (void)evbuffer_add_printf(body, "{\"kept\":[");
    for (uint32_t i = 0; i < a->status->n_kept; i++) {
        (void)evbuffer_add(body, ",", i > 0);
        put_checkpoint(body, &a->status->kept[i]);
    }
    (void)evbuffer_add_printf(body, "]}\n");
    return 200;
}

/* NULL, and the answer is made: none runs. */
static const struct efx_service_app *app_of(struct efx_service *service, struct evbuffer *body)
{
    const struct efx_service_app *app = service == NULL ? NULL : service->vt->app_ref(service);
    if (app == NULL) {
        (void)evbuffer_add_printf(body, "{\"error\":\"no app runs yet\"}\n");
    }
    return app;
}

static int plan_page(struct efx_admin *a, struct evbuffer *body)
{
    struct efx_service *service = admin_node(a).service;
    const struct efx_service_app *app = app_of(service, body);
    if (app == NULL) {
        return 503;
    }
    (void)evbuffer_add_printf(body, "%s\n", app->plan_json);
    service->vt->app_unref(service, app);
    return 200;
}

static int app_page(struct efx_admin *a, struct evbuffer *body)
{
    struct efx_service *service = admin_node(a).service;
    const struct efx_service_app *app = app_of(service, body);
    if (app == NULL) {
        return 503;
    }
    put_text(body, "{\"app\":", app->name);
    put_hash(body, ",\"hash\":", app->hash);
    put_text(body, ",\"sql\":", app->sql);
    (void)evbuffer_add_printf(body, "}\n");
    service->vt->app_unref(service, app);
    return 200;
}

#define JSON "application/json"
const struct admin_page admin_pages[] = {
    {"/health", admin_health, JSON},
    {"/ready", admin_ready, JSON},
    {"/metrics", admin_metrics, "text/plain; version=0.0.4; charset=utf-8"},
    {"/api/status", status_page, JSON},
    {"/api/checkpoints", checkpoints_page, JSON},
    {"/api/plan", plan_page, JSON},
    {"/api/app", app_page, JSON},
    {0},
};
