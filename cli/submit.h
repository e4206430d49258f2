#ifndef SUBMIT_H
#define SUBMIT_H

#include "remote.h"

#include "batch_out.h"
#include "efx_input.h"
#include "efx_io.h"
#include "efx_lane.h"

/* efx submit: a file's rows into a stream of a cluster, each counted once.
 *
 *   file ── lane ──► builder ──► SubmitRequest: first_seq, columns ──► kept until its last row is
 *                                                                      at the level that was asked
 *   call breaks ──► next address ──► opened(next_seq): what is kept goes again from there
 *   resend_from                  ──► likewise, in the same call
 *
 * Row n of the session is the n-th row of the input that could be read, so running the same input
 * again under the same --session brings what is missing and nothing twice.
 *
 *   Limits   SUBMIT_KEPT_BYTES unacknowledged: then nothing more is read
 *   Owner    the parts are the submission's
 *   Source   proto/eventflux.proto
 */
enum { SUBMIT_KEPT_BYTES = 64 * 1024 * 1024, SUBMIT_CALL_BYTES = 4 * 1024 * 1024 };

struct part { /* a message that has not been acknowledged */
    struct part *next;
    uint64_t first, n_rows;
    size_t n;
    uint8_t bytes[]; /* [n] */
};

struct submit_opts {
    struct remote_opts remote;
    const char *file, *level, *session, *format;
    int64_t batch;
};

struct input { /* submit_in.c */
    struct efx_arena arena;
    struct efx_schema schema;
    const struct efx_schema *streams[1];
    struct efx_builder *b;
    struct efx_lane lane;
    bool ended;
    uint64_t n_bad; /* rows that could not be read */
    char name[256];
};

/* -1: go on. Asks the cluster for the stream's columns first. */
int submit_in_open(struct input *in, struct remote *r, const char *stream,
                   const struct submit_opts *o);
void submit_in_close(struct input *in);
enum submit_in { SUBMIT_IN_PART = 1, SUBMIT_IN_IDLE, SUBMIT_IN_ENDED, SUBMIT_IN_FAILED };
/* The next rows as a message; *out is the caller's then. */
enum submit_in submit_in_next(struct input *in, uint64_t first, struct part **out);
/* For the progress bar; 0 = not known. */
uint64_t submit_in_size(const struct input *in);
uint64_t submit_in_done(const struct input *in);
int submit_in_fd(const struct input *in);

#endif /* SUBMIT_H */
