/* efx help: the commands, and every option of every connector and format, from their tables. */
#include "cli.h"

#include "efx_io.h"

#include <stdio.h>
#include <string.h>

static const char *kind_text(enum efx_conf_kind kind)
{
    switch (kind) {
    case EFX_CONF_TEXT: return "text";
    case EFX_CONF_LONG: return "number";
    case EFX_CONF_DOUBLE: return "decimal";
    case EFX_CONF_BOOL: return "true|false";
    case EFX_CONF_DURATION: return "duration";
    case EFX_CONF_TIME: return "time";
    case EFX_CONF_BYTES: return "bytes";
    case EFX_CONF_SECRET: return "secret";
    case EFX_CONF_COLUMN: return "column";
    case EFX_CONF_COLUMNS: return "columns";
    }
    return "";
}

static void print_options(const struct efx_plugin *p)
{
    for (const struct efx_conf_key *k = p->conf; k != NULL && k->name != NULL; k++) {
        const char *kind = k->values != NULL ? k->values : kind_text(k->kind);
        printf("  %-*s %s\n", cli_width(k->name, 34), k->name, k->help);
        printf("  %-34s %s", "", kind);
        if (k->otherwise == NULL) {
            printf("; required");
        } else if (k->otherwise[0] != '\0' && strcmp(k->otherwise, "-") != 0) {
            printf("; default %s", k->otherwise);
        }
        printf("\n");
    }
}

static void print_plugin(const char *what, const struct efx_plugin *p)
{
    printf("%s %s\n\n  %s\n", what, p->name, p->help);
    if (p->conf != NULL) {
        printf("\n");
        print_options(p);
    }
}

struct list { /* a kind of thing that has options */
    const char *word;
    const struct efx_plugin *const *v;
    uint32_t n;
};

static uint32_t lists(struct list *out)
{
    const struct efx_registry *r = efx_lib_registry();
    out[0] = (struct list){"source", r->sources, r->n_sources};
    out[1] = (struct list){"sink", r->sinks, r->n_sinks};
    out[2] = (struct list){"format", r->formats, r->n_formats};
    return 3;
}

static void print_list(const struct list *l)
{
    printf("%ss\n", l->word);
    for (uint32_t i = 0; i < l->n; i++) {
        printf("  %-*s %s\n", cli_width(l->v[i]->name, 14), l->v[i]->name, l->v[i]->help);
    }
}

static void print_windows(void)
{
    const struct efx_registry *r = efx_lib_registry();
    printf("windows\n");
    for (uint32_t i = 0; i < r->n_windows; i++) {
        printf("  %-*s %s\n", cli_width(r->windows[i].name, 18), r->windows[i].name,
               r->windows[i].vt->base.help);
    }
}

static int print_window(const char *name)
{
    const struct efx_window_vt *vt = efx_registry_window(efx_lib_registry(), name);
    if (vt == NULL) {
        print_windows();
        return cli_fail(CLI_USER, "efx help: there is no window '%s'", name);
    }
    print_plugin("window", &vt->base);
    return CLI_OK;
}

static void print_commands(void)
{
    printf("efx %s: SQL in, matched events out\n\n", efx_version());
    for (uint32_t i = 0; cli_commands[i] != NULL; i++) {
        const struct command *c = cli_commands[i];
        char left[64];
        (void)snprintf(left, sizeof left, "efx %s %s", c->name, c->args);
        printf("  %-*s %s\n", cli_width(left, 34), left, c->help);
    }
    printf("  %-34s %s\n", "efx --version", "the version");
    printf("\nOptions of a command: efx COMMAND --help. Connectors, formats and windows: efx help "
           "source, efx help sink file, efx help window length.\n");
}

static int print_named(const struct list *l, const char *name)
{
    if (name == NULL) {
        print_list(l);
        return CLI_OK;
    }
    const struct efx_plugin *p = efx_registry_plugin(l->v, l->n, name);
    if (p == NULL) {
        print_list(l);
        return cli_fail(CLI_USER, "efx help: there is no %s '%s'", l->word, name);
    }
    print_plugin(l->word, p);
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    struct opt_list rest = {0};
    struct list all[3];
    char unused;
    int status = opts_parse(&cmd_help, argc, argv, &unused, &rest);
    if (status >= 0) {
        return status;
    }
    if (rest.n == 0) {
        print_commands();
        return CLI_OK;
    }
    const char *name = rest.n > 1 ? rest.v[1] : NULL;
    for (uint32_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, rest.v[0]) == 0) {
            opts_help(cli_commands[i]);
            return CLI_OK;
        }
    }
    for (uint32_t i = 0, n = lists(all); i < n; i++) {
        if (strcmp(all[i].word, rest.v[0]) == 0) {
            return print_named(&all[i], name);
        }
    }
    if (strcmp(rest.v[0], "window") == 0) {
        if (name != NULL) {
            return print_window(name);
        }
        print_windows();
        return CLI_OK;
    }
    return cli_fail(CLI_USER,
                    "efx help: nothing is called '%s'; source, sink, format, window, or a command",
                    rest.v[0]);
}

const struct command cmd_help = {
    .name = "help",
    .args = "[source|sink|format|window [NAME]]",
    .help = "the commands, or all options of a connector, format or window",
    .run = run,
};
