#ifndef EFX_CRASH_H
#define EFX_CRASH_H

/* Places where a test ends the process as kill -9 does: the named points of a checkpoint's way.
 *
 *   EFX_CRASH_AT=after-chunks:3   at the third time that this point is passed
 *
 * Only in builds that say so (EFX_CRASH_POINTS); in all others there is nothing.
 *
 *   Threads  any
 */
#ifdef EFX_CRASH_POINTS
void efx_crash_point(const char *name);
#else
static inline void efx_crash_point(const char *name)
{
    (void)name;
}
#endif

#endif /* EFX_CRASH_H */
