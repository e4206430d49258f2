#include "outbox.h"

#include "efx_wire.h"

#include <pthread.h>
#include <string.h>

struct piece {
    struct piece *next;
    struct efx_buf bytes;
};

struct pieces {
    struct piece *first, *last;
    uint32_t n;
};

struct stream {
    const struct efx_schema *schema; /* NULL: is no grpc sink */
    struct pieces open, cut;
};

struct node_outbox {
    struct efx_store *store;
    uint32_t part, n_streams;
    pthread_mutex_t lock;   /* of streams, cut_no */
    struct stream *streams; /* [n_streams] by object */
    uint64_t cut_no;        /* whose verdict is awaited; 0: what is cut goes with the next one */
    struct efx_arena receipts;
};

bool node_outbox_is_sink(const struct efx_bobject *o)
{
    return o->kind == EFX_OBJ_STREAM && o->conf.role == EFX_ROLE_SINK &&
           o->conf.connector != NULL && strcmp(o->conf.connector->name, "grpc") == 0;
}

enum efx_rc node_outbox_create(const struct efx_program *program, struct efx_store *store,
                               uint32_t part, struct node_outbox **out)
{
    uint32_t n_sinks = 0;
    *out = NULL;
    for (uint32_t i = 0; i < program->n_objects; i++) {
        n_sinks += node_outbox_is_sink(program->objects[i]);
    }
    if (n_sinks == 0 || store == NULL) {
        return EFX_OK;
    }
    struct node_outbox *o = efx_mem_libc.alloc(&efx_mem_libc, sizeof *o);
    size_t bytes = program->n_objects * sizeof(struct stream);
    struct stream *streams = efx_mem_libc.alloc(&efx_mem_libc, bytes);
    EFX_ASSERT(o != NULL && streams != NULL);
    memset(streams, 0, bytes);
    *o = (struct node_outbox){
        .store = store, .part = part, .n_streams = program->n_objects, .streams = streams};
    for (uint32_t i = 0; i < program->n_objects; i++) {
        const struct efx_bobject *b = program->objects[i];
        streams[i].schema = node_outbox_is_sink(b) ? &b->schema : NULL;
    }
    (void)pthread_mutex_init(&o->lock, NULL);
    efx_arena_init(&o->receipts, &efx_mem_libc, SIZE_MAX);
    *out = o;
    return EFX_OK;
}

static void drop(struct pieces *l)
{
    while (l->first != NULL) {
        struct piece *p = l->first;
        l->first = p->next;
        efx_buf_fini(&p->bytes);
        efx_mem_libc.free(&efx_mem_libc, p, sizeof *p);
    }
    *l = (struct pieces){0};
}

void node_outbox_destroy(struct node_outbox **o_of)
{
    struct node_outbox *o = *o_of;
    if (o == NULL) {
        return;
    }
    for (uint32_t i = 0; i < o->n_streams; i++) {
        drop(&o->streams[i].open);
        drop(&o->streams[i].cut);
    }
    efx_arena_fini(&o->receipts);
    (void)pthread_mutex_destroy(&o->lock);
    efx_mem_libc.free(&efx_mem_libc, o->streams, o->n_streams * sizeof *o->streams);
    efx_mem_libc.free(&efx_mem_libc, o, sizeof *o);
    *o_of = NULL;
}

static struct piece *piece_new(struct stream *s)
{
    struct piece *p = efx_mem_libc.alloc(&efx_mem_libc, sizeof *p);
    EFX_ASSERT(p != NULL);
    p->next = NULL;
    efx_buf_init(&p->bytes, &efx_mem_libc);
    efx_buf_u32(&p->bytes, s->schema->n_cols);
    for (uint32_t c = 0; c < s->schema->n_cols; c++) {
        efx_buf_u8(&p->bytes, (uint8_t)s->schema->cols[c].type);
        efx_buf_text(&p->bytes, s->schema->cols[c].name, strlen(s->schema->cols[c].name));
    }
    if (s->open.last != NULL) {
        s->open.last->next = p;
    } else {
        s->open.first = p;
    }
    s->open.last = p;
    s->open.n++;
    return p;
}

bool node_outbox_columns(struct efx_reader *r, struct efx_arena *arena, struct efx_schema *out)
{
    uint32_t n = efx_get_u32(r);
    struct efx_schema_col *cols =
        r->bad || n > EFX_WIRE_COLS_MAX ? NULL : EFX_NEW_N(arena, struct efx_schema_col, n + 1);
    for (uint32_t c = 0; cols != NULL && c < n; c++) {
        enum efx_type type = (enum efx_type)efx_get_u8(r);
        struct efx_bytes name = efx_get_text(r);
        cols[c] = (struct efx_schema_col){
            .name = efx_arena_str(arena, (const char *)name.p, name.n), .type = type};
    }
    *out = (struct efx_schema){.name = "", .n_cols = n, .cols = cols};
    return cols != NULL && !r->bad;
}

void node_outbox_rows(struct node_outbox *o, const struct efx_bobject *stream,
                      const struct efx_rows *rows)
{
    struct stream *s = &o->streams[stream->id];
    if (s->schema == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&o->lock);
    struct piece *p = s->open.last;
    if (p == NULL || p->bytes.n > EFX_CKPT_RAW_BYTES) {
        p = piece_new(s);
    }
    efx_wire_put(&p->bytes, rows);
    EFX_ASSERT(!p->bytes.bad);
    (void)pthread_mutex_unlock(&o->lock);
}

/* The verdict about the last cut comes before the next mark; if it has come before that cut, or
 * says void, the rows are still there. */
void node_outbox_cut(struct node_outbox *o, uint64_t no)
{
    (void)pthread_mutex_lock(&o->lock);
    o->cut_no = no;
    for (uint32_t i = 0; i < o->n_streams; i++) {
        struct stream *s = &o->streams[i];
        if (s->open.first == NULL) {
            continue;
        }
        if (s->cut.last != NULL) {
            s->cut.last->next = s->open.first;
        } else {
            s->cut.first = s->open.first;
        }
        s->cut.last = s->open.last;
        s->cut.n += s->open.n;
        s->open = (struct pieces){0};
    }
    (void)pthread_mutex_unlock(&o->lock);
}

void node_outbox_verdict(struct node_outbox *o, uint64_t no, bool stands)
{
    (void)pthread_mutex_lock(&o->lock);
    for (uint32_t i = 0; stands && no == o->cut_no && i < o->n_streams; i++) {
        drop(&o->streams[i].cut);
    }
    o->cut_no = no == o->cut_no ? 0 : o->cut_no;
    (void)pthread_mutex_unlock(&o->lock);
}

/* Pieces of a cut stay as they are until its verdict, and a void one's only get company. */
static struct efx_bytes *listed(struct node_outbox *o, uint64_t no, uint32_t i, uint32_t *n)
{
    struct efx_bytes *list = NULL;
    *n = 0;
    (void)pthread_mutex_lock(&o->lock);
    if (o->cut_no == no && o->streams[i].cut.n > 0) {
        list = EFX_NEW_N(&o->receipts, struct efx_bytes, o->streams[i].cut.n);
        for (struct piece *p = o->streams[i].cut.first; list != NULL && p != NULL; p = p->next) {
            list[(*n)++] = efx_buf_bytes(&p->bytes);
        }
    }
    (void)pthread_mutex_unlock(&o->lock);
    return list;
}

enum efx_rc node_outbox_finish(void *arg, uint64_t no, const struct efx_ckpt_receipt **receipts,
                               uint32_t *n, struct efx_err *err)
{
    struct node_outbox *o = arg;
    enum efx_rc rc = EFX_OK;
    efx_arena_reset(&o->receipts);
    struct efx_ckpt_receipt *v = EFX_NEW_N(&o->receipts, struct efx_ckpt_receipt, o->n_streams);
    *n = 0;
    (void)pthread_mutex_lock(&o->lock);
    bool late = o->cut_no != no; /* it was decided without this report: void */
    (void)pthread_mutex_unlock(&o->lock);
    if (v == NULL || late) {
        return EFX_FAIL(err, late ? EFX_AGAIN : EFX_ENOMEM, EFX_KIND_ENV, 0,
                        late ? "it has come to nothing" : "out of memory");
    }
    for (uint32_t i = 0; i < o->n_streams && rc == EFX_OK; i++) {
        uint32_t k;
        const struct efx_bytes *list = listed(o, no, i, &k);
        if (k > 0) {
            v[*n] = (struct efx_ckpt_receipt){
                .sink = o->streams[i].schema->name, .part = o->part, .no = no};
            rc = efx_outbox_put(o->store, list, k, &o->receipts, &v[(*n)++], err);
        }
    }
    *receipts = v;
    return rc;
}
