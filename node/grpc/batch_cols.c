/* The column form: whole columns at a time, rows one by one only where one of them is bad.
 *
 *   sent     nulls  one bit a row, 1 = NULL      here   valid  words, 1 = not NULL
 *            fixed  little-endian, unaligned             data   copied by the builder
 *            ends, heap                                  cells  pointing into heap
 *
 * A column that is not sent reads from zeros that nobody looks at.
 */
#include "batch.h"
#include "text_check.h"

/* ---- lengths and types ---- */

static bool widens(enum efx_type from, enum efx_type to)
{
    return from == to || (to == EFX_TYPE_LONG && from == EFX_TYPE_INT) ||
           (to == EFX_TYPE_DOUBLE && (from == EFX_TYPE_INT || from == EFX_TYPE_FLOAT));
}

static uint32_t end_of(const struct batch_col *c, uint32_t row)
{
    uint32_t v;
    memcpy(&v, c->ends.p + (size_t)row * sizeof v, sizeof v);
    return v;
}

static bool ends_fit(const struct batch_col *c, uint32_t n)
{
    uint32_t before = 0;
    if (c->ends.n != (size_t)n * sizeof(uint32_t) || c->fixed.n != 0) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t end = end_of(c, i);
        if (end < before) {
            return false;
        }
        before = end;
    }
    return before == c->heap.n;
}

static enum efx_rc check_col(const struct batch *k, const struct batch_col *c, struct efx_err *err)
{
    const struct efx_schema_col *to = &k->schema->cols[c->to];
    uint32_t n = k->n_rows;
    if (!widens(c->type, to->type)) {
        return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 1310, "column '%s' of '%s' is %s, not %s",
                        to->name, k->schema->name, efx_type_name(to->type),
                        c->type == EFX_TYPE_NONE ? "of no type" : efx_type_name(c->type));
    }
    bool fits = c->nulls.n == 0 || c->nulls.n == (n + 7) / 8;
    if (efx_type_is_cell(c->type)) {
        fits = fits && ends_fit(c, n);
    } else {
        fits = fits && c->fixed.n == (size_t)n * efx_type_width(c->type) && c->ends.n == 0 &&
               c->heap.n == 0;
    }
    return fits ? EFX_OK
                : EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 4001,
                           "lengths of column '%s' of '%s' do not fit %u rows", to->name,
                           k->schema->name, n);
}

enum efx_rc efx_batch__check_cols(struct batch_in *in, struct batch *k, struct efx_err *err)
{
    if (k->ts_ms.n != 0 && k->ts_ms.n != (size_t)k->n_rows * sizeof(int64_t)) {
        return efx_batch__malformed(err, "the length of ts_ms does not fit row_count");
    }
    k->by_col = EFX_NEW_N(&in->scratch, struct batch_col *, k->schema->n_cols + 1);
    if (k->by_col == NULL) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 4005, "the message needs too much memory");
    }
    for (struct batch_col *c = k->cols; c != NULL; c = c->next) {
        EFX_RET(check_col(k, c, err));
        k->by_col[c->to] = c;
    }
    return EFX_OK;
}

/* ---- which rows are bad ---- */

static bool is_null(const struct batch_col *c, uint32_t row)
{
    return c == NULL || (c->nulls.n != 0 && (c->nulls.p[row / 8] >> row % 8 & 1) != 0);
}

static struct efx_bytes text_at(const struct batch_col *c, uint32_t row)
{
    uint32_t from = row == 0 ? 0 : end_of(c, row - 1);
    return (struct efx_bytes){c->heap.p + from, end_of(c, row) - from};
}

/* What is wrong with a value that is not NULL. */
static const char *value_fault(const struct batch_col *c, enum efx_type to, uint32_t row)
{
    struct efx_bytes t;
    switch (to) {
    case EFX_TYPE_BOOL: return c->fixed.p[row] > 1 ? "a BOOL is 0 or 1" : NULL;
    case EFX_TYPE_STRING:
        t = text_at(c, row);
        return text_is_utf8(t.p, t.n) ? NULL : "the text is no UTF-8";
    case EFX_TYPE_OBJECT:
        t = text_at(c, row);
        return text_is_json(t.p, t.n) ? NULL : "the OBJECT is no JSON";
    case EFX_TYPE_NONE:
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG:
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE:
    case EFX_TYPE_BYTES: break;
    }
    return NULL;
}

static void row_fault(const struct batch *k, uint32_t row, struct batch_fault *out)
{
    out->code = 0;
    for (uint32_t i = 0; i < k->schema->n_cols && out->code == 0; i++) {
        const struct efx_schema_col *to = &k->schema->cols[i];
        const struct batch_col *c = k->by_col[i];
        const char *why = NULL;
        if (is_null(c, row)) {
            if (to->not_null) {
                *out = (struct batch_fault){3102, i, "NULL in a column that is NOT NULL"};
            }
        } else {
            why = value_fault(c, to->type, row);
        }
        if (why != NULL) {
            *out = (struct batch_fault){3002, i, why};
        }
    }
}

/* Most columns can be judged at a glance. */
static bool all_good(const struct batch *k, uint32_t col)
{
    const struct efx_schema_col *to = &k->schema->cols[col];
    const struct batch_col *c = k->by_col[col];
    if (c == NULL || (to->not_null && c->nulls.n > 0)) {
        return c == NULL && !to->not_null;
    }
    if (to->type == EFX_TYPE_BOOL) {
        uint8_t all = 0;
        for (uint32_t i = 0; i < k->n_rows; i++) {
            all |= c->fixed.p[i];
        }
        return all <= 1;
    }
    if (to->type == EFX_TYPE_STRING) {
        return text_is_ascii(c->heap.p, c->heap.n);
    }
    return to->type != EFX_TYPE_OBJECT;
}

static enum efx_rc find_bad(struct batch_in *in, struct batch *k)
{
    bool good = true;
    for (uint32_t c = 0; c < k->schema->n_cols && good; c++) {
        good = all_good(k, c);
    }
    k->checked = true;
    if (good) {
        return EFX_OK;
    }
    k->bad = EFX_NEW_N(&in->scratch, uint64_t, efx_words(k->n_rows) + 1);
    if (k->bad == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < k->n_rows; i++) {
        struct batch_fault f;
        row_fault(k, i, &f);
        if (f.code != 0) {
            efx_bit_put(k->bad, i, true);
            k->any_bad = true;
        }
    }
    return EFX_OK;
}

/* ---- in bulk ---- */

/* NULL: none is NULL. */
static uint64_t *valid_words(struct efx_arena *a, const struct batch_col *c, uint32_t from,
                             uint32_t n)
{
    uint64_t *words = EFX_NEW_N(a, uint64_t, efx_words(n) + 1);
    for (uint32_t i = 0; words != NULL && c != NULL && i < n; i++) {
        efx_bit_put(words, i, !is_null(c, from + i));
    }
    return words;
}

static const void *widened(struct efx_arena *a, const struct batch_col *c, enum efx_type to,
                           uint32_t from, uint32_t n)
{
    uint64_t *out = EFX_NEW_N(a, uint64_t, n);
    for (uint32_t i = 0; out != NULL && i < n; i++) {
        int32_t whole;
        float part;
        const uint8_t *p = c->fixed.p + (size_t)(from + i) * 4;
        memcpy(&whole, p, sizeof whole);
        memcpy(&part, p, sizeof part);
        int64_t l = whole;
        double d = c->type == EFX_TYPE_INT ? (double)whole : (double)part;
        memcpy(&out[i], to == EFX_TYPE_LONG ? (const void *)&l : (const void *)&d, sizeof out[i]);
    }
    return out;
}

static const void *cells(struct efx_arena *a, const struct batch_col *c, uint32_t from, uint32_t n)
{
    struct efx_cell *out = efx_arena_bytes(a, n * sizeof *out);
    uint32_t at = from == 0 ? 0 : end_of(c, from - 1);
    for (uint32_t i = 0; out != NULL && i < n; i++) {
        uint32_t end = end_of(c, from + i);
        out[i] = efx_cell_make(c->heap.p + at, end - at);
        at = end;
    }
    return out;
}

static bool make_col(struct efx_arena *a, const struct batch *k, uint32_t col, uint32_t from,
                     uint32_t n, struct efx_col *out)
{
    static const uint8_t zeros[EFX_BATCH_ROWS_MAX * sizeof(struct efx_cell)];
    const struct batch_col *c = k->by_col[col];
    enum efx_type to = k->schema->cols[col].type;
    *out = (struct efx_col){to, zeros, NULL};
    if (c == NULL || c->nulls.n > 0) {
        out->valid = valid_words(a, c, from, n);
        if (out->valid == NULL) {
            return false;
        }
    }
    if (c != NULL && efx_type_is_cell(to)) {
        out->data = cells(a, c, from, n);
    } else if (c != NULL && c->type != to) {
        out->data = widened(a, c, to, from, n);
    } else if (c != NULL) {
        out->data = c->fixed.p + (size_t)from * efx_type_width(to);
    }
    return out->data != NULL;
}

static const int64_t *times(struct efx_arena *a, const struct batch *k, uint32_t from, uint32_t n)
{
    int64_t *out = efx_arena_bytes(a, n * sizeof *out);
    if (out != NULL) {
        memcpy(out, k->ts_ms.p + (size_t)from * sizeof *out, n * sizeof *out);
    }
    return out;
}

static enum efx_rc fill_bulk(struct batch_in *in, struct batch *k, struct efx_builder *b,
                             uint32_t n)
{
    struct efx_col cols[EFX_SCHEMA_COLS_MAX];
    struct efx_arena a;
    enum efx_rc rc = EFX_OK;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    for (uint32_t c = 0; c < k->schema->n_cols && rc == EFX_OK; c++) {
        rc = make_col(&a, k, c, in->row, n, &cols[c]) ? EFX_OK : EFX_ENOMEM;
    }
    const int64_t *ts_ms = k->ts_ms.n == 0 || rc != EFX_OK ? NULL : times(&a, k, in->row, n);
    if (rc == EFX_OK) {
        rc = k->ts_ms.n != 0 && ts_ms == NULL ? EFX_ENOMEM
                                              : efx_builder_copy(b, k->stream, n, cols, ts_ms);
    }
    efx_arena_fini(&a);
    if (rc == EFX_OK) {
        in->row += n;
        in->n_done += n;
    }
    return rc;
}

/* ---- one by one ---- */

static enum efx_rc put_value(struct efx_builder *b, struct efx_colset *s, const struct batch *k,
                             uint32_t col, uint32_t row)
{
    const struct batch_col *c = k->by_col[col];
    enum efx_type to = k->schema->cols[col].type;
    if (is_null(c, row)) {
        return EFX_OK;
    }
    if (efx_type_is_cell(to)) {
        struct efx_bytes t = text_at(c, row);
        return efx_builder_text(b, s, col, t.p, (uint32_t)t.n);
    }
    const uint8_t *p = c->fixed.p + (size_t)row * efx_type_width(c->type);
    if (c->type == to) {
        uint32_t width = efx_type_width(to);
        memcpy((uint8_t *)s->data[col] + (size_t)s->n_rows * width, p, width);
    } else {
        int32_t whole;
        float part;
        memcpy(&whole, p, sizeof whole);
        memcpy(&part, p, sizeof part);
        if (to == EFX_TYPE_LONG) {
            ((int64_t *)s->data[col])[s->n_rows] = whole;
        } else {
            ((double *)s->data[col])[s->n_rows] =
                c->type == EFX_TYPE_INT ? (double)whole : (double)part;
        }
    }
    efx_builder_valid(s, col);
    return EFX_OK;
}

static enum efx_rc fill_one(struct batch_in *in, struct batch *k, struct efx_builder *b)
{
    struct efx_colset *s;
    int64_t ts_ms = EFX_TS_NONE;
    uint32_t row = in->row;
    if (efx_bit(k->bad, row)) {
        struct batch_fault f;
        row_fault(k, row, &f);
        EFX_RET(efx_batch__reject(in, b, k, &f));
    } else {
        if (k->ts_ms.n > 0) {
            memcpy(&ts_ms, k->ts_ms.p + (size_t)row * sizeof ts_ms, sizeof ts_ms);
        }
        EFX_RET(efx_builder_begin(b, k->stream, ts_ms, &s));
        for (uint32_t c = 0; c < k->schema->n_cols; c++) {
            EFX_RET(put_value(b, s, k, c, row));
        }
        efx_builder_end(b, s);
    }
    in->row++;
    in->n_done++;
    return EFX_OK;
}

enum efx_rc efx_batch__fill_cols(struct batch_in *in, struct batch *k, struct efx_builder *b)
{
    uint32_t room = b->turns_max - b->n_turns, left = k->n_rows - in->row;
    if (room == 0) {
        return EFX_AGAIN;
    }
    if (!k->checked) {
        EFX_RET(find_bad(in, k));
    }
    return k->any_bad ? fill_one(in, k, b) : fill_bulk(in, k, b, left < room ? left : room);
}
