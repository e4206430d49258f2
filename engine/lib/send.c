/* Events in: values into the open row, or whole columns. */
#include "lib.h"

static bool input_of(const struct efx *app, const char *stream, uint32_t *id)
{
    *id = app->started ? efx_lib__stream(app, stream) : EFX_NO_COL;
    return *id != EFX_NO_COL && app->streams[*id].is_input;
}

static double number_of(const efx_val *v)
{
    switch (v->type) {
    case EFX_VAL_INT: return v->u.i;
    case EFX_VAL_LONG: return (double)v->u.l;
    case EFX_VAL_FLOAT: return (double)v->u.f;
    case EFX_VAL_DOUBLE: return v->u.d;
    case EFX_VAL_BOOL:
    case EFX_VAL_STRING:
    case EFX_VAL_BYTES:
    case EFX_VAL_OBJECT: break;
    }
    return 0;
}

static bool whole_of(const efx_val *v, int64_t min, int64_t max, int64_t *out)
{
    if (v->type == EFX_VAL_INT || v->type == EFX_VAL_LONG) {
        *out = v->type == EFX_VAL_INT ? v->u.i : v->u.l;
        return *out >= min && *out <= max;
    }
    double d = number_of(v);
    if (!(d >= -0x1p63 && d < 0x1p63) || d != (double)(int64_t)d) {
        return false;
    }
    *out = (int64_t)d;
    return *out >= min && *out <= max;
}

/* Writes a value into the open row; false: it does not fit the column. */
static bool put_value(struct efx_builder *b, struct efx_colset *s, uint32_t c, enum efx_type type,
                      const efx_val *v)
{
    bool number = v->type >= EFX_VAL_INT && v->type <= EFX_VAL_DOUBLE;
    int64_t whole;
    if (v->null) {
        return true;
    }
    if (number != efx_type_is_number(type) || (!number && (int)type != (int)v->type)) {
        return false;
    }
    switch (type) {
    case EFX_TYPE_NONE: return false;
    case EFX_TYPE_INT:
        if (!whole_of(v, INT32_MIN, INT32_MAX, &whole)) {
            return false;
        }
        ((int32_t *)s->data[c])[s->n_rows] = (int32_t)whole;
        break;
    case EFX_TYPE_LONG:
        if (!whole_of(v, INT64_MIN, INT64_MAX, &whole)) {
            return false;
        }
        ((int64_t *)s->data[c])[s->n_rows] = whole;
        break;
    case EFX_TYPE_FLOAT: ((float *)s->data[c])[s->n_rows] = (float)number_of(v); break;
    case EFX_TYPE_DOUBLE: ((double *)s->data[c])[s->n_rows] = number_of(v); break;
    case EFX_TYPE_BOOL: ((uint8_t *)s->data[c])[s->n_rows] = v->u.b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return efx_builder_text(b, s, c, v->u.s.p, (uint32_t)v->u.s.n) == EFX_OK;
    }
    efx_builder_valid(s, c);
    return true;
}

static enum efx_code send(struct efx *app, uint32_t id, int64_t ts_ms, const efx_val *values,
                          uint32_t n)
{
    struct efx_builder *b = efx_app_builder(app->app);
    const struct efx_schema *schema = &app->program->objects[id]->schema;
    struct efx_colset *s;
    if (efx_builder_full(b)) {
        enum efx_rc rc = efx_app_submit(app->app);
        if (rc != EFX_OK) {
            return efx_lib__code(rc);
        }
        b = efx_app_builder(app->app);
    }
    enum efx_rc rc = efx_builder_begin(b, (uint16_t)id, ts_ms, &s);
    if (rc != EFX_OK) {
        return efx_lib__code(rc);
    }
    for (uint32_t c = 0; c < n; c++) {
        if (!put_value(b, s, c, schema->cols[c].type, &values[c])) {
            rc = efx_builder_reject(b, (uint16_t)id, 3002, 0, "", 0);
            return rc == EFX_OK ? EFX_RC_DATA : efx_lib__code(rc);
        }
    }
    efx_builder_end(b, s);
    return efx_builder_full(b) ? efx_lib__code(efx_app_submit(app->app)) : EFX_RC_OK;
}

enum efx_code efx_send(struct efx *app, const char *stream, int64_t ts_ms, const efx_val *values,
                       uint32_t n)
{
    uint32_t id;
    if (!input_of(app, stream, &id) || n != app->streams[id].n_columns) {
        return EFX_RC_USE;
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_code code = send(app, id, ts_ms, values, n);
    (void)pthread_mutex_unlock(&app->lock);
    return code;
}

/* With one shard a step is done when submit returns, so columns are lent; with several they are
 * copied so that the caller can bring the next while the shards work. */
static enum efx_rc send_part(struct efx *app, uint32_t id, uint32_t from, uint32_t n,
                             const void *const *data, const uint64_t *const *valid,
                             const int64_t *ts_ms)
{
    const struct efx_schema *schema = &app->program->objects[id]->schema;
    struct efx_builder *b = efx_app_builder(app->app);
    struct efx_col cols[EFX_SCHEMA_COLS_MAX];
    bool one = app->options.shards == 1 || efx_lib__shards(&app->options) == 1;
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        uint32_t width = efx_type_width(schema->cols[c].type);
        cols[c] =
            (struct efx_col){schema->cols[c].type, (const uint8_t *)data[c] + (size_t)from * width,
                             valid == NULL || valid[c] == NULL ? NULL : valid[c] + from / 64};
    }
    if (one) {
        EFX_RET(efx_builder_lend(b, (uint16_t)id, n, cols, ts_ms == NULL ? NULL : ts_ms + from));
    } else {
        EFX_RET(efx_builder_copy(b, (uint16_t)id, n, cols, ts_ms == NULL ? NULL : ts_ms + from));
    }
    return efx_app_submit(app->app);
}

enum efx_code efx_send_columns(struct efx *app, const char *stream, uint32_t n,
                               const void *const *data, const uint64_t *const *valid,
                               const int64_t *ts_ms)
{
    uint32_t id;
    if (!input_of(app, stream, &id)) {
        return EFX_RC_USE;
    }
    (void)pthread_mutex_lock(&app->lock);
    enum efx_rc rc = efx_app_submit(app->app);
    uint32_t step = efx_app_builder(app->app)->turns_max;
    uint32_t whole = step >= 64 ? step / 64 * 64 : step;
    for (uint32_t from = 0; from < n && rc == EFX_OK;) {
        /* Parts begin at a word of 64 rows, so NULL bits need no shifting. */
        uint32_t part = n - from < whole ? n - from : whole;
        if (valid != NULL && whole < 64) {
            part = n - from < 64 - from % 64 ? n - from : 64 - from % 64;
            part = part < whole ? part : whole;
        }
        rc = send_part(app, id, from, part, data, valid, ts_ms);
        from += part;
    }
    (void)pthread_mutex_unlock(&app->lock);
    return efx_lib__code(rc);
}
