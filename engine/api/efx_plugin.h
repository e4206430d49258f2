#ifndef EFX_PLUGIN_H
#define EFX_PLUGIN_H

#include "efx_col.h"
#include "efx_traits.h"

#include <stddef.h>

/* What every pluggable part starts with: a constant descriptor and a table of its options.
 *
 * One row per option serves the WITH clause, the arguments in a call, defaults, checks, `efx help
 * source file` and the documentation. The binder reads the text, fills the plug-in's conf struct by
 * offset, and hands it over finished: a plug-in never parses configuration.
 *
 *   length(n)                      1 "n" LONG
 *   session(gap, key …, latency)   1 "gap" DURATION   2 "key" COLUMNS   3 "latency" DURATION
 *   file                           0 "file.path" TEXT     by name only
 *
 * Positional arguments are taken by type as they come: an option with a default may be left out in
 * the middle, and COLUMNS takes all columns that stand there.
 *
 *   Owner    descriptors are static; conf lives in the plan arena, instances with their shard
 *   Errors   unknown key, missing key, value out of range: EFX_KIND_USER, found before open
 *   Limits   min and max of each row
 *   Threads  descriptors are read by all
 */
enum { EFX_ABI = 1 };

/* What the user writes, and the type of the field at `off`. */
enum efx_conf_kind {
    EFX_CONF_TEXT = 1, /* const char * */
    EFX_CONF_LONG,     /* int64_t */
    EFX_CONF_DOUBLE,   /* double */
    EFX_CONF_BOOL,     /* bool */
    EFX_CONF_DURATION, /* int64_t, milliseconds */
    EFX_CONF_TIME,  /* int64_t, milliseconds: LONG or a duration, 0 and negative allowed (origin) */
    EFX_CONF_BYTES, /* int64_t, bytes */
    EFX_CONF_SECRET,  /* const char *, never printed */
    EFX_CONF_COLUMN,  /* uint32_t, in the schema of the rows that arrive */
    EFX_CONF_COLUMNS, /* struct efx_conf_cols */
};

struct efx_conf_cols {
    uint32_t n;
    const uint32_t *col; /* [n] */
};

struct efx_conf_key {
    const char *name; /* "file.path"; a trailing '*' ("datagen.*") takes a family, as raw text */
    enum efx_conf_kind kind;
    uint32_t arg;          /* its place among positional arguments, from 1; 0 = by name only */
    uint32_t off;          /* offsetof in the conf struct */
    const char *otherwise; /* default as the user would write it; NULL = must be given; "-" = a
                              number that nobody gave: EFX_TS_NONE */
    int64_t min, max;      /* of numbers, in the field's unit; 0, 0 = any */
    const char *values;    /* TEXT: "beginning|end", the accepted words; NULL = any */
    const char *help;      /* one sentence */
};

struct efx_plugin {
    uint32_t abi;      /* EFX_ABI when it was compiled */
    uint32_t vt_bytes; /* sizeof the whole descriptor: shorter ones of older plug-ins load */
    const char *name;  /* "length" */
    const char *help;  /* one sentence */
    const struct efx_conf_key *conf; /* ends with {0}; NULL = none */
    uint32_t conf_bytes;
    uint32_t self_bytes; /* of an instance, which the core gives zeroed */
    struct efx_traits traits;
};

#endif /* EFX_PLUGIN_H */
