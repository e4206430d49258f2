#ifndef LIB_H
#define LIB_H

#include "efx_lib.h"

#include <pthread.h>

/* Private to engine/lib: what the public handle holds.
 *
 *   Owner    efx_open makes it, efx_close gives everything back
 *   Threads  lock: held while events go in or state is looked at
 */
struct listener {
    struct efx *owner;
    uint32_t object;
    efx_row_fn row;
    void *row_arg;
    efx_columns_fn columns;
    void *columns_arg;
    efx_app_out_fn direct;
    void *direct_arg;
    efx_val *values;   /* [n_columns] of a row */
    const void **data; /* [n_columns] */
    const uint64_t **valid;
};

struct efx {
    struct efx_arena arena;
    struct efx_options options;
    struct efx_diags diags;
    struct efx_program *program;
    struct efx_plan *plan;
    struct efx_app *app;
    const struct efx_lib_member *part; /* while it is opened; NULL: all is here */
    struct efx_budget budget;
    bool virtual_clock, started;
    uint32_t n_streams;
    struct efx_stream *streams; /* [n_objects] */
    struct listener *listeners; /* [n_objects] */
    const char *messages, *check_json;
    struct efx_lib_keeper keeper;
    pthread_mutex_t lock;
};

enum efx_code efx_lib__code(enum efx_rc rc);
uint32_t efx_lib__shards(const struct efx_options *o);
/* Place of a stream; EFX_NO_COL = there is none. */
uint32_t efx_lib__stream(const struct efx *app, const char *name);

#endif /* LIB_H */
