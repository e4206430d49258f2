#ifndef REDIS_H
#define REDIS_H

#include "redis_place.h"

/* Store and coord in Redis: a place each (redis_place.h). */
struct efx_redis_store {
    struct efx_store base;
    struct efx_redis redis;
};

struct efx_redis_coord {
    struct efx_coord base;
    struct efx_redis redis;
};

extern const struct efx_store_vt efx_store__redis;
extern const struct efx_coord_vt efx_coord__redis;

#endif /* REDIS_H */
