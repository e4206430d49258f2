#ifndef TEST_FILE_H
#define TEST_FILE_H

#include "efx_arena.h"
#include "efx_str.h"

/* A .test file (runtime contracts, section 3): SQL, then cases of steps and expectations.
 *
 *   test too late                       a case
 *     B 2   @1001                       an event: stream, values, timestamp
 *     expect Out unordered              an expectation; its rows stand deeper than it does
 *       expired 1, "a,b", null   @5
 *
 * '#' begins a comment. In SQL a line is a comment if '#' and a blank, or '#' alone, begin it,
 * since #x is a name there.
 *
 *   Owner   the arena
 *   Errors  EFX_EPARSE with "FILE:LINE: what is wrong"
 */
enum test_step_kind {
    TEST_EVENT = 1,
    TEST_ADVANCE,
    TEST_CHECKPOINT,
    TEST_RESTART,
    TEST_RESCALE,
    TEST_QUERY,
    TEST_EXPECT,
};
enum test_expect_kind { TEST_ROWS = 1, TEST_UNORDERED, TEST_NOTHING, TEST_COUNT, TEST_ERROR };

struct test_value {
    const char *text; /* unescaped */
    uint32_t n;
    bool quoted; /* then it is a text, whatever it looks like */
};

struct test_row {
    uint32_t line;
    bool expired;
    int64_t ts_ms; /* EFX_TS_NONE: not said */
    uint32_t n;
    struct test_value *v;
    struct test_row *next;
};

struct test_step {
    enum test_step_kind kind;
    enum test_expect_kind expect;
    uint32_t line;
    const char *stream;    /* EVENT, EXPECT; QUERY: the statement */
    int64_t number;        /* ADVANCE ms, RESCALE shards, COUNT rows, ERROR nnnn */
    struct test_row *rows; /* EVENT: one */
    struct test_step *next;
};

struct test_case {
    const char *name;
    uint32_t line;
    struct test_step *steps;
    struct test_case *next;
};

struct test_file {
    const char *path;
    char *sql;
    struct test_case *cases;
};

enum efx_rc test_file_parse(struct efx_arena *a, const char *path, const char *text,
                            struct test_file *out, struct efx_err *err);
/* Values of a row as a file writes them. */
enum efx_rc test_values_parse(struct efx_arena *a, const char *p, const char *end,
                              struct test_row *out, const char **why);

#endif /* TEST_FILE_H */
