/* Options: parsing and --help. */
#include "opts.h"

#include "cli.h"

#include "efx_ast.h"
#include "efx_str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool opts_duration(const char *text, int64_t *ms)
{
    if (efx_parse_duration(efx_str_of(text), ms)) {
        return true;
    }
    const char *p = text;
    while (*p == '0') {
        p++;
    }
    bool zero = p > text;
    while (*p == ' ' || isalpha((unsigned char)*p)) {
        p++;
    }
    *ms = 0;
    return zero && *p == '\0';
}

const char *opts_nearest(const char *name, const char *const *names, uint32_t n)
{
    const char *best = NULL;
    uint32_t least = (uint32_t)strlen(name) / 3 + 2;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = efx_str_distance(efx_str_of(name), efx_str_of(names[i]), least);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

/* How the user has called it. */
static const char *who(const struct command *c)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "efx %s", c->name);
    return c->program != NULL ? c->program : text;
}

int cli_width(const char *text, int columns)
{
    for (; *text != '\0'; text++) {
        columns += ((unsigned char)*text & 0xC0) == 0x80;
    }
    return columns;
}

void opts_help(const struct command *c)
{
    printf("%s%s%s\n\n  %s\n\n", who(c), c->args[0] != '\0' ? " " : "", c->args, c->help);
    for (const struct opt *o = c->opts; o != NULL && o->name != NULL; o++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg != NULL ? " " : "",
                       o->arg != NULL ? o->arg : "");
        printf("  %-*s %s%s%s%s\n", cli_width(left, 28), left, o->help,
               o->values != NULL ? ": " : "", o->values != NULL ? o->values : "",
               o->kind == OPT_ABSENT ? " (not built yet)" : "");
    }
    printf("  %-28s %s\n", "--help", "this text");
}

static bool among(const char *values, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = values; p != NULL;
         p = strchr(p, '|') != NULL ? strchr(p, '|') + 1 : NULL) {
        if (strncmp(p, word, n) == 0 && (p[n] == '|' || p[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static const struct opt *find(const struct command *c, const char *name, size_t n)
{
    for (const struct opt *o = c->opts; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) {
            return o;
        }
    }
    return NULL;
}

static int unknown(const struct command *c, const char *name)
{
    const char *names[64];
    uint32_t n = 0;
    for (const struct opt *o = c->opts; o != NULL && o->name != NULL && n < 64; o++) {
        names[n++] = o->name;
    }
    const char *near = opts_nearest(name, names, n);
    if (near != NULL) {
        return cli_fail(CLI_USER, "%s: unknown option --%s; did you mean --%s?", who(c), name,
                        near);
    }
    return cli_fail(CLI_USER, "%s: unknown option --%s; see %s --help", who(c), name, who(c));
}

static int set(const struct command *c, const struct opt *o, const char *text, void *out)
{
    void *field = (char *)out + o->off;
    struct opt_list *list = field;
    int64_t v;
    switch (o->kind) {
    case OPT_FLAG: *(bool *)field = true; return -1;
    case OPT_TEXT:
        if (o->values != NULL && !among(o->values, text)) {
            return cli_fail(CLI_USER, "%s: bad value '%s' for --%s: %s", who(c), text, o->name,
                            o->values);
        }
        *(const char **)field = text;
        return -1;
    case OPT_LIST:
        if (list->n == OPT_LIST_MAX) {
            return cli_fail(CLI_USER, "%s: more than %d times --%s", who(c), OPT_LIST_MAX, o->name);
        }
        list->v[list->n++] = text;
        return -1;
    case OPT_NUMBER:
        if (!efx_str_i64(efx_str_of(text), &v) || v < o->min || v > o->max) {
            return cli_fail(CLI_USER, "%s: bad value '%s' for --%s: a number from %lld to %lld",
                            who(c), text, o->name, (long long)o->min, (long long)o->max);
        }
        *(int64_t *)field = v;
        return -1;
    case OPT_DURATION:
        if (!opts_duration(text, field)) {
            return cli_fail(CLI_USER, "%s: bad duration '%s' for --%s: like 100ms or '5 sec'",
                            who(c), text, o->name);
        }
        return -1;
    case OPT_ABSENT: return cli_fail(CLI_USER, "%s: --%s is not built yet", who(c), o->name);
    }
    return CLI_BUG;
}

int opts_parse(const struct command *c, int argc, char **argv, void *out, struct opt_list *rest)
{
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            opts_help(c);
            return CLI_OK;
        }
        if (strncmp(a, "--", 2) != 0) {
            if (rest->n == OPT_LIST_MAX) {
                return cli_fail(CLI_USER, "%s: too many arguments", who(c));
            }
            rest->v[rest->n++] = a;
            continue;
        }
        const char *eq = strchr(a, '=');
        size_t n = eq != NULL ? (size_t)(eq - a) - 2 : strlen(a) - 2;
        const struct opt *o = find(c, a + 2, n);
        if (o == NULL) {
            return unknown(c, a + 2);
        }
        bool takes = o->arg != NULL;
        if (eq != NULL && !takes) {
            return cli_fail(CLI_USER, "%s: --%s takes no value", who(c), o->name);
        }
        if (takes && eq == NULL && i + 1 == argc && o->kind != OPT_ABSENT) {
            return cli_fail(CLI_USER, "%s: --%s needs %s", who(c), o->name, o->arg);
        }
        const char *text = eq != NULL ? eq + 1 : takes && i + 1 < argc ? argv[++i] : NULL;
        int status = set(c, o, text, out);
        if (status >= 0) {
            return status;
        }
    }
    return -1;
}
