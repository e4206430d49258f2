// Numbers and text. The shortest digits come from <charconv>; how they are laid out is ours:
//
//   0.0001 <= |x| < 1e16    plain digits with a point      0.5   12.0   1000000000000000.0
//   beyond                  d[.ddd]e[-]x                   1.5e16   1e-5
//
// Prices and the like have few decimals: such a number times 100 or 10,000 is whole, and as
// whole / 100 is rounded right, "reads back the same" is one division. It spares the long way.
#include "efx_numbers.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace
{

struct digits {
    int n;
    int point; // 0.d1d2… times 10^point
    char d[24];
};

const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536"
                     "37383940414243444546474849505152535455565758596061626364656667686970717273"
                     "7475767778798081828384858687888990919293949596979899";

char *put_u64(char *o, uint64_t v)
{
    char back[20];
    char *p = back + sizeof back;
    while (v >= 100) {
        p -= 2;
        std::memcpy(p, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        p -= 2;
        std::memcpy(p, pairs + v * 2, 2);
    } else {
        *--p = static_cast<char>('0' + v);
    }
    size_t n = static_cast<size_t>(back + sizeof back - p);
    std::memcpy(o, p, n);
    return o + n;
}

char *layout(const digits &d, char *o)
{
    if (d.point > 16 || d.point < -3) {
        *o++ = d.d[0];
        if (d.n > 1) {
            *o++ = '.';
            std::memcpy(o, d.d + 1, static_cast<size_t>(d.n - 1));
            o += d.n - 1;
        }
        *o++ = 'e';
        int e = d.point - 1;
        if (e < 0) {
            *o++ = '-';
            e = -e;
        }
        return put_u64(o, static_cast<uint64_t>(e));
    }
    if (d.point <= 0) {
        *o++ = '0';
    }
    for (int i = 0; i < d.point; i++) {
        *o++ = i < d.n ? d.d[i] : '0';
    }
    *o++ = '.';
    for (int i = d.point; i < 0; i++) {
        *o++ = '0';
    }
    int first = d.point > 0 ? d.point : 0;
    if (first >= d.n) {
        *o++ = '0';
    }
    for (int i = first; i < d.n; i++) {
        *o++ = d.d[i];
    }
    return o;
}

// "d.ddde±xx" as digits
template <typename T> digits digits_of(T positive)
{
    char text[40];
    std::to_chars_result end =
        std::to_chars(text, text + sizeof text, positive, std::chars_format::scientific);
    digits out{};
    const char *p = text;
    for (; p < end.ptr && *p != 'e'; p++) {
        if (*p != '.') {
            out.d[out.n++] = *p;
        }
    }
    int e = 0;
    std::from_chars(p + 1 + (p[1] == '+'), end.ptr, e);
    out.point = e + 1;
    return out;
}

char *put_word(char *o, const char *word)
{
    size_t n = std::strlen(word);
    std::memcpy(o, word, n);
    return o + n;
}

// A number with at most 2 * `pairs_of` decimals; nullptr = is none
template <uint64_t scale, int pairs_of> char *put_scaled(char *o, double d)
{
    uint64_t v = static_cast<uint64_t>(d * static_cast<double>(scale) + 0.5);
    if (static_cast<double>(v) / static_cast<double>(scale) != d) {
        return nullptr;
    }
    uint64_t part = v % scale;
    o = put_u64(o, v / scale);
    *o++ = '.';
    if (pairs_of == 2) {
        std::memcpy(o, pairs + part / 100 * 2, 2);
    }
    std::memcpy(o + 2 * (pairs_of - 1), pairs + part % 100 * 2, 2);
    char *end = o + 2 * pairs_of;
    while (end > o + 1 && end[-1] == '0') {
        end--;
    }
    return end;
}

char *put_short(char *o, double d)
{
    if (d >= 1e10 || d < 0.01) {
        return nullptr;
    }
    char *end = put_scaled<100, 1>(o, d);
    return end != nullptr ? end : put_scaled<10000, 2>(o, d);
}

template <typename T> uint32_t text_of(T v, char *buf)
{
    char *o = buf;
    if (std::isnan(v)) {
        return static_cast<uint32_t>(put_word(o, "NaN") - buf);
    }
    if (std::signbit(v)) {
        *o++ = '-';
        v = -v;
    }
    if (std::isinf(v)) {
        return static_cast<uint32_t>(put_word(o, "Infinity") - buf);
    }
    if (v == 0) {
        return static_cast<uint32_t>(put_word(o, "0.0") - buf);
    }
    if (sizeof(T) == sizeof(double)) {
        char *end = put_short(o, static_cast<double>(v));
        if (end != nullptr) {
            return static_cast<uint32_t>(end - buf);
        }
    }
    return static_cast<uint32_t>(layout(digits_of(v), o) - buf);
}

bool white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void trim(const char *&p, size_t &n)
{
    while (n > 0 && white(*p)) {
        p++;
        n--;
    }
    while (n > 0 && white(p[n - 1])) {
        n--;
    }
}

size_t run_of_digits(const char *p, size_t n, size_t at)
{
    size_t from = at;
    while (at < n && p[at] >= '0' && p[at] <= '9') {
        at++;
    }
    return at - from;
}

// Is it a decimal number? `some` = a digit other than 0 is in it.
bool is_decimal(const char *p, size_t n, bool &some)
{
    size_t at = n > 0 && (p[0] == '+' || p[0] == '-');
    size_t first = at, digits = run_of_digits(p, n, at);
    at += digits;
    if (at < n && p[at] == '.') {
        size_t more = run_of_digits(p, n, ++at);
        digits += more;
        at += more;
    }
    some = false;
    for (size_t i = first; i < at; i++) {
        some = some || (p[i] >= '1' && p[i] <= '9');
    }
    if (digits > 0 && at < n && (p[at] == 'e' || p[at] == 'E')) {
        at++;
        at += at < n && (p[at] == '+' || p[at] == '-');
        digits = run_of_digits(p, n, at);
        at += digits;
    }
    return digits > 0 && at == n;
}

bool is_word(const char *p, size_t n, const char *word)
{
    return n == std::strlen(word) && std::memcmp(p, word, n) == 0;
}

// The exponent of a number that is beyond the type, one way or the other
bool vanishes(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 'e' || p[i] == 'E') {
            return p[i + 1] == '-';
        }
    }
    return p[0] == '0' || p[0] == '.' || (n > 1 && p[1] == '0');
}

template <typename T> bool parse(const char *p, size_t n, T *out)
{
    trim(p, n);
    bool some;
    if (!is_decimal(p, n, some)) {
        bool minus = n > 0 && p[0] == '-';
        if (is_word(p, n, "NaN")) {
            *out = static_cast<T>(NAN);
        } else if (is_word(p + minus, n - minus, "Infinity")) {
            *out = minus ? -static_cast<T>(HUGE_VAL) : static_cast<T>(HUGE_VAL);
        } else {
            return false;
        }
        return true;
    }
    bool minus = p[0] == '-';
    size_t sign = minus || p[0] == '+';
    T v = 0;
    std::from_chars_result r = std::from_chars(p + sign, p + n, v);
    if (r.ec == std::errc::result_out_of_range) {
        if (some && !vanishes(p + sign, n - sign)) {
            return false;
        }
        v = 0;
    }
    *out = minus ? -v : v;
    return !std::isinf(v);
}

} // namespace

uint32_t efx_io_long_text(int64_t v, char *buf)
{
    char *o = buf;
    uint64_t u = static_cast<uint64_t>(v);
    if (v < 0) {
        *o++ = '-';
        u = 0 - u;
    }
    return static_cast<uint32_t>(put_u64(o, u) - buf);
}

uint32_t efx_io_double_text(double d, char *buf)
{
    return text_of(d, buf);
}

uint32_t efx_io_float_text(float f, char *buf)
{
    return text_of(f, buf);
}

bool efx_io_parse_double(const char *p, size_t n, double *out)
{
    return parse(p, n, out);
}

bool efx_io_parse_float(const char *p, size_t n, float *out)
{
    return parse(p, n, out);
}

bool efx_io_parse_long(const char *p, size_t n, int64_t *out)
{
    trim(p, n);
    bool minus = n > 0 && p[0] == '-';
    size_t at = n > 0 && (minus || p[0] == '+');
    if (at == n) {
        return false;
    }
    int64_t v = 0;
    for (; at < n; at++) {
        int digit = p[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v)) { // below zero there is room for one more
            return false;
        }
    }
    if (!minus && v == INT64_MIN) {
        return false;
    }
    *out = minus ? v : -v;
    return true;
}
