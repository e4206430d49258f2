#ifndef SIM_H
#define SIM_H

#include "efx_sim.h"
#include "tasks.h"

/* What sim.c (time, tasks, faults) and sim_net.c (links) know of each other. */
struct efx_sim_net;

struct efx_sim_member {
    struct efx_loop loop; /* first: a loop is its member */
    struct efx_world world;
    struct efx_sim *sim;
    struct efx_tasks tasks;
    struct efx_sim_net *nets; /* its transports */
    uint64_t random;
    uint64_t boot_ns; /* its clock is so much ahead of the simulation's */
    int64_t skew_ms;
    uint32_t index;
    bool paused, dead;
};

enum { EFX_SIM_NAMES_MAX = 256, EFX_SIM_NAME_BYTES = 96 };
/* Blocks of messages are 512 << class bytes; so many bytes of them are kept for the next. */
enum { EFX_SIM_CLASSES = 12, EFX_SIM_BLOCK_BYTES = 512, EFX_SIM_KEPT_BYTES = 16 << 20 };

struct efx_sim_name { /* who listened under it last, alive or not */
    char address[EFX_SIM_NAME_BYTES];
    uint32_t member;
};

struct efx_sim {
    struct efx_sim_options o;
    uint64_t now_ns;   /* virtual; read by any thread */
    uint64_t start_ns; /* real */
    uint64_t random, net_random;
    uint32_t turn; /* real time: whose is next */
    int wake_fd;   /* real time */
    bool asleep;
    void *spare_items[EFX_SIM_CLASSES]; /* chains */
    size_t spare_bytes;
    uint32_t n_names;
    struct efx_sim_name names[EFX_SIM_NAMES_MAX];
    bool cut[EFX_SIM_MEMBERS_MAX][EFX_SIM_MEMBERS_MAX];
    struct efx_sim_member members[]; /* [o.n_members] */
};

uint64_t efx_sim__random(uint64_t *state);
/* Sets a timer in the member's loop by the simulation's clock. */
void efx_sim__at(struct efx_sim_member *m, struct efx_task *t, uint64_t at_ns);

/* ---- links, for the faults ---- */

void efx_sim__net_fini(struct efx_sim *sim);
void efx_sim__net_kill(struct efx_sim_member *m);
void efx_sim__net_cut(struct efx_sim_member *a, struct efx_sim_member *b, uint64_t break_after_ns);
void efx_sim__net_heal(struct efx_sim_member *a, struct efx_sim_member *b);
void efx_sim__net_break(struct efx_sim_member *a, struct efx_sim_member *b);

#endif /* SIM_H */
