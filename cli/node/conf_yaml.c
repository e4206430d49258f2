/* YAML as flat keys: mappings of mappings, whose leaves are scalars or lists of them. */
#include "settings.h"

#include <string.h>
#include <yaml.h>

enum { YAML_DEPTH_MAX = 16, YAML_KEY_BYTES = 256, YAML_VALUE_BYTES = 8192 };

struct yaml_walk {
    conf_value_fn fn;
    void *arg;
    char *why;
    size_t why_bytes;
    char key[YAML_KEY_BYTES];     /* path of the mapping at hand, with a dot behind it */
    size_t key_n[YAML_DEPTH_MAX]; /* its length at each depth */
    uint32_t depth;
    bool has_key; /* the next scalar is its value */
    bool in_list;
    char value[YAML_VALUE_BYTES];
    unsigned line;
};

static bool refuse(struct yaml_walk *w, const yaml_event_t *e, const char *what)
{
    (void)snprintf(w->why, w->why_bytes, "line %u: %s", (unsigned)e->start_mark.line + 1, what);
    return false;
}

static bool leave_key(struct yaml_walk *w)
{
    w->key[w->key_n[w->depth - 1]] = '\0';
    w->has_key = false;
    return true;
}

static bool scalar(struct yaml_walk *w, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t at = strlen(w->key);
    if (w->depth == 0) {
        return refuse(w, e, "the file must be a mapping");
    }
    if (w->in_list) {
        size_t n = strlen(w->value);
        int k = snprintf(w->value + n, sizeof w->value - n, "%s%s", n > 0 ? "," : "", text);
        return (size_t)k < sizeof w->value - n || refuse(w, e, "the list is too long");
    }
    if (!w->has_key) {
        int k = snprintf(w->key + at, sizeof w->key - at, "%s", text);
        w->has_key = true;
        w->line = (unsigned)e->start_mark.line + 1;
        return (size_t)k < sizeof w->key - at || refuse(w, e, "the key is too long");
    }
    return w->fn(w->arg, w->key, text, w->line) && leave_key(w);
}

static bool begin_mapping(struct yaml_walk *w, const yaml_event_t *e)
{
    size_t at = strlen(w->key);
    if (w->in_list || w->depth == YAML_DEPTH_MAX || (w->depth > 0 && !w->has_key)) {
        return refuse(w, e, "a mapping does not stand here");
    }
    if (w->depth > 0) {
        if (at + 2 > sizeof w->key) {
            return refuse(w, e, "the key is too long");
        }
        memcpy(w->key + at, ".", 2);
        at++;
    }
    w->key_n[w->depth++] = at;
    w->has_key = false;
    return true;
}

static bool handle(struct yaml_walk *w, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return scalar(w, e);
    case YAML_MAPPING_START_EVENT: return begin_mapping(w, e);
    case YAML_MAPPING_END_EVENT: w->depth--; return w->depth == 0 || leave_key(w);
    case YAML_SEQUENCE_START_EVENT:
        if (w->in_list || !w->has_key) {
            return refuse(w, e, "a list does not stand here");
        }
        w->in_list = true;
        w->value[0] = '\0';
        return true;
    case YAML_SEQUENCE_END_EVENT:
        w->in_list = false;
        return w->fn(w->arg, w->key, w->value, w->line) && leave_key(w);
    case YAML_ALIAS_EVENT: return refuse(w, e, "aliases are not taken");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    }
    return true;
}

bool conf_yaml(const char *text, size_t n, conf_value_fn fn, void *arg, char *why, size_t why_bytes)
{
    struct yaml_walk w = {.fn = fn, .arg = arg, .why = why, .why_bytes = why_bytes};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        (void)snprintf(why, why_bytes, "no memory");
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    bool good = true, done = false;
    while (good && !done) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            (void)snprintf(why, why_bytes, "line %u: %s", (unsigned)parser.problem_mark.line + 1,
                           parser.problem != NULL ? parser.problem : "cannot be read");
            good = false;
            break;
        }
        done = e.type == YAML_STREAM_END_EVENT;
        good = handle(&w, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return good;
}
