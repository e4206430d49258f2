/* What EXPLAIN says of an operator. Sentences are made of the confs that the operators get and of
 * the program's own text; nothing is said twice in two places.
 *
 *   state   rows of a window, groups, partial matches, rows of a table: what bounds each
 *   split   the key, as written where the rows come in
 *   placed  the planner's reason, and the change of the program that would take it away
 */
#include "explain.h"

#include <stdarg.h>
#include <stdio.h>

enum { SOURCE_BYTES_MAX = 160 };

static const char *say(struct explain *x, const char *fmt, ...) EFX_PRINTF(2, 3);

static const char *say(struct explain *x, const char *fmt, ...)
{
    struct explain_out o = {.arena = x->arena};
    char small[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    efx_explain__put(&o, small);
    const char *s = efx_explain__done(&o);
    x->out.failed = x->out.failed || s == NULL;
    return s == NULL ? "" : s;
}

const char *efx_explain__source(struct explain *x, struct efx_span at)
{
    const struct efx_str *t = &x->plan->program->text;
    char line[SOURCE_BYTES_MAX + 8];
    uint32_t n = 0;
    bool space = false;
    for (uint32_t i = at.off; i < at.off + at.len && i < t->n; i++) {
        char c = t->p[i];
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            space = n > 0;
            continue;
        }
        bool begins = ((unsigned char)c & 0xC0) != 0x80;
        if (begins && n > SOURCE_BYTES_MAX - 8) {
            n += (uint32_t)snprintf(line + n, sizeof line - n, "…");
            break;
        }
        if (space) {
            line[n++] = ' ';
            space = false;
        }
        line[n++] = c;
    }
    line[n] = '\0';
    return say(x, "%s", line);
}

/* ---- edges ---- */

bool efx_explain__is_root(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM && n->external && n->n_inlets == 1;
}

uint32_t efx_explain__n_edges(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM ? n->n_consumers : n->n_outlets * 2;
}

struct efx_pedge efx_explain__edge(const struct efx_pnode *n, uint32_t pos)
{
    if (n->kind == EFX_P_STREAM) {
        return n->consumers[pos];
    }
    return pos % 2 == 0 ? n->rows[pos / 2] : n->errors[pos / 2];
}

const char *efx_explain__kind(enum efx_pnode_kind kind)
{
    switch (kind) {
    case EFX_P_STREAM: return "stream";
    case EFX_P_FILTER: return "filter";
    case EFX_P_PROJECT: return "project";
    case EFX_P_SELECT: return "select";
    case EFX_P_LIMIT: return "limit";
    case EFX_P_JOIN: return "join";
    case EFX_P_TABLE: return "table";
    case EFX_P_PATTERN: return "pattern";
    case EFX_P_PARTITION: return "partition";
    case EFX_P_TRIGGER: return "trigger";
    case EFX_P_ERRORS: return "errors";
    }
    return "?";
}

/* ---- numbers and windows ---- */

static const char *duration(struct explain *x, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "min"}, {1000, "sec"}};
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms > 0 && ms % units[i].ms == 0) {
            return say(x, "%lld %s", (long long)(ms / units[i].ms), units[i].unit);
        }
    }
    return say(x, "%lld ms", (long long)ms);
}

/* First option of a kind; false = the window has none. */
static bool option(const struct efx_window_vt *vt, const void *conf, enum efx_conf_kind kind,
                   int64_t *out)
{
    for (const struct efx_conf_key *k = vt->base.conf; k != NULL && k->name != NULL; k++) {
        if (k->kind == kind && k->arg > 0) {
            memcpy(out, (const char *)conf + k->off, sizeof *out);
            return true;
        }
    }
    return false;
}

static const char *window_state(struct explain *x, const struct efx_select_conf *c, bool by_row)
{
    const struct efx_window_vt *vt = c->window;
    bool grouped = c->n_group > 0;
    const char *groups = grouped ? ", and an entry for each of their groups" : "";
    int64_t n = 0;
    switch (vt->base.traits.evicts) {
    case EFX_EVICTS_BY_ARRIVAL:
        return option(vt, c->window_conf, EFX_CONF_LONG, &n)
                   ? say(x, "at most %lld rows%s", (long long)n, groups)
                   : say(x, "rows of the %s window%s", vt->base.name, groups);
    case EFX_EVICTS_BY_DUE:
        return option(vt, c->window_conf, EFX_CONF_DURATION, &n)
                   ? say(x, "the rows of %s%s", duration(x, n), groups)
                   : say(x, "rows of the %s window%s", vt->base.name, groups);
    case EFX_EVICTS_WHOLE:
        if (!c->expired && (c->n_aggs > 0 || grouped) && vt->pass != NULL &&
            !(by_row && vt->base.traits.timers != 0)) {
            return grouped ? "an entry for each group of the open batch"
                           : "one entry for the open batch";
        }
        return say(x, "the rows of the open batch%s%s", c->expired ? " and of the one before" : "",
                   groups);
    case EFX_EVICTS_ANYWHERE: return say(x, "the rows that %s holds%s", vt->base.name, groups);
    case EFX_EVICTS_NOTHING: break;
    }
    return say(x, "rows of the %s window%s", vt->base.name, groups);
}

/* ---- state ---- */

static const char *select_state(struct explain *x, const struct efx_select_conf *c, bool by_row)
{
    const char *state = NULL;
    if (c->window != NULL && (c->n_aggs > 0 || c->expired || c->window->slide == NULL)) {
        state = window_state(x, c, by_row);
    } else if (c->n_aggs > 0 && c->n_group == 0) {
        state = "one entry";
    } else if (c->n_aggs > 0 && c->kinds_in) {
        state = "an entry for each group, while it has rows";
    } else if (c->n_aggs > 0 && c->group_ttl_ms >= 0) {
        state = say(x, "an entry for each group, forgotten %s after its last row",
                    duration(x, c->group_ttl_ms));
    } else if (c->n_aggs > 0) {
        state = "an entry for each group, kept for ever (state.ttl would bound it)";
    }
    return state == NULL || !c->in.partitioned ? state
                                               : say(x, "%s, for each copy of the block", state);
}

static const char *side_state(struct explain *x, const struct efx_join_conf *c, uint32_t k)
{
    const struct efx_join_side *s = &c->side[k];
    const char *of = k == 0 ? "left" : "right";
    int64_t n = 0;
    if (!s->holds) {
        return say(x, "%s: nothing", of);
    }
    if (s->window != NULL && option(s->window, s->window_conf, EFX_CONF_LONG, &n)) {
        return say(x, "%s: %s, at most %lld rows", of, s->window->base.name, (long long)n);
    }
    if (s->window != NULL && option(s->window, s->window_conf, EFX_CONF_DURATION, &n)) {
        return say(x, "%s: %s, the rows of %s", of, s->window->base.name, duration(x, n));
    }
    if (s->window != NULL) {
        return say(x, "%s: rows of %s", of, s->window->base.name);
    }
    if (c->within_ms >= 0 || s->ttl_ms >= 0) {
        return say(x, "%s: rows of %s", of,
                   duration(x, c->within_ms >= 0 ? c->within_ms : s->ttl_ms));
    }
    return say(x, "%s: all events, for ever (a window, WITHIN or state.ttl would bound it)", of);
}

static const char *limit_state(struct explain *x, const struct efx_limit_conf *c)
{
    const char *until =
        c->n > 0 ? say(x, "%lld events", (long long)c->n) : duration(x, c->every_ms);
    switch (c->kind) {
    case EFX_AST_OUTPUT_ALL: return say(x, "all rows until the next release, every %s", until);
    case EFX_AST_OUTPUT_FIRST:
        return c->n_group > 0 ? "a counter for each group, kept for ever" : "one counter";
    case EFX_AST_OUTPUT_LAST:
        return c->n_group > 0
                   ? say(x, "the last row of each group, until the release every %s", until)
                   : "one row";
    case EFX_AST_OUTPUT_SNAPSHOT:
    case EFX_AST_OUTPUT_NONE: break;
    }
    return NULL;
}

static const char *pattern_state(struct explain *x, const struct efx_pattern_conf *c)
{
    const struct efx_bpattern *p = c->pattern;
    const char *max = say(x, "partial matches, at most %lld", (long long)c->max_partials);
    if (p->within_ms >= 0) {
        return say(x, "%s, each for %s", max, duration(x, p->within_ms));
    }
    if (p->within_events >= 0) {
        return say(x, "%s, each for %lld events", max, (long long)p->within_events);
    }
    return say(x, "%s, without WITHIN until they match", max);
}

static const char *partition_state(struct explain *x, const struct efx_pnode *n)
{
    for (uint32_t i = 0; i < x->plan->program->n_partitions; i++) {
        const struct efx_bpartition *p = &x->plan->program->partitions[i];
        const struct efx_bstmt *first = x->plan->program->stmts[p->first_stmt];
        for (uint32_t k = 0; k < x->plan->n_nodes; k++) {
            const struct efx_pnode *of = x->plan->nodes[k];
            if (of->stmt == first && of->component == n->component && p->purge_idle_ms >= 0) {
                return say(x, "a copy for each key, purged when it was idle for %s",
                           duration(x, p->purge_idle_ms));
            }
        }
    }
    return "a copy for each key, kept for ever (purge would bound it)";
}

static const char *state_of(struct explain *x, const struct efx_pnode *n)
{
    switch (n->kind) {
    case EFX_P_SELECT:
        return select_state(x, n->conf, x->spread->components[n->component].row_mode);
    case EFX_P_LIMIT: return limit_state(x, n->conf);
    case EFX_P_JOIN: {
        const struct efx_join_conf *c = n->conf;
        return say(x, "%s; %s%s", side_state(x, c, 0), side_state(x, c, 1),
                   c->want_expired ? "; joined rows until one of their events leaves" : "");
    }
    case EFX_P_TABLE: return "the table's rows";
    case EFX_P_PATTERN: return pattern_state(x, n->conf);
    case EFX_P_PARTITION: return partition_state(x, n);
    case EFX_P_TRIGGER: return "when it fires next";
    case EFX_P_STREAM:
    case EFX_P_FILTER:
    case EFX_P_PROJECT:
    case EFX_P_ERRORS: break;
    }
    return NULL;
}

/* ---- what it does ---- */

static void list_of(struct explain *x, struct explain_out *o, struct efx_bx *const *list,
                    uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        efx_explain__printf(o, "%s%s", i > 0 ? ", " : "", efx_explain__source(x, list[i]->at));
    }
}

static void outputs(struct explain *x, struct explain_out *o, const struct efx_bstmt *s)
{
    for (uint32_t i = 0; i < s->n_out; i++) {
        const char *source = efx_explain__source(x, s->out[i].expr->at);
        bool same = strcmp(source, s->out[i].name) == 0 || strchr(source, '*') == source;
        efx_explain__printf(o, "%s%s%s%s", i > 0 ? ", " : "", same ? s->out[i].name : source,
                            same ? "" : " AS ", same ? "" : s->out[i].name);
    }
}

static const char *select_does(struct explain *x, const struct efx_pnode *n)
{
    const struct efx_bstmt *s = n->stmt;
    struct explain_out o = {.arena = x->arena};
    outputs(x, &o, s);
    if (s->kind == EFX_STMT_SINGLE && s->inputs[0].window.vt != NULL) {
        efx_explain__printf(&o, " · %s", efx_explain__source(x, s->inputs[0].window.at));
    }
    if (s->n_group > 0) {
        efx_explain__put(&o, " · GROUP BY ");
        list_of(x, &o, s->group, s->n_group);
    }
    if (s->having != NULL) {
        efx_explain__printf(&o, " · HAVING %s", efx_explain__source(x, s->having->at));
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        efx_explain__printf(&o, "%s%s%s", i == 0 ? " · ORDER BY " : ", ",
                            efx_explain__source(x, s->order[i].expr->at),
                            s->order[i].desc ? " DESC" : "");
    }
    if (s->limit >= 0) {
        efx_explain__printf(&o, " · LIMIT %lld", (long long)s->limit);
    }
    if (s->offset > 0) {
        efx_explain__printf(&o, " · OFFSET %lld", (long long)s->offset);
    }
    return efx_explain__done(&o);
}

static const char *join_does(struct explain *x, const struct efx_pnode *n)
{
    const struct efx_bstmt *s = n->stmt;
    return say(x, "%s with %s%s%s", s->inputs[0].alias, s->inputs[1].alias,
               s->on != NULL ? " ON " : ", every pair",
               s->on != NULL ? efx_explain__source(x, s->on->at) : "");
}

static const char *does(struct explain *x, const struct efx_pnode *n)
{
    const struct efx_bstmt *s = n->stmt;
    struct explain_out o = {.arena = x->arena};
    switch (n->kind) {
    case EFX_P_FILTER: return s->where != NULL ? efx_explain__source(x, s->where->at) : NULL;
    case EFX_P_PROJECT: outputs(x, &o, s); return efx_explain__done(&o);
    case EFX_P_SELECT: return select_does(x, n);
    case EFX_P_LIMIT: return efx_explain__source(x, s->output.at);
    case EFX_P_JOIN: return join_does(x, n);
    case EFX_P_PATTERN: return efx_explain__source(x, s->pattern->root->at);
    case EFX_P_TABLE: {
        const struct efx_table_conf *c = n->conf;
        return say(x, "written or read in %u place%s", c->n_ports, c->n_ports == 1 ? "" : "s");
    }
    case EFX_P_STREAM:
    case EFX_P_PARTITION:
    case EFX_P_TRIGGER:
    case EFX_P_ERRORS: break;
    }
    return NULL;
}

/* ---- split or placed ---- */

static const char *list_text(struct explain *x, struct efx_bx *const *list, uint32_t n)
{
    struct explain_out o = {.arena = x->arena};
    list_of(x, &o, list, n);
    const char *s = efx_explain__done(&o);
    return s == NULL ? "" : s;
}

/* Keys that are computed: as the statement that has them says. */
static const char *computed_key(struct explain *x, const struct efx_pcomponent *c,
                                const struct efx_psource *s)
{
    const struct efx_program *p = x->plan->program;
    const struct efx_bobject *stream = x->spread->nodes[s->node]->object;
    for (uint32_t i = 0; i < p->n_partitions; i++) {
        for (uint32_t k = 0; k < p->partitions[i].n_parts; k++) {
            const struct efx_bpart *part = &p->partitions[i].parts[k];
            if (part->stream == stream && part->n_exprs == s->n_keys) {
                return list_text(x, part->exprs, part->n_exprs);
            }
        }
    }
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct efx_bstmt *q = x->spread->nodes[c->nodes[i]]->stmt;
        if (q != NULL && q->kind == EFX_STMT_SINGLE && q->n_group == s->n_keys &&
            q->inputs[0].object == stream) {
            return list_text(x, q->group, q->n_group);
        }
    }
    return "the equated columns";
}

const char *efx_explain__source_key(struct explain *x, const struct efx_pcomponent *c,
                                    const struct efx_psource *s)
{
    const struct efx_bobject *stream = x->spread->nodes[s->node]->object;
    struct explain_out o = {.arena = x->arena};
    if (s->n_keys == 0) {
        return NULL;
    }
    for (uint32_t k = 0; k < s->n_keys; k++) {
        uint32_t col = efx_expr_col(s->keys[k]);
        if (col == EFX_NO_COL) {
            return computed_key(x, c, s);
        }
        efx_explain__printf(&o, "%s%s", k > 0 ? ", " : "", stream->schema.cols[col].name);
    }
    const char *key = efx_explain__done(&o);
    return key == NULL ? "" : key;
}

static const char *key_of(struct explain *x, const struct efx_pnode *n)
{
    const struct efx_pcomponent *c = &x->spread->components[n->component];
    const char *key = c->n_sources > 0 ? efx_explain__source_key(x, c, &c->sources[0]) : NULL;
    return key == NULL ? "any row" : key;
}

static bool follows_placed(const struct explain *x, const struct efx_pnode *n)
{
    for (uint32_t i = 0; i < x->spread->n_nodes; i++) {
        const struct efx_pnode *from = x->spread->nodes[i];
        for (uint32_t e = 0; e < efx_explain__n_edges(from); e++) {
            if (efx_explain__edge(from, e).node == n->id && !efx_explain__is_root(from) &&
                !from->split && from->kind != EFX_P_TABLE) {
                return true;
            }
        }
    }
    return false;
}

static const char *block_hint(struct explain *x, const struct efx_bstmt *s)
{
    const char *key = s->n_group > 0 ? list_text(x, s->group, s->n_group) : "key";
    return say(x, "PARTITION WITH (%s OF %s)", key, s->inputs[0].object->schema.name);
}

static const char *select_change(struct explain *x, const struct efx_pnode *n)
{
    const struct efx_bstmt *s = n->stmt;
    const struct efx_select_conf *c = n->conf;
    if (s->kind != EFX_STMT_SINGLE) {
        return "write the rows into a stream and group that by the same key";
    }
    if (c->window != NULL && c->window->base.traits.ordered) {
        return block_hint(x, s);
    }
    if (s->n_order > 0 || s->limit >= 0 || s->offset > 0) {
        return say(x, "leave ORDER BY, LIMIT and OFFSET out, or %s", block_hint(x, s));
    }
    if (s->n_group == 0) {
        return say(x, "GROUP BY a key, or %s", block_hint(x, s));
    }
    return "GROUP BY the columns that the first query groups by, in that order";
}

static const char *change_of(struct explain *x, const struct efx_pnode *n)
{
    if (x->spread->components[n->component].row_mode) {
        return "take away what makes it run row by row";
    }
    if (follows_placed(x, n)) {
        return "split what it follows";
    }
    switch (n->kind) {
    case EFX_P_SELECT: return select_change(x, n);
    case EFX_P_LIMIT: return "GROUP BY, with FIRST or by time; or a PARTITION block";
    case EFX_P_JOIN: {
        const struct efx_join_conf *c = n->conf;
        return c->n_eq == 0 ? "an equality of both sides in ON"
                            : "windows by time on both sides, and the component's key in ON";
    }
    case EFX_P_PATTERN: return "PARTITION BY, or a PARTITION block";
    case EFX_P_PARTITION: return "keys of streams from outside";
    case EFX_P_STREAM:
    case EFX_P_FILTER:
    case EFX_P_PROJECT:
    case EFX_P_TABLE:
    case EFX_P_TRIGGER:
    case EFX_P_ERRORS: break;
    }
    return NULL;
}

/* ---- merges ---- */

static const char *feed_of(struct explain *x, const struct efx_pnode *n, uint32_t inlet)
{
    for (uint32_t i = 0; i < x->plan->n_nodes; i++) {
        const struct efx_pnode *from = x->plan->nodes[i];
        for (uint32_t e = 0; e < efx_explain__n_edges(from); e++) {
            struct efx_pedge to = efx_explain__edge(from, e);
            if (to.node == n->id && to.inlet == inlet) {
                bool errors = from->kind == EFX_P_ERRORS && from->stmt != NULL;
                return errors ? say(x, "errors of %s", from->stmt->name) : from->name;
            }
        }
    }
    return n->external && inlet == 0 ? "from outside" : "nobody";
}

static void feeds(struct explain *x, const struct efx_pnode *n, struct explain_fact *out)
{
    const struct efx_pcomponent *c = &x->plan->components[n->component];
    if (!n->confluence || c->row_mode || n->inlet_rank == NULL) {
        return;
    }
    out->feeds = EFX_NEW_N(x->arena, const char *, n->n_inlets + 1);
    if (out->feeds == NULL) {
        x->out.failed = true;
        return;
    }
    out->n_feeds = n->n_inlets;
    for (uint32_t i = 0; i < n->n_inlets; i++) {
        if (n->inlet_rank[i] < n->n_inlets) {
            out->feeds[n->inlet_rank[i]] = feed_of(x, n, i);
        }
    }
}

void efx_explain__fact(struct explain *x, const struct efx_pnode *n, struct explain_fact *out)
{
    const struct efx_pnode *far = x->spread->nodes[n->id];
    bool by_row = x->spread->components[far->component].row_mode;
    *out = (struct explain_fact){.kind = efx_explain__kind(n->kind)};
    out->does = n->stmt != NULL || n->kind == EFX_P_TABLE ? does(x, n) : NULL;
    out->state = state_of(x, n);
    if (far->split) {
        out->key = key_of(x, far);
    } else if (!efx_explain__is_root(n)) {
        out->placed = by_row ? "its component runs row by row" : far->placed_why;
        out->change = out->placed != NULL ? change_of(x, far) : NULL;
    }
    feeds(x, n, out);
}
