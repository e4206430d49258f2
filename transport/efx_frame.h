#ifndef EFX_FRAME_H
#define EFX_FRAME_H

#include "efx_transport.h"

/* A message as bytes: a big-endian length, then bincode 1 (little-endian, fixed width).
 *
 *   bytes    field
 *   4        length of what follows, big-endian
 *   8 + n    id           length u64, UTF-8
 *   8 + n    payload      length u64, bytes
 *   8        headers      count u64, then for each
 *   8 + n      key        length u64, UTF-8
 *   8 + n      value      length u64, UTF-8
 *   4        type         enum efx_msg_type
 *
 * Sans-I/O: bytes come in, views go out; whoever reads the socket keeps half a frame for us.
 *
 *   Owner    views borrow from the caller's bytes
 *   Limits   bytes_max, looked at as soon as the length is there; EFX_FRAME_HEADERS_MAX
 *   Errors   EFX_AGAIN: more bytes are needed. EFX_ELIMIT: longer than bytes_max. EFX_EPARSE: not
 *            this protocol, or text that is not UTF-8
 *   Threads  none
 *   Source   runtime.md §4; known answers in tests/transport/test_frame.c, tests/fuzz/fuzz_frame.c
 */
enum { EFX_FRAME_HEADERS_MAX = 256, EFX_FRAME_LENGTH_BYTES = 4, EFX_FRAME_BYTES_MIN = 28 };
enum { EFX_FRAME_BYTES_MAX = 10 << 20, EFX_FRAME_NODE_BYTES_MAX = 32 << 20 };

/* What follows the length. */
size_t efx_frame_bytes(const struct efx_msg *msg);
/* EFX_EPARSE: its text is not UTF-8, or a type or a number of headers that no frame has. */
enum efx_rc efx_frame_check(const struct efx_msg *msg) EFX_MUST_USE;
/* All of it but the payload, which stands between: before it and behind it. The writers have room
 * for efx_frame_bytes + EFX_FRAME_LENGTH_BYTES - payload.n together. */
void efx_frame_put_front(struct efx_writer *w, const struct efx_msg *msg);
void efx_frame_put_back(struct efx_writer *w, const struct efx_msg *msg);
void efx_frame_put(struct efx_writer *w, const struct efx_msg *msg);

/* Looks at the front of buf. *used: bytes of the frame with its length; with EFX_AGAIN 0 while it
 * is not known. headers: [EFX_FRAME_HEADERS_MAX]. */
enum efx_rc efx_frame_take(struct efx_bytes buf, size_t bytes_max, struct efx_msg_header *headers,
                           struct efx_msg *out, size_t *used) EFX_MUST_USE;

#endif /* EFX_FRAME_H */
