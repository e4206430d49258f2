#include "batch_out.h"

enum { /* field numbers of eventflux.v1 */
       BATCH_STREAM = 1,
       BATCH_ROW_COUNT = 2,
       BATCH_TS = 3,
       BATCH_COLUMNS = 4,
       BATCH_ROWS = 5,
       BATCH_EXPIRED = 6,
       COLUMN_NAME = 1,
       COLUMN_TYPE = 2,
       COLUMN_NULLS = 3,
       COLUMN_FIXED = 4,
       COLUMN_ENDS = 5,
       COLUMN_HEAP = 6,
       ROW_TS = 1,
       ROW_VALUES = 2,
       ROW_EXPIRED = 3,
       VALUE_I = 1,
       VALUE_D = 2,
       VALUE_B = 3,
       VALUE_S = 4,
       VALUE_Y = 5,
       INFO_NAME = 1,
       INFO_TYPE = 2,
       INFO_NOT_NULL = 3,
};

static const struct efx_cell *cell_at(const struct efx_col *c, uint32_t row)
{
    return (const struct efx_cell *)c->data + row;
}

static bool is_expired(const struct batch_out *o, uint32_t i)
{
    return efx_batch_kind(o->b, o->at[i]) == EFX_ROW_EXPIRED;
}

uint32_t batch_out_cut(const struct efx_batch *b, const struct efx_schema *schema,
                       const uint32_t *at, uint32_t n, size_t max_bytes)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        bytes += 16;
        for (uint32_t c = 0; c < schema->n_cols; c++) {
            bytes += efx_type_width(schema->cols[c].type);
            if (efx_type_is_cell(schema->cols[c].type) && efx_bit(b->cols[c].valid, at[i])) {
                bytes += cell_at(&b->cols[c], at[i])->len;
            }
        }
        if (bytes > max_bytes) {
            return i == 0 ? 1 : i;
        }
    }
    return n;
}

/* ---- columns ---- */

static void look_at(struct batch_out *o, uint32_t c)
{
    const struct efx_col *col = &o->b->cols[c];
    bool cells = efx_type_is_cell(col->type);
    o->has_null[c] = false;
    o->heap[c] = 0;
    for (uint32_t i = 0; i < o->n && (cells || col->valid != NULL); i++) {
        if (!efx_bit(col->valid, o->at[i])) {
            o->has_null[c] = true;
        } else if (cells) {
            o->heap[c] += cell_at(col, o->at[i])->len;
        }
    }
}

static size_t column_size(const struct batch_out *o, uint32_t c)
{
    const struct efx_schema_col *info = &o->schema->cols[c];
    size_t n = wire_size_bytes(strlen(info->name)) + 2;
    n += o->has_null[c] ? wire_size_bytes((o->n + 7) / 8) : 0;
    return efx_type_is_cell(info->type)
               ? n + wire_size_bytes(o->n * sizeof(uint32_t)) + wire_size_bytes(o->heap[c])
               : n + wire_size_bytes((size_t)o->n * efx_type_width(info->type));
}

static uint8_t *put_nulls(const struct batch_out *o, const struct efx_col *col, uint8_t *p)
{
    p = wire_put_head(p, COLUMN_NULLS, (o->n + 7) / 8);
    memset(p, 0, (o->n + 7) / 8);
    for (uint32_t i = 0; i < o->n; i++) {
        p[i / 8] |= (uint8_t)(!efx_bit(col->valid, o->at[i]) << i % 8);
    }
    return p + (o->n + 7) / 8;
}

static uint8_t *put_fixed(const struct batch_out *o, const struct efx_col *col, uint8_t *p)
{
    uint32_t width = efx_type_width(col->type);
    const uint8_t *data = col->data;
    p = wire_put_head(p, COLUMN_FIXED, (size_t)o->n * width);
    if (col->valid == NULL && o->at[o->n - 1] - o->at[0] == o->n - 1) {
        memcpy(p, data + (size_t)o->at[0] * width, (size_t)o->n * width);
        return p + (size_t)o->n * width;
    }
    for (uint32_t i = 0; i < o->n; i++, p += width) {
        if (efx_bit(col->valid, o->at[i])) {
            memcpy(p, data + (size_t)o->at[i] * width, width);
        } else {
            memset(p, 0, width);
        }
    }
    return p;
}

static uint8_t *put_texts(const struct batch_out *o, uint32_t c, uint8_t *p)
{
    const struct efx_col *col = &o->b->cols[c];
    uint8_t *ends = wire_put_head(p, COLUMN_ENDS, o->n * sizeof(uint32_t));
    uint8_t *heap = wire_put_head(ends + o->n * sizeof(uint32_t), COLUMN_HEAP, o->heap[c]);
    uint32_t end = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        if (efx_bit(col->valid, o->at[i])) {
            const struct efx_cell *cell = cell_at(col, o->at[i]);
            memcpy(heap + end, efx_cell_bytes(cell), cell->len);
            end += cell->len;
        }
        memcpy(ends + i * sizeof end, &end, sizeof end);
    }
    return heap + end;
}

static uint8_t *put_column(const struct batch_out *o, uint32_t c, uint8_t *p)
{
    const struct efx_schema_col *info = &o->schema->cols[c];
    p = wire_put_head(p, BATCH_COLUMNS, column_size(o, c));
    p = wire_put_bytes(p, COLUMN_NAME, info->name, strlen(info->name));
    p = wire_put_number(p, COLUMN_TYPE, info->type);
    if (o->has_null[c]) {
        p = put_nulls(o, &o->b->cols[c], p);
    }
    return efx_type_is_cell(info->type) ? put_texts(o, c, p) : put_fixed(o, &o->b->cols[c], p);
}

static size_t columns_size(struct batch_out *o)
{
    size_t n = 1 + wire_size_varint(o->n) + wire_size_bytes(o->n * sizeof(int64_t));
    for (uint32_t c = 0; c < o->schema->n_cols; c++) {
        look_at(o, c);
        n += wire_size_bytes(column_size(o, c));
    }
    return o->has_expired ? n + wire_size_bytes((o->n + 7) / 8) : n;
}

static uint8_t *put_columns(const struct batch_out *o, uint8_t *p)
{
    p = wire_put_number(p, BATCH_ROW_COUNT, o->n);
    p = wire_put_head(p, BATCH_TS, o->n * sizeof(int64_t));
    for (uint32_t i = 0; i < o->n; i++, p += sizeof(int64_t)) {
        memcpy(p, &o->b->ts_ms[o->at[i]], sizeof(int64_t));
    }
    for (uint32_t c = 0; c < o->schema->n_cols; c++) {
        p = put_column(o, c, p);
    }
    if (o->has_expired) {
        p = wire_put_head(p, BATCH_EXPIRED, (o->n + 7) / 8);
        memset(p, 0, (o->n + 7) / 8);
        for (uint32_t i = 0; i < o->n; i++) {
            p[i / 8] |= (uint8_t)(is_expired(o, i) << i % 8);
        }
        p += (o->n + 7) / 8;
    }
    return p;
}

/* ---- rows ---- */

static int64_t whole_at(const struct efx_col *c, uint32_t row)
{
    return c->type == EFX_TYPE_INT ? ((const int32_t *)c->data)[row]
                                   : ((const int64_t *)c->data)[row];
}

static double number_at(const struct efx_col *c, uint32_t row)
{
    return c->type == EFX_TYPE_FLOAT ? (double)((const float *)c->data)[row]
                                     : ((const double *)c->data)[row];
}

/* Of a Value, without its head. */
static size_t value_size(const struct efx_col *c, uint32_t row)
{
    if (!efx_bit(c->valid, row)) {
        return 0;
    }
    switch (c->type) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG: return 1 + wire_size_varint((uint64_t)whole_at(c, row));
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE: return 9;
    case EFX_TYPE_BOOL: return 2;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return wire_size_bytes(cell_at(c, row)->len);
    case EFX_TYPE_NONE: break;
    }
    return 0;
}

static uint8_t *put_value(const struct efx_col *c, uint32_t row, uint8_t *p)
{
    double d;
    p = wire_put_head(p, ROW_VALUES, value_size(c, row));
    if (!efx_bit(c->valid, row)) {
        return p;
    }
    switch (c->type) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG: return wire_put_number(p, VALUE_I, (uint64_t)whole_at(c, row));
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE:
        d = number_at(c, row);
        *p++ = VALUE_D << 3 | WIRE_FIXED64;
        memcpy(p, &d, sizeof d);
        return p + sizeof d;
    case EFX_TYPE_BOOL: return wire_put_number(p, VALUE_B, ((const uint8_t *)c->data)[row]);
    case EFX_TYPE_STRING:
    case EFX_TYPE_OBJECT:
    case EFX_TYPE_BYTES:
        return wire_put_bytes(p, c->type == EFX_TYPE_BYTES ? VALUE_Y : VALUE_S,
                              efx_cell_bytes(cell_at(c, row)), cell_at(c, row)->len);
    case EFX_TYPE_NONE: break;
    }
    return p;
}

static size_t rows_size(struct batch_out *o)
{
    size_t n = 0;
    for (uint32_t c = 0; c < o->schema->n_cols; c++) {
        n += wire_size_bytes(wire_size_bytes(strlen(o->schema->cols[c].name)) + 2);
    }
    for (uint32_t i = 0; i < o->n; i++) {
        size_t row = 1 + wire_size_varint((uint64_t)o->b->ts_ms[o->at[i]]);
        row += is_expired(o, i) ? 2 : 0;
        for (uint32_t c = 0; c < o->schema->n_cols; c++) {
            row += wire_size_bytes(value_size(&o->b->cols[c], o->at[i]));
        }
        o->row_bytes[i] = (uint32_t)row;
        n += wire_size_bytes(row);
    }
    return n;
}

static uint8_t *put_rows(const struct batch_out *o, uint8_t *p)
{
    for (uint32_t c = 0; c < o->schema->n_cols; c++) {
        const struct efx_schema_col *info = &o->schema->cols[c];
        p = wire_put_head(p, BATCH_COLUMNS, wire_size_bytes(strlen(info->name)) + 2);
        p = wire_put_bytes(p, COLUMN_NAME, info->name, strlen(info->name));
        p = wire_put_number(p, COLUMN_TYPE, info->type);
    }
    for (uint32_t i = 0; i < o->n; i++) {
        p = wire_put_head(p, BATCH_ROWS, o->row_bytes[i]);
        p = wire_put_number(p, ROW_TS, (uint64_t)o->b->ts_ms[o->at[i]]);
        for (uint32_t c = 0; c < o->schema->n_cols; c++) {
            p = put_value(&o->b->cols[c], o->at[i], p);
        }
        if (is_expired(o, i)) {
            p = wire_put_number(p, ROW_EXPIRED, 1);
        }
    }
    return p;
}

/* ---- either ---- */

size_t batch_out_size(struct batch_out *o)
{
    o->has_expired = false;
    for (uint32_t i = 0; i < o->n && o->b->kind != NULL; i++) {
        o->has_expired = o->has_expired || is_expired(o, i);
    }
    return wire_size_bytes(strlen(o->schema->name)) + (o->n == 0    ? 0
                                                       : o->as_rows ? rows_size(o)
                                                                    : columns_size(o));
}

uint8_t *batch_out_put(const struct batch_out *o, uint8_t *p)
{
    p = wire_put_bytes(p, BATCH_STREAM, o->schema->name, strlen(o->schema->name));
    return o->n == 0 ? p : o->as_rows ? put_rows(o, p) : put_columns(o, p);
}

/* ---- schema ---- */

static size_t info_size(const struct efx_schema_col *c)
{
    return wire_size_bytes(strlen(c->name)) + 2 + (c->not_null ? 2 : 0);
}

size_t batch_out_schema_size(const struct efx_schema *schema)
{
    size_t n = 0;
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        n += wire_size_bytes(info_size(&schema->cols[c]));
    }
    return n;
}

uint8_t *batch_out_schema_put(const struct efx_schema *schema, uint32_t field, uint8_t *p)
{
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        const struct efx_schema_col *info = &schema->cols[c];
        p = wire_put_head(p, field, info_size(info));
        p = wire_put_bytes(p, INFO_NAME, info->name, strlen(info->name));
        p = wire_put_number(p, INFO_TYPE, info->type);
        if (info->not_null) {
            p = wire_put_number(p, INFO_NOT_NULL, 1);
        }
    }
    return p;
}
