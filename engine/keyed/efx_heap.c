/* Pieces by size class, cut from the open page from its front to its back.
 *
 *   ref = page :19 | unit of 8 bytes :13
 *   class   0 … 31   8, 16 … 256 bytes
 *          32 … 87   288, 320 … 512, 576 … 32 KB: eight to a doubling
 *   beyond that a piece is a page of its own
 *
 * What is left of a page that is full is cut into free pieces. When the last piece goes back all
 * pages do, but one: a heap that has been drained begins anew without old seams.
 */
#include "efx_heap.h"

enum {
    PAGE_BYTES = 64 * 1024,
    UNIT = 8,
    UNIT_BITS = 13,
    PAGES_MAX = 1 << 19,
    PAGES_FIRST = 8,
    RUN_AFTER = 16, /* so many pages come one by one, then in runs that fill a huge page */
    RUN_PAGES = 32,
    SMALL_MAX = 256,
    PIECE_MAX = 32 * 1024,
    CLASSES = 32 + 56,
};
static const uint32_t NO_PAGE = UINT32_MAX;
static const size_t OF_RUN = 1; /* page_bytes of a page that goes with the first one of its run */

struct efx_heap {
    struct efx_heap__pages at;
    struct efx_mem *mem;
    size_t *page_bytes; /* [n_pages_max]; 0 = no page here; lies behind at.page */
    uint32_t n_pages, n_pages_max;
    uint32_t n_holes; /* numbers below n_pages without a page */
    uint32_t open;    /* page that pieces are cut from; NO_PAGE = none */
    uint32_t cut;     /* bytes cut from it */
    uint8_t *run;     /* pages of the last run that are not in use: [n_run] */
    uint32_t n_run;
    size_t held_bytes;
    uint64_t n_pieces; /* that somebody has */
    uint32_t free[CLASSES];
};

static uint32_t class_of(uint32_t bytes)
{
    if (bytes <= SMALL_MAX) {
        return (bytes + UNIT - 1) / UNIT - 1;
    }
    uint32_t top = 31 - (uint32_t)__builtin_clz(bytes - 1); /* 2^top < bytes <= 2^(top + 1) */
    return 32 + (top - 8) * 8 + ((bytes - 1) >> (top - 3)) - 8;
}

static uint32_t class_bytes(uint32_t c)
{
    if (c < 32) {
        return (c + 1) * UNIT;
    }
    uint32_t top = (c - 32) / 8 + 8;
    return (1u << top) + (((c - 32) % 8 + 1) << (top - 3));
}

/* The largest class that fits into so many bytes; bytes >= UNIT. */
static uint32_t class_within(uint32_t bytes)
{
    uint32_t c = class_of(bytes < PIECE_MAX ? bytes : PIECE_MAX);
    return class_bytes(c) > bytes ? c - 1 : c;
}

enum efx_rc efx_heap_create(struct efx_mem *mem, struct efx_heap **out)
{
    struct efx_heap *h = mem->alloc(mem, sizeof *h);
    if (h == NULL) {
        return EFX_ENOMEM;
    }
    *h = (struct efx_heap){.mem = mem, .open = NO_PAGE, .held_bytes = sizeof *h};
    *out = h;
    return EFX_OK;
}

static void page_free(struct efx_heap *h, uint32_t p)
{
    if (h->page_bytes[p] != OF_RUN) {
        h->mem->free(h->mem, h->at.page[p], h->page_bytes[p]);
        h->held_bytes -= h->page_bytes[p];
    }
    h->page_bytes[p] = 0;
    h->at.page[p] = NULL;
    h->n_holes++;
}

static size_t directory_bytes(uint32_t n)
{
    return n * (sizeof(uint8_t *) + sizeof(size_t));
}

void efx_heap_destroy(struct efx_heap **h)
{
    struct efx_heap *self = *h;
    *h = NULL;
    if (self == NULL) {
        return;
    }
    for (uint32_t p = 0; p < self->n_pages; p++) {
        if (self->page_bytes[p] != 0) {
            page_free(self, p);
        }
    }
    if (self->at.page != NULL) {
        self->mem->free(self->mem, self->at.page, directory_bytes(self->n_pages_max));
    }
    self->mem->free(self->mem, self, sizeof *self);
}

static enum efx_rc directory_grow(struct efx_heap *h)
{
    uint32_t max = h->n_pages_max == 0 ? PAGES_FIRST : h->n_pages_max * 2;
    if (h->n_pages_max >= PAGES_MAX) {
        return EFX_ENOMEM;
    }
    uint8_t **page = h->mem->alloc(h->mem, directory_bytes(max));
    if (page == NULL) {
        return EFX_ENOMEM;
    }
    size_t *bytes = (size_t *)(void *)(page + max);
    for (uint32_t p = 0; p < h->n_pages; p++) {
        page[p] = h->at.page[p];
        bytes[p] = h->page_bytes[p];
    }
    if (h->at.page != NULL) {
        h->mem->free(h->mem, h->at.page, directory_bytes(h->n_pages_max));
    }
    h->held_bytes += directory_bytes(max) - directory_bytes(h->n_pages_max);
    h->at.page = page;
    h->page_bytes = bytes;
    h->n_pages_max = max;
    return EFX_OK;
}

/* *bytes: in, of the page; out, what its directory place says. Pages that are cut go together
 * (begin_anew, destroy), so runs do. */
static uint8_t *page_take(struct efx_heap *h, size_t *bytes)
{
    bool small = *bytes == PAGE_BYTES;
    if (small && h->n_run > 0) {
        uint8_t *page = h->run;
        h->run += PAGE_BYTES;
        h->n_run--;
        *bytes = OF_RUN;
        return page;
    }
    uint8_t *run = NULL;
    if (small && h->n_pages - h->n_holes >= RUN_AFTER) {
        run = h->mem->alloc(h->mem, (size_t)RUN_PAGES * PAGE_BYTES);
    }
    if (run == NULL) { /* too near the budget's end for a run, too */
        run = h->mem->alloc(h->mem, *bytes);
    } else {
        *bytes = (size_t)RUN_PAGES * PAGE_BYTES;
        h->run = run + PAGE_BYTES;
        h->n_run = RUN_PAGES - 1;
    }
    h->held_bytes += run == NULL ? 0 : *bytes;
    return run;
}

static enum efx_rc page_new(struct efx_heap *h, size_t bytes, uint32_t *out)
{
    uint32_t p = h->n_pages;
    if (h->n_holes > 0) {
        for (p = 0; h->page_bytes[p] != 0; p++) {
        }
    } else if (p == h->n_pages_max) {
        EFX_RET(directory_grow(h));
    }
    uint8_t *page = page_take(h, &bytes);
    if (page == NULL) {
        return EFX_ENOMEM;
    }
    if (p < h->n_pages) {
        h->n_holes--;
    } else {
        h->n_pages++;
    }
    h->at.page[p] = page;
    h->page_bytes[p] = bytes;
    *out = p;
    return EFX_OK;
}

static void piece_free(struct efx_heap *h, uint32_t ref, uint32_t c)
{
    memcpy(efx_heap_at(h, ref), &h->free[c], sizeof h->free[c]);
    h->free[c] = ref;
}

/* Cuts what is left of the open page into free pieces. */
static void page_close(struct efx_heap *h)
{
    while (h->open != NO_PAGE && PAGE_BYTES - h->cut >= UNIT) {
        uint32_t c = class_within(PAGE_BYTES - h->cut);
        piece_free(h, h->open << UNIT_BITS | h->cut / UNIT, c);
        h->cut += class_bytes(c);
    }
    h->open = NO_PAGE;
}

static size_t own_page_bytes(uint32_t bytes)
{
    return ((size_t)bytes + 63) & ~(size_t)63;
}

enum efx_rc efx_heap_get(struct efx_heap *h, uint32_t bytes, uint32_t *ref)
{
    EFX_ASSERT(bytes > 0);
    uint32_t p;
    if (bytes > PIECE_MAX) {
        if (h->n_pages == 0) { /* ref 0 is nobody's: page 0 is one that is cut */
            EFX_RET(page_new(h, PAGE_BYTES, &h->open));
            h->cut = UNIT;
        }
        EFX_RET(page_new(h, own_page_bytes(bytes), &p));
        h->n_pieces++;
        *ref = p << UNIT_BITS;
        return EFX_OK;
    }
    uint32_t c = class_of(bytes);
    uint32_t size = class_bytes(c);
    if (h->free[c] != 0) {
        *ref = h->free[c];
        memcpy(&h->free[c], efx_heap_at(h, *ref), sizeof h->free[c]);
        h->n_pieces++;
        return EFX_OK;
    }
    if (h->open == NO_PAGE || PAGE_BYTES - h->cut < size) {
        EFX_RET(page_new(h, PAGE_BYTES, &p));
        page_close(h);
        h->open = p;
        h->cut = p == 0 ? UNIT : 0;
    }
    *ref = h->open << UNIT_BITS | h->cut / UNIT;
    h->cut += size;
    h->n_pieces++;
    return EFX_OK;
}

/* Nobody has a piece: page 0 stays open, the others go. */
static void begin_anew(struct efx_heap *h)
{
    for (uint32_t p = 1; p < h->n_pages; p++) {
        if (h->page_bytes[p] != 0) {
            page_free(h, p);
        }
    }
    memset(h->free, 0, sizeof h->free);
    h->n_pages = 1;
    h->n_holes = 0;
    h->n_run = 0;
    h->open = 0;
    h->cut = UNIT;
}

void efx_heap_put(struct efx_heap *h, uint32_t ref, uint32_t bytes)
{
    EFX_ASSERT(ref != 0 && h->n_pieces > 0);
    if (bytes > PIECE_MAX) {
        page_free(h, ref >> UNIT_BITS);
    } else {
        piece_free(h, ref, class_of(bytes));
    }
    if (--h->n_pieces == 0 && h->n_pages > 1) {
        begin_anew(h);
    }
}

size_t efx_heap_bytes(const struct efx_heap *h)
{
    return h->held_bytes;
}
