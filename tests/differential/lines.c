#include "efx_random_program.h"

#include <stdlib.h>
#include <string.h>

/* Lists of lines, and the shrinker: greedy, larger pieces first, until nothing can go. */

void efx_lines_add(struct efx_lines *l, const char *text)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->v = realloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n++] = strdup(text);
}

void efx_lines_free(struct efx_lines *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        free(l->v[i]);
    }
    free(l->v);
    *l = (struct efx_lines){0};
}

static struct efx_lines without(const struct efx_lines *l, uint32_t from, uint32_t n)
{
    struct efx_lines rest = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        if (i < from || i >= from + n) {
            efx_lines_add(&rest, l->v[i]);
        }
    }
    return rest;
}

static struct efx_lines split(const char *text, const char *by)
{
    struct efx_lines parts = {0};
    char *copy = strdup(text);
    char *at = copy;
    for (char *end; (end = strstr(at, by)) != NULL; at = end + strlen(by)) {
        *end = 0;
        efx_lines_add(&parts, at);
    }
    efx_lines_add(&parts, at);
    free(copy);
    return parts;
}

static char *join(const struct efx_lines *l, const char *by)
{
    size_t n = 1;
    for (uint32_t i = 0; i < l->n; i++) {
        n += strlen(l->v[i]) + strlen(by);
    }
    char *text = calloc(1, n);
    for (uint32_t i = 0; i < l->n; i++) {
        strcat(text, l->v[i]);
        strcat(text, i + 1 < l->n ? by : "");
    }
    return text;
}

struct shrink {
    efx_shrink_fails_fn fails;
    void *arg;
};

/* Statements on lines of their own, or, with the other separator, those inside of blocks. */
static bool drop_statements(const struct shrink *s, char **program, const struct efx_lines *events,
                            const char *by)
{
    bool any = false;
    struct efx_lines parts = split(*program, by);
    for (uint32_t i = parts.n; i-- > 0;) {
        struct efx_lines rest = without(&parts, i, 1);
        char *text = join(&rest, by);
        if (s->fails(s->arg, text, events)) {
            any = true;
            free(*program);
            *program = text;
            efx_lines_free(&parts);
            parts = rest;
        } else {
            free(text);
            efx_lines_free(&rest);
        }
    }
    efx_lines_free(&parts);
    return any;
}

static bool drop_events(const struct shrink *s, const char *program, struct efx_lines *events,
                        uint32_t piece)
{
    bool any = false;
    for (uint32_t from = 0; from < events->n;) {
        uint32_t n = piece < events->n - from ? piece : events->n - from;
        struct efx_lines rest = without(events, from, n);
        if (rest.n > 0 && s->fails(s->arg, program, &rest)) {
            any = true;
            efx_lines_free(events);
            *events = rest;
        } else {
            efx_lines_free(&rest);
            from += n;
        }
    }
    return any;
}

void efx_shrink(efx_shrink_fails_fn fails, void *arg, char **program, struct efx_lines *events)
{
    const struct shrink s = {fails, arg};
    for (bool any = true; any;) {
        any = false;
        for (uint32_t piece = events->n / 2; piece > 0; piece /= 2) {
            any |= drop_events(&s, *program, events, piece);
        }
        any |= drop_statements(&s, program, events, "\n");
        any |= drop_statements(&s, program, events, "; ");
    }
}
