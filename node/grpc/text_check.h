#ifndef TEXT_CHECK_H
#define TEXT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is it what a column may hold? STRING: UTF-8 as RFC 3629 has it, no surrogates, nothing overlong.
 * OBJECT: one JSON text as RFC 8259 has it, nested up to TEXT_JSON_DEPTH_MAX.
 *
 *   Threads  none; no recursion
 */
enum { TEXT_JSON_DEPTH_MAX = 512 };

bool text_is_ascii(const uint8_t *p, size_t n);
bool text_is_utf8(const uint8_t *p, size_t n);
bool text_is_json(const uint8_t *p, size_t n);

#endif /* TEXT_CHECK_H */
