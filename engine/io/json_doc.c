/* Any line, from simdjson's tape: the whole contract, and every error.
 *
 *   no JSON                                  3001, of the stream if lines name none
 *   unknown stream                           3001, of no stream
 *   a value that does not fit, an unknown column of an event line, too many items    3002
 *   a timestamp that is no whole number      3003
 *
 * A rejected event keeps its payload: the data of an event line, else the line.
 */
#include "json.h"

#include "efx_numbers.h"
#include "json_tape.h"

struct doc {
    const struct json_line *l;
    struct json_tape t;
};

static struct efx_str text_of(const struct json_token *k)
{
    return (struct efx_str){k->p, k->n};
}

static bool is(const struct json_token *k, const char *word)
{
    return efx_str_equal(text_of(k), efx_str_of(word));
}

static enum efx_rc reject(const struct json_line *l, uint16_t stream, uint16_t code,
                          struct efx_str payload)
{
    if (l->f->conf.ignore_parse_errors && code == 3001) {
        return EFX_OK;
    }
    return efx_builder_reject(l->b, stream, code, l->no, payload.p, payload.n);
}

static uint16_t put(struct efx_put *r, uint32_t c, const struct json_tape *t, uint32_t at)
{
    const struct json_token *k = &t->v[at];
    switch (k->kind) {
    case JSON_OBJECT:
    case JSON_ARRAY: return efx_put_nested(r, c, text_of(k));
    case JSON_TEXT: return efx_put_text(r, c, text_of(k));
    case JSON_NUMBER: return efx_put_number(r, c, text_of(k));
    case JSON_TRUE:
    case JSON_FALSE: return efx_put_bool(r, c, k->kind == JSON_TRUE);
    case JSON_NULL: efx_put_null(r, c); return 0;
    case JSON_KEY: break;
    }
    return 3001;
}

/* ---- paths ---- */

/* What the path leads to from token `at`; the tape's end = nothing is there. */
static uint32_t follow(const struct json_tape *t, uint32_t at, const struct json_path *path)
{
    for (uint32_t s = 0; s < path->n; s++) {
        const struct json_step *step = &path->steps[s];
        const struct json_token *k = &t->v[at];
        uint32_t end = json_after(t, at), i = at + 1, item = 0;
        if (k->kind != (step->name.p != NULL ? JSON_OBJECT : JSON_ARRAY)) {
            return t->n;
        }
        if (step->name.p == NULL) {
            for (; i < end && item < step->item; item++) {
                i = json_after(t, i);
            }
        } else {
            while (i < end && !efx_str_equal(text_of(&t->v[i]), step->name)) {
                i = json_after(t, i + 1);
            }
            i += i < end;
        }
        if (i >= end) {
            return t->n;
        }
        at = i;
    }
    return at;
}

/* ---- rows ---- */

static uint32_t column(const struct json_stream *st, struct efx_str key)
{
    uint32_t n = st->schema->n_cols;
    for (uint32_t c = 0; c < n; c++) {
        if (efx_str_equal(efx_str_of(st->schema->cols[c].name), key)) {
            return c;
        }
    }
    for (uint32_t c = 0; c < n; c++) {
        if (efx_str_equal_ci(efx_str_of(st->schema->cols[c].name), key)) {
            return c;
        }
    }
    return n;
}

static uint16_t put_members(struct doc *d, struct efx_put *r, const struct json_stream *st,
                            uint32_t at)
{
    uint16_t code = 0;
    uint32_t end = json_after(&d->t, at);
    for (uint32_t i = at + 1; i < end && code == 0; i = json_after(&d->t, i + 1)) {
        uint32_t c = column(st, text_of(&d->t.v[i]));
        if (c < st->schema->n_cols && (st->maps == NULL || st->maps[c].n == 0)) {
            code = put(r, c, &d->t, i + 1);
        } else if (d->l->f->events && c == st->schema->n_cols) {
            code = 3002;
        }
    }
    return code;
}

static uint16_t put_mapped(struct doc *d, struct efx_put *r, const struct json_stream *st,
                           uint32_t at)
{
    uint16_t code = 0;
    for (uint32_t c = 0; st->maps != NULL && c < st->schema->n_cols && code == 0; c++) {
        uint32_t to = st->maps[c].n > 0 ? follow(&d->t, at, &st->maps[c]) : d->t.n;
        if (to < d->t.n) {
            code = put(r, c, &d->t, to);
        }
    }
    return code;
}

static uint16_t put_items(struct doc *d, struct efx_put *r, const struct json_stream *st,
                          uint32_t at)
{
    uint16_t code = 0;
    uint32_t end = json_after(&d->t, at), c = 0;
    for (uint32_t i = at + 1; i < end && code == 0; i = json_after(&d->t, i), c++) {
        code = c < st->schema->n_cols ? put(r, c, &d->t, i) : 3002;
    }
    return code;
}

/* Is a field wanted that is not there? JSON null counts as there, so this looks at the tape. */
static bool is_missing(struct doc *d, const struct json_stream *st, uint32_t at)
{
    for (uint32_t c = 0; c < st->schema->n_cols; c++) {
        bool there = false;
        if (st->maps != NULL && st->maps[c].n > 0) {
            there = follow(&d->t, at, &st->maps[c]) < d->t.n;
        } else {
            uint32_t end = json_after(&d->t, at);
            for (uint32_t i = at + 1; i < end && !there; i = json_after(&d->t, i + 1)) {
                there = column(st, text_of(&d->t.v[i])) == c;
            }
        }
        if (!there) {
            return true;
        }
    }
    return false;
}

/* One event: an object, or of an event line an array. */
static enum efx_rc row(struct doc *d, const struct json_stream *st, int64_t ts, uint32_t at)
{
    const struct json_line *l = d->l;
    struct efx_put r = {.b = l->b, .schema = st->schema, .date_format = l->f->conf.date_format};
    uint16_t stream = (uint16_t)(st - l->f->streams), code;
    const struct json_token *k = &d->t.v[at];
    EFX_RET(efx_builder_begin(l->b, stream, ts, &r.set));
    if (k->kind == JSON_OBJECT) {
        code = put_members(d, &r, st, at);
        code = code == 0 ? put_mapped(d, &r, st, at) : code;
        if (code == 0 && l->f->conf.fail_on_missing && is_missing(d, st, at)) {
            code = 3002;
        }
    } else {
        code = k->kind == JSON_ARRAY && l->f->events ? put_items(d, &r, st, at) : 3001;
    }
    if (r.full) {
        return EFX_ENOMEM;
    }
    if (code != 0) {
        return reject(l, stream, code, text_of(k));
    }
    efx_builder_end(l->b, r.set);
    return EFX_OK;
}

/* ---- event lines ---- */

static enum efx_rc bad_line(const struct json_line *l)
{
    return reject(l, l->f->events ? (uint16_t)EFX_TURN_REJECT : (uint16_t)l->f->first, 3001,
                  (struct efx_str){l->p, (uint32_t)l->n});
}

static bool whole(const struct json_token *k, int64_t *out)
{
    return k->kind == JSON_NUMBER && efx_io_parse_long(k->p, k->n, out);
}

static enum efx_rc event(struct doc *d)
{
    const struct json_line *l = d->l;
    const struct json_token *v = d->t.v;
    const struct json_token *name = NULL, *ts = NULL;
    uint32_t data = 0, hint = 0;
    int64_t by_ms, ts_ms = l->ts_ms;
    for (uint32_t i = 1; i < d->t.n; i = json_after(&d->t, i + 1)) {
        if (is(&v[i], "stream")) {
            name = &v[i + 1];
        } else if (is(&v[i], "ts")) {
            ts = &v[i + 1];
        } else if (is(&v[i], "data")) {
            data = i + 1;
        } else if (is(&v[i], "advance")) {
            return whole(&v[i + 1], &by_ms) && by_ms >= 0 && d->t.n == 3
                       ? efx_builder_advance(l->b, by_ms)
                       : bad_line(l);
        } else if (!is(&v[i], "kind") || !is(&v[i + 1], "current")) {
            return bad_line(l);
        }
    }
    const struct json_stream *st = name == NULL || name->kind != JSON_TEXT
                                       ? NULL
                                       : efx_json__stream(l->f, text_of(name), &hint);
    if (st == NULL || data == 0) {
        return bad_line(l);
    }
    if (ts != NULL && ts->kind != JSON_NULL && !whole(ts, &ts_ms)) {
        return reject(l, (uint16_t)(st - l->f->streams), 3003, text_of(&v[data]));
    }
    return row(d, st, ts_ms, data);
}

/* ---- documents of one stream ---- */

/* The events of a document: itself, or the items of an array. */
static enum efx_rc events_of(struct doc *d, uint32_t at)
{
    const struct json_line *l = d->l;
    const struct json_stream *st = &l->f->streams[l->f->first];
    bool several = d->t.v[at].kind == JSON_ARRAY;
    uint32_t end = several ? json_after(&d->t, at) : at + 1;
    for (uint32_t i = several ? at + 1 : at, n = 0; i < end; i = json_after(&d->t, i), n++) {
        if (n < l->skip) {
            continue;
        }
        EFX_RET(row(d, st, l->ts_ms, i));
        ++*l->n_events;
    }
    return EFX_OK;
}

enum efx_rc efx_json__slow(const struct json_line *l)
{
    struct doc d = {.l = l};
    if (efx_builder_full(l->b)) {
        return EFX_AGAIN;
    }
    if (!efx_json__parse(l->p, l->n, &d.t)) {
        return bad_line(l);
    }
    if (l->f->events) {
        return d.t.v[0].kind == JSON_OBJECT ? event(&d) : bad_line(l);
    }
    uint32_t at = follow(&d.t, 0, &l->f->enclosing);
    return at < d.t.n ? events_of(&d, at) : bad_line(l);
}
