#ifndef EFX_ERR_H
#define EFX_ERR_H

#include <stdbool.h>
#include <stdint.h>

/* The two answers of a call that can stop: a result for the machine, a detail for people.
 *
 * The result says only what the caller's code does next. The detail says who must act and where; it
 * is filled by whoever first knows, passed up untouched, and logged once, where it is handled. Bad
 * rows are not results: kernels mark them and go on (efx_batch.h).
 *
 *   Owner   the caller's stack; nothing in it is freed
 *   Limits  EFX_ERR_MSG_BYTES; a longer sentence is cut
 *   Threads none: one detail belongs to one call chain
 */
#define EFX_MUST_USE     __attribute__((warn_unused_result))
#define EFX_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum { EFX_ERR_MSG_BYTES = 240 };

/* Zero is success, positive values are flow (never logged, never counted as failures). */
enum efx_rc {
    EFX_OK = 0,
    EFX_AGAIN = 1,    /* no input, no room, no credit now; or: more to come, call again */
    EFX_DONE = 2,     /* ended cleanly */
    EFX_ENOMEM = -1,  /* the allocator or a byte budget said no */
    EFX_ELIMIT = -2,  /* a declared upper bound was reached */
    EFX_EPARSE = -3,  /* malformed SQL, configuration, wire or stored bytes */
    EFX_ETYPE = -4,   /* types do not fit */
    EFX_EDATA = -5,   /* one event is bad, the stream is fine */
    EFX_EIO = -6,     /* disk or network */
    EFX_EABSENT = -7, /* what was named is not there */
    EFX_ESTALE = -8,  /* somebody holds a newer epoch: stop, write nothing more */
    EFX_EBUG = -9,    /* a belief of ours was false */
};

/* Who has to act. Drives retry, dead letter and the exit status. */
enum efx_kind {
    EFX_KIND_USER = 1, /* fix the SQL or the configuration: refuse to start */
    EFX_KIND_DATA,     /* one event: dead letter, count, go on */
    EFX_KIND_ENV,      /* disk, network, peer: retry with capped back-off */
    EFX_KIND_BUG,      /* us: stop that app, keep the evidence */
};

/* Caller-owned detail; a parameter of this type is the last one and may be NULL. */
struct efx_err {
    enum efx_rc rc;
    enum efx_kind kind;
    uint16_t code;    /* nnnn of EFX-nnnn (docs/language.md, appendix C); 0 = has none */
    const char *file; /* C place that raised it, static */
    int line;
    char msg[EFX_ERR_MSG_BYTES]; /* one sentence, no newline */
};

/* Copies `like` and the sentence to *err unless err is NULL; returns like->rc. */
enum efx_rc efx_err_set(struct efx_err *err, const struct efx_err *like, const char *fmt, ...)
    EFX_PRINTF(3, 4);

#define EFX_FAIL(err, rc_, kind_, code_, ...)                                                      \
    efx_err_set(                                                                                   \
        (err),                                                                                     \
        &(const struct efx_err){                                                                   \
            .rc = (rc_), .kind = (kind_), .code = (code_), .file = __FILE__, .line = __LINE__},    \
        __VA_ARGS__)

/* Nothing acquired yet: leave at once. */
#define EFX_RET(expr)                                                                              \
    do {                                                                                           \
        enum efx_rc rc_ = (expr);                                                                  \
        if (rc_ != EFX_OK) {                                                                       \
            return rc_;                                                                            \
        }                                                                                          \
    } while (0)

/* Something acquired: set the function's `rc` and unwind through `label`, named after what is
 * released there. */
#define EFX_GOTO(label, expr)                                                                      \
    do {                                                                                           \
        rc = (expr);                                                                               \
        if (rc != EFX_OK) {                                                                        \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

/* A belief of ours was false: prints where and ends the process with exit status 70. */
_Noreturn void efx_panic(const char *file, int line, const char *what);
#define EFX_ASSERT(cond)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            efx_panic(__FILE__, __LINE__, #cond);                                                  \
        }                                                                                          \
    } while (0)

#endif /* EFX_ERR_H */
