#ifndef FILE_PARTS_H
#define FILE_PARTS_H

#include "efx_out.h"
#include "efx_sink.h"

#include <sys/types.h>

/* Parts of a file sink that delivers exactly once: a folder, in it one file a checkpoint.
 *
 *   .00000000000000000007-3-0.tmp   rows since checkpoint 6, written in epoch 3 by part 0
 *        │ prepare(7): synced, named in the receipt   │ manifest 7 stands
 *        └──────────────────────────── commit(7) ─────► 00000000000000000007-0.ndjson
 *
 * A number that came to nothing keeps its file: the next receipt names both. Names bear the number
 * under which rows were written, so reading in the order of names is reading in order. No file is
 * empty, each ends with a whole line.
 *
 *   receipt   { u64 no, u64 epoch, u64 bytes } a file; the part is that of the receipt
 *
 *   Limits    FILES_MAX files that wait: then the newest are put into one
 *   Threads   prepare's second call may be on another thread than writes; all else on one
 */
struct file_part { /* written, not visible yet */
    uint64_t no, epoch, bytes;
    int fd; /* -1: synced and closed */
};

enum { FILES_MAX = 100 };

struct file_parts {
    const char *folder, *ext;
    const struct efx_format *format;
    uint16_t stream;
    uint32_t part;
    uint64_t epoch;
    uint64_t next_no; /* of rows that come now */
    struct efx_out out;
    bool open;
    off_t head_bytes; /* of the header line that each file begins with */
    uint32_t n_waiting;
    struct file_part waiting[FILES_MAX + 2];
    uint64_t cut_no; /* prepare was called once for this */
};

enum efx_rc efx_parts__open(struct file_parts *p, const struct efx_sink_open *how,
                            const char *folder, struct efx_err *err);
enum efx_rc efx_parts__write(struct file_parts *p, struct efx_rows *rows, struct efx_err *err);
enum efx_rc efx_parts__prepare(struct file_parts *p, uint64_t no, struct efx_writer *receipt,
                               struct efx_err *err);
enum efx_rc efx_parts__commit(struct file_parts *p, uint64_t no, struct efx_bytes receipt,
                              struct efx_err *err);
enum efx_rc efx_parts__abort(struct file_parts *p, uint64_t start, struct efx_err *err);
enum efx_rc efx_parts__undo(struct file_parts *p, uint64_t first, uint64_t last,
                            struct efx_err *err);
void efx_parts__close(struct file_parts *p);

#endif /* FILE_PARTS_H */
