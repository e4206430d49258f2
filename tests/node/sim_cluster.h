#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "efx_node.h"
#include "efx_sim.h"
#include "efx_stores.h"

/* A whole cluster in one process under a seed: the members' own code, a simulated network and a
 * store in memory that all share. Clients submit rows with sessions and keep by the rules of
 * eventflux.proto: they resend what was not committed, on whichever node.
 *
 *   each client c sends rows k = key, v = 1 … n     app: count and sum by key, COMMITTED
 *   at the end     for each key: the greatest count equals the rows sent, none lost, none doubled
 */
enum { SIM_NODES_MAX = 5, SIM_CLIENTS_MAX = 4, SIM_KEYS = 16 };

struct sim_cluster;

struct sim_client {
    struct efx_submit_front front;
    struct sim_cluster *of;
    uint32_t number;
    uint32_t at; /* node */
    char session[16];
    struct efx_submit *call;
    bool open, busy; /* opened; a call is begun and not ended */
    uint64_t sent;   /* rows given to the call so far */
    uint64_t target; /* rows it has in all */
    uint64_t accepted, committed, opening;
    uint64_t retry_ns;
};

struct sim_member {
    struct sim_cluster *of;
    struct efx_node *node;
    struct efx_transport *transport;
    struct efx_stores *stores;
    bool up;
    uint32_t lives; /* how often it was started */
    char id[16], address[32];
    struct efx_err end;
    bool ended;
};

struct sim_cluster {
    struct efx_sim *sim;
    struct efx_local *place;
    uint32_t n, n_clients;
    const char *sql;
    uint32_t min_nodes;
    struct sim_member members[SIM_NODES_MAX];
    struct sim_client clients[SIM_CLIENTS_MAX];
    /* Greatest count and sum that was seen by key; of rows that were taken back nothing. */
    int64_t counts[SIM_KEYS], sums[SIM_KEYS];
    bool verbose;
};

void sim_open(struct sim_cluster *c, uint64_t seed, uint32_t n, const char *sql);
void sim_close(struct sim_cluster *c);
void sim_start(struct sim_cluster *c, uint32_t member, bool found);
void sim_kill(struct sim_cluster *c, uint32_t member);
void sim_run_ms(struct sim_cluster *c, uint64_t ms);
bool sim_ready(struct sim_cluster *c, uint32_t member);
/* Until so many members are ready and in one record; false: not within so long. */
bool sim_settle(struct sim_cluster *c, uint32_t n, uint64_t ms);
struct efx_status *sim_status(struct sim_cluster *c, uint32_t member);
/* Clients go on to `target` rows each; true: all are committed within so long. */
void sim_client_open(struct sim_cluster *c, uint32_t client, uint32_t node, uint64_t target);
bool sim_commit_all(struct sim_cluster *c, uint64_t ms);

#endif /* SIM_CLUSTER_H */
