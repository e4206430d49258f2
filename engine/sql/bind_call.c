/* Function calls (language §20) and membership in a table (§11.6).
 *
 * A call is, in this order: an aggregate; a function of the registry (efx_func.h); a form that the
 * binder turns into operators, because it evaluates lazily or looks at the row; a name that the
 * language has and this build lacks.
 */
#include "bind.h"
#include "efx_time.h"

enum form {
    FORM_ABSENT = 0, /* known by name only, unless the registry has it */
    FORM_COALESCE,
    FORM_IF,
    FORM_CAST,
    FORM_NOW,
    FORM_EVENT_TS,
    FORM_UUID,
    FORM_IS_NULL,
    FORM_IS_NOT_NULL,
    FORM_INSTANCE, /* of `type` */
    FORM_REGEXP,
    FORM_BATCH_LIMIT,
};

struct func_word {
    const char *name; /* as §20 spells it: the output column's name */
    enum form form;
    uint8_t min_args, max_args; /* 255: any number */
    enum efx_type type;
};

static const struct func_word words[] = {
    {"coalesce", FORM_COALESCE, 1, 255, 0},
    {"ifnull", FORM_COALESCE, 2, 2, 0},
    {"default", FORM_COALESCE, 2, 2, 0},
    {"if", FORM_IF, 3, 3, 0},
    {"iif", FORM_IF, 3, 3, 0},
    {"ifThenElse", FORM_IF, 3, 3, 0},
    {"cast", FORM_CAST, 2, 2, 0},
    {"convert", FORM_CAST, 2, 2, 0},
    {"now", FORM_NOW, 0, 0, 0},
    {"currentTimeMillis", FORM_NOW, 0, 0, 0},
    {"eventTimestamp", FORM_EVENT_TS, 0, 1, 0},
    {"uuid", FORM_UUID, 0, 0, 0},
    {"is_null", FORM_IS_NULL, 1, 1, 0},
    {"is_not_null", FORM_IS_NOT_NULL, 1, 1, 0},
    {"instanceOfBoolean", FORM_INSTANCE, 1, 1, EFX_TYPE_BOOL},
    {"instanceOfInteger", FORM_INSTANCE, 1, 1, EFX_TYPE_INT},
    {"instanceOfLong", FORM_INSTANCE, 1, 1, EFX_TYPE_LONG},
    {"instanceOfFloat", FORM_INSTANCE, 1, 1, EFX_TYPE_FLOAT},
    {"instanceOfDouble", FORM_INSTANCE, 1, 1, EFX_TYPE_DOUBLE},
    {"instanceOfString", FORM_INSTANCE, 1, 1, EFX_TYPE_STRING},
    {"regexp_like", FORM_REGEXP, 2, 2, 0},
    {"window_start", FORM_BATCH_LIMIT, 0, 0, 0},
    {"window_end", FORM_BATCH_LIMIT, 0, 0, 0},
    {"abs", FORM_ABSENT, 1, 1, 0},
    {"ceil", FORM_ABSENT, 1, 1, 0},
    {"CEILING", FORM_ABSENT, 1, 1, 0},
    {"floor", FORM_ABSENT, 1, 1, 0},
    {"round", FORM_ABSENT, 1, 2, 0},
    {"trunc", FORM_ABSENT, 1, 2, 0},
    {"truncate", FORM_ABSENT, 1, 2, 0},
    {"sign", FORM_ABSENT, 1, 1, 0},
    {"mod", FORM_ABSENT, 2, 2, 0},
    {"div", FORM_ABSENT, 2, 2, 0},
    {"power", FORM_ABSENT, 2, 2, 0},
    {"pow", FORM_ABSENT, 2, 2, 0},
    {"sqrt", FORM_ABSENT, 1, 1, 0},
    {"exp", FORM_ABSENT, 1, 1, 0},
    {"ln", FORM_ABSENT, 1, 1, 0},
    {"log", FORM_ABSENT, 1, 2, 0},
    {"log10", FORM_ABSENT, 1, 1, 0},
    {"log2", FORM_ABSENT, 1, 1, 0},
    {"cbrt", FORM_ABSENT, 1, 1, 0},
    {"sin", FORM_ABSENT, 1, 1, 0},
    {"cos", FORM_ABSENT, 1, 1, 0},
    {"tan", FORM_ABSENT, 1, 1, 0},
    {"asin", FORM_ABSENT, 1, 1, 0},
    {"acos", FORM_ABSENT, 1, 1, 0},
    {"atan", FORM_ABSENT, 1, 1, 0},
    {"atan2", FORM_ABSENT, 2, 2, 0},
    {"degrees", FORM_ABSENT, 1, 1, 0},
    {"radians", FORM_ABSENT, 1, 1, 0},
    {"pi", FORM_ABSENT, 0, 0, 0},
    {"maximum", FORM_ABSENT, 1, 255, 0},
    {"minimum", FORM_ABSENT, 1, 255, 0},
    {"greatest", FORM_ABSENT, 1, 255, 0},
    {"least", FORM_ABSENT, 1, 255, 0},
    {"length", FORM_ABSENT, 1, 1, 0},
    {"char_length", FORM_ABSENT, 1, 1, 0},
    {"octet_length", FORM_ABSENT, 1, 1, 0},
    {"upper", FORM_ABSENT, 1, 1, 0},
    {"lower", FORM_ABSENT, 1, 1, 0},
    {"reverse", FORM_ABSENT, 1, 1, 0},
    {"concat", FORM_ABSENT, 1, 255, 0},
    {"substring", FORM_ABSENT, 2, 3, 0},
    {"substr", FORM_ABSENT, 2, 3, 0},
    {"left", FORM_ABSENT, 2, 2, 0},
    {"right", FORM_ABSENT, 2, 2, 0},
    {"trim", FORM_ABSENT, 1, 1, 0},
    {"ltrim", FORM_ABSENT, 1, 1, 0},
    {"rtrim", FORM_ABSENT, 1, 1, 0},
    {"replace", FORM_ABSENT, 3, 3, 0},
    {"repeat", FORM_ABSENT, 2, 2, 0},
    {"lpad", FORM_ABSENT, 2, 3, 0},
    {"rpad", FORM_ABSENT, 2, 3, 0},
    {"position", FORM_ABSENT, 2, 2, 0},
    {"locate", FORM_ABSENT, 2, 2, 0},
    {"instr", FORM_ABSENT, 2, 2, 0},
    {"contains", FORM_ABSENT, 2, 2, 0},
    {"starts_with", FORM_ABSENT, 2, 2, 0},
    {"ends_with", FORM_ABSENT, 2, 2, 0},
    {"split", FORM_ABSENT, 3, 3, 0},
    {"ascii", FORM_ABSENT, 1, 1, 0},
    {"chr", FORM_ABSENT, 1, 1, 0},
    {"char", FORM_ABSENT, 1, 1, 0},
    {"regexp_replace", FORM_ABSENT, 3, 3, 0},
    {"regexp_extract", FORM_ABSENT, 2, 3, 0},
    {"nullif", FORM_ABSENT, 2, 2, 0},
    {"createSet", FORM_ABSENT, 1, 1, 0},
    {"sizeOfSet", FORM_ABSENT, 1, 1, 0},
    {"md5", FORM_ABSENT, 1, 1, 0},
    {"sha256", FORM_ABSENT, 1, 1, 0},
    {"xxhash64", FORM_ABSENT, 1, 1, 0},
    {"json_value", FORM_ABSENT, 2, 2, 0},
    {"json_exists", FORM_ABSENT, 2, 2, 0},
};
enum { N_WORDS = sizeof words / sizeof *words };

static char folded(const char **p)
{
    while (**p == '_') {
        ++*p;
    }
    char c = **p;
    *p += c != '\0';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool efx_bind__same_word(const char *a, const char *b)
{
    for (;;) {
        char c = folded(&a);
        if (c != folded(&b)) {
            return false;
        }
        if (c == '\0') {
            return true;
        }
    }
}

static const struct func_word *word_of(const char *name)
{
    for (uint32_t i = 0; i < N_WORDS; i++) {
        if (efx_bind__same_word(words[i].name, name)) {
            return &words[i];
        }
    }
    return NULL;
}

static const struct efx_func *func_of(const char *name)
{
    for (uint32_t i = 0; i < efx_n_funcs; i++) {
        if (efx_bind__same_word(efx_funcs[i]->name, name)) {
            return efx_funcs[i];
        }
    }
    return NULL;
}

bool efx_bind__is_builtin(const struct efx_binder *b, const char *name)
{
    return word_of(name) != NULL || func_of(name) != NULL || efx_bind__is_agg(b, name);
}

const char *efx_bind__spelled(const char *name)
{
    const struct func_word *w = word_of(name);
    if (w != NULL) {
        return w->name;
    }
    const struct efx_func *f = func_of(name);
    const char *agg = efx_bind__agg_spelled(name);
    return f != NULL ? f->name : agg != NULL ? agg : name;
}

void efx_bind__no_function(struct efx_binder *b, const struct efx_ast_name *name)
{
    const char *const *aggs;
    uint32_t n_aggs = efx_bind__agg_names(&aggs), n = 0;
    const char **names = BIND_NEW_N(b, const char *, N_WORDS + efx_n_funcs + n_aggs);
    for (uint32_t i = 0; i < N_WORDS; i++) {
        names[n++] = words[i].name;
    }
    for (uint32_t i = 0; i < efx_n_funcs; i++) {
        names[n++] = efx_funcs[i]->name;
    }
    for (uint32_t i = 0; i < n_aggs; i++) {
        names[n++] = aggs[i];
    }
    efx_diag_add(b->diags, 1206, name->at,
                 efx_diag_nearest(b->diags, efx_str_of(name->s), names, n), "unknown function '%s'",
                 name->s);
}

struct call {
    struct efx_bind_scope *sc;
    const struct efx_ast_expr *e;
    uint32_t n;
    struct efx_bx **args;
    bool ok;
};

static struct call bind_args(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct call c = {sc, e, e->n_args, BIND_NEW_N(sc->b, struct efx_bx *, e->n_args + 1), true};
    for (uint32_t i = 0; i < e->n_args; i++) {
        c.args[i] = efx_bind__expr(sc, e->args[i]);
        c.ok = c.ok && c.args[i] != NULL;
    }
    return c;
}

static bool count_ok(struct efx_binder *b, const struct efx_ast_expr *e, uint32_t min, uint32_t max)
{
    if (e->n_args >= min && (max == 255 || e->n_args <= max)) {
        return true;
    }
    const char *takes = max == 255  ? efx_bind__fmt(b, "at least %u", min)
                        : min < max ? efx_bind__fmt(b, "%u to %u", min, max)
                                    : efx_bind__fmt(b, "%u", max);
    efx_diag_add(b->diags, 1306, e->op_at, NULL, "%s takes %s argument%s, not %u", e->name.s, takes,
                 max == 1 ? "" : "s", e->n_args);
    return false;
}

static struct efx_bx *node(const struct call *c, enum efx_bx_op op, enum efx_type type)
{
    struct efx_bx *x = efx_bind__node(c->sc->b, op, type, c->e->at, 0);
    x->n_args = c->n;
    x->args = c->args;
    return x;
}

/* ---- units and zones of dates ---- */

static const char *const date_units[] = {"YEAR",   "QUARTER", "MONTH",       "WEEK", "DAY", "HOUR",
                                         "MINUTE", "SECOND",  "MILLISECOND", "DOW",  "DOY"};
enum { N_UNITS_ALL = 11, N_UNITS_COUNTED = 9 }; /* nobody counts in days of a week or a year */

static bool is_unit(struct efx_str s, uint32_t n_units, bool plural)
{
    for (uint32_t i = 0; i < n_units; i++) {
        struct efx_str name = efx_str_of(date_units[i]);
        bool many = plural && s.n == name.n + 1 && (s.p[s.n - 1] == 's' || s.p[s.n - 1] == 'S');
        if (efx_str_equal_ci(name, (struct efx_str){s.p, s.n - many})) {
            return true;
        }
    }
    return false;
}

/* A unit that is written out is known, and a zone lies at a fixed distance from UTC. */
static bool date_args_ok(const struct call *c, const struct efx_func *f)
{
    static const struct {
        const char *name;
        int unit, zone;
    } takes[] = {{"dateAdd", 2, -1},   {"dateSub", 2, -1},    {"dateDiff", 2, -1},
                 {"date_trunc", 0, 2}, {"formatDate", -1, 2}, {"parseDate", -1, 2}};
    struct efx_binder *b = c->sc->b;
    for (uint32_t i = 0; i < sizeof takes / sizeof *takes; i++) {
        if (strcmp(f->name, takes[i].name) != 0) {
            continue;
        }
        const struct efx_bx *unit = takes[i].unit >= 0 ? c->args[takes[i].unit] : NULL;
        if (unit != NULL && unit->op == EFX_BX_CONST && !unit->lit.null &&
            !is_unit(unit->lit.s, N_UNITS_COUNTED, true)) {
            efx_diag_add(b->diags, 1305, unit->at,
                         efx_diag_nearest(b->diags, unit->lit.s, date_units, N_UNITS_COUNTED),
                         "%s knows no unit '" EFX_STR_FMT "'", f->name, EFX_STR_ARG(unit->lit.s));
            return false;
        }
        const struct efx_bx *zone =
            takes[i].zone >= 0 && (uint32_t)takes[i].zone < c->n ? c->args[takes[i].zone] : NULL;
        int64_t min;
        if (zone != NULL && (zone->op != EFX_BX_CONST || zone->lit.null ||
                             !efx_time_zone(zone->lit.s.p, zone->lit.s.n, &min))) {
            efx_bind__absent(b, zone->at, "'UTC', or '+02:00'",
                             "time zones by name are not built yet");
            return false;
        }
    }
    return true;
}

static struct efx_bx *call_func(const struct call *c, const struct efx_func *f)
{
    struct efx_binder *b = c->sc->b;
    struct efx_func_types t = {.n = c->n, .arg = BIND_NEW_N(b, enum efx_type, c->n + 1)};
    for (uint32_t i = 0; i < c->n; i++) {
        t.arg[i] = c->args[i]->type;
    }
    uint16_t code = f->resolve(&t);
    if (code == 1303) {
        efx_diag_add(b->diags, 1303, c->e->at, "CAST(NULL AS …)",
                     "the arguments of %s have no common type", f->name);
        return NULL;
    }
    if (code != 0) {
        struct efx_span at = t.bad < c->n ? c->args[t.bad]->at : c->e->at;
        enum efx_type type = t.bad < c->n ? c->args[t.bad]->type : EFX_TYPE_NONE;
        efx_diag_add(b->diags, code, at, NULL, "%s does not take %s as argument %u", f->name,
                     efx_type_name(type), t.bad + 1);
        return NULL;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        c->args[i] = efx_bind__to(b, c->args[i], t.arg[i]);
    }
    if (!date_args_ok(c, f)) {
        return NULL;
    }
    struct efx_bx *x = node(c, EFX_BX_CALL, t.out);
    x->func = f;
    return x;
}

/* Arguments from `from` on brought to one type. */
static enum efx_type unify(const struct call *c, uint32_t from)
{
    struct efx_binder *b = c->sc->b;
    enum efx_type type = EFX_TYPE_NONE;
    for (uint32_t i = from; i < c->n; i++) {
        if (!efx_bind__common(&type, c->args[i]->type)) {
            efx_diag_add(b->diags, 1303, c->args[i]->at, "CAST one of them",
                         "%s and %s have no common type", efx_type_name(type),
                         efx_type_name(c->args[i]->type));
            return EFX_TYPE_NONE;
        }
    }
    if (type == EFX_TYPE_NONE) {
        efx_diag_add(b->diags, 1303, c->e->at, "CAST(NULL AS …)", "nothing here gives NULL a type");
    }
    for (uint32_t i = from; type != EFX_TYPE_NONE && i < c->n; i++) {
        c->args[i] = efx_bind__to(b, c->args[i], type);
    }
    return type;
}

static struct efx_bx *coalesce(const struct call *c)
{
    enum efx_type type = unify(c, 0);
    return type == EFX_TYPE_NONE ? NULL : node(c, EFX_BX_COALESCE, type);
}

static struct efx_bx *if_(const struct call *c)
{
    struct efx_bx *cond = c->args[0];
    if (cond->type != EFX_TYPE_BOOL && cond->type != EFX_TYPE_NONE) {
        efx_diag_add(c->sc->b->diags, 1305, cond->at, NULL, "%s needs BOOL first, not %s",
                     c->e->name.s, efx_type_name(cond->type));
        return NULL;
    }
    enum efx_type type = unify(c, 1);
    if (type == EFX_TYPE_NONE) {
        return NULL;
    }
    c->args[0] = efx_bind__to(c->sc->b, cond, EFX_TYPE_BOOL);
    return node(c, EFX_BX_CASE, type);
}

static struct efx_bx *cast(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    struct efx_bx *x = efx_bind__expr(sc, e->args[0]);
    const struct efx_ast_expr *to = e->args[1];
    if (to->op != EFX_AST_LITERAL || to->lit != EFX_AST_LIT_STRING) {
        efx_diag_add(b->diags, 1305, to->at, "cast(x, 'int')", "the type is given as text");
        return NULL;
    }
    struct efx_ast_type type = {.name = efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(to->str)),
                                .at = to->at};
    struct efx_schema_col col = {0};
    if (!efx_bind__type(b, &type, &col) || x == NULL) {
        return NULL;
    }
    return efx_bind__cast(b, x, col.type, e->at);
}

static struct efx_bx *event_ts(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    struct efx_bx *x = efx_bind__node(b, EFX_BX_EVENT_TS, EFX_TYPE_LONG, e->at, 0);
    if (e->n_args == 0) {
        x->src = sc->candidate != EFX_NO_COL ? EFX_BX_SRC_CANDIDATE : EFX_BX_SRC_NONE;
        return x;
    }
    const struct efx_ast_expr *alias = e->args[0];
    bool bare = alias->op == EFX_AST_REF && alias->qualifier.s == NULL;
    uint32_t i = bare ? efx_bind__side_of(sc, alias->name.s) : EFX_NO_COL;
    if (i == EFX_NO_COL) {
        efx_diag_add(b->diags, bare ? 1204 : 1305, alias->at, NULL,
                     "eventTimestamp takes the alias of a source");
        return NULL;
    }
    if (sc->candidate != EFX_NO_COL && i > sc->candidate && !sc->in_and) {
        efx_diag_add(b->diags, 1603, alias->at, NULL, "'%s' comes later in the pattern",
                     alias->name.s);
        return NULL;
    }
    bool own = i == sc->candidate || i == sc->gathered;
    x->src = own ? EFX_BX_SRC_CANDIDATE : sc->sides[i].src;
    return x;
}

static struct efx_bx *is_null(const struct call *c, bool negated)
{
    if (c->args[0]->type == EFX_TYPE_NONE) {
        efx_diag_add(c->sc->b->diags, 1303, c->e->at, "CAST(NULL AS …)",
                     "nothing here gives NULL a type");
        return NULL;
    }
    struct efx_bx *x = node(c, EFX_BX_IS_NULL, EFX_TYPE_BOOL);
    return negated ? efx_bind__not(c->sc->b, x) : x;
}

/* Types are known: it is a constant, but for NULL. */
static struct efx_bx *instance(const struct call *c, enum efx_type type)
{
    if (c->args[0]->type == type) {
        return is_null(c, true);
    }
    struct efx_bx *x = efx_bind__null(c->sc->b, EFX_TYPE_BOOL, c->e->at);
    x->lit = (struct efx_value){.type = EFX_TYPE_BOOL, .b = false};
    return x;
}

static struct efx_bx *regexp(const struct call *c)
{
    struct efx_binder *b = c->sc->b;
    for (uint32_t i = 0; i < 2; i++) {
        if (c->args[i]->type != EFX_TYPE_STRING && c->args[i]->type != EFX_TYPE_NONE) {
            efx_diag_add(b->diags, 1305, c->args[i]->at, NULL, "regexp_like does not take %s",
                         efx_type_name(c->args[i]->type));
            return NULL;
        }
        c->args[i] = efx_bind__to(b, c->args[i], EFX_TYPE_STRING);
    }
    return efx_bind__regexp_ok(b, c->args[1]) ? node(c, EFX_BX_REGEXP, EFX_TYPE_BOOL) : NULL;
}

static struct efx_bx *batch_limit(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    if (!sc->has_batches) {
        efx_diag_add(sc->b->diags, 1307, e->at,
                     "it belongs to timeBatch, hop, externalTimeBatch, session",
                     "%s has no meaning here", efx_bind__spelled(e->name.s));
        return NULL;
    }
    efx_bind__absent(sc->b, e->at, NULL, "%s is not built yet", efx_bind__spelled(e->name.s));
    return NULL;
}

static struct efx_bx *by_form(const struct call *c, const struct func_word *w)
{
    struct efx_binder *b = c->sc->b;
    struct efx_bx *x;
    switch (w->form) {
    case FORM_COALESCE: return coalesce(c);
    case FORM_IF: return if_(c);
    case FORM_NOW: return node(c, EFX_BX_NOW, EFX_TYPE_LONG);
    case FORM_UUID:
        x = node(c, EFX_BX_UUID, EFX_TYPE_STRING);
        x->place = b->program->n_places++;
        return x;
    case FORM_IS_NULL: return is_null(c, false);
    case FORM_IS_NOT_NULL: return is_null(c, true);
    case FORM_INSTANCE: return instance(c, w->type);
    case FORM_REGEXP: return regexp(c);
    case FORM_BATCH_LIMIT: return batch_limit(c->sc, c->e);
    case FORM_ABSENT:
        efx_bind__absent(b, c->e->op_at, NULL, "the function %s is not built yet", w->name);
        return NULL;
    case FORM_CAST:
    case FORM_EVENT_TS: break; /* their arguments are no expressions */
    }
    return NULL;
}

static struct efx_bx *user_func(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    bind_args(sc, e);
    for (uint32_t i = 0; i < b->n_user_funcs; i++) {
        if (efx_bind__same_word(b->user_funcs[i], e->name.s)) {
            return NULL;
        }
    }
    if (!b->lenient) {
        efx_bind__no_function(b, &e->name);
    }
    return NULL;
}

struct efx_bx *efx_bind__call(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    if (efx_bind__is_agg(b, e->name.s)) {
        return efx_bind__agg(sc, e);
    }
    const struct efx_func *f = func_of(e->name.s);
    const struct func_word *w = word_of(e->name.s);
    if (f == NULL && w == NULL) {
        return user_func(sc, e);
    }
    if (e->distinct || e->filter != NULL) {
        efx_diag_add(b->diags, 1307, e->op_at, NULL,
                     "%s is no aggregate: DISTINCT and FILTER are not allowed", e->name.s);
        return NULL;
    }
    if (!count_ok(b, e, f != NULL ? f->min_args : w->min_args,
                  f != NULL ? f->max_args : w->max_args)) {
        return NULL;
    }
    if (f == NULL && w->form == FORM_CAST) {
        return cast(sc, e);
    }
    if (f == NULL && w->form == FORM_EVENT_TS) {
        return event_ts(sc, e);
    }
    struct call c = bind_args(sc, e);
    if (!c.ok) {
        return NULL;
    }
    return f != NULL ? call_func(&c, f) : by_form(&c, w);
}

struct efx_bx *efx_bind__trim(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct call c = bind_args(sc, e);
    bool leading = efx_str_equal_ci(efx_str_of(e->name.s), efx_str_of("LEADING"));
    bool trailing = efx_str_equal_ci(efx_str_of(e->name.s), efx_str_of("TRAILING"));
    return c.ok ? call_func(&c, func_of(leading ? "ltrim" : trailing ? "rtrim" : "trim")) : NULL;
}

struct efx_bx *efx_bind__extract(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    struct efx_str unit = efx_str_of(e->name.s);
    struct call c = bind_args(sc, e);
    if (!is_unit(unit, N_UNITS_ALL, false)) {
        efx_diag_add(b->diags, 1305, e->name.at,
                     efx_diag_nearest(b->diags, unit, date_units, N_UNITS_ALL),
                     "EXTRACT knows no unit '%s'", e->name.s);
        return NULL;
    }
    if (!c.ok) {
        return NULL;
    }
    struct efx_bx **args = BIND_NEW_N(b, struct efx_bx *, 2);
    args[0] = c.args[0];
    args[1] = efx_bind__null(b, EFX_TYPE_STRING, e->name.at);
    args[1]->lit = (struct efx_value){.type = EFX_TYPE_STRING, .s = unit};
    c.args = args;
    c.n = 2;
    return call_func(&c, func_of("EXTRACT"));
}

/* ---- membership ---- */

static bool mentions(const struct efx_ast_expr *e, const char *qualifier)
{
    if (e->op == EFX_AST_REF && e->qualifier.s != NULL && strcmp(e->qualifier.s, qualifier) == 0) {
        return true;
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (mentions(e->args[i], qualifier)) {
            return true;
        }
    }
    return false;
}

static struct efx_bx *exists(struct efx_bind_scope *sc, const struct efx_ast_expr *e,
                             const struct efx_bobject *table)
{
    struct efx_bind_scope inner = *sc;
    inner.row = table;
    inner.aggs = NULL;
    inner.where = "a condition of IN";
    struct efx_bx *cond = efx_bind__cond(&inner, e->args[0]);
    if (cond == NULL) {
        return NULL;
    }
    struct efx_bx *x = efx_bind__node(sc->b, EFX_BX_EXISTS, EFX_TYPE_BOOL, e->at, 1);
    x->args[0] = cond;
    x->table = table;
    return x;
}

/* The table compares the column as it lies. Where that had to be converted, each row is asked
 * instead: CASE WHEN x IS NULL THEN NULL ELSE (row.col = x) IN table END. */
static struct efx_bx *converted(struct efx_binder *b, struct efx_bx *x, struct efx_bx *col,
                                const struct efx_bobject *table)
{
    struct efx_bx *any = efx_bind__node(b, EFX_BX_EXISTS, EFX_TYPE_BOOL, x->at, 1);
    any->table = table;
    any->args[0] = efx_bind__node(b, EFX_BX_EQ, EFX_TYPE_BOOL, x->at, 2);
    any->args[0]->args[0] = col;
    any->args[0]->args[1] = x;
    struct efx_bx *c = efx_bind__node(b, EFX_BX_CASE, EFX_TYPE_BOOL, x->at, 3);
    c->args[0] = efx_bind__node(b, EFX_BX_IS_NULL, EFX_TYPE_BOOL, x->at, 1);
    c->args[0]->args[0] = x;
    c->args[1] = efx_bind__null(b, EFX_TYPE_BOOL, x->at);
    c->args[2] = any;
    return c;
}

static uint32_t member_col(struct efx_binder *b, const struct efx_ast_expr *e,
                           const struct efx_bobject *table)
{
    if (e->column.s == NULL) {
        bool key = table->n_keys > 0 && table->keys[0].primary && table->keys[0].cols.n == 1;
        return key ? table->keys[0].cols.col[0] : 0;
    }
    uint32_t col = efx_schema_find(&table->schema, e->column.s);
    if (col == EFX_SCHEMA_NO_COL) {
        efx_bind__no_column(b, 1203, &e->column, &table->schema);
    }
    return col;
}

struct efx_bx *efx_bind__in_table(struct efx_bind_scope *sc, const struct efx_ast_expr *e)
{
    struct efx_binder *b = sc->b;
    const struct efx_bobject *table = efx_bind__table(b, &e->name);
    if (table == NULL) {
        return NULL;
    }
    if (e->args[0]->parens && e->column.s == NULL && mentions(e->args[0], e->name.s)) {
        struct efx_bx *any = exists(sc, e, table);
        return e->negated ? efx_bind__not(b, any) : any;
    }
    struct efx_bx *x = efx_bind__expr(sc, e->args[0]);
    uint32_t at = member_col(b, e, table);
    if (x == NULL || at == EFX_SCHEMA_NO_COL) {
        return NULL;
    }
    struct efx_bx *col = efx_bind__col(b, &table->schema, EFX_BX_SRC_ROW, at, e->name.at),
                  *as = col;
    if (!efx_bind__comparable(b, &as, 1, &x, false, e->op_at)) {
        return NULL;
    }
    struct efx_bx *in;
    if (as != col) {
        in = converted(b, x, as, table);
    } else {
        in = efx_bind__node(b, EFX_BX_IN_TABLE, EFX_TYPE_BOOL, e->at, 1);
        in->args[0] = x;
        in->table = table;
        in->col = at;
    }
    return e->negated ? efx_bind__not(b, in) : in;
}
