/* What both programs do alike: a line on standard error, a file as text. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_fail(enum cli_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return status;
}

static char *read_all(FILE *f)
{
    size_t n = 0, max = 64 * 1024;
    char *text = malloc(max);
    while (text != NULL) {
        size_t k = fread(text + n, 1, max - n - 1, f);
        n += k;
        if (k == 0) {
            text[n] = '\0';
            return text;
        }
        if (n + 1 == max) {
            max *= 2;
            char *more = realloc(text, max);
            if (more == NULL) {
                free(text);
            }
            text = more;
        }
    }
    return NULL;
}

char *cli_read_file(const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = f == NULL ? NULL : read_all(f);
    if (text == NULL || ferror(f)) {
        (void)cli_fail(CLI_FAILED, "efx: cannot read %s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (f != NULL && f != stdin) {
        (void)fclose(f);
    }
    return text;
}
