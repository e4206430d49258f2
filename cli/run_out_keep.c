/* The output and the sinks with checkpoints.
 *
 *   --output F    a file: its length at the mark is in the checkpoint; a later process cuts it there
 *                 and goes on, so no row is in it twice. Standard output cannot take back
 *   sink          exactly once: cut at the mark, synced on the storage thread, shown when the
 *                 checkpoint stands. At least once: flushed at the mark
 */
#include "run.h"

#include "efx_crash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SECTION[] = "output";

bool run_out_exactly_once(const struct run_out *o)
{
    for (uint32_t i = 0; i < o->n_streams; i++) {
        if (o->streams[i].exactly_once) {
            return true;
        }
    }
    return false;
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool has_place(const struct run_out *o)
{
    return o->path != NULL && strcmp(o->path, "-") != 0 && is_file(o->out.fd);
}

/* ---- the way back ---- */

static enum efx_rc cut_output(struct run_out *o, const struct efx_manifest *from,
                              struct efx_err *err)
{
    const struct efx_ckpt_bytes *s = from == NULL ? NULL : efx_ckpt_section(&from->body, SECTION);
    uint64_t at = 0;
    struct stat st;
    if (!has_place(o)) {
        return EFX_OK;
    }
    if (s != NULL && s->bytes.n == sizeof at + strlen(o->path) &&
        memcmp(s->bytes.p + sizeof at, o->path, strlen(o->path)) == 0) {
        memcpy(&at, s->bytes.p, sizeof at);
    }
    if (fstat(o->out.fd, &st) == 0 && (uint64_t)st.st_size < at) {
        (void)fprintf(stderr,
                      "efx: %s is shorter than when the checkpoint was made: goes on at "
                      "its end\n",
                      o->path);
        at = (uint64_t)st.st_size;
    }
    if (ftruncate(o->out.fd, (off_t)at) != 0 || lseek(o->out.fd, (off_t)at, SEEK_SET) < 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot go back in %.160s: %s", o->path,
                        strerror(errno));
    }
    for (uint32_t i = 0; at > 0 && i < o->n_streams; i++) { /* its header stands there already */
        o->last = o->streams[i].to_output ? i : o->last;
    }
    return EFX_OK;
}

static enum efx_rc begin_sink(struct run_out *o, struct run_stream *s,
                              const struct efx_manifest *from, uint64_t start, uint64_t epoch,
                              struct efx_err *err)
{
    const struct efx_bobject *b = o->program->objects[s->id];
    struct efx_sink_open open = {.conf = b->conf.connector_conf,
                                 .format = s->sink_format,
                                 .schema = &b->schema,
                                 .stream = (uint16_t)b->id,
                                 .arena = &o->arena,
                                 .exactly_once = true,
                                 .epoch = epoch,
                                 .start = start};
    EFX_RET(efx_sink_make((const struct efx_sink_vt *)b->conf.connector, &open, efx_world_real(),
                          &s->sink, err));
    const struct efx_sink_vt *vt = s->sink->vt;
    for (uint32_t i = 0; from != NULL && i < from->body.n_receipts; i++) {
        const struct efx_ckpt_receipt *r = &from->body.receipts[i];
        if (strcmp(r->sink, b->schema.name) == 0) {
            EFX_RET(vt->commit(s->sink, r->no, r->bytes, err));
        }
    }
    EFX_RET(vt->abort(s->sink, start, err));
    return from != NULL && from->undo_first != 0
               ? vt->undo(s->sink, from->undo_first, from->undo_last, err)
               : EFX_OK;
}

enum efx_rc run_out_begin(struct run_out *o, const struct efx_manifest *from, uint64_t start,
                          uint64_t epoch, struct efx_err *err)
{
    o->receipts = EFX_NEW_N(&o->arena, struct efx_ckpt_receipt, (size_t)o->n_streams + 1);
    if (o->receipts == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    for (uint32_t i = 0; i < o->n_streams; i++) {
        struct run_stream *s = &o->streams[i];
        if (!s->exactly_once) {
            continue;
        }
        s->receipt = efx_arena_bytes(&o->arena, EFX_RECEIPT_BYTES_MAX);
        if (s->receipt == NULL) {
            return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
        }
        EFX_RET(begin_sink(o, s, from, start, epoch, err));
    }
    return cut_output(o, from, err);
}

/* ---- at a mark ---- */

static enum efx_rc place(struct run_out *o, struct efx_arena *a, struct efx_ckpt_bytes *section,
                         uint32_t *n, struct efx_err *err)
{
    off_t at = lseek(o->out.fd, 0, SEEK_CUR);
    size_t k = strlen(o->path);
    uint64_t bytes = (uint64_t)at;
    uint8_t *p = efx_arena_bytes(a, sizeof bytes + k);
    if (at < 0 || p == NULL) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot tell where %.160s ends", o->path);
    }
    memcpy(p, &bytes, sizeof bytes);
    memcpy(p + sizeof bytes, o->path, k);
    *section = (struct efx_ckpt_bytes){SECTION, {p, sizeof bytes + k}};
    *n = 1;
    return EFX_OK;
}

enum efx_rc run_out_mark(struct run_out *o, uint64_t no, struct efx_arena *a,
                         struct efx_ckpt_bytes *section, uint32_t *n, struct efx_err *err)
{
    enum efx_rc rc = EFX_OK;
    (void)pthread_mutex_lock(&o->lock);
    *n = 0;
    for (uint32_t i = 0; i < o->n_streams && rc == EFX_OK; i++) {
        struct run_stream *s = &o->streams[i];
        if (s->exactly_once) {
            rc = s->sink->vt->prepare(s->sink, no, NULL, err);
            rc = rc == EFX_AGAIN ? EFX_OK : rc;
        }
    }
    if (rc == EFX_OK && has_place(o)) {
        rc = place(o, a, section, n, err);
    }
    (void)pthread_mutex_unlock(&o->lock);
    return rc;
}

enum efx_rc run_out_finish(void *out, uint64_t no, const struct efx_ckpt_receipt **receipts,
                           uint32_t *n, struct efx_err *err)
{
    struct run_out *o = out;
    o->n_receipts = 0;
    o->kept_no = no;
    for (uint32_t i = 0; i < o->n_streams; i++) {
        struct run_stream *s = &o->streams[i];
        if (!s->exactly_once) {
            continue;
        }
        struct efx_writer w = {.p = s->receipt, .max = EFX_RECEIPT_BYTES_MAX};
        EFX_RET(s->sink->vt->prepare(s->sink, no, &w, err));
        if (w.n > 0) {
            o->receipts[o->n_receipts++] = (struct efx_ckpt_receipt){
                .sink = o->program->objects[i]->schema.name, .no = no, .bytes = {w.p, w.n}};
        }
    }
    if (has_place(o) && fdatasync(o->out.fd) != 0) {
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "cannot sync %.160s: %s", o->path,
                        strerror(errno));
    }
    *receipts = o->receipts;
    *n = o->n_receipts;
    return EFX_OK;
}

enum efx_rc run_out_commit(struct run_out *o, uint64_t no, struct efx_err *err)
{
    enum efx_rc rc = EFX_OK;
    (void)pthread_mutex_lock(&o->lock);
    for (uint32_t i = 0; i < o->n_receipts && o->kept_no == no && rc == EFX_OK; i++) {
        const struct efx_ckpt_receipt *r = &o->receipts[i];
        for (uint32_t k = 0; k < o->n_streams; k++) {
            struct run_stream *s = &o->streams[k];
            if (s->exactly_once && strcmp(o->program->objects[k]->schema.name, r->sink) == 0) {
                rc = s->sink->vt->commit(s->sink, no, r->bytes, err);
            }
        }
        efx_crash_point("between-commits");
    }
    (void)pthread_mutex_unlock(&o->lock);
    return rc;
}
