/* Names in expressions: which column of which source a reference means (language §1.2, §5.4, §8.8).
 *
 *   place              a bare name is looked up
 *   SELECT, WHERE, ON  among the columns of all sources: exactly one must have it
 *   HAVING, ORDER BY   among the output names first
 *   GROUP BY           among the output names last
 *   pattern filter     in the event that is being judged, only
 *   UPSERT … ON        among the output names, only
 */
#include "bind.h"

struct efx_bind_scope efx_bind__scope(struct efx_binder *b, const char *where)
{
    return (struct efx_bind_scope){
        .b = b, .where = where, .candidate = EFX_NO_COL, .gathered = EFX_NO_COL};
}

struct efx_bx *efx_bind__col(struct efx_binder *b, const struct efx_schema *s, uint32_t src,
                             uint32_t col, struct efx_span at)
{
    struct efx_bx *x = efx_bind__node(b, EFX_BX_COL, s->cols[col].type, at, 0);
    x->src = src;
    x->col = col;
    return x;
}

enum { SHOWN_MAX = 12 }; /* names in a hint */

const char *efx_bind__cols_text(struct efx_binder *b, const struct efx_schema *s)
{
    const char *text = "";
    for (uint32_t i = 0; i < s->n_cols && i < SHOWN_MAX; i++) {
        text = efx_bind__fmt(b, "%s%s%s %s", text, i > 0 ? ", " : "", s->cols[i].name,
                             efx_type_name(s->cols[i].type));
    }
    return s->n_cols > SHOWN_MAX ? efx_bind__fmt(b, "%s, …", text) : text;
}

void efx_bind__no_column(struct efx_binder *b, uint16_t code, const struct efx_ast_name *name,
                         const struct efx_schema *s)
{
    const char **names = BIND_NEW_N(b, const char *, s->n_cols + 1);
    for (uint32_t i = 0; i < s->n_cols; i++) {
        names[i] = s->cols[i].name;
    }
    const char *near = efx_diag_nearest(b->diags, efx_str_of(name->s), names, s->n_cols);
    const char *hint = efx_bind__fmt(b, "%s%s'%s' has %s", near != NULL ? near : "",
                                     near != NULL ? " " : "", s->name, efx_bind__cols_text(b, s));
    efx_diag_add(b->diags, code, name->at, hint, "unknown column '%s' in '%s'", name->s, s->name);
}

uint32_t efx_bind__side_of(const struct efx_bind_scope *sc, const char *qualifier)
{
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_bind_side *side = &sc->sides[i];
        bool named = side->qualifier != NULL && strcmp(side->qualifier, qualifier) == 0;
        bool also = sc->pattern && side->hidden != NULL && strcmp(side->hidden, qualifier) == 0;
        if (named || also) {
            return i;
        }
    }
    return EFX_NO_COL;
}

static void unknown_qualifier(struct efx_bind_scope *sc, const struct efx_ast_name *q)
{
    struct efx_binder *b = sc->b;
    const char **names = BIND_NEW_N(b, const char *, sc->n_sides + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_bind_side *side = &sc->sides[i];
        if (side->hidden != NULL && strcmp(side->hidden, q->s) == 0) {
            efx_diag_add(b->diags, 1204, q->at, efx_bind__fmt(b, "write '%s'", side->qualifier),
                         "'%s' is called '%s' here", q->s, side->qualifier);
            return;
        }
        if (side->qualifier != NULL) {
            names[n++] = side->qualifier;
        }
    }
    efx_diag_add(b->diags, 1204, q->at, efx_diag_nearest(b->diags, efx_str_of(q->s), names, n),
                 "unknown qualifier '%s'", q->s);
}

/* UPSERT … ON: a column of the SELECT's source is one of its outputs, a hidden one if need be. */
static struct efx_bx *as_output(struct efx_bind_scope *sc, struct efx_bx *x)
{
    struct efx_bstmt *st = sc->outs;
    uint32_t i = 0;
    while (i < st->n_out && !efx_bind__same(st->out[i].expr, x)) {
        i++;
    }
    if (i == st->n_out) {
        st->out = efx_bind__grow(sc->b, st->out, st->n_out, sizeof *st->out);
        st->out[st->n_out++] = (struct efx_bout){.name = "", .expr = x};
    }
    struct efx_bx *y = efx_bind__node(sc->b, EFX_BX_COL, x->type, x->at, 0);
    y->src = 0;
    y->col = i;
    return y;
}

/* e[i] of an element that holds one event at most is that event, or nothing. */
static struct efx_bx *indexed(struct efx_bind_scope *sc, const struct efx_bind_side *side,
                              const struct efx_ast_expr *e, struct efx_bx *x)
{
    if (e->index_kind == EFX_AST_INDEX_NONE || side->counted) {
        x->index = (struct efx_bx_index){e->index_kind, e->index};
        return x;
    }
    return e->index == 0 ? x : efx_bind__null(sc->b, x->type, e->at);
}

static struct efx_bx *column_of(struct efx_bind_scope *sc, uint32_t i, const struct efx_ast_expr *e)
{
    const struct efx_bind_side *side = &sc->sides[i];
    if (side->object == NULL) {
        return NULL;
    }
    const struct efx_schema *schema = &side->object->schema;
    uint32_t col = efx_schema_find(schema, e->name.s);
    if (col == EFX_SCHEMA_NO_COL) {
        efx_bind__no_column(sc->b, 1203, &e->name, schema);
        return NULL;
    }
    struct efx_bx *x = efx_bind__col(sc->b, schema, side->src, col, e->at);
    bool own = i == sc->candidate && e->index_kind == EFX_AST_INDEX_NONE;
    if (own || i == sc->gathered) {
        x->src = EFX_BX_SRC_CANDIDATE;
        return x;
    }
    x = indexed(sc, side, e, x);
    return sc->outs_when == EFX_OUTS_ONLY && i > 0 ? as_output(sc, x) : x;
}

/* In a pattern a stream that occurs more than once cannot be told by its name. */
static bool is_repeated_stream(struct efx_bind_scope *sc, const struct efx_ast_name *q)
{
    const char *candidates = "";
    uint32_t n = 0;
    for (uint32_t i = 0; sc->pattern && i < sc->n_sides; i++) {
        const struct efx_bobject *o = sc->sides[i].object;
        if (o != NULL && strcmp(o->schema.name, q->s) == 0) {
            const char *alias = sc->sides[i].qualifier;
            candidates = efx_bind__fmt(sc->b, "%s%s%s", candidates, n++ > 0 ? ", " : "",
                                       alias != NULL ? alias : q->s);
        }
    }
    if (n > 1) {
        efx_diag_add(sc->b->diags, 1202, q->at, efx_bind__fmt(sc->b, "it may be %s", candidates),
                     "'%s' stands in the pattern more than once", q->s);
    }
    return n > 1;
}

static struct efx_bx *qualified(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    const char *q = e->qualifier.s;
    if (sc->row != NULL && strcmp(sc->row->schema.name, q) == 0) {
        uint32_t col = efx_schema_find(&sc->row->schema, e->name.s);
        if (col == EFX_SCHEMA_NO_COL) {
            efx_bind__no_column(b, 1203, &e->name, &sc->row->schema);
            return NULL;
        }
        return efx_bind__col(b, &sc->row->schema, EFX_BX_SRC_ROW, col, e->at);
    }
    if (e->index_kind != EFX_AST_INDEX_NONE && !sc->pattern) {
        efx_diag_add(b->diags, 1606, e->at, NULL, "an index belongs to a pattern's element");
        return NULL;
    }
    uint32_t i = efx_bind__side_of(sc, q);
    if (i == EFX_NO_COL) {
        if (!is_repeated_stream(sc, &e->qualifier)) {
            unknown_qualifier(sc, &e->qualifier);
        }
        return NULL;
    }
    if (sc->candidate != EFX_NO_COL && i > sc->candidate) {
        if (!sc->in_and) {
            efx_diag_add(b->diags, 1603, e->at, "refer to elements before this one",
                         "'%s' comes later in the pattern", q);
        }
        return NULL;
    }
    return column_of(sc, i, e);
}

/* *failed: two outputs have the name, or the one that has it is in error. */
static uint32_t output_named(struct efx_bind_scope *sc, const struct efx_ast_expr *e, bool *failed)
{
    uint32_t found = EFX_NO_COL;
    for (uint32_t i = 0; i < sc->outs->n_out; i++) {
        const struct efx_bout *out = &sc->outs->out[i];
        if (strcmp(out->name, e->name.s) != 0) {
            continue;
        }
        if (found != EFX_NO_COL) {
            efx_diag_add(sc->b->diags, 1202, e->at, "give the output columns names of their own",
                         "two output columns are called '%s'", e->name.s);
            *failed = true;
            return found;
        }
        found = i;
        *failed = out->expr == NULL || out->expr->type == EFX_TYPE_NONE;
    }
    return found;
}

static struct efx_bx *output_col(struct efx_bind_scope *sc, uint32_t i, uint32_t src,
                                 struct efx_span at)
{
    struct efx_bx *x = efx_bind__node(sc->b, EFX_BX_COL, sc->outs->out[i].expr->type, at, 0);
    x->src = src;
    x->col = i;
    return x;
}

static struct efx_bx *key_named(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    for (uint32_t i = 0; i < sc->keys.n; i++) {
        if (strcmp(sc->keys.names[i].s, e->name.s) == 0) {
            struct efx_bx *x = efx_bind__node(sc->b, EFX_BX_COL, sc->keys.types[i], e->at, 0);
            x->src = EFX_BX_SRC_KEY;
            x->col = i;
            return x;
        }
    }
    return NULL;
}

struct found {
    uint32_t n, side, broken;
    const char *candidates;
};

static struct found sides_with(struct efx_bind_scope *sc, const char *name)
{
    struct found f = {.candidates = ""};
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_bind_side *side = &sc->sides[i];
        if (side->object == NULL) {
            f.broken++;
        } else if (efx_schema_find(&side->object->schema, name) != EFX_SCHEMA_NO_COL) {
            f.side = f.n++ == 0 ? i : f.side;
            const char *q = side->qualifier != NULL ? side->qualifier : side->object->schema.name;
            if (f.n <= SHOWN_MAX) {
                f.candidates =
                    efx_bind__fmt(sc->b, "%s%s%s.%s", f.candidates, f.n > 1 ? ", " : "", q, name);
            }
        }
    }
    return f;
}

static void unknown_column(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    if (sc->n_sides == 1) {
        efx_bind__no_column(b, 1203, &e->name, &sc->sides[0].object->schema);
        return;
    }
    const char **names = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_schema *s = &sc->sides[i].object->schema;
        for (uint32_t c = 0; c < s->n_cols; c++) {
            names = efx_bind__grow(b, names, n, sizeof *names);
            names[n++] = s->cols[c].name;
        }
    }
    for (uint32_t i = 0; sc->outs != NULL && i < sc->outs->n_out; i++) {
        names = efx_bind__grow(b, names, n, sizeof *names);
        names[n++] = sc->outs->out[i].name;
    }
    efx_diag_add(b->diags, 1203, e->at, efx_diag_nearest(b->diags, efx_str_of(e->name.s), names, n),
                 n > 0 ? "unknown column '%s'" : "there are no columns here: '%s'", e->name.s);
}

static struct efx_bx *among_sides(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    for (uint32_t i = 0; i < sc->n_merged; i++) {
        if (strcmp(sc->merged[i].name, e->name.s) == 0) {
            return sc->merged[i].value;
        }
    }
    struct found f = sides_with(sc, e->name.s);
    if (f.n == 1) {
        return column_of(sc, f.side, e);
    }
    if (f.n > 1) {
        efx_diag_add(sc->b->diags, 1202, e->at, efx_bind__fmt(sc->b, "it may be %s", f.candidates),
                     "column '%s' is ambiguous", e->name.s);
        return NULL;
    }
    bool failed = false;
    if (sc->outs_when == EFX_OUTS_LAST) {
        uint32_t out = output_named(sc, e, &failed);
        if (out != EFX_NO_COL) {
            return failed ? NULL : sc->outs->out[out].expr;
        }
    }
    if (f.broken == 0) {
        unknown_column(sc, e);
    }
    return NULL;
}

static struct efx_bx *bare(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    if (sc->candidate != EFX_NO_COL) {
        return column_of(sc, sc->candidate, e);
    }
    bool failed = false;
    if (sc->outs_when == EFX_OUTS_FIRST || sc->outs_when == EFX_OUTS_ONLY) {
        bool only = sc->outs_when == EFX_OUTS_ONLY;
        uint32_t out = output_named(sc, e, &failed);
        if (out != EFX_NO_COL) {
            return failed ? NULL : output_col(sc, out, only ? 0 : EFX_BX_SRC_OUT, e->at);
        }
        if (only) {
            efx_diag_add(sc->b->diags, 1203, e->at,
                         efx_bind__fmt(sc->b, "a column of the table is written %s.%s",
                                       sc->sides[0].qualifier, e->name.s),
                         "the SELECT has no output column '%s'", e->name.s);
            return NULL;
        }
    }
    struct efx_bx *key = key_named(sc, e);
    return key != NULL ? key : among_sides(sc, e);
}

struct efx_bx *efx_bind__ref(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    if (sc->constant) {
        efx_diag_add(sc->b->diags, 1309, e->at, NULL, "%s must be constant", sc->where);
        return NULL;
    }
    return e->qualifier.s != NULL ? qualified(sc, e) : bare(sc, e);
}

/* The element that a reference belongs to, without a word about errors. */
static uint32_t element_of(const struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    if (e->index_kind != EFX_AST_INDEX_NONE) {
        return EFX_NO_COL;
    }
    if (e->qualifier.s != NULL) {
        return efx_bind__side_of(sc, e->qualifier.s);
    }
    if (sc->candidate != EFX_NO_COL) {
        return efx_bind__side_of(sc, e->name.s);
    }
    uint32_t n = 0, found = EFX_NO_COL;
    for (uint32_t i = 0; i < sc->n_sides; i++) {
        const struct efx_bobject *o = sc->sides[i].object;
        if (o != NULL && efx_schema_find(&o->schema, e->name.s) != EFX_SCHEMA_NO_COL) {
            n++;
            found = i;
        }
    }
    return n == 0 ? efx_bind__side_of(sc, e->name.s) : n == 1 ? found : EFX_NO_COL;
}

struct gathering {
    uint32_t elem;
    bool mixed;
};

static void gather(const struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                   struct gathering *g)
{
    if (e->op == EFX_AST_REF) {
        uint32_t elem = element_of(sc, e);
        g->mixed = g->mixed || elem == EFX_NO_COL || !sc->sides[elem].counted ||
                   (g->elem != EFX_NO_COL && g->elem != elem);
        g->elem = elem;
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        gather(sc, e->args[i], g);
    }
}

uint32_t efx_bind__gathered(const struct efx_bind_scope *sc, const struct efx_ast_expr *call)
{
    struct gathering g = {.elem = EFX_NO_COL};
    for (uint32_t i = 0; sc->pattern && i < call->n_args; i++) {
        gather(sc, call->args[i], &g);
    }
    return g.mixed ? EFX_NO_COL : g.elem;
}
