/* Times as text, read by a cursor that fails once and stays failed. */
#include "efx_time_text.h"

#include <string.h>

struct cursor {
    const char *p, *end;
    bool bad;
};

struct civil {
    int64_t year;
    int64_t month, day, hour, minute, second, ms;
    int64_t zone_min; /* east of UTC */
};

static int64_t number(struct cursor *c, int digits_min, int digits_max)
{
    int64_t v = 0;
    int n = 0;
    for (; n < digits_max && c->p < c->end && *c->p >= '0' && *c->p <= '9'; n++) {
        v = v * 10 + (*c->p++ - '0');
    }
    c->bad = c->bad || n < digits_min;
    return v;
}

static bool eat(struct cursor *c, char ch)
{
    if (c->p < c->end && *c->p == ch) {
        c->p++;
        return true;
    }
    return false;
}

static void expect(struct cursor *c, char ch)
{
    c->bad = !eat(c, ch) || c->bad;
}

static int64_t fraction_ms(struct cursor *c)
{
    int64_t ms = 0, unit = 100;
    c->bad = c->bad || c->p == c->end || *c->p < '0' || *c->p > '9';
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, unit /= 10) {
        ms += (*c->p - '0') * unit;
    }
    return ms;
}

static int64_t zone_min(struct cursor *c)
{
    if (eat(c, 'Z') || eat(c, 'z')) {
        return 0;
    }
    int64_t sign = eat(c, '-') ? -1 : 1;
    if (sign > 0) {
        expect(c, '+');
    }
    int64_t min = number(c, 2, 2) * 60;
    bool colon = eat(c, ':');
    if (colon || c->p < c->end) {
        min += number(c, 2, 2);
    }
    c->bad = c->bad || min > 18 * 60;
    return sign * min;
}

/* Days since 1970-01-01 in the Gregorian calendar, continued to both sides. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t days_in(int64_t y, int64_t m)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return days[m - 1] + (m == 2 && leap);
}

static bool finish(const struct cursor *c, const struct civil *t, int64_t *out_ms)
{
    if (c->bad || c->p != c->end || t->month < 1 || t->month > 12 || t->day < 1 ||
        t->day > days_in(t->year, t->month) || t->hour > 23 || t->minute > 59 || t->second > 60) {
        return false;
    }
    int64_t min = (days_of(t->year, t->month, t->day) * 24 + t->hour) * 60 + t->minute;
    *out_ms = ((min - t->zone_min) * 60 + t->second) * 1000 + t->ms;
    return true;
}

static void time_of_day(struct cursor *c, struct civil *t)
{
    t->hour = number(c, 2, 2);
    expect(c, ':');
    t->minute = number(c, 2, 2);
    if (eat(c, ':')) {
        t->second = number(c, 2, 2);
        if (eat(c, '.') || eat(c, ',')) {
            t->ms = fraction_ms(c);
        }
    }
}

bool efx_io_time_iso(const char *p, size_t n, int64_t *out_ms)
{
    struct cursor c = {.p = p, .end = p + n};
    struct civil t = {.year = 1970, .month = 1, .day = 1};
    if (n > 2 && p[2] == ':') {
        time_of_day(&c, &t);
    } else {
        t.year = number(&c, 4, 4);
        expect(&c, '-');
        t.month = number(&c, 2, 2);
        expect(&c, '-');
        t.day = number(&c, 2, 2);
        if (eat(&c, 'T') || eat(&c, 't') || (c.p < c.end && *c.p == ' ' && eat(&c, ' '))) {
            time_of_day(&c, &t);
        }
    }
    if (c.p < c.end) {
        t.zone_min = zone_min(&c);
    }
    return finish(&c, &t, out_ms);
}

/* One run of a letter. */
static void field(struct cursor *c, struct civil *t, char letter, int n)
{
    switch (letter) {
    case 'y':
    case 'u':
        t->year = number(c, n == 2 ? 2 : 4, n == 2 ? 2 : 4);
        t->year += n == 2 ? 2000 : 0;
        break;
    case 'M': t->month = number(c, n == 1 ? 1 : 2, 2); break;
    case 'd': t->day = number(c, n == 1 ? 1 : 2, 2); break;
    case 'H': t->hour = number(c, n == 1 ? 1 : 2, 2); break;
    case 'm': t->minute = number(c, n == 1 ? 1 : 2, 2); break;
    case 's': t->second = number(c, n == 1 ? 1 : 2, 2); break;
    case 'S': t->ms = fraction_ms(c); break;
    case 'X':
    case 'x':
    case 'Z': t->zone_min = zone_min(c); break;
    default: c->bad = true; break;
    }
}

bool efx_io_time_parse(const char *pattern, const char *p, size_t n, int64_t *out_ms)
{
    if (pattern == NULL || pattern[0] == '\0' || strcmp(pattern, "ISO 8601") == 0) {
        return efx_io_time_iso(p, n, out_ms);
    }
    struct cursor c = {.p = p, .end = p + n};
    struct civil t = {.year = 1970, .month = 1, .day = 1};
    bool quoted = false;
    for (const char *f = pattern; *f != '\0' && !c.bad; f++) {
        bool letter = (*f >= 'a' && *f <= 'z') || (*f >= 'A' && *f <= 'Z');
        if (*f == '\'') {
            quoted = !quoted;
        } else if (quoted || !letter) {
            expect(&c, *f);
        } else {
            int run = 1;
            while (f[1] == *f) {
                f++;
                run++;
            }
            field(&c, &t, *f, run);
        }
    }
    return finish(&c, &t, out_ms);
}
