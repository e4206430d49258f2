#ifndef EFX_LIB_H
#define EFX_LIB_H

#include "efx/efx.h"
#include "efx_app.h"

/* What the command line sees of the library beyond its public face: the bound program (streams'
 * options) and the running app (builders that formats fill straight).
 *
 *   Owner  the app; both are borrowed. The program from efx_open on, the app from efx_start to
 *   efx_close
 */
struct efx_app *efx_lib_app(struct efx *app);
const struct efx_program *efx_lib_program(const struct efx *app);
const struct efx_plan *efx_lib_plan(const struct efx *app);
const struct efx_registry *efx_lib_registry(void);
const char *efx_lib_sql(const struct efx *app); /* the program's text */
bool efx_lib_is_virtual(const struct efx *app);
/* Rows of a stream as the engine has them; before efx_start. */
void efx_lib_on(struct efx *app, uint32_t object, efx_app_out_fn fn, void *arg);
/* Rows of a stream to those who listen to it here, as if its steps had run here. */
void efx_lib_give(struct efx *app, uint32_t object, const struct efx_rows *rows);

/* An app that runs on several members: this one's part of it. All members open the same text with
 * the same options; outputs of an ordered one come on member 0 alone. */
struct efx_lib_member {
    const struct efx_app_member *member; /* outlives the app */
    uint32_t n_shards;                   /* of all members */
    uint32_t n_workers;
    const struct efx_app_front *front; /* its steps run elsewhere; NULL: here */
    int64_t (*now_ms)(void *arg);      /* the tick's; NULL: the system's */
    void *now_arg;
};
enum efx_code efx_lib_open_member(struct efx **out, const char *sql,
                                  const struct efx_options *options,
                                  const struct efx_lib_member *part, struct efx_error *err);
/* What hangs on an app and leaves before it: its checkpoints. */
struct efx_lib_keeper {
    void *arg;
    void (*close)(void *arg);
};
struct efx_lib_keeper *efx_lib_keeper(struct efx *app);
bool efx_lib_started(const struct efx *app);
/* Held while events go in or state is looked at. */
void efx_lib_lock(struct efx *app);
void efx_lib_unlock(struct efx *app);
enum efx_code efx_lib_code(enum efx_rc rc);

/* What an on-demand statement gives: its columns, before the first row and where there is none, and
 * its rows, one by one or as batches. Each may be NULL. A statement that changes gives none of
 * them. */
struct efx_lib_answer {
    void (*columns)(void *arg, const struct efx_stream *columns);
    efx_row_fn row;
    /* At most EFX_BATCH_ROWS_MAX, borrowed. */
    void (*rows)(void *arg, const struct efx_rows *rows);
    void *arg;
};
/* What a statement would do, without doing it; errors as of efx_lib_query's binding. */
struct efx_lib_look {
    bool changes;
    /* Of a started app that is one member's part: the first of the statement's tables is here (so
     * exactly one member says so), and all of them are. */
    bool first_here, all_here;
};
enum efx_code efx_lib_look(struct efx *app, const char *sql, struct efx_lib_look *out,
                           struct efx_error *err);
/* As efx_query, between two steps. */
enum efx_code efx_lib_query(struct efx *app, const char *sql, const struct efx_lib_answer *to,
                            uint64_t *changed, struct efx_error *err);

/* demand.c: an on-demand statement over the app's tables. */
enum efx_code efx_lib__query(struct efx *app, const char *sql, const struct efx_lib_answer *to,
                             uint64_t *changed, struct efx_error *err);
/* The parts of an app that demand.c needs. */
struct efx_lib__parts {
    struct efx_app *app;
    const struct efx_plan *plan;
    const struct efx_program *program;
};
struct efx_lib__parts efx_lib__parts(struct efx *app);
struct efx_arena *efx_lib__arena(struct efx *app);
const struct efx_diags *efx_lib__diags(const struct efx *app);

#endif /* EFX_LIB_H */
