/* The grpc sink: rows that checkpoints keep for subscribers at level COMMITTED. It writes nothing
 * itself; members of a cluster take the stream's rows into their checkpoints (node/outbox.h), so a
 * program that runs without a cluster refuses it. */
#include "efx_io.h"

struct conf {
    char none; /* it has no options */
};

static enum efx_rc open_grpc(struct efx_sink *self, const struct efx_sink_open *how,
                             struct efx_err *err)
{
    (void)self;
    (void)how;
    return EFX_FAIL(err, EFX_EDATA, EFX_KIND_USER, 9001,
                    "rows of a grpc sink are kept by efx-node alone");
}

static enum efx_rc write_grpc(struct efx_sink *self, struct efx_rows *rows, struct efx_err *err)
{
    (void)self;
    (void)rows;
    return EFX_FAIL(err, EFX_EBUG, EFX_KIND_BUG, 0, "a grpc sink was opened");
}

static enum efx_rc flush_grpc(struct efx_sink *self, struct efx_err *err)
{
    (void)self;
    (void)err;
    return EFX_OK;
}

static void close_grpc(struct efx_sink *self)
{
    (void)self;
}

const struct efx_sink_vt efx_grpc_sink_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_sink_vt),
             .name = "grpc",
             .help = "subscribers of a cluster at level COMMITTED",
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct efx_sink)},
    .takes_format = false,
    .open = open_grpc,
    .write = write_grpc,
    .flush = flush_grpc,
    .close = close_grpc,
};
