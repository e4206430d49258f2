#ifndef JSON_TAPE_H
#define JSON_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One JSON document as a list of tokens, wholly checked: the C face of simdjson (json_decode.cc).
 *
 *   {"a":[1,"x"]}   OBJECT(4 tokens inside) KEY a  ARRAY(2 inside) NUMBER 1  TEXT x
 *
 * A container says how many tokens lie inside it, so a reader steps over what it does not want; its
 * raw text is what a nested value is kept as.
 *
 *   Owner    the tape is the thread's own and good until the next parse; texts point into it or
 *            into the document
 *   Limits   nesting as simdjson has it (1,024)
 *   Errors   false: is no JSON, or no UTF-8
 *   Threads  any, each has its own
 */
#ifdef __cplusplus
extern "C" {
#endif

enum json_kind {
    JSON_OBJECT = 1,
    JSON_ARRAY,
    JSON_KEY,
    JSON_TEXT,   /* unescaped */
    JSON_NUMBER, /* as written */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_token {
    enum json_kind kind;
    uint32_t n;      /* bytes of text; containers: of their raw text */
    uint32_t inside; /* containers: tokens that follow and belong to it */
    const char *p;
};

struct json_tape {
    const struct json_token *v;
    uint32_t n;
};

/* 64 bytes behind p[n) may be read. */
bool efx_json__parse(const char *p, size_t n, struct json_tape *out);
bool efx_json__is_utf8(const char *p, size_t n);

/* The token behind i and what belongs to it. */
static inline uint32_t json_after(const struct json_tape *t, uint32_t i)
{
    return i + 1 + t->v[i].inside;
}

#ifdef __cplusplus
}
#endif

#endif /* JSON_TAPE_H */
