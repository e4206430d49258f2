/* WITH of streams and tables (language §4, §17, §18): ${…} replaced, keys known, values read.
 *
 *   keys of every stream   this file, by hand: each has its own place in struct efx_stream_conf
 *   connector, format      their option tables, or, of those that are not built, lists of names
 */
#include "bind.h"

static const char *const stream_keys[] = {"type",
                                          "extension",
                                          "format",
                                          "event.time",
                                          "event.time.format",
                                          "watermark.delay",
                                          "watermark.idle",
                                          "late.policy",
                                          "state.ttl",
                                          "error.strategy",
                                          "error.retry.initial-delay",
                                          "error.retry.backoff",
                                          "error.retry.max-delay",
                                          "error.retry.max-attempts",
                                          "error.dlq.stream",
                                          "error.dlq.fallback-strategy",
                                          "error.dlq.fallback-retry.initial-delay",
                                          "error.dlq.fallback-retry.backoff",
                                          "error.dlq.fallback-retry.max-delay",
                                          "error.dlq.fallback-retry.max-attempts",
                                          "error.log-level",
                                          "on.error",
                                          "fault.stream",
                                          "async.enabled",
                                          "async.buffer_size",
                                          "async.workers",
                                          "async.batch_size_max",
                                          "async.backpressure",
                                          "async.timeout.ms",
                                          "async.max.delay.ms",
                                          "async.failure.threshold",
                                          "async.recovery.ms"};
enum { N_STREAM_KEYS = sizeof stream_keys / sizeof *stream_keys };

/* ---- texts ---- */

struct text {
    char *p; /* NUL behind n bytes */
    size_t n, room;
};

static void append(struct efx_binder *b, struct text *t, struct efx_str more)
{
    if (t->n + more.n + 1 > t->room) {
        size_t room = (t->n + more.n + 1) * 2;
        char *p = BIND_NEW_N(b, char, room);
        if (t->n > 0) {
            memcpy(p, t->p, t->n);
        }
        t->p = p;
        t->room = room;
    }
    if (more.n > 0) {
        memcpy(t->p + t->n, more.p, more.n);
    }
    t->n += more.n;
    t->p[t->n] = '\0';
}

/* NAME or NAME:default, as it stands between the braces; false = not set. */
static bool variable(struct efx_binder *b, const struct efx_ast_prop *prop, struct efx_str inside,
                     struct text *out)
{
    const char *colon = inside.n > 0 ? memchr(inside.p, ':', inside.n) : NULL;
    uint32_t n = colon != NULL ? (uint32_t)(colon - inside.p) : inside.n;
    const char *name = efx_bind__fmt(b, "%.*s", (int)n, inside.p);
    const char *value = b->env(name);
    if (value != NULL) {
        append(b, out, efx_str_of(value));
    } else if (colon != NULL) {
        append(b, out, (struct efx_str){colon + 1, inside.n - n - 1});
    } else {
        efx_diag_add(b->diags, 1109, prop->value_at, efx_bind__fmt(b, "${%s:default}", name),
                     "variable '%s' is not set", name);
        return false;
    }
    return true;
}

/* One value with its variables; false = one is not set. */
static bool expand(struct efx_binder *b, const struct efx_ast_prop *prop, struct efx_str *out)
{
    struct text text = {0};
    struct efx_str v = prop->value;
    append(b, &text, (struct efx_str){"", 0});
    for (uint32_t i = 0; i < v.n;) {
        struct efx_str rest = {v.p + i, v.n - i};
        bool quoted = rest.n >= 3 && memcmp(rest.p, "$${", 3) == 0;
        bool opens = rest.n >= 3 && memcmp(rest.p, "${", 2) == 0;
        const char *end = opens ? memchr(rest.p, '}', rest.n) : NULL;
        if (quoted) {
            append(b, &text, (struct efx_str){"${", 2});
            i += 3;
        } else if (end == NULL) {
            append(b, &text, (struct efx_str){rest.p, 1});
            i++;
        } else {
            struct efx_str inside = {rest.p + 2, (uint32_t)(end - rest.p) - 2};
            if (!variable(b, prop, inside, &text)) {
                return false;
            }
            i += (uint32_t)(end - rest.p) + 1;
        }
    }
    *out = (struct efx_str){text.p, (uint32_t)text.n};
    return true;
}

const struct efx_ast_props *efx_bind__with(struct efx_binder *b, const struct efx_ast_props *with)
{
    struct efx_ast_props *out = BIND_NEW(b, struct efx_ast_props);
    out->at = with->at;
    out->v = BIND_NEW_N(b, struct efx_ast_prop, with->n + 1);
    for (uint32_t i = 0; i < with->n; i++) {
        struct efx_ast_prop p = with->v[i];
        if (efx_bind__prop(out, p.key) != NULL) {
            efx_diag_add(b->diags, 1107, p.key_at, NULL, "property '%s' is there twice", p.key);
            continue;
        }
        if (expand(b, &p, &p.value)) {
            out->v[out->n++] = p;
        }
    }
    return out;
}

const struct efx_ast_prop *efx_bind__prop(const struct efx_ast_props *with, const char *key)
{
    for (uint32_t i = 0; i < with->n; i++) {
        if (strcmp(with->v[i].key, key) == 0) {
            return &with->v[i];
        }
    }
    return NULL;
}

static bool is_key(const char *pattern, const char *key)
{
    size_t n = strlen(pattern);
    bool family = n > 0 && pattern[n - 1] == '*';
    return family ? strncmp(pattern, key, n - 1) == 0 && key[n - 1] != '\0'
                  : strcmp(pattern, key) == 0;
}

void efx_bind__with_keys(struct efx_binder *b, const struct efx_ast_props *with,
                         const char *const *keys, uint32_t n_keys)
{
    for (uint32_t i = 0; i < with->n; i++) {
        const struct efx_ast_prop *p = &with->v[i];
        uint32_t k = 0;
        while (k < n_keys && !is_key(keys[k], p->key)) {
            k++;
        }
        if (k == n_keys) {
            efx_diag_add(b->diags, 1104, p->key_at,
                         efx_diag_nearest(b->diags, efx_str_of(p->key), keys, n_keys),
                         "unknown property '%s'", p->key);
        }
    }
}

struct known { /* keys */
    uint32_t n;
    const char **v;
};

static void know(struct efx_binder *b, struct known *k, const char *key)
{
    k->v = efx_bind__grow(b, k->v, k->n, sizeof *k->v);
    k->v[k->n++] = key;
}

static void know_plugin(struct efx_binder *b, struct known *k, const struct efx_plugin *p)
{
    for (const struct efx_conf_key *c = p->conf; c != NULL && c->name != NULL; c++) {
        know(b, k, c->name);
    }
}

/* "a b* c.*": a, the required b, the family c. */
static void know_list(struct efx_binder *b, struct known *k, const char *list,
                      const struct efx_ast_props *with)
{
    for (const char *p = list; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, " ");
        bool required = n > 1 && p[n - 1] == '*' && p[n - 2] != '.';
        const char *key = efx_bind__fmt(b, "%.*s", (int)(required ? n - 1 : n), p);
        know(b, k, key);
        if (required && efx_bind__prop(with, key) == NULL) {
            efx_diag_add(b->diags, 1106, efx_bind__end_of(with->at), NULL, "missing property '%s'",
                         key);
        }
        p += n + (p[n] == ' ');
    }
}

/* ---- connectors and formats ---- */

struct stream {
    struct efx_binder *b;
    const struct efx_ast_props *with;
    struct efx_bind_name *name;
    struct efx_stream_conf *conf;
    const struct efx_schema *schema;
    struct known known;
};

static const char *text_of(struct stream *s, const struct efx_ast_prop *p)
{
    return efx_bind__fmt(s->b, EFX_STR_FMT, EFX_STR_ARG(p->value));
}

static struct efx_bobject *object_of(struct stream *s)
{
    return s->name->object;
}

static void bind_format(struct stream *s, bool sink, char payload)
{
    struct efx_binder *b = s->b;
    const struct efx_registry *r = b->registry;
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "format");
    if (p == NULL) {
        if (payload == 'r') {
            efx_diag_add(b->diags, 1106, efx_bind__end_of(s->with->at), "format = 'json'",
                         "missing property 'format'");
        }
        return;
    }
    if (payload == 'n') {
        efx_diag_add(b->diags, 1107, p->key_at, NULL, "this connector takes no format");
        return;
    }
    const char *name = text_of(s, p);
    const struct efx_plugin *f = efx_registry_plugin(r->formats, r->n_formats, name);
    const struct efx_bind_connector *absent = efx_bind__absent_format(name);
    if (f != NULL) {
        know_plugin(b, &s->known, f);
        s->conf->format = f;
        s->conf->format_conf = efx_bind__conf_with(b, f, s->with, s->schema);
    } else if (absent != NULL) {
        know_list(b, &s->known, sink ? absent->sink : absent->source, s->with);
        efx_bind__absent(b, p->value_at, "json and csv are there",
                         "the format '%s' is not built yet", name);
    } else {
        efx_diag_add(b->diags, 1108, p->value_at,
                     "formats are json, csv, avro, protobuf, text, bytes", "unknown format '%s'",
                     name);
    }
}

/* All keys of connectors are known where the connector is not: one error is enough. */
static void know_all(struct stream *s)
{
    for (uint32_t i = 0; i < s->with->n; i++) {
        if (strchr(s->with->v[i].key, '.') != NULL) {
            know(s->b, &s->known, s->with->v[i].key);
        }
    }
}

static void bind_connector(struct stream *s, bool sink)
{
    struct efx_binder *b = s->b;
    const struct efx_registry *r = b->registry;
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "extension");
    if (p == NULL) {
        efx_diag_add(b->diags, 1106, efx_bind__end_of(s->with->at), "extension = 'file'",
                     "missing property 'extension'");
        know_all(s);
        return;
    }
    const char *name = text_of(s, p);
    const struct efx_plugin *c = sink ? efx_registry_plugin(r->sinks, r->n_sinks, name)
                                      : efx_registry_plugin(r->sources, r->n_sources, name);
    const struct efx_bind_connector *word = efx_bind__connector(name);
    const char *list = word == NULL ? NULL : sink ? word->sink : word->source;
    if (c == NULL && list == NULL) {
        efx_diag_add(b->diags, 1108, p->value_at, efx_bind__nearest_extension(b, p->value),
                     word == NULL ? "unknown extension '%s'" : "'%s' is no %s", name,
                     sink ? "sink" : "source");
        know_all(s);
        return;
    }
    if (c != NULL) {
        know_plugin(b, &s->known, c);
        s->conf->connector = c;
        s->conf->connector_conf = efx_bind__conf_with(b, c, s->with, s->schema);
        if (sink) {
            know(b, &s->known, "delivery");
        }
    } else {
        know_list(b, &s->known, list, s->with);
        efx_bind__absent(b, p->value_at, NULL, "the connector '%s' is not built yet", name);
    }
    bind_format(s, sink, word == NULL ? 'o' : word->payload);
}

static bool is(const struct efx_ast_prop *p, const char *word)
{
    return p != NULL && efx_str_equal_ci(p->value, efx_str_of(word));
}

static void bad(struct stream *s, const struct efx_ast_prop *p, const char *hint)
{
    efx_diag_add(s->b->diags, 1105, p->value_at, hint, "bad value '" EFX_STR_FMT "' for '%s'",
                 EFX_STR_ARG(p->value), p->key);
}

static void bind_role(struct stream *s)
{
    const struct efx_ast_prop *type = efx_bind__prop(s->with, "type");
    if (is(type, "source") || is(type, "sink")) {
        s->conf->role = is(type, "sink") ? EFX_ROLE_SINK : EFX_ROLE_SOURCE;
        bind_connector(s, is(type, "sink"));
        return;
    }
    if (type != NULL && !is(type, "internal")) {
        bad(s, type, "internal, source or sink");
        know_all(s);
        return;
    }
    static const char *const not_internal[] = {"extension", "format"};
    for (uint32_t i = 0; i < 2; i++) {
        const struct efx_ast_prop *p = efx_bind__prop(s->with, not_internal[i]);
        if (p != NULL) {
            efx_diag_add(s->b->diags, 1107, p->key_at, "type = 'source' or 'sink'",
                         "an internal stream takes no '%s'", p->key);
            know_all(s);
        }
    }
}

/* ---- values ---- */

static void duration(struct stream *s, const char *key, int64_t *out)
{
    const struct efx_ast_prop *p = efx_bind__prop(s->with, key);
    if (p == NULL) {
        return;
    }
    if (!efx_parse_duration(p->value, out)) {
        bad(s, p, "a duration: '5 sec', '100ms'");
    }
}

static void number(struct stream *s, const char *key, int64_t min, int64_t *out)
{
    const struct efx_ast_prop *p = efx_bind__prop(s->with, key);
    int64_t v;
    if (p == NULL) {
        return;
    }
    if (!efx_str_i64(p->value, &v) || v < min) {
        bad(s, p, efx_bind__fmt(s->b, "a whole number, at least %lld", (long long)min));
        return;
    }
    *out = v;
}

static void flag(struct stream *s, const char *key, bool *out)
{
    const struct efx_ast_prop *p = efx_bind__prop(s->with, key);
    if (p != NULL && !is(p, "true") && !is(p, "false")) {
        bad(s, p, "true or false");
    }
    *out = is(p, "true");
}

/* Number of the word in the list, from 0; n = is none of them, and reported. */
static uint32_t one_of(struct stream *s, const struct efx_ast_prop *p, const char *const *words,
                       uint32_t n)
{
    const char *list = "";
    for (uint32_t i = 0; i < n; i++) {
        if (is(p, words[i])) {
            return i;
        }
        list = efx_bind__fmt(s->b, "%s%s%s", list, i > 0 ? ", " : "", words[i]);
    }
    bad(s, p, list);
    return n;
}

static void bind_time(struct stream *s)
{
    struct efx_binder *b = s->b;
    duration(s, "watermark.delay", &s->conf->watermark_delay_ms);
    duration(s, "watermark.idle", &s->conf->watermark_idle_ms);
    const struct efx_ast_prop *idle = efx_bind__prop(s->with, "watermark.idle");
    if (idle != NULL) {
        efx_bind__absent(b, idle->key_at, "leave it out: every stream holds the clock",
                         "watermark.idle is not built yet");
    }
    duration(s, "state.ttl", &s->conf->state_ttl_ms);
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "event.time");
    const struct efx_ast_prop *format = efx_bind__prop(s->with, "event.time.format");
    if (p == NULL) {
        if (format != NULL) {
            efx_diag_add(b->diags, 1106, efx_bind__end_of(s->with->at), NULL,
                         "'event.time.format' needs 'event.time'");
        }
        return;
    }
    b->program->event_time = true;
    if (s->schema == NULL) {
        return;
    }
    uint32_t col = efx_schema_find(s->schema, text_of(s, p));
    if (col == EFX_SCHEMA_NO_COL) {
        bad(s, p, efx_bind__cols_text(b, s->schema));
        return;
    }
    enum efx_type type = s->schema->cols[col].type;
    if (type != EFX_TYPE_LONG && type != EFX_TYPE_STRING) {
        bad(s, p, "a LONG column, or a STRING one with 'event.time.format'");
    } else if (type == EFX_TYPE_STRING && format == NULL) {
        efx_diag_add(b->diags, 1106, efx_bind__end_of(s->with->at), NULL,
                     "a STRING column as time needs 'event.time.format'");
    } else if (type == EFX_TYPE_LONG && format != NULL) {
        efx_diag_add(b->diags, 1107, format->key_at, NULL,
                     "a LONG column as time takes no 'event.time.format'");
    }
    s->conf->event_time_col = col;
    s->conf->event_time_format = format != NULL ? text_of(s, format) : NULL;
}

static void bind_errors(struct stream *s)
{
    static const char *const strategies[] = {"drop", "retry", "dlq", "fail"};
    static const char *const fallbacks[] = {"log", "retry", "", "fail"};
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    struct efx_binder *b = s->b;
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "error.strategy");
    const struct efx_ast_prop *dlq = efx_bind__prop(s->with, "error.dlq.stream");
    uint32_t i = p != NULL ? one_of(s, p, strategies, 4) : 0;
    s->conf->errors = i < 4 ? (enum efx_error_strategy)(EFX_ERRORS_DROP + i) : EFX_ERRORS_DROP;
    if (i == 1) {
        efx_bind__absent(b, p->value_at, "drop, dlq or fail",
                         "error.strategy retry is not built yet");
    }
    bool late = s->conf->late == EFX_LATE_DLQ;
    if ((s->conf->errors == EFX_ERRORS_DLQ || late) && dlq == NULL) {
        efx_diag_add(b->diags, 1106, efx_bind__end_of(s->with->at), NULL,
                     "missing property 'error.dlq.stream'");
    }
    if (dlq != NULL) {
        s->name->dlq = *dlq;
    }
    p = efx_bind__prop(s->with, "error.dlq.fallback-strategy");
    i = p != NULL ? one_of(s, p, fallbacks, 4) : 0;
    s->conf->dlq_fallback =
        i < 4 ? (enum efx_error_strategy)(EFX_ERRORS_DROP + i) : EFX_ERRORS_DROP;
    /* A row into a stream of the same program cannot fail, so no fallback is ever needed. */
    p = efx_bind__prop(s->with, "error.log-level");
    i = p != NULL ? one_of(s, p, levels, 5) : 3;
    s->conf->error_log_level = i < 5 ? levels[i] : "warn";
}

static void bind_on_error(struct stream *s)
{
    static const char *const words[] = {"log", "stream", "store"};
    bool fault = false;
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "on.error");
    uint32_t i = p != NULL ? one_of(s, p, words, 3) : 0;
    flag(s, "fault.stream", &fault);
    if (i == 2) {
        efx_bind__absent(s->b, p->value_at, "on.error = 'stream'",
                         "the error store is not built yet");
    }
    if (fault && p != NULL && i != 1) {
        efx_diag_add(s->b->diags, 1107, p->key_at, NULL,
                     "'fault.stream' = 'true' means 'on.error' = 'stream'");
    }
    s->conf->to_fault_stream = i == 1 || fault;
}

static void bind_late(struct stream *s)
{
    static const char *const words[] = {"keep", "drop", "dlq"};
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "late.policy");
    uint32_t i = p != NULL ? one_of(s, p, words, 3) : 0;
    s->conf->late = i < 3 ? (enum efx_late_policy)(EFX_LATE_KEEP + i) : EFX_LATE_KEEP;
}

static void bind_async(struct stream *s)
{
    static const char *const words[] = {"block",   "block_timeout",   "drop_newest", "drop_oldest",
                                        "backoff", "circuit_breaker", "fail"};
    int64_t hint;
    flag(s, "async.enabled", &s->conf->async);
    number(s, "async.buffer_size", 1, &s->conf->async_buffer);
    number(s, "async.workers", 1, &hint);
    number(s, "async.batch_size_max", 1, &hint);
    number(s, "async.timeout.ms", 0, &s->conf->async_timeout_ms);
    number(s, "async.max.delay.ms", 1, &s->conf->async_max_delay_ms);
    number(s, "async.failure.threshold", 1, &s->conf->async_failure_threshold);
    number(s, "async.recovery.ms", 0, &s->conf->async_recovery_ms);
    const struct efx_ast_prop *p = efx_bind__prop(s->with, "async.backpressure");
    uint32_t i = p != NULL ? one_of(s, p, words, 7) : 0;
    s->conf->pressure = i < 7 ? (enum efx_pressure)(EFX_PRESSURE_BLOCK + i) : EFX_PRESSURE_BLOCK;
    if (i > 0 && i < 7) { /* events wait where they are: nothing is ever dropped */
        efx_bind__absent(s->b, p->value_at, "block", "this back-pressure is not built yet");
    }
}

void efx_bind__with_stream(struct efx_binder *b, const struct efx_ast_props *with,
                           struct efx_bind_name *name)
{
    static const struct efx_schema none = {.name = ""};
    struct efx_stream_conf unused = {.role = EFX_ROLE_INTERNAL};
    struct stream s = {.b = b, .name = name, .conf = &unused, .schema = &none};
    if (object_of(&s) != NULL) {
        s.conf = &object_of(&s)->conf;
        s.schema = &object_of(&s)->schema;
    }
    s.with = efx_bind__with(b, with);
    if (with->n == 0) {
        return;
    }
    s.conf->raw = s.with;
    for (uint32_t i = 0; i < N_STREAM_KEYS; i++) {
        know(b, &s.known, stream_keys[i]);
    }
    bool complete = s.with->n == with->n; /* else a variable was not set: enough is said */
    if (complete) {
        bind_role(&s);
        efx_bind__with_keys(b, s.with, s.known.v, s.known.n);
    }
    s.schema = object_of(&s) != NULL ? s.schema : NULL;
    bind_time(&s);
    bind_late(&s);
    bind_errors(&s);
    bind_on_error(&s);
    bind_async(&s);
}

void efx_bind__with_table(struct efx_binder *b, const struct efx_ast_props *with)
{
    struct known known = {0};
    const struct efx_ast_props *w = efx_bind__with(b, with);
    const struct efx_ast_prop *p = efx_bind__prop(w, "extension");
    know(b, &known, "extension");
    if (p == NULL || is(p, "inMemory")) {
        efx_bind__with_keys(b, w, known.v, known.n);
        return;
    }
    const char *name = efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(p->value));
    const struct efx_bind_connector *absent = efx_bind__absent_table(name);
    if (absent == NULL) {
        efx_diag_add(b->diags, 1108, p->value_at,
                     "kinds are inMemory, cache, sqlite, mysql, postgres, redis, jdbc",
                     "unknown extension '%s'", name);
        return;
    }
    know_list(b, &known, absent->source, w);
    efx_bind__with_keys(b, w, known.v, known.n);
    efx_bind__absent(b, p->value_at, "a table in memory", "tables of kind '%s' are not built yet",
                     name);
}
