/* Opening libefx_grpc.so: beside the program, or where it was installed. */
#define _GNU_SOURCE /* dladdr, RTLD_DEEPBIND */
#include "efx_grpc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef EFX_GRPC_FROM_BIN
#define EFX_GRPC_FROM_BIN "../lib" /* of an installation: from its programs to its libraries */
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct efx_grpc_vt *loaded;

const char *efx_grpc_code_name(enum efx_grpc_code code)
{
    static const char *const names[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    return (uint32_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}

static void *open_at(const char *folder, const char *from, char *why, size_t max)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s%s%s/libefx_grpc.so", folder, from[0] != '\0' ? "/" : "",
                     from);
    if (n < 0 || (size_t)n >= sizeof path || access(path, R_OK) != 0) {
        return NULL;
    }
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL) {
        const char *text = dlerror();
        (void)snprintf(why, max, "%.150s", text != NULL ? text : "it does not open");
    }
    return lib;
}

/* The folder of the program that runs. */
static bool program_folder(char *out, size_t max)
{
    ssize_t n = readlink("/proc/self/exe", out, max - 1);
    if (n <= 0) {
        return false;
    }
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

static enum efx_rc open_library(struct efx_err *err)
{
    char folder[3072], why[EFX_ERR_MSG_BYTES - 60] = "libefx_grpc.so is not there";
    void *lib = NULL;
    if (program_folder(folder, sizeof folder)) {
        static const char *const places[] = {"", EFX_GRPC_FROM_BIN, "../bin"};
        for (uint32_t i = 0; i < sizeof places / sizeof *places && lib == NULL; i++) {
            lib = open_at(folder, places[i], why, sizeof why);
        }
    }
    if (lib == NULL) {
        return EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0, "gRPC cannot be used: %s", why);
    }
    efx_grpc_entry_fn *entry;
    void *symbol = dlsym(lib, "efx_grpc_entry");
    memcpy(&entry, &symbol, sizeof entry);
    loaded = symbol == NULL ? NULL : entry(EFX_GRPC_ABI);
    return loaded != NULL ? EFX_OK
                          : EFX_FAIL(err, EFX_EABSENT, EFX_KIND_ENV, 0,
                                     "gRPC cannot be used: libefx_grpc.so is of another build");
}

enum efx_rc efx_grpc_load(const struct efx_grpc_vt **out, struct efx_err *err)
{
    (void)pthread_mutex_lock(&lock);
    enum efx_rc rc = loaded != NULL ? EFX_OK : open_library(err);
    *out = loaded;
    (void)pthread_mutex_unlock(&lock);
    return rc;
}
