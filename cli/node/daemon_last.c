/* <data>/last: the newest checkpoint that this node knows to stand, beside the store (C14, C18).
 *
 *   epoch 7 checkpoint 41
 *
 * It is written when a verdict comes, whole or not at all (temporary file, fsync, rename), and read
 * at the start: who remembers a checkpoint founds nothing, so an empty store is never taken for a
 * new cluster. A file that cannot be read as this line stops the start.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool path_of(const struct daemon *d, const char *name, char *out, size_t max)
{
    return d->s.data[0] != '\0' && (size_t)snprintf(out, max, "%s/%s", d->s.data, name) < max;
}

int daemon_recall(struct daemon *d)
{
    char path[1100];
    unsigned long long epoch, no;
    if (!path_of(d, "last", path, sizeof path)) {
        return -1;
    }
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return errno == ENOENT
                   ? -1
                   : cli_fail(CLI_FAILED, "efx-node: cannot read %s: %s", path, strerror(errno));
    }
    bool read = fscanf(f, "epoch %llu checkpoint %llu", &epoch, &no) == 2;
    (void)fclose(f);
    if (!read) {
        return cli_fail(CLI_FAILED,
                        "efx-node: %s is damaged: it says which checkpoint this node knows to "
                        "stand; remove it only if the store is known to be the right one",
                        path);
    }
    d->remembers = no;
    return -1;
}

void daemon_remember(void *arg, uint64_t epoch, uint64_t no)
{
    const struct daemon *d = arg;
    char path[1100], temporary[1100], line[80];
    if (!path_of(d, "last", path, sizeof path) ||
        !path_of(d, ".last.tmp", temporary, sizeof temporary)) {
        return;
    }
    int n = snprintf(line, sizeof line, "epoch %llu checkpoint %llu\n", (unsigned long long)epoch,
                     (unsigned long long)no);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool ok = fd >= 0 && write(fd, line, (size_t)n) == n && fsync(fd) == 0;
    ok = fd >= 0 && close(fd) == 0 && ok;
    if (!ok || rename(temporary, path) != 0) {
        log_line(LOG_ERROR, "cannot write %s: %s", path, strerror(errno));
    }
}
