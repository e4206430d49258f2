#ifndef EFX_PUT_H
#define EFX_PUT_H

#include "efx_builder.h"
#include "efx_str.h"

/* Values from outside into the open row of a builder, converted as CAST does (language §18.4).
 *
 *                 INT, LONG          FLOAT, DOUBLE   BOOL        STRING        BYTES    OBJECT
 *   whole number  checked            nearest         0 → FALSE   its digits    –        –
 *   decimal       if without fraction nearest        –           number text   –        –
 *   true, false   1, 0               –               same        true, false   –        –
 *   text          trimmed integer,   trimmed number  true 1 yes  same          base64   –
 *                 or a time (is_time)                false 0 no
 *   JSON text     –                  –               –           same          –        same
 *
 *   Errors   0, or 3002: the value does not fit the column (–, or what CAST makes NULL)
 *   Owner    texts are copied into the builder's heap; running out of it sets `full`
 *   Threads  the one that decodes
 */
struct efx_put {
    struct efx_builder *b;
    struct efx_colset *set; /* of the open row */
    const struct efx_schema *schema;
    const char *date_format; /* of is_time columns; NULL = ISO 8601 */
    bool full;               /* out of memory */
};

uint16_t efx_put_long(struct efx_put *r, uint32_t c, int64_t v);
uint16_t efx_put_double(struct efx_put *r, uint32_t c, double v);
uint16_t efx_put_bool(struct efx_put *r, uint32_t c, bool v);
uint16_t efx_put_text(struct efx_put *r, uint32_t c, struct efx_str text);
/* A JSON number as it is written: decimal if it has a point or an exponent. */
uint16_t efx_put_number(struct efx_put *r, uint32_t c, struct efx_str text);
/* An object or array, as its JSON text. */
uint16_t efx_put_nested(struct efx_put *r, uint32_t c, struct efx_str json);
/* Bytes of a text slot as they are. */
uint16_t efx_put_bytes(struct efx_put *r, uint32_t c, const void *bytes, uint32_t n);
static inline void efx_put_null(struct efx_put *r, uint32_t c)
{
    efx_bit_put(r->set->valid[c], r->set->n_rows, false);
}

#endif /* EFX_PUT_H */
