#ifndef EFX_SCHEMA_H
#define EFX_SCHEMA_H

#include "efx_col.h"

/* Names and types of a stream's, table's or window's columns, in declaration order.
 *
 *   Owner  the plan arena; immutable once the program is bound
 *   Limits EFX_SCHEMA_COLS_MAX columns (EFX-1113)
 */
enum { EFX_SCHEMA_COLS_MAX = 1024 };

struct efx_schema_col {
    const char *name;
    enum efx_type type;
    bool not_null; /* an event that brings NULL is a data error, EFX-3102 */
    bool is_time;  /* declared TIMESTAMP, DATETIME, DATE or TIME: decoders accept ISO 8601 too */
};

struct efx_schema {
    const char *name; /* of the stream; an inner stream's begins with '#', a fault stream's '!' */
    uint32_t n_cols;
    const struct efx_schema_col *cols;
};

/* EFX_SCHEMA_NO_COL = has no such column. Case-sensitive. */
static const uint32_t EFX_SCHEMA_NO_COL = UINT32_MAX;
uint32_t efx_schema_find(const struct efx_schema *s, const char *name);

#endif /* EFX_SCHEMA_H */
