#ifndef SETTINGS_H
#define SETTINGS_H

#include "efx_arena.h"
#include "efx_err.h"

#include <stdio.h>

/* Everything that can be set about a node, one row a key: files, --set and options end here, help
 * and the page of the documents come from it.
 *
 *   defaults ◄ --config FILE … ◄ --set KEY=VALUE … ◄ options       the later one wins
 *
 *   Owner    texts lie in the arena that was given
 *   Errors   EFX_EPARSE, kind USER: unknown key (with the nearest), bad value, a key that is known
 *            and not built
 *   Source   runtime.md §7 and §10; tests/cli/node_test.py
 */
struct node_settings {
    /* what runs */
    const char *app_name, *clock;
    int64_t shards, max_batch, seed, state_bytes;
    /* who */
    const char *id, *data, *cluster, *seeds;
    int64_t failure_ms, form_ms, min_nodes, barrier_ms;
    /* where state goes */
    const char *store_type, *store_path, *store_url;
    int64_t interval_ms, retain;
    const char *redis_prefix;
    int64_t redis_connections, redis_connect_ms, redis_ttl, redis_replicas;
    /* doors */
    const char *listen_tcp, *listen_grpc, *listen_http;
    const char *advertise_tcp, *advertise_grpc, *advertise_http;
    const char *tls_cert, *tls_key, *tls_ca, *peer_ca, *token;
    int64_t grpc_calls, grpc_message_bytes, tcp_connections, tcp_frame_bytes, compress_bytes;
    int64_t http_connections, http_body_bytes;
    /* clients */
    int64_t session_max, session_idle_ms, session_hold_ms, subscribe_bytes;
    /* logs */
    const char *log_level, *log_format;
};

/* Every key gets its default. */
void settings_init(struct node_settings *s);
/* `from` says where it stands, for messages. */
enum efx_rc settings_set(struct node_settings *s, struct efx_arena *arena, const char *key,
                         const char *value, const char *from, struct efx_err *err);
/* ${VAR} and ${VAR:default} put in; NULL: *err says which is not set. */
const char *settings_expand(struct efx_arena *arena, const char *text, const char *from,
                            struct efx_err *err);
/* A TOML or YAML file, by its ending. */
enum efx_rc settings_file(struct node_settings *s, struct efx_arena *arena, const char *path,
                          struct efx_err *err);
/* All keys, their kinds, defaults and help. */
void settings_list(FILE *out);

/* ---- conf_toml.cc, conf_yaml.c: what files hold, flattened ---- */

/* One value: "cluster.seeds", its text (of a list: joined by commas), its line. False: stop. */
typedef bool (*conf_value_fn)(void *arg, const char *key, const char *value, unsigned line);
/* False: stopped, or *why says what is wrong with the file and where. */
bool conf_toml(const char *text, size_t n, conf_value_fn fn, void *arg, char *why,
               size_t why_bytes);
bool conf_yaml(const char *text, size_t n, conf_value_fn fn, void *arg, char *why,
               size_t why_bytes);

#endif /* SETTINGS_H */
