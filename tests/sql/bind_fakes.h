#ifndef BIND_FAKES_H
#define BIND_FAKES_H

#include "efx_bind.h"

/* A registry of descriptors without code: what the binder reads of windows, aggregates, functions,
 * connectors and formats. The sql room is below those that have the real ones.
 */
struct fake_conf {
    int64_t a, b, c;
    struct efx_conf_cols cols;
    const char *text, *more;
    bool flag;
};

#define FAKE_ARG(n_, name_, kind_, field_, otherwise_, min_)                                       \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .arg = (n_), .off = offsetof(struct fake_conf, field_),  \
        .otherwise = (otherwise_), .min = (min_)                                                   \
    }

static const struct efx_conf_key fake_n[] = {FAKE_ARG(1, "n", EFX_CONF_LONG, a, NULL, 1), {0}};
static const struct efx_conf_key fake_d[] = {FAKE_ARG(1, "d", EFX_CONF_DURATION, a, NULL, 1), {0}};
static const struct efx_conf_key fake_batch[] = {FAKE_ARG(1, "d", EFX_CONF_DURATION, a, NULL, 1),
                                                 FAKE_ARG(2, "origin", EFX_CONF_TIME, b, "-", 0),
                                                 {0}};
static const struct efx_conf_key fake_session[] = {
    FAKE_ARG(1, "gap", EFX_CONF_DURATION, a, NULL, 1),
    FAKE_ARG(2, "key", EFX_CONF_COLUMNS, cols, "", 0),
    FAKE_ARG(3, "latency", EFX_CONF_DURATION, b, "0", 0),
    {0}};

#define FAKE_WINDOW(var, name_, conf_, flushes_, origin_)                                          \
    static const struct efx_window_vt var = {                                                      \
        .base = {.name = (name_),                                                                  \
                 .conf = (conf_),                                                                  \
                 .conf_bytes = sizeof(struct fake_conf),                                           \
                 .traits = {.flushes = (flushes_), .needs_origin = (origin_)}}}

FAKE_WINDOW(fake_length, "length", fake_n, 0, 0);
FAKE_WINDOW(fake_time, "time", fake_d, 0, 0);
FAKE_WINDOW(fake_length_batch, "lengthBatch", fake_n, 1, 0);
FAKE_WINDOW(fake_time_batch, "timeBatch", fake_batch, 1, 1);
FAKE_WINDOW(fake_session_window, "session", fake_session, 1, 0);

static const struct efx_registry_window fake_windows[] = {
    {"length", &fake_length},          {"time", &fake_time},
    {"sliding", &fake_time},           {"lengthBatch", &fake_length_batch},
    {"timeBatch", &fake_time_batch},   {"tumbling", &fake_time_batch},
    {"session", &fake_session_window},
};

#define FAKE_AGG(var, name_, in_, out_)                                                            \
    static const struct efx_agg_vt var = {.base = {.name = (name_)}, .in = (in_), .out = (out_)}
#define FAKE_AGGS(word, name_, int_, long_, float_, double_)                                       \
    FAKE_AGG(word##_int, name_, EFX_TYPE_INT, int_);                                               \
    FAKE_AGG(word##_long, name_, EFX_TYPE_LONG, long_);                                            \
    FAKE_AGG(word##_float, name_, EFX_TYPE_FLOAT, float_);                                         \
    FAKE_AGG(word##_double, name_, EFX_TYPE_DOUBLE, double_)
#define FAKE_ALL(...) FAKE_ALL_(__VA_ARGS__)
#define FAKE_ALL_(word, name_, int_, long_, float_, double_, text_, bool_)                         \
    FAKE_AGGS(word, name_, int_, long_, float_, double_);                                          \
    FAKE_AGG(word##_text, name_, EFX_TYPE_STRING, text_);                                          \
    FAKE_AGG(word##_bool, name_, EFX_TYPE_BOOL, bool_)
#define FAKE_SAME  EFX_TYPE_INT, EFX_TYPE_LONG, EFX_TYPE_FLOAT, EFX_TYPE_DOUBLE
#define FAKE_LONGS EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_LONG

FAKE_AGG(fake_count_star, "count", EFX_TYPE_NONE, EFX_TYPE_LONG);
FAKE_ALL(fake_count, "count", FAKE_LONGS, EFX_TYPE_LONG, EFX_TYPE_LONG);
FAKE_ALL(fake_distinct, "distinctCount", FAKE_LONGS, EFX_TYPE_LONG, EFX_TYPE_LONG);
FAKE_AGGS(fake_sum, "sum", EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE);
FAKE_AGGS(fake_avg, "avg", EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE);
FAKE_ALL(fake_min, "min", FAKE_SAME, EFX_TYPE_STRING, EFX_TYPE_BOOL);
FAKE_ALL(fake_max, "max", FAKE_SAME, EFX_TYPE_STRING, EFX_TYPE_BOOL);
FAKE_ALL(fake_first, "first", FAKE_SAME, EFX_TYPE_STRING, EFX_TYPE_BOOL);
FAKE_ALL(fake_last, "last", FAKE_SAME, EFX_TYPE_STRING, EFX_TYPE_BOOL);

#define FAKE_ROWS4(word) &word##_int, &word##_long, &word##_float, &word##_double
#define FAKE_ROWS6(word) FAKE_ROWS4(word), &word##_text, &word##_bool
static const struct efx_agg_vt *const fake_aggs[] = {
    &fake_count_star,     FAKE_ROWS6(fake_count), FAKE_ROWS6(fake_distinct),
    FAKE_ROWS4(fake_sum), FAKE_ROWS4(fake_avg),   FAKE_ROWS6(fake_min),
    FAKE_ROWS6(fake_max), FAKE_ROWS6(fake_first), FAKE_ROWS6(fake_last),
};

static const struct efx_conf_key fake_file_keys[] = {
    FAKE_ARG(0, "file.path", EFX_CONF_TEXT, text, NULL, 0),
    {.name = "file.start.position",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct fake_conf, more),
     .otherwise = "beginning",
     .values = "beginning|end"},
    FAKE_ARG(0, "file.poll.interval.ms", EFX_CONF_LONG, a, "500", 1),
    FAKE_ARG(0, "file.follow", EFX_CONF_BOOL, flag, "true", 0),
    {0}};
static const struct efx_conf_key fake_log_keys[] = {
    FAKE_ARG(0, "log.prefix", EFX_CONF_TEXT, text, "[LOG]", 0), {0}};
static const struct efx_conf_key fake_gen_keys[] = {
    FAKE_ARG(0, "datagen.rate", EFX_CONF_LONG, a, "1000", 0),
    {.name = "datagen.*", .kind = EFX_CONF_TEXT},
    {0}};
static const struct efx_plugin fake_file = {
    .name = "file", .conf = fake_file_keys, .conf_bytes = sizeof(struct fake_conf)};
static const struct efx_plugin fake_log = {
    .name = "log", .conf = fake_log_keys, .conf_bytes = sizeof(struct fake_conf)};
static const struct efx_plugin fake_datagen = {
    .name = "datagen", .conf = fake_gen_keys, .conf_bytes = sizeof(struct fake_conf)};
static const struct efx_plugin fake_json = {.name = "json"};
static const struct efx_plugin *const fake_sources[] = {&fake_file, &fake_datagen};
static const struct efx_plugin *const fake_sinks[] = {&fake_log, &fake_file};
static const struct efx_plugin *const fake_formats[] = {&fake_json};

#define FAKE_N(list) (sizeof(list) / sizeof *(list))
static const struct efx_registry fake_registry = {
    .windows = fake_windows,
    .n_windows = FAKE_N(fake_windows),
    .aggs = fake_aggs,
    .n_aggs = FAKE_N(fake_aggs),
    .sources = fake_sources,
    .n_sources = FAKE_N(fake_sources),
    .sinks = fake_sinks,
    .n_sinks = FAKE_N(fake_sinks),
    .formats = fake_formats,
    .n_formats = FAKE_N(fake_formats),
};

/* ---- functions ---- */

static uint16_t fake_need(struct efx_func_types *t, uint32_t i, enum efx_type type)
{
    bool number = type == EFX_TYPE_DOUBLE && efx_type_is_number(t->arg[i]);
    if (t->arg[i] != type && t->arg[i] != EFX_TYPE_NONE && !number) {
        t->bad = i;
        return 1305;
    }
    t->arg[i] = type;
    return 0;
}

static uint16_t fake_same(struct efx_func_types *t)
{
    t->out = t->arg[0];
    t->bad = 0;
    return efx_type_is_number(t->arg[0]) ? 0 : 1305;
}

static uint16_t fake_double(struct efx_func_types *t)
{
    t->out = EFX_TYPE_DOUBLE;
    uint16_t code = fake_need(t, 0, EFX_TYPE_DOUBLE);
    return code != 0 || t->n < 2 ? code : fake_need(t, 1, EFX_TYPE_INT);
}

static uint16_t fake_text(struct efx_func_types *t)
{
    t->out = EFX_TYPE_STRING;
    uint16_t code = fake_need(t, 0, EFX_TYPE_STRING);
    for (uint32_t i = 1; code == 0 && i < t->n; i++) {
        code = fake_need(t, i, EFX_TYPE_INT);
    }
    return code;
}

static uint16_t fake_text_int(struct efx_func_types *t)
{
    t->out = EFX_TYPE_INT;
    return fake_need(t, 0, EFX_TYPE_STRING);
}

static uint16_t fake_concat(struct efx_func_types *t)
{
    t->out = EFX_TYPE_STRING;
    for (uint32_t i = 0; i < t->n; i++) {
        t->arg[i] = EFX_TYPE_STRING;
    }
    return 0;
}

#define FAKE_FUNC(var, name_, min_, max_, resolve_)                                                \
    static const struct efx_func var = {                                                           \
        .name = (name_), .min_args = (min_), .max_args = (max_), .resolve = (resolve_)}
FAKE_FUNC(fake_abs, "abs", 1, 1, fake_same);
FAKE_FUNC(fake_floor, "floor", 1, 1, fake_double);
FAKE_FUNC(fake_ceil, "ceil", 1, 1, fake_double);
FAKE_FUNC(fake_ceiling, "ceiling", 1, 1, fake_double);
FAKE_FUNC(fake_round, "round", 1, 2, fake_double);
FAKE_FUNC(fake_len, "length", 1, 1, fake_text_int);
FAKE_FUNC(fake_char_len, "char_length", 1, 1, fake_text_int);
FAKE_FUNC(fake_upper, "upper", 1, 1, fake_text);
FAKE_FUNC(fake_lower, "lower", 1, 1, fake_text);
FAKE_FUNC(fake_substring, "substring", 2, 3, fake_text);
FAKE_FUNC(fake_substr, "substr", 2, 3, fake_text);
FAKE_FUNC(fake_concat_func, "concat", 1, 255, fake_concat);
const struct efx_func *const efx_funcs[] = {
    &fake_abs,      &fake_floor, &fake_ceil,  &fake_ceiling,   &fake_round,  &fake_len,
    &fake_char_len, &fake_upper, &fake_lower, &fake_substring, &fake_substr, &fake_concat_func};
const uint32_t efx_n_funcs = FAKE_N(efx_funcs);

#endif /* BIND_FAKES_H */
