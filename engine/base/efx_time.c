/* The calendar; times as text, read by a cursor that fails once and stays failed. */
#include "efx_time.h"

#include <stdio.h>
#include <string.h>

struct cursor {
    const char *p, *end;
    bool bad;
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

int64_t efx_time_days(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t efx_time_days_in(int64_t y, int64_t m)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return days[m - 1] + (m == 2 && leap);
}

struct efx_civil efx_time_civil(int64_t ms, int64_t zone_min)
{
    const int64_t day_ms = 86400000;
    ms += zone_min * 60000;
    int64_t days = ms / day_ms - (ms % day_ms < 0), left = ms - days * day_ms;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    int64_t month = m < 10 ? m + 3 : m - 9;
    return (struct efx_civil){
        .year = year + era * 400 + (month <= 2),
        .month = month,
        .day = of_year - (153 * m + 2) / 5 + 1,
        .hour = left / 3600000,
        .minute = left / 60000 % 60,
        .second = left / 1000 % 60,
        .ms = left % 1000,
        .zone_min = zone_min,
    };
}

int64_t efx_time_ms(const struct efx_civil *t)
{
    int64_t min = (efx_time_days(t->year, t->month, t->day) * 24 + t->hour) * 60 + t->minute;
    return ((min - t->zone_min) * 60 + t->second) * 1000 + t->ms;
}

static bool finish(const struct cursor *c, const struct efx_civil *t, int64_t *out_ms)
{
    if (c->bad || c->p != c->end || t->month < 1 || t->month > 12 || t->day < 1 ||
        t->day > efx_time_days_in(t->year, t->month) || t->hour > 23 || t->minute > 59 ||
        t->second > 60) {
        return false;
    }
    *out_ms = efx_time_ms(t);
    return true;
}

static void time_of_day(struct cursor *c, struct efx_civil *t)
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

bool efx_time_iso(const char *p, size_t n, int64_t *out_ms)
{
    struct cursor c = {.p = p, .end = p + n};
    struct efx_civil t = {.year = 1970, .month = 1, .day = 1};
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

bool efx_time_zone(const char *p, size_t n, int64_t *out_min)
{
    struct cursor c = {.p = p, .end = p + n};
    if (n == 3 && (memcmp(p, "UTC", 3) == 0 || memcmp(p, "GMT", 3) == 0)) {
        *out_min = 0;
        return true;
    }
    *out_min = zone_min(&c);
    return !c.bad && c.p == c.end;
}

/* ---- patterns: a list of fields, read and written alike ---- */

struct part {
    char kind;  /* y M d H m s: numbers; S f j e: likewise; X x Z: zone; E seconds; ' a byte */
    int digits; /* least; 0: as many as there are */
    char byte;  /* of ' */
    const char *rest; /* of the pattern */
};

static struct part letters(const char *f, bool *quoted)
{
    while (*f == '\'') {
        *quoted = !*quoted;
        f++;
    }
    struct part part = {.kind = '\'', .byte = *f, .rest = f + 1};
    if (*quoted || *f == '\0' || strchr("yuMdHmsSXxZ", *f) == NULL) {
        return part;
    }
    while (*part.rest == *f) {
        part.rest++;
    }
    part.kind = *f == 'u' ? 'y' : *f;
    part.digits = (int)(part.rest - f);
    return part;
}

/* %F and %T are several: *more gets what comes first. */
static struct part percent(const char *f, const char **more)
{
    static const char codes[] = "YmdHMSLfyejzs%";
    static const char kinds[] = "yMdHmsSfyejxE'";
    static const uint8_t digits[] = {4, 2, 2, 2, 2, 2, 3, 6, 2, 1, 3, 2, 1, 0};
    if (*f != '%' || f[1] == '\0') {
        return (struct part){.kind = '\'', .byte = *f, .rest = f + 1};
    }
    if (strncmp(f, "%3f", 3) == 0) {
        return (struct part){.kind = 'S', .digits = 3, .rest = f + 3};
    }
    if (strncmp(f, "%:z", 3) == 0) {
        return (struct part){.kind = 'x', .digits = 3, .rest = f + 3};
    }
    if (f[1] == 'F' || f[1] == 'T') {
        *more = f + 2;
        const char *all = f[1] == 'F' ? "%Y-%m-%d" : "%H:%M:%S";
        const char *none = NULL;
        return percent(all, &none);
    }
    const char *at = strchr(codes, f[1]);
    if (at == NULL) {
        return (struct part){.kind = '\'', .byte = '%', .rest = f + 1};
    }
    size_t i = (size_t)(at - codes);
    return (struct part){.kind = kinds[i], .digits = digits[i], .byte = '%', .rest = f + 2};
}

/* Goes over the parts of a pattern. */
struct parts {
    const char *at, *back; /* back: where to go on behind %F, %T */
    bool by_percent, quoted;
};

static bool next_part(struct parts *ps, struct part *part)
{
    if (*ps->at == '\0' && ps->back != NULL) {
        ps->at = ps->back;
        ps->back = NULL;
    }
    if (*ps->at == '\0') {
        return false;
    }
    *part = ps->by_percent ? percent(ps->at, &ps->back) : letters(ps->at, &ps->quoted);
    if (part->kind == '\'' && part->byte == '\0') {
        return false; /* a quote at the end */
    }
    ps->at = part->rest;
    return true;
}

static struct parts parts_of(const char *pattern)
{
    return (struct parts){.at = pattern, .by_percent = strchr(pattern, '%') != NULL};
}

/* ---- reading ---- */

static int64_t digits_of(struct cursor *c, const struct part *p)
{
    return number(c, p->digits == 1 ? 1 : 2, 2);
}

static void read_part(struct cursor *c, struct efx_civil *t, const struct part *p)
{
    switch (p->kind) {
    case 'y':
        t->year = number(c, p->digits == 2 ? 2 : 4, p->digits == 2 ? 2 : 4);
        t->year += p->digits == 2 ? 2000 : 0;
        break;
    case 'M': t->month = digits_of(c, p); break;
    case 'd': t->day = digits_of(c, p); break;
    case 'e':
        (void)eat(c, ' ');
        t->day = number(c, 1, 2);
        break;
    case 'j': /* the day decides, from January on: days_of takes any number */
        t->month = 1;
        t->day = number(c, 3, 3);
        break;
    case 'H': t->hour = digits_of(c, p); break;
    case 'm': t->minute = digits_of(c, p); break;
    case 's': t->second = digits_of(c, p); break;
    case 'S':
    case 'f': t->ms = fraction_ms(c); break;
    case 'X':
    case 'x':
    case 'Z': t->zone_min = zone_min(c); break;
    case 'E': {
        bool minus = eat(c, '-');
        int64_t v = number(c, 1, 12);
        *t = efx_time_civil((minus ? -v : v) * 1000, 0);
        break;
    }
    default: expect(c, p->byte); break;
    }
}

bool efx_time_parse_in(const char *pattern, int64_t zone, const char *p, size_t n, int64_t *out_ms)
{
    if (pattern == NULL || pattern[0] == '\0' || strcmp(pattern, "ISO 8601") == 0) {
        return efx_time_iso(p, n, out_ms);
    }
    struct cursor c = {.p = p, .end = p + n};
    struct efx_civil t = {.year = 1970, .month = 1, .day = 1, .zone_min = zone};
    struct parts parts = parts_of(pattern);
    struct part part;
    bool day_of_year = false;
    while (!c.bad && next_part(&parts, &part)) {
        read_part(&c, &t, &part);
        day_of_year = day_of_year || part.kind == 'j';
    }
    if (day_of_year && t.day >= 1 && t.day <= 366) {
        int64_t day = efx_time_days(t.year, 1, 1) + t.day - 1;
        struct efx_civil found = efx_time_civil(day * 86400000, 0);
        c.bad = c.bad || found.year != t.year;
        t.month = found.month;
        t.day = found.day;
    }
    return finish(&c, &t, out_ms);
}

bool efx_time_parse(const char *pattern, const char *p, size_t n, int64_t *out_ms)
{
    return efx_time_parse_in(pattern, 0, p, n, out_ms);
}

/* ---- writing ---- */

static int write_zone(char *to, size_t room, const struct efx_civil *t, bool colon, bool z)
{
    int64_t min = t->zone_min < 0 ? -t->zone_min : t->zone_min;
    if (z && min == 0) {
        return snprintf(to, room, "Z");
    }
    return snprintf(to, room, "%c%02lld%s%02lld", t->zone_min < 0 ? '-' : '+',
                    (long long)(min / 60), colon ? ":" : "", (long long)(min % 60));
}

static int write_part(char *to, size_t room, const struct efx_civil *t, int64_t ms,
                      const struct part *p)
{
    int64_t v = 0;
    switch (p->kind) {
    case 'y': v = p->digits == 2 ? (t->year % 100 + 100) % 100 : t->year; break;
    case 'M': v = t->month; break;
    case 'd': v = t->day; break;
    case 'e': return snprintf(to, room, "%2lld", (long long)t->day);
    case 'j':
        v = efx_time_days(t->year, t->month, t->day) - efx_time_days(t->year, 1, 1) + 1;
        break;
    case 'H': v = t->hour; break;
    case 'm': v = t->minute; break;
    case 's': v = t->second; break;
    case 'f': v = t->ms * 1000; break;
    case 'S': {
        char all[16];
        (void)snprintf(all, sizeof all, "%03d000000", (int)t->ms);
        return snprintf(to, room, "%.*s", p->digits > 9 ? 9 : p->digits, all);
    }
    case 'X': return write_zone(to, room, t, true, true);
    case 'x':
    case 'Z': return write_zone(to, room, t, p->kind == 'x' && p->digits > 2, false);
    case 'E': return snprintf(to, room, "%lld", (long long)(ms / 1000 - (ms % 1000 < 0)));
    default: return snprintf(to, room, "%c", p->byte);
    }
    return snprintf(to, room, "%0*lld", p->digits, (long long)v);
}

size_t efx_time_format(const char *pattern, int64_t zone, int64_t ms, char *p, size_t room)
{
    struct efx_civil t = efx_time_civil(ms, zone);
    struct parts parts = parts_of(pattern);
    struct part part;
    size_t n = 0;
    while (next_part(&parts, &part)) {
        char one[64];
        int len = write_part(one, sizeof one, &t, ms, &part);
        for (int i = 0; i < len && i < (int)sizeof one; i++) {
            if (n < room) {
                p[n] = one[i];
            }
            n++;
        }
    }
    return n;
}
