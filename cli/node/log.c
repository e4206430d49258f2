/* The log: one line a thing on standard error, whole lines even from several threads. */
#include "daemon.h"

#include "efx_world_real.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 2048 };

static enum log_level most = LOG_INFO;
static bool as_json;

static const char *const names[] = {"", "error", "warn", "info", "debug"};

void log_init(const char *level, const char *format)
{
    for (enum log_level l = LOG_ERROR; l <= LOG_DEBUG; l++) {
        most = strcmp(names[l], level) == 0 ? l : most;
    }
    as_json = strcmp(format, "json") == 0;
}

/* Control characters and quotes escaped as in JSON, so that a line stays one. */
static size_t put(char *out, size_t n, size_t max, const char *text)
{
    for (const char *p = text; *p != '\0' && n + 8 < max; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || (as_json && (c == '"' || c == '\\'))) {
            n += (size_t)snprintf(out + n, max - n, c < 0x20 ? "\\u%04x" : "\\%c", c);
        } else {
            out[n++] = *p;
        }
    }
    return n;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char message[LOG_BYTES / 2], line[LOG_BYTES];
    struct efx_world *w = efx_world_real();
    if (level > most) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    int64_t ms = w->clock->wall_ms(w);
    time_t s = (time_t)(ms / 1000);
    struct tm t;
    char at[40];
    (void)gmtime_r(&s, &t);
    size_t n = strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(at + n, sizeof at - n, ".%03dZ", (int)(ms % 1000));
    n = (size_t)snprintf(line, sizeof line,
                         as_json ? "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":\"" : "%s %-5s ", at,
                         names[level]);
    n = put(line, n, sizeof line - 4, message);
    n += (size_t)snprintf(line + n, sizeof line - n, as_json ? "\"}\n" : "\n");
    (void)!write(STDERR_FILENO, line, n);
}
