/* EXPLAIN: a plan as text, JSON or a picture for dot; the facts are those of explain_facts.c.
 *
 *   q1: INSERT INTO Out
 *     select     sum(v) AS s · WINDOW('length', 100) · GROUP BY k
 *                keeps   at most 100 rows, and an entry for each of their groups
 *                placed  length window counts all keys; PARTITION WITH (k OF S) would split it
 *   component 0  whole batches, edges carry moments; from outside S
 *                Out merges by (moment, inlet): q1: INSERT INTO Out, q2: INSERT INTO Out
 */
#include "explain.h"

/* An error edge that ends in a counter says nothing. */
static bool is_shown(const struct efx_pnode *n)
{
    return n->kind != EFX_P_STREAM && (n->kind != EFX_P_ERRORS || n->rows[0].node != EFX_NO_COL);
}

static bool measure(const struct explain *x, uint32_t node, struct efx_explain_node *out)
{
    memset(out, 0, sizeof *out);
    return x->opts->measure != NULL && x->opts->measure(x->opts->arg, node, out);
}

static const char *name_of(const struct efx_pnode *n)
{
    return n->kind == EFX_P_ERRORS && n->stmt != NULL ? n->stmt->name : n->name;
}

/* Streams from outside that a component reads. */
static bool reads(const struct explain *x, uint32_t component, const struct efx_pnode *root)
{
    for (uint32_t k = 0; efx_explain__is_root(root) && k < root->n_consumers; k++) {
        if (x->plan->nodes[root->consumers[k].node]->component == component) {
            return true;
        }
    }
    return false;
}

static const char *key_of_root(struct explain *x, uint32_t component, uint32_t node)
{
    const struct efx_pcomponent *c = &x->spread->components[component];
    for (uint32_t i = 0; i < c->n_sources; i++) {
        if (c->sources[i].node == node) {
            const char *key = efx_explain__source_key(x, c, &c->sources[i]);
            return key == NULL ? "any row" : key;
        }
    }
    return NULL;
}

/* Only roots: events from outside alone, nothing happens there. */
static bool is_empty(const struct explain *x, const struct efx_pcomponent *c)
{
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        if (!efx_explain__is_root(x->plan->nodes[c->nodes[i]])) {
            return false;
        }
    }
    return true;
}

/* ---- text ---- */

static void text_node(struct explain *x, const struct efx_pnode *n)
{
    struct explain_out *o = &x->out;
    struct explain_fact f;
    struct efx_explain_node m;
    efx_explain__fact(x, n, &f);
    efx_explain__printf(o, "  %-10s %s\n", f.kind, f.does != NULL ? f.does : n->name);
    if (f.state != NULL) {
        efx_explain__printf(o, "             keeps   %s\n", f.state);
    }
    if (f.key != NULL) {
        efx_explain__printf(o, "             split   by %s\n", f.key);
    } else if (f.placed != NULL) {
        efx_explain__printf(o, "             placed  %s", f.placed);
        if (f.change != NULL) {
            efx_explain__printf(o, "; to split it: %s", f.change);
        }
        efx_explain__put(o, "\n");
    }
    if (measure(x, n->id, &m)) {
        efx_explain__printf(o, "             rows    %llu in, %llu out, %llu failed; %llu bytes\n",
                            (unsigned long long)m.n_rows_in, (unsigned long long)m.n_rows_out,
                            (unsigned long long)m.n_rows_failed, (unsigned long long)m.state_bytes);
    }
}

static void text_merge(struct explain *x, const struct efx_pnode *n)
{
    struct explain_fact f;
    efx_explain__fact(x, n, &f);
    for (uint32_t i = 0; i < f.n_feeds; i++) {
        if (i == 0) {
            efx_explain__printf(&x->out, "               %s %s merges by (moment, inlet): ", f.kind,
                                n->name);
        }
        efx_explain__printf(&x->out, "%s%s", i > 0 ? ", " : "", f.feeds[i]);
    }
    efx_explain__put(&x->out, f.n_feeds > 0 ? "\n" : "");
}

static void text_component(struct explain *x, uint32_t number)
{
    const struct efx_pcomponent *c = &x->plan->components[number];
    struct explain_out *o = &x->out;
    const char *sep = "; from outside ";
    efx_explain__printf(o, "component %-4u", number);
    if (c->row_mode) {
        efx_explain__printf(o, " row by row: %s", c->why);
    } else {
        efx_explain__printf(o, " whole batches%s", c->needs_moment ? ", edges carry moments" : "");
    }
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        const struct efx_pnode *root = x->plan->nodes[i];
        if (reads(x, number, root)) {
            const char *key = key_of_root(x, number, i);
            efx_explain__printf(o, "%s%s%s%s", sep, root->name, key != NULL ? " by " : "",
                                key != NULL ? key : "");
            sep = ", ";
        }
    }
    efx_explain__put(o, "\n");
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        text_merge(x, x->plan->nodes[c->nodes[i]]);
    }
}

/* Nodes of a statement, or (NULL) those that serve several. */
static void text_nodes(struct explain *x, const struct efx_bstmt *s)
{
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        const struct efx_pnode *n = x->plan->nodes[i];
        if (n->stmt == s && is_shown(n)) {
            if (s == NULL) {
                efx_explain__printf(&x->out, "%s\n", n->name);
            }
            text_node(x, n);
        }
    }
}

static void as_text(struct explain *x)
{
    const struct efx_program *p = x->plan->program;
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        efx_explain__printf(&x->out, "%s\n", p->stmts[i]->name);
        text_nodes(x, p->stmts[i]);
    }
    text_nodes(x, NULL);
    for (uint32_t i = 0; i < x->plan->n_components; i++) {
        if (!is_empty(x, &x->plan->components[i])) {
            text_component(x, i);
        }
    }
}

/* ---- JSON ---- */

static void json_field(struct explain *x, const char *name, const char *value)
{
    efx_explain__printf(&x->out, ",\"%s\":", name);
    efx_explain__json(&x->out, value);
}

static void json_node(struct explain *x, const struct efx_pnode *n)
{
    struct explain_fact f;
    struct efx_explain_node m;
    efx_explain__fact(x, n, &f);
    efx_explain__printf(&x->out, "{\"node\":%u,\"component\":%u", n->id, n->component);
    json_field(x, "operator", f.kind);
    json_field(x, "does", f.does);
    json_field(x, "keeps", f.state);
    json_field(x, "split_by", f.key);
    json_field(x, "placed", f.placed);
    json_field(x, "to_split", f.change);
    if (measure(x, n->id, &m)) {
        efx_explain__printf(&x->out,
                            ",\"rows_in\":%llu,\"rows_out\":%llu,\"rows_failed\":%llu,"
                            "\"state_bytes\":%llu",
                            (unsigned long long)m.n_rows_in, (unsigned long long)m.n_rows_out,
                            (unsigned long long)m.n_rows_failed, (unsigned long long)m.state_bytes);
    }
    efx_explain__put(&x->out, "}");
}

static void json_nodes(struct explain *x, const struct efx_bstmt *s)
{
    const char *sep = "";
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        const struct efx_pnode *n = x->plan->nodes[i];
        if (n->stmt != s || !is_shown(n)) {
            continue;
        }
        efx_explain__put(&x->out, sep);
        sep = ",";
        if (s == NULL) {
            efx_explain__put(&x->out, "{\"name\":");
            efx_explain__json(&x->out, n->name);
            efx_explain__put(&x->out, ",\"operators\":[");
        }
        json_node(x, n);
        efx_explain__put(&x->out, s == NULL ? "]}" : "");
    }
}

static void json_merges(struct explain *x, const struct efx_pcomponent *c)
{
    const char *sep = "";
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct efx_pnode *n = x->plan->nodes[c->nodes[i]];
        struct explain_fact f;
        efx_explain__fact(x, n, &f);
        if (f.n_feeds == 0) {
            continue;
        }
        efx_explain__printf(&x->out, "%s{\"node\":%u,\"operator\":\"%s\",\"name\":", sep, n->id,
                            f.kind);
        efx_explain__json(&x->out, n->name);
        efx_explain__put(&x->out, ",\"by\":\"moment, inlet\",\"order\":[");
        for (uint32_t k = 0; k < f.n_feeds; k++) {
            efx_explain__put(&x->out, k > 0 ? "," : "");
            efx_explain__json(&x->out, f.feeds[k]);
        }
        efx_explain__put(&x->out, "]}");
        sep = ",";
    }
}

static void json_component(struct explain *x, uint32_t number)
{
    const struct efx_pcomponent *c = &x->plan->components[number];
    struct explain_out *o = &x->out;
    const char *sep = "";
    efx_explain__printf(o, "{\"number\":%u,\"mode\":\"%s\"", number,
                        c->row_mode ? "row by row" : "whole batches");
    json_field(x, "why", c->row_mode ? c->why : NULL);
    efx_explain__printf(o, ",\"moments\":%s,\"loop\":%s,\"streams\":[",
                        c->needs_moment ? "true" : "false", c->loop ? "true" : "false");
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        if (reads(x, number, x->plan->nodes[i])) {
            efx_explain__printf(o, "%s{\"name\":", sep);
            efx_explain__json(o, x->plan->nodes[i]->name);
            json_field(x, "key", key_of_root(x, number, i));
            efx_explain__put(o, "}");
            sep = ",";
        }
    }
    efx_explain__put(o, "],\"merges\":[");
    json_merges(x, c);
    efx_explain__put(o, "]}");
}

static void as_json(struct explain *x)
{
    const struct efx_program *p = x->plan->program;
    struct explain_out *o = &x->out;
    const char *sep = "";
    efx_explain__put(o, "{\"statements\":[");
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        efx_explain__put(o, i > 0 ? ",{\"name\":" : "{\"name\":");
        efx_explain__json(o, p->stmts[i]->name);
        json_field(x, "text", efx_explain__source(x, p->stmts[i]->at));
        efx_explain__put(o, ",\"operators\":[");
        json_nodes(x, p->stmts[i]);
        efx_explain__put(o, "]}");
    }
    efx_explain__put(o, "],\"shared\":[");
    json_nodes(x, NULL);
    efx_explain__put(o, "],\"components\":[");
    for (uint32_t i = 0; i < x->plan->n_components; i++) {
        if (!is_empty(x, &x->plan->components[i])) {
            efx_explain__put(o, sep);
            json_component(x, i);
            sep = ",";
        }
    }
    efx_explain__put(o, "]}");
}

/* ---- dot ---- */

static void dot_node(struct explain *x, const struct efx_pnode *n)
{
    struct explain_out *o = &x->out;
    struct explain_fact f;
    struct efx_explain_node m;
    efx_explain__fact(x, n, &f);
    efx_explain__printf(o, "    n%u [label=\"%s\\n", n->id, f.kind);
    efx_explain__dot(o, name_of(n));
    if (n->kind != EFX_P_STREAM) {
        efx_explain__put(o, f.key != NULL ? "\\nsplit by " : f.placed != NULL ? "\\nplaced" : "");
        efx_explain__dot(o, f.key != NULL ? f.key : "");
    }
    if (measure(x, n->id, &m) && n->kind != EFX_P_STREAM) {
        efx_explain__printf(o, "\\n%llu in, %llu out", (unsigned long long)m.n_rows_in,
                            (unsigned long long)m.n_rows_out);
    }
    efx_explain__printf(o, "\"%s];\n", n->kind == EFX_P_STREAM ? ", shape=ellipse" : "");
}

static bool in_picture(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM || is_shown(n);
}

static void dot_edges(struct explain *x, const struct efx_pnode *n)
{
    for (uint32_t e = 0; e < efx_explain__n_edges(n); e++) {
        struct efx_pedge to = efx_explain__edge(n, e);
        if (to.node == EFX_NO_COL || !in_picture(x->plan->nodes[to.node])) {
            continue;
        }
        bool errors = n->kind != EFX_P_STREAM && e % 2 == 1;
        efx_explain__printf(&x->out, "  n%u -> n%u%s;\n", n->id, to.node,
                            errors ? " [style=dashed]" : "");
    }
}

static void as_dot(struct explain *x)
{
    struct explain_out *o = &x->out;
    efx_explain__put(o, "digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
    for (uint32_t i = 0; i < x->plan->n_components; i++) {
        const struct efx_pcomponent *c = &x->plan->components[i];
        if (is_empty(x, c)) {
            continue;
        }
        efx_explain__printf(o, "  subgraph cluster_%u {\n    label=\"", i);
        efx_explain__dot(o, c->row_mode ? "row by row: " : "whole batches");
        efx_explain__dot(o, c->row_mode ? c->why : "");
        efx_explain__put(o, "\";\n");
        for (uint32_t k = 0; k < c->n_nodes; k++) {
            if (in_picture(x->plan->nodes[c->nodes[k]])) {
                dot_node(x, x->plan->nodes[c->nodes[k]]);
            }
        }
        efx_explain__put(o, "  }\n");
    }
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        const struct efx_pnode *n = x->plan->nodes[i];
        if (efx_explain__is_root(n) && n->n_consumers > 0) {
            dot_node(x, n);
        }
        if (in_picture(n)) {
            dot_edges(x, n);
        }
    }
    efx_explain__put(o, "}\n");
}

const char *efx_plan_explain(const struct efx_plan *plan, struct efx_arena *arena,
                             const struct efx_explain_opts *opts)
{
    struct explain x = {.plan = plan,
                        .spread = opts->spread != NULL ? opts->spread : plan,
                        .opts = opts,
                        .arena = arena,
                        .out = {.arena = arena}};
    EFX_ASSERT(x.spread->n_nodes == plan->n_nodes);
    switch (opts->as) {
    case EFX_EXPLAIN_TEXT: as_text(&x); break;
    case EFX_EXPLAIN_JSON: as_json(&x); break;
    case EFX_EXPLAIN_DOT: as_dot(&x); break;
    }
    return efx_explain__done(&x.out);
}
