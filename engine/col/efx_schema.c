#include "efx_schema.h"

uint32_t efx_schema_find(const struct efx_schema *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_cols; i++) {
        if (strcmp(s->cols[i].name, name) == 0) {
            return i;
        }
    }
    return EFX_SCHEMA_NO_COL;
}
