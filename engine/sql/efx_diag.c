#include "efx_diag.h"

#include <stdarg.h>
#include <stdio.h>

enum { CODE_WARNING_FIRST = 2000, CODE_WARNING_LAST = 2999 };
enum { LINE_BYTES_MAX = 400, LINE_BYTES_BEFORE = 200 }; /* of a longer line a part is shown */

void efx_diags_init(struct efx_diags *d, struct efx_arena *arena, struct efx_str text,
                    const char *file)
{
    *d = (struct efx_diags){.arena = arena, .text = text, .file = file};
}

static bool is_warning(uint16_t code)
{
    return code >= CODE_WARNING_FIRST && code <= CODE_WARNING_LAST;
}

/* ---- the list ---- */

static bool is_there(const struct efx_diag *list, uint16_t code, uint32_t off)
{
    for (; list != NULL && list->at.off <= off; list = list->next) {
        if (list->at.off == off && list->code == code) {
            return true;
        }
    }
    return false;
}

/* Among messages of one place the one found first stays first. */
static void put_in_order(struct efx_diag **list, struct efx_diag *one)
{
    while (*list != NULL && (*list)->at.off <= one->at.off) {
        list = &(*list)->next;
    }
    one->next = *list;
    *list = one;
}

static void drop_last(struct efx_diag **list)
{
    while ((*list)->next != NULL) {
        list = &(*list)->next;
    }
    *list = NULL;
}

/* A full list is closed to what would come after its last message, before anything is copied. */
static bool has_room(const struct efx_diag *list, uint32_t n, uint32_t max, uint32_t off)
{
    if (n < max) {
        return true;
    }
    for (; list != NULL && list->next != NULL; list = list->next) {
    }
    return list != NULL && list->at.off > off;
}

static const char *sentence(struct efx_arena *arena, const char *fmt, va_list args)
{
    char bytes[1024];
    int n = vsnprintf(bytes, sizeof bytes, fmt, args);
    if (n < 0) {
        return NULL;
    }
    size_t len = (size_t)n < sizeof bytes ? (size_t)n : sizeof bytes - 1;
    return efx_arena_str(arena, bytes, len);
}

struct efx_diag *efx_diag_add(struct efx_diags *d, uint16_t code, struct efx_span at,
                              const char *hint, const char *fmt, ...)
{
    bool warning = is_warning(code);
    struct efx_diag **list = warning ? &d->warnings : &d->errors;
    uint32_t *n = warning ? &d->n_warnings : &d->n_errors;
    uint32_t max = warning ? EFX_DIAG_WARNINGS_MAX : EFX_DIAG_ERRORS_MAX;
    if (is_there(*list, code, at.off) || !has_room(*list, *n, max, at.off)) {
        return NULL;
    }
    va_list args;
    va_start(args, fmt);
    struct efx_diag *one = EFX_NEW(d->arena, struct efx_diag);
    const char *msg = sentence(d->arena, fmt, args);
    va_end(args);
    const char *kept = hint == NULL ? NULL : efx_arena_str(d->arena, hint, strlen(hint));
    if (one == NULL || msg == NULL) {
        /* Without memory for the sentence the program is still refused. */
        *n = *n < max ? *n + 1 : *n;
        return NULL;
    }
    *one = (struct efx_diag){.code = code, .at = at, .msg = msg, .hint = kept};
    put_in_order(list, one);
    if (*n == max) {
        drop_last(list);
    } else {
        ++*n;
    }
    return one;
}

/* ---- names ---- */

static uint32_t edits_allowed(uint32_t n)
{
    return n < 2 ? 0 : n < 6 ? 1 : n < 9 ? 2 : 3;
}

const char *efx_diag_nearest(struct efx_diags *d, struct efx_str name, const char *const *names,
                             uint32_t n)
{
    uint32_t max = edits_allowed(name.n);
    uint32_t best = max + 1;
    const char *found = NULL;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t far = efx_str_distance(name, efx_str_of(names[i]), max);
        if (far < best) {
            best = far;
            found = names[i];
        }
    }
    return found == NULL ? NULL : efx_arena_printf(d->arena, "did you mean '%s'?", found);
}

/* ---- places ---- */

static bool starts_code_point(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

void efx_diag_place(const struct efx_diags *d, uint32_t off, uint32_t *line, uint32_t *column)
{
    uint32_t end = off < d->text.n ? off : d->text.n;
    *line = 1;
    *column = 1;
    for (uint32_t i = 0; i < end; i++) {
        if (d->text.p[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (starts_code_point(d->text.p[i])) {
            ++*column;
        }
    }
}

/* ---- output ---- */

struct out { /* grows by doubling; `full` = memory ran out, the rest is dropped */
    struct efx_arena *arena;
    char *p;
    size_t n, max;
    bool full;
};

static void put(struct out *o, const char *s, size_t n)
{
    if (o->full) {
        return;
    }
    if (o->max - o->n <= n) {
        size_t max = (o->max + n + 1) * 2;
        char *p = efx_arena_bytes(o->arena, max);
        if (p == NULL) {
            o->full = true;
            return;
        }
        if (o->n > 0) {
            memcpy(p, o->p, o->n);
        }
        o->p = p;
        o->max = max;
    }
    memcpy(o->p + o->n, s, n);
    o->n += n;
}

static void put_str(struct out *o, const char *z)
{
    put(o, z, strlen(z));
}

static const char *finish(struct out *o)
{
    put(o, "", 1);
    if (o->p == NULL) {
        return "";
    }
    if (o->full) {
        o->p[o->n > 0 ? o->n - 1 : 0] = '\0';
    }
    return o->p;
}

/* Bytes of the well-formed code point at s, or 0. */
static uint32_t code_point_bytes(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    uint32_t len = c < 0x80                ? 1
                   : c >= 0xC2 && c < 0xE0 ? 2
                   : (c & 0xF0) == 0xE0    ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
    if (len > n) {
        return 0;
    }
    for (uint32_t i = 1; i < len; i++) {
        if (starts_code_point(s[i])) {
            return 0;
        }
    }
    return len;
}

/* Source bytes that a terminal would obey are shown as '?', so that a column stays a column. */
static void put_plain(struct out *o, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t len = code_point_bytes(s + i, n - i);
        unsigned char c = (unsigned char)s[i];
        if (len == 0 || (c < 0x20 && c != '\t') || c == 0x7F) {
            put(o, "?", 1);
            i++;
        } else {
            put(o, s + i, len);
            i += len;
        }
    }
}

struct shown { /* the part of a source line that is printed */
    uint32_t from, to;
    bool cut_before, cut_behind;
};

static struct shown line_around(const struct efx_diags *d, uint32_t off)
{
    const char *text = d->text.p;
    struct shown s = {off, off, false, false};
    while (s.from > 0 && text[s.from - 1] != '\n' && !s.cut_before) {
        s.from--;
        s.cut_before = off - s.from > LINE_BYTES_BEFORE && starts_code_point(text[s.from]);
    }
    while (s.to < d->text.n && text[s.to] != '\n' && !s.cut_behind) {
        s.to++;
        s.cut_behind = s.to - s.from > LINE_BYTES_MAX && s.to < d->text.n &&
                       starts_code_point(text[s.to]) && text[s.to] != '\n';
    }
    s.to -= s.to > off && text[s.to - 1] == '\r';
    return s;
}

static void put_source(struct out *o, const struct efx_diags *d, struct efx_span at, uint32_t line)
{
    const char *text = d->text.p;
    uint32_t off = at.off < d->text.n ? at.off : d->text.n;
    struct shown s = line_around(d, off);
    char number[32];
    int width = snprintf(number, sizeof number, "%4u", (unsigned)line);
    put_str(o, number);
    put_str(o, s.cut_before ? " | …" : " | ");
    put_plain(o, text + s.from, s.to - s.from);
    put_str(o, s.cut_behind ? "…\n" : "\n");
    for (int i = 0; i < width; i++) {
        put(o, " ", 1);
    }
    put_str(o, s.cut_before ? " |  " : " | ");
    for (uint32_t i = s.from; i < off; i++) {
        if (starts_code_point(text[i])) {
            put(o, text[i] == '\t' ? "\t" : " ", 1);
        }
    }
    uint32_t end = s.to > off && at.len < s.to - off ? off + at.len : s.to;
    uint32_t carets = 0;
    for (uint32_t i = off; i < end; i++) {
        carets += starts_code_point(text[i]);
    }
    for (uint32_t i = 0; i < (carets == 0 ? 1 : carets); i++) {
        put(o, "^", 1);
    }
    put(o, "\n", 1);
}

const char *efx_diag_text(const struct efx_diags *d, const struct efx_diag *one)
{
    struct out o = {.arena = d->arena};
    uint32_t line, column;
    efx_diag_place(d, one->at.off, &line, &column);
    char head[64];
    (void)snprintf(head, sizeof head, "%s EFX-%04u: ", is_warning(one->code) ? "warning" : "error",
                   (unsigned)one->code);
    put_str(&o, head);
    put_plain(&o, one->msg, strlen(one->msg));
    put_str(&o, "\n  --> ");
    put_str(&o, d->file == NULL ? "" : d->file);
    (void)snprintf(head, sizeof head, ":%u:%u\n", (unsigned)line, (unsigned)column);
    put_str(&o, head);
    put_source(&o, d, one->at, line);
    if (one->hint != NULL) {
        put_str(&o, "   hint: ");
        put_plain(&o, one->hint, strlen(one->hint));
        put(&o, "\n", 1);
    }
    return finish(&o);
}

static void put_json(struct out *o, const char *s)
{
    size_t n = strlen(s);
    put(o, "\"", 1);
    for (size_t i = 0; i < n;) {
        uint32_t len = code_point_bytes(s + i, n - i);
        unsigned char c = (unsigned char)s[i];
        if (len == 0) {
            put_str(o, "\\ufffd");
            i++;
        } else if (c == '"' || c == '\\') {
            put(o, (const char[]){'\\', (char)c}, 2);
            i++;
        } else if (c < 0x20) {
            char escape[8];
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
            put_str(o, escape);
            i++;
        } else {
            put(o, s + i, len);
            i += len;
        }
    }
    put(o, "\"", 1);
}

const char *efx_diag_json(const struct efx_diags *d, const struct efx_diag *list)
{
    struct out o = {.arena = d->arena};
    put(&o, "[", 1);
    for (const struct efx_diag *one = list; one != NULL; one = one->next) {
        uint32_t line, column;
        efx_diag_place(d, one->at.off, &line, &column);
        char head[96];
        (void)snprintf(head, sizeof head, "%s{\"code\":\"EFX-%04u\",\"line\":%u,\"column\":%u",
                       one == list ? "" : ",", (unsigned)one->code, (unsigned)line,
                       (unsigned)column);
        put_str(&o, head);
        put_str(&o, ",\"message\":");
        put_json(&o, one->msg);
        if (one->hint != NULL) {
            put_str(&o, ",\"hint\":");
            put_json(&o, one->hint);
        }
        put(&o, "}", 1);
    }
    put(&o, "]", 1);
    return finish(&o);
}
