#ifndef SESSIONS_H
#define SESSIONS_H

#include "efx_buf.h"
#include "efx_service.h"

/* Client sessions (C16): which row of each comes next, and which call may bring it. All members
 * keep the same table, because all see the same ticks in the same order.
 *
 *   OPEN a (call 7)          next 1, call 7
 *   ROWS call 7, 1 .. 500    next 501
 *   OPEN a (call 9)          next 501, call 9      the older call has lost it
 *   ROWS call 7, 501 …       not its own: dropped
 *   ROWS call 9, 401 .. 600  100 repeats, next 601
 *
 *   Owner    the table's; names are copied
 *   Limits   of sessions: EFX_ELIMIT of open; idle ones leave at marks, so that all tables agree
 *   Errors   get: EFX_EPARSE
 *   Threads  the loop's
 */
struct node_session {
    char name[EFX_SESSION_BYTES_MAX + 1];
    uint64_t next_seq; /* >= 1 */
    uint64_t call;     /* 0: none */
    uint64_t opening;
    int64_t used_ms; /* wall clock of the tick that used it last */
};

struct node_sessions {
    struct efx_mem *mem;
    uint32_t n, max, limit;
    struct node_session *v; /* [n] */
    uint32_t *slots;        /* [n_slots] place + 1 */
    uint32_t n_slots;
};

void node_sessions_init(struct node_sessions *s, struct efx_mem *mem, uint32_t limit);
void node_sessions_fini(struct node_sessions *s);
struct node_session *node_sessions_find(struct node_sessions *s, struct efx_bytes name);

struct node_session_open {
    struct efx_bytes name;
    uint64_t call, opening;
    int64_t wall_ms;
};
/* EFX_ESTALE: a newer opening has it. *known: it was there. */
enum efx_rc node_sessions_open(struct node_sessions *s, const struct node_session_open *how,
                               struct node_session **out, bool *known) EFX_MUST_USE;
/* Turns of these rows that are new: the last n - *skip. EFX_ESTALE: the call has not the session.
 * EFX_EDATA: a gap, nothing is taken. */
enum efx_rc node_sessions_rows(struct node_sessions *s, struct efx_bytes name, uint64_t call,
                               uint64_t first_seq, uint32_t n, int64_t wall_ms,
                               uint32_t *skip) EFX_MUST_USE;
/* One number, by whoever has it; the session is made if there is none. EFX_DONE: was taken before.
 * EFX_EDATA: a gap. EFX_ELIMIT. *next_seq: which comes now. */
enum efx_rc node_sessions_ask(struct node_sessions *s, struct efx_bytes name, uint64_t seq,
                              int64_t wall_ms, uint64_t *next_seq) EFX_MUST_USE;
void node_sessions_close(struct node_sessions *s, struct efx_bytes name, uint64_t call);
/* At a mark. */
void node_sessions_forget_idle(struct node_sessions *s, int64_t before_ms);

/* The manifest's section: in order of names, so that members' bytes are the same. */
void node_sessions_put(const struct node_sessions *s, struct efx_buf *to);
/* Into an empty table. `calls` false: after a rewind no call has any. */
enum efx_rc node_sessions_get(struct node_sessions *s, struct efx_bytes bytes,
                              bool calls) EFX_MUST_USE;

#endif /* SESSIONS_H */
