#ifndef RANDOM_TEXT_H
#define RANDOM_TEXT_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Growing text and seeded dice: what a generator of programs is made of. */
struct text {
    char *s;
    size_t n, cap;
};

__attribute__((format(printf, 2, 0))) static inline void put_list(struct text *t, const char *fmt,
                                                                  va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t n = (size_t)vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (t->n + n + 1 > t->cap) {
        t->cap = (t->n + n + 1) * 2;
        t->s = realloc(t->s, t->cap);
    }
    vsnprintf(t->s + t->n, n + 1, fmt, args);
    t->n += n;
}

/* Formats are sometimes chosen by dice, all with the same arguments. */
static inline void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    put_list(t, fmt, args);
#pragma GCC diagnostic pop
    va_end(args);
}

struct dice {
    uint64_t state;
};

/* 0 … n - 1 */
static inline int dice(struct dice *d, int n)
{
    uint64_t z = (d->state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (int)((z ^ z >> 31) % (uint64_t)n);
}

#endif /* RANDOM_TEXT_H */
