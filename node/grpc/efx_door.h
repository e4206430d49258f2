#ifndef EFX_DOOR_H
#define EFX_DOOR_H

#include "efx_grpc.h"
#include "efx_service.h"

/* The gRPC door of a node: eventflux.v1, eventflux.transport, health, reflection over a service.
 *
 *   efx_door_open ──► NOT_SERVING ──ready(true)──► SERVING ──drain──► NOT_SERVING, calls are told
 *   to move ──► is_down ──► close
 *
 *   Owner    the door is its opener's; the service must outlive it. Loads libefx_grpc.so
 *   Limits   opts: max_calls, max_message_bytes, subscribe_bytes; a named RESOURCE_EXHAUSTED each
 *   Errors   of open: USER or ENV, as efx_grpc_vt.serve says them; EFX_EABSENT: no library
 *   Threads  any; what it asks of the service it asks on its own thread. The service's loop must go
 *            on until is_down: calls that are open end there, too
 *   Source   proto/; runtime contracts, section 5; tests/grpc
 */
struct efx_door;

struct efx_door_opts {
    const char *address; /* host:port; :0 = any free port */
    struct efx_grpc_tls tls;
    const char *token;          /* grpc.auth.token; NULL = none */
    const char *node;           /* this node's name, for efx-node and HeartbeatResponse */
    uint32_t max_calls;         /* grpc.max_calls; 0: 256 */
    uint32_t max_message_bytes; /* grpc.max_message_bytes; 0: 4 MiB */
    uint64_t subscribe_bytes;   /* subscribe.max_bytes; 0: 16 MiB */
    uint64_t ack_ms;            /* an ack comes at least so often; 0: 1 s */
};

enum efx_rc efx_door_open(struct efx_door **out, struct efx_service *service,
                          const struct efx_door_opts *opts, struct efx_err *err) EFX_MUST_USE;
const char *efx_door_address(const struct efx_door *d);
/* What health says; false at first. */
void efx_door_ready(struct efx_door *d, bool ready);
/* No call any more; open ones are told, and cancelled after so long. Returns at once. */
void efx_door_drain(struct efx_door *d, uint64_t ms);
bool efx_door_is_down(const struct efx_door *d);
/* Drains at once if nobody did, waits, gives everything back. */
void efx_door_close(struct efx_door **d);
void efx_door_numbers(const struct efx_door *d, struct efx_grpc_numbers *out);

#endif /* EFX_DOOR_H */
