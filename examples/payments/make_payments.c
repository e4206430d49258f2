/* Makes the demo's input: event lines of card payments over one day, the table of blocked merchants
 * first.
 *
 *   make_payments N > payments.ndjson        the same N gives the same lines
 *
 *   who            what                                                   share of payments
 *   most cards     an amount from 2.00 to about 300.00, small ones often  nearly all
 *   a thief        a payment below 2.00, then within two minutes one      1 in 2,000 begins such
 *                  above 500.00 with the same card                        a pair
 *   an odd one     an amount above 1,000.00                               1 in 5,000
 *
 *   Limits  a pair's second half waits in a ring of PAIRS places; cards, merchants and countries
 *           are as many as below
 *   Order   timestamps rise; several payments may share one
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { CARDS = 40000, MERCHANTS = 20000, BLOCKED = 25, PAIRS = 4096, DAY_MS = 86400000 };
static const int64_t begin_ms = 1767225600000; /* 2026-01-01 00:00 UTC */

static uint64_t dice_state = 42;

/* 0 .. n - 1, by xorshift64*. */
static uint32_t dice(uint32_t n)
{
    dice_state ^= dice_state >> 12;
    dice_state ^= dice_state << 25;
    dice_state ^= dice_state >> 27;
    return (uint32_t)((dice_state * 2685821657736338717u >> 32) * n >> 32);
}

static const char *country_of(uint32_t card)
{
    static const char *const names[] = {"DE", "DE", "DE", "FR", "FR", "NL", "NL", "ES",
                                        "IT", "PL", "AT", "CH", "SE", "PT", "IE", "CZ"};
    return dice(50) == 0 ? names[dice(16)] : names[card % 16];
}

/* Two dice make low amounts common and high ones rare. */
static uint32_t usual_cents(void)
{
    return dice(5000) == 0 ? 100000 + dice(100000) : 200 + dice(200) * dice(150);
}

struct pair { /* the second half of a thief's pair */
    uint32_t card;
    int64_t due_ms;
};
static struct pair pairs[PAIRS];
static uint32_t n_begun, n_ended;

static void print_payment(int64_t ms, uint32_t card, uint32_t cents)
{
    printf("{\"stream\":\"Payments\",\"data\":[%" PRId64 ",\"card-%05" PRIu32 "\",%" PRIu32
           ",%" PRIu32 ",\"%s\"]}\n",
           ms, card, dice(MERCHANTS), cents, country_of(card));
}

static void print_blocked(void)
{
    static const char *const reasons[] = {"closed shop", "stolen terminal", "fake goods"};
    for (uint32_t i = 0; i < BLOCKED; i++) {
        printf("{\"stream\":\"Blocked\",\"ts\":%" PRId64
               ",\"data\":{\"merchant\":%u,\"reason\":\"%s\"}}\n",
               begin_ms, i * (MERCHANTS / BLOCKED) + 7, reasons[i % 3]);
    }
}

static void print_next(int64_t ms)
{
    bool ends = n_ended < n_begun && pairs[n_ended % PAIRS].due_ms <= ms;
    if (ends) {
        print_payment(ms, pairs[n_ended++ % PAIRS].card, 50001 + dice(50000));
    } else if (dice(2000) == 0 && n_begun - n_ended < PAIRS) {
        struct pair *p = &pairs[n_begun++ % PAIRS];
        *p = (struct pair){dice(CARDS), ms + 20000 + dice(100000)};
        print_payment(ms, p->card, 1 + dice(199));
    } else {
        print_payment(ms, dice(CARDS), usual_cents());
    }
}

int main(int argc, char **argv)
{
    long n = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (n < 1 || n > 100000000) {
        (void)fprintf(stderr, "usage: make_payments N    (1 to 100000000)\n");
        return 2;
    }
    print_blocked();
    for (long i = 0; i < n; i++) {
        print_next(begin_ms + (int64_t)((double)DAY_MS * (double)i / (double)n));
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
