#include "efx_reference.h"
#include "ndjson.h"

#include <stdio.h>
#include <stdlib.h>

/* The reference behind the command line of `efx`, as far as the language cases need it:
 *
 *   reference_run run APP.sql [--drain Nms] …     event lines on stdin, rows on stdout
 *   reference_run check [--json] APP.sql
 *
 * Other options are taken, with their value, and mean nothing here. */
struct app {
    char *text;
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_program *program;
};

static char *read_all(FILE *f, size_t *n)
{
    char *text = NULL;
    size_t cap = 0;
    *n = 0;
    for (;;) {
        if (*n + 1 >= cap) {
            cap = cap == 0 ? 65536 : cap * 2;
            text = realloc(text, cap);
        }
        size_t got = fread(text + *n, 1, cap - *n - 1, f);
        *n += got;
        if (got == 0) {
            text[*n] = 0;
            return text;
        }
    }
}

static bool compile(struct app *app, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t n;
    app->text = read_all(f, &n);
    fclose(f);
    efx_arena_init(&app->arena, &efx_mem_libc, SIZE_MAX);
    efx_diags_init(&app->diags, &app->arena, (struct efx_str){app->text, (uint32_t)n}, path);
    struct efx_ast *ast;
    enum efx_rc rc = efx_parse_program(&app->arena, &app->diags, &ast);
    if (rc == EFX_OK) {
        rc = efx_bind_program(&app->arena, &efx_reference_registry, ast, &app->diags, NULL,
                              &app->program);
    }
    return rc == EFX_OK && app->diags.n_errors == 0;
}

static int check(struct app *app, const char *path)
{
    if (compile(app, path)) {
        printf("{\"streams\":{}}\n");
        return 0;
    }
    printf("{\"errors\":%s}\n", efx_diag_json(&app->diags, app->diags.errors));
    return 2;
}

static void feed(struct app *app, struct efx_reference *r, char *text)
{
    uint32_t line = 0;
    for (char *at = text; at != NULL && *at != 0;) {
        char *end = strchr(at, '\n');
        size_t n = end != NULL ? (size_t)(end - at) : strlen(at);
        struct ndjson_line e;
        const char *why;
        line++;
        if (n > 0 &&
            !ndjson_read(&app->arena, app->program, (struct efx_str){at, (uint32_t)n}, &e, &why)) {
            fprintf(stderr, "line %u: %s\n", line, why);
        } else if (n > 0 && e.advance) {
            efx_reference_advance(r, e.advance_ms);
        } else if (n > 0) {
            efx_reference_send(r, e.object->id, e.ts_ms, e.values);
        }
        at = end != NULL ? end + 1 : NULL;
    }
}

static int run(struct app *app, const char *path, int64_t drain_ms)
{
    if (!compile(app, path)) {
        for (const struct efx_diag *d = app->diags.errors; d != NULL; d = d->next) {
            fputs(efx_diag_text(&app->diags, d), stderr);
        }
        return 2;
    }
    const char *why;
    struct efx_reference *r = efx_reference_create(app->program, &why);
    if (r == NULL) {
        fprintf(stderr, "error EFX-9001: the reference does not know %s\n", why);
        return 2;
    }
    size_t n_text;
    char *text = read_all(stdin, &n_text);
    feed(app, r, text);
    efx_reference_finish(r, drain_ms);
    uint32_t n;
    const struct efx_reference_row *rows = efx_reference_rows(r, &n);
    for (uint32_t i = 0; i < n; i++) {
        puts(ndjson_row(&app->arena, app->program->objects[rows[i].stream], rows[i].ts_ms,
                        rows[i].expired, rows[i].values));
    }
    fprintf(stderr, "%llu data errors, %llu duplicates\n",
            (unsigned long long)efx_reference_errors(r),
            (unsigned long long)efx_reference_duplicates(r));
    efx_reference_destroy(r);
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    int64_t drain_ms = 0;
    bool checks = argc > 1 && strcmp(argv[1], "check") == 0;
    bool verb = checks || (argc > 1 && strcmp(argv[1], "run") == 0);
    for (int i = verb ? 2 : 1; i < argc; i++) {
        if (strcmp(argv[i], "--drain") == 0 && i + 1 < argc) {
            drain_ms = strtoll(argv[++i], NULL, 10);
        } else if (strncmp(argv[i], "--", 2) == 0) {
            i += strcmp(argv[i], "--json") != 0;
        } else {
            path = argv[i];
        }
    }
    if (path == NULL) {
        fprintf(stderr, "usage: reference_run [run|check] APP.sql [--drain MS] < events\n");
        return 2;
    }
    struct app app = {0};
    int status = checks ? check(&app, path) : run(&app, path, drain_ms);
    efx_arena_fini(&app.arena);
    free(app.text);
    return status;
}
