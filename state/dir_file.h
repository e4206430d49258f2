#ifndef DIR_FILE_H
#define DIR_FILE_H

#include "efx_store.h"

/* Files of a folder that are wholly there or not at all, and small ones that notice damage.
 *
 *   write:   .name.tmp ── fsync ── rename to name ── (later) fsync of the folder
 *   sealed:  "efxseal1" u64 a, b, n; hash of the n bytes; u64 XXH3 of all that │ n bytes
 *
 *   Owner    a folder is opened and closed by whoever holds it
 *   Errors   EFX_ELIMIT: full, with the name; EFX_EABSENT with no sentence; EFX_EIO: kind USER if
 *            rights are missing, else ENV
 *   Threads  one at a time a folder
 */
struct efx_folder {
    int fd;
    const char *path; /* for messages */
};

enum efx_rc efx_dir__fail(const struct efx_folder *dir, const char *name, const char *did,
                          struct efx_err *err);
/* Makes it and what leads to it; what was made is durable. `name` NULL: path alone. */
enum efx_rc efx_dir__open(struct efx_folder *dir, struct efx_err *err);
/* Removes what writes that did not end left behind. */
enum efx_rc efx_dir__sweep(const struct efx_folder *dir, struct efx_err *err);
enum efx_rc efx_dir__sync(const struct efx_folder *dir, struct efx_err *err);

/* Several files on their way together: begun, all synced, each settled or given up. begin: an open
 * temporary file with these bytes. sync_all: many by one sync of their file system, whose journal
 * then writes one commit, not one each (measured here: five times as fast). */
enum { EFX_DIR_TOGETHER = 64 };
enum efx_rc efx_dir__begin(const struct efx_folder *dir, const char *name,
                           const struct efx_bytes *parts, uint32_t n_parts, int *fd,
                           struct efx_err *err);
enum efx_rc efx_dir__sync_all(const struct efx_folder *dir, const int *fd, uint32_t n,
                              struct efx_err *err);
enum efx_rc efx_dir__settle(const struct efx_folder *dir, const char *name, int fd,
                            struct efx_err *err);
void efx_dir__give_up(const struct efx_folder *dir, const char *name, int fd);

/* Appends the file from byte `from` on; what it lacks to `from` is damage. */
enum efx_rc efx_dir__read(const struct efx_folder *dir, const char *name, size_t from,
                          struct efx_writer *out, struct efx_err *err);
enum efx_rc efx_dir__remove(const struct efx_folder *dir, const char *name, struct efx_err *err);

enum { EFX_SEAL_BYTES = 56 };
struct efx_seal {
    uint64_t a, b, n;
    struct efx_hash hash;
};
/* Written and durable. */
enum efx_rc efx_dir__write_sealed(const struct efx_folder *dir, const char *name,
                                  const struct efx_seal *seal, struct efx_bytes bytes,
                                  struct efx_err *err);
/* EFX_EPARSE with no sentence: the head is damaged. */
enum efx_rc efx_dir__read_seal(const struct efx_folder *dir, const char *name, struct efx_seal *out,
                               struct efx_err *err);

#endif /* DIR_FILE_H */
