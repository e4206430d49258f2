#ifndef EFX_TIME_H
#define EFX_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The calendar, and times as text: ISO 8601, or a pattern.
 *
 *   ISO       yyyy-MM-dd[(T| )HH:mm[:ss[.fraction]]][Z|±hh[[:]mm]]      also HH:mm[:ss[.fraction]]
 *   pattern   yyyy MM dd HH mm ss SSS and X (zone); 'text'; all else stands for itself
 *   percent   %Y %m %d %H %M %S, %L and %3f milliseconds, %f microseconds, %F %T %y %e %j, %z %:z
 *             zone, %s seconds since 1970, %%; a pattern with a percent sign is of this kind
 *
 * Milliseconds since 1970-01-01 in the Gregorian calendar, continued to both sides. Without a zone
 * it is UTC. Beyond milliseconds the fraction is cut. What a pattern does not have is as in
 * 1970-01-01 00:00.
 *
 *   Threads pure
 */
struct efx_civil {
    int64_t year;
    int64_t month, day, hour, minute, second, ms;
    int64_t zone_min; /* east of UTC */
};

int64_t efx_time_days(int64_t year, int64_t month, int64_t day);
int64_t efx_time_days_in(int64_t year, int64_t month);
struct efx_civil efx_time_civil(int64_t ms, int64_t zone_min);
/* zone_min is taken into account. */
int64_t efx_time_ms(const struct efx_civil *c);

bool efx_time_iso(const char *p, size_t n, int64_t *out_ms);
/* `pattern` NULL, empty or "ISO 8601": as above. */
bool efx_time_parse(const char *pattern, const char *p, size_t n, int64_t *out_ms);
/* Where the text names no zone it is of zone_min. */
bool efx_time_parse_in(const char *pattern, int64_t zone_min, const char *p, size_t n,
                       int64_t *out_ms);
/* Writes at most `room` bytes; returns how many there are. */
size_t efx_time_format(const char *pattern, int64_t zone_min, int64_t ms, char *p, size_t room);
/* Z, UTC, GMT, ±hh[[:]mm]; false = is none of these. */
bool efx_time_zone(const char *p, size_t n, int64_t *out_min);

#endif /* EFX_TIME_H */
