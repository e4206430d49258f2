/* The library's life, its clock, messages on their way in and out; and the table it exports.
 *
 * gRPC starts threads of its own. They are started with every signal blocked, so a signal always
 * comes to a thread of the program. What gRPC wants to log is dropped unless GRPC_VERBOSITY asks
 * for it: whatever matters comes back as a status.
 *
 *   Source   dependencies.md §1.3, numbers 1, 2, 3, 23, 24
 */
#include "grpc_in.h"

#include <signal.h>
#include <stdlib.h>

static void drop_log(gpr_log_func_args *args)
{
    (void)args;
}

void efx_grpc__init(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool quiet;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_mutex_lock(&lock);
    if (!quiet && getenv("GRPC_VERBOSITY") == NULL) {
        gpr_set_log_function(drop_log);
        quiet = true;
    }
    grpc_init();
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Its threads end by themselves; who looks for leaks must see them gone. */
void efx_grpc__fini(void)
{
    grpc_shutdown();
    for (int i = 0; i < 2000 && grpc_is_initialized() != 0; i++) {
        gpr_sleep_until(efx_grpc__in_ms(1));
    }
}

uint64_t efx_grpc__now_ns(void)
{
    gpr_timespec t = gpr_now(GPR_CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

gpr_timespec efx_grpc__in_ms(uint64_t ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis((int64_t)ms, GPR_TIMESPAN));
}

/* ---- out ---- */

struct efx_grpc_buf *efx_grpc__buf(size_t max)
{
    struct buf *b = efx_mem_libc.alloc(&efx_mem_libc, sizeof *b);
    if (b != NULL) {
        b->slice = grpc_slice_malloc(max);
        b->pub = (struct efx_grpc_buf){.p = GRPC_SLICE_START_PTR(b->slice), .max = max};
    }
    return b == NULL ? NULL : &b->pub;
}

static void free_buf(struct buf *b)
{
    grpc_slice_unref(b->slice);
    efx_mem_libc.free(&efx_mem_libc, b, sizeof *b);
}

void efx_grpc__buf_drop(struct efx_grpc_buf *b)
{
    if (b != NULL) {
        free_buf((struct buf *)b);
    }
}

grpc_byte_buffer *efx_grpc__buf_bytes(struct efx_grpc_buf *pub)
{
    struct buf *b = (struct buf *)pub;
    EFX_ASSERT(pub->n <= pub->max);
    GRPC_SLICE_SET_LENGTH(b->slice, pub->n);
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&b->slice, 1);
    free_buf(b);
    return bytes;
}

void efx_grpc__queue_put(struct queue *q, struct efx_grpc_buf *b)
{
    b->next = NULL;
    if (q->tail != NULL) {
        q->tail->next = b;
    } else {
        q->head = b;
    }
    q->tail = b;
    q->n_bytes += b->n;
}

struct efx_grpc_buf *efx_grpc__queue_take(struct queue *q)
{
    struct efx_grpc_buf *b = q->head;
    if (b != NULL) {
        q->head = b->next;
        q->tail = q->head == NULL ? NULL : q->tail;
        q->n_bytes -= b->n;
    }
    return b;
}

void efx_grpc__queue_clear(struct queue *q)
{
    for (struct efx_grpc_buf *b; (b = efx_grpc__queue_take(q)) != NULL;) {
        efx_grpc__buf_drop(b);
    }
}

/* ---- in ---- */

static bool add_piece(struct pieces *p, const grpc_slice *s)
{
    if (p->n == p->max) {
        uint32_t max = p->max == 0 ? 16 : p->max * 2;
        struct efx_bytes *more =
            efx_mem_grow(&efx_mem_libc, p->v, p->max * sizeof *more, max * sizeof *more);
        if (more == NULL) {
            return false;
        }
        p->v = more;
        p->max = max;
    }
    p->v[p->n++] = (struct efx_bytes){GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
    return true;
}

bool efx_grpc__pieces_open(struct pieces *p)
{
    grpc_byte_buffer_reader r;
    grpc_slice *s;
    bool ok = grpc_byte_buffer_reader_init(&r, p->message) != 0;
    p->n = 0;
    while (ok && grpc_byte_buffer_reader_peek(&r, &s) != 0) {
        ok = add_piece(p, s);
    }
    grpc_byte_buffer_reader_destroy(&r);
    return ok;
}

void efx_grpc__pieces_close(struct pieces *p)
{
    if (p->message != NULL) {
        grpc_byte_buffer_destroy(p->message);
        p->message = NULL;
    }
    p->n = 0;
}

void efx_grpc__pieces_fini(struct pieces *p)
{
    efx_grpc__pieces_close(p);
    if (p->v != NULL) {
        efx_mem_libc.free(&efx_mem_libc, p->v, p->max * sizeof *p->v);
        p->v = NULL;
        p->max = 0;
    }
}

/* ---- the table ---- */

static const struct efx_grpc_vt table = {
    .abi = EFX_GRPC_ABI,
    .now_ns = efx_grpc__now_ns,
    .buf = efx_grpc__buf,
    .buf_drop = efx_grpc__buf_drop,
    .serve = efx_grpc__serve,
    .address = efx_grpc__address,
    .post = efx_grpc__post,
    .drain = efx_grpc__drain,
    .is_down = efx_grpc__is_down,
    .close = efx_grpc__close,
    .numbers = efx_grpc__numbers,
    .next = efx_grpc__call_next,
    .send = efx_grpc__call_send,
    .finish = efx_grpc__call_finish,
    .hold = efx_grpc__call_hold,
    .release = efx_grpc__call_release,
    .dial = efx_grpc__dial,
    .call = efx_grpc__ccall,
    .call_next = efx_grpc__ccall_next,
    .call_send = efx_grpc__ccall_send,
    .call_half_close = efx_grpc__ccall_half_close,
    .call_cancel = efx_grpc__ccall_cancel,
    .call_queued = efx_grpc__ccall_queued,
    .poll = efx_grpc__poll,
    .hang_up = efx_grpc__hang_up,
    .unpack = efx_grpc__unpack,
    .pack = efx_grpc__pack,
};

__attribute__((visibility("default"))) const struct efx_grpc_vt *efx_grpc_entry(uint32_t abi)
{
    return abi == EFX_GRPC_ABI ? &table : NULL;
}
