#ifndef EFX_TIME_TEXT_H
#define EFX_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times as text: ISO 8601, or a pattern of letters.
 *
 *   ISO       yyyy-MM-dd[(T| )HH:mm[:ss[.fraction]]][Z|±hh[[:]mm]]      also HH:mm[:ss[.fraction]]
 *   pattern   yyyy MM dd HH mm ss SSS and X (zone); 'text'; other characters stand for themselves
 *
 * Without a zone it is UTC. Beyond milliseconds the fraction is cut.
 *
 *   Threads pure
 */
bool efx_io_time_iso(const char *p, size_t n, int64_t *out_ms);
/* `pattern` NULL or "ISO 8601": as above. */
bool efx_io_time_parse(const char *pattern, const char *p, size_t n, int64_t *out_ms);

#endif /* EFX_TIME_TEXT_H */
