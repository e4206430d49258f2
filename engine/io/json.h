#ifndef JSON_H
#define JSON_H

#include "efx_format.h"
#include "efx_put.h"

/* Shared by the files of the json format.
 *
 *   json.c        the format: options, lines of a chunk, rejects
 *   json_line.c   a line of the expected shape, by one scan
 *   json_doc.c    any line, from simdjson's tape
 *   json_write.c  rows as JSON
 */
struct json_step {       /* of a path: a member, or an item */
    struct efx_str name; /* p NULL: item */
    uint32_t item;
};

struct json_path {
    uint32_t n; /* 0: the column's own name */
    struct json_step *steps;
};

struct json_stream {
    const struct efx_schema *schema; /* NULL: takes no events here */
    struct efx_str name;
    struct efx_str *keys;   /* [n_cols] "name", quotes included, as in JSON */
    struct json_path *maps; /* [n_cols]; NULL = no column has a path */
    struct efx_str prefix;  /* encode: what a row begins with, up to the timestamp or first value */
    struct efx_str *heads;  /* [n_cols] encode: ,"name": */
};

struct json_conf { /* option table in json.c */
    const char *enclosing;
    bool fail_on_missing, ignore_parse_errors;
    const char *date_format;
    const char *template;
    bool pretty;
    const char *timestamp_field;
};

struct json_format {
    struct efx_format base;
    struct json_conf conf;
    bool events; /* lines name their stream (runtime contracts, section 2) */
    bool plain;  /* no paths, nothing enclosing: the fast way is open */
    uint32_t n_streams;
    struct json_stream *streams;
    uint32_t first; /* the stream of rows that name none */
    struct json_path enclosing;
    uint32_t n_pieces; /* template: text, column, text … */
    struct json_piece {
        struct efx_str text;
        uint32_t col; /* EFX_SCHEMA_NO_COL: timestamp; UINT32_MAX - 1: text */
    } * pieces;
};
enum { JSON_PIECE_TEXT = -2 };

struct json_line { /* being decoded */
    const struct json_format *f;
    struct efx_builder *b;
    const char *p;
    size_t n;
    uint32_t no; /* of the line, from 1 */
    int64_t ts_ms;
    uint32_t *n_events; /* of the line that are taken; `skip` of them first */
    uint32_t skip;
};

/* The stream of that name; NULL = there is none, or it takes no events. *hint: looked at first. */
const struct json_stream *efx_json__stream(const struct json_format *f, struct efx_str name,
                                           uint32_t *hint);

/* EFX_OK: taken. EFX_AGAIN: the builder is full. EFX_DONE: not of this shape, nothing was done. The
 * line ends with '\n' at p[n]. */
enum efx_rc efx_json__fast(const struct json_line *l);
/* EFX_OK: taken or rejected. EFX_AGAIN: the builder is full, n_events says how far it came. */
enum efx_rc efx_json__slow(const struct json_line *l);

enum efx_rc efx_json__encode(const struct efx_format *self, struct efx_encode *e);

/* What a row in JSON needs of a column: at most so many bytes. */
size_t efx_json_bound(const struct efx_batch *b, uint32_t row);
char *efx_json_put_string(char *o, const char *p, uint32_t n);
char *efx_json_put_value(char *o, const struct efx_col *c, uint32_t row);

#endif /* JSON_H */
