/* Tables as nodes: a port for events under the table's name, and one per statement that writes or
 * reads it, in order of definition; and PARTITION blocks as nodes in front of their streams. */
#include "plan.h"

enum { PORTS_MAX_START = 8 };

/* Ports of a table under construction; the conf is the node's and grows in place. */
static void grow_ports(struct plan_builder *b, struct efx_pnode *n, struct efx_table_conf *conf)
{
    uint32_t max = n->consumers_max == 0 ? PORTS_MAX_START : n->consumers_max * 2;
    struct efx_table_port *ports = PLAN_NEW_N(b, struct efx_table_port, max);
    struct efx_pedge *edges = PLAN_NEW_N(b, struct efx_pedge, (size_t)max * 2);
    if (ports == NULL || edges == NULL) {
        return;
    }
    for (uint32_t i = 0; i < max * 2; i++) {
        edges[i] = (struct efx_pedge){EFX_NO_COL, 0};
    }
    if (conf->n_ports > 0) {
        memcpy(ports, conf->ports, conf->n_ports * sizeof *ports);
        memcpy(edges, n->rows, conf->n_ports * sizeof *edges);
        memcpy(edges + max, n->errors, conf->n_ports * sizeof *edges);
    }
    conf->ports = ports;
    n->rows = edges;
    n->errors = edges + max;
    n->consumers_max = max;
}

uint32_t efx_plan__port(struct plan_builder *b, const struct efx_bobject *table,
                        const struct efx_table_port *port)
{
    if (b->rc != EFX_OK) {
        return 0;
    }
    struct efx_pnode *n = b->plan->nodes[b->plan->table_node[table->id]];
    union {
        const void *shared;
        struct efx_table_conf *own;
    } conf = {.shared = n->conf}; /* until the plan is made it is the builder's to change */
    if (conf.own->n_ports == n->consumers_max) {
        grow_ports(b, n, conf.own);
    }
    if (b->rc != EFX_OK) {
        return 0;
    }
    union {
        const struct efx_table_port *shared;
        struct efx_table_port *own;
    } ports = {.shared = conf.own->ports};
    ports.own[conf.own->n_ports] = *port;
    n->many = n->many || port->kind == EFX_PORT_LOOKUP;
    n->n_inlets = n->n_outlets = conf.own->n_ports + 1;
    return conf.own->n_ports++;
}

void efx_plan__tables_begin(struct plan_builder *b)
{
    for (uint32_t i = 0; i < b->program->n_objects && b->rc == EFX_OK; i++) {
        const struct efx_bobject *o = b->program->objects[i];
        if (o->kind != EFX_OBJ_TABLE) {
            continue;
        }
        struct efx_table_conf *conf = PLAN_NEW(b, struct efx_table_conf);
        enum efx_type *types = PLAN_NEW_N(b, enum efx_type, o->schema.n_cols + 1);
        struct efx_pnode *n = efx_plan__node(b, EFX_P_TABLE, 0, 0);
        if (b->rc != EFX_OK) {
            return;
        }
        for (uint32_t c = 0; c < o->schema.n_cols; c++) {
            types[c] = o->schema.cols[c].type;
        }
        conf->object = o;
        n->conf = conf;
        n->name = o->schema.name;
        n->object = o;
        n->external = true;
        n->in = (struct efx_op_in){o->schema.n_cols, types, false};
        n->key_group = efx_plan__name_group(o->schema.name);
        b->plan->table_node[o->id] = n->id;
        struct efx_table_port port = {.kind = EFX_PORT_INSERT, .in = n->in};
        (void)efx_plan__port(b, o, &port);
    }
}

/* ---- conditions ---- */

/* Source 0 is the row and 1 the table, or with row->swapped the other way round. */
void efx_plan__port_match(struct plan_builder *b, const struct efx_bx *on,
                          const struct plan_env *row, uint32_t n_row, struct efx_table_port *port)
{
    struct plan_match m;
    efx_plan__match(b, on, &m);
    if (b->rc != EFX_OK) {
        return;
    }
    const struct efx_bx **row_side = row->swapped ? m.right : m.left;
    const struct efx_bx **table_side = row->swapped ? m.left : m.right;
    uint32_t *cols = PLAN_NEW_N(b, uint32_t, m.n_eq + 1);
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, m.n_eq + 1);
    const struct efx_expr **keys = PLAN_NEW_N(b, const struct efx_expr *, m.n_eq + 1);
    struct plan_env own = {.kind = PLAN_ENV_PAIR,
                           .n_cols = n_row,
                           .n_left = row->swapped ? 0 : n_row,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    struct efx_bx *rest = m.rest;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m.n_eq && b->rc == EFX_OK; i++) {
        /* The table's side must be a column, perhaps widened; anything else is judged row by row.
         * */
        const struct efx_bx *col = table_side[i];
        while (col->op == EFX_BX_CAST && efx_type_is_number(col->type) &&
               efx_type_is_number(col->args[0]->type) && col->type > col->args[0]->type) {
            col = col->args[0];
        }
        if (col->op == EFX_BX_COL) {
            cols[n] = col->col;
            types[n] = m.types[i];
            keys[n++] = efx_plan__compile(b, row_side[i], &own);
            continue;
        }
        struct efx_bx *eq = PLAN_NEW(b, struct efx_bx);
        struct efx_bx *both = PLAN_NEW(b, struct efx_bx);
        struct efx_bx **args = PLAN_NEW_N(b, struct efx_bx *, 4);
        if (b->rc != EFX_OK) {
            return;
        }
        for (uint32_t k = 0; k < 2; k++) {
            args[k] = PLAN_NEW(b, struct efx_bx);
            if (args[k] == NULL) {
                return;
            }
            *args[k] = k == 0 ? *m.left[i] : *m.right[i];
        }
        *eq = (struct efx_bx){.op = EFX_BX_EQ, .type = EFX_TYPE_BOOL, .n_args = 2, .args = args};
        args[2] = eq;
        args[3] = rest;
        *both =
            (struct efx_bx){.op = EFX_BX_AND, .type = EFX_TYPE_BOOL, .n_args = 2, .args = args + 2};
        rest = rest == NULL ? eq : both;
    }
    port->n_eq = n;
    port->eq_cols = cols;
    port->key_types = types;
    port->keys = keys;
    /* `rest` sees the row's columns first, then the table's. */
    struct plan_env env = *row;
    env.n_left = row->swapped ? row->n_cols - n_row : n_row;
    port->rest = efx_plan__compile(b, rest, &env);
}

void efx_plan__upsert_port(struct plan_builder *b, const struct efx_bstmt *s,
                           struct efx_table_port *port)
{
    const struct efx_schema *table = &s->target.object->schema;
    struct plan_env env = {.kind = PLAN_ENV_PAIR,
                           .n_cols = s->n_out + table->n_cols,
                           .n_left = s->n_out,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    port->kind = EFX_PORT_UPSERT;
    efx_plan__port_match(b, s->upsert_on, &env, s->n_out, port);
    const struct efx_expr **insert = PLAN_NEW_N(b, const struct efx_expr *, table->n_cols + 1);
    const struct efx_expr **sets = PLAN_NEW_N(b, const struct efx_expr *, table->n_cols + 1);
    uint32_t *set_cols = PLAN_NEW_N(b, uint32_t, table->n_cols + 1);
    struct plan_env row = {.kind = PLAN_ENV_SINGLE, .n_cols = s->n_out, .agg = EFX_NO_COL};
    for (uint32_t c = 0; c < table->n_cols && b->rc == EFX_OK; c++) {
        insert[c] = efx_plan__compile(b, s->target.store[c], &row);
        if (s->upsert_sets[c]) {
            sets[port->n_sets] = insert[c];
            set_cols[port->n_sets++] = c;
        }
    }
    port->insert = insert;
    port->sets = sets;
    port->set_cols = set_cols;
}

/* UPDATE and DELETE: the stream's rows pass by the table and leave nothing behind. */
void efx_plan__change(struct plan_builder *b, const struct efx_bstmt *s)
{
    const struct efx_bobject *table = s->target.object;
    uint32_t from = efx_plan__source(b, s, 0);
    const struct efx_pnode *junction = b->plan->nodes[from];
    struct efx_table_port port = {
        .kind = s->kind == EFX_STMT_UPDATE ? EFX_PORT_UPDATE : EFX_PORT_DELETE,
        .in = junction->in,
    };
    struct plan_env env = {.kind = PLAN_ENV_PAIR,
                           .n_cols = junction->in.n_cols + table->schema.n_cols,
                           .n_left = junction->in.n_cols,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    efx_plan__port_match(b, s->where, &env, junction->in.n_cols, &port);
    const struct efx_expr **sets = PLAN_NEW_N(b, const struct efx_expr *, s->n_sets + 1);
    uint32_t *cols = PLAN_NEW_N(b, uint32_t, s->n_sets + 1);
    for (uint32_t i = 0; i < s->n_sets && b->rc == EFX_OK; i++) {
        sets[i] = efx_plan__compile(b, s->sets[i].value, &env);
        cols[i] = s->sets[i].col;
    }
    port.n_sets = s->n_sets;
    port.sets = sets;
    port.set_cols = cols;
    uint32_t inlet = efx_plan__port(b, table, &port);
    if (b->rc == EFX_OK) {
        struct efx_pnode *n = b->plan->nodes[b->plan->table_node[table->id]];
        efx_plan__consume(b, from, n->id, inlet);
        efx_plan__errors(b, s, n, inlet, 0, true);
    }
}

/* ---- partitions ---- */

struct block { /* under construction */
    struct plan_builder *b;
    const struct efx_bpartition *p;
    uint32_t number;
    struct efx_pnode *node;
    uint32_t n, max;
    struct efx_partition_part *parts;
};

static uint32_t add_part(struct block *k, const struct efx_bobject *o,
                         const struct efx_partition_part *part)
{
    struct plan_builder *b = k->b;
    uint32_t inlet = k->n++;
    struct efx_pnode *j = efx_plan__node(b, EFX_P_STREAM, 1, 0);
    if (b->rc != EFX_OK) {
        return 0;
    }
    const struct efx_pnode *from = b->plan->nodes[b->plan->stream_node[o->id]];
    k->parts[inlet] = *part;
    k->parts[inlet].in = from->in;
    j->name = o->schema.name;
    j->object = NULL;
    j->in = (struct efx_op_in){from->in.n_cols, from->in.types, true};
    j->copies = part->n_exprs == 0;
    k->node->many = k->node->many || j->copies;
    k->node->rows[inlet] = (struct efx_pedge){j->id, 0};
    b->part_node[k->number][o->id] = j->id;
    efx_plan__consume(b, from->id, k->node->id, inlet);
    return inlet;
}

static void listed(struct block *k, const struct efx_bpart *part)
{
    struct plan_builder *b = k->b;
    if (b->part_node[k->number][part->stream->id] != EFX_NO_COL) {
        efx_diag_add(b->diags, 9001, k->p->at, "list the labels in one PARTITION only",
                     "several label lists of one stream are not built yet");
        return;
    }
    const struct efx_expr **exprs = PLAN_NEW_N(b, const struct efx_expr *, part->n_exprs + 1);
    const struct efx_expr **conds = PLAN_NEW_N(b, const struct efx_expr *, part->n_labels + 1);
    struct plan_env row = {.kind = PLAN_ENV_SINGLE,
                           .n_cols = part->stream->schema.n_cols,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    for (uint32_t i = 0; i < part->n_exprs && b->rc == EFX_OK; i++) {
        exprs[i] = efx_plan__compile(b, part->exprs[i], &row);
    }
    for (uint32_t i = 0; i < part->n_labels && b->rc == EFX_OK; i++) {
        conds[i] = efx_plan__compile(b, part->conds[i], &row);
    }
    struct efx_partition_part made = {.n_exprs = part->n_exprs,
                                      .exprs = exprs,
                                      .n_labels = part->n_labels,
                                      .conds = conds,
                                      .labels = part->labels};
    (void)add_part(k, part->stream, &made);
}

/* Streams that statements of the block read and the block does not list. */
static void unlisted(struct block *k)
{
    struct plan_builder *b = k->b;
    for (uint32_t i = 0; i < k->p->n_stmts; i++) {
        const struct efx_bstmt *s = b->program->stmts[k->p->first_stmt + i];
        for (uint32_t j = 0; j < s->n_inputs && b->rc == EFX_OK; j++) {
            const struct efx_bobject *o = s->inputs[j].object;
            if (o->kind != EFX_OBJ_TABLE && o->partition == EFX_NO_COL &&
                b->part_node[k->number][o->id] == EFX_NO_COL) {
                struct efx_partition_part all = {0};
                (void)add_part(k, o, &all);
            }
        }
    }
}

void efx_plan__block(struct plan_builder *b, uint32_t number)
{
    const struct efx_bpartition *p = &b->program->partitions[number];
    struct block k = {.b = b, .p = p, .number = number};
    k.max = p->n_parts + b->program->n_objects;
    k.node = efx_plan__node(b, EFX_P_PARTITION, 0, k.max);
    k.parts = PLAN_NEW_N(b, struct efx_partition_part, k.max + 1);
    struct efx_partition_conf *conf = PLAN_NEW(b, struct efx_partition_conf);
    if (b->rc != EFX_OK) {
        return;
    }
    k.node->name = "partition";
    for (uint32_t i = 0; i < p->n_parts && b->rc == EFX_OK; i++) {
        listed(&k, &p->parts[i]);
    }
    unlisted(&k);
    *conf = (struct efx_partition_conf){p->n_keys, p->key_types, k.n, k.parts};
    k.node->conf = conf;
    k.node->n_inlets = k.node->n_outlets = k.n;
    if (k.n > 0) {
        k.node->in = k.parts[0].in;
    }
}

void efx_plan__partitions_begin(struct plan_builder *b)
{
    uint32_t n = b->program->n_partitions;
    b->part_node = PLAN_NEW_N(b, uint32_t *, n + 1);
    for (uint32_t i = 0; i < n && b->rc == EFX_OK; i++) {
        b->part_node[i] = PLAN_NEW_N(b, uint32_t, b->program->n_objects + 1);
        for (uint32_t o = 0; b->rc == EFX_OK && o < b->program->n_objects; o++) {
            b->part_node[i][o] = EFX_NO_COL;
        }
    }
}
