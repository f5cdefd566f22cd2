// Numbers as text: correctly rounded decimal to double, and double to the shortest text that reads back
// (in the form of Java's Double.toString, which DML prints and writes).
#pragma once

#include <cstdint>
#include <cstring>

namespace sm::io {

constexpr int kPadding = 16;       // readable bytes required after the text of parse_decimal
constexpr int kNumberBytes = 32;   // room format_double and format_int need

// floor(10^q * 2^k) with the k that gives 128 bits (q < 0: plus one, so never below the true value).
struct Power10 {
    uint64_t hi, lo;
};
constexpr int kMinPower = -342, kMaxPower = 324;
const Power10* power_table() noexcept;  // indexed by q - kMinPower

// w * 10^q for w < 2^64, rounded to nearest even.
double scale_decimal(uint64_t w, int64_t q) noexcept;
// Any number of digits; same contract as parse_decimal.
const char* parse_decimal_slow(const char* p, double* value) noexcept;
// A whole cell: blanks around it, quotes, NaN, NA, Inf and Infinity in any case. False: not a number.
bool parse_cell(const char* begin, const char* end, double* value) noexcept;

int format_double(char* out, double x) noexcept;
int format_int(char* out, int64_t x) noexcept;

inline uint64_t load8(const char* p) noexcept {
    uint64_t v;
    std::memcpy(&v, p, 8);
    return v;
}

// The digits at p, eight at most: their count, and their value.
inline int digit_run(const char* p, uint64_t* value) noexcept {
    uint64_t v = load8(p) - 0x3030303030303030u;
    uint64_t stop = ((v + 0x7676767676767676u) | v) & 0x8080808080808080u;
    int n = stop ? __builtin_ctzll(stop) >> 3 : 8;
    v = n ? v << (64 - 8 * n) : 0;  // leading zeros in front of a short run
    v = v * 10 + (v >> 8);
    *value = (((v & 0x000000FF000000FFu) * 0x000F424000000064u) + (((v >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u)) >> 32;
    return n;
}

inline const uint64_t kPow10Int[20] = {1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u,
                                       10000000000u, 100000000000u, 1000000000000u, 10000000000000u, 100000000000000u,
                                       1000000000000000u, 10000000000000000u, 100000000000000000u, 1000000000000000000u,
                                       10000000000000000000u};
inline const double kPow10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Reads [+-]digits[.digits][e[+-]digits] at p; returns the first character after it, or null when there is
// no number. The text must be followed by kPadding readable bytes, the first of them no part of a number.
inline const char* parse_decimal(const char* p, double* value) noexcept {
    const char* begin = p;
    bool negative = *p == '-';
    p += negative | (*p == '+');
    uint64_t w, run;
    int n = digit_run(p, &w), digits = n;
    p += n;
    while (n == 8) {
        n = digit_run(p, &run);
        w = w * kPow10Int[n] + run;
        digits += n;
        p += n;
        if (__builtin_expect(digits > 19, 0)) return parse_decimal_slow(begin, value);
    }
    int64_t q = 0;
    if (*p == '.') {
        const char* point = ++p;
        do {
            n = digit_run(p, &run);
            w = w * kPow10Int[n] + run;
            p += n;
            if (__builtin_expect(p - point + digits > 19, 0)) return parse_decimal_slow(begin, value);
        } while (n == 8);
        q = point - p;
        digits += static_cast<int>(p - point);
    }
    if (__builtin_expect(digits == 0, 0)) return nullptr;
    if (__builtin_expect((*p | 0x20) == 'e', 0)) return parse_decimal_slow(begin, value);
    double x;
    if (__builtin_expect(w <= (uint64_t(1) << 53) && q >= -22, 1)) {
        x = static_cast<double>(static_cast<int64_t>(w));  // exact, and so is the power: one rounding
        if (q) x /= kPow10[-q];
    } else {
        x = scale_decimal(w, q);
    }
    *value = negative ? -x : x;
    return p;
}

}  // namespace sm::io
