/* Reading .test files. */
#define _GNU_SOURCE /* strchrnul */
#include "test_file.h"

#include "opts.h"

#include "efx_moment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct efx_arena *a;
    struct test_file *f;
    uint32_t line;
    struct test_case *last_case, **case_end;
    struct test_step **step_end;
    struct test_step *open; /* expectation that takes rows */
    struct test_row **row_end;
    uint32_t open_indent;
    struct efx_err *err;
};

static enum efx_rc bad(struct reader *r, const char *why)
{
    return EFX_FAIL(r->err, EFX_EPARSE, EFX_KIND_USER, 0, "%s:%u: %s", r->f->path, r->line, why);
}

static enum efx_rc no_memory(struct reader *r)
{
    return EFX_FAIL(r->err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
}

/* ---- values ---- */

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    return p;
}

static void put_code_point(char **to, uint32_t cp) /* of the first plane, as \u writes it */
{
    if (cp < 0x80) {
        *(*to)++ = (char)cp;
    } else if (cp < 0x800) {
        *(*to)++ = (char)(0xC0 | cp >> 6);
        *(*to)++ = (char)(0x80 | (cp & 63));
    } else {
        *(*to)++ = (char)(0xE0 | cp >> 12);
        *(*to)++ = (char)(0x80 | (cp >> 6 & 63));
        *(*to)++ = (char)(0x80 | (cp & 63));
    }
}

static bool unescape(const char **pp, const char *end, char **to)
{
    static const char from[] = "nrtbf\"\\/";
    static const char into[] = "\n\r\t\b\f\"\\/";
    const char *p = *pp, *at = p < end ? strchr(from, *p) : NULL;
    if (at != NULL && *at != '\0') {
        *(*to)++ = into[at - from];
        *pp = p + 1;
        return true;
    }
    char hex[5] = {0}, *stop;
    if (end - p < 5 || *p != 'u') {
        return false;
    }
    memcpy(hex, p + 1, 4);
    uint32_t cp = (uint32_t)strtoul(hex, &stop, 16);
    *pp = p + 5;
    put_code_point(to, cp);
    return *stop == '\0';
}

/* Behind the opening quote. */
static const char *quoted(struct efx_arena *a, const char *p, const char *end,
                          struct test_value *out)
{
    char *text = efx_arena_bytes(a, (size_t)(end - p) + 4), *to = text;
    if (text == NULL) {
        return NULL;
    }
    while (p < end && *p != '"') {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        p++;
        if (!unescape(&p, end, &to)) {
            return NULL;
        }
    }
    *out = (struct test_value){text, (uint32_t)(to - text), true};
    return p < end ? p + 1 : NULL;
}

/* Up to a comma, '@' or the end; brackets and quotes inside hold together (JSON). */
static const char *bare(const char *p, const char *end, struct test_value *out)
{
    const char *from = p;
    int depth = 0;
    bool text = false;
    for (; p < end && (depth > 0 || text || (*p != ',' && *p != '@')); p++) {
        if (text && *p == '\\') {
            p++;
        } else if (*p == '"') {
            text = !text;
        } else if (!text) {
            depth += (*p == '[' || *p == '{') - (*p == ']' || *p == '}');
        }
    }
    p = p > end ? end : p;
    const char *stop = p;
    while (stop > from && (stop[-1] == ' ' || stop[-1] == '\t')) {
        stop--;
    }
    *out = (struct test_value){from, (uint32_t)(stop - from), false};
    return p;
}

static bool timestamp(const char *p, const char *end, int64_t *out)
{
    const char *stop = end;
    while (stop > p && isspace((unsigned char)stop[-1])) {
        stop--;
    }
    return efx_str_i64((struct efx_str){p, (uint32_t)(stop - p)}, out);
}

static bool begins_with(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 &&
           (p + n == end || p[n] == ' ' || p[n] == '\t');
}

enum efx_rc test_values_parse(struct efx_arena *a, const char *p, const char *end,
                              struct test_row *out, const char **why)
{
    out->ts_ms = EFX_TS_NONE;
    out->v = EFX_NEW_N(a, struct test_value, (size_t)(end - p) / 2 + 2);
    if (out->v == NULL) {
        *why = "out of memory";
        return EFX_ENOMEM;
    }
    p = skip_blank(p, end);
    if (begins_with(p, end, "expired")) {
        out->expired = true;
        p = skip_blank(p + 7, end);
    }
    while (p < end && *p != '@') {
        struct test_value *v = &out->v[out->n++];
        p = *p == '"' ? quoted(a, p + 1, end, v) : bare(p, end, v);
        if (p == NULL) {
            *why = "a text in quotes that is not right";
            return EFX_EPARSE;
        }
        p = skip_blank(p, end);
        if (p < end && *p == ',') {
            p = skip_blank(p + 1, end);
        } else if (p < end && *p != '@') {
            *why = "a comma is missing";
            return EFX_EPARSE;
        }
    }
    if (p < end && !timestamp(p + 1, end, &out->ts_ms)) {
        *why = "@ wants milliseconds";
        return EFX_EPARSE;
    }
    return EFX_OK;
}

/* ---- lines ---- */

static struct test_step *add_step(struct reader *r, enum test_step_kind kind)
{
    struct test_step *s = EFX_NEW(r->a, struct test_step);
    if (s != NULL) {
        s->kind = kind;
        s->line = r->line;
        *r->step_end = s;
        r->step_end = &s->next;
        r->open = NULL;
    }
    return s;
}

static enum efx_rc add_row(struct reader *r, struct test_row **to, const char *p, const char *end)
{
    const char *why = "";
    struct test_row *row = EFX_NEW(r->a, struct test_row);
    if (row == NULL) {
        return no_memory(r);
    }
    row->line = r->line;
    if (test_values_parse(r->a, p, end, row, &why) != EFX_OK) {
        return bad(r, why);
    }
    *to = row;
    return EFX_OK;
}

static struct efx_str word_at(const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && **p != ' ' && **p != '\t') {
        ++*p;
    }
    struct efx_str w = {from, (uint32_t)(*p - from)};
    *p = skip_blank(*p, end);
    return w;
}

static bool is(struct efx_str w, const char *word)
{
    return efx_str_equal(w, efx_str_of(word));
}

static enum efx_rc expect(struct reader *r, const char *p, const char *end, uint32_t indent)
{
    struct test_step *s = add_step(r, TEST_EXPECT);
    struct efx_str name = word_at(&p, end), how = word_at(&p, end);
    if (s == NULL) {
        return no_memory(r);
    }
    s->stream = efx_arena_str(r->a, name.p, name.n);
    s->expect = TEST_ROWS;
    if (is(name, "error")) {
        s->expect = TEST_ERROR;
        bool ok = how.n == 8 && memcmp(how.p, "EFX-", 4) == 0 &&
                  efx_str_i64((struct efx_str){how.p + 4, 4}, &s->number);
        return ok ? EFX_OK : bad(r, "expect error wants a code EFX-nnnn");
    }
    if (is(how, "nothing")) {
        s->expect = TEST_NOTHING;
    } else if (is(how, "count")) {
        s->expect = TEST_COUNT;
        return efx_str_i64(word_at(&p, end), &s->number) ? EFX_OK : bad(r, "count wants a number");
    } else if (is(how, "unordered")) {
        s->expect = TEST_UNORDERED;
    } else if (how.n > 0 || name.n == 0) {
        return bad(r, "expect STREAM [unordered|nothing|count N], or expect error EFX-nnnn");
    }
    r->open = s->expect == TEST_NOTHING ? NULL : s;
    r->row_end = &s->rows;
    r->open_indent = indent;
    return EFX_OK;
}

static enum efx_rc step(struct reader *r, const char *p, const char *end, uint32_t indent)
{
    const char *line = p;
    struct efx_str w = word_at(&p, end);
    char rest[256] = "";
    struct test_step *s;
    if ((size_t)(end - p) < sizeof rest) {
        memcpy(rest, p, (size_t)(end - p));
    }
    if (is(w, "expect")) {
        return expect(r, p, end, indent);
    }
    enum test_step_kind kind = is(w, "advance")      ? TEST_ADVANCE
                               : is(w, "checkpoint") ? TEST_CHECKPOINT
                               : is(w, "restart")    ? TEST_RESTART
                               : is(w, "rescale")    ? TEST_RESCALE
                               : is(w, "query")      ? TEST_QUERY
                                                     : TEST_EVENT;
    s = add_step(r, kind);
    if (s == NULL) {
        return no_memory(r);
    }
    switch (kind) {
    case TEST_ADVANCE:
        return opts_duration(rest, &s->number) ? EFX_OK : bad(r, "advance wants a duration");
    case TEST_RESCALE:
        return efx_str_i64(efx_str_of(rest), &s->number) && s->number >= 1 && s->number <= 64
                   ? EFX_OK
                   : bad(r, "rescale wants a number of shards");
    case TEST_QUERY:
        s->stream = efx_arena_str(r->a, p, (size_t)(end - p));
        return s->stream == NULL ? no_memory(r) : EFX_OK;
    case TEST_EVENT:
        s->stream = efx_arena_str(r->a, line, w.n);
        return s->stream == NULL ? no_memory(r) : add_row(r, &s->rows, p, end);
    case TEST_CHECKPOINT:
    case TEST_RESTART:
    case TEST_EXPECT: break;
    }
    return EFX_OK;
}

static enum efx_rc begin_case(struct reader *r, const char *p, const char *end)
{
    struct test_case *c = EFX_NEW(r->a, struct test_case);
    if (c == NULL) {
        return no_memory(r);
    }
    p = skip_blank(p, end);
    c->name = efx_arena_str(r->a, p, (size_t)(end - p));
    c->line = r->line;
    *r->case_end = c;
    r->case_end = &c->next;
    r->last_case = c;
    r->step_end = &c->steps;
    r->open = NULL;
    return c->name == NULL ? no_memory(r) : EFX_OK;
}

/* Where a comment begins, outside quotes of both kinds. */
static const char *without_comment(const char *p, const char *end)
{
    char quote = '\0';
    for (; p < end; p++) {
        if (quote == '"' && *p == '\\') {
            p++;
        } else if (quote != '\0') {
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '"') {
            quote = *p;
        } else if (*p == '#') {
            break;
        }
    }
    p = p > end ? end : p;
    return p;
}

static enum efx_rc case_line(struct reader *r, const char *p, const char *end)
{
    const char *line = p;
    end = without_comment(p, end);
    while (end > p && isspace((unsigned char)end[-1])) {
        end--;
    }
    p = skip_blank(p, end);
    if (p == end) {
        return EFX_OK;
    }
    uint32_t indent = (uint32_t)(p - line);
    if (indent == 0 && begins_with(p, end, "test")) {
        return begin_case(r, p + 4, end);
    }
    if (r->open != NULL && indent > r->open_indent) {
        EFX_RET(add_row(r, r->row_end, p, end));
        r->row_end = &(*r->row_end)->next;
        return EFX_OK;
    }
    return step(r, p, end, indent);
}

/* SQL keeps its lines, so that messages of the compiler name the file's. */
static void sql_line(char *sql, size_t *n, const char *p, const char *end)
{
    const char *first = skip_blank(p, end);
    bool comment = first < end && *first == '#' && (first + 1 == end || first[1] == ' ');
    if (!comment) {
        memcpy(sql + *n, p, (size_t)(end - p));
        *n += (size_t)(end - p);
    }
    sql[(*n)++] = '\n';
}

enum efx_rc test_file_parse(struct efx_arena *a, const char *path, const char *text,
                            struct test_file *out, struct efx_err *err)
{
    struct reader r = {.a = a, .f = out, .case_end = &out->cases, .err = err};
    size_t n = 0;
    out->path = path;
    out->sql = efx_arena_bytes(a, strlen(text) + 2);
    if (out->sql == NULL) {
        return no_memory(&r);
    }
    for (const char *p = text; *p != '\0';) {
        const char *end = strchrnul(p, '\n');
        const char *stop = end > p && end[-1] == '\r' ? end - 1 : end;
        r.line++;
        if (r.last_case != NULL || begins_with(p, stop, "test")) {
            EFX_RET(case_line(&r, p, stop));
        } else {
            sql_line(out->sql, &n, p, stop);
        }
        p = *end == '\0' ? end : end + 1;
    }
    out->sql[n] = '\0';
    return out->cases != NULL ? EFX_OK : bad(&r, "there is no test in it");
}
