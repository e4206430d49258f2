/* Aggregate calls (language §21, §8.8): over the rows of the query, collected in the statement, or,
 * in a pattern, over the events of one counted element, where they are values of the match.
 */
#include "bind.h"

struct agg_word {
    const char *name; /* as §21 spells it */
    uint8_t min_args, max_args;
    bool of_element; /* also over a counted element */
};

static const struct agg_word words[] = {
    {"count", 0, 1, true},
    {"sum", 1, 1, true},
    {"avg", 1, 1, true},
    {"min", 1, 1, true},
    {"max", 1, 1, true},
    {"first", 1, 1, true},
    {"last", 1, 1, true},
    {"stdDev", 1, 1, true},
    {"distinctCount", 1, 1, false},
    {"variance", 1, 1, false},
    {"minForever", 1, 1, false},
    {"maxForever", 1, 1, false},
    {"and", 1, 1, false},
    {"or", 1, 1, false},
    {"median", 1, 1, false},
    {"percentile", 2, 2, false},
    {"topK", 2, 2, false},
    {"unionSet", 1, 1, false},
    {"approx_count_distinct", 1, 1, false},
};
enum { N_WORDS = sizeof words / sizeof *words };

static const struct agg_word *word_of(const char *name)
{
    for (uint32_t i = 0; i < N_WORDS; i++) {
        if (efx_bind__same_word(words[i].name, name)) {
            return &words[i];
        }
    }
    return NULL;
}

uint32_t efx_bind__agg_names(const char *const **out)
{
    static const char *names[N_WORDS] = {"count",
                                         "sum",
                                         "avg",
                                         "min",
                                         "max",
                                         "first",
                                         "last",
                                         "stdDev",
                                         "distinctCount",
                                         "variance",
                                         "minForever",
                                         "maxForever",
                                         "and",
                                         "or",
                                         "median",
                                         "percentile",
                                         "topK",
                                         "unionSet",
                                         "approx_count_distinct"};
    *out = names;
    return N_WORDS;
}

bool efx_bind__is_agg(const struct efx_binder *b, const char *name)
{
    return word_of(name) != NULL || efx_registry_is_agg(b->registry, name);
}

const char *efx_bind__agg_spelled(const char *name)
{
    const struct agg_word *w = word_of(name);
    return w != NULL ? w->name : NULL;
}

static bool is_star(const struct efx_ast_expr *e)
{
    return e->n_args == 0 || e->args[0]->op == EFX_AST_STAR;
}

static bool check_form(struct efx_binder *b, const struct efx_ast_expr *e, const struct agg_word *w)
{
    bool star = e->n_args == 1 && e->args[0]->op == EFX_AST_STAR;
    bool count = efx_bind__same_word(e->name.s, "count");
    uint32_t min = w != NULL ? w->min_args : 1, max = w != NULL ? w->max_args : 1;
    if (e->n_args < min || e->n_args > max || (star && (!count || e->distinct))) {
        efx_diag_add(b->diags, 1306, e->op_at, NULL, "%s takes %u argument%s", e->name.s, max,
                     max == 1 ? "" : "s");
        return false;
    }
    if (e->distinct && !count && !efx_bind__same_word(e->name.s, "sum") &&
        !efx_bind__same_word(e->name.s, "avg")) {
        efx_diag_add(b->diags, 1307, e->op_at, "DISTINCT goes with count, sum and avg",
                     "%s(DISTINCT …) is not allowed", e->name.s);
        return false;
    }
    return true;
}

/* The function for the argument's type; NULL = reported. */
static const struct efx_agg_vt *choose(struct efx_binder *b, const struct efx_ast_expr *e,
                                       const char *name, const struct efx_bx *arg)
{
    if (!efx_registry_is_agg(b->registry, name)) {
        efx_bind__absent(b, e->op_at, NULL, "the aggregate %s is not built yet", name);
        return NULL;
    }
    if (arg != NULL && arg->type == EFX_TYPE_NONE) {
        efx_diag_add(b->diags, 1303, arg->at, "CAST(NULL AS …)", "nothing here gives NULL a type");
        return NULL;
    }
    const struct efx_agg_vt *vt =
        efx_registry_agg(b->registry, name, arg != NULL ? arg->type : EFX_TYPE_NONE);
    if (vt == NULL) {
        efx_diag_add(b->diags, 1305, arg != NULL ? arg->at : e->op_at, NULL, "%s does not take %s",
                     name, arg != NULL ? efx_type_name(arg->type) : "no argument");
    }
    return vt;
}

static bool bind_parts(struct efx_bind_scope *inner, const struct efx_ast_expr *e,
                       struct efx_bagg *agg)
{
    bool ok = true;
    bool star = is_star(e);
    for (uint32_t i = 0; !star && i < e->n_args; i++) {
        struct efx_bx *x = efx_bind__expr(inner, e->args[i]);
        ok = ok && x != NULL;
        agg->arg = i == 0 ? x : agg->arg;
    }
    if (e->filter != NULL) {
        agg->filter = efx_bind__cond(inner, e->filter);
        ok = ok && agg->filter != NULL;
    }
    if (!ok) {
        return false;
    }
    bool distinct_count = e->distinct && efx_bind__same_word(e->name.s, "count");
    const char *name = distinct_count ? "distinctCount" : e->name.s;
    agg->distinct = e->distinct && !distinct_count;
    agg->at = e->at;
    agg->vt = choose(inner->b, e, name, star ? NULL : agg->arg);
    return agg->vt != NULL;
}

static struct efx_bx *over_element(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                                   uint32_t elem)
{
    struct efx_binder *b = sc->b;
    if (sc->candidate != EFX_NO_COL && elem >= sc->candidate) {
        uint16_t code = elem == sc->candidate ? 1307 : 1603;
        if (!sc->in_and) {
            efx_diag_add(b->diags, code, e->at, "refer to elements before this one",
                         "an aggregate over '%s' cannot stand in this filter",
                         sc->sides[elem].qualifier);
        }
        return NULL;
    }
    struct efx_bind_scope inner = *sc;
    inner.in_agg = true;
    inner.gathered = elem;
    inner.candidate = EFX_NO_COL;
    inner.outs_when = EFX_OUTS_NONE;
    struct efx_bagg *agg = BIND_NEW(b, struct efx_bagg);
    bool whole = e->n_args == 1 && e->args[0]->op == EFX_AST_REF &&
                 e->args[0]->qualifier.s == NULL &&
                 efx_bind__side_of(sc, e->args[0]->name.s) == elem; /* count(e1) */
    if (whole && efx_bind__same_word(e->name.s, "count")) {
        agg->at = e->at;
        agg->vt = choose(b, e, "count", NULL);
        if (agg->vt == NULL) {
            return NULL;
        }
    } else if (!bind_parts(&inner, e, agg)) {
        return NULL;
    }
    struct efx_bx *x = efx_bind__node(b, EFX_BX_ELEM_AGG, agg->vt->out, e->at, 0);
    x->src = sc->sides[elem].src;
    x->elem_agg = agg;
    return x;
}

/* The same aggregate twice in a statement is one. */
static uint32_t collect(struct efx_binder *b, struct efx_bstmt *st, const struct efx_bagg *agg)
{
    for (uint32_t i = 0; i < st->n_aggs; i++) {
        const struct efx_bagg *a = &st->aggs[i];
        if (a->vt == agg->vt && a->distinct == agg->distinct && efx_bind__same(a->arg, agg->arg) &&
            efx_bind__same(a->filter, agg->filter)) {
            return i;
        }
    }
    st->aggs = efx_bind__grow(b, st->aggs, st->n_aggs, sizeof *st->aggs);
    st->aggs[st->n_aggs] = *agg;
    return st->n_aggs++;
}

struct efx_bx *efx_bind__agg(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    const struct agg_word *w = word_of(e->name.s);
    if (sc->in_agg) {
        efx_diag_add(b->diags, 1308, e->at, "compute the inner one in a query before",
                     "an aggregate inside an aggregate");
        return NULL;
    }
    if (!check_form(b, e, w)) {
        return NULL;
    }
    uint32_t elem = efx_bind__gathered(sc, e);
    if (elem != EFX_NO_COL && w != NULL && w->of_element && !e->distinct && e->filter == NULL) {
        return over_element(sc, e, elem);
    }
    if (sc->aggs == NULL) {
        efx_diag_add(b->diags, 1307, e->at, NULL, "aggregates are not allowed in %s", sc->where);
        return NULL;
    }
    struct efx_bind_scope inner = *sc;
    inner.in_agg = true;
    inner.outs_when = EFX_OUTS_NONE;
    struct efx_bagg agg = {0};
    if (!bind_parts(&inner, e, &agg)) {
        return NULL;
    }
    struct efx_bx *x = efx_bind__node(b, EFX_BX_AGG, agg.vt->out, e->at, 0);
    x->col = collect(b, sc->aggs, &agg);
    return x;
}
