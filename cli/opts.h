#ifndef OPTS_H
#define OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Options of a command, one row each: parsing, checks and --help come from the same table.
 *
 *   kind       field at `off`         written
 *   FLAG       bool                   --json
 *   TEXT       const char *           --output F        --output=F
 *   LIST       struct opt_list        as TEXT, as often as wanted
 *   NUMBER     int64_t                min .. max
 *   DURATION   int64_t, ms            '5 sec', 100ms, 0
 *   ABSENT     –                      known, not built yet: one line and exit status 2
 *
 *   Owner   texts are argv's
 *   Errors  printed; false
 */
enum opt_kind { OPT_FLAG = 1, OPT_TEXT, OPT_LIST, OPT_NUMBER, OPT_DURATION, OPT_ABSENT };
enum { OPT_LIST_MAX = 64 };

struct opt_list {
    uint32_t n;
    const char *v[OPT_LIST_MAX];
};

struct opt {
    const char *name; /* without the dashes */
    enum opt_kind kind;
    size_t off;
    const char *arg;    /* "FILE"; NULL = a flag */
    const char *values; /* TEXT: "a|b"; NULL = any */
    int64_t min, max;
    const char *help;
};

struct command {
    const char *name;
    const char *program;    /* it is one of its own, without the word efx before it; NULL */
    const char *args;       /* "APP.sql" */
    const char *help;       /* one sentence */
    const struct opt *opts; /* ends with {0} */
    int (*run)(int argc, char **argv);
};

/* Fills the struct at `out`; what is no option goes to rest. -1: go on; else the exit status
 * (--help was printed, or an error). */
int opts_parse(const struct command *c, int argc, char **argv, void *out, struct opt_list *rest);
void opts_help(const struct command *c);
/* A duration as WITH takes it; 0 with any unit, too. */
bool opts_duration(const char *text, int64_t *ms);
/* The name of the list that is nearest, or NULL. */
const char *opts_nearest(const char *name, const char *const *names, uint32_t n);

#endif /* OPTS_H */
