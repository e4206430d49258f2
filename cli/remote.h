#ifndef REMOTE_H
#define REMOTE_H

#include "cli.h"

#include "efx_format.h"
#include "efx_grpc.h"

#include <eventflux.pb-c.h>

/* A cluster as the command line sees it: addresses of its nodes, any of which answers.
 *
 *   --to a --to b   the first that answers; UNAVAILABLE: the next one, with a pause that grows to
 *                   REMOTE_PAUSE_MAX_MS; given up after --retry
 *
 *   Owner    what remote_open took; texts are argv's
 *   Errors   one line on standard error and the exit status: 2 for what the user asked, 1 else
 *   Threads  the program's one
 */
enum { REMOTE_PAUSE_MS = 100, REMOTE_PAUSE_MAX_MS = 2000, REMOTE_TO_MAX = OPT_LIST_MAX };

struct remote_opts {
    struct opt_list to;
    const char *ca, *cert, *key, *name, *token;
    int64_t retry_ms;
};
#define REMOTE_OPTIONS(T, member)                                                                  \
    {.name = "to",                                                                                 \
     .kind = OPT_LIST,                                                                             \
     .off = offsetof(T, member.to),                                                                \
     .arg = "HOST:PORT",                                                                           \
     .help = "a node; several: the next one where one does not answer (127.0.0.1:7100)"},          \
        {.name = "tls-ca",                                                                         \
         .kind = OPT_TEXT,                                                                         \
         .off = offsetof(T, member.ca),                                                            \
         .arg = "FILE",                                                                            \
         .help = "TLS: whose certificates nodes must have (PEM)"},                                 \
        {.name = "tls-cert",                                                                       \
         .kind = OPT_TEXT,                                                                         \
         .off = offsetof(T, member.cert),                                                          \
         .arg = "FILE",                                                                            \
         .help = "TLS: own certificate, where nodes ask for one"},                                 \
        {.name = "tls-key",                                                                        \
         .kind = OPT_TEXT,                                                                         \
         .off = offsetof(T, member.key),                                                           \
         .arg = "FILE",                                                                            \
         .help = "TLS: its key"},                                                                  \
        {.name = "tls-name",                                                                       \
         .kind = OPT_TEXT,                                                                         \
         .off = offsetof(T, member.name),                                                          \
         .arg = "NAME",                                                                            \
         .help = "TLS: the name in the nodes' certificates, if it is not their host"},             \
        {.name = "token",                                                                          \
         .kind = OPT_TEXT,                                                                         \
         .off = offsetof(T, member.token),                                                         \
         .arg = "TOKEN",                                                                           \
         .help = "grpc.auth.token of the nodes"},                                                  \
    {                                                                                              \
        .name = "retry", .kind = OPT_DURATION, .off = offsetof(T, member.retry_ms), .arg = "D",    \
        .help = "how long no node may answer before it is given up (30 s)"                         \
    }

struct remote {
    const char *command;
    const struct remote_opts *opts;
    const struct efx_grpc_vt *vt;
    struct efx_grpc_client *client; /* of to.v[at]; NULL = none is open */
    uint32_t at;
    uint64_t pause_ms, away_ns; /* since when nobody answered; 0 = somebody did */
};

/* -1: go on, else the exit status. */
int remote_open(struct remote *r, const char *command, const struct remote_opts *opts);
void remote_close(struct remote *r);
const char *remote_address(const struct remote *r);
/* The present address did not answer: the next one, after a pause. -1: go on; else it has been
 * given up, and said so. */
int remote_next(struct remote *r, const char *why);
/* Somebody answers: pauses begin anew. */
void remote_answers(struct remote *r);
/* What a call ended with, as an exit status; says it. */
int remote_failed(struct remote *r, const struct efx_grpc_status *status);

/* A call with one answer; *out from protobuf-c's own allocator. -1: it is there, else the exit
 * status. timeout_ms 0 = none. */
int remote_unary(struct remote *r, const char *path, const ProtobufCMessage *ask,
                 const ProtobufCMessageDescriptor *type, uint64_t timeout_ms,
                 ProtobufCMessage **out);
struct efx_grpc_buf *remote_pack(const struct remote *r, const ProtobufCMessage *m);
/* A received message; NULL: it is none. */
ProtobufCMessage *remote_unpack(const ProtobufCMessageDescriptor *type,
                                const struct efx_bytes *pieces, uint32_t n);
/* protobuf-c takes char *, and only reads. */
char *remote_text(const char *text);

/* ---- rows that come (remote_rows.c) ---- */

struct remote_rows { /* printed in one of the formats of efx run */
    struct efx_arena arena;
    struct efx_schema schema; /* of the present stream; n_cols 0 = not known yet */
    struct efx_format *format;
    struct efx_out *out;
    const char *as; /* json, table, csv */
    bool bare;      /* json: the row alone, not an event line */
    uint64_t n;     /* rows printed */
};
int remote_rows_schema(struct remote_rows *r, const char *stream, size_t n,
                       Eventflux__V1__ColumnInfo *const *cols);
/* Prints a batch of columns. -1: go on. */
int remote_rows_print(struct remote_rows *r, const Eventflux__V1__Batch *batch);
void remote_rows_close(struct remote_rows *r);

#endif /* REMOTE_H */
