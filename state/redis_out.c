/* Commands for Redis: an array of words each, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n". */
#include "redis_link.h"

#include <stdio.h>

enum { WORD_COPIED = 1024, TEXT_FIRST = 4096, WORDS_FIRST = 32 };

/* Room for n bytes of text more. */
static bool text_room(struct efx_redis_out *out, size_t n)
{
    if (!out->failed && n > out->max_text - out->n_text) {
        size_t max = out->max_text == 0 ? TEXT_FIRST : out->max_text * 2;
        max = max < out->n_text + n ? out->n_text + n : max;
        uint8_t *p = efx_mem_grow(out->mem, out->text, out->max_text, max);
        out->failed = p == NULL;
        if (p != NULL) {
            out->text = p;
            out->max_text = max;
        }
    }
    return !out->failed;
}

static void add_word(struct efx_redis_out *out, struct efx_redis_word word)
{
    if (out->n_words == out->max_words) {
        uint32_t max = out->max_words == 0 ? WORDS_FIRST : out->max_words * 2;
        void *p =
            efx_mem_grow(out->mem, out->word, out->max_words * sizeof word, max * sizeof word);
        if (p == NULL) {
            out->failed = true;
            return;
        }
        out->word = p;
        out->max_words = max;
    }
    out->word[out->n_words++] = word;
}

/* Text that follows text is one word with it. */
static void put_text(struct efx_redis_out *out, const void *p, size_t n)
{
    if (!text_room(out, n) || n == 0) {
        return;
    }
    struct efx_redis_word *last = out->n_words == 0 ? NULL : &out->word[out->n_words - 1];
    memcpy(out->text + out->n_text, p, n);
    if (last != NULL && last->p == NULL) {
        last->n += n;
    } else {
        add_word(out, (struct efx_redis_word){NULL, out->n_text, n});
    }
    out->n_text += n;
}

static void put_count(struct efx_redis_out *out, char kind, size_t n)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%c%zu\r\n", kind, n);
    put_text(out, text, (size_t)len);
}

void efx_redis__cmd(struct efx_redis_out *out, const char *name, size_t n_args)
{
    put_count(out, '*', n_args + 1);
    efx_redis__arg_z(out, name);
    out->n_commands++;
}

void efx_redis__arg(struct efx_redis_out *out, const void *p, size_t n)
{
    put_count(out, '$', n);
    if (n <= WORD_COPIED) {
        put_text(out, p, n);
    } else if (!out->failed) {
        add_word(out, (struct efx_redis_word){p, 0, n});
    }
    put_text(out, "\r\n", 2);
}

void efx_redis__arg_z(struct efx_redis_out *out, const char *z)
{
    efx_redis__arg(out, z, strlen(z));
}

void efx_redis__arg_u64(struct efx_redis_out *out, uint64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    efx_redis__arg(out, text, (size_t)n);
}

void efx_redis__out_reset(struct efx_redis_out *out)
{
    out->n_text = 0;
    out->n_words = 0;
    out->n_commands = 0;
    out->failed = false;
}

void efx_redis__out_fini(struct efx_redis_out *out)
{
    if (out->text != NULL) {
        out->mem->free(out->mem, out->text, out->max_text);
    }
    if (out->word != NULL) {
        out->mem->free(out->mem, out->word, out->max_words * sizeof *out->word);
    }
    *out = (struct efx_redis_out){.mem = out->mem};
}
