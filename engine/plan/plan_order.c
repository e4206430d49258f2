/* How a graph may be run in whole batches and still give what one event at a time, depth first,
 * would have given (ARCHITECTURE.md, "Order").
 *
 *   component   what is joined by edges; streams fed from outside alone bind nothing together
 *   confluence  a node with several inlets. Its inlets buffer a step's rows and are merged by
 *               (moment, inlet rank) if for every two ways from one head to two inlets
 *                 (a) where they part, the same inlet always comes first, and
 *                 (b) nothing they share can give several rows for one cause
 *   row mode    everything else: loops, tables read inside an expression, ways that fail (a) or (b)
 *
 * A head is a stream from outside, or an operator whose timers make rows (which are many).
 *
 *   Limits  WAYS_MAX ways in a component; one with more runs in row mode
 */
#include "plan.h"

enum { WAYS_MAX = 4096, STEPS_MAX = 200 };

/* ---- edges ---- */

static uint32_t n_edges(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM ? n->n_consumers : n->n_outlets * 2;
}

/* Edge number pos: of a junction in order of definition; else rows and errors of each outlet. */
static struct efx_pedge edge_at(const struct efx_pnode *n, uint32_t pos)
{
    if (n->kind == EFX_P_STREAM) {
        return n->consumers[pos];
    }
    return pos % 2 == 0 ? n->rows[pos / 2] : n->errors[pos / 2];
}

/* A stream that only events from outside come to. */
static bool is_root(const struct efx_pnode *n)
{
    return n->kind == EFX_P_STREAM && n->external && n->n_inlets == 1;
}

/* ---- components ---- */

static uint32_t find(uint32_t *up, uint32_t i)
{
    while (up[i] != i) {
        up[i] = up[up[i]];
        i = up[i];
    }
    return i;
}

struct tables { /* nodes of a statement that reads tables inside expressions */
    struct plan_builder *b;
    uint32_t *up;
    uint32_t node;
};

static void join_read_table(void *arg, const struct efx_bx *bx)
{
    struct tables *t = arg;
    if (bx->op == EFX_BX_IN_TABLE || bx->op == EFX_BX_EXISTS) {
        uint32_t table = t->b->plan->table_node[bx->table->id];
        t->up[find(t->up, t->node)] = find(t->up, table);
    }
}

static void join_statement_tables(struct plan_builder *b, uint32_t *up, const struct efx_pnode *n)
{
    const struct efx_bstmt *s = n->stmt;
    struct tables t = {b, up, n->id};
    efx_plan__visit(s->where, join_read_table, &t);
    efx_plan__visit(s->on, join_read_table, &t);
    efx_plan__visit(s->having, join_read_table, &t);
    efx_plan__visit(s->upsert_on, join_read_table, &t);
    for (uint32_t i = 0; i < s->n_out; i++) {
        efx_plan__visit(s->out[i].expr, join_read_table, &t);
    }
    for (uint32_t i = 0; i < s->n_group; i++) {
        efx_plan__visit(s->group[i], join_read_table, &t);
    }
    for (uint32_t i = 0; i < s->n_aggs; i++) {
        efx_plan__visit(s->aggs[i].arg, join_read_table, &t);
        efx_plan__visit(s->aggs[i].filter, join_read_table, &t);
    }
    for (uint32_t i = 0; i < s->n_sets; i++) {
        efx_plan__visit(s->sets[i].value, join_read_table, &t);
    }
}

static void join_pattern_tables(struct plan_builder *b, uint32_t *up, const struct efx_pnode *n,
                                const struct efx_bpat *p)
{
    struct tables t = {b, up, n->id};
    efx_plan__visit(p->filter, join_read_table, &t);
    for (uint32_t i = 0; i < p->n_kids; i++) {
        join_pattern_tables(b, up, n, p->kids[i]);
    }
}

static void make_components(struct plan_builder *b)
{
    struct efx_plan *p = b->plan;
    uint32_t *up = PLAN_NEW_N(b, uint32_t, p->n_nodes + 1);
    uint32_t *number = PLAN_NEW_N(b, uint32_t, p->n_nodes + 1);
    p->components = PLAN_NEW_N(b, struct efx_pcomponent, p->n_nodes + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        up[i] = i;
        number[i] = EFX_NO_COL;
    }
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct efx_pnode *n = p->nodes[i];
        for (uint32_t e = 0; !is_root(n) && e < n_edges(n); e++) {
            if (edge_at(n, e).node != EFX_NO_COL) {
                up[find(up, i)] = find(up, edge_at(n, e).node);
            }
        }
        if (n->stmt != NULL && efx_plan__reads_table(n->stmt)) {
            join_statement_tables(b, up, n);
            if (n->stmt->pattern != NULL) {
                join_pattern_tables(b, up, n, n->stmt->pattern->root);
            }
        }
    }
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        uint32_t root = find(up, i);
        if (number[root] == EFX_NO_COL) {
            number[root] = p->n_components++;
        }
        p->nodes[i]->component = number[root];
        p->components[number[root]].n_nodes++;
    }
    for (uint32_t c = 0; c < p->n_components; c++) {
        p->components[c].nodes = PLAN_NEW_N(b, uint32_t, p->components[c].n_nodes);
        p->components[c].n_nodes = 0;
    }
    for (uint32_t i = 0; i < p->n_nodes && b->rc == EFX_OK; i++) {
        struct efx_pcomponent *c = &p->components[p->nodes[i]->component];
        c->nodes[c->n_nodes++] = i;
    }
}

/* Topological order inside a component, lowest number first; what remains is a loop. */
static void sort_component(struct plan_builder *b, struct efx_pcomponent *c, uint32_t number)
{
    struct efx_plan *p = b->plan;
    uint32_t *before = PLAN_NEW_N(b, uint32_t, p->n_nodes + 1);
    uint32_t *sorted = PLAN_NEW_N(b, uint32_t, c->n_nodes + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct efx_pnode *n = p->nodes[c->nodes[i]];
        for (uint32_t e = 0; e < n_edges(n); e++) {
            struct efx_pedge to = edge_at(n, e);
            if (to.node != EFX_NO_COL && p->nodes[to.node]->component == number) {
                before[to.node]++;
            }
        }
    }
    uint32_t n_sorted = 0;
    bool found = true;
    while (found) {
        found = false;
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            uint32_t id = c->nodes[i];
            if (id == EFX_NO_COL || before[id] != 0) {
                continue;
            }
            found = true;
            c->nodes[i] = EFX_NO_COL;
            sorted[n_sorted++] = id;
            const struct efx_pnode *n = p->nodes[id];
            for (uint32_t e = 0; e < n_edges(n); e++) {
                struct efx_pedge to = edge_at(n, e);
                if (to.node != EFX_NO_COL && p->nodes[to.node]->component == number) {
                    before[to.node]--;
                }
            }
            break;
        }
    }
    c->loop = n_sorted < c->n_nodes;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        if (c->nodes[i] != EFX_NO_COL) {
            sorted[n_sorted++] = c->nodes[i];
        }
    }
    c->nodes = sorted;
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        p->nodes[sorted[i]]->topo = i;
    }
}

/* ---- ways ---- */

struct way_step {
    uint32_t node, pos;
};

struct way { /* from a head to an inlet */
    uint32_t head;
    bool timer;
    uint32_t node, inlet;
    uint32_t n;
    struct way_step *steps;
    struct way *next; /* of the same node */
};

struct ways {
    struct plan_builder *b;
    uint32_t component;
    struct way **at; /* [n_nodes] */
    uint32_t n;
    bool too_many;
    uint32_t depth;
    struct way_step path[STEPS_MAX];
};

static void arrive(struct ways *w, uint32_t head, bool timer, struct efx_pedge to)
{
    struct plan_builder *b = w->b;
    struct way *way = PLAN_NEW(b, struct way);
    struct way_step *steps = PLAN_NEW_N(b, struct way_step, w->depth + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    memcpy(steps, w->path, w->depth * sizeof *steps);
    *way = (struct way){head, timer, to.node, to.inlet, w->depth, steps, w->at[to.node]};
    w->at[to.node] = way;
    w->too_many = w->too_many || ++w->n > WAYS_MAX;
}

static void go_on(struct ways *w, uint32_t head, bool timer, uint32_t node)
{
    struct efx_plan *p = w->b->plan;
    const struct efx_pnode *n = p->nodes[node];
    for (uint32_t e = 0; e < n_edges(n); e++) {
        struct efx_pedge to = edge_at(n, e);
        if (w->too_many || w->b->rc != EFX_OK || to.node == EFX_NO_COL ||
            p->nodes[to.node]->component != w->component) {
            continue;
        }
        if (w->depth == STEPS_MAX) {
            w->too_many = true;
            return;
        }
        w->path[w->depth++] = (struct way_step){node, e};
        if (p->nodes[to.node]->n_inlets > 1) {
            arrive(w, head, timer, to);
        }
        /* A row that comes in by one port of a table leaves by that port alone. */
        const struct efx_pnode *next = p->nodes[to.node];
        if (next->kind == EFX_P_TABLE || next->kind == EFX_P_PARTITION) {
            for (uint32_t k = 0; k < 2; k++) {
                struct efx_pedge out = k == 0 ? next->rows[to.inlet] : next->errors[to.inlet];
                if (out.node != EFX_NO_COL && w->depth < STEPS_MAX) {
                    w->path[w->depth++] = (struct way_step){to.node, to.inlet * 2 + k};
                    if (p->nodes[out.node]->n_inlets > 1) {
                        arrive(w, head, timer, out);
                    }
                    go_on(w, head, timer, out.node);
                    w->depth--;
                }
            }
        } else {
            go_on(w, head, timer, to.node);
        }
        w->depth--;
    }
}

static void find_ways(struct ways *w, const struct efx_pcomponent *c)
{
    struct efx_plan *p = w->b->plan;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const struct efx_pnode *n = p->nodes[i];
        if (is_root(n)) {
            go_on(w, i, false, i);
        }
    }
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct efx_pnode *n = p->nodes[c->nodes[i]];
        if (n->external && !is_root(n)) {
            if (n->n_inlets > 1) {
                arrive(w, n->id, false, (struct efx_pedge){n->id, 0});
            }
            if (n->kind == EFX_P_STREAM) {
                go_on(w, n->id, false, n->id);
            }
        }
        if (n->emits_by_timer) {
            go_on(w, n->id, true, n->id);
        }
    }
}

/* ---- merges ---- */

/* -1: a's row always comes first; 1: b's; 0: this pair forbids a merge. */
static int compare_ways(const struct efx_plan *p, const struct way *a, const struct way *b,
                        const char **why)
{
    if (a->timer) {
        *why = "rows of one timer reach it on two ways";
        return 0;
    }
    uint32_t j = 0;
    while (j < a->n && j < b->n && a->steps[j].node == b->steps[j].node &&
           a->steps[j].pos == b->steps[j].pos) {
        if (p->nodes[a->steps[j].node]->many) {
            *why = "several rows of one event reach it on two ways";
            return 0;
        }
        j++;
    }
    if (j == a->n || j == b->n) {
        return j == a->n ? -1 : 1; /* from outside straight in, against a way round */
    }
    const struct efx_pnode *at = p->nodes[a->steps[j].node];
    if (at->kind != EFX_P_STREAM && at->many) {
        *why = "several rows of one event reach it on two ways";
        return 0;
    }
    return a->steps[j].pos < b->steps[j].pos ? -1 : 1;
}

/* Ranks of a confluence's inlets; a reason if there is no one order. */
static const char *rank_inlets(struct plan_builder *b, struct efx_pnode *n, const struct way *ways)
{
    const char *why = NULL;
    uint32_t k = n->n_inlets;
    int8_t *sign = PLAN_NEW_N(b, int8_t, (size_t)k * k + 1);
    n->inlet_rank = PLAN_NEW_N(b, uint32_t, k);
    for (const struct way *x = ways; x != NULL && b->rc == EFX_OK; x = x->next) {
        for (const struct way *y = x->next; y != NULL; y = y->next) {
            if (x->head != y->head || x->timer != y->timer || x->inlet == y->inlet) {
                continue;
            }
            int s = compare_ways(b->plan, x, y, &why);
            if (s == 0) {
                return why;
            }
            int8_t *old = &sign[x->inlet * k + y->inlet];
            if (*old != 0 && *old != s) {
                return "its inputs come in different orders on different ways";
            }
            *old = (int8_t)s;
            sign[y->inlet * k + x->inlet] = (int8_t)-s;
        }
    }
    uint8_t *placed = PLAN_NEW_N(b, uint8_t, k);
    for (uint32_t rank = 0; rank < k && b->rc == EFX_OK; rank++) {
        uint32_t pick = EFX_NO_COL;
        for (uint32_t i = 0; i < k && pick == EFX_NO_COL; i++) {
            bool first = !placed[i];
            for (uint32_t j = 0; j < k && first; j++) {
                first = placed[j] || i == j || sign[i * k + j] <= 0;
            }
            pick = first ? i : pick;
        }
        if (pick == EFX_NO_COL) {
            return "its inputs come in different orders on different ways";
        }
        placed[pick] = 1;
        n->inlet_rank[pick] = rank;
    }
    return NULL;
}

static const char *read_inside(struct plan_builder *b, const struct efx_pcomponent *c)
{
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        const struct efx_pnode *n = b->plan->nodes[c->nodes[i]];
        if (n->stmt != NULL && efx_plan__reads_table(n->stmt)) {
            return efx_arena_printf(b->arena, "%s reads a table inside an expression", n->name);
        }
    }
    return NULL;
}

static void order_component(struct plan_builder *b, uint32_t number)
{
    struct efx_plan *p = b->plan;
    struct efx_pcomponent *c = &p->components[number];
    sort_component(b, c, number);
    if (b->rc != EFX_OK) {
        return;
    }
    uint32_t n_timers = 0, n_confluences = 0, n_partitions = 0;
    c->why = c->loop ? "a loop of streams" : read_inside(b, c);
    struct ways *w = PLAN_NEW(b, struct ways);
    struct way **at = PLAN_NEW_N(b, struct way *, p->n_nodes + 1);
    if (b->rc != EFX_OK) {
        return;
    }
    *w = (struct ways){.b = b, .component = number, .at = at};
    if (c->why == NULL) {
        find_ways(w, c);
        c->why = w->too_many ? "too many ways through the graph" : NULL;
    }
    for (uint32_t i = 0; i < c->n_nodes && b->rc == EFX_OK; i++) {
        struct efx_pnode *n = p->nodes[c->nodes[i]];
        n_timers += n->timers;
        n_partitions += n->kind == EFX_P_PARTITION;
        n->confluence = n->n_inlets > 1 || (n->kind == EFX_P_TABLE && n->external);
        n_confluences += n->confluence;
        if (n->confluence && c->why == NULL) {
            const char *why = rank_inlets(b, n, at[n->id]);
            c->why = why == NULL ? NULL : efx_arena_printf(b->arena, "%s: %s", n->name, why);
        }
    }
    c->row_mode = c->why != NULL;
    c->needs_moment = c->row_mode || b->opts->ordered || b->opts->n_shards > 1 ||
                      n_confluences > 0 || n_timers > 1 || n_partitions > 0;
}

void efx_plan__order(struct plan_builder *b)
{
    make_components(b);
    for (uint32_t c = 0; c < b->plan->n_components && b->rc == EFX_OK; c++) {
        order_component(b, c);
    }
}
