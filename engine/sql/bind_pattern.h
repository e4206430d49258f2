#ifndef BIND_PATTERN_H
#define BIND_PATTERN_H

#include "bind.h"

/* One pattern on its way from tree to tree; bind_pattern.c knows the passes. */
struct efx_pat_elem {
    const struct efx_ast_pattern_node *node;
    const struct efx_bobject *object; /* NULL = broken */
    uint32_t input;
    bool in_and;
    struct efx_bx *filter;
};

struct efx_pat {
    struct efx_binder *b;
    struct efx_bind_scope *sc;
    struct efx_bstmt *st;
    const struct efx_ast_pattern *ast;
    struct efx_bpattern *made;
    uint32_t n_elems;
    struct efx_pat_elem *elems;
    bool has_every, has_bound;
};

/* made->root and the bound of the whole; what is not built is noted. */
void efx_bind__pattern_tree(struct efx_pat *p);

#endif /* BIND_PATTERN_H */
