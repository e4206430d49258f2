/* The datagen source: rows out of nothing, the same for the same seed. */
#include "efx_datagen.h"

#include "efx_hash.h"
#include "efx_io.h"
#include "efx_put.h"

#include <stdlib.h>

struct conf {
    int64_t rate, rows, seed;
};

static const struct efx_conf_key options[] = {
    {.name = "datagen.rate",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, rate),
     .otherwise = "1000",
     .min = 0,
     .max = INT64_MAX,
     .help = "events per second; 0: as fast as possible"},
    {.name = "datagen.rows",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, rows),
     .otherwise = "-",
     .min = 0,
     .max = INT64_MAX,
     .help = "events in all; without it no end"},
    {.name = "datagen.seed",
     .kind = EFX_CONF_LONG,
     .off = offsetof(struct conf, seed),
     .otherwise = "1",
     .help = "the same seed gives the same rows"},
    {.name = "datagen.*",
     .kind = EFX_CONF_TEXT,
     .otherwise = "",
     .help = "<col>.kind = sequence, random, choice, text, uuid or now, with <col>.min .max .start "
             ".step .values .length .nulls"},
    {0},
};

/* ---- options of a column ---- */

static enum efx_rc bad(const struct efx_prop *p, const char *wanted, struct efx_err *err)
{
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1105,
                    "bad value '" EFX_STR_FMT "' for '%s': %s", EFX_STR_ARG(p->value), p->key,
                    wanted);
}

static bool real(struct efx_arena *a, struct efx_str s, double *out)
{
    char *end;
    const char *z = efx_arena_str(a, s.p, s.n);
    *out = z == NULL ? 0 : strtod(z, &end);
    return z != NULL && s.n > 0 && *end == '\0';
}

static bool list(struct efx_arena *a, struct efx_str s, struct efx_gen_col *c)
{
    c->values = EFX_NEW_N(a, struct efx_str, s.n / 2 + 2);
    for (uint32_t from = 0, i = 0; c->values != NULL && i <= s.n; i++) {
        if (i == s.n || s.p[i] == ',') {
            while (from < i && s.p[from] == ' ') {
                from++;
            }
            c->values[c->n_values++] = (struct efx_str){s.p + from, i - from};
            from = i + 1;
        }
    }
    return c->n_values > 0;
}

static enum efx_rc set_kind(struct efx_gen_col *c, const struct efx_prop *p, struct efx_err *err)
{
    static const char *const words[] = {"sequence", "random", "choice", "text", "uuid", "now"};
    for (uint32_t k = 0; k < 6; k++) {
        if (efx_str_equal_ci(p->value, efx_str_of(words[k]))) {
            c->kind = (enum efx_gen_kind)(EFX_GEN_SEQUENCE + k);
            return EFX_OK;
        }
    }
    return bad(p, "sequence, random, choice, text, uuid or now", err);
}

static enum efx_rc set_option(struct efx_arena *a, struct efx_gen_col *c, const char *what,
                              const struct efx_prop *p, struct efx_err *err)
{
    int64_t n;
    if (strcmp(what, "kind") == 0) {
        return set_kind(c, p, err);
    }
    if (strcmp(what, "min") == 0 || strcmp(what, "max") == 0) {
        double *to = what[1] == 'i' ? &c->min : &c->max;
        return real(a, p->value, to) ? EFX_OK : bad(p, "a number", err);
    }
    if (strcmp(what, "start") == 0 || strcmp(what, "step") == 0) {
        int64_t *to = what[2] == 'a' ? &c->start : &c->step;
        return efx_str_i64(p->value, to) ? EFX_OK : bad(p, "a whole number", err);
    }
    if (strcmp(what, "values") == 0) {
        return list(a, p->value, c) ? EFX_OK : bad(p, "values with commas", err);
    }
    if (strcmp(what, "length") == 0) {
        if (!efx_str_i64(p->value, &n) || n < 1 || n > 65536) {
            return bad(p, "1 to 65536", err);
        }
        c->length = (uint32_t)n;
        return EFX_OK;
    }
    if (strcmp(what, "nulls") == 0) {
        return real(a, p->value, &c->nulls) && c->nulls >= 0 && c->nulls <= 1
                   ? EFX_OK
                   : bad(p, "a share between 0 and 1", err);
    }
    return EFX_FAIL(err, EFX_EPARSE, EFX_KIND_USER, 1104, "unknown property '%s'", p->key);
}

static enum efx_rc set_any(struct efx_arena *a, const struct efx_schema *schema,
                           struct efx_gen_col *cols, const struct efx_prop *p, struct efx_err *err)
{
    const char *name = p->key + sizeof "datagen." - 1, *dot = strrchr(name, '.');
    if (dot == NULL) {
        return EFX_OK; /* rate, rows, seed */
    }
    const char *col = efx_arena_str(a, name, (size_t)(dot - name));
    uint32_t c = col == NULL ? EFX_SCHEMA_NO_COL : efx_schema_find(schema, col);
    if (c == EFX_SCHEMA_NO_COL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_USER, 1105, "'%s': stream %s has no column '%s'",
                        p->key, schema->name, col == NULL ? "" : col);
    }
    return set_option(a, &cols[c], dot + 1, p, err);
}

static enum efx_rc check(const struct efx_gen_col *g, const struct efx_schema_col *col,
                         struct efx_err *err)
{
    bool text = col->type == EFX_TYPE_STRING;
    bool ok = g->kind == EFX_GEN_CHOICE                            ? g->n_values > 0
              : g->kind == EFX_GEN_TEXT || g->kind == EFX_GEN_UUID ? text
              : g->kind == EFX_GEN_NOW                             ? col->type == EFX_TYPE_LONG
              : g->kind == EFX_GEN_SEQUENCE ? efx_type_is_number(col->type) || text
                                            : col->type != EFX_TYPE_OBJECT && g->max >= g->min;
    return ok ? EFX_OK
              : EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 1105,
                         "datagen cannot make column '%s' of type %s this way", col->name,
                         efx_type_name(col->type));
}

enum efx_rc efx_datagen_cols(struct efx_arena *a, const struct efx_schema *schema,
                             const struct efx_prop *props, uint32_t n_props,
                             struct efx_gen_col **out, struct efx_err *err)
{
    struct efx_gen_col *cols = EFX_NEW_N(a, struct efx_gen_col, schema->n_cols + 1);
    if (cols == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        cols[c] = (struct efx_gen_col){.kind = EFX_GEN_RANDOM, .max = 1000, .step = 1, .length = 8};
    }
    for (uint32_t i = 0; i < n_props; i++) {
        if (strncmp(props[i].key, "datagen.", sizeof "datagen." - 1) == 0) {
            EFX_RET(set_any(a, schema, cols, &props[i], err));
        }
    }
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        EFX_RET(check(&cols[c], &schema->cols[c], err));
    }
    *out = cols;
    return EFX_OK;
}

/* ---- values ---- */

static double share(uint64_t h)
{
    return (double)(h >> 11) * 0x1p-53;
}

static void put_letters(struct efx_put *r, uint32_t c, uint64_t h, uint32_t n)
{
    char buf[64];
    uint32_t at = 0;
    char *text = n <= sizeof buf ? buf : efx_arena_bytes(&r->b->heap, n);
    if (text == NULL) {
        r->full = true;
        return;
    }
    while (at < n) {
        uint64_t w = h;
        for (uint32_t k = 0; k < 12 && at < n; k++, w /= 26) {
            text[at++] = (char)('a' + w % 26);
        }
        h = efx_hash_u64(h + 0x9E3779B97F4A7C15u);
    }
    (void)efx_put_bytes(r, c, text, n);
}

static void put_uuid(struct efx_put *r, uint32_t c, uint64_t h)
{
    static const char hex[] = "0123456789abcdef";
    char text[36];
    uint64_t w[2] = {h, efx_hash_u64(h + 1)};
    for (uint32_t i = 0, k = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            text[i] = '-';
            continue;
        }
        uint32_t digit = (uint32_t)(w[k / 16] >> (k % 16 * 4)) & 15;
        text[i] = i == 14 ? '4' : hex[i == 19 ? 8 | (digit & 3) : digit];
        k++;
    }
    (void)efx_put_bytes(r, c, text, 36);
}

static void put_random(struct efx_put *r, uint32_t c, const struct efx_gen_col *g, uint64_t h)
{
    switch (r->schema->cols[c].type) {
    case EFX_TYPE_INT:
    case EFX_TYPE_LONG:
        (void)efx_put_long(r, c, (int64_t)(g->min + share(h) * (g->max - g->min + 1)));
        break;
    case EFX_TYPE_FLOAT:
    case EFX_TYPE_DOUBLE: (void)efx_put_double(r, c, g->min + share(h) * (g->max - g->min)); break;
    case EFX_TYPE_BOOL: (void)efx_put_bool(r, c, (h & 1) != 0); break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES: put_letters(r, c, h, g->length); break;
    case EFX_TYPE_NONE:
    case EFX_TYPE_OBJECT: break;
    }
}

static void put_value(struct efx_put *r, uint32_t c, const struct efx_gen_col *g, uint64_t h,
                      uint64_t row, int64_t now_ms)
{
    switch (g->kind) {
    case EFX_GEN_SEQUENCE:
        (void)efx_put_long(r, c, (int64_t)((uint64_t)g->start + row * (uint64_t)g->step));
        break;
    case EFX_GEN_RANDOM: put_random(r, c, g, h); break;
    case EFX_GEN_CHOICE: (void)efx_put_text(r, c, g->values[h % g->n_values]); break;
    case EFX_GEN_TEXT: put_letters(r, c, h, g->length); break;
    case EFX_GEN_UUID: put_uuid(r, c, h); break;
    case EFX_GEN_NOW: (void)efx_put_long(r, c, now_ms); break;
    }
}

enum efx_rc efx_datagen_rows(const struct efx_gen_col *cols, const struct efx_schema *schema,
                             uint16_t stream, uint64_t seed, uint64_t row, int64_t now_ms,
                             int64_t ts_ms, struct efx_builder *out)
{
    struct efx_put r = {.b = out, .schema = schema};
    EFX_RET(efx_builder_begin(out, stream, ts_ms, &r.set));
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        uint64_t h = efx_hash_mix(efx_hash_mix(seed, c + 1), row);
        if (cols[c].nulls > 0 && share(efx_hash_u64(h ^ 0x5bd1e995)) < cols[c].nulls) {
            continue;
        }
        put_value(&r, c, &cols[c], h, row, now_ms);
    }
    if (r.full) {
        return EFX_ENOMEM;
    }
    efx_builder_end(out, r.set);
    return EFX_OK;
}

/* ---- the source ---- */

struct datagen_source {
    struct efx_source base;
    struct efx_pace pace;
    uint64_t seed;
    struct efx_gen_col *cols;
    const struct efx_schema *schema;
    uint16_t stream;
};

static enum efx_rc open_datagen(struct efx_source *self, const struct efx_source_open *how,
                                struct efx_err *err)
{
    struct datagen_source *s = (struct datagen_source *)self;
    const struct conf *conf = how->conf;
    s->pace = (struct efx_pace){.per_s = conf->rate, .total = conf->rows};
    s->seed = (uint64_t)conf->seed;
    self->rewinds = true;
    s->stream = how->stream;
    s->schema = how->streams[how->stream];
    return efx_datagen_cols(how->arena, s->schema, how->props, how->n_props, &s->cols, err);
}

static enum efx_rc read_datagen(struct efx_source *self, struct efx_chunk *out)
{
    struct datagen_source *s = (struct datagen_source *)self;
    enum efx_rc rc = efx_pace_read(&s->pace, self->world, out, &self->wait_ns);
    self->at[0] = s->pace.next;
    return rc;
}

static enum efx_rc seek(struct efx_source *self, const struct efx_pos *pos, uint32_t n,
                        struct efx_err *err)
{
    struct datagen_source *s = (struct datagen_source *)self;
    (void)err;
    s->pace.next = s->pace.from = self->at[0] = n > 0 ? pos[0].next[0] : 0;
    return EFX_OK;
}

static enum efx_rc fill(const struct efx_source *self, struct efx_decode *d,
                        struct efx_builder *out)
{
    const struct datagen_source *s = (const struct datagen_source *)self;
    const struct efx_chunk *c = d->chunk;
    for (; d->msg < c->n_msgs; d->msg++, d->at_bytes = 0) {
        const struct efx_msg *m = &c->msgs[d->msg];
        for (; d->at_bytes < m->len; d->at_bytes++) {
            uint64_t row = m->pos.next[0] - m->len + d->at_bytes;
            EFX_RET(efx_datagen_rows(s->cols, s->schema, s->stream, s->seed, row, c->arrived_ms,
                                     m->ts_ms, out));
        }
    }
    return EFX_OK;
}

static void close_datagen(struct efx_source *self)
{
    (void)self;
}

const struct efx_source_vt efx_datagen_source_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_source_vt),
             .name = "datagen",
             .help = "generated rows, for trying things out",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct datagen_source)},
    .open = open_datagen,
    .read = read_datagen,
    .seek = seek,
    .fill = fill,
    .close = close_datagen,
};
