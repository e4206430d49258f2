#include "efx_str.h"

enum { NAME_BYTES_MAX = 64 };

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool efx_str_equal_ci(struct efx_str a, struct efx_str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (uint32_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

bool efx_str_i64(struct efx_str s, int64_t *out)
{
    uint32_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (i == s.n) {
        return false;
    }
    /* Below zero throughout: the least value has no positive twin. */
    int64_t x = 0;
    for (uint32_t k = i; k < s.n; k++) {
        if (s.p[k] < '0' || s.p[k] > '9' || __builtin_mul_overflow(x, 10, &x) ||
            __builtin_sub_overflow(x, s.p[k] - '0', &x)) {
            return false;
        }
    }
    if (i == 0 || s.p[0] == '+') {
        if (x == INT64_MIN) {
            return false;
        }
        x = -x;
    }
    *out = x;
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t efx_str_distance(struct efx_str a, struct efx_str b, uint32_t max)
{
    if (a.n > NAME_BYTES_MAX || b.n > NAME_BYTES_MAX) {
        return max + 1;
    }
    /* Three rows of the table: a swap looks two rows back. */
    uint32_t rows[3][NAME_BYTES_MAX + 1];
    for (uint32_t j = 0; j <= b.n; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a.n; i++) {
        uint32_t *now = rows[i % 3];
        const uint32_t *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        now[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            uint32_t differs = lower(a.p[i - 1]) != lower(b.p[j - 1]);
            uint32_t d = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + differs);
            if (i > 1 && j > 1 && lower(a.p[i - 1]) == lower(b.p[j - 2]) &&
                lower(a.p[i - 2]) == lower(b.p[j - 1])) {
                d = least(d, two_before[j - 2] + 1);
            }
            now[j] = d;
        }
    }
    return least(rows[a.n % 3][b.n], max + 1);
}
