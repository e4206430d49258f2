#include "efx_reference.h"

#include <stddef.h>

/* Descriptors of the windows and aggregates that the reference knows: what the binder asks for, and
 * nothing that runs. */

struct one_number {
    int64_t n;
};

struct batch_conf {
    int64_t d, origin;
};

struct session_conf {
    int64_t gap;
    struct efx_conf_cols key;
    int64_t latency;
};

static const struct efx_conf_key count_keys[] = {{.name = "n",
                                                  .kind = EFX_CONF_LONG,
                                                  .arg = 1,
                                                  .off = offsetof(struct one_number, n),
                                                  .min = 1,
                                                  .max = INT32_MAX,
                                                  .help = "rows"},
                                                 {0}};
static const struct efx_conf_key time_keys[] = {{.name = "d",
                                                 .kind = EFX_CONF_DURATION,
                                                 .arg = 1,
                                                 .off = offsetof(struct one_number, n),
                                                 .min = 1,
                                                 .max = INT64_MAX,
                                                 .help = "age"},
                                                {0}};
static const struct efx_conf_key batch_keys[] = {{.name = "d",
                                                  .kind = EFX_CONF_DURATION,
                                                  .arg = 1,
                                                  .off = offsetof(struct batch_conf, d),
                                                  .min = 1,
                                                  .max = INT64_MAX,
                                                  .help = "length"},
                                                 {.name = "origin",
                                                  .kind = EFX_CONF_TIME,
                                                  .arg = 2,
                                                  .off = offsetof(struct batch_conf, origin),
                                                  .otherwise = "-",
                                                  .help = "a boundary"},
                                                 {0}};
static const struct efx_conf_key session_keys[] = {{.name = "gap",
                                                    .kind = EFX_CONF_DURATION,
                                                    .arg = 1,
                                                    .off = offsetof(struct session_conf, gap),
                                                    .min = 1,
                                                    .max = INT64_MAX,
                                                    .help = "silence that ends a session"},
                                                   {.name = "key",
                                                    .kind = EFX_CONF_COLUMNS,
                                                    .arg = 2,
                                                    .off = offsetof(struct session_conf, key),
                                                    .otherwise = "",
                                                    .help = "columns"},
                                                   {.name = "latency",
                                                    .kind = EFX_CONF_DURATION,
                                                    .arg = 3,
                                                    .off = offsetof(struct session_conf, latency),
                                                    .otherwise = "0",
                                                    .help = "wait for late ones"},
                                                   {0}};

#define WINDOW(var, name_, keys, conf_, ...)                                                       \
    static const struct efx_window_vt var = {.base = {.abi = EFX_ABI,                              \
                                                      .vt_bytes = sizeof(var),                     \
                                                      .name = name_,                               \
                                                      .help = name_,                               \
                                                      .conf = keys,                                \
                                                      .conf_bytes = sizeof(struct conf_),          \
                                                      .traits = {__VA_ARGS__}}}

WINDOW(length_window, "length", count_keys, one_number, .many_if_expired = 1, .holds_rows = 1,
       .ordered = 1, .evicts = EFX_EVICTS_BY_ARRIVAL);
WINDOW(time_window, "time", time_keys, one_number, .many_if_expired = 1, .timers = 1,
       .holds_rows = 1, .evicts = EFX_EVICTS_BY_DUE);
WINDOW(length_batch_window, "lengthBatch", count_keys, one_number, .many = 1, .holds_rows = 1,
       .ordered = 1, .flushes = 1, .evicts = EFX_EVICTS_WHOLE);
WINDOW(time_batch_window, "timeBatch", batch_keys, batch_conf, .many = 1, .timers = 1,
       .needs_origin = 1, .holds_rows = 1, .flushes = 1, .evicts = EFX_EVICTS_WHOLE);
WINDOW(session_window, "session", session_keys, session_conf, .many = 1, .timers = 1,
       .holds_rows = 1, .flushes = 1, .evicts = EFX_EVICTS_ANYWHERE);

static const struct efx_registry_window windows[] = {
    {"length", &length_window},        {"time", &time_window},
    {"sliding", &time_window},         {"lengthBatch", &length_batch_window},
    {"timeBatch", &time_batch_window}, {"tumbling", &time_batch_window},
    {"session", &session_window},
};

#define AGG(var, name_, in_, out_)                                                                 \
    static const struct efx_agg_vt var = {.base = {.abi = EFX_ABI,                                 \
                                                   .vt_bytes = sizeof(var),                        \
                                                   .name = name_,                                  \
                                                   .help = name_,                                  \
                                                   .traits = {.removal = EFX_REMOVAL_INVERTIBLE}}, \
                                          .in = EFX_TYPE_##in_,                                    \
                                          .out = EFX_TYPE_##out_,                                  \
                                          .state_bytes = 8}
#define ALL_TYPES(X, name)                                                                         \
    X(name, INT) X(name, LONG) X(name, FLOAT) X(name, DOUBLE) X(name, BOOL) X(name, STRING)
#define NUMBERS(X, name)       X(name, INT) X(name, LONG) X(name, FLOAT) X(name, DOUBLE)
#define GIVES_LONG(name, in)   AGG(name##_##in, #name, in, LONG);
#define GIVES_DOUBLE(name, in) AGG(name##_##in, #name, in, DOUBLE);
#define GIVES_SAME(name, in)   AGG(name##_##in, #name, in, in);

AGG(count_NONE, "count", NONE, LONG);
ALL_TYPES(GIVES_LONG, count)
GIVES_LONG(count, BYTES)
ALL_TYPES(GIVES_LONG, distinctCount)
GIVES_LONG(sum, INT)
GIVES_LONG(sum, LONG)
GIVES_DOUBLE(sum, FLOAT)
GIVES_DOUBLE(sum, DOUBLE)
NUMBERS(GIVES_DOUBLE, avg)
NUMBERS(GIVES_SAME, min)
GIVES_SAME(min, STRING)
NUMBERS(GIVES_SAME, max)
GIVES_SAME(max, STRING)
ALL_TYPES(GIVES_SAME, first)
ALL_TYPES(GIVES_SAME, last)

#define ROW(name, in) &name##_##in,
static const struct efx_agg_vt *const aggs[] = {
    &count_NONE,
    ALL_TYPES(ROW, count) ROW(count, BYTES) ALL_TYPES(ROW, distinctCount) NUMBERS(ROW, sum)
        NUMBERS(ROW, avg) NUMBERS(ROW, min) ROW(min, STRING) NUMBERS(ROW, max) ROW(max, STRING)
            ALL_TYPES(ROW, first) ALL_TYPES(ROW, last)};

const struct efx_registry efx_reference_registry = {
    .windows = windows,
    .n_windows = sizeof windows / sizeof windows[0],
    .aggs = aggs,
    .n_aggs = sizeof aggs / sizeof aggs[0],
};
