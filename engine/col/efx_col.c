#include "efx_col.h"

const char *efx_type_name(enum efx_type t)
{
    static const char *const name[EFX_TYPES] = {"NULL", "INT",    "LONG",  "FLOAT", "DOUBLE",
                                                "BOOL", "STRING", "BYTES", "OBJECT"};
    return name[t];
}
