/* Builds the plan: junctions for streams, then the operators of each statement in source order. */
#include "plan.h"

#include "efx_hash.h"

void *efx_plan__new(struct plan_builder *b, size_t n, size_t bytes)
{
    void *p = efx_arena_alloc(b->arena, n, bytes, 16);
    if (p == NULL) {
        b->rc = EFX_ENOMEM;
    }
    return p;
}

struct efx_pnode *efx_plan__node(struct plan_builder *b, enum efx_pnode_kind kind,
                                 uint32_t n_inlets, uint32_t n_outlets)
{
    static struct efx_pnode nothing; /* what a builder that is out of memory goes on with */
    struct efx_plan *p = b->plan;
    if (p->n_nodes == p->nodes_max) {
        uint32_t max = p->nodes_max == 0 ? 64 : p->nodes_max * 2;
        struct efx_pnode **more = PLAN_NEW_N(b, struct efx_pnode *, max);
        if (more == NULL) {
            return &nothing;
        }
        if (p->n_nodes > 0) {
            memcpy(more, p->nodes, p->n_nodes * sizeof *more);
        }
        p->nodes = more;
        p->nodes_max = max;
    }
    struct efx_pnode *n = PLAN_NEW(b, struct efx_pnode);
    struct efx_pedge *edges = PLAN_NEW_N(b, struct efx_pedge, (size_t)n_outlets * 2 + 1);
    if (n == NULL || edges == NULL) {
        return &nothing;
    }
    *n = (struct efx_pnode){.kind = kind,
                            .id = p->n_nodes,
                            .name = "",
                            .n_inlets = n_inlets,
                            .n_outlets = n_outlets,
                            .rows = edges,
                            .errors = edges + n_outlets};
    for (uint32_t i = 0; i < n_outlets * 2; i++) {
        edges[i] = (struct efx_pedge){EFX_NO_COL, 0};
    }
    p->nodes[p->n_nodes++] = n;
    return n;
}

uint32_t efx_plan__inlet(struct efx_pnode *n)
{
    return n->n_inlets++;
}

void efx_plan__consume(struct plan_builder *b, uint32_t stream_node, uint32_t node, uint32_t inlet)
{
    if (b->rc != EFX_OK) {
        return;
    }
    struct efx_pnode *s = b->plan->nodes[stream_node];
    if (s->n_consumers == s->consumers_max) {
        uint32_t max = s->consumers_max == 0 ? 4 : s->consumers_max * 2;
        struct efx_pedge *more = PLAN_NEW_N(b, struct efx_pedge, max);
        if (more == NULL) {
            return;
        }
        if (s->n_consumers > 0) {
            memcpy(more, s->consumers, s->n_consumers * sizeof *more);
        }
        s->consumers = more;
        s->consumers_max = max;
    }
    s->consumers[s->n_consumers++] = (struct efx_pedge){node, inlet};
}

static const enum efx_type *schema_types(struct plan_builder *b, const struct efx_schema *s)
{
    enum efx_type *types = PLAN_NEW_N(b, enum efx_type, s->n_cols + 1);
    for (uint32_t c = 0; types != NULL && c < s->n_cols; c++) {
        types[c] = s->cols[c].type;
    }
    return types;
}

/* Key group of what has no key: by the statement's or object's name. */
uint32_t efx_plan__name_group(const char *name)
{
    return efx_hash_key_group(efx_hash_bytes(name, strlen(name)));
}

static void add_trigger(struct plan_builder *b, const struct efx_bobject *o, uint32_t junction)
{
    struct efx_trigger_conf *conf = PLAN_NEW(b, struct efx_trigger_conf);
    struct efx_pnode *n = efx_plan__node(b, EFX_P_TRIGGER, 0, 1);
    if (b->rc != EFX_OK) {
        return;
    }
    *conf = (struct efx_trigger_conf){o->trigger.kind, o->trigger.every_ms, b->opts->max_catch_up};
    n->conf = conf;
    n->name = o->schema.name;
    n->object = o;
    n->rank = efx_moment_rank(o->trigger.rank, EFX_TIMER_OF_WINDOW);
    n->key_group = efx_plan__name_group(o->schema.name);
    n->timers = n->emits_by_timer = true;
    struct efx_pnode *s = b->plan->nodes[junction];
    n->rows[0] = (struct efx_pedge){junction, efx_plan__inlet(s)};
    b->plan->n_triggers++;
}

static void add_object(struct plan_builder *b, const struct efx_bobject *o)
{
    struct efx_plan *p = b->plan;
    p->stream_node[o->id] = p->table_node[o->id] = EFX_NO_COL;
    if (o->kind == EFX_OBJ_TABLE) {
        return;
    }
    struct efx_pnode *s = efx_plan__node(b, EFX_P_STREAM, 0, 0);
    s->name = o->schema.name;
    s->object = o;
    s->in = (struct efx_op_in){o->schema.n_cols, schema_types(b, &o->schema),
                               o->partition != EFX_NO_COL};
    s->external = o->kind == EFX_OBJ_STREAM && o->declared && o->partition == EFX_NO_COL;
    if (s->external) {
        (void)efx_plan__inlet(s);
    }
    s->output = o->fault_of != NULL;
    p->stream_node[o->id] = s->id;
    if (o->kind == EFX_OBJ_TRIGGER) {
        add_trigger(b, o, s->id);
    }
}

enum efx_rc efx_plan_make(struct efx_arena *arena, const struct efx_program *program,
                          const struct efx_plan_opts *opts, struct efx_diags *diags,
                          struct efx_plan **out)
{
    struct plan_builder builder = {
        .arena = arena, .program = program, .opts = opts, .diags = diags};
    struct plan_builder *b = &builder;
    uint32_t errors_before = diags->n_errors;
    b->plan = PLAN_NEW(b, struct efx_plan);
    if (b->plan == NULL) {
        return EFX_ENOMEM;
    }
    struct efx_plan *p = b->plan;
    p->program = program;
    p->arena = arena;
    p->stream_node = PLAN_NEW_N(b, uint32_t, program->n_objects + 1);
    p->table_node = PLAN_NEW_N(b, uint32_t, program->n_objects + 1);
    for (uint32_t i = 0; i < program->n_objects && b->rc == EFX_OK; i++) {
        add_object(b, program->objects[i]);
    }
    if (b->rc == EFX_OK) {
        efx_plan__tables_begin(b);
        efx_plan__partitions_begin(b);
    }
    for (uint32_t i = 0; i < program->n_stmts && b->rc == EFX_OK; i++) {
        uint32_t block = program->stmts[i]->partition;
        if (block != EFX_NO_COL && program->partitions[block].first_stmt == i) {
            efx_plan__block(b, block);
        }
        efx_plan__statement(b, program->stmts[i]);
    }
    if (b->rc == EFX_OK && diags->n_errors > errors_before) {
        return EFX_ETYPE;
    }
    if (b->rc == EFX_OK) {
        efx_plan__order(b);
    }
    if (b->rc == EFX_OK) {
        efx_plan__split(b);
    }
    *out = p;
    return b->rc;
}
