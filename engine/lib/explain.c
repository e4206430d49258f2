/* What the library tells of a program: its schemas as JSON, its plan as text, JSON or a picture.
 *
 *   efx_check_json   {"streams":{"Out":[{"name":"a","type":"INT"}]},"tables":{},"queries":[…],
 *                    "warnings":[…]}, or {"errors":[…]}
 *   efx_explain      plan/explain.c with the app's counters
 *
 *   Owner    the app's arena: each call adds to it
 *   Threads  as the other calls of an app; numbers are right after efx_flush
 */
#include "efx_lib.h"

/* ---- a text that grows ---- */

struct json {
    struct efx_arena *arena;
    char *p;
    size_t n, max;
    bool failed;
};

static void put_bytes(struct json *j, const char *p, size_t n)
{
    if (j->n + n + 1 > j->max && !j->failed) {
        size_t max = (j->n + n + 1) * 2 + 1024;
        char *more = efx_arena_bytes(j->arena, max);
        if (more != NULL && j->n > 0) {
            memcpy(more, j->p, j->n);
        }
        j->failed = more == NULL;
        j->p = more;
        j->max = max;
    }
    if (!j->failed) {
        memcpy(j->p + j->n, p, n);
        j->n += n;
        j->p[j->n] = '\0';
    }
}

static void put(struct json *j, const char *text)
{
    put_bytes(j, text, strlen(text));
}

static void put_string(struct json *j, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    put(j, "\"");
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_bytes(j, (const char[]){'\\', (char)c}, 2);
        } else if (c < 0x20) {
            put_bytes(j, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        } else {
            put_bytes(j, text, 1);
        }
    }
    put(j, "\"");
}

/* ---- check ---- */

static void put_schema(struct json *j, const struct efx_schema *s)
{
    put_string(j, s->name);
    put(j, ":[");
    for (uint32_t c = 0; c < s->n_cols; c++) {
        put(j, c > 0 ? ",{\"name\":" : "{\"name\":");
        put_string(j, s->cols[c].name);
        put(j, ",\"type\":");
        put_string(j, efx_type_name(s->cols[c].type));
        put(j, "}");
    }
    put(j, "]");
}

/* Inner streams are nobody's business outside their block. */
static void put_objects(struct json *j, const struct efx_program *p, bool tables)
{
    const char *sep = "";
    for (uint32_t i = 0; i < p->n_objects; i++) {
        const struct efx_bobject *o = p->objects[i];
        if ((o->kind == EFX_OBJ_TABLE) == tables && o->partition == EFX_NO_COL) {
            put(j, sep);
            put_schema(j, &o->schema);
            sep = ",";
        }
    }
}

static void put_queries(struct json *j, const struct efx_program *p)
{
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        const struct efx_bobject *to = p->stmts[i]->target.object;
        put(j, i > 0 ? ",{\"name\":" : "{\"name\":");
        put_string(j, p->stmts[i]->name);
        put(j, ",\"target\":");
        put_string(j, to != NULL ? to->schema.name : "");
        put(j, "}");
    }
}

const char *efx_check_json(const struct efx *app)
{
    const struct efx_diags *d = efx_lib__diags(app);
    const struct efx_program *p = efx_lib_program(app);
    struct json j = {.arena = d->arena};
    if (d->n_errors > 0 || p == NULL) {
        put(&j, "{\"errors\":");
        put(&j, efx_diag_json(d, d->errors));
    } else {
        put(&j, "{\"streams\":{");
        put_objects(&j, p, false);
        put(&j, "},\"tables\":{");
        put_objects(&j, p, true);
        put(&j, "},\"queries\":[");
        put_queries(&j, p);
        put(&j, "],\"warnings\":");
        put(&j, efx_diag_json(d, d->warnings));
    }
    put(&j, "}");
    return j.failed ? "{\"errors\":[]}" : j.p;
}

/* ---- explain ---- */

static bool measured(void *arg, uint32_t node, struct efx_explain_node *out)
{
    struct efx_app_node n;
    efx_app_node(arg, node, &n);
    *out = (struct efx_explain_node){n.n_rows_in, n.n_rows_out, n.n_rows_failed, n.state_bytes};
    return true;
}

/* The same nodes planned for two shards: what could be split is told to who runs on one, too. */
static const struct efx_plan *spread_of(struct efx *app, const struct efx_plan *plan)
{
    struct efx_arena *arena = efx_lib__arena(app);
    const struct efx_diags *d = efx_lib__diags(app);
    struct efx_diags again;
    struct efx_plan *spread = NULL;
    struct efx_plan_opts o = {.registry = efx_lib_registry(), .n_shards = 2};
    efx_diags_init(&again, arena, d->text, d->file);
    enum efx_rc rc = efx_plan_make(arena, plan->program, &o, &again, &spread);
    return rc == EFX_OK && spread->n_nodes == plan->n_nodes ? spread : NULL;
}

static const char *explain(struct efx *app, enum efx_explain_as as, bool analyze)
{
    struct efx_lib__parts parts = efx_lib__parts(app);
    if (parts.plan == NULL || efx_has_errors(app)) {
        return efx_messages(app);
    }
    struct efx_explain_opts o = {.as = as, .spread = spread_of(app, parts.plan)};
    if (analyze && parts.app != NULL) {
        o.measure = measured;
        o.arg = parts.app;
    }
    const char *text = efx_plan_explain(parts.plan, efx_lib__arena(app), &o);
    return text != NULL ? text : "";
}

const char *efx_explain(struct efx *app, bool json, bool analyze)
{
    return explain(app, json ? EFX_EXPLAIN_JSON : EFX_EXPLAIN_TEXT, analyze);
}

const char *efx_explain_dot(struct efx *app, bool analyze)
{
    return explain(app, EFX_EXPLAIN_DOT, analyze);
}
