#include "ndjson.h"

#include "efx_eval.h"
#include "efx_moment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* A JSON reader of one line, straight into values: a cursor and a handful of functions. */
struct cursor {
    struct efx_arena *arena;
    const char *p, *end;
    bool bad;
};

static void skip(struct cursor *c)
{
    while (c->p < c->end && isspace((unsigned char)*c->p)) {
        c->p++;
    }
}

static bool eat(struct cursor *c, char ch)
{
    skip(c);
    if (c->p < c->end && *c->p == ch) {
        c->p++;
        return true;
    }
    return false;
}

static void expect(struct cursor *c, char ch)
{
    c->bad |= !eat(c, ch);
}

static char *put_utf8(char *to, unsigned cp)
{
    if (cp < 0x80) {
        *to++ = (char)cp;
    } else if (cp < 0x800) {
        *to++ = (char)(0xC0 | cp >> 6);
        *to++ = (char)(0x80 | (cp & 63));
    } else if (cp < 0x10000) {
        *to++ = (char)(0xE0 | cp >> 12);
        *to++ = (char)(0x80 | (cp >> 6 & 63));
        *to++ = (char)(0x80 | (cp & 63));
    } else {
        *to++ = (char)(0xF0 | cp >> 18);
        *to++ = (char)(0x80 | (cp >> 12 & 63));
        *to++ = (char)(0x80 | (cp >> 6 & 63));
        *to++ = (char)(0x80 | (cp & 63));
    }
    return to;
}

static unsigned hex4(struct cursor *c)
{
    char digits[5] = {0};
    if (c->end - c->p < 4) {
        c->bad = true;
        return 0;
    }
    memcpy(digits, c->p, 4);
    c->p += 4;
    return (unsigned)strtoul(digits, NULL, 16);
}

static char *escape(struct cursor *c, char *to)
{
    char ch = *c->p++;
    static const char from[] = "nrtbf";
    static const char into[] = "\n\r\t\b\f";
    const char *at = strchr(from, ch);
    if (ch == 'u') {
        unsigned cp = hex4(c);
        if (cp >= 0xD800 && cp < 0xDC00 && c->end - c->p > 6 && c->p[0] == '\\') {
            c->p += 2;
            cp = 0x10000 + ((cp - 0xD800) << 10) + (hex4(c) - 0xDC00);
        }
        return put_utf8(to, cp);
    }
    *to++ = at != NULL ? into[at - from] : ch;
    return to;
}

static struct efx_str string(struct cursor *c)
{
    expect(c, '"');
    char *text = efx_arena_bytes(c->arena, (size_t)(c->end - c->p) + 8);
    char *to = text;
    while (!c->bad && c->p < c->end && *c->p != '"') {
        if (*c->p == '\\' && c->p + 1 < c->end) {
            c->p++;
            to = escape(c, to);
        } else {
            *to++ = *c->p++;
        }
    }
    expect(c, '"');
    *to = 0;
    return (struct efx_str){text, (uint32_t)(to - text)};
}

/* The text of any value, passed over. */
static struct efx_str raw(struct cursor *c)
{
    skip(c);
    const char *from = c->p;
    int depth = 0;
    while (c->p < c->end && !c->bad) {
        char ch = *c->p;
        if (ch == '"') {
            (void)string(c);
            continue;
        }
        if (depth == 0 && (ch == ',' || ch == ']' || ch == '}')) {
            break;
        }
        depth += (ch == '[' || ch == '{') - (ch == ']' || ch == '}');
        c->p++;
    }
    while (c->p > from && isspace((unsigned char)c->p[-1])) {
        c->p--;
    }
    return (struct efx_str){from, (uint32_t)(c->p - from)};
}

static int64_t integer(struct cursor *c)
{
    int64_t v = 0;
    c->bad |= !efx_str_i64(raw(c), &v);
    return v;
}

/* A JSON value as a value of that type, as CAST does (language §18.4). */
static struct efx_value value(struct cursor *c, enum efx_type type)
{
    struct efx_value v = {0};
    struct efx_value out = efx_value_null(type);
    skip(c);
    if (c->p < c->end && *c->p == '"') {
        v = (struct efx_value){.type = EFX_TYPE_STRING, .s = string(c)};
    } else {
        struct efx_str text = raw(c);
        if (efx_str_equal(text, efx_str_of("null"))) {
            return out;
        }
        bool yes = efx_str_equal(text, efx_str_of("true"));
        if (yes || efx_str_equal(text, efx_str_of("false"))) {
            v = (struct efx_value){.type = EFX_TYPE_BOOL, .b = yes};
        } else if (efx_str_i64(text, &v.l)) {
            v.type = EFX_TYPE_LONG;
        } else if (text.n > 0 && (text.p[0] == '{' || text.p[0] == '[')) {
            v = (struct efx_value){.type = EFX_TYPE_STRING, .s = text};
        } else {
            v.type = EFX_TYPE_DOUBLE;
            c->bad |= !efx_eval_parse_double(text, &v.d);
        }
    }
    bool whole = type == EFX_TYPE_INT || type == EFX_TYPE_LONG;
    if (whole && v.type == EFX_TYPE_DOUBLE && v.d != (double)(int64_t)v.d) {
        c->bad = true;
    }
    efx_eval_cast(&v, type, c->arena, &out);
    c->bad |= out.null;
    return out;
}

static void data(struct cursor *c, struct ndjson_line *out)
{
    const struct efx_schema *s = &out->object->schema;
    if (eat(c, '[')) {
        for (uint32_t i = 0; !c->bad && !eat(c, ']'); i++) {
            c->bad |= i == s->n_cols;
            if (!c->bad) {
                out->values[i] = value(c, s->cols[i].type);
                (void)eat(c, ',');
            }
        }
        return;
    }
    expect(c, '{');
    while (!c->bad && !eat(c, '}')) {
        uint32_t i = efx_schema_find(s, string(c).p);
        expect(c, ':');
        c->bad |= i == EFX_SCHEMA_NO_COL;
        if (!c->bad) {
            out->values[i] = value(c, s->cols[i].type);
            (void)eat(c, ',');
        }
    }
}

static const struct efx_bobject *find(const struct efx_program *p, struct efx_str name)
{
    for (uint32_t i = 0; i < p->n_objects; i++) {
        if (efx_str_equal(efx_str_of(p->objects[i]->schema.name), name)) {
            return p->objects[i];
        }
    }
    return NULL;
}

bool ndjson_read(struct efx_arena *arena, const struct efx_program *p, struct efx_str text,
                 struct ndjson_line *out, const char **why)
{
    struct cursor c = {.arena = arena, .p = text.p, .end = text.p + text.n};
    struct efx_str name = {0};
    struct efx_str row = {0};
    *out = (struct ndjson_line){.ts_ms = EFX_TS_NONE};
    *why = "line cannot be read";
    expect(&c, '{');
    while (!c.bad && !eat(&c, '}')) {
        struct efx_str key = string(&c);
        expect(&c, ':');
        if (efx_str_equal(key, efx_str_of("stream"))) {
            skip(&c);
            name = string(&c);
        } else if (efx_str_equal(key, efx_str_of("ts"))) {
            struct efx_str ts = raw(&c);
            if (!efx_str_equal(ts, efx_str_of("null"))) {
                c.bad |= !efx_str_i64(ts, &out->ts_ms);
            }
        } else if (efx_str_equal(key, efx_str_of("advance"))) {
            out->advance = true;
            out->advance_ms = integer(&c);
        } else {
            row = raw(&c);
        }
        (void)eat(&c, ',');
    }
    if (c.bad || out->advance) {
        return !c.bad;
    }
    out->object = find(p, name);
    if (out->object == NULL) {
        *why = "unknown stream";
        return false;
    }
    uint32_t n = out->object->schema.n_cols;
    out->values = EFX_NEW_N(arena, struct efx_value, n);
    for (uint32_t i = 0; i < n; i++) {
        out->values[i] = efx_value_null(out->object->schema.cols[i].type);
    }
    c = (struct cursor){.arena = arena, .p = row.p, .end = row.p + row.n};
    data(&c, out);
    return !c.bad;
}

/* ---- writing ---- */

static const char *quoted(struct efx_arena *arena, struct efx_str s)
{
    char *text = efx_arena_bytes(arena, (size_t)s.n * 6 + 3);
    char *to = text;
    *to++ = '"';
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch == '"' || ch == '\\') {
            *to++ = '\\';
            *to++ = (char)ch;
        } else if (ch < 0x20) {
            to += sprintf(to, "\\u%04x", ch);
        } else {
            *to++ = (char)ch;
        }
    }
    *to++ = '"';
    *to = 0;
    return text;
}

const char *ndjson_value(struct efx_arena *arena, const struct efx_value *v)
{
    char buf[64];
    if (v->null) {
        return "null";
    }
    switch (v->type) {
    case EFX_TYPE_INT: return efx_arena_printf(arena, "%d", v->i);
    case EFX_TYPE_LONG: return efx_arena_printf(arena, "%lld", (long long)v->l);
    case EFX_TYPE_BOOL: return v->b ? "true" : "false";
    case EFX_TYPE_STRING: return quoted(arena, v->s);
    case EFX_TYPE_FLOAT: buf[efx_eval_float_text(v->f, buf)] = 0; break;
    case EFX_TYPE_DOUBLE: buf[efx_eval_double_text(v->d, buf)] = 0; break;
    case EFX_TYPE_NONE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return "null";
    }
    bool number = isdigit((unsigned char)buf[strlen(buf) - 1]) != 0; /* not NaN, Infinity */
    return number ? efx_arena_str(arena, buf, strlen(buf)) : "null";
}

const char *ndjson_row(struct efx_arena *arena, const struct efx_bobject *o, int64_t ts_ms,
                       bool expired, const struct efx_value *values)
{
    const char *s = "";
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        s = efx_arena_printf(arena, "%s%s%s:%s", s, i > 0 ? "," : "",
                             quoted(arena, efx_str_of(o->schema.cols[i].name)),
                             ndjson_value(arena, &values[i]));
    }
    return efx_arena_printf(arena, "{\"stream\":%s,\"ts\":%lld,%s\"data\":{%s}}",
                            quoted(arena, efx_str_of(o->schema.name)), (long long)ts_ms,
                            expired ? "\"kind\":\"expired\"," : "", s);
}
