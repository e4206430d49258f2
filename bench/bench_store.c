/* How fast checkpoints go into a store: chunks of 256 KiB, 8 MiB a call, as the storage thread puts
 * them, until each call has said that they are there.
 *
 *   bench_store [store_redis] [store_redis_always] [store_dir] [--mib N] [--json FILE]
 *
 *   store_redis          a redis-server of its own on loopback, no append-only file
 *   store_redis_always   the same with appendfsync always: each call is on the disk
 *   store_dir            files, synced
 *
 * The chunks are noise, named before any clock starts; they are read back, and compared by their
 * hash, afterwards. Redis and the files lie in a folder that goes with the run.
 */
#include "efx_stores.h"
#include "efx_world_real.h"
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 * 1024, CHUNKS = 128, CALL_CHUNKS = 32, MIB = 1024 };

struct bench {
    char folder[64];
    pid_t server;
    int port;
    uint8_t *bytes; /* [CHUNKS][CHUNK_BYTES] */
    struct efx_chunk_name name[CHUNKS];
    struct efx_bytes chunk[CHUNKS];
    long mib;
    double put_mb_s, get_mb_s; /* of the last run */
};

static const struct {
    const char *name, *fsync; /* NULL: no server */
} workloads[] = {{"store_redis", "no"}, {"store_redis_always", "always"}, {"store_dir", NULL}};
enum { N_WORKLOADS = sizeof workloads / sizeof workloads[0] };

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, why);
    return 1;
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &n) == 0;
    (void)close(fd);
    return ok ? ntohs(a.sin_port) : 0;
}

static void exec_server(const struct bench *b, const char *fsync_mode)
{
    char port[16], log[80];
    bool aof = strcmp(fsync_mode, "always") == 0;
    (void)snprintf(port, sizeof port, "%d", b->port);
    (void)snprintf(log, sizeof log, "%s/log", b->folder);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir",
                 b->folder, "--save", "", "--appendonly", aof ? "yes" : "no", "--appendfsync",
                 fsync_mode, "--auto-aof-rewrite-percentage", "0", "--logfile", log, (char *)NULL);
    (void)fail("redis-server", strerror(errno));
    _exit(127);
}

static void stop_server(struct bench *b)
{
    if (b->server > 0) {
        (void)kill(b->server, SIGKILL);
        (void)waitpid(b->server, NULL, 0);
    }
    b->server = 0;
}

/* Opens the workload's store; a server is waited for. */
static int open_store(struct bench *b, size_t w, struct efx_stores **out)
{
    struct efx_err err = {0};
    char url[128];
    if (workloads[w].fsync == NULL) {
        (void)snprintf(url, sizeof url, "dir:%s/dir", b->folder);
        return efx_stores_open(out, url, NULL, efx_world_real(), &err) == EFX_OK
                   ? 0
                   : fail(url, err.msg);
    }
    b->port = free_port();
    b->server = fork();
    if (b->server == 0) {
        exec_server(b, workloads[w].fsync);
    }
    (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d?deadline_ms=60000", b->port);
    for (int i = 0; i < 200; i++) {
        if (efx_stores_open(out, url, NULL, efx_world_real(), &err) == EFX_OK) {
            return 0;
        }
        if (waitpid(b->server, NULL, WNOHANG) != 0) {
            b->server = 0;
            break;
        }
        struct timespec t = {0, 20000000};
        (void)nanosleep(&t, NULL);
    }
    return fail(url, err.msg);
}

static int run_on(struct bench *b, struct efx_store *store, const char *name)
{
    struct efx_err err = {0};
    long n_calls = b->mib * MIB * 1024 / ((long)CALL_CHUNKS * CHUNK_BYTES);
    double total = (double)n_calls * CALL_CHUNKS * CHUNK_BYTES / 1e6, begin = now_s();
    for (long i = 0; i < n_calls; i++) {
        uint32_t at = (uint32_t)(i % (CHUNKS / CALL_CHUNKS)) * CALL_CHUNKS;
        for (uint32_t k = at; k < at + CALL_CHUNKS; k++) {
            b->name[k].no = 1 + (uint64_t)i; /* of a checkpoint of its own */
        }
        if (store->vt->put_chunks(store, b->name + at, b->chunk + at, CALL_CHUNKS, &err) !=
            EFX_OK) {
            return fail(name, err.msg);
        }
    }
    b->put_mb_s = total / (now_s() - begin);
    uint8_t *room = malloc(CHUNK_BYTES);
    if (room == NULL) {
        return fail(name, "no memory");
    }
    begin = now_s();
    enum efx_rc rc = EFX_OK;
    for (uint32_t i = 0; i < CHUNKS && rc == EFX_OK; i++) {
        struct efx_writer w = {.p = room, .max = CHUNK_BYTES};
        rc = store->vt->get_chunk(store, &b->name[i], &w, &err);
    }
    b->get_mb_s = (double)CHUNKS * CHUNK_BYTES / 1e6 / (now_s() - begin);
    free(room);
    return rc == EFX_OK ? 0 : fail(name, err.msg);
}

static int make_chunks(struct bench *b)
{
    uint64_t x = 42;
    b->bytes = malloc((size_t)CHUNKS * CHUNK_BYTES);
    if (b->bytes == NULL) {
        return fail("chunks", "no memory");
    }
    for (size_t i = 0; i < (size_t)CHUNKS * CHUNK_BYTES; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(b->bytes + i, &x, 8);
    }
    for (uint32_t i = 0; i < CHUNKS; i++) {
        b->chunk[i] = (struct efx_bytes){b->bytes + (size_t)i * CHUNK_BYTES, CHUNK_BYTES};
        b->name[i] = (struct efx_chunk_name){1, efx_state__hash(b->chunk[i])};
    }
    return 0;
}

/* One workload; a line, and its entry of the JSON. */
static int run(struct bench *b, size_t w, FILE *json, bool first)
{
    struct efx_stores *stores = NULL;
    int rc = open_store(b, w, &stores);
    rc = rc == 0 ? run_on(b, stores->store, workloads[w].name) : rc;
    efx_stores_close(&stores);
    stop_server(b);
    if (rc == 0) {
        (void)printf("%-20s %8.0f %8.0f\n", workloads[w].name, b->put_mb_s, b->get_mb_s);
        if (json != NULL) {
            (void)fprintf(json, "%s\"%s\": {\"put_mb_s\": %.0f, \"get_mb_s\": %.0f}",
                          first ? "" : ", ", workloads[w].name, b->put_mb_s, b->get_mb_s);
        }
    }
    return rc;
}

static int run_all(struct bench *b, const bool *wanted, const char *json_name)
{
    FILE *json = json_name == NULL ? NULL : fopen(json_name, "w");
    int rc = json_name != NULL && json == NULL ? fail(json_name, strerror(errno)) : 0;
    bool first = true;
    (void)printf("%-20s %8s %8s   MB/s, chunks of 256 KiB\n", "", "put", "get");
    if (json != NULL) {
        (void)fputs("{", json);
    }
    for (size_t w = 0; w < N_WORKLOADS; w++) {
        if (wanted[w]) {
            rc |= run(b, w, json, first);
            first = false;
        }
    }
    if (json != NULL) {
        (void)fputs("}\n", json);
        (void)fclose(json);
    }
    return rc;
}

/* True: the word is one of ours. */
static bool choose(const char *word, bool *wanted)
{
    for (size_t w = 0; w < N_WORKLOADS; w++) {
        if (strcmp(word, workloads[w].name) == 0) {
            wanted[w] = true;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct bench b = {.folder = "/tmp/efx-bench-XXXXXX", .mib = 256};
    bool wanted[N_WORKLOADS] = {false}, any = false;
    const char *json = NULL;
    char command[128];
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
            json = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--mib") == 0) {
            b.mib = strtol(argv[++i], NULL, 10);
        } else if (choose(argv[i], wanted)) {
            any = true;
        } else {
            (void)fprintf(stderr, "usage: bench_store [store_redis] [store_redis_always] "
                                  "[store_dir] [--mib N] [--json FILE]\n");
            return 2;
        }
    }
    for (size_t w = 0; w < N_WORKLOADS && !any; w++) {
        wanted[w] = true;
    }
    if (b.mib < 32 || b.mib > 65536 || mkdtemp(b.folder) == NULL) {
        return fail("--mib", "from 32 to 65536");
    }
    int rc = make_chunks(&b);
    rc = rc == 0 ? run_all(&b, wanted, json) : rc;
    free(b.bytes);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", b.folder);
    return system(command) == 0 ? rc : 1;
}
