#include "efx_differential.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- comparison ---- */

/* Equal but for numbers, which may differ by 1e-9 of their size if they have a fraction. */
static bool same_line(const char *a, const char *b)
{
    while (*a != 0 && *b != 0) {
        bool digit = isdigit((unsigned char)*a) && isdigit((unsigned char)*b);
        if (!digit) {
            if (*a++ != *b++) {
                return false;
            }
            continue;
        }
        char *end_a;
        char *end_b;
        double x = strtod(a, &end_a);
        double y = strtod(b, &end_b);
        size_t n = (size_t)(end_a - a);
        bool same = end_b - b == end_a - a && memcmp(a, b, n) == 0;
        bool fraction = memchr(a, '.', n) != NULL || memchr(a, 'e', n) != NULL;
        if (!same && (!fraction || fabs(x - y) > 1e-9 * fmax(fabs(x), fabs(y)))) {
            return false;
        }
        a = end_a;
        b = end_b;
    }
    return *a == *b;
}

/* {"stream":"Out",…}: the part up to the comma. */
static size_t stream_bytes(const char *line)
{
    const char *comma = strchr(line, ',');
    return comma != NULL ? (size_t)(comma - line) : strlen(line);
}

/* Place of the first line from `at` on of the stream of `like`; l->n = there is none. */
static uint32_t next_of_stream(const struct efx_lines *l, const char *like, uint32_t at)
{
    size_t n = stream_bytes(like);
    while (at < l->n && (stream_bytes(l->v[at]) != n || memcmp(l->v[at], like, n) != 0)) {
        at++;
    }
    return at;
}

static char *complaint(const char *want, const char *got)
{
    const char *w = want != NULL ? want : "nothing more";
    const char *g = got != NULL ? got : "nothing more";
    size_t n = strlen(w) + strlen(g) + 32;
    char *text = malloc(n);
    snprintf(text, n, "expected %s\n     got %s", w, g);
    return text;
}

static char *stream_differs(const struct efx_lines *want, const struct efx_lines *got,
                            const char *like)
{
    uint32_t w = 0;
    uint32_t g = 0;
    for (;; w++, g++) {
        w = next_of_stream(want, like, w);
        g = next_of_stream(got, like, g);
        const char *x = w < want->n ? want->v[w] : NULL;
        const char *y = g < got->n ? got->v[g] : NULL;
        if (x == NULL && y == NULL) {
            return NULL;
        }
        if (x == NULL || y == NULL || !same_line(x, y)) {
            return complaint(x, y);
        }
    }
}

char *efx_lines_differ(const struct efx_lines *want, const struct efx_lines *got)
{
    char *why = NULL;
    for (uint32_t i = 0; i < want->n && why == NULL; i++) {
        if (next_of_stream(want, want->v[i], 0) == i) {
            why = stream_differs(want, got, want->v[i]);
        }
    }
    for (uint32_t i = 0; i < got->n && why == NULL; i++) {
        if (next_of_stream(want, got->v[i], 0) == want->n) {
            why = complaint(NULL, got->v[i]);
        }
    }
    return why;
}

/* ---- one program in one setting ---- */

struct one {
    const struct efx_engine_run *engine;
    struct efx_run_how how;
};

static bool fails(void *arg, const char *program, const struct efx_lines *events)
{
    const struct one *o = arg;
    struct efx_lines want = {0};
    struct efx_lines got = {0};
    char *why = NULL;
    if (efx_reference_run.run(NULL, &o->how, program, events, &want) &&
        o->engine->run(o->engine->arg, &o->how, program, events, &got)) {
        why = efx_lines_differ(&want, &got);
    }
    efx_lines_free(&want);
    efx_lines_free(&got);
    free(why);
    return why != NULL;
}

static void print_lines(const char *title, const struct efx_lines *l)
{
    fprintf(stderr, "%s\n", title);
    for (uint32_t i = 0; i < l->n; i++) {
        fprintf(stderr, "  %s\n", l->v[i]);
    }
}

static void report(struct one *o, uint64_t seed, char *program, struct efx_lines *events)
{
    efx_shrink(fails, o, &program, events);
    struct efx_lines want = {0};
    struct efx_lines got = {0};
    (void)efx_reference_run.run(NULL, &o->how, program, events, &want);
    (void)o->engine->run(o->engine->arg, &o->how, program, events, &got);
    char *why = efx_lines_differ(&want, &got);
    fprintf(stderr, "seed %llu, steps of %u, %u shards, %u members, %s: the %s differs\n%s\n",
            (unsigned long long)seed, o->how.step_rows, o->how.shards,
            o->how.members > 1 ? o->how.members : 1,
            !o->how.save_each_step ? "never saved"
            : o->how.rescale       ? "rescaled each step"
                                   : "saved each step",
            o->engine->name, why != NULL ? why : "");
    fprintf(stderr, "program\n%s\n", program);
    print_lines("events", events);
    print_lines("reference", &want);
    print_lines(o->engine->name, &got);
    free(why);
    free(program);
    efx_lines_free(&want);
    efx_lines_free(&got);
}

/* ---- many ---- */

static const uint32_t steps[] = {1, 7, 64, 65, 4096};
static const uint32_t shards[] = {1, 2, 5};
enum { SETTINGS = 5 * 3 * 3 };

static struct efx_run_how setting(const struct efx_differential *d, uint32_t i)
{
    return (struct efx_run_how){.step_rows = steps[i % 5],
                                .members = d->members,
                                .shards = shards[i / 5 % 3],
                                .save_each_step = i / 15 % 3 >= 1,
                                .rescale = i / 15 % 3 == 2,
                                .drain_ms = 200};
}

/* True: goes on. */
static bool one_program(const struct efx_differential *d, uint64_t seed,
                        struct efx_differential_result *result)
{
    char *program = efx_random_program(seed, d->features_mask);
    struct efx_lines events = efx_random_events(seed, d->features_mask, d->n_events);
    struct efx_lines want = {0};
    struct efx_run_how how = setting(d, 0);
    bool differs = false;
    result->n_programs++;
    bool skipped = !efx_reference_run.run(NULL, &how, program, &events, &want);
    result->n_rows += want.n;
    uint32_t n_settings = d->unsaved || d->members > 1 ? SETTINGS / 3 : SETTINGS;
    uint32_t first = d->all_settings ? 0 : (uint32_t)(seed % n_settings);
    uint32_t n = d->all_settings ? n_settings : 1;
    for (uint32_t i = first; i < first + n && !differs && !skipped; i++) {
        struct one o = {.engine = d->engine, .how = setting(d, i)};
        struct efx_lines got = {0};
        skipped = !d->engine->run(d->engine->arg, &o.how, program, &events, &got);
        char *why = skipped ? NULL : efx_lines_differ(&want, &got);
        efx_lines_free(&got);
        result->n_runs += !skipped;
        if (why != NULL) {
            differs = true;
            free(why);
            report(&o, seed, program, &events);
            program = NULL;
        }
    }
    result->n_skipped += skipped;
    result->n_differences += differs;
    efx_lines_free(&want);
    efx_lines_free(&events);
    free(program);
    return !differs;
}

struct efx_differential_result efx_differential(const struct efx_differential *d)
{
    struct efx_differential_result result = {0};
    time_t start = time(NULL);
    for (uint32_t i = 0; i < d->n_programs; i++) {
        bool late = d->seconds_max > 0 && time(NULL) - start > (time_t)d->seconds_max;
        if (late || !one_program(d, d->seed + i, &result)) {
            break;
        }
    }
    return result;
}
