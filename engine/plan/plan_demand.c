/* On-demand statements (language §12) as confs of the operators that a program is made of.
 *
 *   SELECT            a plan of its own: junction ─► [filter] ─► project | select ─► junction
 *   UPDATE … VALUES   a port of the table, as a program's statement would have it
 *
 * The statement is copied and given a target made of its outputs, so efx_plan__tail builds its
 * operators as it does for streams. Aggregates and GROUP BY get a window that is all rows; ORDER
 * BY, LIMIT and OFFSET alone work on one row set, which whoever runs the query ends.
 */
#include "plan_demand.h"
#include "plan.h"

static const struct efx_plan_opts demand_opts = {.n_shards = 1};

/* Room for the program's objects and one more: the target. */
static enum efx_rc begin(struct plan_builder *b, const struct efx_pdemand_ask *ask)
{
    *b = (struct plan_builder){
        .arena = ask->arena, .program = ask->program, .opts = &demand_opts, .diags = ask->diags};
    b->plan = PLAN_NEW(b, struct efx_plan);
    if (b->plan == NULL) {
        return EFX_ENOMEM;
    }
    b->plan->program = ask->program;
    b->plan->arena = ask->arena;
    b->plan->stream_node = PLAN_NEW_N(b, uint32_t, ask->program->n_objects + 1);
    return b->rc;
}

static struct efx_bx *null_of(struct plan_builder *b, enum efx_type type)
{
    struct efx_bx *x = PLAN_NEW(b, struct efx_bx);
    if (x != NULL) {
        *x = (struct efx_bx){.op = EFX_BX_CONST, .type = type, .lit = efx_value_null(type)};
    }
    return x;
}

/* Columns that the statement does not name get NULL. */
static struct efx_bx **whole_store(struct plan_builder *b, const struct efx_btarget *to)
{
    const struct efx_schema *schema = &to->object->schema;
    struct efx_bx **store = PLAN_NEW_N(b, struct efx_bx *, schema->n_cols + 1);
    for (uint32_t c = 0; store != NULL && c < schema->n_cols; c++) {
        store[c] = to->store[c] != NULL ? to->store[c] : null_of(b, schema->cols[c].type);
    }
    return store;
}

/* ---- the rows that go in ---- */

static enum efx_type *types_of(struct plan_builder *b, const struct efx_schema *left,
                               const struct efx_schema *right)
{
    uint32_t n = left->n_cols + (right != NULL ? right->n_cols : 0);
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, n + 1);
    for (uint32_t c = 0; types != NULL && c < n; c++) {
        types[c] = c < left->n_cols ? left->cols[c].type : right->cols[c - left->n_cols].type;
    }
    return types;
}

static const struct efx_expr *const *side_keys(struct plan_builder *b, const struct plan_match *m,
                                               uint32_t side, uint32_t n_cols)
{
    const struct efx_expr **keys = PLAN_NEW_N(b, const struct efx_expr *, m->n_eq + 1);
    /* The other side has no columns here, so references stand at their own place. */
    struct plan_env env = {.kind = PLAN_ENV_PAIR,
                           .n_cols = n_cols,
                           .n_left = side == 0 ? n_cols : 0,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    for (uint32_t i = 0; i < m->n_eq && b->rc == EFX_OK; i++) {
        keys[i] = efx_plan__compile(b, side == 0 ? m->left[i] : m->right[i], &env);
    }
    return keys;
}

static void add_join(struct plan_builder *b, const struct efx_bstmt *s, const struct plan_env *pair,
                     struct efx_pdemand *d)
{
    struct efx_pdemand_join *j = PLAN_NEW(b, struct efx_pdemand_join);
    struct plan_match m;
    if (s->within_ms >= 0) {
        efx_diag_add(b->diags, 1207, s->at, "leave WITHIN out", "rows of tables have no time");
        return;
    }
    efx_plan__match(b, s->on, &m);
    if (b->rc != EFX_OK) {
        return;
    }
    if (m.n_eq > EFX_KEYED_CELLS_MAX) {
        m.n_eq = 0;
        m.rest = s->on;
    }
    j->kind = s->join;
    j->n_left = pair->n_left;
    j->n_eq = m.n_eq;
    j->types = m.types;
    j->keys[0] = side_keys(b, &m, 0, pair->n_left);
    j->keys[1] = side_keys(b, &m, 1, pair->n_cols - pair->n_left);
    j->rest = efx_plan__compile(b, m.rest, pair);
    d->join = j;
}

/* ---- the statement with a target ---- */

static struct efx_bx *out_ref(struct plan_builder *b, const struct efx_bstmt *s, uint32_t i)
{
    struct efx_bx *x = PLAN_NEW(b, struct efx_bx);
    if (x != NULL) {
        *x = (struct efx_bx){.op = EFX_BX_COL,
                             .type = s->out[i].expr->type,
                             .at = s->out[i].expr->at,
                             .src = EFX_BX_SRC_OUT,
                             .col = i};
    }
    return x;
}

static bool is_primary(const struct efx_bobject *table, uint32_t col)
{
    const struct efx_bkey *key = table->n_keys > 0 && table->keys[0].primary ? table->keys : NULL;
    for (uint32_t i = 0; key != NULL && i < key->cols.n; i++) {
        if (key->cols.col[i] == col) {
            return true;
        }
    }
    return false;
}

/* INSERT … SELECT: rows of the table, NULLs checked; else the outputs as they are. */
static void give_target(struct plan_builder *b, struct efx_bstmt *s)
{
    const struct efx_bobject *table = s->upsert ? NULL : s->target.object;
    uint32_t n = table != NULL ? table->schema.n_cols : s->n_out;
    struct efx_bobject *made = PLAN_NEW(b, struct efx_bobject);
    struct efx_schema_col *cols = PLAN_NEW_N(b, struct efx_schema_col, n + 1);
    struct efx_bx **store =
        table != NULL ? whole_store(b, &s->target) : PLAN_NEW_N(b, struct efx_bx *, n + 1);
    for (uint32_t c = 0; c < n && b->rc == EFX_OK; c++) {
        if (table != NULL) {
            cols[c] = table->schema.cols[c];
            cols[c].not_null = cols[c].not_null || is_primary(table, c);
        } else {
            cols[c] = (struct efx_schema_col){.name = s->out[c].name, .type = s->out[c].expr->type};
            store[c] = out_ref(b, s, c);
        }
    }
    struct efx_pnode *j = efx_plan__node(b, EFX_P_STREAM, 0, 0);
    if (b->rc != EFX_OK) {
        return;
    }
    *made = (struct efx_bobject){.kind = EFX_OBJ_STREAM,
                                 .id = b->program->n_objects,
                                 .schema = {.name = "query", .n_cols = n, .cols = cols},
                                 .partition = EFX_NO_COL};
    b->plan->stream_node[made->id] = j->id;
    s->target = (struct efx_btarget){made, store};
    s->upsert = false;
}

/* One input, which the operators take for the statement's: a table's rows, or joined ones. */
static void give_input(struct plan_builder *b, struct efx_bstmt *s, bool whole)
{
    struct efx_binput *in = PLAN_NEW(b, struct efx_binput);
    if (in != NULL) {
        *in = (struct efx_binput){.object = s->inputs[0].object, .alias = s->inputs[0].alias};
        in->window.vt = whole ? &efx_plan__whole : NULL;
        s->inputs = in;
    }
    s->kind = EFX_STMT_SINGLE;
    s->n_inputs = 1;
    s->current = true;
    s->expired = false;
}

/* Aggregates that no row enters, whatever comes. */
static void give_nothing(struct plan_builder *b, struct efx_bstmt *s)
{
    struct efx_bagg *aggs = PLAN_NEW_N(b, struct efx_bagg, s->n_aggs + 1);
    struct efx_bx *no = PLAN_NEW(b, struct efx_bx);
    for (uint32_t i = 0; i < s->n_aggs && b->rc == EFX_OK; i++) {
        aggs[i] = s->aggs[i];
        if (aggs[i].arg != NULL) {
            aggs[i].arg = null_of(b, aggs[i].arg->type);
        }
        aggs[i].filter = no;
    }
    if (b->rc == EFX_OK) {
        *no = (struct efx_bx){
            .op = EFX_BX_CONST, .type = EFX_TYPE_BOOL, .lit = {.type = EFX_TYPE_BOOL, .b = false}};
        s->aggs = aggs;
        s->where = NULL;
    }
}

static void take_confs(struct plan_builder *b, struct efx_pdemand *d)
{
    for (uint32_t i = 0; i < b->plan->n_nodes && b->rc == EFX_OK; i++) {
        const struct efx_pnode *n = b->plan->nodes[i];
        if (n->kind == EFX_P_FILTER) {
            d->where = n->conf;
        } else if (n->kind == EFX_P_PROJECT) {
            d->project = n->conf;
        } else if (n->kind == EFX_P_SELECT) {
            struct efx_select_conf *own = PLAN_NEW(b, struct efx_select_conf);
            if (own != NULL) {
                *own = *(const struct efx_select_conf *)n->conf;
                own->errors_read = true; /* any of them fails the query */
                d->select = own;
            }
        }
    }
}

static enum efx_rc done(const struct plan_builder *b, uint32_t errors_before)
{
    return b->rc == EFX_OK && b->diags->n_errors > errors_before ? EFX_ETYPE : b->rc;
}

enum efx_rc efx_plan_demand_select(const struct efx_pdemand_ask *ask, const struct efx_bstmt *stmt,
                                   enum efx_pdemand_how how, struct efx_pdemand *out)
{
    struct plan_builder builder, *b = &builder;
    uint32_t errors_before = ask->diags->n_errors;
    EFX_RET(begin(b, ask));
    struct efx_bstmt s = *stmt;
    const struct efx_schema *left = &s.inputs[0].object->schema;
    const struct efx_schema *right = s.kind == EFX_STMT_JOIN ? &s.inputs[1].object->schema : NULL;
    uint32_t n = left->n_cols + (right != NULL ? right->n_cols : 0);
    struct efx_pdemand d = {.in = {n, types_of(b, left, right), false}};
    struct plan_env env = {.kind = right != NULL ? PLAN_ENV_PAIR : PLAN_ENV_SINGLE,
                           .n_cols = n,
                           .n_left = left->n_cols,
                           .agg = EFX_NO_COL,
                           .out = EFX_NO_COL};
    if (right != NULL) {
        add_join(b, &s, &env, &d);
    }
    if ((how & EFX_PDEMAND_DISTINCT) != 0) { /* cut when repeated rows are gone */
        s.limit = -1;
        s.offset = 0;
    }
    d.whole = s.n_aggs > 0 || s.n_group > 0;
    d.set = !d.whole && (s.n_order > 0 || s.limit >= 0 || s.offset > 0);
    give_input(b, &s, d.whole);
    give_target(b, &s);
    if ((how & EFX_PDEMAND_NOTHING) != 0) {
        give_nothing(b, &s);
    }
    struct efx_pnode *from = efx_plan__node(b, EFX_P_STREAM, 0, 0);
    struct plan_tail tail = {.node = from->id, .env = env, .sets = d.set, .types = d.in.types};
    EFX_RET(done(b, errors_before));
    efx_plan__tail(b, &s, &tail);
    take_confs(b, &d);
    d.out = s.target.object->schema;
    EFX_RET(done(b, errors_before));
    *out = d;
    return EFX_OK;
}

/* ---- changes ---- */

static void mutation_port(struct plan_builder *b, const struct efx_bstmt *s,
                          struct efx_table_port *port)
{
    uint32_t n = s->target.object->schema.n_cols;
    struct plan_env env = {
        .kind = PLAN_ENV_PAIR, .n_cols = n, .agg = EFX_NO_COL, .out = EFX_NO_COL};
    const struct efx_expr **sets = PLAN_NEW_N(b, const struct efx_expr *, s->n_sets + 1);
    uint32_t *cols = PLAN_NEW_N(b, uint32_t, s->n_sets + 1);
    port->kind = s->kind == EFX_STMT_UPDATE ? EFX_PORT_UPDATE : EFX_PORT_DELETE;
    efx_plan__port_match(b, s->where, &env, 0, port);
    for (uint32_t i = 0; i < s->n_sets && b->rc == EFX_OK; i++) {
        sets[i] = efx_plan__compile(b, s->sets[i].value, &env);
        cols[i] = s->sets[i].col;
    }
    port->n_sets = s->n_sets;
    port->sets = sets;
    port->set_cols = cols;
}

enum efx_rc efx_plan_demand_port(const struct efx_pdemand_ask *ask, const struct efx_bstmt *stmt,
                                 struct efx_table_port *out)
{
    struct plan_builder builder, *b = &builder;
    uint32_t errors_before = ask->diags->n_errors;
    EFX_RET(begin(b, ask));
    struct efx_table_port port = {.kind = EFX_PORT_INSERT};
    const struct efx_schema *table = &stmt->target.object->schema;
    if (stmt->kind == EFX_STMT_UPDATE || stmt->kind == EFX_STMT_DELETE) {
        mutation_port(b, stmt, &port);
    } else if (stmt->upsert) {
        enum efx_type *types = PLAN_NEW_N(b, enum efx_type, stmt->n_out + 1);
        for (uint32_t c = 0; types != NULL && c < stmt->n_out; c++) {
            types[c] = stmt->out[c].expr->type;
        }
        struct efx_bstmt s = *stmt;
        s.target.store = whole_store(b, &stmt->target);
        port.in = (struct efx_op_in){stmt->n_out, types, false};
        if (b->rc == EFX_OK) {
            efx_plan__upsert_port(b, &s, &port);
        }
    } else {
        port.in = (struct efx_op_in){table->n_cols, types_of(b, table, NULL), false};
    }
    EFX_RET(done(b, errors_before));
    *out = port;
    return EFX_OK;
}

enum efx_rc efx_plan_demand_expr(const struct efx_pdemand_ask *ask, const struct efx_bx *bx,
                                 const struct efx_expr **out)
{
    struct plan_builder builder, *b = &builder;
    EFX_RET(begin(b, ask));
    struct plan_env none = {.kind = PLAN_ENV_SINGLE, .agg = EFX_NO_COL, .out = EFX_NO_COL};
    *out = efx_plan__compile(b, bx, &none);
    return b->rc;
}
