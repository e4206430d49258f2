#include "efx_err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum efx_rc efx_err_set(struct efx_err *err, const struct efx_err *like, const char *fmt, ...)
{
    if (err != NULL) {
        *err = *like;
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(err->msg, sizeof err->msg, fmt, args);
        va_end(args);
    }
    return like->rc;
}

_Noreturn void efx_panic(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "efx: fault of the program itself (EFX-9002): %s:%d: %s\n", file, line,
                  what);
    (void)fflush(stderr);
    _Exit(70);
}
