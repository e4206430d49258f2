/* Rows of EventBatch and QueryResult as text, by the formats that efx run prints with. */
#include "remote.h"

#include "csv.h"
#include "efx_io.h"
#include "efx_out.h"
#include "json.h"
#include "table.h"

#include <string.h>

static int no_memory(void)
{
    return cli_fail(CLI_FAILED, "efx: out of memory");
}

static int make_format(struct remote_rows *r)
{
    static const struct json_conf bare = {
        .enclosing = "", .date_format = "ISO 8601", .template = "", .timestamp_field = ""};
    const struct efx_format_vt *vt = r->as[0] == 't'   ? &cli_table_format_vt
                                     : r->as[0] == 'c' ? &efx_csv_format_vt
                                     : r->bare         ? &efx_json_format_vt
                                                       : &efx_events_format_vt;
    const struct efx_schema **streams = EFX_NEW(&r->arena, const struct efx_schema *);
    const struct efx_prop header = {"csv.has-header", {"true", 4}};
    struct efx_err err = {0};
    if (streams == NULL) {
        return no_memory();
    }
    streams[0] = &r->schema;
    struct efx_format_open how = {.conf = r->as[0] == 'c'              ? cli_csv_conf()
                                          : r->bare && r->as[0] == 'j' ? (const void *)&bare
                                                                       : NULL,
                                  .streams = streams,
                                  .n_streams = 1,
                                  .arena = &r->arena,
                                  .sink = true,
                                  .props = &header,
                                  .n_props = r->as[0] == 'c'};
    if (efx_format_make(vt, &how, &r->format, &err) != EFX_OK ||
        (r->as[0] != 'j' && efx_out_head(r->out, r->format, 0, &err) != EFX_OK)) {
        return cli_fail(CLI_FAILED, "efx: %s", err.msg);
    }
    return -1;
}

static bool same(const struct efx_schema *a, size_t n, Eventflux__V1__ColumnInfo *const *cols)
{
    bool is = a->n_cols == n;
    for (uint32_t c = 0; is && c < n; c++) {
        is = strcmp(a->cols[c].name, cols[c]->name) == 0 &&
             (int)a->cols[c].type == (int)cols[c]->type;
    }
    return is;
}

int remote_rows_schema(struct remote_rows *r, const char *stream, size_t n,
                       Eventflux__V1__ColumnInfo *const *cols)
{
    if (n == 0 || n > EFX_SCHEMA_COLS_MAX || (r->format != NULL && same(&r->schema, n, cols))) {
        return -1;
    }
    remote_rows_close(r);
    efx_arena_init(&r->arena, &efx_mem_libc, SIZE_MAX);
    struct efx_schema_col *own = EFX_NEW_N(&r->arena, struct efx_schema_col, n);
    char *name = efx_arena_str(&r->arena, stream, strlen(stream));
    if (own == NULL || name == NULL) {
        return no_memory();
    }
    for (uint32_t c = 0; c < n; c++) {
        own[c].name = efx_arena_str(&r->arena, cols[c]->name, strlen(cols[c]->name));
        own[c].type = (int)cols[c]->type > 0 && (int)cols[c]->type < EFX_TYPES
                          ? (enum efx_type)cols[c]->type
                          : EFX_TYPE_NONE;
        if (own[c].name == NULL) {
            return no_memory();
        }
        if (own[c].type == EFX_TYPE_NONE) {
            return cli_fail(CLI_FAILED, "efx: column '%s' is of a type that this efx does not know",
                            own[c].name);
        }
    }
    r->schema = (struct efx_schema){name, (uint32_t)n, own};
    return make_format(r);
}

/* A column as it came, at a place of its own: aligned, with validity words. False: its lengths do
 * not fit. */
static bool take_column(struct efx_arena *a, const Eventflux__V1__Column *from, uint32_t n,
                        enum efx_type type, struct efx_col *out)
{
    uint32_t width = efx_type_width(type);
    uint8_t *data = efx_arena_alloc(a, n + 1, width, 64);
    uint64_t *valid = EFX_NEW_N(a, uint64_t, efx_words(n) + 1);
    bool cells = efx_type_is_cell(type);
    if (data == NULL || valid == NULL || (int)from->type != (int)type ||
        (from->nulls.len != 0 && from->nulls.len < (n + 7) / 8) ||
        (cells ? from->ends.len != (size_t)n * 4 : from->fixed.len != (size_t)n * width)) {
        return false;
    }
    for (uint32_t i = 0, at = 0; i < n; i++) {
        efx_bit_put(valid, i, from->nulls.len == 0 || (from->nulls.data[i / 8] >> i % 8 & 1) == 0);
        if (cells) {
            uint32_t end;
            memcpy(&end, from->ends.data + (size_t)i * 4, sizeof end);
            if (end < at || end > from->heap.len) {
                return false;
            }
            ((struct efx_cell *)data)[i] = efx_cell_make(from->heap.data + at, end - at);
            at = end;
        }
    }
    if (!cells && n > 0) {
        memcpy(data, from->fixed.data, (size_t)n * width);
    }
    *out = (struct efx_col){type, data, valid};
    return true;
}

static bool take_batch(struct efx_arena *a, const struct remote_rows *r,
                       const Eventflux__V1__Batch *from, struct efx_batch *out)
{
    uint32_t n = from->row_count;
    struct efx_col *cols = EFX_NEW_N(a, struct efx_col, r->schema.n_cols + 1);
    int64_t *ts_ms = EFX_NEW_N(a, int64_t, n + 1);
    uint8_t *kind = EFX_NEW_N(a, uint8_t, n + 1);
    if (cols == NULL || ts_ms == NULL || kind == NULL || n > EFX_BATCH_ROWS_MAX ||
        from->n_columns != r->schema.n_cols || from->ts_ms.len != n * sizeof *ts_ms ||
        (from->expired.len != 0 && from->expired.len < (n + 7) / 8)) {
        return false;
    }
    for (uint32_t c = 0; c < r->schema.n_cols; c++) {
        if (!take_column(a, from->columns[c], n, r->schema.cols[c].type, &cols[c])) {
            return false;
        }
    }
    if (n > 0) {
        memcpy(ts_ms, from->ts_ms.data, n * sizeof *ts_ms);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool old = from->expired.len != 0 && (from->expired.data[i / 8] >> i % 8 & 1) != 0;
        kind[i] = old ? EFX_ROW_EXPIRED : EFX_ROW_CURRENT;
    }
    *out = (struct efx_batch){
        .n_rows = n, .n_cols = r->schema.n_cols, .cols = cols, .ts_ms = ts_ms, .kind = kind};
    return true;
}

int remote_rows_print(struct remote_rows *r, const Eventflux__V1__Batch *batch)
{
    struct efx_arena a;
    struct efx_batch b;
    struct efx_err err = {0};
    int status = -1;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    if (r->format == NULL || !take_batch(&a, r, batch, &b)) {
        status = cli_fail(CLI_FAILED, "efx: a batch of rows is malformed");
    } else {
        struct efx_rows rows = efx_rows_all(&b);
        enum efx_rc rc = efx_out_rows(r->out, r->format, 0, &rows, &r->n, &err);
        if (rc == EFX_DONE) {
            status = CLI_OK; /* nobody reads any more */
        } else if (rc != EFX_OK) {
            status = cli_fail(CLI_FAILED, "efx: %s", err.msg);
        }
    }
    efx_arena_fini(&a);
    return status;
}

void remote_rows_close(struct remote_rows *r)
{
    if (r->format != NULL) {
        if (r->format->vt->close != NULL) {
            r->format->vt->close(r->format);
        }
        r->format = NULL;
    }
    if (r->arena.mem != NULL) {
        efx_arena_fini(&r->arena);
        r->arena.mem = NULL;
    }
}
