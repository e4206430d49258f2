/* PARTITION blocks (language §10): the keys of each stream, brought to common types, and the body's
 * statements, which join those of the program.
 */
#include "bind.h"

/* Keys of one stream, over all its entries in the list. */
struct keys {
    const struct efx_bobject *stream;
    struct efx_span at;
    bool ok, ranges, exprs;
    uint32_t n;
    enum efx_type *types;
};

struct block {
    struct efx_binder *b;
    struct efx_bpartition made;
    uint32_t n_keys;
    struct keys *keys; /* one per stream */
};

static struct keys *keys_of(struct block *k, const struct efx_bobject *stream, struct efx_span at)
{
    for (uint32_t i = 0; i < k->n_keys; i++) {
        if (k->keys[i].stream == stream) {
            return &k->keys[i];
        }
    }
    k->keys = efx_bind__grow(k->b, k->keys, k->n_keys, sizeof *k->keys);
    k->keys[k->n_keys] = (struct keys){.stream = stream, .at = at, .ok = true};
    return &k->keys[k->n_keys++];
}

static void key_add(struct block *k, struct keys *keys, enum efx_type type)
{
    keys->types = efx_bind__grow(k->b, keys->types, keys->n, sizeof *keys->types);
    keys->types[keys->n++] = type;
}

static struct efx_bpart *part_add(struct block *k, const struct efx_bobject *stream)
{
    struct efx_bpartition *m = &k->made;
    m->parts = efx_bind__grow(k->b, m->parts, m->n_parts, sizeof *m->parts);
    m->parts[m->n_parts] = (struct efx_bpart){.stream = stream};
    return &m->parts[m->n_parts++];
}

static bool key_type_ok(struct efx_binder *b, const struct efx_bx *x)
{
    if (x->type == EFX_TYPE_NONE) {
        efx_diag_add(b->diags, 1303, x->at, "CAST(NULL AS …)", "nothing here gives NULL a type");
    } else if (x->type == EFX_TYPE_OBJECT) {
        efx_diag_add(b->diags, 1301, x->at, NULL, "OBJECT cannot be a key");
    }
    return x->type != EFX_TYPE_NONE && x->type != EFX_TYPE_OBJECT;
}

static void bind_exprs(struct block *k, struct efx_bind_scope *sc, const struct efx_ast_part *p,
                       struct keys *keys)
{
    struct efx_bpart *part = NULL;
    for (uint32_t i = 0; i < k->made.n_parts; i++) {
        struct efx_bpart *q = &k->made.parts[i];
        part = q->stream == keys->stream && q->n_exprs > 0 ? q : part;
    }
    part = part != NULL ? part : part_add(k, keys->stream);
    keys->exprs = true;
    for (uint32_t i = 0; i < p->n_exprs; i++) {
        struct efx_bx *x = efx_bind__expr(sc, p->exprs[i]);
        if (x == NULL || !key_type_ok(k->b, x)) {
            keys->ok = false;
            continue;
        }
        part->exprs = efx_bind__grow(k->b, part->exprs, part->n_exprs, sizeof *part->exprs);
        part->exprs[part->n_exprs++] = x;
        key_add(k, keys, x->type);
    }
}

/* Several lists of one stream are one: each label of the first with each of the second, the first
 * varying slowest. The length in front keeps 'a' with 'bc' apart from 'ab' with 'c'. */
static void labels_cross(struct block *k, struct efx_bpart *a, const struct efx_bpart *b)
{
    struct efx_binder *binder = k->b;
    uint32_t n = a->n_labels * b->n_labels;
    struct efx_bx **conds = BIND_NEW_N(binder, struct efx_bx *, n);
    struct efx_str *labels = BIND_NEW_N(binder, struct efx_str, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t x = i / b->n_labels, y = i % b->n_labels;
        const char *text = efx_bind__fmt(binder, "%u:" EFX_STR_FMT EFX_STR_FMT, a->labels[x].n,
                                         EFX_STR_ARG(a->labels[x]), EFX_STR_ARG(b->labels[y]));
        labels[i] = efx_str_of(text);
        bool ok = a->conds[x] != NULL && b->conds[y] != NULL;
        conds[i] = ok ? efx_bind__and(binder, a->conds[x], b->conds[y]) : NULL;
    }
    a->n_labels = n;
    a->conds = conds;
    a->labels = labels;
}

static void bind_labels(struct block *k, struct efx_bind_scope *sc, const struct efx_ast_part *p,
                        struct keys *keys)
{
    struct efx_str *labels = BIND_NEW_N(k->b, struct efx_str, p->n_labels);
    struct efx_bpart part = {.stream = keys->stream,
                             .n_labels = p->n_labels,
                             .labels = labels,
                             .conds = BIND_NEW_N(k->b, struct efx_bx *, p->n_labels)};
    struct efx_bpart *before = NULL;
    for (uint32_t i = 0; i < k->made.n_parts; i++) {
        struct efx_bpart *q = &k->made.parts[i];
        before = q->stream == keys->stream && q->n_labels > 0 ? q : before;
    }
    keys->ranges = true;
    for (uint32_t i = 0; i < p->n_labels; i++) {
        labels[i] = p->labels[i].label;
        part.conds[i] = efx_bind__cond(sc, p->labels[i].cond);
        keys->ok = keys->ok && part.conds[i] != NULL;
    }
    key_add(k, keys, EFX_TYPE_STRING);
    if (before != NULL) {
        labels_cross(k, before, &part);
    } else {
        *part_add(k, keys->stream) = part;
    }
}

static void bind_part(struct block *k, const struct efx_ast_part *p)
{
    struct efx_binder *b = k->b;
    const struct efx_bobject *o = efx_bind__source(b, &p->stream);
    if (o != NULL && o->kind != EFX_OBJ_STREAM && o->kind != EFX_OBJ_TRIGGER) {
        efx_diag_add(b->diags, 1207, p->stream.at, NULL, "'%s' is no stream", p->stream.s);
        o = NULL;
    }
    struct efx_bind_scope sc = efx_bind__scope(b, "a partition key");
    const struct efx_ast_name no_alias = {0};
    efx_bind__side_add(&sc, &p->stream, &no_alias, o);
    struct keys *keys = keys_of(k, o, p->at);
    if (p->n_labels > 0) {
        bind_labels(k, &sc, p, keys);
    } else {
        bind_exprs(k, &sc, p, keys);
    }
    keys->ok = keys->ok && o != NULL;
    if (keys->exprs && keys->ranges) {
        efx_bind__absent(b, p->at, "use one or the other",
                         "keys and ranges of one stream together are not built yet");
        keys->ok = false;
    }
}

/* 1707 unless all streams' keys are alike; brings expressions to the common types. */
static void agree(struct block *k)
{
    struct efx_binder *b = k->b;
    struct keys *first = NULL;
    for (uint32_t i = 0; i < k->n_keys; i++) {
        struct keys *keys = &k->keys[i];
        if (!keys->ok) {
            return;
        }
        first = first == NULL ? keys : first;
        bool same = keys->n == first->n;
        for (uint32_t c = 0; same && c < keys->n; c++) {
            same = efx_bind__common(&first->types[c], keys->types[c]);
        }
        if (!same) {
            efx_diag_add(b->diags, 1707, keys->at, "as many keys, of the same types",
                         "the keys of '%s' and '%s' do not agree", first->stream->schema.name,
                         keys->stream->schema.name);
            return;
        }
    }
    if (first == NULL) {
        return;
    }
    uint32_t n_ranges = 0;
    for (uint32_t i = 0; i < k->n_keys; i++) {
        n_ranges += k->keys[i].ranges;
    }
    if (n_ranges > 0 && first->n > 1 && n_ranges < k->n_keys) {
        efx_bind__absent(b, first->at, "ranges of every stream, or of none",
                         "keys of one stream with several lists of ranges of another are not built "
                         "yet");
        return;
    }
    k->made.n_keys = n_ranges > 0 ? 1 : first->n; /* several lists have become one */
    k->made.key_types = first->types;
    for (uint32_t i = 0; i < k->made.n_parts; i++) {
        struct efx_bpart *p = &k->made.parts[i];
        for (uint32_t c = 0; c < p->n_exprs; c++) {
            p->exprs[c] = efx_bind__to(b, p->exprs[c], first->types[c]);
        }
    }
}

static void bind_purge(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    static const char *const keys[] = {"purge.idle", "purge.interval"};
    const struct efx_ast_props *with = efx_bind__with(b, &s->with);
    efx_bind__with_keys(b, with, keys, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct efx_ast_prop *p = efx_bind__prop(with, keys[i]);
        int64_t ms;
        if (p == NULL) {
            continue;
        }
        if (!efx_parse_duration(p->value, &ms)) {
            efx_diag_add(b->diags, 1105, p->value_at, "a duration: '1 hour'",
                         "bad value '" EFX_STR_FMT "' for '%s'", EFX_STR_ARG(p->value), p->key);
        } else {
            efx_bind__absent(b, p->key_at, "keys are kept", "'%s' is not built yet", p->key);
        }
    }
}

static void bind_body(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    switch (s->kind) {
    case EFX_AST_QUERY:
    case EFX_AST_UPSERT:
    case EFX_AST_UPDATE:
    case EFX_AST_DELETE: efx_bind__stmt(b, s); return;
    case EFX_AST_CREATE_STREAM:
    case EFX_AST_CREATE_TABLE:
    case EFX_AST_CREATE_WINDOW:
    case EFX_AST_CREATE_TRIGGER:
    case EFX_AST_CREATE_AGGREGATION:
    case EFX_AST_CREATE_FUNCTION:
    case EFX_AST_PARTITION:
    case EFX_AST_INSERT_VALUES: break;
    }
    efx_diag_add(b->diags, 1706, s->at, "move it before the block",
                 "a partition holds queries and statements on tables only");
    if (s->name.s != NULL && efx_bind__find(b, s->name.s) == NULL) {
        efx_bind__name_add(b, &s->name); /* silent from here */
    }
}

void efx_bind__partition(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_program *p = b->program;
    struct block k = {.b = b};
    k.made = (struct efx_bpartition){
        .purge_idle_ms = -1, .purge_interval_ms = 60000, .first_stmt = p->n_stmts, .at = s->at};
    for (uint32_t i = 0; i < s->n_parts; i++) {
        bind_part(&k, &s->parts[i]);
    }
    agree(&k);
    bind_purge(b, s);
    b->partition = p->n_partitions;
    for (const struct efx_ast_stmt *q = s->body_stmts; q != NULL; q = q->next) {
        bind_body(b, q);
    }
    b->partition = EFX_NO_COL;
    k.made.n_stmts = p->n_stmts - k.made.first_stmt;
    p->partitions = efx_bind__grow(b, p->partitions, p->n_partitions, sizeof *p->partitions);
    p->partitions[p->n_partitions++] = k.made;
}
