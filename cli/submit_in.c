/* The input of efx submit: columns from the cluster, lines into messages. */
#include "submit.h"

#include "csv.h"
#include "efx_world_real.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_MAX = 20 };

static bool ends_with(const char *s, size_t n, const char *ending)
{
    size_t k = strlen(ending);
    return n > k && strncmp(s + n - k, ending, k) == 0;
}

static bool is_csv(const struct submit_opts *o)
{
    size_t n = strlen(o->file);
    n -= ends_with(o->file, n, ".zst") ? 4 : ends_with(o->file, n, ".gz") ? 3 : 0;
    return o->format != NULL ? o->format[0] == 'c' : ends_with(o->file, n, ".csv");
}

/* ---- columns ---- */

/* What a message says of a column does not tell TIMESTAMP from LONG, so a text that is a time is
 * taken for either. */
static int take_columns(struct input *in, const Eventflux__V1__StreamInfo *s)
{
    struct efx_schema_col *cols = EFX_NEW_N(&in->arena, struct efx_schema_col, s->n_columns + 1);
    in->schema.name = efx_arena_str(&in->arena, s->name, strlen(s->name));
    for (size_t c = 0; cols != NULL && c < s->n_columns; c++) {
        const Eventflux__V1__ColumnInfo *from = s->columns[c];
        bool known = (int)from->type > 0 && (int)from->type < EFX_TYPES;
        cols[c] = (struct efx_schema_col){
            .name = efx_arena_str(&in->arena, from->name, strlen(from->name)),
            .type = known ? (enum efx_type)from->type : EFX_TYPE_NONE,
            .is_time = (int)from->type == (int)EFX_TYPE_LONG};
        if (!known) {
            return cli_fail(CLI_FAILED,
                            "efx submit: column '%s' is of a type that this efx does not know",
                            from->name);
        }
    }
    in->schema.cols = cols;
    in->schema.n_cols = (uint32_t)s->n_columns;
    in->streams[0] = &in->schema;
    return cols == NULL || in->schema.name == NULL
               ? cli_fail(CLI_FAILED, "efx submit: out of memory")
               : -1;
}

static int ask_columns(struct input *in, struct remote *r, const char *stream)
{
    Eventflux__V1__DescribeRequest ask;
    eventflux__v1__describe_request__init(&ask);
    ProtobufCMessage *m;
    ask.name = remote_text(stream);
    int status = remote_unary(r, "/eventflux.v1.EventFlux/Describe", &ask.base,
                              &eventflux__v1__describe_response__descriptor, 0, &m);
    if (status >= 0) {
        return status;
    }
    const Eventflux__V1__DescribeResponse *d = (const Eventflux__V1__DescribeResponse *)m;
    status = d->n_streams == 1 ? take_columns(in, d->streams[0])
                               : cli_fail(CLI_USER, "efx submit: there is no stream '%s'", stream);
    protobuf_c_message_free_unpacked(m, NULL);
    return status;
}

/* ---- open ---- */

int submit_in_open(struct input *in, struct remote *r, const char *stream,
                   const struct submit_opts *o)
{
    struct efx_err err = {0};
    struct efx_format *format;
    struct efx_source *source;
    efx_arena_init(&in->arena, &efx_mem_libc, SIZE_MAX);
    int status = ask_columns(in, r, stream);
    if (status >= 0) {
        return status;
    }
    struct efx_input_conf conf = {o->file};
    struct efx_source_open open = {.conf = &conf, .arena = &in->arena};
    bool events = o->format != NULL && o->format[0] == 'e';
    const struct efx_format_vt *vt = is_csv(o) ? &efx_csv_format_vt
                                     : events  ? &efx_events_format_vt
                                               : &efx_json_format_vt;
    struct efx_format_open how = {.conf = is_csv(o) ? cli_csv_conf() : NULL,
                                  .streams = in->streams,
                                  .n_streams = 1,
                                  .arena = &in->arena};
    if (efx_builder_create(&in->arena, &efx_mem_libc, in->streams, 1, (uint32_t)o->batch, &in->b) !=
        EFX_OK) {
        return cli_fail(CLI_FAILED, "efx submit: out of memory");
    }
    if (efx_source_make(&efx_input_source_vt, &open, efx_world_real(), &source, &err) != EFX_OK ||
        efx_format_make(vt, &how, &format, &err) != EFX_OK) {
        return cli_fail(err.kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx submit: %s",
                        err.msg);
    }
    (void)snprintf(in->name, sizeof in->name, "%s",
                   strcmp(o->file, "-") == 0 ? "standard input" : o->file);
    efx_lane_init(&in->lane, &in->arena, source, format, in->name);
    return -1;
}

void submit_in_close(struct input *in)
{
    if (in->lane.source != NULL) {
        efx_lane_close(&in->lane);
    }
    if (in->b != NULL) {
        efx_builder_close(in->b);
    }
    if (in->arena.mem != NULL) {
        efx_arena_fini(&in->arena);
    }
}

uint64_t submit_in_size(const struct input *in)
{
    return efx_input_size(in->lane.source);
}

uint64_t submit_in_done(const struct input *in)
{
    return efx_input_read_bytes(in->lane.source);
}

int submit_in_fd(const struct input *in)
{
    return efx_input_fd(in->lane.source);
}

/* ---- messages ---- */

static void tell_bad(struct input *in)
{
    for (uint32_t i = 0; i < in->b->n_rejects; i++) {
        const struct efx_reject *k = &in->b->rejects[i];
        int n = k->original.len > 80 ? 80 : (int)k->original.len;
        if (in->n_bad++ < TELL_MAX) {
            (void)fprintf(stderr, "efx submit: %s line %u: EFX-%04u: %s: %.*s\n", in->name, k->line,
                          k->code,
                          k->code == 3001 ? "cannot be read" : "a field does not fit its column", n,
                          (const char *)efx_cell_bytes(&k->original));
        }
    }
}

/* Rows of the builder that have no time bear none in the message: the least i64 says so. */
static size_t encode(struct input *in, uint64_t first, struct part **out)
{
    const struct efx_colset *s = in->b->set[0];
    struct batch_out *o = calloc(1, sizeof *o);
    struct efx_col cols[EFX_SCHEMA_COLS_MAX];
    uint32_t at[EFX_BATCH_ROWS_MAX];
    for (uint32_t c = 0; c < s->n_cols; c++) {
        cols[c] = (struct efx_col){in->schema.cols[c].type, s->data[c], s->valid[c]};
    }
    for (uint32_t i = 0; i < s->n_rows; i++) {
        at[i] = i;
    }
    struct efx_batch b = {
        .n_rows = s->n_rows, .n_cols = s->n_cols, .cols = cols, .ts_ms = s->ts_ms};
    struct part *p = NULL;
    if (o != NULL) {
        o->b = &b;
        o->schema = &in->schema;
        o->at = at;
        o->n = s->n_rows;
        size_t n = batch_out_size(o);
        p = malloc(sizeof *p + n + 32);
        if (p != NULL) {
            uint8_t *w = wire_put_number(p->bytes, 2, first);
            w = batch_out_put(o, wire_put_head(w, 3, n));
            *p = (struct part){.first = first, .n_rows = s->n_rows, .n = (size_t)(w - p->bytes)};
        }
        free(o);
    }
    *out = p;
    return p == NULL ? 0 : p->n;
}

enum submit_in submit_in_next(struct input *in, uint64_t first, struct part **out)
{
    struct efx_err err = {0};
    enum efx_lane_state state = EFX_LANE_MORE;
    efx_builder_clear(in->b);
    while (!in->ended && state == EFX_LANE_MORE && !efx_builder_full(in->b)) {
        state = efx_lane_pump(&in->lane, in->b, &err);
        in->ended = state == EFX_LANE_ENDED;
    }
    tell_bad(in);
    if (state == EFX_LANE_FAILED) {
        (void)cli_fail(CLI_FAILED, "efx submit: %s", err.msg);
        return SUBMIT_IN_FAILED;
    }
    if (in->b->set[0] != NULL && in->b->set[0]->n_rows > 0) {
        return encode(in, first, out) > 0 ? SUBMIT_IN_PART : SUBMIT_IN_FAILED;
    }
    return in->ended                ? SUBMIT_IN_ENDED
           : state == EFX_LANE_IDLE ? SUBMIT_IN_IDLE
                                    : submit_in_next(in, first, out);
}
