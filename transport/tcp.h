#ifndef TCP_H
#define TCP_H

#include "efx_loop_real.h"
#include "tls.h"

#include <event2/event_struct.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Inside of the socket transport.
 *
 *   tcp.c           the transport: listening, accepting, the contract's table
 *   tcp_link.c      a link's life: states, deadlines, the end
 *   tcp_in.c        bytes → messages
 *   tcp_out.c       messages → bytes
 *   tcp_connect.c   addresses, names, connecting
 *
 *            connect                        accept
 *               ▼                              ▼
 *   NAMING ─► CONNECTING ─► HELLO (TLS only) ─► UP ─► down, gone
 *                                               └ close(in_order) ─► DRAINING ─► LINGERING ─► gone
 *
 * LINGERING: all is sent and the peer knows that it was all; what it still sends is thrown away
 * until it closes, since closing a socket with unread bytes would take back what it has not read.
 */
enum {
    TCP_CHUNK_BYTES = 64 * 1024 - 64, /* a chunk with its head fills a whole number of pages */
    TCP_CHUNKS_KEPT = 64,
    TCP_READ_BYTES = 256 * 1024,
    TCP_ADDRESS_BYTES = 288,
    TCP_NAMES_BYTES = 1024,
    TCP_ADDRESSES_MAX = 8, /* of one name, tried one after the other */
};

enum tcp_state {
    TCP_NAMING = 1,
    TCP_CONNECTING,
    TCP_HELLO,
    TCP_UP,
    TCP_DRAINING,
    TCP_LINGERING,
    TCP_GONE, /* only until the calls over it have returned */
};

struct tcp_chunk { /* bytes that wait to be sent: from … n */
    struct tcp_chunk *next;
    size_t from, n, max;
    uint8_t bytes[];
};

struct tcp_at { /* one socket address */
    socklen_t n;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } a;
};

struct tcp_link {
    struct efx_link base;
    struct tcp_link *next, **place; /* in its transport */
    const struct efx_link_user *user;
    void *arg;
    enum tcp_state state;
    int fd;
    struct event reads, writes;
    bool watched;          /* the events are made */
    bool reading, writing; /* they are added */
    bool closed;           /* its user hears no more */
    bool accepted, held, wants_room, room_due, tls_read_wants_write;
    bool read_more;          /* its turn reads: not all may show in the descriptor */
    bool refused;            /* so far every address of its name said that nobody is there */
    uint32_t in_call;        /* callbacks and loops over it that run now */
    struct efx_task turn;    /* posted: send, give room, end */
    struct efx_task watch;   /* timer: the next deadline to look at */
    enum efx_rc ends;        /* EFX_OK, or why it goes down in its turn */
    uint64_t by_ns;          /* naming, connecting, hello, lingering end by then */
    uint64_t frame_since_ns; /* its half frame began; 0 = has none */
    uint64_t taken_ns;       /* the peer last took bytes, or had none to take */
    /* in: a frame that has not wholly come */
    uint8_t *in;
    size_t in_n, in_max, in_want;
    uint8_t *aside; /* read, but the user holds the link */
    size_t aside_n;
    /* out */
    struct tcp_chunk *out, *out_last;
    size_t out_bytes;
    size_t frame_bytes_max, queue_bytes_max;
    SSL *ssl;
    struct tcp_name_request *naming;
    struct tcp_at at[TCP_ADDRESSES_MAX];
    uint32_t n_at, next_at;
    size_t names_bytes;
    bool member;
    char peer[TCP_ADDRESS_BYTES];
    uint8_t names[TCP_NAMES_BYTES];
};

struct tcp {
    struct efx_transport base;
    struct efx_tcp_options o;
    struct efx_arena arena; /* the options' strings */
    struct efx_tls *tls;
    struct tcp_link *links;
    struct efx_transport_counts counts;
    struct tcp_names *names; /* who asks for names; NULL until first needed */
    struct tcp_chunk *spare_chunks;
    uint32_t n_spare_chunks;
    uint8_t *read_bytes; /* [TCP_READ_BYTES], for whichever link reads */
    struct efx_msg_header headers[EFX_FRAME_HEADERS_MAX];
    /* listening */
    int listen_fd, spare_fd;
    struct event accepts;
    struct efx_task accept_later;
    void (*accepted)(void *arg, struct efx_link *link);
    void *accepted_arg;
    char address[TCP_ADDRESS_BYTES];
};

static inline struct tcp *efx_tcp__of(const struct tcp_link *l)
{
    return (struct tcp *)l->base.of;
}

/* ---- tcp_link.c ---- */

struct tcp_link *efx_tcp__link_new(struct tcp *t);
/* Takes fd, sets its options, makes the events. */
enum efx_rc efx_tcp__link_socket(struct tcp_link *l, int fd);
void efx_tcp__link_reading(struct tcp_link *l, bool on);
void efx_tcp__link_writing(struct tcp_link *l, bool on);
/* It has a connection: TLS, or up at once. */
void efx_tcp__link_connected(struct tcp_link *l);
/* Its user hears it now, if there is one; the link is gone afterwards. */
void efx_tcp__link_down(struct tcp_link *l, enum efx_rc why);
void efx_tcp__link_close(struct tcp_link *l, bool in_order);
/* To call at the end of whatever counted in_call up. */
void efx_tcp__link_leave(struct tcp_link *l);
/* Sets the timer for the next deadline, if it does not come earlier anyway. */
void efx_tcp__link_watch(struct tcp_link *l);
/* Ends in its turn: for calls in which no callback may come. */
void efx_tcp__link_ends(struct tcp_link *l, enum efx_rc why);
void efx_tcp__link_hold(struct tcp_link *l, bool held);
/* Gives up the socket, to try another one. */
void efx_tcp__link_no_socket(struct tcp_link *l, bool reset);

/* ---- tcp_in.c ---- */

/* Reads and delivers some. EFX_AGAIN: nothing is left now; EFX_OK: more may be; else the link's end
 * has come. */
enum efx_rc efx_tcp__in(struct tcp_link *l);
void efx_tcp__in_drop(struct tcp_link *l);

/* ---- tcp_out.c ---- */

enum efx_rc efx_tcp__out_put(struct tcp_link *l, const struct efx_msg *msg, size_t n_bytes);
/* Sends what waits, as far as the socket takes it. EFX_OK: all; EFX_AGAIN: writes are awaited. */
enum efx_rc efx_tcp__out_flush(struct tcp_link *l);
void efx_tcp__out_drop(struct tcp_link *l);
void efx_tcp__chunks_free(struct tcp *t);

/* ---- tcp_connect.c ---- */

/* Host and port, or a path. */
enum efx_rc efx_tcp__parse(const char *address, char *host, size_t host_bytes, const char **port,
                           struct efx_err *err);
enum efx_rc efx_tcp__listen_at(const char *address, struct tcp_at *out, struct efx_err *err);
void efx_tcp__show(const struct tcp_at *at, char *out, size_t n);
enum efx_rc efx_tcp__connect(struct tcp_link *l, const char *address, struct efx_err *err);
/* The socket says whether it is connected. */
void efx_tcp__connect_answer(struct tcp_link *l);
void efx_tcp__naming_forget(struct tcp_link *l);
void efx_tcp__names_destroy(struct tcp *t);

#endif /* TCP_H */
