/* Any bytes as ndjson input: nothing is read past the chunk, and every line is a row, a clock or a
 * reject. */
#include "efx_io.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct efx_schema_col cols[] = {
    {.name = "i", .type = EFX_TYPE_INT},   {.name = "d", .type = EFX_TYPE_DOUBLE},
    {.name = "b", .type = EFX_TYPE_BOOL},  {.name = "s", .type = EFX_TYPE_STRING},
    {.name = "y", .type = EFX_TYPE_BYTES}, {.name = "t", .type = EFX_TYPE_LONG, .is_time = true},
};
static const struct efx_schema schema = {"S", 6, cols};
static const struct efx_schema *const schemas[] = {&schema};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct efx_arena arena;
    struct efx_builder *b;
    struct efx_format *f;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    struct efx_format_open how = {.streams = schemas, .n_streams = 1, .arena = &arena};
    if (efx_builder_create(&arena, &efx_mem_libc, schemas, 1, 16, &b) != EFX_OK ||
        efx_format_make(&efx_events_format_vt, &how, &f, NULL) != EFX_OK) {
        efx_panic(__FILE__, __LINE__, "out of memory");
    }
    uint8_t *bytes = malloc(size + EFX_CHUNK_PAD);
    if (bytes == NULL) {
        efx_panic(__FILE__, __LINE__, "out of memory");
    }
    memcpy(bytes, data, size);
    memset(bytes + size, '"', EFX_CHUNK_PAD);
    struct efx_msg m = {.len = (uint32_t)size, .ts_ms = EFX_TS_NONE};
    struct efx_chunk c = {.bytes = bytes,
                          .n_bytes = size,
                          .max_bytes = size,
                          .msgs = &m,
                          .n_msgs = 1,
                          .stream = true,
                          .ends = true};
    struct efx_decode d = {.chunk = &c};
    while (f->vt->decode(f, &d, b) == EFX_AGAIN) {
        efx_builder_clear(b);
    }
    efx_builder_close(b);
    efx_arena_fini(&arena);
    free(bytes);
    return 0;
}
