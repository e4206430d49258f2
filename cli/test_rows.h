#ifndef TEST_ROWS_H
#define TEST_ROWS_H

#include "test_file.h"

#include "efx/efx.h"

/* Rows that came out of an app, kept to be compared with those that a test expects.
 *
 *   DOUBLE within 1e-9 of the larger, FLOAT within 1e-6, all else exactly; OBJECT as JSON
 *   but for blanks
 *
 *   Owner  the case's arena
 */
struct test_got {
    int64_t ts_ms;
    bool expired;
    uint32_t n;
    efx_val *v; /* [n] */
    struct test_got *next;
};

struct test_got_stream { /* outlives the app that made the rows */
    const char *name;
    struct test_got *rows, **end;
    struct test_got_stream *next;
};

bool test_row_matches(const struct test_row *want, const struct test_got *got);
/* Prints what differs, a line a row: "  " in both, "- " missing, "+ " not expected. */
bool test_rows_compare(const struct test_step *want, const struct test_got *got, bool print);

/* A value as an event brings it, for a column of that type. */
efx_val test_value_of(struct efx_arena *a, const struct test_value *v, enum efx_val_type type);

#endif /* TEST_ROWS_H */
