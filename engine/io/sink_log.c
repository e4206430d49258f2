/* The log sink: a line an event on standard error.  [LOG] Out 1700000000000 a=1 b="x" */
#include "efx_io.h"
#include "efx_out.h"

#include <unistd.h>

struct conf {
    const char *prefix, *level;
};

static const struct efx_conf_key options[] = {
    {.name = "log.prefix",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, prefix),
     .otherwise = "[LOG]",
     .help = "text before each line"},
    {.name = "log.level",
     .kind = EFX_CONF_TEXT,
     .off = offsetof(struct conf, level),
     .otherwise = "info",
     .values = "trace|debug|info|warn|error",
     .help = "trace and debug are not shown"},
    {0},
};

struct log_sink {
    struct efx_sink base;
    const char *prefix;
    bool silent;
    const struct efx_format *format;
    uint16_t stream;
    struct efx_out line, out;
};

static enum efx_rc open_log(struct efx_sink *self, const struct efx_sink_open *how,
                            struct efx_err *err)
{
    struct log_sink *s = (struct log_sink *)self;
    const struct conf *conf = how->conf;
    (void)err;
    s->prefix = conf->prefix;
    s->silent = conf->level[0] == 't' || conf->level[0] == 'd';
    s->format = how->format;
    s->stream = how->stream;
    efx_out_init(&s->line, -1);
    efx_out_init(&s->out, STDERR_FILENO);
    return EFX_OK;
}

/* A row by itself, so that each line gets its prefix. */
static enum efx_rc write_row(struct log_sink *s, const struct efx_batch *b, uint32_t row,
                             struct efx_err *err)
{
    struct efx_rows one = {b, row, row + 1};
    uint64_t n = 0;
    s->line.w.n = 0;
    EFX_RET(efx_out_rows(&s->line, s->format, s->stream, &one, &n, err));
    if (n == 0) {
        return EFX_OK;
    }
    EFX_RET(efx_out_bytes(&s->out, s->prefix, strlen(s->prefix), err));
    EFX_RET(efx_out_bytes(&s->out, " ", s->prefix[0] != '\0', err));
    return efx_out_bytes(&s->out, s->line.w.p, s->line.w.n, err);
}

static enum efx_rc flush(struct efx_sink *self, struct efx_err *err)
{
    enum efx_rc rc = efx_out_flush(&((struct log_sink *)self)->out, err);
    return rc == EFX_DONE ? EFX_OK : rc; /* a log that nobody reads stops nothing */
}

static enum efx_rc write_log(struct efx_sink *self, struct efx_rows *rows, struct efx_err *err)
{
    struct log_sink *s = (struct log_sink *)self;
    enum efx_rc rc = EFX_OK;
    for (; rows->from < rows->until && rc == EFX_OK; rows->from++) {
        rc = s->silent ? EFX_OK : write_row(s, rows->b, rows->from, err);
    }
    return rc == EFX_OK || rc == EFX_DONE ? flush(self, err) : rc;
}

static void close_log(struct efx_sink *self)
{
    struct log_sink *s = (struct log_sink *)self;
    efx_out_fini(&s->line);
    efx_out_fini(&s->out);
}

const struct efx_sink_vt efx_log_sink_vt = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_sink_vt),
             .name = "log",
             .help = "the program's log (standard error)",
             .conf = options,
             .conf_bytes = sizeof(struct conf),
             .self_bytes = sizeof(struct log_sink)},
    .takes_format = true,
    .open = open_log,
    .write = write_log,
    .flush = flush,
    .close = close_log,
};
