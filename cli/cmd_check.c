/* efx check: parses, types, plans; every error with a caret, or the streams' columns. */
#include "cli.h"

#include <stdio.h>

struct check_opts {
    bool json;
    struct cli_settings settings;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .off = offsetof(struct check_opts, json),
     .help = "streams and tables, or errors, as JSON"},
    CLI_SETTINGS(struct check_opts, settings),
    {0},
};

static void print_streams(const struct efx *app)
{
    for (uint32_t i = 0; i < efx_n_streams(app); i++) {
        const struct efx_stream *s = efx_stream_at(app, i);
        if (s->name[0] == '!' || s->name[0] == '#') {
            continue;
        }
        printf("%s %s (", s->is_table ? "table" : "stream", s->name);
        for (uint32_t c = 0; c < s->n_columns; c++) {
            printf("%s%s %s", c > 0 ? ", " : "", s->columns[c].name,
                   efx_type_name((enum efx_type)s->columns[c].type));
        }
        printf(")\n");
    }
}

static int run(int argc, char **argv)
{
    struct check_opts o = {0};
    struct opt_list rest = {0};
    struct efx_options options_of = EFX_OPTIONS_INIT;
    struct efx *app = NULL;
    int status = opts_parse(&cmd_check, argc, argv, &o, &rest);
    status = status < 0 ? cli_options("check", &o.settings, &options_of) : status;
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1) {
        return cli_fail(CLI_USER, "efx check: give one APP.sql");
    }
    status = cli_open("check", rest.v[0], &options_of, o.json, &app);
    if (status >= 0) {
        return status;
    }
    status = efx_has_errors(app) ? CLI_USER : CLI_OK;
    if (o.json) {
        printf("%s\n", efx_check_json(app));
    } else {
        print_streams(app);
    }
    efx_close(&app);
    return status;
}

const struct command cmd_check = {
    .name = "check",
    .args = "APP.sql",
    .help = "parses, types and plans: errors with a caret, or the streams' columns",
    .opts = options,
    .run = run,
};
