/* A server for clients that are not ours: sends back every message as it came.
 *   frame_echo ADDRESS [CERT KEY [CA]]     with CA, clients need a certificate
 * Prints where it listens, ends when its standard input does. */
#include "efx_loop_real.h"
#include "efx_tcp.h"

#include <event2/event.h>
#include <stdio.h>
#include <unistd.h>

/* Who sends more than it reads is let go. */
static void echo(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    (void)arg;
    if (link->of->vt->send(link, msg) != EFX_OK) {
        link->of->vt->close(link, false);
    }
}

static void nothing(void *arg, struct efx_link *link)
{
    (void)arg;
    (void)link;
}

static void down(void *arg, struct efx_link *link, enum efx_rc why)
{
    (void)arg;
    (void)link;
    (void)why;
}

static const struct efx_link_user user = {nothing, echo, nothing, down};

static void accepted(void *arg, struct efx_link *link)
{
    link->of->vt->use(link, &user, arg);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    char c;
    (void)what;
    if (read(fd, &c, 1) <= 0) {
        efx_loop_real_stop(arg);
    }
}

int main(int argc, char **argv)
{
    struct efx_loop *loop;
    struct efx_transport *t = NULL;
    struct efx_err err;
    if (argc < 2 || argc == 3 || argc > 5) {
        (void)fprintf(stderr, "usage: frame_echo ADDRESS [CERT KEY [CA]]\n");
        return 2;
    }
    struct efx_tcp_options o = {
        .mem = &efx_mem_libc,
        .queue_bytes_max = (size_t)64 << 20,
        .tls_cert = argc > 3 ? argv[2] : NULL,
        .tls_key = argc > 3 ? argv[3] : NULL,
        .tls_ca = argc > 4 ? argv[4] : NULL,
        .client_cert_needed = argc > 4,
    };
    if (efx_loop_real_create(&efx_mem_libc, &loop, &err) != EFX_OK ||
        efx_tcp_create(loop, &o, &t, &err) != EFX_OK ||
        t->vt->listen(t, argv[1], accepted, NULL, &err) != EFX_OK) {
        (void)fprintf(stderr, "frame_echo: %s\n", err.msg);
        return 1;
    }
    struct event *input =
        event_new(efx_loop_real_base(loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_input, loop);
    if (input == NULL || event_add(input, NULL) != 0) {
        return 1;
    }
    (void)printf("%s\n", t->vt->address(t));
    (void)fflush(stdout);
    efx_loop_real_run(loop);
    event_free(input);
    t->vt->destroy(&t);
    efx_loop_real_destroy(&loop);
    return 0;
}
