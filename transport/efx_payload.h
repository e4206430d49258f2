#ifndef EFX_PAYLOAD_H
#define EFX_PAYLOAD_H

#include "efx_arena.h"
#include "efx_transport.h"

/* Payloads between nodes: smaller if that pays, and checked.
 *
 *   header   value                                              when
 *   c        CRC-32C of the payload as it is sent, 8 hex digits  always
 *   z        bytes of the payload before zstd, decimal           it is compressed
 *
 *   Owner    what pack and unpack give lives until the next call, or is the caller's own bytes
 *   Limits   raw_bytes_max of unpack, looked at before anything is allocated
 *   Errors   EFX_EPARSE: damaged, or not made by pack. EFX_ELIMIT: would be longer than allowed
 *   Threads  one for each
 *   Source   tests/transport/test_payload.c
 */
enum { EFX_PAYLOAD_HEADERS = 2 };

struct efx_payload_packed {
    struct efx_bytes payload;
    uint32_t n_headers;
    struct efx_msg_header headers[EFX_PAYLOAD_HEADERS];
    char crc[9], length[21]; /* what the headers point to */
};

struct efx_payload;

/* Below threshold_bytes nothing is compressed; 0 = never. */
enum efx_rc efx_payload_create(struct efx_mem *mem, size_t threshold_bytes,
                               struct efx_payload **out);
void efx_payload_destroy(struct efx_payload **p);
/* Cannot fail: without memory the bytes go as they are. */
void efx_payload_pack(struct efx_payload *p, struct efx_bytes raw, struct efx_payload_packed *out);
enum efx_rc efx_payload_unpack(struct efx_payload *p, const struct efx_msg *msg,
                               size_t raw_bytes_max, struct efx_bytes *out) EFX_MUST_USE;

#endif /* EFX_PAYLOAD_H */
