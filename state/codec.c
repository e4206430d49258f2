/* Reports and manifests as bytes.
 *
 *   report     magic, version │ no, epoch, member, clock │ body
 *   manifest   magic, version │ no, epoch, app │ … │ body │ XXH3-128 of all before
 *   body       n operators { key, name, n parts { no, base, layout, groups, n chunks { … } } }
 *              │ n sections │ n positions │ n receipts
 *
 * Decoding is strict: counts are compared with the bytes that are left before anything is made,
 * order and ranges are checked, nothing may be left over.
 */
#include "ckpt.h"

enum {
    REPORT_MAGIC = 0x52584645,
    MANIFEST_MAGIC = 0x4D584645,
    VERSION = 1,
    CHUNK_BYTES = 8 + EFX_HASH_BYTES + 4 * 5 + 1,
    PART_BYTES = 8 + 1 + 2 + 4 * 3,
    OP_BYTES = 8 + 4 + 4,
    NAMED_BYTES = 4 + 4,
    RECEIPT_BYTES = 4 + 4 + 8 + 4,
    GROW_START = 4096,
};

/* ---- bytes that grow ---- */

void efx_ckpt__raw(struct ckpt_out *o, const void *p, size_t n)
{
    if (o->failed || n == 0) {
        return;
    }
    if (n > o->max - o->n) {
        size_t max = (o->n + n) * 2 < GROW_START ? GROW_START : (o->n + n) * 2;
        uint8_t *more = efx_mem_grow(o->mem, o->p, o->max, max);
        if (more == NULL) {
            o->failed = true;
            return;
        }
        o->p = more;
        o->max = max;
    }
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

void efx_ckpt__u8(struct ckpt_out *o, uint8_t v)
{
    efx_ckpt__raw(o, &v, sizeof v);
}

void efx_ckpt__u16(struct ckpt_out *o, uint16_t v)
{
    efx_ckpt__raw(o, &v, sizeof v);
}

void efx_ckpt__u32(struct ckpt_out *o, uint32_t v)
{
    efx_ckpt__raw(o, &v, sizeof v);
}

void efx_ckpt__u64(struct ckpt_out *o, uint64_t v)
{
    efx_ckpt__raw(o, &v, sizeof v);
}

static void put_bytes(struct ckpt_out *o, struct efx_bytes b)
{
    efx_ckpt__u32(o, (uint32_t)b.n);
    efx_ckpt__raw(o, b.p, b.n);
}

void efx_ckpt__str(struct ckpt_out *o, const char *s)
{
    size_t n = strlen(s);
    n = n < EFX_CKPT_NAME_MAX ? n : EFX_CKPT_NAME_MAX;
    put_bytes(o, (struct efx_bytes){(const uint8_t *)s, n});
}

void efx_ckpt__free(struct ckpt_out *o)
{
    o->mem->free(o->mem, o->p, o->max);
    o->p = NULL;
    o->n = o->max = 0;
}

enum efx_rc efx_ckpt__no_memory(struct efx_err *err)
{
    return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory for a checkpoint");
}

/* ---- out ---- */

static void put_part(struct ckpt_out *o, const struct efx_ckpt_part *p)
{
    efx_ckpt__u64(o, p->no);
    efx_ckpt__u8(o, p->base);
    efx_ckpt__u16(o, p->version);
    efx_ckpt__u32(o, p->first);
    efx_ckpt__u32(o, p->last);
    efx_ckpt__u32(o, p->n_chunks);
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        const struct efx_ckpt_chunk *c = &p->chunks[i];
        efx_ckpt__u64(o, c->name.no);
        efx_ckpt__raw(o, c->name.hash.b, sizeof c->name.hash.b);
        efx_ckpt__u32(o, c->first);
        efx_ckpt__u32(o, c->last);
        efx_ckpt__u32(o, c->raw_bytes);
        efx_ckpt__u32(o, c->packed_bytes);
        efx_ckpt__u32(o, c->stored_bytes);
        efx_ckpt__u8(o, c->more);
    }
}

static void put_named(struct ckpt_out *o, const struct efx_ckpt_bytes *v, uint32_t n)
{
    efx_ckpt__u32(o, n);
    for (uint32_t i = 0; i < n; i++) {
        efx_ckpt__str(o, v[i].name);
        put_bytes(o, v[i].bytes);
    }
}

static void put_body(struct ckpt_out *o, const struct efx_ckpt_body *b)
{
    efx_ckpt__u32(o, b->n_ops);
    for (uint32_t i = 0; i < b->n_ops; i++) {
        efx_ckpt__u64(o, b->ops[i].key);
        efx_ckpt__str(o, b->ops[i].name);
        efx_ckpt__u32(o, b->ops[i].n_parts);
        for (uint32_t k = 0; k < b->ops[i].n_parts; k++) {
            put_part(o, &b->ops[i].parts[k]);
        }
    }
    put_named(o, b->sections, b->n_sections);
    put_named(o, b->positions, b->n_positions);
    efx_ckpt__u32(o, b->n_receipts);
    for (uint32_t i = 0; i < b->n_receipts; i++) {
        efx_ckpt__str(o, b->receipts[i].sink);
        efx_ckpt__u32(o, b->receipts[i].part);
        efx_ckpt__u64(o, b->receipts[i].no);
        put_bytes(o, b->receipts[i].bytes);
    }
}

/* The bytes, cut to their length so that who frees knows it. */
static enum efx_rc fit(struct ckpt_out *o, uint8_t **bytes, size_t *n, struct efx_err *err)
{
    if (o->failed || o->n > EFX_MANIFEST_MAX) {
        bool large = !o->failed;
        efx_ckpt__free(o);
        return large ? EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_ENV, 0,
                                "a manifest or report may have %d MiB", EFX_MANIFEST_MAX >> 20)
                     : efx_ckpt__no_memory(err);
    }
    uint8_t *p = o->mem->alloc(o->mem, o->n);
    if (p != NULL) {
        memcpy(p, o->p, o->n);
        *bytes = p;
        *n = o->n;
    }
    efx_ckpt__free(o);
    return p == NULL ? efx_ckpt__no_memory(err) : EFX_OK;
}

enum efx_rc efx_report_encode(const struct efx_report *r, struct efx_mem *mem, uint8_t **bytes,
                              size_t *n, struct efx_err *err)
{
    struct ckpt_out o = {.mem = mem};
    efx_ckpt__u32(&o, REPORT_MAGIC);
    efx_ckpt__u32(&o, VERSION);
    efx_ckpt__u64(&o, r->no);
    efx_ckpt__u64(&o, r->epoch);
    efx_ckpt__str(&o, r->member);
    efx_ckpt__u64(&o, (uint64_t)r->clock_ms);
    put_body(&o, &r->body);
    struct efx_hash h = efx_ckpt__hash(o.p, o.n);
    efx_ckpt__raw(&o, h.b, sizeof h.b);
    return fit(&o, bytes, n, err);
}

enum efx_rc efx_manifest_encode(const struct efx_manifest *m, struct efx_mem *mem, uint8_t **bytes,
                                size_t *n, struct efx_err *err)
{
    struct ckpt_out o = {.mem = mem};
    efx_ckpt__u32(&o, MANIFEST_MAGIC);
    efx_ckpt__u32(&o, VERSION);
    efx_ckpt__u64(&o, m->no);
    efx_ckpt__u64(&o, m->epoch);
    efx_ckpt__u64(&o, m->app_hash);
    efx_ckpt__str(&o, m->app);
    efx_ckpt__u64(&o, (uint64_t)m->clock_ms);
    efx_ckpt__u64(&o, (uint64_t)m->committed_ms);
    efx_ckpt__u8(&o, m->promised);
    efx_ckpt__u64(&o, m->back_to);
    efx_ckpt__u64(&o, m->undo_first);
    efx_ckpt__u64(&o, m->undo_last);
    put_body(&o, &m->body);
    struct efx_hash h = efx_ckpt__hash(o.p, o.n);
    efx_ckpt__raw(&o, h.b, sizeof h.b);
    return fit(&o, bytes, n, err);
}

/* ---- in ---- */

struct getting {
    struct efx_reader r;
    struct efx_arena *a;
    bool no_memory;
};

static uint16_t get_u16(struct efx_reader *r)
{
    uint16_t v;
    efx_get_raw(r, &v, sizeof v);
    return v;
}

static bool get_bool(struct efx_reader *r)
{
    uint8_t v = efx_get_u8(r);
    r->bad = r->bad || v > 1;
    return v == 1;
}

static struct efx_bytes get_bytes(struct getting *g)
{
    struct efx_bytes view = efx_get_view(&g->r, efx_get_u32(&g->r));
    uint8_t *own = efx_arena_bytes(g->a, view.n + 1);
    if (own == NULL) {
        g->no_memory = g->r.bad = true;
        return (struct efx_bytes){NULL, 0};
    }
    if (view.n > 0) {
        memcpy(own, view.p, view.n);
    }
    own[view.n] = 0;
    return (struct efx_bytes){own, view.n};
}

static const char *get_str(struct getting *g)
{
    struct efx_bytes b = get_bytes(g);
    bool ok = b.p != NULL && b.n <= EFX_CKPT_NAME_MAX && memchr(b.p, 0, b.n) == NULL;
    g->r.bad = g->r.bad || !ok;
    return ok ? (const char *)b.p : "";
}

/* Room for as many as the count says, if so many can be in what is left. */
static void *get_list(struct getting *g, uint32_t *n, size_t item_bytes, size_t least)
{
    uint32_t k = efx_get_u32(&g->r);
    g->r.bad = g->r.bad || k > g->r.left / least;
    *n = g->r.bad ? 0 : k;
    void *p = efx_arena_alloc(g->a, (size_t)*n + 1, item_bytes, 8);
    if (p == NULL) {
        g->no_memory = g->r.bad = true;
        *n = 0;
    }
    return p;
}

static void get_chunk(struct getting *g, const struct efx_ckpt_part *p, struct efx_ckpt_chunk *c)
{
    struct efx_reader *r = &g->r;
    c->name.no = efx_get_u64(r);
    efx_get_raw(r, c->name.hash.b, sizeof c->name.hash.b);
    c->first = efx_get_u32(r);
    c->last = efx_get_u32(r);
    c->raw_bytes = efx_get_u32(r);
    c->packed_bytes = efx_get_u32(r);
    c->stored_bytes = efx_get_u32(r);
    c->more = get_bool(r);
    r->bad = r->bad || c->first < p->first || c->last < c->first || c->last > p->last ||
             c->raw_bytes > EFX_CHUNK_STORED_MAX || c->stored_bytes > EFX_CHUNK_STORED_MAX ||
             c->packed_bytes > efx_ckpt__packed_max(c->raw_bytes);
}

static void get_part(struct getting *g, struct efx_ckpt_part *p)
{
    p->no = efx_get_u64(&g->r);
    p->base = get_bool(&g->r);
    p->version = get_u16(&g->r);
    p->first = efx_get_u32(&g->r);
    p->last = efx_get_u32(&g->r);
    g->r.bad = g->r.bad || p->no == 0 || p->first > p->last || p->last >= EFX_KEY_GROUPS;
    p->chunks = get_list(g, &p->n_chunks, sizeof *p->chunks, CHUNK_BYTES);
    for (uint32_t i = 0; i < p->n_chunks && !g->r.bad; i++) {
        get_chunk(g, p, &p->chunks[i]);
        g->r.bad = g->r.bad || (p->chunks[i].more && i + 1 == p->n_chunks);
    }
}

static void get_op(struct getting *g, struct efx_ckpt_op *op)
{
    op->key = efx_get_u64(&g->r);
    op->name = get_str(g);
    op->parts = get_list(g, &op->n_parts, sizeof *op->parts, PART_BYTES);
    for (uint32_t i = 0; i < op->n_parts && !g->r.bad; i++) {
        get_part(g, &op->parts[i]);
        g->r.bad = g->r.bad || (i > 0 && op->parts[i].no < op->parts[i - 1].no);
    }
}

static struct efx_ckpt_bytes *get_named(struct getting *g, uint32_t *n)
{
    struct efx_ckpt_bytes *v = get_list(g, n, sizeof *v, NAMED_BYTES);
    for (uint32_t i = 0; i < *n && !g->r.bad; i++) {
        v[i].name = get_str(g);
        v[i].bytes = get_bytes(g);
    }
    return v;
}

static void get_body(struct getting *g, struct efx_ckpt_body *b)
{
    b->ops = get_list(g, &b->n_ops, sizeof *b->ops, OP_BYTES);
    for (uint32_t i = 0; i < b->n_ops && !g->r.bad; i++) {
        get_op(g, &b->ops[i]);
        g->r.bad = g->r.bad || (i > 0 && b->ops[i].key <= b->ops[i - 1].key);
    }
    b->sections = get_named(g, &b->n_sections);
    b->positions = get_named(g, &b->n_positions);
    b->receipts = get_list(g, &b->n_receipts, sizeof *b->receipts, RECEIPT_BYTES);
    for (uint32_t i = 0; i < b->n_receipts && !g->r.bad; i++) {
        b->receipts[i].sink = get_str(g);
        b->receipts[i].part = efx_get_u32(&g->r);
        b->receipts[i].no = efx_get_u64(&g->r);
        b->receipts[i].bytes = get_bytes(g);
    }
}

/* Head and hash; the reader is behind them. */
static enum efx_rc open_bytes(struct efx_bytes bytes, uint32_t magic, const char *what,
                              struct efx_reader *r, struct efx_err *err)
{
    *r = (struct efx_reader){bytes.p, bytes.n, false};
    if (bytes.n < EFX_HASH_BYTES + 8) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the %s is cut short", what);
    }
    struct efx_hash is = efx_ckpt__hash(bytes.p, bytes.n - EFX_HASH_BYTES), says;
    memcpy(says.b, bytes.p + bytes.n - EFX_HASH_BYTES, EFX_HASH_BYTES);
    if (!efx_ckpt__same_hash(&is, &says)) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                        "the %s is damaged: its bytes do not have the hash at its end", what);
    }
    r->left -= EFX_HASH_BYTES;
    bool ours = efx_get_u32(r) == magic;
    uint32_t version = efx_get_u32(r);
    if (!ours || version != VERSION) {
        return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                        ours ? "the %s has version %u, this program reads version %u"
                             : "this is no %s of efx",
                        what, version, VERSION);
    }
    return EFX_OK;
}

static enum efx_rc close_bytes(const struct getting *g, const char *what, struct efx_err *err)
{
    return g->no_memory ? efx_ckpt__no_memory(err)
           : g->r.bad || g->r.left > 0
               ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "the %s contradicts itself", what)
               : EFX_OK;
}

enum efx_rc efx_report_decode(struct efx_bytes bytes, struct efx_arena *arena,
                              struct efx_report *out, struct efx_err *err)
{
    struct getting g = {.a = arena};
    *out = (struct efx_report){0};
    EFX_RET(open_bytes(bytes, REPORT_MAGIC, "report", &g.r, err));
    out->no = efx_get_u64(&g.r);
    out->epoch = efx_get_u64(&g.r);
    out->member = get_str(&g);
    out->clock_ms = efx_get_i64(&g.r);
    get_body(&g, &out->body);
    return close_bytes(&g, "report", err);
}

enum efx_rc efx_manifest_decode(struct efx_bytes bytes, struct efx_arena *arena,
                                struct efx_manifest *out, struct efx_err *err)
{
    struct getting g = {.a = arena};
    *out = (struct efx_manifest){0};
    EFX_RET(open_bytes(bytes, MANIFEST_MAGIC, "manifest", &g.r, err));
    out->no = efx_get_u64(&g.r);
    out->epoch = efx_get_u64(&g.r);
    out->app_hash = efx_get_u64(&g.r);
    out->app = get_str(&g);
    out->clock_ms = efx_get_i64(&g.r);
    out->committed_ms = efx_get_i64(&g.r);
    out->promised = get_bool(&g.r);
    out->back_to = efx_get_u64(&g.r);
    out->undo_first = efx_get_u64(&g.r);
    out->undo_last = efx_get_u64(&g.r);
    get_body(&g, &out->body);
    g.r.bad = g.r.bad || out->no == 0;
    return close_bytes(&g, "manifest", err);
}

/* ---- copies ---- */

static enum efx_rc copy_bytes(struct efx_arena *a, struct efx_bytes from, struct efx_bytes *to)
{
    uint8_t *p = efx_arena_bytes(a, from.n + 1);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    if (from.n > 0) {
        memcpy(p, from.p, from.n);
    }
    *to = (struct efx_bytes){p, from.n};
    return EFX_OK;
}

enum efx_rc efx_ckpt__copy_op(struct efx_arena *a, const struct efx_ckpt_op *from,
                              struct efx_ckpt_op *to)
{
    *to = *from;
    to->name = efx_arena_str(a, from->name, strlen(from->name));
    to->parts = EFX_NEW_N(a, struct efx_ckpt_part, (size_t)from->n_parts + 1);
    if (to->name == NULL || to->parts == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < from->n_parts; i++) {
        struct efx_ckpt_part *p = &to->parts[i];
        *p = from->parts[i];
        p->chunks = EFX_NEW_N(a, struct efx_ckpt_chunk, (size_t)p->n_chunks + 1);
        if (p->chunks == NULL) {
            return EFX_ENOMEM;
        }
        if (p->n_chunks > 0) {
            memcpy(p->chunks, from->parts[i].chunks, p->n_chunks * sizeof *p->chunks);
        }
    }
    return EFX_OK;
}

static enum efx_rc copy_named(struct efx_arena *a, const struct efx_ckpt_bytes *from, uint32_t n,
                              struct efx_ckpt_bytes **to)
{
    *to = EFX_NEW_N(a, struct efx_ckpt_bytes, (size_t)n + 1);
    if (*to == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        (*to)[i].name = efx_arena_str(a, from[i].name, strlen(from[i].name));
        if ((*to)[i].name == NULL) {
            return EFX_ENOMEM;
        }
        EFX_RET(copy_bytes(a, from[i].bytes, &(*to)[i].bytes));
    }
    return EFX_OK;
}

enum efx_rc efx_ckpt__copy_body(struct efx_arena *a, const struct efx_ckpt_body *from,
                                struct efx_ckpt_body *to)
{
    *to = *from;
    to->ops = EFX_NEW_N(a, struct efx_ckpt_op, (size_t)from->n_ops + 1);
    to->receipts = EFX_NEW_N(a, struct efx_ckpt_receipt, (size_t)from->n_receipts + 1);
    if (to->ops == NULL || to->receipts == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < from->n_ops; i++) {
        EFX_RET(efx_ckpt__copy_op(a, &from->ops[i], &to->ops[i]));
    }
    EFX_RET(copy_named(a, from->sections, from->n_sections, &to->sections));
    EFX_RET(copy_named(a, from->positions, from->n_positions, &to->positions));
    for (uint32_t i = 0; i < from->n_receipts; i++) {
        const struct efx_ckpt_receipt *r = &from->receipts[i];
        to->receipts[i] = *r;
        to->receipts[i].sink = efx_arena_str(a, r->sink, strlen(r->sink));
        if (to->receipts[i].sink == NULL) {
            return EFX_ENOMEM;
        }
        EFX_RET(copy_bytes(a, r->bytes, &to->receipts[i].bytes));
    }
    return EFX_OK;
}

/* ---- looking in ---- */

static const struct efx_ckpt_bytes *named(const struct efx_ckpt_bytes *v, uint32_t n,
                                          const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0) {
            return &v[i];
        }
    }
    return NULL;
}

const struct efx_ckpt_bytes *efx_ckpt_section(const struct efx_ckpt_body *b, const char *name)
{
    return named(b->sections, b->n_sections, name);
}

const struct efx_ckpt_bytes *efx_ckpt_position(const struct efx_ckpt_body *b, const char *name)
{
    return named(b->positions, b->n_positions, name);
}
