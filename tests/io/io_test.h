#ifndef IO_TEST_H
#define IO_TEST_H

#include "efx_test.h"

#include "efx_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stream of one column of each type, a builder for it, and formats opened over them. */
static const struct efx_schema_col io_cols[] = {
    {.name = "i", .type = EFX_TYPE_INT},
    {.name = "l", .type = EFX_TYPE_LONG},
    {.name = "f", .type = EFX_TYPE_FLOAT},
    {.name = "d", .type = EFX_TYPE_DOUBLE},
    {.name = "b", .type = EFX_TYPE_BOOL},
    {.name = "s", .type = EFX_TYPE_STRING},
    {.name = "y", .type = EFX_TYPE_BYTES},
    {.name = "o", .type = EFX_TYPE_OBJECT},
    {.name = "t", .type = EFX_TYPE_LONG, .is_time = true},
};
enum { IO_I, IO_L, IO_F, IO_D, IO_B, IO_S, IO_Y, IO_O, IO_T, IO_N };

static const struct efx_schema io_schema = {"S", IO_N, io_cols};
static const struct efx_schema *const io_schemas[] = {&io_schema};

struct io {
    struct efx_arena arena;
    struct efx_builder *b;
    struct efx_format *f;
    struct efx_err err;
};

static inline enum efx_rc io_open(struct io *t, const struct efx_format_vt *vt, const void *conf,
                                  const struct efx_prop *props, uint32_t n_props)
{
    efx_arena_init(&t->arena, &efx_mem_libc, SIZE_MAX);
    t->err = (struct efx_err){0};
    assert_int_equal(efx_builder_create(&t->arena, &efx_mem_libc, io_schemas, 1, 64, &t->b),
                     EFX_OK);
    struct efx_format_open how = {.conf = conf,
                                  .props = props,
                                  .n_props = n_props,
                                  .streams = io_schemas,
                                  .n_streams = 1,
                                  .arena = &t->arena};
    return efx_format_make(vt, &how, &t->f, &t->err);
}

static inline void io_close(struct io *t)
{
    efx_builder_close(t->b);
    efx_arena_fini(&t->arena);
}

/* Decodes a text as one chunk with padding of its own, so that reading past it is seen. */
static inline enum efx_rc io_decode(struct io *t, const char *text, const void *prologue)
{
    size_t n = strlen(text);
    uint8_t *bytes = malloc(n + EFX_CHUNK_PAD);
    assert_non_null(bytes);
    memcpy(bytes, text, n);
    memset(bytes + n, 'x', EFX_CHUNK_PAD);
    struct efx_msg m = {.len = (uint32_t)n, .ts_ms = EFX_TS_NONE};
    struct efx_chunk c = {.bytes = bytes,
                          .n_bytes = n,
                          .max_bytes = n,
                          .msgs = &m,
                          .n_msgs = 1,
                          .stream = true,
                          .ends = true,
                          .prologue = prologue};
    struct efx_decode d = {.chunk = &c};
    efx_builder_clear(t->b);
    enum efx_rc rc = t->f->vt->decode(t->f, &d, t->b);
    free(bytes);
    return rc;
}

static inline bool io_null(const struct io *t, uint32_t c, uint32_t row)
{
    return !efx_bit(t->b->set[0]->valid[c], row);
}

#define IO_SLOT(t, c, row, T) (((const T *)(t)->b->set[0]->data[c])[row])

static inline void io_text_is(const struct io *t, uint32_t c, uint32_t row, const char *want)
{
    const struct efx_cell *cell = &IO_SLOT(t, c, row, struct efx_cell);
    assert_false(io_null(t, c, row));
    assert_int_equal(cell->len, strlen(want));
    assert_memory_equal(efx_cell_bytes(cell), want, cell->len);
}

/* One line, one row or one reject. */
static inline uint16_t io_code(struct io *t, const char *line)
{
    assert_int_equal(io_decode(t, line, NULL), EFX_OK);
    assert_int_equal(t->b->n_turns, 1);
    return t->b->n_rejects > 0 ? t->b->rejects[0].code : 0;
}

#endif /* IO_TEST_H */
