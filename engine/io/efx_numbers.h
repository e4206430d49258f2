#ifndef EFX_NUMBERS_H
#define EFX_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers to text and back for whole columns: the text of language §2.2, some ten times as fast as
 * the single-value functions of engine/expr, which give the same.
 *
 *   Limits  buf holds EFX_NUMBER_TEXT_MAX bytes
 *   Threads pure
 *   Source  C++17 <charconv> (numbers.cc); tests/io/test_encode.c compares
 */
#ifdef __cplusplus
extern "C" {
#endif

enum { EFX_NUMBER_TEXT_MAX = 40 };

uint32_t efx_io_long_text(int64_t v, char *buf);
/* NaN, Infinity, -Infinity where it is not finite. */
uint32_t efx_io_double_text(double d, char *buf);
uint32_t efx_io_float_text(float f, char *buf);

/* [+-] digits [. digits] [e [+-] digits] and the three words above, white space around it; false =
 * is none, or overflows. */
bool efx_io_parse_double(const char *p, size_t n, double *out);
bool efx_io_parse_float(const char *p, size_t n, float *out);
/* [+-] digits, white space around it. */
bool efx_io_parse_long(const char *p, size_t n, int64_t *out);

#ifdef __cplusplus
}
#endif

#endif /* EFX_NUMBERS_H */
