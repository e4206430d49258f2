/* By what a checkpoint knows an operator: the text of its statement, the types of what it reads and
 * its place among the statement's operators of its kind.
 *
 *   key = mix(kind, text, head of the PARTITION block, columns of inputs, place)
 *
 * Where the statement stands in the program is not in it, nor white space: a program that was
 * edited elsewhere finds its state. Tables and triggers are known by name and columns. The same
 * statement twice has two keys, in order.
 */
#include "run.h"

#include "efx_hash.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Runs of white space outside of quotes count as one. */
static uint64_t text_key(struct efx_str text, uint32_t from, uint32_t until)
{
    uint64_t h = 1;
    char quote = '\0';
    until = until < text.n ? until : text.n;
    for (uint32_t i = from; i < until; i++) {
        char c = text.p[i];
        if (quote == '\0' && is_space(c)) {
            while (i + 1 < until && is_space(text.p[i + 1])) {
                i++;
            }
            c = ' ';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        }
        h = efx_hash_mix(h, (uint8_t)c);
    }
    return h;
}

uint64_t efx_run__schema_key(const struct efx_schema *s)
{
    uint64_t h = efx_hash_bytes(s->name, strlen(s->name));
    for (uint32_t c = 0; c < s->n_cols; c++) {
        h = efx_hash_mix(h, efx_hash_bytes(s->cols[c].name, strlen(s->cols[c].name)));
        h = efx_hash_mix(h, (uint64_t)s->cols[c].type);
    }
    return h;
}

static uint64_t block_key(const struct efx_program *p, const struct efx_bpartition *b)
{
    return text_key(p->text, b->at.off, p->stmts[b->first_stmt]->at.off);
}

static uint64_t stmt_key(const struct efx_program *p, const struct efx_bstmt *s)
{
    uint64_t h = text_key(p->text, s->at.off, s->at.off + s->at.len);
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        h = efx_hash_mix(h, efx_run__schema_key(&s->inputs[i].object->schema));
    }
    return s->partition == EFX_NO_COL ? h
                                      : efx_hash_mix(h, block_key(p, &p->partitions[s->partition]));
}

static uint64_t table_key(const struct efx_bobject *o)
{
    uint64_t h = efx_run__schema_key(&o->schema);
    for (uint32_t k = 0; k < o->n_keys; k++) {
        h = efx_hash_mix(h, o->keys[k].primary * 2u + o->keys[k].unique);
        for (uint32_t c = 0; c < o->keys[k].cols.n; c++) {
            h = efx_hash_mix(h, o->keys[k].cols.col[c]);
        }
    }
    return h;
}

/* The block of the n-th partition node; blocks without statements have none. */
static const struct efx_bpartition *block_of(const struct efx_program *p, uint32_t nth)
{
    for (uint32_t i = 0; i < p->n_partitions; i++) {
        if (p->partitions[i].n_stmts > 0 && nth-- == 0) {
            return &p->partitions[i];
        }
    }
    return NULL;
}

static uint64_t node_key(const struct efx_app *app, const struct efx_pnode *n)
{
    const struct efx_plan *plan = app->plan;
    uint32_t before = 0;
    for (uint32_t i = 0; i < n->id; i++) {
        before += plan->nodes[i]->kind == n->kind && plan->nodes[i]->stmt == n->stmt;
    }
    uint64_t h = 0;
    if (n->stmt != NULL) {
        h = efx_hash_mix(stmt_key(plan->program, n->stmt), before);
    } else if (n->kind == EFX_P_PARTITION) {
        const struct efx_bpartition *b = block_of(plan->program, before);
        EFX_ASSERT(b != NULL);
        h = block_key(plan->program, b);
    } else if (n->kind == EFX_P_TABLE) {
        h = table_key(n->object);
    } else {
        EFX_ASSERT(n->object != NULL);
        h = efx_hash_mix(efx_run__schema_key(&n->object->schema),
                         (uint64_t)n->object->trigger.every_ms);
    }
    h = efx_hash_mix(h, (uint64_t)n->kind);
    return h == 0 ? 1 : h;
}

static bool has_state(const struct efx_pnode *n)
{
    switch (n->kind) {
    case EFX_P_STREAM:
    case EFX_P_FILTER:
    case EFX_P_PROJECT:
    case EFX_P_ERRORS: return false;
    case EFX_P_SELECT:
    case EFX_P_LIMIT:
    case EFX_P_JOIN:
    case EFX_P_TABLE:
    case EFX_P_PATTERN:
    case EFX_P_PARTITION:
    case EFX_P_TRIGGER: return true;
    }
    return false;
}

enum efx_rc efx_run__op_keys(struct efx_app *app)
{
    uint32_t n = app->plan->n_nodes;
    app->op_keys = EFX_NEW_N(&app->arena, uint64_t, n + 1);
    if (app->op_keys == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!has_state(app->plan->nodes[i])) {
            continue;
        }
        uint64_t key = node_key(app, app->plan->nodes[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (app->op_keys[k] == key) { /* the same statement again: the next of its keys */
                key = efx_hash_mix(key, 1);
                k = UINT32_MAX;
            }
        }
        app->op_keys[i] = key;
    }
    return EFX_OK;
}

uint64_t efx_app_hash(const struct efx_app *app)
{
    return efx_hash_bytes(app->plan->program->text.p, app->plan->program->text.n);
}

bool efx_app_op(const struct efx_app *app, uint32_t i, uint64_t *key, const char **name)
{
    if (i >= app->plan->n_nodes) {
        return false;
    }
    *key = app->op_keys[i];
    *name = app->plan->nodes[i]->name;
    return true;
}
