/* Ends of a process, for tests. */
#include "efx_crash.h"

#ifdef EFX_CRASH_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void efx_crash_point(const char *name)
{
    static atomic_long passed;
    const char *at = getenv("EFX_CRASH_AT");
    size_t n = strlen(name);
    if (at == NULL || strncmp(at, name, n) != 0 || (at[n] != ':' && at[n] != '\0')) {
        return;
    }
    long which = at[n] == ':' ? strtol(at + n + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 == which) {
        (void)raise(SIGKILL);
    }
}

#else

extern int efx_crash__nothing; /* a file has something in it */
int efx_crash__nothing;

#endif
