/* Recomputes what card-alerts.sql says, from the same event lines, with plain loops, and compares
 * every row the engine has written: its text, and its place among the rows of its stream.
 *
 *   check_payments payments.ndjson alerts.ndjson     exit status 1 if a row differs
 *
 * Nothing here is incremental: payments lie in an array, each knows the one before it with the same
 * card, and every question is answered by walking back from the payment that asks.
 *
 *   HighSpend         back over the last hour, an event of one hour's age being outside
 *   TriedCards        back over one minute, that included, to the last large payment: it has taken
 *                     the small ones before it
 *   BlockedPayments   one look into an array by merchant
 *   Unusual           back over ten payments
 *   Hourly            the payments of the hour, countries as they first appear in it
 *
 *   Limits  cards and merchants below 100,000; the layout of make_payments' lines
 *   Errors  2: a file cannot be read; 1: a row differs, the first of each stream is shown
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 100000, LINE_MAX_BYTES = 512, HOUR_MS = 3600000, MINUTE_MS = 60000, COUNTRIES = 64 };

struct payment {
    int64_t ms, cents;
    int32_t card, merchant, before; /* the card's payment before this one; -1 = none */
    char country[4];
};

struct stream { /* rows as the loops find them, and what the engine has of them */
    const char *name;
    char *rows; /* lines, one after another */
    size_t n_bytes, max_bytes, at;
    int64_t n_rows, cents, engine_rows, engine_cents;
    bool differs;
};
enum { HIGH_SPEND, TRIED_CARDS, BLOCKED_PAYMENTS, UNUSUAL, HOURLY, N_STREAMS };
static struct stream streams[N_STREAMS] = {
    [HIGH_SPEND] = {.name = "HighSpend"},
    [TRIED_CARDS] = {.name = "TriedCards"},
    [BLOCKED_PAYMENTS] = {.name = "BlockedPayments"},
    [UNUSUAL] = {.name = "Unusual"},
    [HOURLY] = {.name = "Hourly"},
};

static struct payment *payments;
static size_t n_payments, max_payments;
static char blocked[IDS][24]; /* reason by merchant */

static void *grown(void *p, size_t n_bytes)
{
    void *more = realloc(p, n_bytes);
    if (more == NULL) {
        (void)fputs("check_payments: out of memory\n", stderr);
        exit(2);
    }
    return more;
}

/* ---- reading ---- */

static FILE *open_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        (void)fprintf(stderr, "check_payments: cannot read %s\n", path);
        exit(2);
    }
    return f;
}

static void take_payment(const char *values)
{
    static int32_t latest[IDS]; /* by card: its last payment + 1 */
    struct payment p = {0};
    char *at;
    if (n_payments == max_payments) {
        max_payments = max_payments * 2 + 1024;
        payments = grown(payments, max_payments * sizeof *payments);
    }
    p.ms = strtoll(values, &at, 10);
    p.card = (int32_t)strtol(at + strlen(",\"card-"), &at, 10);
    p.merchant = (int32_t)strtol(at + strlen("\","), &at, 10);
    p.cents = strtoll(at + 1, &at, 10);
    memcpy(p.country, at + 2, 2);
    p.before = latest[p.card] - 1;
    payments[n_payments++] = p;
    latest[p.card] = (int32_t)n_payments;
}

static void take_blocked(const char *merchant)
{
    char *at;
    long id = strtol(merchant, &at, 10);
    const char *reason = at + strlen(",\"reason\":\"");
    (void)snprintf(blocked[id], sizeof blocked[id], "%.*s", (int)strcspn(reason, "\""), reason);
}

static void read_payments(const char *path)
{
    char line[LINE_MAX_BYTES];
    FILE *f = open_file(path);
    while (fgets(line, sizeof line, f) != NULL) {
        const char *values = strchr(line, '[');
        if (values != NULL) {
            take_payment(values + 1);
        } else {
            take_blocked(strstr(line, "\"merchant\":") + strlen("\"merchant\":"));
        }
    }
    (void)fclose(f);
}

/* ---- the loops ---- */

/* One row more that the engine should have: its columns as JSON. */
__attribute__((format(printf, 4, 5))) static void expect(int which, int64_t ms, int64_t cents,
                                                         const char *columns, ...)
{
    struct stream *s = &streams[which];
    if (s->n_bytes + LINE_MAX_BYTES > s->max_bytes) {
        s->max_bytes = s->max_bytes * 2 + 4096;
        s->rows = grown(s->rows, s->max_bytes);
    }
    char *row = s->rows + s->n_bytes;
    int n = snprintf(row, LINE_MAX_BYTES, "{\"stream\":\"%s\",\"ts\":%" PRId64 ",\"data\":{",
                     s->name, ms);
    va_list args;
    va_start(args, columns);
    n += vsnprintf(row + n, LINE_MAX_BYTES - (size_t)n, columns, args);
    va_end(args);
    n += snprintf(row + n, LINE_MAX_BYTES - (size_t)n, "}}\n");
    s->n_bytes += (size_t)n;
    s->n_rows++;
    s->cents += cents;
}

static void high_spend(const struct payment *p)
{
    int64_t sum = 0, n = 0;
    for (const struct payment *q = p; q->ms > p->ms - HOUR_MS; q = &payments[q->before]) {
        sum += q->cents;
        n++;
        if (q->before < 0) {
            break;
        }
    }
    if (sum > 200000) {
        expect(HIGH_SPEND, p->ms, sum,
               "\"card\":\"card-%05d\",\"payments\":%" PRId64 ",\"cents\":%" PRId64, p->card, n,
               sum);
    }
}

static void tried_cards(const struct payment *p)
{
    const struct payment *small[256];
    int n = 0;
    for (int32_t i = p->cents > 50000 ? p->before : -1; i >= 0 && n < 256; i = payments[i].before) {
        const struct payment *q = &payments[i];
        if (q->cents > 50000 || q->ms < p->ms - MINUTE_MS) {
            break;
        }
        if (q->cents < 200) {
            small[n++] = q;
        }
    }
    while (n > 0) {
        const struct payment *q = small[--n];
        expect(TRIED_CARDS, p->ms, p->cents,
               "\"card\":\"card-%05d\",\"first_cents\":%" PRId64 ",\"cents\":%" PRId64
               ",\"after_ms\":%" PRId64,
               p->card, q->cents, p->cents, p->ms - q->ms);
    }
}

static void blocked_payments(const struct payment *p)
{
    if (blocked[p->merchant][0] != '\0') {
        expect(BLOCKED_PAYMENTS, p->ms, p->cents,
               "\"card\":\"card-%05d\",\"merchant\":%d,\"cents\":%" PRId64 ",\"reason\":\"%s\"",
               p->card, p->merchant, p->cents, blocked[p->merchant]);
    }
}

static void unusual(const struct payment *p)
{
    int64_t ten = p->cents;
    int n = 1;
    for (int32_t i = p->before; i >= 0 && n < 10; i = payments[i].before, n++) {
        ten += payments[i].cents;
    }
    if (n == 10 && p->cents * 3 > ten * 2) {
        expect(UNUSUAL, p->ms, p->cents,
               "\"card\":\"card-%05d\",\"cents\":%" PRId64 ",\"ten\":%" PRId64, p->card, p->cents,
               ten);
    }
}

/* The payments i .. end - 1 are those of one hour. */
static void hourly(size_t i, size_t end)
{
    struct {
        const struct payment *last;
        int64_t n, cents;
    } sums[COUNTRIES] = {0};
    int n_sums = 0;
    for (; i < end; i++) {
        const struct payment *p = &payments[i];
        int k = 0;
        while (k < n_sums && strcmp(sums[k].last->country, p->country) != 0) {
            k++;
        }
        n_sums += k == n_sums;
        sums[k].last = p;
        sums[k].n++;
        sums[k].cents += p->cents;
    }
    for (int k = 0; k < n_sums; k++) {
        expect(HOURLY, sums[k].last->ms, sums[k].cents,
               "\"country\":\"%s\",\"payments\":%" PRId64 ",\"cents\":%" PRId64,
               sums[k].last->country, sums[k].n, sums[k].cents);
    }
}

static void run_loops(void)
{
    size_t hour = 0;
    for (size_t i = 0; i < n_payments; i++) {
        const struct payment *p = &payments[i];
        high_spend(p);
        tried_cards(p);
        blocked_payments(p);
        unusual(p);
        if (i + 1 == n_payments || p[1].ms / HOUR_MS != p->ms / HOUR_MS) {
            hourly(hour, i + 1);
            hour = i + 1;
        }
    }
}

/* ---- comparing ---- */

static struct stream *stream_of(const char *line)
{
    static const char begin[] = "{\"stream\":\"";
    for (int k = 0; k < N_STREAMS; k++) {
        size_t n = strlen(streams[k].name);
        if (strncmp(line, begin, sizeof begin - 1) == 0 &&
            strncmp(line + sizeof begin - 1, streams[k].name, n) == 0 &&
            line[sizeof begin - 1 + n] == '"') {
            return &streams[k];
        }
    }
    return NULL;
}

static void compare_row(struct stream *s, const char *line)
{
    const char *row = s->rows + s->at, *cents = strstr(line, "\"cents\":");
    size_t left = s->n_bytes - s->at, n = strlen(line);
    s->engine_rows++;
    s->engine_cents += cents != NULL ? strtoll(cents + strlen("\"cents\":"), NULL, 10) : 0;
    if (s->differs) {
        return;
    }
    if (n > left || memcmp(row, line, n) != 0) {
        s->differs = true;
        (void)fprintf(stderr, "%s, row %" PRId64 " differs\n  engine  %s  loops   %.*s\n", s->name,
                      s->engine_rows, line, left > 0 ? (int)strcspn(row, "\n") : 8,
                      left > 0 ? row : "no row");
        return;
    }
    s->at += n;
}

static bool compare_rows(const char *path)
{
    char line[LINE_MAX_BYTES];
    bool good = true;
    FILE *f = open_file(path);
    while (fgets(line, sizeof line, f) != NULL) {
        struct stream *s = stream_of(line);
        if (s != NULL) {
            compare_row(s, line);
        } else if (good) {
            good = false;
            (void)fprintf(stderr, "a row of no stream of card-alerts.sql: %s", line);
        }
    }
    (void)fclose(f);
    return good;
}

static bool report(struct stream *s)
{
    if (!s->differs && s->at < s->n_bytes) {
        const char *row = s->rows + s->at;
        s->differs = true;
        (void)fprintf(stderr, "%s, row %" PRId64 " is missing\n  loops   %.*s\n", s->name,
                      s->engine_rows + 1, (int)strcspn(row, "\n"), row);
    }
    printf("%-16s %9" PRId64 " %15" PRId64 ".%02d %9" PRId64 " %15" PRId64 ".%02d   %s\n", s->name,
           s->engine_rows, s->engine_cents / 100, (int)(s->engine_cents % 100), s->n_rows,
           s->cents / 100, (int)(s->cents % 100), s->differs ? "DIFFERS" : "agrees");
    return !s->differs;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fputs("usage: check_payments payments.ndjson alerts.ndjson\n", stderr);
        return 2;
    }
    read_payments(argv[1]);
    run_loops();
    bool good = compare_rows(argv[2]);
    printf("%-16s %9s %18s %9s %18s\n", "", "engine", "its sum", "loops", "their sum");
    for (int k = 0; k < N_STREAMS; k++) {
        good = report(&streams[k]) && good;
    }
    return good ? 0 : 1;
}
