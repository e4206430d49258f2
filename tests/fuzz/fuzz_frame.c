/* Any bytes as frames: nothing is read past their end, the decoder agrees with itself when bytes
 * come one at a time, and what it takes is written back as the same bytes. */
#include "efx_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct efx_msg_header headers[EFX_FRAME_HEADERS_MAX], again_headers[EFX_FRAME_HEADERS_MAX];

static void must(bool holds)
{
    if (!holds) {
        efx_panic(__FILE__, __LINE__, "the decoder of frames contradicts itself");
    }
}

static void check_round_trip(const struct efx_msg *m, const uint8_t *data, size_t used)
{
    uint8_t *bytes = malloc(used);
    must(bytes != NULL && efx_frame_bytes(m) + EFX_FRAME_LENGTH_BYTES == used);
    struct efx_writer w = {.p = bytes, .max = used};
    efx_frame_put(&w, m);
    must(!w.full && w.n == used && memcmp(bytes, data, used) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct efx_bytes left = {data, size};
    struct efx_msg m, again;
    size_t used, used_again;
    while (efx_frame_take(left, 4096, headers, &m, &used) == EFX_OK) {
        struct efx_bytes part = {left.p, used};
        must(used <= left.n);
        must(efx_frame_take(part, 4096, again_headers, &again, &used_again) == EFX_OK);
        must(used_again == used);
        part.n--;
        must(efx_frame_take(part, 4096, again_headers, &again, &used_again) == EFX_AGAIN);
        check_round_trip(&m, left.p, used);
        left.p += used;
        left.n -= used;
    }
    return 0;
}
