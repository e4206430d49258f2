#ifndef EFX_TCP_H
#define EFX_TCP_H

#include "efx_arena.h"
#include "efx_frame.h"

/* Links over sockets: frames of runtime.md §4 on a real loop, TCP or Unix, with TLS if it is asked
 * for.
 *
 *   "host:port", "[::1]:port", "host:0" to listen where the system likes, "unix:/path"
 *
 * What send takes is copied behind what waits, and leaves at the end of the loop's turn in as few
 * writes as it needs; a long payload with nothing before it goes out as it lies.
 *
 *   dead peers   a half-read frame, an unfinished hello of TLS, bytes that the peer does not take:
 *                each has its time. The kernel asks an idle peer on TCP every keep_alive
 *   too many     over links_max an accepted link is reset at once. Without a free descriptor one
 *                client is told so and accepting goes on a little later
 *   TLS          1.2 and 1.3. Listening needs cert and key; with ca or peer_ca a client's
 *                certificate is checked if it has one, or demanded. Connecting checks the server's
 *                against ca and peer_ca (without both: the system's) and its name. Files that
 *                changed are read again before a handshake, at most once a second; bad ones are
 *                counted and the old ones stay. A Unix socket has no TLS
 *
 *   Owner    the options' strings are copied. Links closed in order count as `links` until their
 *            bytes are gone: run the loop until it is 0, then destroy
 *   Limits   see options
 *   Threads  the loop's; one more, at first use, asks for names (getaddrinfo)
 *   Errors   as in efx_transport.h
 */
struct efx_tcp_options {
    struct efx_mem *mem;
    /* 0 = what is said behind it. */
    size_t frame_bytes_max;  /* EFX_FRAME_BYTES_MAX */
    size_t queue_bytes_max;  /* 8 MiB */
    uint32_t links_max;      /* 1,024 */
    uint32_t socket_bytes;   /* each way; 64 KiB */
    uint64_t connect_ns;     /* with its name and TLS; 5 s */
    uint64_t read_ns;        /* from a frame's first byte to its last; 30 s */
    uint64_t write_ns;       /* until the peer takes anything; 30 s */
    uint64_t keep_alive_ns;  /* whole seconds; 30 s */
    uint64_t look_ns;        /* at the certificates' files, at most so often; 1 s */
    const char *tls_cert;    /* PEM, its chain behind it */
    const char *tls_key;     /* PEM */
    const char *tls_ca;      /* PEM: who is believed */
    const char *peer_ca;     /* PEM: who is a member; believed as well */
    const char *server_name; /* to be found in servers' certificates; NULL = the host dialled */
    bool client_cert_needed;
};

/* The loop is a real one. */
enum efx_rc efx_tcp_create(struct efx_loop *loop, const struct efx_tcp_options *options,
                           struct efx_transport **out, struct efx_err *err);

#endif /* EFX_TCP_H */
