/* Option tables (efx_plugin.h) read into conf structs, from the texts of a WITH clause and from
 * defaults. Window arguments come typed and are taken in bind_window.c.
 */
#include "bind.h"

#include <stdlib.h>

/* A field of the conf struct. */
static void *field(void *conf, const struct efx_conf_key *k)
{
    return (char *)conf + k->off;
}

bool efx_bind__conf_in_range(const struct efx_conf_key *k, int64_t v)
{
    return (k->min == 0 && k->max == 0) || (v >= k->min && (k->max == 0 || v <= k->max));
}

static bool bad_value(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                      struct efx_span at, const char *wanted)
{
    efx_diag_add(b->diags, 1105, at, wanted, "bad value '" EFX_STR_FMT "' for '%s'",
                 EFX_STR_ARG(text), k->name);
    return false;
}

/* 'a|b' holds the word? */
static bool among(const char *values, struct efx_str word)
{
    for (const char *p = values; p != NULL;
         p = strchr(p, '|') != NULL ? strchr(p, '|') + 1 : NULL) {
        const char *end = strchr(p, '|');
        uint32_t n = (uint32_t)(end != NULL ? (size_t)(end - p) : strlen(p));
        if (efx_str_equal_ci(word, (struct efx_str){p, n})) {
            return true;
        }
    }
    return false;
}

static bool text_value(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                       struct efx_span at, void *conf)
{
    if (k->values != NULL && !among(k->values, text)) {
        return bad_value(b, k, text, at, efx_bind__fmt(b, "values are %s", k->values));
    }
    *(const char **)field(conf, k) = efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(text));
    return true;
}

static bool bytes_value(struct efx_str text, int64_t *v)
{
    static const struct {
        const char *unit;
        uint32_t shift;
    } units[] = {{"kb", 10}, {"mb", 20}, {"gb", 30}};
    uint32_t shift = 0;
    for (uint32_t i = 0; i < 3 && text.n > 2; i++) {
        struct efx_str tail = {text.p + text.n - 2, 2};
        if (efx_str_equal_ci(tail, efx_str_of(units[i].unit))) {
            shift = units[i].shift;
            text.n -= 2;
        }
    }
    while (text.n > 0 && text.p[text.n - 1] == ' ') {
        text.n--;
    }
    return efx_str_i64(text, v) && *v >= 0 && *v <= INT64_MAX >> shift &&
           ((*v = *v << shift), true);
}

static bool number_value(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                         struct efx_span at, void *conf)
{
    int64_t v;
    bool ok;
    if (k->kind == EFX_CONF_LONG) {
        ok = efx_str_i64(text, &v);
    } else if (k->kind == EFX_CONF_BYTES) {
        ok = bytes_value(text, &v);
    } else {
        ok = efx_parse_duration(text, &v) || efx_str_i64(text, &v);
        ok = ok && (k->kind == EFX_CONF_TIME || v >= 0);
    }
    if (!ok || !efx_bind__conf_in_range(k, v)) {
        return bad_value(b, k, text, at, k->help);
    }
    *(int64_t *)field(conf, k) = v;
    return true;
}

static bool double_value(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                         struct efx_span at, void *conf)
{
    const char *z = efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(text));
    char *end;
    double d = strtod(z, &end);
    if (text.n == 0 || *end != '\0' || d != d) {
        return bad_value(b, k, text, at, k->help);
    }
    if ((k->min != 0 || k->max != 0) &&
        (d < (double)k->min || (k->max != 0 && d > (double)k->max))) {
        return bad_value(b, k, text, at, k->help);
    }
    *(double *)field(conf, k) = d;
    return true;
}

static uint32_t column_named(struct efx_binder *b, struct efx_str name,
                             const struct efx_schema *schema)
{
    return efx_schema_find(schema, efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(name)));
}

static bool columns_value(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                          const struct efx_schema *schema, struct efx_span at, void *conf)
{
    struct efx_conf_cols cols = {0};
    uint32_t *list = NULL;
    for (uint32_t i = 0; i < text.n;) {
        uint32_t from = i;
        while (i < text.n && text.p[i] != ',') {
            i++;
        }
        uint32_t to = i++;
        while (from < to && text.p[from] == ' ') {
            from++;
        }
        uint32_t col = column_named(b, (struct efx_str){text.p + from, to - from}, schema);
        if (col == EFX_SCHEMA_NO_COL) {
            return bad_value(b, k, text, at, efx_bind__cols_text(b, schema));
        }
        list = efx_bind__grow(b, list, cols.n, sizeof *list);
        list[cols.n++] = col;
    }
    cols.col = list;
    *(struct efx_conf_cols *)field(conf, k) = cols;
    return true;
}

bool efx_bind__conf_text(struct efx_binder *b, const struct efx_conf_key *k, struct efx_str text,
                         const struct efx_schema *schema, struct efx_span at, void *conf)
{
    bool yes;
    uint32_t col;
    switch (k->kind) {
    case EFX_CONF_TEXT:
    case EFX_CONF_SECRET: return text_value(b, k, text, at, conf);
    case EFX_CONF_LONG:
    case EFX_CONF_DURATION:
    case EFX_CONF_TIME:
    case EFX_CONF_BYTES: return number_value(b, k, text, at, conf);
    case EFX_CONF_DOUBLE: return double_value(b, k, text, at, conf);
    case EFX_CONF_BOOL:
        yes = efx_str_equal_ci(text, efx_str_of("true"));
        if (!yes && !efx_str_equal_ci(text, efx_str_of("false"))) {
            return bad_value(b, k, text, at, "true or false");
        }
        *(bool *)field(conf, k) = yes;
        return true;
    case EFX_CONF_COLUMN:
        col = column_named(b, text, schema);
        if (col == EFX_SCHEMA_NO_COL) {
            return bad_value(b, k, text, at, efx_bind__cols_text(b, schema));
        }
        *(uint32_t *)field(conf, k) = col;
        return true;
    case EFX_CONF_COLUMNS: return columns_value(b, k, text, schema, at, conf);
    }
    return false;
}

bool efx_bind__conf_default(struct efx_binder *b, const struct efx_conf_key *k,
                            const struct efx_schema *schema, struct efx_span at, void *conf)
{
    if (strcmp(k->otherwise, "-") == 0 && k->kind != EFX_CONF_TEXT) {
        if (k->kind == EFX_CONF_COLUMN) {
            *(uint32_t *)field(conf, k) = EFX_NO_COL;
        } else if (k->kind != EFX_CONF_COLUMNS && k->kind != EFX_CONF_BOOL &&
                   k->kind != EFX_CONF_SECRET) {
            *(int64_t *)field(conf, k) = EFX_TS_NONE;
        }
        return true;
    }
    if (k->kind == EFX_CONF_COLUMNS && k->otherwise[0] == '\0') {
        return true;
    }
    if (k->kind == EFX_CONF_TEXT || k->kind == EFX_CONF_SECRET) {
        *(const char **)field(conf, k) = k->otherwise;
        return true;
    }
    struct efx_conf_key any = *k; /* a default may lie outside the range: 0 = off */
    any.min = any.max = 0;
    return efx_bind__conf_text(b, &any, efx_str_of(k->otherwise), schema, at, conf);
}

void *efx_bind__conf_with(struct efx_binder *b, const struct efx_plugin *p,
                          const struct efx_ast_props *with, const struct efx_schema *schema)
{
    void *conf = efx_bind__new(b, 1, p->conf_bytes + 1, 64);
    for (const struct efx_conf_key *k = p->conf; k != NULL && k->name != NULL; k++) {
        if (k->name[strlen(k->name) - 1] == '*') {
            continue; /* a family: the plug-in reads it from the raw texts */
        }
        const struct efx_ast_prop *prop = efx_bind__prop(with, k->name);
        if (prop != NULL) {
            efx_bind__conf_text(b, k, prop->value, schema, prop->value_at, conf);
        } else if (k->otherwise != NULL) {
            efx_bind__conf_default(b, k, schema, with->at, conf);
        } else {
            efx_diag_add(b->diags, 1106, efx_bind__end_of(with->at), k->help,
                         "missing property '%s'", k->name);
        }
    }
    return conf;
}
