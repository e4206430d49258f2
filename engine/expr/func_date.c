/* Functions of dates, language §20: milliseconds since 1970 in UTC, or in a zone of fixed distance
 * from it.
 *
 *   month, quarter, year   by the calendar: the day is kept, at most the last of the month
 *   all others             fixed lengths; a week is ISO's, from Monday
 *
 *   Errors  3301 for a unit, a zone or a distance that only the run knows to be wrong
 */
#include "efx_func_impl.h"
#include "efx_time.h"

#define DESCRIBE(ID, NAME, MIN, MAX, RESOLVE, HELP)                                                \
    static void ID##_vec(const struct efx_func_call *c)                                            \
    {                                                                                              \
        efx_func__by_row(c, ID##_value);                                                           \
    }                                                                                              \
    const struct efx_func efx_func__##ID = {.name = NAME,                                          \
                                            .min_args = MIN,                                       \
                                            .max_args = MAX,                                       \
                                            .strict = true,                                        \
                                            .total = false,                                        \
                                            .resolve = RESOLVE,                                    \
                                            .vec = ID##_vec,                                       \
                                            .value = ID##_value,                                   \
                                            .help = HELP};

#define VALUE(ID)                                                                                  \
    static uint16_t ID##_value(const struct efx_value *a, uint32_t n, struct efx_arena *tmp,       \
                               struct efx_value *out)

static const int64_t DAY_MS = 86400000;

/* ---- units ---- */

enum unit {
    UNIT_NONE = 0,
    UNIT_YEAR,
    UNIT_QUARTER,
    UNIT_MONTH,
    UNIT_WEEK,
    UNIT_DAY,
    UNIT_DOW,
    UNIT_DOY,
    UNIT_HOUR,
    UNIT_MINUTE,
    UNIT_SECOND,
    UNIT_MILLISECOND,
};

static enum unit unit_of(struct efx_str s)
{
    static const char *const names[] = {"",     "YEAR",   "QUARTER", "MONTH",
                                        "WEEK", "DAY",    "DOW",     "DOY",
                                        "HOUR", "MINUTE", "SECOND",  "MILLISECOND"};
    for (uint32_t i = 1; i < sizeof names / sizeof *names; i++) {
        struct efx_str name = efx_str_of(names[i]);
        bool plural = s.n == name.n + 1 && (s.p[s.n - 1] == 's' || s.p[s.n - 1] == 'S');
        if (efx_str_equal_ci(name, (struct efx_str){s.p, s.n - plural})) {
            return (enum unit)i;
        }
    }
    return UNIT_NONE;
}

/* Of a fixed length; 0 = by the calendar. */
static int64_t unit_ms(enum unit u)
{
    switch (u) {
    case UNIT_WEEK: return 7 * DAY_MS;
    case UNIT_DAY: return DAY_MS;
    case UNIT_HOUR: return 3600000;
    case UNIT_MINUTE: return 60000;
    case UNIT_SECOND: return 1000;
    case UNIT_MILLISECOND: return 1;
    case UNIT_NONE:
    case UNIT_YEAR:
    case UNIT_QUARTER:
    case UNIT_MONTH:
    case UNIT_DOW:
    case UNIT_DOY: break;
    }
    return 0;
}

static int64_t unit_months(enum unit u)
{
    return u == UNIT_YEAR ? 12 : u == UNIT_QUARTER ? 3 : u == UNIT_MONTH ? 1 : 0;
}

static bool counts(enum unit u)
{
    return unit_ms(u) != 0 || unit_months(u) != 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- resolving: s = text, n = whole number; one letter an argument ---- */

static uint16_t resolve(struct efx_func_types *t, const char *kinds, enum efx_type out)
{
    uint16_t code = 0;
    t->out = out;
    for (uint32_t i = 0; code == 0 && i < t->n; i++) {
        code = kinds[i] == 's' ? efx_func__want_text(t, i) : efx_func__want_whole(t, i);
    }
    return code;
}

#define RESOLVE(NAME, KINDS, OUT)                                                                  \
    static uint16_t NAME(struct efx_func_types *t)                                                 \
    {                                                                                              \
        return resolve(t, KINDS, OUT);                                                             \
    }

RESOLVE(part_types, "ns", EFX_TYPE_INT)
RESOLVE(move_types, "nns", EFX_TYPE_LONG)
RESOLVE(trunc_types, "sns", EFX_TYPE_LONG)
RESOLVE(format_types, "nss", EFX_TYPE_STRING)
RESOLVE(parse_types, "sss", EFX_TYPE_LONG)

static uint16_t give_long(int64_t v, struct efx_value *out)
{
    *out = (struct efx_value){.type = EFX_TYPE_LONG, .l = v};
    return 0;
}

/* ---- parts ---- */

/* The week that has the year's first Thursday is its first. */
static int64_t iso_week(const struct efx_civil *t)
{
    int64_t day = efx_time_days(t->year, t->month, t->day);
    int64_t thursday = floor_div(day + 3, 7) * 7; /* 1970-01-01 was one */
    struct efx_civil of = efx_time_civil(thursday * DAY_MS, 0);
    return (thursday - efx_time_days(of.year, 1, 1)) / 7 + 1;
}

static int64_t part_of(enum unit u, int64_t ms)
{
    struct efx_civil t = efx_time_civil(ms, 0);
    int64_t day = efx_time_days(t.year, t.month, t.day);
    switch (u) {
    case UNIT_YEAR: return t.year;
    case UNIT_QUARTER: return (t.month + 2) / 3;
    case UNIT_MONTH: return t.month;
    case UNIT_WEEK: return iso_week(&t);
    case UNIT_DAY: return t.day;
    case UNIT_DOW: return day + 4 - floor_div(day + 4, 7) * 7 + 1;
    case UNIT_DOY: return day - efx_time_days(t.year, 1, 1) + 1;
    case UNIT_HOUR: return t.hour;
    case UNIT_MINUTE: return t.minute;
    case UNIT_SECOND: return t.second;
    case UNIT_MILLISECOND: return t.ms;
    case UNIT_NONE: break;
    }
    return 0;
}

VALUE(extract)
{
    (void)n;
    (void)tmp;
    enum unit u = unit_of(a[1].s);
    *out = (struct efx_value){.type = EFX_TYPE_INT, .i = (int32_t)part_of(u, a[0].l)};
    return u == UNIT_NONE ? EFX_FUNC_BAD : 0;
}

/* ---- moving ---- */

static bool add_months(int64_t ms, int64_t months, int64_t *out)
{
    const int64_t most = 12 * 300000000ll; /* beyond any LONG */
    if (months > most || months < -most) {
        return false;
    }
    struct efx_civil t = efx_time_civil(ms, 0);
    int64_t all = t.year * 12 + t.month - 1 + months;
    t.year = floor_div(all, 12);
    t.month = all - t.year * 12 + 1;
    int64_t last = efx_time_days_in(t.year, t.month);
    t.day = t.day > last ? last : t.day;
    __int128 wide = (__int128)efx_time_days(t.year, t.month, t.day) * DAY_MS +
                    (ms - floor_div(ms, DAY_MS) * DAY_MS);
    *out = (int64_t)wide;
    return wide == *out;
}

static uint16_t move(const struct efx_value *a, bool back, struct efx_value *out)
{
    enum unit u = unit_of(a[2].s);
    __int128 by = back ? -(__int128)a[1].l : a[1].l;
    int64_t ms = 0;
    bool ok = counts(u);
    if (ok && unit_months(u) != 0) {
        __int128 months = by * unit_months(u);
        ok = months == (int64_t)months && add_months(a[0].l, (int64_t)months, &ms);
    } else if (ok) {
        __int128 sum = a[0].l + by * unit_ms(u);
        ms = (int64_t)sum;
        ok = sum == ms;
    }
    (void)give_long(ms, out);
    return ok ? 0 : EFX_FUNC_BAD;
}

VALUE(date_add)
{
    (void)n;
    (void)tmp;
    return move(a, false, out);
}

VALUE(date_sub)
{
    (void)n;
    (void)tmp;
    return move(a, true, out);
}

/* Whole months from b to a, toward zero: a month is whole when its day and time are reached. */
static int64_t months_between(int64_t a, int64_t b)
{
    struct efx_civil x = efx_time_civil(a, 0), y = efx_time_civil(b, 0);
    int64_t months = (x.year - y.year) * 12 + x.month - y.month;
    int64_t in_x = (x.day - 1) * DAY_MS + (a - floor_div(a, DAY_MS) * DAY_MS);
    int64_t in_y = (y.day - 1) * DAY_MS + (b - floor_div(b, DAY_MS) * DAY_MS);
    if (months > 0 && in_x < in_y) {
        months--;
    } else if (months < 0 && in_x > in_y) {
        months++;
    }
    return months;
}

VALUE(date_diff)
{
    (void)n;
    (void)tmp;
    enum unit u = unit_of(a[2].s);
    if (!counts(u)) {
        return EFX_FUNC_BAD;
    }
    if (unit_months(u) != 0) {
        return give_long(months_between(a[0].l, a[1].l) / unit_months(u), out);
    }
    return give_long((int64_t)(((__int128)a[0].l - a[1].l) / unit_ms(u)), out);
}

/* ---- in a zone ---- */

static bool zone_of(const struct efx_value *a, uint32_t n, int64_t *min)
{
    *min = 0;
    return n < 3 || efx_time_zone(a[2].s.p, a[2].s.n, min);
}

VALUE(date_trunc)
{
    (void)tmp;
    enum unit u = unit_of(a[0].s);
    int64_t zone;
    if (!counts(u) || !zone_of(a, n, &zone)) {
        return EFX_FUNC_BAD;
    }
    struct efx_civil t = efx_time_civil(a[1].l, zone);
    if (unit_months(u) != 0) {
        t.month = u == UNIT_YEAR ? 1 : u == UNIT_QUARTER ? (t.month - 1) / 3 * 3 + 1 : t.month;
        t.day = 1;
        t.hour = t.minute = t.second = t.ms = 0;
        return give_long(efx_time_ms(&t), out);
    }
    int64_t shift = zone * 60000 + (u == UNIT_WEEK ? 3 * DAY_MS : 0); /* a Monday at 0 */
    int64_t ms = a[1].l + shift;
    return give_long(floor_div(ms, unit_ms(u)) * unit_ms(u) - shift, out);
}

static const char *c_text(struct efx_arena *tmp, struct efx_str s)
{
    char *p = efx_text__room(tmp, s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

VALUE(format_date)
{
    int64_t zone;
    if (!zone_of(a, n, &zone)) {
        return EFX_FUNC_BAD;
    }
    const char *pattern = c_text(tmp, a[1].s);
    size_t len = efx_time_format(pattern, zone, a[0].l, NULL, 0);
    char *p = efx_text__room(tmp, (uint32_t)len);
    (void)efx_time_format(pattern, zone, a[0].l, p, len);
    *out = (struct efx_value){.type = EFX_TYPE_STRING, .s = {p, (uint32_t)len}};
    return 0;
}

VALUE(parse_date)
{
    int64_t zone, ms;
    if (!zone_of(a, n, &zone)) {
        return EFX_FUNC_BAD;
    }
    if (!efx_time_parse_in(c_text(tmp, a[1].s), zone, a[0].s.p, a[0].s.n, &ms)) {
        *out = efx_value_null(EFX_TYPE_LONG);
        return 0;
    }
    return give_long(ms, out);
}

DESCRIBE(extract, "EXTRACT", 2, 2, part_types, "EXTRACT(unit FROM ms): a part of the time")
DESCRIBE(date_add, "dateAdd", 3, 3, move_types, "dateAdd(ms, n, 'unit'): n units later")
DESCRIBE(date_sub, "dateSub", 3, 3, move_types, "dateSub(ms, n, 'unit'): n units earlier")
DESCRIBE(date_diff, "dateDiff", 3, 3, move_types, "dateDiff(a, b, 'unit'): whole units from b to a")
DESCRIBE(date_trunc, "date_trunc", 2, 3, trunc_types,
         "date_trunc('unit', ms [, zone]): start of the unit")
DESCRIBE(format_date, "formatDate", 2, 3, format_types, "formatDate(ms, pattern [, zone]): as text")
DESCRIBE(parse_date, "parseDate", 2, 3, parse_types,
         "parseDate(s, pattern [, zone]): milliseconds, or NULL")
