/* One source's way into builders. */
#include "efx_lane.h"

#include <errno.h>

void efx_lane_init(struct efx_lane *l, struct efx_arena *arena, struct efx_source *source,
                   struct efx_format *format, const char *name)
{
    *l = (struct efx_lane){.source = source, .format = format, .name = name, .arena = arena};
    l->chunk.msgs = l->msgs;
    l->chunk.stream = source->vt->stream;
}

void efx_lane_close(struct efx_lane *l)
{
    if (l->source != NULL) {
        l->source->vt->close(l->source);
    }
    if (l->format != NULL) {
        l->format->vt->close(l->format);
    }
    if (l->chunk.bytes != NULL) {
        efx_mem_libc.free(&efx_mem_libc, l->chunk.bytes, l->chunk.max_bytes + EFX_CHUNK_PAD);
    }
    *l = (struct efx_lane){0};
}

static enum efx_lane_state failed(const struct efx_lane *l, enum efx_rc rc, const char *why,
                                  struct efx_err *err)
{
    (void)EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "%s: %s", l->name, why);
    return EFX_LANE_FAILED;
}

static bool grow(struct efx_lane *l)
{
    struct efx_chunk *c = &l->chunk;
    size_t old = c->bytes == NULL ? 0 : c->max_bytes + EFX_CHUNK_PAD;
    size_t max = c->bytes == NULL ? EFX_CHUNK_BYTES : c->max_bytes * 2;
    uint8_t *more = efx_mem_grow(&efx_mem_libc, c->bytes, old, max + EFX_CHUNK_PAD);
    if (more == NULL) {
        return false;
    }
    memset(more + max, 0, EFX_CHUNK_PAD);
    c->bytes = more;
    c->max_bytes = max;
    return true;
}

/* ---- chunks of a stream ---- */

/* What was decoded leaves; the rest of the last line moves to the front. */
static void carry(struct efx_lane *l)
{
    struct efx_chunk *c = &l->chunk;
    l->n_lines += l->d.n_lines;
    memmove(c->bytes, c->bytes + l->whole, c->n_bytes - l->whole);
    c->n_bytes -= l->whole;
    l->whole = 0;
    l->busy = false;
}

/* Passes over the rest of a line that was too long; true = it has ended. */
static bool drop(struct efx_lane *l)
{
    struct efx_chunk *c = &l->chunk;
    const uint8_t *end = memchr(c->bytes, '\n', c->n_bytes);
    l->whole = end == NULL ? c->n_bytes : (size_t)(end - c->bytes) + 1;
    l->dropping = end == NULL;
    l->d.n_lines = 0;
    carry(l);
    return end != NULL;
}

static void begin(struct efx_lane *l, size_t whole, uint16_t code)
{
    l->whole = whole;
    l->run_at[0] = l->source->at[0] - l->chunk.n_bytes;
    l->run_at[1] = l->source->at[1];
    l->run_lines = l->n_lines;
    l->run_turns = 0;
    l->msgs[0] = (struct efx_msg){.len = (uint32_t)whole, .ts_ms = EFX_TS_NONE, .code = code};
    l->chunk.n_msgs = 1;
    l->chunk.prologue = l->prologue;
    l->d = (struct efx_decode){.chunk = &l->chunk};
    l->busy = true;
}

static bool keep_head(struct efx_lane *l, size_t n)
{
    uint8_t *p = efx_arena_bytes(l->arena, n + 1);
    if (p != NULL) {
        memcpy(p, l->chunk.bytes, n);
        l->head = (struct efx_bytes){p, n};
    }
    return p != NULL;
}

/* The header, once per file. EFX_AGAIN: not there as a whole yet. */
static enum efx_rc read_prologue(struct efx_lane *l, struct efx_err *err)
{
    struct efx_chunk *c = &l->chunk;
    size_t used = 0;
    void *made = efx_arena_alloc(l->arena, 1, l->format->vt->prologue_bytes, 8);
    if (made == NULL) {
        return EFX_ENOMEM;
    }
    struct efx_bytes head = {c->bytes, c->n_bytes};
    bool last_line = l->ended && c->n_bytes > 0 && c->bytes[c->n_bytes - 1] != '\n';
    if (last_line && c->n_bytes < c->max_bytes) { /* a header without a line end */
        c->bytes[c->n_bytes++] = '\n';
        head.n++;
    }
    enum efx_rc rc = l->format->vt->prologue(l->format, head, &used, made, err);
    if (rc == EFX_OK && !keep_head(l, used)) {
        return EFX_ENOMEM;
    }
    if (rc == EFX_OK) {
        l->prologue = made;
        for (size_t i = 0; i < used; i++) {
            l->n_lines += c->bytes[i] == '\n';
        }
        l->whole = used;
        l->d.n_lines = 0;
        carry(l);
    }
    return rc;
}

static enum efx_lane_state cut(struct efx_lane *l, struct efx_err *err)
{
    struct efx_chunk *c = &l->chunk;
    if (l->format->vt->prologue_bytes > 0 && l->prologue == NULL) {
        enum efx_rc rc = c->n_bytes == 0 ? EFX_AGAIN : read_prologue(l, err);
        if (rc == EFX_AGAIN) {
            return l->ended ? EFX_LANE_ENDED : EFX_LANE_MORE;
        }
        if (rc != EFX_OK) {
            return EFX_LANE_FAILED;
        }
    }
    bool last = l->ended || c->ends;
    size_t whole =
        last ? c->n_bytes : l->format->vt->cut(l->format, (struct efx_bytes){c->bytes, c->n_bytes});
    if (whole > 0) {
        begin(l, whole, 0);
    } else if (c->n_bytes == c->max_bytes && c->max_bytes >= EFX_MESSAGE_BYTES_MAX) {
        begin(l, c->n_bytes, 3001);
        l->dropping = true;
    }
    return l->busy || !l->ended ? EFX_LANE_MORE : EFX_LANE_ENDED;
}

static enum efx_lane_state read_stream(struct efx_lane *l, struct efx_err *err)
{
    struct efx_chunk *c = &l->chunk;
    if (l->ended) {
        return EFX_LANE_ENDED;
    }
    if ((c->bytes == NULL || c->n_bytes == c->max_bytes) && !grow(l)) {
        return failed(l, EFX_ENOMEM, "out of memory", err);
    }
    enum efx_rc rc = l->source->vt->read(l->source, c);
    if (rc == EFX_AGAIN) {
        return EFX_LANE_IDLE;
    }
    if (rc != EFX_OK && rc != EFX_DONE) {
        return failed(l, rc, errno != 0 ? strerror(errno) : "its packed data is damaged", err);
    }
    l->ended = rc == EFX_DONE;
    if (c->begins && c->n_bytes > 0 && l->n_lines > 0) { /* another file: its own header, lines */
        l->prologue = NULL;
        l->n_lines = 0;
    }
    if (l->dropping && !drop(l)) {
        return l->ended ? EFX_LANE_ENDED : EFX_LANE_MORE;
    }
    return cut(l, err);
}

/* ---- rows ---- */

static enum efx_lane_state read_rows(struct efx_lane *l, struct efx_err *err)
{
    enum efx_rc rc = l->ended ? EFX_DONE : l->source->vt->read(l->source, &l->chunk);
    if (rc == EFX_OK) {
        l->d = (struct efx_decode){.chunk = &l->chunk};
        l->busy = true;
        l->run_at[0] = l->source->at[0] - l->msgs[0].len;
        l->run_at[1] = l->source->at[1];
        l->run_turns = 0;
        return EFX_LANE_MORE;
    }
    l->ended = rc == EFX_DONE;
    return rc == EFX_AGAIN  ? EFX_LANE_IDLE
           : rc == EFX_DONE ? EFX_LANE_ENDED
                            : failed(l, rc, "cannot be read", err);
}

/* ---- both ---- */

static enum efx_lane_state decode(struct efx_lane *l, struct efx_builder *out, struct efx_err *err)
{
    uint32_t before = out->n_rejects, turns = out->n_turns;
    enum efx_rc rc = l->format != NULL ? l->format->vt->decode(l->format, &l->d, out)
                                       : l->source->vt->fill(l->source, &l->d, out);
    l->run_turns += out->n_turns - turns;
    for (uint32_t i = before; i < out->n_rejects; i++) {
        out->rejects[i].line += (uint32_t)l->n_lines;
    }
    if (rc == EFX_AGAIN) {
        return EFX_LANE_FULL;
    }
    if (rc != EFX_OK) {
        return failed(l, rc, "out of memory", err);
    }
    if (l->format != NULL) {
        carry(l);
    }
    l->busy = false;
    return EFX_LANE_MORE;
}

enum efx_lane_state efx_lane_pump(struct efx_lane *l, struct efx_builder *out, struct efx_err *err)
{
    errno = 0;
    if (l->busy) {
        return efx_builder_full(out) ? EFX_LANE_FULL : decode(l, out, err);
    }
    return l->format != NULL ? read_stream(l, err) : read_rows(l, err);
}

/* ---- positions ---- */

bool efx_lane_pos(const struct efx_lane *l, uint64_t untaken, struct efx_lane_pos *out)
{
    bool inside = l->busy || l->dropping || untaken > 0;
    *out = (struct efx_lane_pos){.head = l->head};
    out->at[1] = inside ? l->run_at[1] : l->source->at[1];
    out->at[0] = inside              ? l->run_at[0]
                 : l->format != NULL ? l->source->at[0] - l->chunk.n_bytes
                                     : l->source->at[0];
    out->n_lines = inside ? l->run_lines : l->n_lines;
    out->taken = inside ? l->run_turns - untaken : 0;
    return l->source->rewinds;
}

enum efx_rc efx_lane_seek(struct efx_lane *l, const struct efx_lane_pos *pos, struct efx_err *err)
{
    struct efx_pos at = {.next = {pos->at[0], pos->at[1]}};
    if (!l->source->rewinds || l->source->vt->seek == NULL) {
        return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "%s cannot go back", l->name);
    }
    EFX_RET(l->source->vt->seek(l->source, &at, 1, err));
    l->n_lines = pos->n_lines;
    if (pos->head.n > 0 && l->format != NULL && l->format->vt->prologue_bytes > 0) {
        size_t used = 0;
        void *made = efx_arena_alloc(l->arena, 1, l->format->vt->prologue_bytes, 8);
        if (made == NULL) {
            return EFX_ENOMEM;
        }
        EFX_RET(l->format->vt->prologue(l->format, pos->head, &used, made, err));
        uint8_t *p = efx_arena_bytes(l->arena, pos->head.n + 1);
        if (p == NULL) {
            return EFX_ENOMEM;
        }
        memcpy(p, pos->head.p, pos->head.n);
        l->head = (struct efx_bytes){p, pos->head.n};
        l->prologue = made;
    }
    return EFX_OK;
}
