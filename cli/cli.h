#ifndef CLI_H
#define CLI_H

#include "opts.h"

#include "efx_lib.h"

/* The program `efx`: subcommands over the library.
 *
 *   exit status   0 done   1 the work failed   2 the user's input is wrong   70 a bug
 *                 130 a second SIGINT
 *
 *   Order   standard output carries results only; everything said about them goes to standard error
 */
enum cli_status { CLI_OK = 0, CLI_FAILED = 1, CLI_USER = 2, CLI_BUG = 70, CLI_INTERRUPTED = 130 };

extern const struct command cmd_run, cmd_check, cmd_explain, cmd_test, cmd_bench, cmd_submit,
    cmd_subscribe, cmd_query, cmd_cluster, cmd_state, cmd_help;
extern const struct command *const cli_commands[]; /* ends with NULL */

/* For printf's %-*s, which counts bytes: width for a text to fill so many columns. */
int cli_width(const char *text, int columns);

/* One line on standard error; returns the status. */
int cli_fail(enum cli_status status, const char *fmt, ...) EFX_PRINTF(2, 3);

/* Why the library would not; what is not built yet is the user's to know, with its code. */
int cli_refused(const char *command, enum efx_code code, const struct efx_error *err);

/* A whole file, NUL-terminated, or standard input ("-"); NULL and a line on standard error: cannot
 * be read. Free with free(). */
char *cli_read_file(const char *path);

/* --set key=value, of runtime contracts sections 7 and 10. */
struct cli_settings {
    struct opt_list set;
    const char *clock;
    int64_t shards, seed; /* 0: not given */
};
#define CLI_SETTINGS(T, member)                                                                    \
    {.name = "clock",                                                                              \
     .kind = OPT_TEXT,                                                                             \
     .off = offsetof(T, member.clock),                                                             \
     .arg = "system|virtual",                                                                      \
     .values = "system|virtual",                                                                   \
     .help = "whose time windows and timers follow"},                                              \
        {.name = "shards",                                                                         \
         .kind = OPT_NUMBER,                                                                       \
         .off = offsetof(T, member.shards),                                                        \
         .arg = "N",                                                                               \
         .min = 1,                                                                                 \
         .max = EFX_SHARDS_MAX,                                                                    \
         .help = "parallel parts; results are the same for any number"},                           \
        {.name = "seed",                                                                           \
         .kind = OPT_NUMBER,                                                                       \
         .off = offsetof(T, member.seed),                                                          \
         .arg = "N",                                                                               \
         .min = INT64_MIN,                                                                         \
         .max = INT64_MAX,                                                                         \
         .help = "of uuid(); without it another one in each run"},                                 \
    {                                                                                              \
        .name = "set", .kind = OPT_LIST, .off = offsetof(T, member.set), .arg = "KEY=VALUE",       \
        .help = "a configuration key, e.g. application.max_batch=256"                              \
    }

/* "apps/spikes.sql" → "spikes": the name under which a store keeps an app; of the arena. */
const char *cli_app_name(struct efx_arena *a, const char *path);
/* The address of the one place that is named; NULL = none is. */
struct cli_place {
    const char *dir, *sqlite, *redis;
};
const char *cli_place_url(struct efx_arena *a, const struct cli_place *p);

/* persistence.* of --set. */
struct cli_keep_settings {
    int64_t retain, interval_ms; /* 0: not given */
};
/* Takes the keys of checkpoints out of the list; -1: go on, else the exit status. */
int cli_keep_options(const char *command, struct cli_settings *s, struct cli_keep_settings *out);

/* Fills *out from settings; -1: go on, else the exit status. */
int cli_options(const char *command, const struct cli_settings *s, struct efx_options *out);

/* Reads and compiles APP.sql. -1: *out is open, warnings were printed; else the exit status after
 * the messages were. `keep_errors`: a program with errors is handed out, too. */
struct efx_together;
/* The same on a cluster of n members in this process; *out is closed with *together. */
int cli_open_together(const char *command, const char *path, struct efx_options *options,
                      uint32_t n, struct efx_together **together, struct efx **out);
int cli_open(const char *command, const char *path, struct efx_options *options, bool keep_errors,
             struct efx **out);

#endif /* CLI_H */
