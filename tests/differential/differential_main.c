#include "library_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* differential [--seed N] [--programs N] [--events N] [--seconds N] [--features MASK] [--unsaved]
 *              [--print] [--all] [--stored]
 *
 * Random programs through the reference and the library; exit status 1 at the first difference. */
static uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtoull(argv[i + 1], NULL, 0);
        }
    }
    return otherwise;
}

static bool flag(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    const struct efx_differential d = {
        .engine = flag(argc, argv, "--stored") ? &efx_stored_run : &efx_library_run,
        .seed = number(argc, argv, "--seed", 1),
        .n_programs = (uint32_t)number(argc, argv, "--programs", 300),
        .n_events = (uint32_t)number(argc, argv, "--events", 80),
        .features_mask = (unsigned)number(argc, argv, "--features", EFX_FEATURE_ALL),
        .seconds_max = (uint32_t)number(argc, argv, "--seconds", 0),
        .members = (uint32_t)number(argc, argv, "--members", 0),
        .unsaved = flag(argc, argv, "--unsaved"),
        .all_settings = flag(argc, argv, "--all")};
    if (flag(argc, argv, "--print")) {
        char *text = efx_random_program(d.seed, d.features_mask);
        puts(text);
        free(text);
        return 0;
    }
    struct efx_differential_result r = efx_differential(&d);
    printf("%u programs, %u skipped, %u runs, %u rows, %u differences\n", r.n_programs, r.n_skipped,
           r.n_runs, r.n_rows, r.n_differences);
    printf("components: %u row by row, %u split, %u placed in batches; %u merges\n",
           efx_library_plans.n_row_mode, efx_library_plans.n_split, efx_library_plans.n_placed,
           efx_library_plans.n_merges);
    return r.n_differences > 0 || r.n_skipped == r.n_programs;
}
