/* Patterns (language §8): elements, their filters, and the tree that the engine runs.
 *
 *   pass 1  elements in order of the text: streams, aliases, counts; what the form forbids
 *   pass 2  filters, which know all elements and may look at earlier ones
 *   pass 3  the tree. Built are chains of events with EVERY before the first or around the whole:
 *
 *           EVERY e1=A -> e2=B      CHAIN [EVERY [e1], e2]
 *           EVERY (e1=A -> e2=B)    CHAIN [EVERY [CHAIN [e1, e2]]]
 *
 *           a bound inside the parentheses of the whole is the bound of the whole
 */
#include "bind_pattern.h"

/* ---- pass 1 ---- */

static void check_count(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    if (!n->has_count) {
        return;
    }
    const char *what = NULL;
    if (n->kind != EFX_AST_PAT_EVENT) {
        what = "a count belongs to an event, not to a group";
    } else if (!n->no_max && n->max == 0) {
        what = "an element that is taken 0 times";
    } else if ((!n->no_max && n->max < n->min) || n->min < 0 || n->min > UINT32_MAX - 1 ||
               (!n->no_max && n->max > UINT32_MAX - 1)) {
        what = "the upper bound of the count is below the lower one";
    }
    if (what != NULL) {
        efx_diag_add(p->b->diags, 1602, n->count_at, NULL, "%s", what);
    }
}

static const struct efx_bobject *stream_of(struct efx_pat *p, const struct efx_ast_name *name)
{
    const struct efx_bobject *o = efx_bind__source(p->b, name);
    const struct efx_bind_name *n = efx_bind__find(p->b, name->s);
    if ((o != NULL && o->kind == EFX_OBJ_TABLE) || (n != NULL && n->kind == EFX_NAME_AGGREGATION)) {
        efx_diag_add(p->b->diags, 1601, name->at, "x IN table, in a condition",
                     "'%s' is no stream: it gives a pattern no events", name->s);
        return NULL;
    }
    return o;
}

static uint32_t input_of(struct efx_pat *p, const struct efx_bobject *o)
{
    struct efx_bstmt *st = p->st;
    for (uint32_t i = 0; o != NULL && i < st->n_inputs; i++) {
        if (st->inputs[i].object == o) {
            return i;
        }
    }
    if (o == NULL) {
        return EFX_NO_COL;
    }
    st->inputs = efx_bind__grow(p->b, st->inputs, st->n_inputs, sizeof *st->inputs);
    st->inputs[st->n_inputs] = (struct efx_binput){.object = o, .alias = o->schema.name};
    return st->n_inputs++;
}

static void check_alias(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    for (uint32_t i = 0; n->alias.s != NULL && i < p->n_elems; i++) {
        const char *other = p->elems[i].node->alias.s;
        if (other != NULL && strcmp(other, n->alias.s) == 0) {
            efx_diag_add(p->b->diags, 1609, n->alias.at, NULL, "alias '%s' is given twice",
                         n->alias.s);
        }
    }
}

static void element_add(struct efx_pat *p, const struct efx_ast_pattern_node *n, bool in_and)
{
    check_alias(p, n);
    const struct efx_bobject *o = stream_of(p, &n->stream);
    p->elems = efx_bind__grow(p->b, p->elems, p->n_elems, sizeof *p->elems);
    p->elems[p->n_elems++] =
        (struct efx_pat_elem){.node = n, .object = o, .input = input_of(p, o), .in_and = in_and};
}

static bool is_bare_absence(const struct efx_ast_pattern_node *n)
{
    return n->kind == EFX_AST_PAT_NOT && !n->for_.there;
}

static bool only_absences(const struct efx_ast_pattern_node *n)
{
    bool all = n->kind != EFX_AST_PAT_EVENT;
    for (uint32_t i = 0; i < n->n_kids; i++) {
        all = all && only_absences(n->kids[i]);
    }
    return all;
}

/* Could it match without any event or absence? */
static bool matches_nothing(const struct efx_ast_pattern_node *n)
{
    if (n->kind == EFX_AST_PAT_EVENT) {
        return n->has_count && n->min == 0;
    }
    if (n->kind == EFX_AST_PAT_NOT) {
        return false;
    }
    bool all = true, any = false;
    for (uint32_t i = 0; i < n->n_kids; i++) {
        bool kid = matches_nothing(n->kids[i]);
        all = all && kid;
        any = any || kid;
    }
    return n->kind == EFX_AST_PAT_OR ? any : all;
}

static void endless(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    efx_diag_add(p->b->diags, 1604, n->at, "NOT S FOR d",
                 "nothing is left that could end this absence");
}

static void bad_every(struct efx_pat *p, const struct efx_ast_pattern_node *n, const char *where)
{
    efx_diag_add(p->b->diags, 1608, n->at, NULL, "EVERY is not allowed %s", where);
}

static void check_bound(struct efx_pat *p, const struct efx_ast_bound *bound,
                        const struct efx_ast_pattern_node *n)
{
    if (!bound->there) {
        return;
    }
    if (bound->events && bound->n < 1) {
        efx_diag_add(p->b->diags, 1607, bound->at, NULL, "WITHIN takes at least 1 event");
    } else if (only_absences(n)) {
        efx_diag_add(p->b->diags, 1607, bound->at, NULL, "a bound around absences only");
    }
    if (!bound->events) {
        efx_bind__bare_duration(p->b, &bound->duration);
    }
    p->has_bound = true;
}

static void check_chain(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    if (n->comma && !p->ast->sequence) {
        efx_diag_add(p->b->diags, 1605, n->comma_at, "'->', or SEQUENCE", "',' in a PATTERN");
    }
    if (n->within.there && n->within_behind.there) {
        efx_diag_add(p->b->diags, 1607, n->within_behind.at, NULL, "two bounds at one place");
    }
    check_bound(p, &n->within, n);
    check_bound(p, &n->within_behind, n);
    for (uint32_t i = 0; i + 1 < n->n_kids; i++) {
        if (is_bare_absence(n->kids[i]) && n->kids[i + 1]->kind == EFX_AST_PAT_EVERY) {
            bad_every(p, n->kids[i + 1], "behind NOT without FOR");
        }
    }
    if (n->n_kids > 0 && is_bare_absence(n->kids[n->n_kids - 1])) {
        endless(p, n->kids[n->n_kids - 1]);
    }
}

static void check_operands(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    bool all_bare = true;
    for (uint32_t i = 0; i < n->n_kids; i++) {
        const struct efx_ast_pattern_node *kid = n->kids[i];
        all_bare = all_bare && is_bare_absence(kid);
        if (kid->kind == EFX_AST_PAT_EVENT && kid->has_count && kid->min == 0) {
            efx_diag_add(p->b->diags, 1602, kid->count_at, NULL,
                         "an operand of %s needs at least 1 event",
                         n->kind == EFX_AST_PAT_AND ? "AND" : "OR");
        }
        if (n->kind == EFX_AST_PAT_OR && is_bare_absence(kid)) {
            endless(p, kid);
        }
    }
    if (n->kind == EFX_AST_PAT_AND && all_bare) {
        endless(p, n);
    }
}

struct place {       /* of a node in the pattern */
    bool in_operand; /* of AND or OR */
    bool in_and;
    bool begins; /* nothing stands before it */
};

static void walk(struct efx_pat *p, const struct efx_ast_pattern_node *n, struct place at);

static void walk_kids(struct efx_pat *p, const struct efx_ast_pattern_node *n, struct place at)
{
    for (uint32_t i = 0; i < n->n_kids; i++) {
        struct place kid = at;
        kid.begins = at.begins && i == 0;
        walk(p, n->kids[i], kid);
    }
}

static void walk(struct efx_pat *p, const struct efx_ast_pattern_node *n, struct place at)
{
    check_count(p, n);
    switch (n->kind) {
    case EFX_AST_PAT_EVENT: element_add(p, n, at.in_and); break;
    case EFX_AST_PAT_NOT:
        if (n->alias.s != NULL) {
            efx_diag_add(p->b->diags, 1609, n->alias.at, NULL,
                         "an absence binds nothing: no alias");
        }
        efx_bind__bare_duration(p->b, &n->for_);
        input_of(p, stream_of(p, &n->stream));
        break;
    case EFX_AST_PAT_AND:
    case EFX_AST_PAT_OR:
        check_operands(p, n);
        at.in_operand = true;
        at.in_and = at.in_and || n->kind == EFX_AST_PAT_AND;
        walk_kids(p, n, at);
        break;
    case EFX_AST_PAT_EVERY:
        p->has_every = true;
        if (at.in_operand) {
            bad_every(p, n, "in an operand of AND or OR");
        } else if (p->ast->sequence && !at.begins) {
            bad_every(p, n, "inside a SEQUENCE, but at its beginning");
        }
        walk_kids(p, n, at);
        break;
    case EFX_AST_PAT_CHAIN:
        check_chain(p, n);
        walk_kids(p, n, at);
        break;
    }
}

/* ---- elements as sources of columns ---- */

static bool occurs_once(const struct efx_pat *p, const char *stream)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_elems; i++) {
        n += strcmp(p->elems[i].node->stream.s, stream) == 0;
    }
    return n == 1;
}

static void make_sides(struct efx_pat *p)
{
    struct efx_bind_scope *sc = p->sc;
    struct efx_belem *elems = BIND_NEW_N(p->b, struct efx_belem, p->n_elems + 1);
    sc->n_sides = p->n_elems;
    sc->sides = BIND_NEW_N(p->b, struct efx_bind_side, p->n_elems + 1);
    sc->pattern = true;
    for (uint32_t i = 0; i < p->n_elems; i++) {
        const struct efx_ast_pattern_node *n = p->elems[i].node;
        const char *stream = occurs_once(p, n->stream.s) ? n->stream.s : NULL;
        const char *name = n->alias.s != NULL ? n->alias.s : stream;
        sc->sides[i] = (struct efx_bind_side){.qualifier = name,
                                              .hidden = stream,
                                              .object = p->elems[i].object,
                                              .src = i,
                                              .counted = n->has_count,
                                              .at = n->at};
        elems[i] = (struct efx_belem){name, p->elems[i].input, n->has_count};
    }
    p->made->n_elems = p->n_elems;
    p->made->elems = elems;
}

/* ---- pass 2 ---- */

static struct efx_bx *conditions(struct efx_pat *p, const struct efx_ast_pattern_node *n,
                                 struct efx_bind_scope *sc)
{
    struct efx_bx *all = NULL;
    for (uint32_t i = 0; i < n->n_filters; i++) {
        all = efx_bind__and(p->b, all, efx_bind__cond(sc, n->filters[i]));
    }
    return all;
}

static void bind_filters(struct efx_pat *p)
{
    for (uint32_t i = 0; i < p->n_elems; i++) {
        struct efx_bind_scope sc = *p->sc;
        sc.where = "a pattern's filter";
        sc.candidate = i;
        sc.in_and = p->elems[i].in_and;
        p->elems[i].filter = conditions(p, p->elems[i].node, &sc);
    }
}

/* An absence judges events that no element binds: they get a source of their own behind all. */
static void bind_absences(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    for (uint32_t i = 0; i < n->n_kids; i++) {
        bind_absences(p, n->kids[i]);
    }
    const struct efx_bind_name *name =
        n->kind == EFX_AST_PAT_NOT ? efx_bind__find(p->b, n->stream.s) : NULL;
    if (name == NULL) {
        return;
    }
    struct efx_bind_scope sc = *p->sc;
    sc.sides = BIND_NEW_N(p->b, struct efx_bind_side, p->n_elems + 1);
    for (uint32_t i = 0; i < p->n_elems; i++) {
        sc.sides[i] = p->sc->sides[i];
    }
    sc.sides[p->n_elems] = (struct efx_bind_side){
        .qualifier = n->stream.s, .object = name->object, .src = p->n_elems, .at = n->at};
    sc.n_sides = p->n_elems + 1;
    sc.where = "a pattern's filter";
    sc.candidate = p->n_elems;
    conditions(p, n, &sc);
}

/* ---- PARTITION BY ---- */

static bool key_type(struct efx_pat *p, const struct efx_ast_name *name, uint32_t k,
                     enum efx_type *types)
{
    struct efx_bstmt *st = p->st;
    bool ok = true;
    for (uint32_t i = 0; i < st->n_inputs; i++) {
        const struct efx_schema *s = &st->inputs[i].object->schema;
        uint32_t col = efx_schema_find(s, name->s);
        if (col == EFX_SCHEMA_NO_COL) {
            efx_diag_add(p->b->diags, 1610, name->at, efx_bind__cols_text(p->b, s),
                         "'%s' has no column '%s'", s->name, name->s);
            ok = false;
            continue;
        }
        if (!efx_bind__common(&types[k], s->cols[col].type) ||
            s->cols[col].type == EFX_TYPE_OBJECT) {
            efx_diag_add(p->b->diags, 1610, name->at, NULL,
                         "the types of '%s' cannot be compared over all streams", name->s);
            ok = false;
        }
        ((uint32_t *)(uintptr_t)p->made->key_cols[i].col)[k] = col;
    }
    return ok;
}

static void bind_keys(struct efx_pat *p)
{
    const struct efx_ast_names *by = &p->ast->partition_by;
    uint32_t n_inputs = p->st->n_inputs;
    enum efx_type *types = BIND_NEW_N(p->b, enum efx_type, by->n + 1);
    p->made->key_cols = BIND_NEW_N(p->b, struct efx_conf_cols, n_inputs + 1);
    for (uint32_t i = 0; i < n_inputs; i++) {
        p->made->key_cols[i] = (struct efx_conf_cols){by->n, BIND_NEW_N(p->b, uint32_t, by->n + 1)};
    }
    bool ok = n_inputs > 0;
    for (uint32_t k = 0; k < by->n; k++) {
        ok = key_type(p, &by->v[k], k, types) && ok;
    }
    p->made->n_keys = by->n;
    p->made->key_types = types;
    if (ok) {
        p->sc->keys = (struct efx_bind_keys){by->n, by->v, types};
    }
}

/* ---- warnings ---- */

static void warn(struct efx_pat *p)
{
    const struct efx_ast_pattern *ast = p->ast;
    if (!p->has_every) {
        efx_diag_add(p->b->diags, 2601, ast->at, "EVERY",
                     "without EVERY this matches at most once");
    }
    const struct efx_ast_pattern_node *last = p->n_elems > 0 ? p->elems[p->n_elems - 1].node : NULL;
    if (last != NULL && last->has_count && (last->no_max || last->max > last->min)) {
        efx_diag_add(p->b->diags, 2602, last->count_at, NULL,
                     "the last element matches as soon as it has %lld: more has no effect",
                     (long long)last->min);
    }
    bool waits = p->n_elems > 1 || (last != NULL && last->has_count);
    if (!p->has_bound && waits) {
        efx_diag_add(p->b->diags, 2603, ast->at, "WITHIN d",
                     "without WITHIN partial matches may wait for ever");
    }
}

void efx_bind__pattern(struct efx_bind_scope *sc, const struct efx_ast_select *q,
                       struct efx_bstmt *st)
{
    struct efx_binder *b = sc->b;
    struct efx_pat p = {.b = b, .sc = sc, .st = st, .ast = q->pattern};
    p.made = BIND_NEW(b, struct efx_bpattern);
    *p.made = (struct efx_bpattern){.sequence = q->pattern->sequence,
                                    .skip_past_last_row = q->pattern->skip_past_last_row,
                                    .within_ms = -1,
                                    .within_events = -1};
    st->kind = EFX_STMT_PATTERN;
    st->pattern = p.made;
    struct efx_ast_pattern_node *root = q->pattern->root;
    walk(&p, root, (struct place){.begins = true});
    check_bound(&p, &q->pattern->within, root);
    if (q->pattern->within.there && root->within.there) {
        efx_diag_add(b->diags, 1607, q->pattern->within.at, NULL, "two bounds at one place");
    }
    if (matches_nothing(root)) {
        efx_diag_add(b->diags, 1602, root->at, NULL, "this could match without any event");
    }
    make_sides(&p);
    bind_keys(&p);
    bind_filters(&p);
    bind_absences(&p, root);
    efx_bind__pattern_tree(&p);
    warn(&p);
}
