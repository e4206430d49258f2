#ifndef CSV_H
#define CSV_H

#include "efx_format.h"
#include "json_tape.h"

/* Shared by csv.c (options, reading) and csv_write.c. */
enum { CSV_FIELDS_MAX = 4096 };

struct csv_conf { /* option table in csv.c */
    const char *delimiter, *quote, *escape, *null;
    bool has_header, ignore_parse_errors, include_header;
    const char *header_names;
};

struct csv_field {
    struct efx_str text;
    bool quoted;
};

struct csv_header { /* the prologue: where each column's field is; UINT32_MAX = nowhere */
    uint32_t field_of[EFX_SCHEMA_COLS_MAX];
};

struct csv_format {
    struct efx_format base;
    struct csv_conf conf;
    char delimiter, quote, escape;
    struct efx_str null;
    const struct efx_schema *schema; /* the one stream */
    uint16_t stream;
    bool mapped;
    uint32_t *field_of;        /* [n_cols] without a header */
    struct efx_str *header_of; /* [n_cols] name in the header; p NULL = the column's own */
};

void efx_csv__head(const struct efx_format *self, uint16_t stream, struct efx_writer *w);
enum efx_rc efx_csv__encode(const struct efx_format *self, struct efx_encode *e);

#endif /* CSV_H */
