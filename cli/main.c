/* efx: which subcommand, and what all of them share. */
#include "cli.h"

#include "efx_together.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command *const cli_commands[] = {
    &cmd_run,       &cmd_check, &cmd_explain, &cmd_test,  &cmd_bench, &cmd_submit,
    &cmd_subscribe, &cmd_query, &cmd_cluster, &cmd_state, &cmd_help,  NULL,
};

/* Words of the contract that come with later stages. */
static const char *const absent[] = {"sql", "config", "plugins"};

int cli_refused(const char *command, enum efx_code code, const struct efx_error *err)
{
    if (err->efx == 9001 || code == EFX_RC_SQL) {
        return cli_fail(CLI_USER, "efx %s: EFX-%04u: %s", command, err->efx, err->msg);
    }
    return cli_fail(code == EFX_RC_BUG ? CLI_BUG : CLI_FAILED, "efx %s: %s", command, err->msg);
}

/* ---- settings ---- */

struct setting {
    const char *key;
    int64_t min, max;
    size_t off; /* in struct efx_options, int64_t or as `width` says */
    uint32_t width;
};
#define SETTING(key_, field, min_, max_)                                                           \
    {                                                                                              \
        key_, min_, max_, offsetof(struct efx_options, field),                                     \
            (uint32_t)sizeof(((struct efx_options *)0)->field)                                     \
    }

static const struct setting settings[] = {
    SETTING("application.max_batch", max_batch, 1, EFX_STEP_TURNS_MAX),
    SETTING("application.shards", shards, 1, EFX_SHARDS_MAX),
    SETTING("application.seed", seed, 1, INT64_MAX),
    SETTING("state.max_bytes", state_max_bytes, 1024 * 1024, INT64_MAX),
    SETTING("pattern.max_partials", max_partials, 1, INT64_MAX),
    SETTING("trigger.max_catch_up", max_catch_up, 1, INT64_MAX),
    SETTING("loop.max_rows", loop_max_rows, 1, INT64_MAX),
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

static int unknown_key(const char *command, const char *key)
{
    const char *names[N_SETTINGS + 1];
    for (uint32_t i = 0; i < N_SETTINGS; i++) {
        names[i] = settings[i].key;
    }
    names[N_SETTINGS] = "application.clock";
    const char *near = opts_nearest(key, names, N_SETTINGS + 1);
    return cli_fail(CLI_USER, "efx %s: unknown key '%s'%s%s%s", command, key,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

static int set_key(const char *command, const char *key, const char *value, struct efx_options *out)
{
    int64_t v;
    if (strcmp(key, "application.clock") == 0) {
        bool is_virtual = strcmp(value, "virtual") == 0;
        if (!is_virtual && strcmp(value, "system") != 0) {
            return cli_fail(CLI_USER, "efx %s: application.clock is system or virtual", command);
        }
        out->clock = is_virtual ? EFX_CLOCK_VIRTUAL : EFX_CLOCK_SYSTEM;
        return -1;
    }
    for (uint32_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (strcmp(s->key, key) != 0) {
            continue;
        }
        if (!efx_str_i64(efx_str_of(value), &v) || v < s->min || v > s->max) {
            return cli_fail(CLI_USER, "efx %s: bad value '%s' for %s: a number from %lld to %lld",
                            command, value, key, (long long)s->min, (long long)s->max);
        }
        memcpy((char *)out + s->off, &v, s->width); /* little-endian */
        return -1;
    }
    return unknown_key(command, key);
}

static int keep_key(const char *command, const char *text, int64_t *retain, int64_t *interval_ms)
{
    int64_t v;
    if (strncmp(text, "persistence.retain=", 19) == 0) {
        if (!efx_str_i64(efx_str_of(text + 19), &v) || v < 1 || v > 1000000) {
            return cli_fail(CLI_USER,
                            "efx %s: bad value '%s' for persistence.retain: a number from 1 to "
                            "1000000",
                            command, text + 19);
        }
        *retain = v;
        return -1;
    }
    if (!opts_duration(text + 21, &v) || v < 1) {
        return cli_fail(CLI_USER, "efx %s: bad value '%s' for persistence.interval: a duration",
                        command, text + 21);
    }
    *interval_ms = v;
    return -1;
}

int cli_keep_options(const char *command, struct cli_settings *s, struct cli_keep_settings *out)
{
    uint32_t n = 0;
    int status = -1;
    for (uint32_t i = 0; i < s->set.n; i++) {
        const char *text = s->set.v[i];
        if (strncmp(text, "persistence.retain=", 19) != 0 &&
            strncmp(text, "persistence.interval=", 21) != 0) {
            s->set.v[n++] = text;
        } else if (status < 0) {
            status = keep_key(command, text, &out->retain, &out->interval_ms);
        }
    }
    s->set.n = n;
    return status;
}

int cli_options(const char *command, const struct cli_settings *s, struct efx_options *out)
{
    for (uint32_t i = 0; i < s->set.n; i++) {
        char key[128];
        const char *eq = strchr(s->set.v[i], '=');
        if (eq == NULL || (size_t)(eq - s->set.v[i]) >= sizeof key) {
            return cli_fail(CLI_USER, "efx %s: --set takes KEY=VALUE, not '%s'", command,
                            s->set.v[i]);
        }
        (void)snprintf(key, sizeof key, "%.*s", (int)(eq - s->set.v[i]), s->set.v[i]);
        int status = set_key(command, key, eq + 1, out);
        if (status >= 0) {
            return status;
        }
    }
    if (s->clock != NULL) {
        out->clock = s->clock[0] == 'v' ? EFX_CLOCK_VIRTUAL : EFX_CLOCK_SYSTEM;
    }
    out->shards = s->shards > 0 ? (uint32_t)s->shards : out->shards;
    out->seed = s->seed != 0 ? (uint64_t)s->seed : out->seed;
    return -1;
}

/* What the compiler says goes to standard error; -1: go on. */
static int judge(const char *command, enum efx_code code, const struct efx *app,
                 const struct efx_error *err)
{
    if (app != NULL) {
        (void)fputs(efx_messages(app), stderr);
    }
    if (code == EFX_RC_OK) {
        return -1;
    }
    return app != NULL && efx_has_errors(app) ? CLI_USER : cli_refused(command, code, err);
}

int cli_open_together(const char *command, const char *path, struct efx_options *options,
                      uint32_t n, struct efx_together **together, struct efx **out)
{
    struct efx_error err = {0};
    char *sql = cli_read_file(path);
    if (sql == NULL) {
        return CLI_FAILED;
    }
    options->file = strcmp(path, "-") == 0 ? "standard input" : path;
    options->shards = options->shards == 0 ? 1 : options->shards;
    enum efx_code code = efx_together_open(together, sql, options, n, NULL, &err);
    free(sql);
    *out = efx_together_app(*together);
    int status = judge(command, code, *out, &err);
    if (status >= 0) {
        efx_together_close(together);
        *out = NULL;
    }
    return status;
}

int cli_open(const char *command, const char *path, struct efx_options *options, bool keep_errors,
             struct efx **out)
{
    struct efx_error err = {0};
    char *sql = cli_read_file(path);
    if (sql == NULL) {
        return CLI_FAILED;
    }
    options->file = strcmp(path, "-") == 0 ? "standard input" : path;
    enum efx_code code = efx_open(out, sql, options, &err);
    free(sql);
    bool errors = *out != NULL && efx_has_errors(*out);
    if (errors && keep_errors) {
        return -1;
    }
    int status = judge(command, code, *out, &err);
    if (status >= 0) {
        efx_close(out);
    }
    return status;
}

/* ---- which ---- */

static int unknown_command(const char *word)
{
    const char *names[16];
    uint32_t n = 0;
    for (uint32_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (strcmp(absent[i], word) == 0) {
            return cli_fail(CLI_USER, "efx: '%s' is not built yet", word);
        }
    }
    for (; cli_commands[n] != NULL; n++) {
        names[n] = cli_commands[n]->name;
    }
    const char *near = opts_nearest(word, names, n);
    return cli_fail(CLI_USER, "efx: unknown command '%s'%s%s%s; see efx help", word,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        (void)cmd_help.run(0, argv);
        return CLI_USER;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("efx %s\n", efx_version());
        return CLI_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return cmd_help.run(0, argv);
    }
    for (uint32_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(argv[1], cli_commands[i]->name) == 0) {
            int status = cli_commands[i]->run(argc - 2, argv + 2);
            return fflush(stdout) != 0 && status == CLI_OK && errno != EPIPE ? CLI_FAILED : status;
        }
    }
    return unknown_command(argv[1]);
}
