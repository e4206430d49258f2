/* A text that grows in an arena. */
#include "explain.h"

#include <stdarg.h>
#include <stdio.h>

static bool fit(struct explain_out *o, size_t more)
{
    if (o->failed || o->n + more + 1 <= o->max) {
        return !o->failed;
    }
    size_t max = o->max == 0 ? 4096 : o->max;
    while (max < o->n + more + 1) {
        max *= 2;
    }
    char *p = efx_arena_bytes(o->arena, max);
    if (p == NULL) {
        o->failed = true;
        return false;
    }
    if (o->n > 0) {
        memcpy(p, o->p, o->n);
    }
    o->p = p;
    o->max = max;
    return true;
}

static void put_bytes(struct explain_out *o, const char *p, size_t n)
{
    if (fit(o, n)) {
        memcpy(o->p + o->n, p, n);
        o->n += n;
    }
}

void efx_explain__put(struct explain_out *o, const char *text)
{
    put_bytes(o, text, strlen(text));
}

void efx_explain__printf(struct explain_out *o, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n > 0 && fit(o, (size_t)n)) {
        (void)vsnprintf(o->p + o->n, (size_t)n + 1, fmt, again);
        o->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

static void put_escaped(struct explain_out *o, const char *text, bool controls)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_bytes(o, (const char[]){'\\', (char)c}, 2);
        } else if (c < 0x20 && controls) {
            efx_explain__printf(o, "\\u%04x", c);
        } else {
            put_bytes(o, text, 1);
        }
    }
}

void efx_explain__json(struct explain_out *o, const char *text)
{
    if (text == NULL) {
        efx_explain__put(o, "null");
        return;
    }
    efx_explain__put(o, "\"");
    put_escaped(o, text, true);
    efx_explain__put(o, "\"");
}

void efx_explain__dot(struct explain_out *o, const char *text)
{
    put_escaped(o, text, false);
}

const char *efx_explain__done(struct explain_out *o)
{
    if (!fit(o, 1)) {
        return NULL;
    }
    o->p[o->n] = '\0';
    return o->p;
}
