/* Which operators work on a share of the keys on each shard, and which are placed (language §24).
 *
 *   root stream ─► [filter] ─► first operator with a key ─► … same key … ─► │ placed rest
 *        split by its key                                          gather by (moment, sub)
 *
 * One key per component: that of its first operator with one, said in the columns of the streams
 * that come from outside. What follows stays split as long as it needs no other key; what follows
 * something placed is placed. A component without state is split by ranges of turns.
 */
#include "plan.h"

enum { KEYS_MAX = 16 };

struct split {
    struct plan_builder *b;
    struct efx_pcomponent *c;
    uint32_t n_keys;
    const enum efx_type *types;
    /* [n_nodes] root streams: key expressions over their columns; NULL = not covered */
    const struct efx_bx ***root_keys;
    /* [n_nodes][KEYS_MAX] split nodes: column of their rows that holds each key; EFX_NO_COL */
    uint32_t (*key_col)[KEYS_MAX];
    bool *plain; /* [n_nodes] rows are those of events, at most one a turn */
};

static bool is_root(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM && n->external && n->n_inlets == 1;
}

/* The root stream whose columns arrive at an inlet unchanged; EFX_NO_COL = none. */
static uint32_t root_of(const struct plan_builder *b, uint32_t node, uint32_t inlet)
{
    const struct efx_plan *p = b->plan;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct efx_pnode *n = p->nodes[i];
        uint32_t n_e = n->kind == EFX_P_STREAM ? n->n_consumers : n->n_outlets;
        for (uint32_t e = 0; e < n_e; e++) {
            struct efx_pedge to = n->kind == EFX_P_STREAM ? n->consumers[e] : n->rows[e];
            if (to.node != node || to.inlet != inlet) {
                continue;
            }
            if (is_root(n)) {
                return i;
            }
            return n->kind == EFX_P_FILTER ? root_of(b, i, 0) : EFX_NO_COL;
        }
    }
    return EFX_NO_COL;
}

/* ---- the component's key ---- */

static bool take_key(struct split *s, uint32_t root, const struct efx_bx *const *keys, uint32_t n)
{
    if (root == EFX_NO_COL || n == 0 || n > KEYS_MAX) {
        return false;
    }
    const struct efx_bx **copy = PLAN_NEW_N(s->b, const struct efx_bx *, n);
    enum efx_type *types = PLAN_NEW_N(s->b, enum efx_type, n);
    for (uint32_t i = 0; i < n && s->b->rc == EFX_OK; i++) {
        copy[i] = keys[i];
        types[i] = keys[i]->type;
    }
    s->root_keys[root] = copy;
    s->n_keys = n;
    s->types = types;
    return true;
}

/* Are these the component's keys, in its order? Key groups of an operator's state are then those
 * that rows go by. */
static bool is_key(struct split *s, uint32_t root, const struct efx_bx *const *keys, uint32_t n)
{
    if (root == EFX_NO_COL || s->root_keys[root] == NULL || n != s->n_keys) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!efx_plan__bx_equal(keys[i], s->root_keys[root][i])) {
            return false;
        }
    }
    return true;
}

/* take_key: the component's is chosen; is_key: is it that one? For each root stream of an
 * operator. */
typedef bool (*key_fn)(struct split *s, uint32_t root, const struct efx_bx *const *keys,
                       uint32_t n);

/* Columns that a window was given as its own key; NULL = none. */
static const struct efx_conf_cols *window_keys(const struct efx_window_vt *vt, const void *conf)
{
    for (const struct efx_conf_key *k = vt != NULL ? vt->base.conf : NULL;
         k != NULL && k->name != NULL; k++) {
        const void *at = (const uint8_t *)conf + k->off;
        if (k->kind == EFX_CONF_COLUMNS && ((const struct efx_conf_cols *)at)->n > 0) {
            return at;
        }
    }
    return NULL;
}

/* Does the window, if it has a key of its own, go by the GROUP BY list? */
static bool window_fits(const struct efx_select_conf *conf, const struct efx_bstmt *q)
{
    const struct efx_conf_cols *cols = window_keys(conf->window, conf->window_conf);
    for (uint32_t i = 0; cols != NULL && i < cols->n; i++) {
        if (cols->n != q->n_group || q->group[i]->op != EFX_BX_COL ||
            q->group[i]->col != cols->col[i]) {
            return false;
        }
    }
    return true;
}

static bool key_of_select(struct split *s, const struct efx_pnode *n)
{
    const struct efx_bstmt *q = n->stmt;
    if (q->kind != EFX_STMT_SINGLE || q->n_group == 0 || n->in.partitioned ||
        !window_fits(n->conf, q)) {
        return false;
    }
    union {
        struct efx_bx **own;
        const struct efx_bx *const *shared;
    } group = {.own = q->group};
    return take_key(s, root_of(s->b, n->id, 0), group.shared, q->n_group);
}

static bool key_of_partition(struct split *s, const struct efx_pnode *n, key_fn key)
{
    const struct efx_partition_conf *conf = n->conf;
    for (uint32_t k = 0; k < conf->n_parts; k++) {
        if (conf->parts[k].n_exprs == 0 || root_of(s->b, n->id, k) == EFX_NO_COL) {
            return false;
        }
    }
    for (uint32_t i = 0; i < s->b->program->n_partitions; i++) {
        const struct efx_bpartition *p = &s->b->program->partitions[i];
        for (uint32_t k = 0; k < p->n_parts; k++) {
            uint32_t root = s->b->plan->stream_node[p->parts[k].stream->id];
            if (s->b->part_node[i] != NULL && n->n_outlets == p->n_parts &&
                n->rows[k].node == s->b->part_node[i][p->parts[k].stream->id]) {
                union {
                    struct efx_bx **own;
                    const struct efx_bx *const *shared;
                } exprs = {.own = p->parts[k].exprs};
                if (!key(s, root, exprs.shared, p->parts[k].n_exprs)) {
                    return false;
                }
            }
        }
    }
    return s->n_keys > 0;
}

static bool can_split_side(const struct efx_join_side *side)
{
    return side->window == NULL || (!side->window->base.traits.ordered &&
                                    window_keys(side->window, side->window_conf) == NULL);
}

static bool key_of_join(struct split *s, const struct efx_pnode *n, key_fn key)
{
    const struct efx_join_conf *conf = n->conf;
    if (conf->n_eq == 0 || n->in.partitioned || !can_split_side(&conf->side[0]) ||
        !can_split_side(&conf->side[1])) {
        return false;
    }
    struct plan_match m;
    efx_plan__match(s->b, n->stmt->on, &m);
    uint32_t left = root_of(s->b, n->id, 0), right = root_of(s->b, n->id, conf->self ? 0 : 1);
    if (left == EFX_NO_COL || right == EFX_NO_COL) {
        return false;
    }
    if (left == right) { /* both roles of an event must lie on one shard */
        for (uint32_t i = 0; i < m.n_eq; i++) {
            const struct efx_bx *l = m.left[i], *r = m.right[i];
            if (l->op != EFX_BX_COL || r->op != EFX_BX_COL || l->col != r->col) {
                return false;
            }
        }
        return key(s, left, m.left, m.n_eq);
    }
    return key(s, left, m.left, m.n_eq) && key(s, right, m.right, m.n_eq);
}

static bool key_of_pattern(struct split *s, const struct efx_pnode *n, key_fn key)
{
    const struct efx_bpattern *p = n->stmt->pattern;
    if (p->n_keys == 0 || n->in.partitioned) {
        return false;
    }
    for (uint32_t k = 0; k < n->stmt->n_inputs; k++) {
        uint32_t root = root_of(s->b, n->id, k);
        const struct efx_bx **keys = PLAN_NEW_N(s->b, const struct efx_bx *, p->n_keys);
        if (root == EFX_NO_COL || s->b->rc != EFX_OK) {
            return false;
        }
        for (uint32_t i = 0; i < p->n_keys; i++) {
            const struct efx_bobject *o = n->stmt->inputs[k].object;
            struct efx_bx *col = PLAN_NEW(s->b, struct efx_bx);
            struct efx_bx *cast = PLAN_NEW(s->b, struct efx_bx);
            struct efx_bx **args = PLAN_NEW_N(s->b, struct efx_bx *, 1);
            if (s->b->rc != EFX_OK) {
                return false;
            }
            *col = (struct efx_bx){.op = EFX_BX_COL, .col = p->key_cols[k].col[i]};
            col->type = o->schema.cols[col->col].type;
            args[0] = col;
            *cast = (struct efx_bx){
                .op = EFX_BX_CAST, .type = p->key_types[i], .n_args = 1, .args = args};
            keys[i] = col->type == p->key_types[i] ? col : cast;
        }
        if (!key(s, root, keys, p->n_keys)) {
            return false;
        }
    }
    return true;
}

static bool choose_key(struct split *s)
{
    for (uint32_t i = 0; i < s->c->n_nodes && s->b->rc == EFX_OK; i++) {
        const struct efx_pnode *n = s->b->plan->nodes[s->c->nodes[i]];
        if ((n->kind == EFX_P_SELECT && key_of_select(s, n)) ||
            (n->kind == EFX_P_PARTITION && key_of_partition(s, n, take_key)) ||
            (n->kind == EFX_P_JOIN && key_of_join(s, n, take_key)) ||
            (n->kind == EFX_P_PATTERN && key_of_pattern(s, n, take_key))) {
            return true;
        }
        memset(s->root_keys, 0, s->b->plan->n_nodes * sizeof *s->root_keys);
        s->n_keys = 0;
    }
    return false;
}

static bool is_stateless(const struct split *s)
{
    for (uint32_t i = 0; i < s->c->n_nodes; i++) {
        const struct efx_pnode *n = s->b->plan->nodes[s->c->nodes[i]];
        if (n->kind != EFX_P_FILTER && n->kind != EFX_P_PROJECT && n->kind != EFX_P_ERRORS &&
            !(n->kind == EFX_P_STREAM && (!n->external || is_root(n)))) {
            return false;
        }
    }
    return true;
}

/* ---- which nodes stay split ---- */

/* Is key k of the component among these expressions over the node's rows? */
static bool has_key(const struct split *s, uint32_t root, const uint32_t *key_col, uint32_t k,
                    struct efx_bx *const *exprs, uint32_t n, uint32_t *which)
{
    for (uint32_t i = 0; i < n; i++) {
        bool same = root != EFX_NO_COL && s->root_keys[root] != NULL
                        ? efx_plan__bx_equal(exprs[i], s->root_keys[root][k])
                        : key_col != NULL && exprs[i]->op == EFX_BX_COL && exprs[i]->src == 0 &&
                              exprs[i]->col == key_col[k];
        if (same) {
            *which = i;
            return true;
        }
    }
    return false;
}

struct feed {      /* what a node's inlet 0 comes from */
    uint32_t from; /* the first */
    bool all_split;
    bool all_plain;
    bool mixed; /* the keys stand in different columns of what several bring */
};

static struct feed feed_of(const struct split *s, const struct efx_pnode *n)
{
    const struct efx_plan *p = s->b->plan;
    struct feed f = {EFX_NO_COL, true, true, false};
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct efx_pnode *from = p->nodes[i];
        uint32_t n_e = from->kind == EFX_P_STREAM ? from->n_consumers : from->n_outlets * 2;
        for (uint32_t e = 0; e < n_e; e++) {
            struct efx_pedge to = from->kind == EFX_P_STREAM ? from->consumers[e]
                                  : e % 2 == 0               ? from->rows[e / 2]
                                                             : from->errors[e / 2];
            if (to.node == n->id) {
                bool split =
                    is_root(from) ? s->n_keys == 0 || s->root_keys[i] != NULL : from->split;
                f.all_split = f.all_split && split;
                f.all_plain = f.all_plain && (is_root(from) || s->plain[i]);
                f.from = f.from == EFX_NO_COL ? i : f.from;
                f.mixed = f.mixed || (i != f.from && memcmp(s->key_col[i], s->key_col[f.from],
                                                            sizeof s->key_col[0]) != 0);
            }
        }
    }
    return f;
}

/* Where each key stands in the rows of a projection or selector, whose outputs are `out`. */
static void follow_keys(struct split *s, const struct efx_pnode *n, uint32_t root, uint32_t from)
{
    const struct efx_bstmt *q = n->stmt;
    for (uint32_t k = 0; k < s->n_keys; k++) {
        s->key_col[n->id][k] = EFX_NO_COL;
        if (q->upsert || q->target.object == NULL) {
            continue;
        }
        for (uint32_t c = 0; c < q->target.object->schema.n_cols; c++) {
            const struct efx_bx *st = q->target.store[c];
            uint32_t which;
            if (st->op == EFX_BX_COL && st->src == EFX_BX_SRC_OUT &&
                has_key(s, root, from == EFX_NO_COL ? NULL : s->key_col[from], k,
                        &q->out[st->col].expr, 1, &which)) {
                s->key_col[n->id][k] = c;
            }
        }
    }
}

static const char *select_placed(struct split *s, const struct efx_pnode *n, uint32_t root,
                                 uint32_t from)
{
    const struct efx_select_conf *conf = n->conf;
    const struct efx_bstmt *q = n->stmt;
    if (n->in.partitioned) {
        return NULL;
    }
    if (conf->window != NULL && conf->window->base.traits.ordered) {
        return efx_arena_printf(s->b->arena, "%s window counts all keys", conf->window->base.name);
    }
    if (q->n_order > 0 || q->limit >= 0 || q->offset > 0) {
        return "ORDER BY and LIMIT look at all groups";
    }
    if (conf->window != NULL && conf->window->base.traits.needs_origin &&
        !conf->window_has_origin && root == EFX_NO_COL) {
        return "the window's origin is decided behind another query";
    }
    if (q->kind != EFX_STMT_SINGLE && (q->n_group > 0 || q->n_aggs > 0)) {
        return "aggregates over matches or joined rows";
    }
    if (q->n_aggs > 0 && q->n_group == 0) {
        return "aggregates without GROUP BY look at all rows";
    }
    if (q->n_group == 0 && conf->window == NULL) {
        return NULL;
    }
    if (!window_fits(conf, q)) {
        return efx_arena_printf(s->b->arena, "%s window has a key of its own",
                                conf->window->base.name);
    }
    /* The same columns in the same order: key groups of its state are those that rows go by. */
    for (uint32_t k = 0; k < s->n_keys; k++) {
        uint32_t which = 0;
        if (q->n_group != s->n_keys ||
            !has_key(s, root, from == EFX_NO_COL ? NULL : s->key_col[from], k, q->group, q->n_group,
                     &which) ||
            which != k) {
            return "its key is not the component's";
        }
    }
    return NULL;
}

static const char *limit_placed(const struct split *s, const struct efx_pnode *n)
{
    const struct efx_limit_conf *conf = n->conf;
    if (conf->in.partitioned) {
        return NULL;
    }
    if (conf->n_group == 0 || (conf->n > 0 && conf->kind != EFX_AST_OUTPUT_FIRST) ||
        n->stmt->n_group != s->n_keys) {
        return "the limiter counts all rows";
    }
    return NULL;
}

static const char *placed_why(struct split *s, struct efx_pnode *n, const struct feed *f,
                              uint32_t root)
{
    if (!f->all_split || f->from == EFX_NO_COL) {
        return "it follows something that is placed";
    }
    if (n->emits_by_timer && !f->all_plain) {
        return "its timers would be ordered by rows of other timers";
    }
    switch (n->kind) {
    case EFX_P_STREAM: return n->external ? "it takes events from outside, too" : NULL;
    case EFX_P_FILTER:
    case EFX_P_PROJECT:
    case EFX_P_ERRORS: return NULL;
    case EFX_P_SELECT: return s->n_keys == 0 ? "it has no key" : select_placed(s, n, root, f->from);
    case EFX_P_LIMIT: return s->n_keys == 0 ? "it has no key" : limit_placed(s, n);
    case EFX_P_JOIN:
        return n->in.partitioned || (s->n_keys > 0 && key_of_join(s, n, is_key))
                   ? NULL
                   : "the join has no key of its component";
    case EFX_P_PATTERN:
        return n->in.partitioned || (s->n_keys > 0 && key_of_pattern(s, n, is_key))
                   ? NULL
                   : "a pattern looks at all keys but those of its PARTITION BY";
    case EFX_P_PARTITION:
        return s->n_keys > 0 && key_of_partition(s, n, is_key) ? NULL
                                                               : "its key is not the component's";
    case EFX_P_TABLE: return "a table is kept whole";
    case EFX_P_TRIGGER: return "a trigger has no key";
    }
    return "it has no key";
}

static void mark_node(struct split *s, struct efx_pnode *n)
{
    struct feed f = feed_of(s, n);
    uint32_t root =
        n->kind == EFX_P_STREAM || n->n_inlets == 0 ? EFX_NO_COL : root_of(s->b, n->id, 0);
    n->placed_why = placed_why(s, n, &f, root);
    n->split = n->placed_why == NULL;
    if (!n->split) {
        return;
    }
    const struct efx_pnode *from = s->b->plan->nodes[f.from];
    s->plain[n->id] = f.all_plain && !n->many && !n->emits_by_timer;
    if (n->kind == EFX_P_PROJECT || n->kind == EFX_P_SELECT) {
        follow_keys(s, n, root, is_root(from) ? EFX_NO_COL : f.from);
    } else if (f.mixed) {
        for (uint32_t k = 0; k < KEYS_MAX; k++) {
            s->key_col[n->id][k] = EFX_NO_COL;
        }
    } else if (!is_root(from)) {
        memcpy(s->key_col[n->id], s->key_col[f.from], sizeof s->key_col[0]);
    } else {
        for (uint32_t k = 0; k < KEYS_MAX; k++) {
            const struct efx_bx *key =
                k < s->n_keys && s->root_keys[f.from] != NULL ? s->root_keys[f.from][k] : NULL;
            s->key_col[n->id][k] = key != NULL && key->op == EFX_BX_COL ? key->col : EFX_NO_COL;
        }
    }
}

static void add_sources(struct split *s)
{
    struct plan_builder *b = s->b;
    struct efx_plan *p = b->plan;
    s->c->sources = PLAN_NEW_N(b, struct efx_psource, p->n_nodes + 1);
    for (uint32_t i = 0; i < p->n_nodes && b->rc == EFX_OK; i++) {
        struct efx_pnode *n = p->nodes[i];
        bool read = false;
        for (uint32_t e = 0; is_root(n) && e < n->n_consumers; e++) {
            const struct efx_pnode *to = p->nodes[n->consumers[e].node];
            read = read || (&p->components[to->component] == s->c && to->split);
        }
        if (!read) {
            continue;
        }
        struct efx_psource *src = &s->c->sources[s->c->n_sources++];
        const struct efx_expr **keys = PLAN_NEW_N(b, const struct efx_expr *, s->n_keys + 1);
        struct plan_env row = {
            .kind = PLAN_ENV_SINGLE, .n_cols = n->in.n_cols, .agg = EFX_NO_COL, .out = EFX_NO_COL};
        /* A self join's condition names its sides; over the stream's own row all are source 0. */
        for (uint32_t k = 0; k < s->n_keys && b->rc == EFX_OK; k++) {
            keys[k] = efx_plan__compile(b, s->root_keys[i][k], &row);
        }
        *src =
            (struct efx_psource){.node = i, .n_keys = s->n_keys, .keys = keys, .types = s->types};
    }
}

static void split_component(struct plan_builder *b, struct efx_pcomponent *c)
{
    struct efx_plan *p = b->plan;
    struct split s = {.b = b, .c = c};
    s.root_keys = PLAN_NEW_N(b, const struct efx_bx **, p->n_nodes + 1);
    s.key_col = efx_plan__new(b, p->n_nodes + 1, sizeof *s.key_col);
    s.plain = PLAN_NEW_N(b, bool, p->n_nodes + 1);
    if (b->rc != EFX_OK || (!choose_key(&s) && !is_stateless(&s))) {
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            struct efx_pnode *n = p->nodes[c->nodes[i]];
            n->placed_why = n->kind == EFX_P_STREAM ? NULL : "nothing here has a key";
        }
        return;
    }
    for (uint32_t i = 0; i < c->n_nodes && b->rc == EFX_OK; i++) {
        struct efx_pnode *n = p->nodes[c->nodes[i]];
        if (!is_root(n)) {
            mark_node(&s, n);
            c->split = c->split || n->split;
        }
    }
    if (c->split) {
        add_sources(&s);
    }
}

void efx_plan__split(struct plan_builder *b)
{
    for (uint32_t i = 0; i < b->plan->n_components && b->rc == EFX_OK; i++) {
        struct efx_pcomponent *c = &b->plan->components[i];
        if (!c->row_mode && b->opts->n_shards > 1) {
            split_component(b, c);
        }
    }
}
