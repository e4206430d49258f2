#ifndef EFX_TRANSPORT_H
#define EFX_TRANSPORT_H

#include "efx_loop.h"

/* Messages between nodes, and from clients of the frame protocol: links that carry whole messages.
 *
 *   tcp, unix   frames of runtime.md §4 on libevent; TLS by OpenSSL
 *   simulated   the same contract under a seed: delays, drops of whole links, partitions; order
 *               holds within a link, not between links
 *
 *   connect ──► up ──► message … message ──► down(why)      send ──► EFX_AGAIN … room ──► send
 *
 *   Owner    a link is the transport's; after `down` it is gone, and `down` comes once for each
 *            link that connect or accepted gave, but for one that the user closed itself, which
 *            may be done in any callback but `down`. A message's bytes are borrowed for the call,
 *            in both directions. destroy breaks all links without a word to their users
 *   Limits   frame_bytes_max: a longer announced frame closes the link before anything is
 *            allocated; queue_bytes_max waiting to be sent: then send says EFX_AGAIN, nothing was
 *            taken, and `room` comes when half of it is gone; links_max: more are refused
 *   Errors   of `down`: EFX_EABSENT: refused, nobody is there. EFX_EIO: broken,
 *            or no sign for too long. EFX_ELIMIT: frame too long. EFX_EPARSE: not our protocol.
 *            EFX_ESTALE: certificate or peer not accepted. EFX_DONE: the peer closed in order; on
 *            a socket without TLS also: its process ended between two messages
 *   Threads  the loop's; no callback comes inside connect or send
 *   Order    messages of a link arrive in the order in which they were sent, none is lost before
 *            `down`. `up` is for links of connect only, an accepted one is up; before it send says
 *            EFX_AGAIN and up is the room
 *   Source   tests/transport: one contract suite over every implementation
 */
enum efx_msg_type { /* numbers of the frame, runtime.md §4 */
                    EFX_MSG_EVENT = 0,
                    EFX_MSG_QUERY = 1,
                    EFX_MSG_STATE = 2,
                    EFX_MSG_CONTROL = 3,
                    EFX_MSG_HEARTBEAT = 4,
                    EFX_MSG_CHECKPOINT = 5,
};

struct efx_msg_header {
    struct efx_bytes key, value;
};

struct efx_msg {
    struct efx_bytes id;
    struct efx_bytes payload;
    uint32_t n_headers;
    const struct efx_msg_header *headers;
    enum efx_msg_type type;
};

struct efx_link { /* first member of each implementation's */
    struct efx_transport *of;
};

struct efx_link_user { /* callbacks on the loop; arg is link_arg */
    void (*up)(void *arg, struct efx_link *link);
    void (*message)(void *arg, struct efx_link *link, const struct efx_msg *msg);
    void (*room)(void *arg, struct efx_link *link);
    void (*down)(void *arg, struct efx_link *link, enum efx_rc why);
};

struct efx_transport { /* first member of each implementation's */
    const struct efx_transport_vt *vt;
    struct efx_loop *loop;
};

struct efx_transport_counts { /* since it was made */
    uint64_t connected, accepted;
    uint64_t refused;        /* over links_max */
    uint64_t no_descriptors; /* times that accepting waited for one */
    uint64_t too_long, malformed, untrusted, timed_out, broken; /* links that ended so */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint64_t reloads, bad_reloads; /* of certificates */
    uint32_t links;                /* now */
};

struct efx_transport_vt {
    /* "host:port", "unix:/path", "sim:name". accepted gives each new link its user and arg. */
    enum efx_rc (*listen)(struct efx_transport *self, const char *address,
                          void (*accepted)(void *arg, struct efx_link *link), void *arg,
                          struct efx_err *err);
    /* Where it listens: the port that the system chose for ":0". */
    const char *(*address)(const struct efx_transport *self);
    enum efx_rc (*connect)(struct efx_transport *self, const char *address,
                           const struct efx_link_user *user, void *arg, struct efx_link **out,
                           struct efx_err *err);
    void (*use)(struct efx_link *link, const struct efx_link_user *user, void *arg);
    /* EFX_ELIMIT: longer than this end's frame_bytes_max. EFX_EIO: broken, `down` is coming.
     * EFX_EPARSE: id, a key or a value is not UTF-8. */
    enum efx_rc (*send)(struct efx_link *link, const struct efx_msg *msg);
    /* For who has said that it is a node: 0 = as it was. */
    void (*limits)(struct efx_link *link, size_t frame_bytes_max, size_t queue_bytes_max);
    /* Held: what comes stays on its way until it is let go, and the peer's sends find no room. */
    void (*hold)(struct efx_link *link, bool held);
    /* What waits is sent first if `in_order`; no callback comes any more. */
    void (*close)(struct efx_link *link, bool in_order);
    /* Address of the other end; names in its certificate, NUL-separated, empty without TLS. */
    const char *(*peer)(const struct efx_link *link);
    struct efx_bytes (*peer_names)(const struct efx_link *link);
    /* Its certificate was checked against peer_ca. */
    bool (*peer_is_member)(const struct efx_link *link);
    void (*counts)(const struct efx_transport *self, struct efx_transport_counts *out);
    void (*destroy)(struct efx_transport **self);
};

#endif /* EFX_TRANSPORT_H */
