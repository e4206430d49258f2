#ifndef EFX_GRPC_H
#define EFX_GRPC_H

#include "efx_arena.h"
#include "efx_codec.h"

#include <stdatomic.h>

/* gRPC as this house uses it: calls by path, messages as bytes, one thread.
 *
 *   efx, efx-node ── dlopen, at the first use ──► libefx_grpc.so: this table over libgrpc's C core
 *
 *   server    peer ──► begin ──► message … message ──► half_closed        finish ──► closed
 *                      next, when the handler has done with a message, asks for the following one:
 *                      until then the peer's window closes
 *   client    call ──► send … half_close          message … ──► ended
 *
 * Nothing here knows a service. libgrpc and what it drags along is mapped by nobody who does not
 * speak gRPC: its headers are seen in this folder alone, and only efx_grpc_load opens the library.
 *
 *   Owner    a message's pieces are the call's until `next`; a buffer is its maker's until it is
 *            sent, then nobody's. A call lives until `closed` was said and every `hold` is released
 *   Limits   max_calls calls at a time: RESOURCE_EXHAUSTED; max_message_bytes: likewise, before the
 *            message is taken. A send queue has no bound of its own: who sends looks at
 *            queued_bytes
 *   Errors   of a call: its gRPC status. Of serve: USER what the configuration says, ENV the rest
 *   Threads  everything about a server's calls on the server's own thread, about a client's in
 *            efx_grpc_vt.poll; post, buf and drain from any
 *   Order    a call's messages come and go in order
 *   Source   gRPC core 1.51; tests/grpc
 */
enum { EFX_GRPC_ABI = 1, EFX_GRPC_META_MAX = 4, EFX_GRPC_TEXT_BYTES = 512 };

enum efx_grpc_code { /* the numbers of gRPC */
                     EFX_GRPC_OK = 0,
                     EFX_GRPC_CANCELLED = 1,
                     EFX_GRPC_UNKNOWN = 2,
                     EFX_GRPC_INVALID_ARGUMENT = 3,
                     EFX_GRPC_DEADLINE_EXCEEDED = 4,
                     EFX_GRPC_NOT_FOUND = 5,
                     EFX_GRPC_RESOURCE_EXHAUSTED = 8,
                     EFX_GRPC_FAILED_PRECONDITION = 9,
                     EFX_GRPC_ABORTED = 10,
                     EFX_GRPC_OUT_OF_RANGE = 11,
                     EFX_GRPC_UNIMPLEMENTED = 12,
                     EFX_GRPC_INTERNAL = 13,
                     EFX_GRPC_UNAVAILABLE = 14,
                     EFX_GRPC_UNAUTHENTICATED = 16,
};
const char *efx_grpc_code_name(enum efx_grpc_code code);

struct efx_grpc_meta {
    const char *key, *value;
};

struct efx_grpc_status {
    enum efx_grpc_code code;
    const char *text; /* NULL = none */
    uint32_t n_meta;  /* trailing metadata */
    struct efx_grpc_meta meta[EFX_GRPC_META_MAX];
};

struct efx_grpc_buf { /* a message on its way out */
    uint8_t *p;       /* [max] */
    size_t n, max;    /* bytes of it that are the message */
    struct efx_grpc_buf *next;
};

struct efx_grpc_task { /* the user's memory; queued at most once */
    void (*fn)(void *arg);
    void *arg;
    struct efx_grpc_task *next;
    bool posted;
};

/* ---- server ---- */

struct efx_grpc_server;
struct efx_grpc_call;

struct efx_grpc_method {
    const char *path;   /* "/package.Service/Method" */
    bool uncounted;     /* does not count against max_calls */
    size_t state_bytes; /* zeroed room of each call */
    void *arg;
    void (*begin)(struct efx_grpc_call *c); /* NULL = nothing to do */
    void (*message)(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n);
    void (*half_closed)(struct efx_grpc_call *c); /* NULL: finish says INVALID_ARGUMENT */
    void (*room)(struct efx_grpc_call *c);        /* all that was sent is gone; NULL */
    /* The call is over: finished and told, or the peer is gone. */
    void (*closed)(struct efx_grpc_call *c, bool cancelled);
};

struct efx_grpc_call {
    const struct efx_grpc_vt *vt;
    struct efx_grpc_server *server;
    const struct efx_grpc_method *method;
    void *state;
    uint64_t deadline_ns; /* by vt->now_ns; UINT64_MAX = none */
    size_t queued_bytes;  /* sent, not gone yet */
    bool over;            /* finish was called, or it is closed: nothing is sent any more */
};

struct efx_grpc_tls {
    const char *cert, *key; /* PEM files, read again when they change; NULL: no TLS */
    const char *ca;         /* server: whoever calls must have a certificate of it; NULL = nobody
                               must. Client: who the server's is from; NULL = the system's */
    const char *name;       /* client: the server's name, where it is not the target's; NULL */
};

struct efx_grpc_serve {
    const char *address; /* host:port, :0 = any free port, unix:/path */
    struct efx_grpc_tls tls;
    const char *token; /* every call needs `authorization: Bearer <token>`; NULL = none does */
    uint32_t max_calls, max_message_bytes;
    uint32_t n_methods;
    const struct efx_grpc_method *methods; /* stay as long as the server */
    const char *const *open_paths;         /* NULL-ended: need no token; NULL */
    void (*tick)(void *arg);               /* about ten times a second; NULL */
    void (*down)(void *arg);               /* from the server's thread, its last word; NULL */
    void *arg;
};

struct efx_grpc_numbers { /* of a server, at a glance */
    uint32_t n_calls;
    uint64_t n_calls_refused, n_auth_refused, n_relistens;
    uint32_t n_files, files_max; /* descriptors of the process */
};

/* ---- client ---- */

struct efx_grpc_client;
struct efx_grpc_ccall;

struct efx_grpc_dial {
    const char *target; /* host:port, unix:/path */
    bool secure;        /* TLS, as tls says */
    struct efx_grpc_tls tls;
    const char *token; /* NULL = none */
    uint32_t max_message_bytes;
};

struct efx_grpc_client_user {
    void (*message)(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                    uint32_t n);
    void (*room)(void *arg, struct efx_grpc_ccall *c); /* NULL */
    /* The call is gone after it. Texts are borrowed; of the metadata those that begin with efx-. */
    void (*ended)(void *arg, const struct efx_grpc_status *status);
};

/* ---- payload compression of eventflux.transport ---- */

enum efx_grpc_packing { /* numbers of CompressionType */
                        EFX_GRPC_PACKING_NONE = 0,
                        EFX_GRPC_PACKING_LZ4 = 1,
                        EFX_GRPC_PACKING_SNAPPY = 2,
                        EFX_GRPC_PACKING_ZSTD = 3,
};

/* ---- the table ---- */

struct efx_grpc_vt {
    uint32_t abi;
    uint64_t (*now_ns)(void); /* monotonic */

    struct efx_grpc_buf *(*buf)(size_t max); /* NULL: no memory */
    void (*buf_drop)(struct efx_grpc_buf *b);

    /* USER: address, certificate; ENV: the port is taken. */
    enum efx_rc (*serve)(const struct efx_grpc_serve *how, struct efx_grpc_server **out,
                         struct efx_err *err);
    const char *(*address)(const struct efx_grpc_server *s); /* with the port that it got */
    void (*post)(struct efx_grpc_server *s, struct efx_grpc_task *t);
    /* Takes no call any more; those that are open are cancelled after so long. */
    void (*drain)(struct efx_grpc_server *s, uint64_t ms);
    bool (*is_down)(const struct efx_grpc_server *s); /* drained, nothing is held */
    void (*close)(struct efx_grpc_server **s);        /* drains at once if nobody did; waits */
    void (*numbers)(const struct efx_grpc_server *s, struct efx_grpc_numbers *out);

    void (*next)(struct efx_grpc_call *c);
    void (*send)(struct efx_grpc_call *c, struct efx_grpc_buf *b); /* takes b in any case */
    void (*finish)(struct efx_grpc_call *c, const struct efx_grpc_status *status);
    void (*hold)(struct efx_grpc_call *c);
    void (*release)(struct efx_grpc_call *c);

    enum efx_rc (*dial)(const struct efx_grpc_dial *how, struct efx_grpc_client **out,
                        struct efx_err *err);
    /* timeout_ms 0 = no deadline. NULL: no memory. Asks for the first message by itself. */
    struct efx_grpc_ccall *(*call)(struct efx_grpc_client *cl, const char *path,
                                   uint64_t timeout_ms, const struct efx_grpc_client_user *user,
                                   void *arg);
    void (*call_next)(struct efx_grpc_ccall *c);
    void (*call_send)(struct efx_grpc_ccall *c, struct efx_grpc_buf *b);
    void (*call_half_close)(struct efx_grpc_ccall *c);
    void (*call_cancel)(struct efx_grpc_ccall *c);
    size_t (*call_queued)(const struct efx_grpc_ccall *c);
    /* Runs what is at hand, else waits for so long at most; false = nothing came. */
    bool (*poll)(struct efx_grpc_client *cl, uint64_t ms);
    void (*hang_up)(struct efx_grpc_client **cl); /* cancels what is open; `ended` comes */

    /* *out from efx_mem_libc, *n_out bytes; EFX_ELIMIT: more than max. EFX_EPARSE: is none. */
    enum efx_rc (*unpack)(enum efx_grpc_packing how, struct efx_bytes in, size_t max, uint8_t **out,
                          size_t *n_out);
    enum efx_rc (*pack)(enum efx_grpc_packing how, struct efx_bytes in, uint8_t **out,
                        size_t *n_out);
};

/* What libefx_grpc.so exports. */
typedef const struct efx_grpc_vt *efx_grpc_entry_fn(uint32_t abi);

/* Opens the library beside the program (or in its installed place) once; EFX_EABSENT: not there,
 * or of another build. Any thread. */
enum efx_rc efx_grpc_load(const struct efx_grpc_vt **out, struct efx_err *err) EFX_MUST_USE;

#endif /* EFX_GRPC_H */
