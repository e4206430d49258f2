#ifndef EFX_CRC32C_H
#define EFX_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli), by the processor's instruction where it has one, else by tables. `crc` is 0
 * or what the bytes before gave.
 *
 *   Threads  any
 *   Source   RFC 3720 appendix B.4: known answers in tests/transport/test_payload.c
 */
uint32_t efx_crc32c(uint32_t crc, const void *p, size_t n);
/* The one without the instruction, for tests. */
uint32_t efx_crc32c_by_tables(uint32_t crc, const void *p, size_t n);

#endif /* EFX_CRC32C_H */
