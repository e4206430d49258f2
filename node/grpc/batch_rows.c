/* The row form: a Row is one view, its Values go one after the other into the open row.
 *
 *   Value     i               d              b       s                 y
 *   takes     INT LONG        FLOAT DOUBLE   BOOL    STRING OBJECT     BYTES
 *             DOUBLE (an INT)
 *
 * Every row is looked at twice: when the message is opened, for what would make all of it
 * malformed, and when it is taken.
 */
#include "batch.h"
#include "text_check.h"

enum {
    ROW_TS = 1,
    ROW_VALUES = 2,
    VALUE_I = 1,
    VALUE_D = 2,
    VALUE_B = 3,
    VALUE_S = 4,
    VALUE_Y = 5,
};

struct value {
    uint32_t which; /* 0 = NULL */
    union {
        int64_t i;
        double d;
    };
    struct efx_bytes bytes;
};

static bool read_value(struct efx_bytes from, struct value *v)
{
    struct wire w = {.p = from.p, .end = from.p + from.n};
    uint32_t field;
    enum wire_type type;
    v->which = 0;
    while (wire_field(&w, &field, &type)) {
        if ((field == VALUE_I || field == VALUE_B) && type == WIRE_VARINT) {
            v->i = (int64_t)wire_varint(&w);
            v->which = field;
        } else if (field == VALUE_D && type == WIRE_FIXED64) {
            uint64_t bits = wire_fixed64(&w);
            memcpy(&v->d, &bits, sizeof v->d);
            v->which = field;
        } else if ((field == VALUE_S || field == VALUE_Y) && type == WIRE_BYTES) {
            v->bytes = wire_bytes(&w);
            v->which = field;
        } else {
            wire_skip(&w, type);
        }
    }
    return !w.bad;
}

static bool may_take(enum efx_type to, uint32_t which)
{
    switch (to) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG: return which == VALUE_I;
    case EFX_TYPE_FLOAT: return which == VALUE_D;
    case EFX_TYPE_DOUBLE: return which == VALUE_D || which == VALUE_I;
    case EFX_TYPE_BOOL: return which == VALUE_B;
    case EFX_TYPE_STRING:
    case EFX_TYPE_OBJECT: return which == VALUE_S;
    case EFX_TYPE_BYTES: return which == VALUE_Y;
    case EFX_TYPE_NONE: break;
    }
    return false;
}

/* ---- the message as a whole ---- */

static enum efx_rc check_row(const struct batch *k, struct efx_bytes row, struct efx_err *err)
{
    struct wire w = {.p = row.p, .end = row.p + row.n};
    uint32_t field, n = 0;
    enum wire_type type;
    while (wire_field(&w, &field, &type)) {
        struct value v;
        if (field != ROW_VALUES || type != WIRE_BYTES) {
            wire_skip(&w, type);
            continue;
        }
        if (!read_value(wire_bytes(&w), &v) || w.bad) {
            return efx_batch__malformed(err, "a value is malformed");
        }
        if (n == k->n_to) {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1311,
                            "a row of '%s' has more than %u values", k->schema->name, n);
        }
        const struct efx_schema_col *to = &k->schema->cols[k->to[n++]];
        if (v.which != 0 && !may_take(to->type, v.which)) {
            return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 1310,
                            "column '%s' of '%s' is %s: a value is of another type", to->name,
                            k->schema->name, efx_type_name(to->type));
        }
    }
    return w.bad ? efx_batch__malformed(err, "a row is malformed") : EFX_OK;
}

enum efx_rc efx_batch__check_rows(struct batch_in *in, struct batch *k, struct efx_err *err)
{
    uint32_t n = k->n_cols > 0 ? k->n_cols : k->schema->n_cols, i = 0;
    uint32_t *to = EFX_NEW_N(&in->scratch, uint32_t, n + 1);
    if (to == NULL) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 4005, "the message needs too much memory");
    }
    for (; k->n_cols == 0 && i < n; i++) {
        to[i] = i;
    }
    for (const struct batch_col *c = k->cols; c != NULL; c = c->next) {
        if (c->nulls.n + c->fixed.n + c->ends.n + c->heap.n > 0) {
            return efx_batch__malformed(err, "a batch has columns or rows, not both");
        }
        to[i++] = c->to;
    }
    k->to = to;
    k->n_to = n;
    for (const struct views *v = k->views; v != NULL; v = v->next) {
        for (uint32_t r = 0; r < v->n; r++) {
            EFX_RET(check_row(k, v->v[r], err));
        }
    }
    return EFX_OK;
}

/* ---- one row ---- */

static enum efx_rc put_text(struct efx_builder *b, struct efx_colset *s, uint32_t col,
                            const struct value *v)
{
    return efx_builder_text(b, s, col, v->bytes.p, (uint32_t)v->bytes.n);
}

static bool put_number(struct efx_colset *s, uint32_t col, enum efx_type to, const struct value *v)
{
    uint32_t row = s->n_rows;
    bool is_int = v->which == VALUE_I && v->i >= INT32_MIN && v->i <= INT32_MAX;
    switch (to) {
    case EFX_TYPE_INT: ((int32_t *)s->data[col])[row] = (int32_t)v->i; return is_int;
    case EFX_TYPE_LONG: ((int64_t *)s->data[col])[row] = v->i; return true;
    case EFX_TYPE_FLOAT: {
        float f = (float)v->d;
        ((float *)s->data[col])[row] = f;
        return !__builtin_isinf(f) || __builtin_isinf(v->d);
    }
    case EFX_TYPE_DOUBLE:
        ((double *)s->data[col])[row] = v->which == VALUE_D ? v->d : (double)v->i;
        return v->which == VALUE_D || is_int;
    case EFX_TYPE_BOOL: ((uint8_t *)s->data[col])[row] = v->i != 0; return v->i == 0 || v->i == 1;
    case EFX_TYPE_NONE:
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: break;
    }
    return false;
}

/* Into the open row; what is wrong goes to *f. */
static enum efx_rc put_value(struct efx_builder *b, struct efx_colset *s, const struct batch *k,
                             const struct value *v, struct batch_fault *f)
{
    enum efx_type to = k->schema->cols[f->col].type;
    if (v->which == 0 || f->code != 0) {
        return EFX_OK;
    }
    if (to == EFX_TYPE_STRING && !text_is_utf8(v->bytes.p, v->bytes.n)) {
        f->reason = "the text is no UTF-8";
    } else if (to == EFX_TYPE_OBJECT && !text_is_json(v->bytes.p, v->bytes.n)) {
        f->reason = "the OBJECT is no JSON";
    } else if (efx_type_is_cell(to)) {
        return put_text(b, s, f->col, v);
    } else if (put_number(s, f->col, to, v)) {
        efx_builder_valid(s, f->col);
        return EFX_OK;
    } else {
        f->reason = "the value is out of range";
    }
    f->code = 3002;
    return EFX_OK;
}

static void find_null(const struct batch *k, const struct efx_colset *s, struct batch_fault *f)
{
    for (uint32_t c = 0; c < k->schema->n_cols && f->code == 0; c++) {
        if (k->schema->cols[c].not_null && !efx_bit(s->valid[c], s->n_rows)) {
            *f = (struct batch_fault){3102, c, "NULL in a column that is NOT NULL"};
        }
    }
}

static struct efx_bytes view_at(const struct batch_in *in, struct batch *k)
{
    while (in->row - k->at_first >= k->at->n) {
        k->at_first += k->at->n;
        k->at = k->at->next;
    }
    return k->at->v[in->row - k->at_first];
}

enum efx_rc efx_batch__fill_row(struct batch_in *in, struct batch *k, struct efx_builder *b)
{
    struct efx_bytes view = view_at(in, k);
    struct wire w = {.p = view.p, .end = view.p + view.n};
    struct batch_fault f = {0}, first = {0};
    struct efx_colset *s;
    uint32_t field, n = 0;
    enum wire_type type;
    EFX_RET(efx_builder_begin(b, k->stream, EFX_TS_NONE, &s));
    while (wire_field(&w, &field, &type)) {
        struct value v;
        if (field == ROW_TS && type == WIRE_VARINT) {
            s->ts_ms[s->n_rows] = (int64_t)wire_varint(&w);
        } else if (field == ROW_VALUES && type == WIRE_BYTES) {
            EFX_ASSERT(read_value(wire_bytes(&w), &v)); /* looked at in check_row */
            f.col = k->to[n++];
            EFX_RET(put_value(b, s, k, &v, &f));
            first = first.code == 0 ? f : first;
        } else {
            wire_skip(&w, type);
        }
    }
    find_null(k, s, &first);
    if (first.code != 0) {
        EFX_RET(efx_batch__reject(in, b, k, &first));
    } else {
        efx_builder_end(b, s);
    }
    in->row++;
    in->n_done++;
    return EFX_OK;
}
