#include "parse.h"

/* Durations and INTERVAL literals (language §1.4), in programs and in WITH values.
 *
 *   1 min 30 sec    pairs, added up         INTERVAL '90' SECOND    one pair
 *   90000           bare: milliseconds      1 MONTH, 5 MICROSECONDS refused (EFX-1006)
 *
 * A parameter of a window may be a duration or an expression, and `90000` is both: the binder takes
 * what the window asks for.
 */
enum unit_kind { UNIT_OK = 1, UNIT_MONTHS, UNIT_TOO_SMALL, UNIT_UNKNOWN };

static const struct unit {
    const char *name;
    uint8_t kind; /* enum unit_kind */
    bool plural;  /* may take an S */
    int64_t ms;
} units[] = {
    {"MS", UNIT_OK, false, 1},
    {"MSEC", UNIT_OK, true, 1},
    {"MILLISEC", UNIT_OK, true, 1},
    {"MILLISECOND", UNIT_OK, true, 1},
    {"S", UNIT_OK, false, 1000},
    {"SEC", UNIT_OK, true, 1000},
    {"SECOND", UNIT_OK, true, 1000},
    {"M", UNIT_OK, false, 60000},
    {"MIN", UNIT_OK, true, 60000},
    {"MINUTE", UNIT_OK, true, 60000},
    {"H", UNIT_OK, false, 3600000},
    {"HR", UNIT_OK, true, 3600000},
    {"HOUR", UNIT_OK, true, 3600000},
    {"D", UNIT_OK, false, 86400000},
    {"DAY", UNIT_OK, true, 86400000},
    {"W", UNIT_OK, false, 604800000},
    {"WEEK", UNIT_OK, true, 604800000},
    {"MONTH", UNIT_MONTHS, true, INT64_C(30) * 86400000},
    {"YEAR", UNIT_MONTHS, true, INT64_C(365) * 86400000},
    {"US", UNIT_TOO_SMALL, false, 0},
    {"USEC", UNIT_TOO_SMALL, true, 0},
    {"MICRO", UNIT_TOO_SMALL, true, 0},
    {"MICROSEC", UNIT_TOO_SMALL, true, 0},
    {"MICROSECOND", UNIT_TOO_SMALL, true, 0},
    {"NS", UNIT_TOO_SMALL, false, 0},
    {"NSEC", UNIT_TOO_SMALL, true, 0},
    {"NANO", UNIT_TOO_SMALL, true, 0},
    {"NANOSEC", UNIT_TOO_SMALL, true, 0},
    {"NANOSECOND", UNIT_TOO_SMALL, true, 0},
};

static const struct unit unknown_unit = {"", UNIT_UNKNOWN, false, 1};

static const struct unit *find_unit(struct efx_str s)
{
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
        struct efx_str name = efx_str_of(units[k].name);
        bool plural = units[k].plural && s.n == name.n + 1 && (s.p[name.n] | 0x20) == 's';
        if (efx_str_equal_ci((struct efx_str){s.p, plural ? name.n : s.n}, name)) {
            return &units[k];
        }
    }
    return &unknown_unit;
}

/* The place of a refused unit and why; a duration cannot use it. */
static void refuse_unit(struct efx_parse *p, const struct efx_tok *t, enum unit_kind kind)
{
    static const char *const names[] = {"ms",  "msec",   "sec",     "second", "seconds",
                                        "min", "minute", "minutes", "hour",   "hours",
                                        "day", "days",   "week",    "weeks"};
    struct efx_span at = efx_parse__span(t);
    struct efx_str s = efx_parse__text(p, t);
    int n = (int)(s.n < 40 ? s.n : 40);
    if (kind == UNIT_MONTHS) {
        EFX_PARSE_SAY(p, 1006, at, "use days or weeks", "'%.*s' has no fixed length", n, s.p);
    } else if (kind == UNIT_TOO_SMALL) {
        EFX_PARSE_SAY(p, 1006, at, "use ms", "'%.*s' is below a millisecond", n, s.p);
    } else if (!p->stopped) {
        const char *hint = efx_diag_nearest(p->diags, s, names, sizeof names / sizeof names[0]);
        EFX_PARSE_SAY(p, 1006, at,
                      hint != NULL ? hint : "units are ms, sec, min, hour, day and week",
                      "'%.*s' is no unit of time", n, s.p);
    }
}

/* Is a word behind a number its unit? `5 AND`, `5 FROM` go on after an operand; in `5f` it is only
 * if it is one of the units above, else the number is bad. */
bool efx_parse__at_duration(const struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 1);
    uint8_t kind = efx_parse__tok(p, 0)->kind;
    if ((kind != EFX_TOK_NUMBER && kind != EFX_TOK_DECIMAL) || t->kind != EFX_TOK_WORD) {
        return false;
    }
    bool known = find_unit(efx_parse__text(p, t))->kind != UNIT_UNKNOWN;
    return known || (!efx_parse__touches(p, 1) &&
                     (efx_lex__word_flags(t->word) & (EFX_WORD_GOES_ON | EFX_WORD_ALIAS)) == 0);
}

/* n of one unit, added to *ms; what is wrong is said, and leaves *ok false. */
static void add_pair(struct efx_parse *p, struct efx_span at, struct efx_str n,
                     const struct unit *unit, int64_t *ms, bool *ok)
{
    int64_t count, part;
    if (!*ok) {
        return;
    }
    if (!efx_str_i64(n, &count) || __builtin_mul_overflow(count, unit->ms, &part) ||
        __builtin_add_overflow(*ms, part, ms)) {
        EFX_PARSE_SAY(p, 1006, at, NULL, "this duration is beyond 64 bits of milliseconds");
        *ok = false;
    }
}

/* uint unit { uint unit } */
static bool pairs(struct efx_parse *p, int64_t *ms)
{
    bool ok = true;
    do {
        struct efx_tok n = *efx_parse__tok(p, 0), u = *efx_parse__tok(p, 1);
        const struct unit *unit = find_unit(efx_parse__text(p, &u));
        if (n.kind == EFX_TOK_DECIMAL) {
            EFX_PARSE_SAY(p, 1006, efx_parse__span(&n), "use a smaller unit: 1500 ms",
                          "a duration has whole numbers only");
            ok = false;
        }
        if (unit->kind != UNIT_OK) {
            refuse_unit(p, &u, unit->kind);
            ok = false;
        }
        add_pair(p, efx_parse__span(&n), efx_parse__text(p, &n), unit, ms, &ok);
        efx_parse__advance(p);
        efx_parse__advance(p);
    } while (efx_parse__at_duration(p));
    if (efx_parse__at(p, EFX_TOK_NUMBER)) {
        EFX_PARSE_FAIL(p, 1006, efx_parse__missing(p), "every number needs its unit: 1 min 30 sec",
                       "a number without unit in a duration");
    }
    return ok;
}

static struct efx_str trimmed(struct efx_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* INTERVAL ( string | uint ) unit: its milliseconds; *calendar = it has a month or year. */
static bool interval(struct efx_parse *p, int64_t *ms, const struct efx_tok **calendar)
{
    bool ok = true;
    efx_parse__advance(p);
    struct efx_tok n = *efx_parse__tok(p, 0);
    struct efx_str s = efx_parse__text(p, &n);
    if (n.kind == EFX_TOK_STRING) {
        s = trimmed((struct efx_str){s.p + 1, s.n - 2});
    }
    int64_t count;
    bool sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    struct efx_str digits = sign ? (struct efx_str){s.p + 1, s.n - 1} : s;
    bool whole = digits.n > 0;
    for (uint32_t i = 0; i < digits.n; i++) {
        whole = whole && digits.p[i] >= '0' && digits.p[i] <= '9';
    }
    if (!whole || !efx_str_i64(s, &count)) {
        EFX_PARSE_SAY(p, 1006, efx_parse__span(&n), "INTERVAL '5' SECOND",
                      whole ? "this duration is beyond 64 bits of milliseconds"
                            : "an INTERVAL has one whole number");
        ok = false;
    }
    efx_parse__advance(p);
    if (!efx_parse__at(p, EFX_TOK_WORD)) {
        efx_parse__expected(p, "a unit of time");
        return false;
    }
    const struct efx_tok *u = efx_parse__tok(p, 0);
    const struct unit *unit = find_unit(efx_parse__text(p, u));
    *calendar = unit->kind == UNIT_MONTHS ? u : NULL;
    if (unit->kind == UNIT_TOO_SMALL || unit->kind == UNIT_UNKNOWN) {
        refuse_unit(p, u, unit->kind);
        ok = false;
    }
    add_pair(p, efx_parse__span(&n), s, unit, ms, &ok);
    efx_parse__advance(p);
    return ok;
}

static bool at_interval(const struct efx_parse *p)
{
    return efx_parse__at_word(p, EFX_W_INTERVAL) && (efx_parse__sees_kind(p, 1, EFX_TOK_STRING) ||
                                                     efx_parse__sees_kind(p, 1, EFX_TOK_NUMBER) ||
                                                     efx_parse__sees_kind(p, 1, EFX_TOK_DECIMAL));
}

/* NULL = no INTERVAL literal begins here: the word is a name. */
struct efx_ast_expr *efx_parse__interval(struct efx_parse *p)
{
    if (!at_interval(p)) {
        return NULL;
    }
    uint32_t from = efx_parse__here(p);
    struct efx_ast_expr *e =
        efx_parse__node(p, EFX_AST_LITERAL, efx_parse__span(efx_parse__tok(p, 0)));
    const struct efx_tok *calendar = NULL;
    e->lit = EFX_AST_LIT_INTERVAL;
    (void)interval(p, &e->i, &calendar);
    efx_parse__done(p, e, from);
    if (calendar != NULL) {
        EFX_PARSE_SAY(p, 2102, e->at, NULL, "a month counts as 30 days, a year as 365 days");
    }
    return e;
}

static void check_not_zero(struct efx_parse *p, struct efx_ast_duration *d)
{
    if (d->ms <= 0) {
        EFX_PARSE_SAY(p, 1006, d->at, NULL, "a duration must be longer than zero");
        d->ms = 1;
    }
}

/* duration = uint unit { uint unit } | interval | uint */
struct efx_ast_duration efx_parse__duration(struct efx_parse *p, const char *what)
{
    struct efx_ast_duration d = {.there = true};
    uint32_t from = efx_parse__here(p);
    bool ok = true;
    if (at_interval(p)) {
        const struct efx_tok *calendar = NULL;
        ok = interval(p, &d.ms, &calendar);
        if (calendar != NULL) {
            refuse_unit(p, calendar, UNIT_MONTHS);
            ok = false;
        }
    } else if (efx_parse__at_duration(p)) {
        ok = pairs(p, &d.ms);
    } else if (efx_parse__at(p, EFX_TOK_NUMBER) && !efx_parse__bad_number(p)) {
        struct efx_tok n = *efx_parse__tok(p, 0);
        d.bare = true;
        add_pair(p, efx_parse__span(&n), efx_parse__text(p, &n), &units[0], &d.ms, &ok);
        efx_parse__advance(p);
    } else {
        efx_parse__expected(p, what);
    }
    d.at = efx_parse__since(p, from);
    if (ok) {
        check_not_zero(p, &d);
    } else {
        d.ms = 1;
    }
    return d;
}

/* What the expression could be read as, too: a bare number above zero, an INTERVAL. */
static struct efx_ast_duration as_duration(struct efx_parse *p, const struct efx_ast_expr *e,
                                           const struct efx_tok *first, const struct efx_tok *unit)
{
    struct efx_ast_duration d = {.ms = e->i, .at = e->at};
    bool is_interval = e->lit == EFX_AST_LIT_INTERVAL;
    if (e->op != EFX_AST_LITERAL || e->parens || (!is_interval && first->kind != EFX_TOK_NUMBER)) {
        return d;
    }
    if (is_interval && find_unit(efx_parse__text(p, unit))->kind == UNIT_MONTHS) {
        refuse_unit(p, unit, UNIT_MONTHS);
    }
    d.bare = !is_interval;
    d.there = d.ms > 0;
    return d;
}

/* arg = duration | expr */
struct efx_ast_arg efx_parse__arg(struct efx_parse *p)
{
    struct efx_ast_arg arg = {0};
    uint32_t from = efx_parse__here(p);
    if (efx_parse__at_duration(p)) {
        arg.duration = efx_parse__duration(p, "a duration");
    } else {
        struct efx_tok first = *efx_parse__tok(p, 0), unit = *efx_parse__tok(p, 2);
        arg.expr = efx_parse__expr(p);
        if (!p->stopped) {
            arg.duration = as_duration(p, arg.expr, &first, &unit);
        }
    }
    arg.at = efx_parse__since(p, from);
    return arg;
}

/* bound = duration | uint EVENTS */
struct efx_ast_bound efx_parse__bound(struct efx_parse *p)
{
    struct efx_ast_bound bound = {.there = true};
    uint32_t from = efx_parse__here(p);
    if (efx_parse__at(p, EFX_TOK_NUMBER) && efx_parse__sees(p, 1, EFX_W_EVENTS)) {
        bound.events = true;
        bound.n = efx_parse__uint(p, "a number");
        efx_parse__advance(p);
    } else {
        bound.duration = efx_parse__duration(p, "a duration or a number of EVENTS");
    }
    bound.at = efx_parse__since(p, from);
    return bound;
}

/* ---- text of WITH values ---- */

static uint32_t run(struct efx_str s, uint32_t i, bool of_digits)
{
    uint32_t n = 0;
    for (; i + n < s.n; n++) {
        char c = s.p[i + n];
        bool fits = of_digits ? c >= '0' && c <= '9' : (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!fits) {
            break;
        }
    }
    return n;
}

bool efx_parse_duration(struct efx_str text, int64_t *ms)
{
    struct efx_str s = trimmed(text);
    int64_t sum = 0;
    for (uint32_t i = 0; i < s.n;) {
        uint32_t n = run(s, i, true);
        int64_t count, part;
        if (n == 0 || !efx_str_i64((struct efx_str){s.p + i, n}, &count)) {
            return false;
        }
        bool alone = i == 0 && n == s.n;
        i += n;
        while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t')) {
            i++;
        }
        uint32_t letters = run(s, i, false);
        const struct unit *unit = alone ? &units[0] : find_unit((struct efx_str){s.p + i, letters});
        if (unit->kind != UNIT_OK || __builtin_mul_overflow(count, unit->ms, &part) ||
            __builtin_add_overflow(sum, part, &sum)) {
            return false;
        }
        i += letters;
        while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t')) {
            i++;
        }
    }
    if (sum <= 0) {
        return false;
    }
    *ms = sum;
    return true;
}
