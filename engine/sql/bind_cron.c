/* Cron texts (language §15), checked for form only: seconds, minutes, hours, days of the month,
 * months, days of the week, and perhaps years.
 */
#include "bind.h"

struct field {
    int64_t min, max;
    const char *names;   /* three letters each, the first is `min` */
    const char *letters; /* besides digits and , - / * : what else may stand there */
};

static const struct field fields[] = {
    {0, 59, NULL, ""},
    {0, 59, NULL, ""},
    {0, 23, NULL, ""},
    {1, 31, NULL, "?LW"},
    {1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", ""},
    {1, 7, "SUNMONTUEWEDTHUFRISAT", "?L#"},
    {1970, 9999, NULL, ""},
};

static bool value(const struct field *f, struct efx_str s, int64_t *out)
{
    for (uint32_t i = 0; f->names != NULL && i < strlen(f->names) / 3; i++) {
        if (efx_str_equal_ci(s, (struct efx_str){f->names + 3 * i, 3})) {
            *out = f->min + i;
            return true;
        }
    }
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return s.n > 0 && efx_str_i64(s, out) && *out >= f->min && *out <= f->max;
}

/* Cuts s at the first c; false = there is none. */
static bool cut(struct efx_str *s, char c, struct efx_str *rest)
{
    const char *at = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
    if (at == NULL) {
        return false;
    }
    uint32_t n = (uint32_t)(at - s->p);
    *rest = (struct efx_str){at + 1, s->n - n - 1};
    s->n = n;
    return true;
}

/* L, LW, L-3, 15W, 6L, 6#3 */
static bool special(const struct field *f, struct efx_str s)
{
    bool days = strchr(f->letters, 'W') != NULL, week = strchr(f->letters, '#') != NULL;
    int64_t v;
    struct efx_str rest;
    if (days && (efx_str_equal_ci(s, efx_str_of("L")) || efx_str_equal_ci(s, efx_str_of("LW")))) {
        return true;
    }
    if (days && s.n > 2 && (s.p[0] == 'L' || s.p[0] == 'l') && s.p[1] == '-') {
        return value(&(struct field){0, 30, NULL, ""}, (struct efx_str){s.p + 2, s.n - 2}, &v);
    }
    if (week && cut(&s, '#', &rest)) {
        return value(f, s, &v) && value(&(struct field){1, 5, NULL, ""}, rest, &v);
    }
    char last = s.n > 0 ? s.p[s.n - 1] : '\0';
    bool closer = (days && (last == 'W' || last == 'w')) || (week && (last == 'L' || last == 'l'));
    return closer && (s.n == 1 || value(f, (struct efx_str){s.p, s.n - 1}, &v));
}

static bool item(const struct field *f, struct efx_str s)
{
    int64_t v, low, high;
    struct efx_str step, to;
    if (s.n == 1 && s.p[0] == '?') {
        return strchr(f->letters, '?') != NULL;
    }
    if (cut(&s, '/', &step) && !value(&(struct field){1, f->max, NULL, ""}, step, &v)) {
        return false;
    }
    if (s.n == 1 && s.p[0] == '*') {
        return true;
    }
    if (special(f, s)) {
        return true;
    }
    if (cut(&s, '-', &to)) {
        return value(f, s, &low) && value(f, to, &high);
    }
    return value(f, s, &v);
}

static bool field_ok(const struct field *f, struct efx_str s)
{
    struct efx_str rest;
    while (cut(&s, ',', &rest)) {
        if (!item(f, s)) {
            return false;
        }
        s = rest;
    }
    return item(f, s);
}

bool efx_bind__cron_ok(struct efx_str text)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < text.n;) {
        if (text.p[i] == ' ' || text.p[i] == '\t') {
            i++;
            continue;
        }
        uint32_t from = i;
        while (i < text.n && text.p[i] != ' ' && text.p[i] != '\t') {
            i++;
        }
        if (n == 7 || !field_ok(&fields[n], (struct efx_str){text.p + from, i - from})) {
            return false;
        }
        n++;
    }
    return n >= 6;
}
