/* Keys as bytes, so that equal keys are equal bytes (long texts apart): numbers as 8-byte words of
 * one zero and one NaN, a NULL as a zero cell and its bit.
 *
 *   hash of   a number   efx_hash_u64 of its word
 *             a text     efx_hash_bytes of its bytes
 *             a NULL     efx_hash_u64 of a word of its own
 *             more cells the first one's, mixed with the words (texts: hashes) of the others
 *
 * So a key's hash does not depend on whether its table may hold NULLs. It is part of what a
 * checkpoint fixes (efx_hash.h).
 */
#include "keyed_in.h"

static const uint64_t WORD_NULL = 0xD6E8FEB86659FD93u;
static const uint64_t WORD_NAN = 0x7FF8000000000000u;

static inline uint64_t word_of_double(double d)
{
    uint64_t w;
    double plus = d + 0.0; /* -0 becomes 0 */
    memcpy(&w, &plus, sizeof w);
    return d != d ? WORD_NAN : w;
}

#define WORDS(T, expr)                                                                             \
    do {                                                                                           \
        const T *v = col->data;                                                                    \
        if (row == NULL) {                                                                         \
            for (uint32_t i = 0; i < n; i++) {                                                     \
                T x = v[from + i];                                                                 \
                word[i] = (expr);                                                                  \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t i = 0; i < n; i++) {                                                     \
                T x = v[row[i]];                                                                   \
                word[i] = (expr);                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

void efx_keyed__words(const struct efx_col *col, const uint32_t *row, uint32_t from, uint32_t n,
                      uint64_t *word)
{
    switch (col->type) {
    case EFX_TYPE_INT: WORDS(int32_t, (uint64_t)(int64_t)x); break;
    case EFX_TYPE_LONG: WORDS(int64_t, (uint64_t)x); break;
    case EFX_TYPE_FLOAT: WORDS(float, word_of_double((double)x)); break;
    case EFX_TYPE_DOUBLE: WORDS(double, word_of_double(x)); break;
    case EFX_TYPE_BOOL: WORDS(uint8_t, x); break;
    case EFX_TYPE_NONE:
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: memset(word, 0, n * sizeof *word); break;
    }
}

static inline uint32_t row_at(const uint32_t *row, uint32_t from, uint32_t i)
{
    return row == NULL ? from + i : row[i];
}

/* Words that stand for the cells of a column in a hash. */
static void hash_words(const struct efx_col *col, const uint32_t *row, uint32_t from, uint32_t n,
                       uint64_t *word)
{
    if (!efx_type_is_cell(col->type)) {
        efx_keyed__words(col, row, from, n, word);
    }
    for (uint32_t i = 0; i < n && efx_type_is_cell(col->type); i++) {
        uint32_t at = row_at(row, from, i);
        const struct efx_cell *cell = (const struct efx_cell *)col->data + at;
        bool null = !efx_bit(col->valid, at);
        word[i] = null ? 0 : efx_hash_bytes(efx_cell_bytes(cell), cell->len);
    }
    for (uint32_t i = 0; i < n && col->valid != NULL; i++) {
        word[i] = efx_bit(col->valid, row_at(row, from, i)) ? word[i] : WORD_NULL;
    }
}

/* A text's first word is a hash already; a number's or NULL's is made one. */
static void hash_first(const struct efx_col *col, const uint32_t *row, uint32_t from, uint32_t n,
                       uint64_t *hash)
{
    hash_words(col, row, from, n, hash);
    if (efx_type_is_cell(col->type)) {
        for (uint32_t i = 0; i < n && col->valid != NULL; i++) {
            bool null = !efx_bit(col->valid, row_at(row, from, i));
            hash[i] = null ? efx_hash_u64(WORD_NULL) : hash[i];
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        hash[i] = efx_hash_u64(hash[i]);
    }
}

/* At most KEY_BLOCK_ROWS rows. */
void efx_keyed__hash_cols(const struct efx_col *cols, uint32_t n_cells, const uint32_t *row,
                          uint32_t from, uint32_t n, uint64_t *hash)
{
    uint64_t word[KEY_BLOCK_ROWS];
    if (n_cells == 0) {
        memset(hash, 0, n * sizeof *hash);
        return;
    }
    hash_first(&cols[0], row, from, n, hash);
    for (uint32_t c = 1; c < n_cells; c++) {
        hash_words(&cols[c], row, from, n, word);
        for (uint32_t i = 0; i < n; i++) {
            hash[i] = efx_hash_mix(hash[i], word[i]);
        }
    }
}

void efx_keyed_hash(const struct efx_col *cols, uint32_t n_cells, const uint32_t *row, uint32_t n,
                    uint64_t *hash)
{
    for (uint32_t i = 0; i < n; i += KEY_BLOCK_ROWS) {
        uint32_t rows = n - i < KEY_BLOCK_ROWS ? n - i : KEY_BLOCK_ROWS;
        efx_keyed__hash_cols(cols, n_cells, row == NULL ? NULL : row + i, i, rows, hash + i);
    }
}

static inline const uint8_t *text_bytes(const struct efx_keyed *t, const uint8_t *cell, bool stored)
{
    const struct key_text *text = (const void *)cell;
    if (text->len <= EFX_CELL_INLINE) {
        return text->head;
    }
    return stored ? efx_heap_at(t->heap, text->ref) : ((const struct efx_cell *)text)->ptr;
}

uint64_t efx_keyed__hash_key(const struct efx_keyed *t, const uint8_t *key, bool stored)
{
    uint64_t h = 0, first = 0;
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        const uint8_t *cell = key + t->cell[c];
        bool null = efx_keyed__is_null(t, key, c);
        bool text = efx_type_is_cell(t->conf.types[c]) && !null;
        uint64_t word = WORD_NULL;
        if (text) {
            const struct key_text *head = (const void *)cell;
            word = efx_hash_bytes(text_bytes(t, cell, stored), head->len);
        } else if (!null) {
            memcpy(&word, cell, sizeof word);
        }
        if (c > 0) {
            h = efx_hash_mix(h, word);
        } else {
            h = text ? word : efx_hash_u64(word);
            first = word;
        }
    }
    return efx_keyed__place(t, h, first);
}

/* Column by column: every row's key gets the column's cell. */
static void put_cells(const struct efx_keyed *t, uint32_t c, const struct efx_col *col,
                      const uint32_t *row, uint32_t from, uint32_t n, uint8_t *key)
{
    uint64_t word[KEY_BLOCK_ROWS];
    uint8_t *to = key + t->cell[c];
    if (efx_type_is_cell(t->conf.types[c])) {
        const struct efx_cell *v = col->data;
        for (uint32_t i = 0; i < n; i++, to += t->key_bytes) {
            memcpy(to, &v[row_at(row, from, i)], sizeof *v);
        }
    } else {
        efx_keyed__words(col, row, from, n, word);
        for (uint32_t i = 0; i < n; i++, to += t->key_bytes) {
            memcpy(to, &word[i], sizeof word[i]);
        }
    }
    if (!t->conf.nullable || col->valid == NULL) {
        return;
    }
    for (uint32_t i = 0; i < n; i++, key += t->key_bytes) {
        if (!efx_bit(col->valid, row_at(row, from, i))) {
            *(uint64_t *)(void *)key |= (uint64_t)1 << c;
            memset(key + t->cell[c], 0, efx_type_is_cell(t->conf.types[c]) ? 16 : 8);
        }
    }
}

void efx_keyed__keys(const struct efx_keyed *t, const struct efx_col *cols, const uint32_t *row,
                     uint32_t from, uint32_t n, uint8_t *key)
{
    if (t->conf.nullable) {
        for (uint32_t i = 0; i < n; i++) {
            memset(key + (size_t)i * t->key_bytes, 0, sizeof(uint64_t));
        }
    }
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        put_cells(t, c, &cols[c], row, from, n, key);
    }
}

static bool text_equal(const struct efx_keyed *t, const uint8_t *cell, const uint8_t *stored)
{
    const struct key_text *text = (const void *)stored;
    if (memcmp(cell, stored, offsetof(struct key_text, ref)) != 0) {
        return false; /* lengths or first bytes differ */
    }
    if (text->len <= EFX_CELL_INLINE) {
        return memcmp(cell, stored, sizeof *text) == 0;
    }
    return memcmp(text_bytes(t, cell, false), text_bytes(t, stored, true), text->len) == 0;
}

bool efx_keyed__key_equal(const struct efx_keyed *t, const uint8_t *key, const uint8_t *stored)
{
    if (!t->has_text) {
        return memcmp(key, stored, t->key_bytes) == 0;
    }
    if (t->conf.nullable && memcmp(key, stored, sizeof(uint64_t)) != 0) {
        return false;
    }
    for (uint32_t c = 0; c < t->conf.n_cells; c++) {
        const uint8_t *a = key + t->cell[c], *b = stored + t->cell[c];
        bool same = efx_type_is_cell(t->conf.types[c]) ? text_equal(t, a, b) : memcmp(a, b, 8) == 0;
        if (!same) {
            return false;
        }
    }
    return true;
}

static void drop_texts(struct efx_keyed *t, uint8_t *stored, uint32_t until)
{
    for (uint32_t c = 0; c < until; c++) {
        const struct key_text *text = (const void *)(stored + t->cell[c]);
        if (efx_type_is_cell(t->conf.types[c]) && text->len > EFX_CELL_INLINE) {
            efx_heap_put(t->heap, text->ref, text->len);
        }
    }
}

void efx_keyed__key_drop(struct efx_keyed *t, uint8_t *stored)
{
    if (t->has_text) {
        drop_texts(t, stored, t->conf.n_cells);
    }
}

enum efx_rc efx_keyed__key_store(struct efx_keyed *t, const uint8_t *key, uint8_t *stored)
{
    memcpy(stored, key, t->key_bytes);
    for (uint32_t c = 0; c < t->conf.n_cells && t->has_text; c++) {
        struct key_text *text = (void *)(stored + t->cell[c]);
        uint32_t ref;
        if (!efx_type_is_cell(t->conf.types[c]) || text->len <= EFX_CELL_INLINE) {
            continue;
        }
        if (efx_heap_get(t->heap, text->len, &ref) != EFX_OK) {
            drop_texts(t, stored, c);
            return EFX_ENOMEM;
        }
        memcpy(efx_heap_at(t->heap, ref), text_bytes(t, key + t->cell[c], false), text->len);
        text->ref = ref;
        text->zero = 0;
    }
    return EFX_OK;
}

bool efx_keyed_key(const struct efx_keyed *t, uint32_t id, uint32_t c, void *slot)
{
    const uint8_t *key = efx_keyed__at(t, id)->key;
    const uint8_t *cell = key + t->cell[c];
    uint64_t word;
    double d;
    if (efx_keyed__is_null(t, key, c)) {
        return false;
    }
    memcpy(&word, cell, sizeof word);
    memcpy(&d, cell, sizeof d);
    switch (t->conf.types[c]) {
    case EFX_TYPE_NONE: return false;
    case EFX_TYPE_INT: *(int32_t *)slot = (int32_t)(int64_t)word; break;
    case EFX_TYPE_LONG: *(int64_t *)slot = (int64_t)word; break;
    case EFX_TYPE_FLOAT: *(float *)slot = (float)d; break;
    case EFX_TYPE_DOUBLE: *(double *)slot = d; break;
    case EFX_TYPE_BOOL: *(uint8_t *)slot = (uint8_t)word; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: {
        uint32_t len = ((const struct key_text *)(const void *)cell)->len;
        *(struct efx_cell *)slot = efx_cell_make(text_bytes(t, cell, true), len);
        break;
    }
    }
    return true;
}
