#ifndef LOG_RECORD_H
#define LOG_RECORD_H

#include "efx_log.h"

/* Kinds of a log's records (log_save.c); 1 and 2 are the table's. */
enum {
    LOG_RECORD_ROW = 3,
    LOG_RECORD_DEAD = 4,
    LOG_RECORD_HEAD = 5,
    LOG_RECORD_ANEW = 6,
    LOG_MOVE_BYTES = 1 + 8, /* a death, a head */
};

/* Of a row, without what its columns hold. */
static inline uint32_t log_row_fixed_bytes(const struct efx_log_conf *conf)
{
    return 1 + 8 + (conf->has_group ? 4 : 0) + (conf->has_due ? 8 : 0) + 8 + 8 +
           (conf->has_copy ? 4 : 0) + (conf->n_cols + 7) / 8;
}

#endif /* LOG_RECORD_H */
