#ifndef EFX_SOLO_H
#define EFX_SOLO_H

#include "efx_lib.h"
#include "efx_service.h"

/* A node without peers and without a store: an app of this process behind the service contract.
 *
 *   door's thread ── submit, subscribe, query ──► queue ──► pump, on the thread that brings steps
 *                                                 fd: readable when something waits
 *
 * What it cannot do without a store it refuses: levels above ACCEPTED, operations. Sessions live in
 * memory: rows that are sent again are known again until the process ends.
 *
 *   Owner    the app is the caller's and is closed after it; listens to every stream, so who wants
 *            rows, too, takes them over (efx_lib_on) and passes them on to efx_solo_rows
 *   Limits   ALONE_BUILDERS; session.max, session.idle
 *   Threads  pump, leave, close: the app's caller. The service: any. Rows: as the app gives them
 *   Order    efx_open, efx_solo_open, efx_start, pump … leave, pump until every call has ended,
 *            close, efx_close
 */
enum {
    ALONE_BUILDERS = 16,
    ALONE_SESSIONS_MAX = 65536,
    ALONE_SESSION_IDLE_MS = 60 * 60 * 1000,
};

struct efx_solo;

enum efx_rc efx_solo_open(struct efx_solo **out, struct efx *efx, const char *name, const char *sql,
                          struct efx_err *err) EFX_MUST_USE;
struct efx_service *efx_solo_service(struct efx_solo *a);
/* Readable when pump has something to do. */
int efx_solo_fd(const struct efx_solo *a);
/* Does all that waits, and flushes the app; false = nothing waited. */
bool efx_solo_pump(struct efx_solo *a);
/* An efx_app_out_fn: rows of a stream on their way to subscribers. */
void efx_solo_rows(void *alone, const struct efx_bobject *stream, const struct efx_rows *rows);
/* Every call ends: try another node. */
void efx_solo_leave(struct efx_solo *a);
void efx_solo_close(struct efx_solo **a);

#endif /* EFX_SOLO_H */
