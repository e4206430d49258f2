/* The json format: a line is an object of the stream's columns, or an array of such objects, or, as
 * an event line, says itself which stream it is for.
 */
#define _GNU_SOURCE /* stpcpy */
#include "json.h"
#include "efx_io.h"
#include "efx_lines.h"

#include <stdlib.h>

#define OPTION(name_, kind_, field, otherwise_, help_)                                             \
    {                                                                                              \
        .name = "json." name_, .kind = kind_, .off = offsetof(struct json_conf, field),            \
        .otherwise = otherwise_, .help = help_                                                     \
    }

static const struct efx_conf_key options[] = {
    {.name = "json.mapping.*",
     .kind = EFX_CONF_TEXT,
     .otherwise = "",
     .help = "path of a column's value, members and [i]; without it the column's name"},
    OPTION("enclosing-element", EFX_CONF_TEXT, enclosing, "",
           "path of the array or object that holds the events"),
    OPTION("fail-on-missing-attribute", EFX_CONF_BOOL, fail_on_missing, "false",
           "a field that is absent is a data error, else NULL"),
    OPTION("ignore-parse-errors", EFX_CONF_BOOL, ignore_parse_errors, "false",
           "payloads that are no JSON are left out and not counted"),
    OPTION("date-format", EFX_CONF_TEXT, date_format, "ISO 8601",
           "pattern of columns declared TIMESTAMP, DATETIME, DATE, TIME"),
    OPTION("template", EFX_CONF_TEXT, template, "",
           "sink: text with {{column}} and {{_timestamp}}, values as JSON"),
    OPTION("pretty-print", EFX_CONF_BOOL, pretty, "false", "sink: over several lines"),
    OPTION("timestamp.field", EFX_CONF_TEXT, timestamp_field, "_timestamp",
           "sink: member with the event's timestamp; empty: none"),
    {0},
};

/* ---- tables made at open ---- */

/* The text may be read by words: 8 bytes behind it are there. */
static struct efx_str key_of(struct efx_arena *a, const char *before, const char *name,
                             const char *behind)
{
    size_t n = strlen(name);
    char *text = efx_arena_bytes(a, strlen(before) + n * 6 + strlen(behind) + 16);
    if (text == NULL) {
        return (struct efx_str){NULL, 0};
    }
    char *o = stpcpy(text, before);
    o = efx_json_put_string(o, name, (uint32_t)n);
    o = stpcpy(o, behind);
    return (struct efx_str){text, (uint32_t)(o - text)};
}

/* "$.a.b[2]" or "a.b"; the text stays. */
static bool path_of(struct efx_arena *a, struct efx_str text, struct json_path *out)
{
    const char *p = text.p, *end = text.p + text.n;
    p += text.n > 0 && *p == '$';
    out->steps = EFX_NEW_N(a, struct json_step, text.n + 1);
    if (out->steps == NULL) {
        return false;
    }
    while (p < end) {
        struct json_step *step = &out->steps[out->n++];
        if (*p == '[') {
            char *after;
            step->item = (uint32_t)strtoul(p + 1, &after, 10);
            if (after == p + 1 || after >= end || *after != ']') {
                return false;
            }
            p = after + 1;
            continue;
        }
        p += *p == '.';
        const char *from = p;
        while (p < end && *p != '.' && *p != '[') {
            p++;
        }
        *step = (struct json_step){.name = {from, (uint32_t)(p - from)}};
        if (step->name.n == 0) {
            return false;
        }
    }
    return true;
}

static enum efx_rc map_column(struct json_format *f, const struct efx_format_open *how,
                              struct json_stream *st, const struct efx_prop *p, struct efx_err *err)
{
    const char *name = p->key + sizeof "json.mapping." - 1;
    uint32_t c = efx_schema_find(st->schema, name);
    if (c == EFX_SCHEMA_NO_COL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1105, "'%s': stream %s has no column '%s'",
                        p->key, st->schema->name, name);
    }
    if (st->maps == NULL) {
        st->maps = EFX_NEW_N(how->arena, struct json_path, st->schema->n_cols);
    }
    if (st->maps == NULL || !path_of(how->arena, p->value, &st->maps[c])) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1105, "'%s': bad path '" EFX_STR_FMT "'",
                        p->key, EFX_STR_ARG(p->value));
    }
    f->plain = false;
    return EFX_OK;
}

static enum efx_rc open_stream(struct json_format *f, const struct efx_format_open *how, uint32_t s)
{
    struct json_stream *st = &f->streams[s];
    const struct efx_schema *schema = how->streams[s];
    st->schema = schema;
    if (schema == NULL) {
        return EFX_OK;
    }
    struct efx_arena *a = how->arena;
    st->name = efx_str_of(schema->name);
    st->keys = EFX_NEW_N(a, struct efx_str, schema->n_cols + 1);
    st->heads = EFX_NEW_N(a, struct efx_str, schema->n_cols + 1);
    if (st->keys == NULL || st->heads == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        const char *name = schema->cols[c].name;
        st->keys[c] = key_of(a, "", name, "");
        st->heads[c] = key_of(a, c > 0 ? "," : f->events ? "\"data\":{" : "{", name, ":");
        if (st->keys[c].p == NULL || st->heads[c].p == NULL) {
            return EFX_ENOMEM;
        }
    }
    st->prefix = f->events ? key_of(a, "{\"stream\":", schema->name, ",\"ts\":")
                 : f->conf.timestamp_field[0] != '\0' ? key_of(a, ",", f->conf.timestamp_field, ":")
                                                      : (struct efx_str){"", 0};
    return st->prefix.p == NULL ? EFX_ENOMEM : EFX_OK;
}

/* ---- template ---- */

static enum efx_rc open_template(struct json_format *f, const struct efx_format_open *how,
                                 struct efx_err *err)
{
    const char *p = f->conf.template;
    const struct efx_schema *schema = f->streams[f->first].schema;
    f->pieces = EFX_NEW_N(how->arena, struct json_piece, strlen(p) / 2 + 2);
    if (f->pieces == NULL) {
        return EFX_ENOMEM;
    }
    while (*p != '\0') {
        const char *open = strstr(p, "{{");
        const char *close = open == NULL ? NULL : strstr(open, "}}");
        size_t n = close == NULL ? strlen(p) : (size_t)(open - p);
        if (n > 0) {
            f->pieces[f->n_pieces++] =
                (struct json_piece){{p, (uint32_t)n}, (uint32_t)JSON_PIECE_TEXT};
        }
        if (close == NULL) {
            return EFX_OK;
        }
        const char *name = efx_arena_str(how->arena, open + 2, (size_t)(close - open) - 2);
        uint32_t c = name == NULL ? EFX_SCHEMA_NO_COL : efx_schema_find(schema, name);
        if (name == NULL || (c == EFX_SCHEMA_NO_COL && strcmp(name, "_timestamp") != 0)) {
            return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1105,
                            "'json.template': stream %s has no column '%s'", schema->name,
                            name == NULL ? "" : name);
        }
        f->pieces[f->n_pieces++] = (struct json_piece){{NULL, 0}, c};
        p = close + 2;
    }
    return EFX_OK;
}

static enum efx_rc open_any(struct efx_format *self, const struct efx_format_open *how,
                            struct efx_err *err)
{
    struct json_format *f = (struct json_format *)self;
    f->plain = f->conf.enclosing[0] == '\0' && !f->conf.fail_on_missing;
    f->n_streams = how->n_streams;
    f->streams = EFX_NEW_N(how->arena, struct json_stream, how->n_streams + 1);
    if (f->streams == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t s = 0; s < how->n_streams; s++) {
        EFX_RET(open_stream(f, how, s));
        if (how->streams[s] != NULL && f->streams[f->first].schema == NULL) {
            f->first = s;
        }
    }
    for (uint32_t i = 0; i < how->n_props; i++) {
        if (strncmp(how->props[i].key, "json.mapping.", sizeof "json.mapping." - 1) == 0) {
            EFX_RET(map_column(f, how, &f->streams[f->first], &how->props[i], err));
        }
    }
    if (!path_of(how->arena, efx_str_of(f->conf.enclosing), &f->enclosing)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1105,
                        "'json.enclosing-element': bad path '%s'", f->conf.enclosing);
    }
    return f->conf.template[0] != '\0' ? open_template(f, how, err) : EFX_OK;
}

static const struct json_conf defaults = {
    .enclosing = "", .date_format = "ISO 8601", .template = "", .timestamp_field = "_timestamp"};

static enum efx_rc open_json(struct efx_format *self, const struct efx_format_open *how,
                             struct efx_err *err)
{
    struct json_format *f = (struct json_format *)self;
    f->conf = how->conf == NULL ? defaults : *(const struct json_conf *)how->conf;
    return open_any(self, how, err);
}

static enum efx_rc open_events(struct efx_format *self, const struct efx_format_open *how,
                               struct efx_err *err)
{
    struct json_format *f = (struct json_format *)self;
    f->conf = defaults;
    f->events = true;
    return open_any(self, how, err);
}

/* ---- decode ---- */

const struct json_stream *efx_json__stream(const struct json_format *f, struct efx_str name,
                                           uint32_t *hint)
{
    if (*hint < f->n_streams && f->streams[*hint].schema != NULL &&
        efx_str_equal(f->streams[*hint].name, name)) {
        return &f->streams[*hint];
    }
    for (uint32_t s = 0; s < f->n_streams; s++) {
        if (f->streams[s].schema != NULL && efx_str_equal(f->streams[s].name, name)) {
            *hint = s;
            return &f->streams[s];
        }
    }
    return NULL;
}

static bool is_blank(const struct efx_line *line)
{
    for (size_t i = 0; i < line->n; i++) {
        if (strchr(" \t\r", line->p[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static enum efx_rc decode_line(const struct json_format *f, const struct efx_line *line,
                               struct efx_decode *d, struct efx_builder *out)
{
    struct json_line l = {.f = f,
                          .b = out,
                          .p = line->p,
                          .n = line->n,
                          .no = line->no,
                          .ts_ms = line->msg->ts_ms,
                          .n_events = &d->n_events,
                          .skip = d->n_events};
    if (line->msg->code != 0 || line->n > EFX_MESSAGE_BYTES_MAX) {
        return efx_builder_reject(out, f->events ? (uint16_t)EFX_TURN_REJECT : (uint16_t)f->first,
                                  line->msg->code != 0 ? line->msg->code : 3001, line->no, line->p,
                                  line->n);
    }
    enum efx_rc rc = f->plain && d->n_events == 0 ? efx_json__fast(&l) : EFX_DONE;
    if (rc == EFX_DONE) {
        rc = is_blank(line) ? EFX_OK : efx_json__slow(&l);
    }
    return rc;
}

static enum efx_rc decode(const struct efx_format *self, struct efx_decode *d,
                          struct efx_builder *out)
{
    const struct json_format *f = (const struct json_format *)self;
    struct efx_line line;
    while (efx_lines_next(d, &line)) {
        EFX_RET(decode_line(f, &line, d, out));
        efx_lines_done(d, &line);
    }
    return EFX_OK;
}

static void close_json(struct efx_format *self)
{
    (void)self;
}

static void no_head(const struct efx_format *self, uint16_t stream, struct efx_writer *w)
{
    (void)self;
    (void)stream;
    (void)w;
}

const struct efx_format_vt efx_json_format_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_format_vt),
             .name = "json",
             .help = "one JSON object an event; an array of them is several",
             .conf = options,
             .conf_bytes = sizeof(struct json_conf),
             .self_bytes = sizeof(struct json_format)},
    .open = open_json,
    .cut = efx_lines_cut,
    .decode = decode,
    .head = no_head,
    .encode = efx_json__encode,
    .close = close_json,
};

const struct efx_format_vt efx_events_format_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_format_vt),
             .name = "events",
             .help = "event lines: {\"stream\":…,\"ts\":…,\"data\":{…}}",
             .self_bytes = sizeof(struct json_format)},
    .open = open_events,
    .cut = efx_lines_cut,
    .decode = decode,
    .head = no_head,
    .encode = efx_json__encode,
    .close = close_json,
};
