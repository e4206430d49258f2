/* Who is believed: authorities, names, ends of validity, members, and certificates that change
 * while links stand. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MS 1000000ull

/* Listens with `server`, connects with `client`; both have mem and options of their own. */
struct tls_case {
    struct rig rig;
    struct efx_tcp_options server, client;
    struct authority ca, rogue;
    struct peer there, here;
};

static void issue(struct tls_case *c, const struct authority *by, const char *who, const char *sans,
                  long for_s)
{
    char cert[32], key[32];
    (void)snprintf(cert, sizeof cert, "%s.pem", who);
    (void)snprintf(key, sizeof key, "%s.key", who);
    certs_issue(by, who, sans, for_s, rig_path(&c->rig, cert), rig_path(&c->rig, key));
}

/* ca.pem and rogue.pem; server.pem is ca's; client.pem and other.pem are the case's own affair.
 * Paths live as long as the case: they are kept here. */
static char paths[8][128];
enum { CA, ROGUE, SERVER, SERVER_KEY, CLIENT, CLIENT_KEY, OTHER, OTHER_KEY };

static void begin(struct tls_case *c)
{
    static const char *const names[] = {"ca.pem",     "rogue.pem",  "server.pem", "server.key",
                                        "client.pem", "client.key", "other.pem",  "other.key"};
    *c = (struct tls_case){.rig = {.kind = RIG_TCP}};
    rig_loop(&c->rig);
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s", rig_path(&c->rig, names[i]));
    }
    c->ca = certs_authority("ca", paths[CA]);
    c->rogue = certs_authority("rogue", paths[ROGUE]);
    issue(c, &c->ca, "server", "DNS:localhost,IP:127.0.0.1", 3600);
    c->server = (struct efx_tcp_options){
        .mem = &efx_mem_libc, .tls_cert = paths[SERVER], .tls_key = paths[SERVER_KEY]};
    c->client = (struct efx_tcp_options){.mem = &efx_mem_libc, .tls_ca = paths[CA]};
}

static void run(struct tls_case *c)
{
    assert_int_equal(efx_tcp_create(c->rig.loop, &c->server, &c->rig.server, NULL), EFX_OK);
    assert_int_equal(efx_tcp_create(c->rig.loop, &c->client, &c->rig.client, NULL), EFX_OK);
    c->there.rig = &c->rig;
    rig_listen(&c->rig, rig_accepted, &c->there);
    rig_dial(&c->rig, &c->here);
}

static void end(struct tls_case *c)
{
    certs_authority_free(&c->ca);
    certs_authority_free(&c->rogue);
    rig_stop(&c->rig);
}

static struct efx_transport_counts counts_of(struct efx_transport *t)
{
    struct efx_transport_counts c;
    t->vt->counts(t, &c);
    return c;
}

/* The client's link goes down as not believed, and the server has nobody. */
static void is_refused(struct tls_case *c)
{
    RIG_UNTIL(&c->rig, c->here.downs == 1);
    assert_int_equal(c->here.why, EFX_ESTALE);
    RIG_UNTIL(&c->rig, counts_of(c->rig.server).untrusted == 1);
    assert_int_equal(c->there.ups, 0);
    RIG_UNTIL(&c->rig, counts_of(c->rig.server).links == 0);
}

static void is_taken(struct tls_case *c)
{
    RIG_UNTIL(&c->rig, c->here.ups == 1 && c->there.ups == 1);
    assert_int_equal(peer_send(&c->here, "x", 1), EFX_OK);
    RIG_UNTIL(&c->rig, c->there.messages == 1);
    assert_int_equal(c->here.downs, 0);
}

/* ---- servers ---- */

static void a_server_of_another_authority__is_not_believed(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    c.client.tls_ca = paths[ROGUE];
    run(&c);
    is_refused(&c);
    assert_int_equal(counts_of(c.rig.client).untrusted, 1);
    end(&c);
}

static void a_server_of_another_name__is_not_believed(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    issue(&c, &c.ca, "server", "DNS:elsewhere,IP:10.0.0.1", 3600);
    run(&c);
    is_refused(&c);
    end(&c);
    begin(&c);
    issue(&c, &c.ca, "server", "DNS:elsewhere", 3600);
    c.client.server_name = "elsewhere"; /* that is who is asked for */
    run(&c);
    is_taken(&c);
    end(&c);
}

static void a_certificate_that_ended__is_not_believed(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    issue(&c, &c.ca, "server", "IP:127.0.0.1", -60);
    run(&c);
    is_refused(&c);
    end(&c);
}

/* ---- clients ---- */

static void a_client_without_certificate__is_refused_where_one_is_needed(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    c.server.tls_ca = paths[CA];
    c.server.client_cert_needed = true;
    run(&c);
    is_refused(&c);
    end(&c);
    begin(&c);
    c.server.tls_ca = paths[CA]; /* looked at if there is one */
    run(&c);
    is_taken(&c);
    assert_false(c.there.of->vt->peer_is_member(c.there.link));
    end(&c);
}

static void a_client_of_another_authority__is_refused(void **state)
{
    (void)state;
    for (uint32_t needed = 0; needed < 2; needed++) {
        struct tls_case c;
        begin(&c);
        issue(&c, &c.rogue, "client", "DNS:client", 3600);
        c.server.tls_ca = paths[CA];
        c.server.client_cert_needed = needed == 1;
        c.client.tls_cert = paths[CLIENT];
        c.client.tls_key = paths[CLIENT_KEY];
        run(&c);
        is_refused(&c);
        end(&c);
    }
}

static void members__are_those_of_the_peers_authority(void **state)
{
    (void)state;
    for (uint32_t member = 0; member < 2; member++) {
        struct tls_case c;
        begin(&c);
        issue(&c, member == 1 ? &c.rogue : &c.ca, "client", "DNS:b.efx", 3600);
        c.server.tls_ca = paths[CA];
        c.server.peer_ca = paths[ROGUE];
        c.server.client_cert_needed = true;
        c.client.tls_cert = paths[CLIENT];
        c.client.tls_key = paths[CLIENT_KEY];
        run(&c);
        is_taken(&c);
        assert_int_equal(c.there.of->vt->peer_is_member(c.there.link), member == 1);
        assert_false(c.here.of->vt->peer_is_member(c.here.link));
        struct efx_bytes names = c.there.of->vt->peer_names(c.there.link);
        assert_int_equal(names.n, sizeof "b.efx");
        assert_memory_equal(names.p, "b.efx", sizeof "b.efx");
        end(&c);
    }
}

static void a_certificate_without_names__has_its_common_one(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    issue(&c, &c.ca, "client", NULL, 3600);
    c.server.tls_ca = paths[CA];
    c.client.tls_cert = paths[CLIENT];
    c.client.tls_key = paths[CLIENT_KEY];
    run(&c);
    is_taken(&c);
    assert_string_equal(c.there.of->vt->peer_names(c.there.link).p, "client");
    end(&c);
}

/* ---- files ---- */

static const char *name_seen(struct tls_case *c, struct peer *p)
{
    *p = (struct peer){0};
    c->there = (struct peer){.rig = &c->rig};
    rig_dial(&c->rig, p);
    RIG_UNTIL(&c->rig, p->ups == 1 && c->there.ups == 1);
    return (const char *)p->of->vt->peer_names(p->link).p;
}

static void changed_files__are_read_again(void **state)
{
    (void)state;
    struct tls_case c;
    struct peer old, fresh, after;
    begin(&c);
    c.server.look_ns = 1;
    run(&c);
    is_taken(&c);
    old = c.here;
    old.of->vt->use(old.link, &rig_user, &old);
    c.there.of->vt->close(c.there.link, false);
    RIG_UNTIL(&c.rig, old.downs == 1);
    assert_string_equal(name_seen(&c, &old), "localhost");
    struct efx_link *old_there = c.there.link;
    struct peer old_peer = {.rig = &c.rig, .link = old_there, .of = c.rig.server};
    c.rig.server->vt->use(old_there, &rig_user, &old_peer);

    issue(&c, &c.ca, "server", "DNS:renewed,IP:127.0.0.1", 3600);
    assert_string_equal(name_seen(&c, &fresh), "renewed");
    assert_int_equal(counts_of(c.rig.server).reloads, 1);
    assert_int_equal(peer_send(&old, "x", 1), EFX_OK); /* links that stand, stand */
    RIG_UNTIL(&c.rig, old_peer.messages == 1);
    peer_close(&fresh, false);
    RIG_UNTIL(&c.rig, c.there.downs == 1);

    FILE *f = fopen(paths[SERVER_KEY], "w");
    assert_non_null(f);
    (void)fputs("no key\n", f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(name_seen(&c, &after), "renewed"); /* the old ones stay */
    assert_int_equal(counts_of(c.rig.server).reloads, 1);
    assert_true(counts_of(c.rig.server).bad_reloads >= 1);
    peer_close(&after, false);
    RIG_UNTIL(&c.rig, c.there.downs == 1);

    issue(&c, &c.ca, "server", "DNS:third,IP:127.0.0.1", 3600);
    assert_string_equal(name_seen(&c, &fresh), "third");
    assert_int_equal(counts_of(c.rig.server).reloads, 2);
    end(&c);
}

static void bad_files__are_named_at_the_start(void **state)
{
    (void)state;
    struct tls_case c;
    struct efx_transport *t;
    struct efx_err err;
    begin(&c);
    struct efx_tcp_options o = c.server;
    o.tls_key = NULL;
    assert_int_equal(efx_tcp_create(c.rig.loop, &o, &t, &err), EFX_EPARSE);
    o = c.server;
    o.tls_cert = "/nowhere/cert.pem";
    assert_int_equal(efx_tcp_create(c.rig.loop, &o, &t, &err), EFX_EPARSE);
    assert_non_null(strstr(err.msg, "/nowhere/cert.pem"));
    issue(&c, &c.ca, "other", NULL, 3600);
    o = c.server;
    o.tls_key = paths[OTHER_KEY]; /* of another certificate */
    assert_int_equal(efx_tcp_create(c.rig.loop, &o, &t, &err), EFX_EPARSE);
    o = c.server;
    o.client_cert_needed = true;
    assert_int_equal(efx_tcp_create(c.rig.loop, &o, &t, &err), EFX_EPARSE);
    assert_int_equal(efx_tcp_create(c.rig.loop, &c.client, &t, &err), EFX_OK);
    assert_int_equal(t->vt->listen(t, "127.0.0.1:0", rig_accepted, NULL, &err), EFX_EPARSE);
    t->vt->destroy(&t);
    end(&c);
}

/* ---- who does not speak it ---- */

static int raw_connect(const struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_port = htons((uint16_t)strtol(strrchr(r->address, ':') + 1, NULL, 10));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void plain_text__is_not_taken(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    c.server.connect_ns = 200 * MS;
    run(&c);
    is_taken(&c);
    int silent = raw_connect(&c.rig), plain = raw_connect(&c.rig);
    assert_int_equal(send(plain, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    RIG_UNTIL(&c.rig, counts_of(c.rig.server).malformed == 1);
    RIG_UNTIL(&c.rig, counts_of(c.rig.server).timed_out == 1); /* its hello never came */
    assert_int_equal(c.there.ups, 1);
    RIG_UNTIL(&c.rig, counts_of(c.rig.server).links == 1);
    (void)close(silent);
    (void)close(plain);
    end(&c);
}

static void a_server_that_does_not_speak_it__is_left(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    c.server = (struct efx_tcp_options){.mem = &efx_mem_libc};
    run(&c);
    RIG_UNTIL(&c.rig, c.here.downs == 1 && c.there.downs == 1);
    assert_int_equal(c.here.ups, 0);
    assert_int_equal(c.there.why, EFX_ELIMIT);
    assert_int_equal(c.here.why, EFX_EIO);
    end(&c);
}

/* An end without its word of good-bye is no end in order. */
static void a_connection_cut_off__is_broken(void **state)
{
    (void)state;
    struct tls_case c;
    begin(&c);
    run(&c);
    is_taken(&c);
    peer_close(&c.here, true);
    RIG_UNTIL(&c.rig, c.there.downs == 1);
    assert_int_equal(c.there.why, EFX_DONE);
    c.there = (struct peer){.rig = &c.rig};
    c.here = (struct peer){0};
    rig_dial(&c.rig, &c.here);
    is_taken(&c);
    c.rig.client->vt->destroy(&c.rig.client);
    RIG_UNTIL(&c.rig, c.there.downs == 1);
    assert_int_equal(c.there.why, EFX_EIO);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_of_another_authority__is_not_believed),
        cmocka_unit_test(a_server_of_another_name__is_not_believed),
        cmocka_unit_test(a_certificate_that_ended__is_not_believed),
        cmocka_unit_test(a_client_without_certificate__is_refused_where_one_is_needed),
        cmocka_unit_test(a_client_of_another_authority__is_refused),
        cmocka_unit_test(members__are_those_of_the_peers_authority),
        cmocka_unit_test(a_certificate_without_names__has_its_common_one),
        cmocka_unit_test(changed_files__are_read_again),
        cmocka_unit_test(bad_files__are_named_at_the_start),
        cmocka_unit_test(plain_text__is_not_taken),
        cmocka_unit_test(a_server_that_does_not_speak_it__is_left),
        cmocka_unit_test(a_connection_cut_off__is_broken),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
