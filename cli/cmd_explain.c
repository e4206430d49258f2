/* efx explain: the plan as text, JSON or a graph for dot; with --analyze after running an input. */
#include "run.h"

#include <stdio.h>

struct explain_opts {
    bool json, dot, analyze;
    struct opt_list inputs;
    struct cli_settings settings;
};

static const struct opt options[] = {
    {.name = "json",
     .kind = OPT_FLAG,
     .off = offsetof(struct explain_opts, json),
     .help = "as JSON"},
    {.name = "dot",
     .kind = OPT_FLAG,
     .off = offsetof(struct explain_opts, dot),
     .help = "as a graph for Graphviz"},
    {.name = "analyze",
     .kind = OPT_FLAG,
     .off = offsetof(struct explain_opts, analyze),
     .help = "runs the inputs first: rows, time and bytes per operator"},
    {.name = "input",
     .kind = OPT_LIST,
     .off = offsetof(struct explain_opts, inputs),
     .arg = "[STREAM=]F|-",
     .help = "for --analyze"},
    CLI_SETTINGS(struct explain_opts, settings),
    {0},
};

static void print_label(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)putchar('\\');
        }
        (void)putchar(*text);
    }
}

static void print_edges(const struct efx_pnode *n, const struct efx_pedge *e, uint32_t count,
                        const char *style)
{
    for (uint32_t i = 0; i < count; i++) {
        if (e[i].node != EFX_NO_COL) {
            printf("  n%u -> n%u%s;\n", n->id, e[i].node, style);
        }
    }
}

static void print_dot(const struct efx_plan *plan)
{
    printf("digraph plan {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", shape=box];\n");
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const struct efx_pnode *n = plan->nodes[i];
        printf("  n%u [label=\"", n->id);
        print_label(n->name != NULL ? n->name : "");
        printf("\"%s%s];\n", n->kind == EFX_P_STREAM ? ", shape=ellipse" : "",
               n->split ? ", peripheries=2" : "");
    }
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const struct efx_pnode *n = plan->nodes[i];
        if (n->kind == EFX_P_STREAM) {
            print_edges(n, n->consumers, n->n_consumers, "");
            continue;
        }
        print_edges(n, n->rows, n->n_outlets, "");
        print_edges(n, n->errors, n->n_outlets, " [style=dotted]");
    }
    printf("}\n");
}

static int run_inputs(struct run *r, const struct opt_list *inputs)
{
    int status = run_in_open(&r->in, r->efx, inputs);
    if (status < 0) {
        status = run_loop(r);
        if (status == CLI_OK) {
            status = -1;
        }
    }
    run_in_close(&r->in);
    return status;
}

static int analyze(struct efx *app, const struct explain_opts *o)
{
    struct run r = {.efx = app};
    struct run_out_opts out = {.format = "json", .discard = true};
    struct efx_error err = {0};
    int status = run_out_open(&r.out, app, &out);
    enum efx_code code = status < 0 ? efx_start(app, &err) : EFX_RC_OK;
    if (code != EFX_RC_OK) {
        status = cli_refused("explain", code, &err);
    }
    if (status < 0) {
        status = run_inputs(&r, &o->inputs);
    }
    if (status < 0) {
        printf("%s\n", efx_explain(app, o->json, true));
    }
    run_out_close(&r.out);
    return status < 0 ? CLI_OK : status;
}

static int run(int argc, char **argv)
{
    struct explain_opts o = {0};
    struct opt_list rest = {0};
    struct efx_options options_of = EFX_OPTIONS_INIT;
    struct efx *app = NULL;
    int status = opts_parse(&cmd_explain, argc, argv, &o, &rest);
    status = status < 0 ? cli_options("explain", &o.settings, &options_of) : status;
    if (status >= 0) {
        return status;
    }
    if (rest.n != 1 || (o.analyze && o.inputs.n == 0) || (o.dot && (o.json || o.analyze))) {
        return cli_fail(CLI_USER, rest.n != 1 ? "efx explain: give one APP.sql"
                                  : o.dot     ? "efx explain: --dot stands alone"
                                              : "efx explain: --analyze needs --input");
    }
    status = cli_open("explain", rest.v[0], &options_of, false, &app);
    if (status >= 0) {
        return status;
    }
    status = CLI_OK;
    if (o.analyze) {
        status = analyze(app, &o);
    } else if (o.dot) {
        print_dot(efx_lib_plan(app));
    } else {
        printf("%s\n", efx_explain(app, o.json, false));
    }
    efx_close(&app);
    return status;
}

const struct command cmd_explain = {
    .name = "explain",
    .args = "APP.sql",
    .help = "the plan: operators, keys, placing and why",
    .opts = options,
    .run = run,
};
