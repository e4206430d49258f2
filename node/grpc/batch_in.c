/* Reading a SubmitRequest: what batches it has, of which streams, and whether they make sense. */
#include "batch.h"

#include <stdio.h>

enum { /* field numbers of eventflux.v1 */
       REQUEST_OPEN = 1,
       REQUEST_FIRST_SEQ = 2,
       REQUEST_BATCHES = 3,
       REQUEST_ADVANCE = 4,
       REQUEST_DRAIN = 5,
       BATCH_STREAM = 1,
       BATCH_ROW_COUNT = 2,
       BATCH_TS = 3,
       BATCH_COLUMNS = 4,
       BATCH_ROWS = 5,
       COLUMN_NAME = 1,
       COLUMN_TYPE = 2,
       COLUMN_NULLS = 3,
       COLUMN_FIXED = 4,
       COLUMN_ENDS = 5,
       COLUMN_HEAP = 6,
};

enum efx_rc efx_batch__malformed(struct efx_err *err, const char *what)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 4001, "%s", what);
}

static enum efx_rc no_memory(struct efx_err *err)
{
    return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 4005, "the message needs too much memory");
}

/* ---- as it is sent ---- */

static bool read_column(struct wire *w, struct batch_col *c)
{
    uint32_t field;
    enum wire_type type;
    while (wire_field(w, &field, &type)) {
        if (field == COLUMN_TYPE && type == WIRE_VARINT) {
            uint64_t v = wire_varint(w);
            c->type = v < EFX_TYPES ? (enum efx_type)v : EFX_TYPE_NONE;
        } else if (type == WIRE_BYTES && field == COLUMN_NAME) {
            c->name = wire_bytes(w);
        } else if (type == WIRE_BYTES && field == COLUMN_NULLS) {
            c->nulls = wire_bytes(w);
        } else if (type == WIRE_BYTES && field == COLUMN_FIXED) {
            c->fixed = wire_bytes(w);
        } else if (type == WIRE_BYTES && field == COLUMN_ENDS) {
            c->ends = wire_bytes(w);
        } else if (type == WIRE_BYTES && field == COLUMN_HEAP) {
            c->heap = wire_bytes(w);
        } else {
            wire_skip(w, type);
        }
    }
    return !w->bad;
}

static bool add_column(struct batch_in *in, struct batch *k, struct wire *w)
{
    struct wire inner = wire_message(w);
    struct batch_col *c = EFX_NEW(&in->scratch, struct batch_col);
    if (c == NULL || !read_column(&inner, c)) {
        return false;
    }
    *k->last_col = c;
    k->last_col = &c->next;
    k->n_cols++;
    return true;
}

static bool add_row(struct batch_in *in, struct batch *k, struct wire *w)
{
    struct views *v = k->views == NULL
                          ? NULL
                          : (struct views *)((char *)k->last_view - offsetof(struct views, next));
    if (v == NULL || v->n == VIEWS) {
        v = efx_arena_bytes(&in->scratch, sizeof *v);
        if (v == NULL) {
            return false;
        }
        v->n = 0;
        v->next = NULL;
        *k->last_view = v;
        k->last_view = &v->next;
    }
    v->v[v->n++] = wire_bytes(w);
    k->n_rows++;
    return !w->bad;
}

static bool read_batch(struct batch_in *in, struct wire *w, struct batch *k)
{
    uint32_t field;
    enum wire_type type;
    bool ok = true;
    while (ok && wire_field(w, &field, &type)) {
        if (field == BATCH_ROWS && type == WIRE_BYTES) {
            ok = add_row(in, k, w);
        } else if (field == BATCH_COLUMNS && type == WIRE_BYTES) {
            ok = add_column(in, k, w);
        } else if (field == BATCH_STREAM && type == WIRE_BYTES) {
            k->stream_name = wire_bytes(w);
        } else if (field == BATCH_ROW_COUNT && type == WIRE_VARINT) {
            k->row_count = wire_varint(w);
        } else if (field == BATCH_TS && type == WIRE_BYTES) {
            k->ts_ms = wire_bytes(w);
        } else {
            wire_skip(w, type);
        }
    }
    return ok && !w->bad;
}

static bool add_batch(struct batch_in *in, struct wire *w)
{
    struct wire inner = wire_message(w);
    struct batch *k = EFX_NEW(&in->scratch, struct batch);
    if (k == NULL) {
        return false;
    }
    k->last_col = &k->cols;
    k->last_view = &k->views;
    if (!read_batch(in, &inner, k)) {
        return false;
    }
    *in->last = k;
    in->last = &k->next;
    return true;
}

static bool read_request(struct batch_in *in, struct wire *w)
{
    uint32_t field;
    enum wire_type type;
    bool ok = true;
    while (ok && wire_field(w, &field, &type)) {
        if (field == REQUEST_BATCHES && type == WIRE_BYTES) {
            ok = add_batch(in, w);
        } else if (field == REQUEST_OPEN && type == WIRE_BYTES) {
            in->has_open = true;
            in->open = wire_bytes(w);
        } else if (field == REQUEST_FIRST_SEQ && type == WIRE_VARINT) {
            in->first_seq = wire_varint(w);
        } else if (field == REQUEST_ADVANCE && type == WIRE_VARINT) {
            in->has_advance = true;
            in->advance_ms = (int64_t)wire_varint(w);
        } else if (field == REQUEST_DRAIN && type == WIRE_VARINT) {
            in->drain = wire_varint(w) != 0;
        } else {
            wire_skip(w, type);
        }
    }
    return ok && !w->bad;
}

/* ---- what it means ---- */

static bool is_name(struct efx_bytes b, const char *name)
{
    size_t n = strlen(name);
    return b.n == n && memcmp(b.p, name, n) == 0;
}

static enum efx_rc find_stream(const struct batch_in *in, struct batch *k, struct efx_err *err)
{
    for (uint32_t i = 0; i < in->n_streams; i++) {
        if (in->schemas[i] != NULL && is_name(k->stream_name, in->schemas[i]->name)) {
            k->stream = (uint16_t)i;
            k->schema = in->schemas[i];
            return EFX_OK;
        }
    }
    return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1201, "no stream '%.*s' takes events",
                    k->stream_name.n > 100 ? 100 : (int)k->stream_name.n,
                    (const char *)k->stream_name.p);
}

/* An empty name is the column behind the one before. */
static enum efx_rc find_columns(struct batch_in *in, struct batch *k, struct efx_err *err)
{
    uint32_t next = 0, n = k->schema->n_cols;
    bool *seen = EFX_NEW_N(&in->scratch, bool, n + 1);
    if (seen == NULL) {
        return no_memory(err);
    }
    for (struct batch_col *c = k->cols; c != NULL; c = c->next) {
        c->to = c->name.n == 0 ? next : 0;
        while (c->name.n > 0 && c->to < n && !is_name(c->name, k->schema->cols[c->to].name)) {
            c->to++;
        }
        if (c->to >= n && c->name.n == 0) {
            return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1311, "'%s' has %u columns",
                            k->schema->name, n);
        }
        if (c->to >= n) {
            return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1203, "unknown column '%.*s' in '%s'",
                            c->name.n > 60 ? 60 : (int)c->name.n, (const char *)c->name.p,
                            k->schema->name);
        }
        if (seen[c->to]) {
            return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1102, "column '%s' of '%s' twice",
                            k->schema->cols[c->to].name, k->schema->name);
        }
        seen[c->to] = true;
        next = c->to + 1;
    }
    return EFX_OK;
}

static enum efx_rc check_batch(struct batch_in *in, struct batch *k, struct efx_err *err)
{
    EFX_RET(find_stream(in, k, err));
    EFX_RET(find_columns(in, k, err));
    k->as_rows = k->views != NULL;
    if (k->as_rows && (k->row_count != 0 || k->ts_ms.n != 0)) {
        return efx_batch__malformed(err, "a batch has columns or rows, not both");
    }
    if (!k->as_rows) {
        if (k->row_count > BATCH_IN_ROWS_MAX) {
            return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 4005, "more than %u rows in a message",
                            (unsigned)BATCH_IN_ROWS_MAX);
        }
        k->n_rows = (uint32_t)k->row_count;
    }
    in->n_rows += k->n_rows;
    if (in->n_rows > BATCH_IN_ROWS_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 4005, "more than %u rows in a message",
                        (unsigned)BATCH_IN_ROWS_MAX);
    }
    return k->as_rows ? efx_batch__check_rows(in, k, err) : efx_batch__check_cols(in, k, err);
}

enum efx_rc batch_in_open(struct batch_in *in, const struct efx_schema *const *schemas,
                          uint32_t n_streams, const struct efx_bytes *pieces, uint32_t n_pieces,
                          struct efx_err *err)
{
    memset(in, 0, sizeof *in);
    in->schemas = schemas;
    in->n_streams = n_streams;
    in->last = &in->first;
    in->last_reject = &in->rejects;
    efx_arena_init(&in->scratch, &efx_mem_libc, BATCH_IN_BYTES_MAX);
    struct wire w = wire_of(pieces, n_pieces, &in->scratch);
    if (!read_request(in, &w)) {
        return in->scratch.used_bytes * 2 > in->scratch.limit_bytes
                   ? no_memory(err)
                   : efx_batch__malformed(err, "the message is no SubmitRequest");
    }
    if (in->has_advance && in->advance_ms < 0) {
        return efx_batch__malformed(err, "advance_ms is negative");
    }
    for (struct batch *k = in->first; k != NULL; k = k->next) {
        EFX_RET(check_batch(in, k, err));
    }
    batch_in_rewind(in);
    return EFX_OK;
}

void batch_in_close(struct batch_in *in)
{
    efx_arena_fini(&in->scratch);
}

void batch_in_rewind(struct batch_in *in)
{
    in->at = in->first;
    in->row = 0;
    in->n_done = 0;
    in->advanced = false;
    in->rejects = NULL;
    in->last_reject = &in->rejects;
    for (struct batch *k = in->first; k != NULL; k = k->next) {
        k->at = k->views;
        k->at_first = 0;
    }
}

/* ---- into builders ---- */

enum efx_rc efx_batch__reject(struct batch_in *in, struct efx_builder *b, const struct batch *k,
                              const struct batch_fault *f)
{
    const char *column = k->schema->cols[f->col].name;
    char text[160];
    int n =
        snprintf(text, sizeof text, "{\"column\":\"%.60s\",\"reason\":\"%s\"}", column, f->reason);
    struct batch_reject *r = EFX_NEW(&in->scratch, struct batch_reject);
    if (r == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_builder_reject(b, k->stream, f->code, 0, text, n < 0 ? 0 : (size_t)n));
    *r = (struct batch_reject){in->n_done, f->code, k->schema->name, column, f->reason, NULL};
    *in->last_reject = r;
    in->last_reject = &r->next;
    return EFX_OK;
}

enum efx_rc batch_in_fill(struct batch_in *in, struct efx_builder *b)
{
    in->rejects = NULL;
    in->last_reject = &in->rejects;
    for (; in->at != NULL; in->at = in->at->next, in->row = 0) {
        while (in->row < in->at->n_rows) {
            EFX_RET(in->at->as_rows ? efx_batch__fill_row(in, in->at, b)
                                    : efx_batch__fill_cols(in, in->at, b));
        }
    }
    if (in->has_advance && !in->advanced) {
        EFX_RET(efx_builder_advance(b, in->advance_ms));
        in->advanced = true;
    }
    return EFX_OK;
}
