/* The csv format: RFC 4180 with a choice of characters.
 *
 *   a,"b, with ""quotes""
 *   and a second line",,7        a field in quotes may hold anything; an empty one without is NULL
 *
 * A record ends with a line end outside quotes, so the chunk is cut there and a record's number is
 * that of its first line. Quotes are looked at from the beginning of the stretch: cut and decode
 * read alike.
 *
 *   Limits  CSV_FIELDS_MAX fields a record
 */
#include "csv.h"

#include "efx_io.h"
#include "efx_lines.h"
#include "efx_put.h"

#include <stdlib.h>

#define OPTION(name_, kind_, field, otherwise_, help_)                                             \
    {                                                                                              \
        .name = "csv." name_, .kind = kind_, .off = offsetof(struct csv_conf, field),              \
        .otherwise = otherwise_, .help = help_                                                     \
    }

static const struct efx_conf_key options[] = {
    OPTION("delimiter", EFX_CONF_TEXT, delimiter, ",",
           "one character between fields; \\t is a tab"),
    OPTION("quote", EFX_CONF_TEXT, quote, "\"", "one character around fields that need it"),
    OPTION("escape", EFX_CONF_TEXT, escape, "\"", "one character before a quote inside quotes"),
    OPTION("null", EFX_CONF_TEXT, null, "", "text, without quotes, that stands for NULL"),
    OPTION("has-header", EFX_CONF_BOOL, has_header, "false", "the first line names the columns"),
    {.name = "csv.mapping.*",
     .kind = EFX_CONF_TEXT,
     .otherwise = "",
     .help = "index of a column's field from 0, or its name in the header"},
    OPTION("ignore-parse-errors", EFX_CONF_BOOL, ignore_parse_errors, "false",
           "lines that cannot be read are left out and not counted"),
    OPTION("include-header", EFX_CONF_BOOL, include_header, "false",
           "sink: the file begins with the columns' names"),
    OPTION("header-names", EFX_CONF_TEXT, header_names, "", "sink: those names, with commas"),
    {0},
};

static const struct csv_conf defaults = {
    .delimiter = ",", .quote = "\"", .escape = "\"", .null = "", .header_names = ""};

static char one(const char *text)
{
    return strcmp(text, "\\t") == 0 ? '\t' : text[0];
}

/* ---- open ---- */

static enum efx_rc map_column(struct csv_format *f, const struct efx_prop *p, struct efx_err *err)
{
    const char *name = p->key + sizeof "csv.mapping." - 1;
    uint32_t c = efx_schema_find(f->schema, name);
    int64_t index;
    if (c == EFX_SCHEMA_NO_COL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1105, "'%s': stream %s has no column '%s'",
                        p->key, f->schema->name, name);
    }
    if (efx_str_i64(p->value, &index) && index >= 0 && index < CSV_FIELDS_MAX) {
        f->field_of[c] = (uint32_t)index;
    } else if (f->conf.has_header) {
        f->header_of[c] = p->value;
    } else {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1105,
                        "'%s': '" EFX_STR_FMT "' is no index, and there is no header", p->key,
                        EFX_STR_ARG(p->value));
    }
    f->mapped = true;
    return EFX_OK;
}

static enum efx_rc open_csv(struct efx_format *self, const struct efx_format_open *how,
                            struct efx_err *err)
{
    struct csv_format *f = (struct csv_format *)self;
    f->conf = how->conf == NULL ? defaults : *(const struct csv_conf *)how->conf;
    f->delimiter = one(f->conf.delimiter);
    f->quote = one(f->conf.quote);
    f->escape = f->conf.escape[0] == '\0' ? f->quote : one(f->conf.escape);
    f->null = efx_str_of(f->conf.null);
    for (uint32_t s = 0; s < how->n_streams && f->schema == NULL; s++) {
        f->schema = how->streams[s];
        f->stream = (uint16_t)s;
    }
    uint32_t n = f->schema == NULL ? 0 : f->schema->n_cols;
    f->field_of = EFX_NEW_N(how->arena, uint32_t, n + 1);
    f->header_of = EFX_NEW_N(how->arena, struct efx_str, n + 1);
    if (f->field_of == NULL || f->header_of == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < n; c++) {
        f->field_of[c] = c;
    }
    for (uint32_t i = 0; i < how->n_props; i++) {
        if (strncmp(how->props[i].key, "csv.mapping.", sizeof "csv.mapping." - 1) == 0) {
            EFX_RET(map_column(f, &how->props[i], err));
        }
    }
    return EFX_OK;
}

/* ---- records ---- */

/* Behind the record at p, its line end included; NULL = has none. *n_lines: that it spans. */
static const char *record_end(const struct csv_format *f, const char *p, const char *end,
                              uint32_t *n_lines)
{
    bool quoted = false, begins = true; /* a field */
    *n_lines = 0;
    for (; p < end; p++) {
        *n_lines += *p == '\n';
        if (quoted) {
            bool pair =
                *p == f->escape && p + 1 < end && (f->escape != f->quote || p[1] == f->quote);
            if (pair) {
                *n_lines += *++p == '\n';
            } else if (*p == f->quote) {
                quoted = false;
            }
            begins = false;
            continue;
        }
        if (*p == '\n') {
            return p + 1;
        }
        quoted = begins && *p == f->quote;
        begins = *p == f->delimiter;
    }
    return NULL;
}

static size_t cut(const struct efx_format *self, struct efx_bytes bytes)
{
    const struct csv_format *f = (const struct csv_format *)self;
    const char *p = (const char *)bytes.p, *end = p + bytes.n;
    uint32_t n_lines;
    for (const char *next; (next = record_end(f, p, end, &n_lines)) != NULL;) {
        p = next;
    }
    return (size_t)(p - (const char *)bytes.p);
}

/* The field at *p, taken; in quotes its text is put together in the builder's heap. */
static bool next_field(const struct csv_format *f, const char **p, const char *end,
                       struct efx_arena *heap, struct csv_field *out)
{
    const char *q = *p;
    *out = (struct csv_field){.quoted = q < end && *q == f->quote};
    if (!out->quoted) {
        const char *stop = memchr(q, f->delimiter, (size_t)(end - q));
        stop = stop == NULL ? end : stop;
        out->text = (struct efx_str){q, (uint32_t)(stop - q)};
        *p = stop;
        return memchr(q, f->quote, (size_t)(stop - q)) == NULL;
    }
    q++;
    const char *from = q;
    bool plain = true;
    while (q < end &&
           !(*q == f->quote && !(f->escape == f->quote && q + 1 < end && q[1] == f->quote))) {
        bool pair = *q == f->escape && q + 1 < end;
        plain = plain && !pair;
        q += 1 + pair;
    }
    if (q >= end) {
        return false;
    }
    *p = q + 1;
    out->text = (struct efx_str){from, (uint32_t)(q - from)};
    if (!plain) {
        char *text = efx_arena_bytes(heap, (size_t)(q - from) + 1);
        EFX_ASSERT(text != NULL);
        uint32_t n = 0;
        for (const char *s = from; s < q; s++) {
            s += *s == f->escape && s + 1 < q;
            text[n++] = *s;
        }
        out->text = (struct efx_str){text, n};
    }
    return *p == end || **p == f->delimiter;
}

/* Fields of a record without its line end; false = quotes do not fit, or too many. */
static bool split(const struct csv_format *f, struct efx_str record, struct efx_arena *heap,
                  struct csv_field *field, uint32_t *n)
{
    const char *p = record.p, *end = record.p + record.n;
    for (*n = 0; *n < CSV_FIELDS_MAX;) {
        if (!next_field(f, &p, end, heap, &field[*n])) {
            return false;
        }
        ++*n;
        if (p == end) {
            return true;
        }
        p++;
    }
    return false;
}

/* ---- decode ---- */

static uint16_t put_record(const struct csv_format *f, struct efx_put *r, const uint32_t *field_of,
                           const struct csv_field *field, uint32_t n)
{
    bool by_place = !f->mapped && !f->conf.has_header;
    if (by_place && n > f->schema->n_cols) {
        return 3001;
    }
    for (uint32_t c = 0; c < f->schema->n_cols; c++) {
        if (field_of[c] >= n) {
            continue;
        }
        const struct csv_field *v = &field[field_of[c]];
        if (!v->quoted && efx_str_equal(v->text, f->null)) {
            continue;
        }
        uint16_t code = efx_put_text(r, c, v->text);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static bool is_utf8(struct efx_str s)
{
    for (uint32_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.p[i] >= 0x80) {
            return efx_json__is_utf8(s.p, s.n);
        }
    }
    return true;
}

static enum efx_rc decode_record(const struct csv_format *f, const struct efx_msg *m,
                                 struct efx_str record, uint32_t line, const uint32_t *field_of,
                                 struct efx_builder *out)
{
    static _Thread_local struct csv_field field[CSV_FIELDS_MAX];
    struct efx_put r = {.b = out, .schema = f->schema};
    uint32_t n;
    EFX_RET(efx_builder_begin(out, f->stream, m->ts_ms, &r.set));
    uint16_t code = m->code != 0                                                 ? m->code
                    : is_utf8(record) && split(f, record, &out->heap, field, &n) ? 0
                                                                                 : 3001;
    code = code == 0 ? put_record(f, &r, field_of, field, n) : code;
    if (r.full) {
        return EFX_ENOMEM;
    }
    if (code == 3001 && f->conf.ignore_parse_errors) {
        return EFX_OK;
    }
    if (code != 0) {
        return efx_builder_reject(out, f->stream, code, line, record.p, record.n);
    }
    efx_builder_end(out, r.set);
    return EFX_OK;
}

static struct efx_str without_end(const char *p, const char *end)
{
    while (end > p && (end[-1] == '\n' || end[-1] == '\r')) {
        end--;
    }
    return (struct efx_str){p, (uint32_t)(end - p)};
}

static enum efx_rc decode(const struct efx_format *self, struct efx_decode *d,
                          struct efx_builder *out)
{
    const struct csv_format *f = (const struct csv_format *)self;
    const struct efx_chunk *c = d->chunk;
    const struct csv_header *h = c->prologue;
    for (; d->msg < c->n_msgs; d->msg++, d->at_bytes = 0) {
        const struct efx_msg *m = &c->msgs[d->msg];
        while (d->at_bytes < m->len) {
            const char *p = (const char *)c->bytes + m->off + d->at_bytes;
            const char *end = (const char *)c->bytes + m->off + m->len;
            uint32_t n_lines;
            const char *next = record_end(f, p, end, &n_lines);
            struct efx_str record = without_end(p, next == NULL ? end : next);
            if (record.n > 0) {
                EFX_RET(decode_record(f, m, record, d->n_lines + 1,
                                      h != NULL ? h->field_of : f->field_of, out));
            }
            d->at_bytes += (uint32_t)((next == NULL ? end : next) - p);
            d->n_lines += next == NULL ? n_lines + 1 : n_lines;
        }
    }
    return EFX_OK;
}

/* ---- header ---- */

static uint32_t field_named(const struct csv_field *field, uint32_t n, struct efx_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (efx_str_equal(field[i].text, name)) {
            return i;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (efx_str_equal_ci(field[i].text, name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Columns that the header does not name are NULL; none of them there at all is no header. */
static enum efx_rc prologue(const struct efx_format *self, struct efx_bytes head, size_t *used,
                            void *out, struct efx_err *err)
{
    static _Thread_local struct csv_field field[CSV_FIELDS_MAX];
    const struct csv_format *f = (const struct csv_format *)self;
    struct csv_header *h = out;
    const char *p = (const char *)head.p, *end = p + head.n;
    uint32_t n_lines, n, found = 0;
    EFX_ASSERT(f->schema->n_cols <= EFX_SCHEMA_COLS_MAX);
    if (!f->conf.has_header) {
        *used = 0;
        memcpy(h->field_of, f->field_of, f->schema->n_cols * sizeof *h->field_of);
        return EFX_OK;
    }
    const char *next = record_end(f, p, end, &n_lines);
    if (next == NULL) {
        return EFX_AGAIN;
    }
    if (head.n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        p += 3;
    }
    struct efx_arena tmp;
    efx_arena_init(&tmp, &efx_mem_libc, EFX_PROLOGUE_BYTES_MAX * 4);
    bool ok = split(f, without_end(p, next), &tmp, field, &n);
    for (uint32_t c = 0; ok && c < f->schema->n_cols; c++) {
        struct efx_str name =
            f->header_of[c].p != NULL ? f->header_of[c] : efx_str_of(f->schema->cols[c].name);
        h->field_of[c] = field_named(field, n, name);
        found += h->field_of[c] != UINT32_MAX;
    }
    efx_arena_fini(&tmp);
    if (!ok || found == 0) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 3001,
                        "the first line is no header of stream %s: it names none of its columns",
                        f->schema->name);
    }
    *used = (size_t)(next - (const char *)head.p);
    return EFX_OK;
}

static void close_csv(struct efx_format *self)
{
    (void)self;
}

const struct efx_format_vt efx_csv_format_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_format_vt),
             .name = "csv",
             .help = "fields with commas between them, one record an event",
             .conf = options,
             .conf_bytes = sizeof(struct csv_conf),
             .self_bytes = sizeof(struct csv_format)},
    .prologue_bytes = sizeof(struct csv_header),
    .open = open_csv,
    .cut = cut,
    .prologue = prologue,
    .decode = decode,
    .head = efx_csv__head,
    .encode = efx_csv__encode,
    .close = close_csv,
};
