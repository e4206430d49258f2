/* WINDOW clauses (language §6): the kind by name, its arguments by the kind's option table.
 *
 *   session(100 ms, a, 50 ms)     keys: gap DURATION, key COLUMNS "", latency DURATION "0"
 *           └ gap   │  └ latency
 *                   └ key, and as many columns as stand here
 *
 * Arguments are taken from left to right, each by the next key that it fits; keys with a default
 * may be passed over. Columns and keys apart, arguments are constants.
 */
#include "bind.h"

enum fit {
    FIT_NO = 0,
    FIT_YES,
    FIT_WRONG, /* of the right kind, and reported */
};

struct taking {
    struct efx_binder *b;
    const struct efx_ast_window *w;
    const struct efx_schema *schema;
    const char *qualifier;
    char *conf;
    struct efx_conf_cols cols;
    uint32_t *col_list;
    bool has_origin;
};

void efx_bind__bare_duration(struct efx_binder *b, const struct efx_ast_duration *d)
{
    if (d->there && d->bare) {
        efx_diag_add(b->diags, 2401, d->at, "write the unit: 5 SEC, 100 ms",
                     "a duration without unit is read as milliseconds");
    }
}

static bool is_window(const struct efx_ast_window *w, const char *kind)
{
    return efx_str_equal_ci(efx_str_of(w->kind), efx_str_of(kind));
}

static bool is_hop(const struct efx_ast_window *w)
{
    return is_window(w, "hop") || (is_window(w, "sliding") && w->n_args > 1);
}

bool efx_bind__window_has_batches(const struct efx_ast_window *w)
{
    return w->kind != NULL && (is_hop(w) || is_window(w, "timeBatch") || is_window(w, "tumbling") ||
                               is_window(w, "externalTimeBatch") || is_window(w, "session"));
}

bool efx_bind__mentions_columns(const struct efx_ast_expr *e)
{
    if (e->op == EFX_AST_REF) {
        return true;
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (efx_bind__mentions_columns(e->args[i])) {
            return true;
        }
    }
    return false;
}

static enum fit wrong(struct taking *t, uint16_t code, const struct efx_ast_arg *arg,
                      const char *what)
{
    efx_diag_add(t->b->diags, code, arg->at, what, "bad argument of window %s", t->w->kind);
    return FIT_WRONG;
}

/* A constant of the argument; NULL = is none, or was reported. */
static struct efx_bx *constant(struct taking *t, const struct efx_ast_arg *arg)
{
    if (arg->expr == NULL || efx_bind__mentions_columns(arg->expr)) {
        return NULL;
    }
    struct efx_bind_scope sc = efx_bind__scope(t->b, "a window argument");
    sc.constant = true;
    return efx_bind__expr(&sc, arg->expr);
}

static enum fit column(struct taking *t, const struct efx_conf_key *k,
                       const struct efx_ast_arg *arg)
{
    const struct efx_ast_expr *e = arg->expr;
    if (e == NULL || e->op != EFX_AST_REF || e->index_kind != EFX_AST_INDEX_NONE) {
        return FIT_NO;
    }
    if (e->qualifier.s != NULL && strcmp(e->qualifier.s, t->qualifier) != 0) {
        efx_diag_add(t->b->diags, 1204, e->qualifier.at, NULL, "unknown qualifier '%s'",
                     e->qualifier.s);
        return FIT_WRONG;
    }
    uint32_t col = efx_schema_find(t->schema, e->name.s);
    if (col == EFX_SCHEMA_NO_COL) {
        efx_bind__no_column(t->b, 1203, &e->name, t->schema);
        return FIT_WRONG;
    }
    bool time = is_window(t->w, "externalTime") || is_window(t->w, "externalTimeBatch");
    if (time && t->schema->cols[col].type != EFX_TYPE_LONG) {
        return wrong(t, 1403, arg, "the time column must be LONG");
    }
    if (k->kind == EFX_CONF_COLUMN) {
        *(uint32_t *)(t->conf + k->off) = col;
        return FIT_YES;
    }
    t->col_list = efx_bind__grow(t->b, t->col_list, t->cols.n, sizeof *t->col_list);
    t->col_list[t->cols.n++] = col;
    t->cols.col = t->col_list;
    *(struct efx_conf_cols *)(t->conf + k->off) = t->cols;
    return FIT_YES;
}

static enum fit whole(struct taking *t, const struct efx_conf_key *k, const struct efx_ast_arg *arg)
{
    int64_t v;
    bool duration = k->kind != EFX_CONF_LONG && arg->duration.there;
    if (duration) {
        v = arg->duration.ms;
    } else {
        struct efx_bx *x = constant(t, arg);
        if (x == NULL || !efx_bind__fold_i64(x, &v)) {
            return FIT_NO;
        }
    }
    if (k->kind == EFX_CONF_DURATION && v == 0 && k->min > 0) {
        efx_diag_add(t->b->diags, 1006, arg->at, NULL, "a duration must be more than zero");
        return FIT_WRONG;
    }
    if ((k->kind == EFX_CONF_DURATION && v < 0) || !efx_bind__conf_in_range(k, v)) {
        return wrong(t, 1403, arg, efx_bind__fmt(t->b, "'%s' is out of range", k->name));
    }
    if (duration && k->kind == EFX_CONF_DURATION) {
        efx_bind__bare_duration(t->b, &arg->duration);
    }
    t->has_origin = t->has_origin || k->kind == EFX_CONF_TIME;
    *(int64_t *)(t->conf + k->off) = v;
    return FIT_YES;
}

static enum fit decimal(struct taking *t, const struct efx_conf_key *k,
                        const struct efx_ast_arg *arg)
{
    struct efx_bx *x = constant(t, arg);
    x = x != NULL && efx_type_is_number(x->type) ? efx_bind__to(t->b, x, EFX_TYPE_DOUBLE) : NULL;
    if (x == NULL || x->op != EFX_BX_CONST) {
        return FIT_NO;
    }
    double d = x->lit.d;
    bool ranged = k->min != 0 || k->max != 0;
    if (ranged && (d < (double)k->min || (k->max != 0 && d > (double)k->max))) {
        return wrong(t, 1403, arg, efx_bind__fmt(t->b, "'%s' is out of range", k->name));
    }
    *(double *)(t->conf + k->off) = d;
    return FIT_YES;
}

static enum fit word(struct taking *t, const struct efx_conf_key *k, const struct efx_ast_arg *arg)
{
    if (is_window(t->w, "expression") || is_window(t->w, "expressionBatch")) {
        return FIT_YES; /* a text or a bare expression: looked at apart */
    }
    if (arg->expr == NULL || arg->expr->op != EFX_AST_LITERAL ||
        arg->expr->lit != EFX_AST_LIT_STRING) {
        return FIT_NO;
    }
    struct efx_conf_key any = *k;
    return efx_bind__conf_text(t->b, &any, arg->expr->str, t->schema, arg->at, t->conf) ? FIT_YES
                                                                                        : FIT_WRONG;
}

static enum fit flag(struct taking *t, const struct efx_conf_key *k, const struct efx_ast_arg *arg)
{
    struct efx_bx *x = constant(t, arg);
    if (x == NULL || x->op != EFX_BX_CONST || x->type != EFX_TYPE_BOOL || x->lit.null) {
        return FIT_NO;
    }
    *(bool *)(t->conf + k->off) = x->lit.b;
    return FIT_YES;
}

static enum fit take(struct taking *t, const struct efx_conf_key *k, const struct efx_ast_arg *arg)
{
    switch (k->kind) {
    case EFX_CONF_COLUMN:
    case EFX_CONF_COLUMNS: return column(t, k, arg);
    case EFX_CONF_LONG:
    case EFX_CONF_DURATION:
    case EFX_CONF_TIME:
    case EFX_CONF_BYTES: return whole(t, k, arg);
    case EFX_CONF_DOUBLE: return decimal(t, k, arg);
    case EFX_CONF_BOOL: return flag(t, k, arg);
    case EFX_CONF_TEXT:
    case EFX_CONF_SECRET: return word(t, k, arg);
    }
    return FIT_NO;
}

static bool count_ok(struct taking *t, const struct efx_conf_key *keys)
{
    uint32_t min = 0, max = 0;
    bool many = false;
    for (const struct efx_conf_key *k = keys; k != NULL && k->name != NULL; k++) {
        min += k->arg > 0 && k->otherwise == NULL;
        max += k->arg > 0;
        many = many || k->kind == EFX_CONF_COLUMNS;
    }
    uint32_t n = t->w->n_args;
    if (n >= min && (many || n <= max)) {
        return true;
    }
    efx_diag_add(t->b->diags, 1402, t->w->kind_at, NULL, "window %s takes %s%u argument%s, not %u",
                 t->w->kind,
                 many                   ? "at least "
                 : min < max && n > max ? "at most "
                                        : "",
                 n < min ? min : max, (n < min ? min : max) == 1 ? "" : "s", n);
    return false;
}

static bool mismatch(struct taking *t, const struct efx_ast_arg *arg)
{
    if (arg->expr != NULL && efx_bind__mentions_columns(arg->expr)) {
        efx_diag_add(t->b->diags, 1309, arg->at, NULL, "an argument of window %s must be constant",
                     t->w->kind);
    } else {
        wrong(t, 1403, arg, "it is of the wrong type");
    }
    return false;
}

/* The next positional key behind number `arg`; NULL = there is none. */
static const struct efx_conf_key *key_behind(const struct efx_conf_key *keys, uint32_t arg)
{
    const struct efx_conf_key *next = NULL;
    for (const struct efx_conf_key *k = keys; k->name != NULL; k++) {
        if (k->arg > arg && (next == NULL || k->arg < next->arg)) {
            next = k;
        }
    }
    return next;
}

static bool take_args(struct taking *t, const struct efx_conf_key *keys)
{
    const struct efx_conf_key *k = key_behind(keys, 0);
    for (uint32_t i = 0; i < t->w->n_args;) {
        if (k == NULL) {
            return mismatch(t, &t->w->args[i]);
        }
        enum fit fit = take(t, k, &t->w->args[i]);
        if (fit == FIT_WRONG) {
            return false;
        }
        bool many = k->kind == EFX_CONF_COLUMNS;
        if (fit == FIT_NO && k->otherwise == NULL && !(many && t->cols.n > 0)) {
            return mismatch(t, &t->w->args[i]);
        }
        i += fit == FIT_YES;
        k = fit == FIT_YES && many ? k : key_behind(keys, k->arg);
    }
    return true;
}

static int64_t *long_named(struct taking *t, const struct efx_conf_key *keys, const char *name)
{
    const struct efx_conf_key *k = keys;
    while (k->name != NULL && strcmp(k->name, name) != 0) {
        k++;
    }
    return k->name != NULL ? (int64_t *)(t->conf + k->off) : NULL;
}

/* What binds two arguments together. */
static bool pairs_ok(struct taking *t, const struct efx_conf_key *keys)
{
    if (is_hop(t->w)) {
        const int64_t *size = long_named(t, keys, "size"), *slide = long_named(t, keys, "slide");
        if (size != NULL && slide != NULL && *slide > *size) {
            efx_diag_add(t->b->diags, 1405, t->w->args[1].at, NULL,
                         "the slide is larger than the size");
            return false;
        }
    }
    if (is_window(t->w, "lossyFrequent") || is_window(t->w, "lossyCounting")) {
        double s = *(double *)long_named(t, keys, "s"), e = *(double *)long_named(t, keys, "e");
        bool given = e != 0; /* else s / 10 */
        if (s <= 0 || s > 1 || e < 0 || (given && e > s)) {
            wrong(t, 1403, &t->w->args[given ? 1 : 0], "0 < e ≤ s ≤ 1");
            return false;
        }
    }
    return true;
}

/* 1406: the condition of expression and expressionBatch. Bare columns are the new event's; what is
 * said of `first` and `last` is left alone. */
static void check_expression(struct taking *t)
{
    struct efx_binder *b = t->b;
    const struct efx_ast_expr *e = t->w->args[0].expr;
    struct efx_diags inner, *outer = b->diags;
    efx_diags_init(&inner, b->arena, outer->text, outer->file);
    struct efx_ast_expr *cond = (struct efx_ast_expr *)(uintptr_t)e;
    if (e == NULL || (e->op == EFX_AST_LITERAL && e->lit == EFX_AST_LIT_STRING)) {
        inner.text = e != NULL ? e->str : (struct efx_str){"", 0};
        if (efx_parse_expr(b->arena, &inner, &cond) != EFX_OK) {
            longjmp(b->no_memory, 1);
        }
    }
    struct efx_bobject row = {.kind = EFX_OBJ_STREAM, .schema = *t->schema};
    struct efx_bind_side sides[] = {{.object = &row, .src = 0},
                                    {.qualifier = "first", .src = 1},
                                    {.qualifier = "last", .src = 2}};
    struct efx_bstmt aggs = {0};
    struct efx_bind_scope sc = efx_bind__scope(b, "a window condition");
    sc.n_sides = 3;
    sc.sides = sides;
    sc.aggs = &aggs;
    sc.pattern = true;
    sc.in_and = true;
    sc.candidate = 0;
    b->diags = &inner;
    if (cond != NULL && inner.n_errors == 0) {
        efx_bind__cond(&sc, cond);
    }
    b->diags = outer;
    if (inner.n_errors > 0) {
        efx_diag_add(outer, 1406, t->w->args[0].at, inner.errors->hint, "%s", inner.errors->msg);
    }
}

/* sort(n, col ['asc'|'desc'] …) has a list of its own form. */
static bool check_sort(struct taking *t)
{
    static const struct efx_conf_key n = {
        .name = "n", .kind = EFX_CONF_LONG, .min = 1, .help = "events"};
    static const struct efx_conf_key cols[] = {
        {.name = "n", .arg = 1}, {.name = "col", .arg = 2, .kind = EFX_CONF_COLUMNS}, {0}};
    int64_t room[8];
    t->conf = (char *)room;
    if (!count_ok(t, cols)) {
        return false;
    }
    for (uint32_t i = 0; i < t->w->n_args; i++) {
        const struct efx_ast_arg *arg = &t->w->args[i];
        enum fit fit = take(t, i == 0 ? &n : &cols[1], arg);
        bool text = fit == FIT_NO && i > 1 && arg->expr != NULL &&
                    arg->expr->op == EFX_AST_LITERAL && arg->expr->lit == EFX_AST_LIT_STRING;
        bool word = text && (efx_str_equal_ci(arg->expr->str, efx_str_of("asc")) ||
                             efx_str_equal_ci(arg->expr->str, efx_str_of("desc")));
        if (fit == FIT_WRONG || (fit == FIT_NO && !word)) {
            return fit == FIT_NO ? mismatch(t, arg) : false;
        }
    }
    return true;
}

static bool fill(struct taking *t, const struct efx_plugin *p)
{
    if (p->conf == NULL) {
        return is_window(t->w, "sort") ? check_sort(t) : count_ok(t, NULL);
    }
    if (!count_ok(t, p->conf)) {
        return false;
    }
    for (const struct efx_conf_key *k = p->conf; k->name != NULL; k++) {
        if (k->otherwise != NULL) {
            efx_bind__conf_default(t->b, k, t->schema, t->w->at, t->conf);
        }
    }
    if (!take_args(t, p->conf) || !pairs_ok(t, p->conf)) {
        return false;
    }
    if (is_window(t->w, "expression") || is_window(t->w, "expressionBatch")) {
        check_expression(t);
    }
    if (is_window(t->w, "cron") && !efx_bind__cron_ok(t->w->args[0].expr->str)) {
        efx_diag_add(t->b->diags, 1008, t->w->args[0].at, NULL, "bad cron text");
    }
    return true;
}

void efx_bind__window(struct efx_binder *b, const struct efx_ast_window *w,
                      const struct efx_schema *schema, const char *qualifier,
                      struct efx_bwindow *out)
{
    const char *kind = is_hop(w) ? "hop" : w->kind;
    const struct efx_window_vt *vt = efx_registry_window(b->registry, kind);
    const struct efx_plugin *p = vt != NULL ? &vt->base : efx_bind__absent_window(kind);
    if (p == NULL) {
        const char *const *names;
        uint32_t n = efx_bind__window_names(&names);
        efx_diag_add(b->diags, 1401, w->kind_at,
                     efx_diag_nearest(b->diags, efx_str_of(w->kind), names, n),
                     "unknown window '%s'", w->kind);
        return;
    }
    struct taking t = {.b = b, .w = w, .schema = schema, .qualifier = qualifier};
    t.conf = efx_bind__new(b, 1, p->conf_bytes + 1, 64);
    if (!fill(&t, p)) {
        return;
    }
    if (vt == NULL) {
        efx_bind__absent(b, w->kind_at, NULL, "the window %s is not built yet", kind);
        return;
    }
    *out = (struct efx_bwindow){.vt = vt, .conf = t.conf, .has_origin = t.has_origin, .at = w->at};
}
