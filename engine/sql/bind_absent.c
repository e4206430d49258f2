/* What the language has and this build may lack, as far as its form is concerned: windows with
 * their arguments, connectors, formats and table kinds with their keys (language §6, §18). The
 * registry goes first; only what it lacks is looked up here.
 */
#include "bind.h"

/* Enough room for any of the argument lists below; nobody reads it. */
struct any_conf {
    int64_t a, b, c;
    double d, e;
    struct efx_conf_cols cols;
    uint32_t col;
    bool flag;
    const char *text;
};

#define ARG(n_, name_, kind_, field_, otherwise_, min_)                                            \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .arg = (n_), .off = offsetof(struct any_conf, field_),   \
        .otherwise = (otherwise_), .min = (min_)                                                   \
    }

static const struct efx_conf_key one_n[] = {ARG(1, "n", EFX_CONF_LONG, a, NULL, 1), {0}};
static const struct efx_conf_key one_d[] = {ARG(1, "d", EFX_CONF_DURATION, a, NULL, 1), {0}};
static const struct efx_conf_key d_n[] = {
    ARG(1, "d", EFX_CONF_DURATION, a, NULL, 1), ARG(2, "n", EFX_CONF_LONG, b, NULL, 1), {0}};
static const struct efx_conf_key col_d[] = {
    ARG(1, "col", EFX_CONF_COLUMN, col, NULL, 0), ARG(2, "d", EFX_CONF_DURATION, a, NULL, 1), {0}};
static const struct efx_conf_key cols[] = {ARG(1, "col", EFX_CONF_COLUMNS, cols, NULL, 0), {0}};
static const struct efx_conf_key n_cols[] = {
    ARG(1, "n", EFX_CONF_LONG, a, NULL, 1), ARG(2, "col", EFX_CONF_COLUMNS, cols, "", 0), {0}};
static const struct efx_conf_key lossy[] = {ARG(1, "s", EFX_CONF_DOUBLE, d, NULL, 0),
                                            ARG(2, "e", EFX_CONF_DOUBLE, e, "0", 0),
                                            ARG(3, "col", EFX_CONF_COLUMNS, cols, "", 0),
                                            {0}};
static const struct efx_conf_key d_origin[] = {
    ARG(1, "d", EFX_CONF_DURATION, a, NULL, 1), ARG(2, "origin", EFX_CONF_TIME, b, "-", 0), {0}};
static const struct efx_conf_key hop[] = {ARG(1, "size", EFX_CONF_DURATION, a, NULL, 1),
                                          ARG(2, "slide", EFX_CONF_DURATION, b, NULL, 1),
                                          ARG(3, "origin", EFX_CONF_TIME, c, "-", 0),
                                          {0}};
static const struct efx_conf_key external[] = {ARG(1, "col", EFX_CONF_COLUMN, col, NULL, 0),
                                               ARG(2, "d", EFX_CONF_DURATION, a, NULL, 1),
                                               ARG(3, "origin", EFX_CONF_TIME, b, "-", 0),
                                               ARG(4, "timeout", EFX_CONF_DURATION, c, "-", 1),
                                               {0}};
static const struct efx_conf_key session[] = {ARG(1, "gap", EFX_CONF_DURATION, a, NULL, 1),
                                              ARG(2, "key", EFX_CONF_COLUMNS, cols, "", 0),
                                              ARG(3, "latency", EFX_CONF_DURATION, b, "0", 0),
                                              {0}};
static const struct efx_conf_key text[] = {ARG(1, "text", EFX_CONF_TEXT, text, NULL, 0), {0}};
static const struct efx_conf_key maybe_n[] = {ARG(1, "n", EFX_CONF_LONG, a, "0", 1), {0}};
static const struct efx_conf_key cond_flag[] = {
    ARG(1, "cond", EFX_CONF_TEXT, text, NULL, 0),
    ARG(2, "inclusive", EFX_CONF_BOOL, flag, "false", 0),
    {0}};

#define WINDOW(name_, conf_)                                                                       \
    {                                                                                              \
        .name = (name_), .conf = (conf_), .conf_bytes = sizeof(struct any_conf),                   \
    }

static const struct efx_plugin windows[] = {
    WINDOW("length", one_n),
    WINDOW("time", one_d),
    WINDOW("sliding", one_d),
    WINDOW("timeLength", d_n),
    WINDOW("externalTime", col_d),
    WINDOW("sort", NULL), /* its list of columns and words has no table */
    WINDOW("unique", cols),
    WINDOW("firstUnique", cols),
    WINDOW("frequent", n_cols),
    WINDOW("lossyFrequent", lossy),
    WINDOW("lossyCounting", lossy),
    WINDOW("expression", text),
    WINDOW("delay", one_d),
    WINDOW("lengthBatch", one_n),
    WINDOW("timeBatch", d_origin),
    WINDOW("tumbling", d_origin),
    WINDOW("hop", hop),
    WINDOW("externalTimeBatch", external),
    WINDOW("session", session),
    WINDOW("cron", text),
    WINDOW("batch", maybe_n),
    WINDOW("expressionBatch", cond_flag),
};
enum { N_WINDOWS = sizeof windows / sizeof *windows };

const struct efx_plugin *efx_bind__absent_window(const char *name)
{
    for (uint32_t i = 0; i < N_WINDOWS; i++) {
        if (efx_str_equal_ci(efx_str_of(windows[i].name), efx_str_of(name))) {
            return &windows[i];
        }
    }
    return NULL;
}

static const char *const window_names[] = {
    "length",  "time",        "sliding",   "timeLength",     "externalTime",  "sort",
    "unique",  "firstUnique", "frequent",  "lossyFrequent",  "lossyCounting", "expression",
    "delay",   "lengthBatch", "timeBatch", "tumbling",       "hop",           "externalTimeBatch",
    "session", "cron",        "batch",     "expressionBatch"};

uint32_t efx_bind__window_names(const char *const **out)
{
    *out = window_names;
    return sizeof window_names / sizeof *window_names;
}

/* ---- connectors ---- */

#define KAFKA                                                                                      \
    "kafka.bootstrap.servers* kafka.brokers kafka.topic* kafka.security.protocol "                 \
    "kafka.sasl.mechanism kafka.sasl.username kafka.sasl.password "                                \
    "kafka.ssl.ca.location kafka.rdkafka.* "
#define RABBIT                                                                                     \
    "rabbitmq.host* rabbitmq.port rabbitmq.vhost rabbitmq.username rabbitmq.password "             \
    "rabbitmq.tls.enabled rabbitmq.tls.ca "
#define SOCKET                                                                                     \
    "websocket.url* websocket.reconnect websocket.reconnect.delay.ms "                             \
    "websocket.reconnect.max.delay.ms websocket.reconnect.max.attempts "                           \
    "websocket.headers.* websocket.subprotocol "

static const struct efx_bind_connector connectors[] = {
    {"timer", 'n', "timer.interval", NULL},
    {"file", 'r',
     "file.path* file.start.position file.poll.interval.ms file.skip.lines "
     "file.require.exists file.follow",
     "file.path* file.append file.flush.interval.ms file.rotate.size.bytes "
     "file.rotate.interval.ms file.rotate.compression delivery"},
    {"http", 'r',
     "http.mode* http.url http.poll.interval.ms http.method http.timeout.ms "
     "http.headers.* http.port http.host http.path http.auth.header http.auth.token "
     "http.max.concurrent.requests http.max.body.bytes",
     "http.url* http.method http.headers.* http.content.type http.timeout.ms "
     "http.retry.max-attempts http.retry.initial-delay-ms http.retry.max-delay-ms "
     "http.retry.backoff-multiplier http.validation.method delivery"},
    {"kafka", 'r',
     KAFKA "kafka.group.id kafka.group kafka.auto.offset.reset "
           "kafka.enable.auto.commit kafka.poll.timeout.ms",
     KAFKA "kafka.key kafka.acks kafka.enable.idempotence kafka.compression kafka.linger.ms "
           "kafka.batch.size kafka.message.timeout.ms kafka.delivery.sync kafka.flush.timeout.ms "
           "kafka.queue.full.strategy delivery"},
    {"rabbitmq", 'r',
     RABBIT "rabbitmq.queue* rabbitmq.prefetch rabbitmq.consumer.tag "
            "rabbitmq.auto.ack rabbitmq.declare.queue",
     RABBIT "rabbitmq.exchange* rabbitmq.routing.key rabbitmq.content.type rabbitmq.persistent "
            "rabbitmq.mandatory rabbitmq.declare.exchange rabbitmq.exchange.type delivery"},
    {"websocket", 'r', SOCKET "websocket.subscribe", SOCKET "websocket.message.type delivery"},
    {"grpc", 'n', "grpc.stream grpc.auth.token grpc.max.inflight", "grpc.stream delivery"},
    {"redis", 'o',
     "redis.url* redis.stream* redis.field redis.group redis.consumer redis.start "
     "redis.block.ms redis.batch",
     "redis.url* redis.stream* redis.maxlen redis.field delivery"},
    {"datagen", 'n', "datagen.*", NULL},
    {"nexmark", 'n', "nexmark.type* nexmark.rate nexmark.events nexmark.seed nexmark.first.time",
     NULL},
    {"log", 'o', NULL, "log.prefix log.level delivery"},
};
enum { N_CONNECTORS = sizeof connectors / sizeof *connectors };

static const struct efx_bind_connector tables[] = {
    {"inMemory", 'n', "", NULL},
    {"cache", 'n', "max_size* cache.policy cache.ttl", NULL},
    {"sqlite", 'n', "sqlite.path* sqlite.table cache.size cache.policy cache.ttl", NULL},
    {"mysql", 'n', "mysql.* cache.size cache.policy cache.ttl", NULL},
    {"postgres", 'n', "postgres.* cache.size cache.policy cache.ttl", NULL},
    {"redis", 'n', "redis.url* redis.key.prefix redis.ttl cache.size cache.policy cache.ttl", NULL},
    {"jdbc", 'n', "data_source* cache.size cache.policy cache.ttl", NULL},
};

static const struct efx_bind_connector formats[] = {
    {"json", 'n',
     "json.mapping.* json.enclosing-element json.fail-on-missing-attribute "
     "json.ignore-parse-errors json.date-format",
     "json.template json.pretty-print json.timestamp.field json.date-format"},
    {"csv", 'n',
     "csv.delimiter csv.quote csv.escape csv.null csv.has-header csv.mapping.* "
     "csv.ignore-parse-errors",
     "csv.delimiter csv.quote csv.escape csv.null csv.include-header csv.header-names"},
    {"avro", 'n', "avro.schema avro.schema.registry avro.schema.subject avro.schema.version",
     "avro.schema avro.schema.registry avro.schema.subject avro.schema.version"},
    {"protobuf", 'n', "protobuf.descriptor* protobuf.message*",
     "protobuf.descriptor* protobuf.message*"},
    {"text", 'n', "", "text.template"},
    {"bytes", 'n', "bytes.field-index", "bytes.field-index"},
};

static const struct efx_bind_connector *named(const struct efx_bind_connector *list, uint32_t n,
                                              const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (efx_str_equal_ci(efx_str_of(list[i].name), efx_str_of(name))) {
            return &list[i];
        }
    }
    return NULL;
}

const struct efx_bind_connector *efx_bind__connector(const char *name)
{
    return named(connectors, N_CONNECTORS, name);
}

const struct efx_bind_connector *efx_bind__absent_table(const char *name)
{
    return named(tables, sizeof tables / sizeof *tables, name);
}

const struct efx_bind_connector *efx_bind__absent_format(const char *name)
{
    return named(formats, sizeof formats / sizeof *formats, name);
}

const char *efx_bind__nearest_extension(struct efx_binder *b, struct efx_str name)
{
    const char *names[N_CONNECTORS];
    for (uint32_t i = 0; i < N_CONNECTORS; i++) {
        names[i] = connectors[i].name;
    }
    return efx_diag_nearest(b->diags, name, names, N_CONNECTORS);
}
