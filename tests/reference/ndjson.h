#ifndef NDJSON_H
#define NDJSON_H

#include "efx_bind.h"

/* Event lines for tests (runtime.md §2): one line to one event, one row to one line.
 *
 *   {"stream":"S","ts":1,"data":["a",1]}   {"stream":"S","data":{"v":1}}   {"advance":10}
 *
 *   Owner   texts of values live in the arena
 *   Errors  false: the line cannot be read, *why says so (static text)
 */
struct ndjson_line {
    bool advance;
    int64_t advance_ms;
    const struct efx_bobject *object;
    int64_t ts_ms;            /* EFX_TS_NONE = not given */
    struct efx_value *values; /* [n_cols] */
};

bool ndjson_read(struct efx_arena *arena, const struct efx_program *p, struct efx_str text,
                 struct ndjson_line *out, const char **why);

/* NUL-terminated, without newline. */
const char *ndjson_row(struct efx_arena *arena, const struct efx_bobject *o, int64_t ts_ms,
                       bool expired, const struct efx_value *values);
const char *ndjson_value(struct efx_arena *arena, const struct efx_value *v);

#endif /* NDJSON_H */
