// Decimal <-> binary conversion. Reading follows Eisel and Lemire ("Number parsing at a gigabyte per
// second", 2021), writing follows Giulietti ("The Schubfach way to render doubles", 2020); both multiply by a
// 128-bit power of ten, and the table of those is computed at first use rather than shipped.
#include "io_number.h"

#include <charconv>
#include <string>
#include <strings.h>

namespace sm::io {
namespace {

constexpr int kWords = 18;  // 2^1120 / 5^342 still has more than 128 exact leading bits

struct Big {  // little-endian fixed-size integer, just enough to make the table
    uint64_t word[kWords] = {};
    void multiply(uint64_t by) {
        unsigned __int128 carry = 0;
        for (uint64_t& x : word) {
            carry += static_cast<unsigned __int128>(x) * by;
            x = static_cast<uint64_t>(carry);
            carry >>= 64;
        }
    }
    void divide(uint64_t by) {
        unsigned __int128 rest = 0;
        for (int i = kWords - 1; i >= 0; i--) {
            rest = rest << 64 | word[i];
            word[i] = static_cast<uint64_t>(rest / by);
            rest %= by;
        }
    }
    Power10 leading() const {  // the leading 128 bits, truncated
        int top = kWords - 1;
        while (!word[top]) top--;
        auto at = [&](int i) { return i >= 0 ? word[i] : 0; };
        int shift = __builtin_clzll(word[top]);
        if (!shift) return {word[top], at(top - 1)};
        return {word[top] << shift | at(top - 1) >> (64 - shift), at(top - 1) << shift | at(top - 2) >> (64 - shift)};
    }
};

struct Table {
    Power10 power[kMaxPower - kMinPower + 1];
    Table() {
        Big five;
        five.word[0] = 1;
        for (int q = 0; q <= kMaxPower; q++, five.multiply(5)) power[q - kMinPower] = five.leading();
        Big inverse;
        inverse.word[kWords - 1] = uint64_t(1) << 32;
        for (int q = -1; q >= kMinPower; q--) {
            inverse.divide(5);  // floors nest: floor(floor(x / 5) / 5) = floor(x / 25)
            Power10 p = inverse.leading();
            p.hi += ++p.lo == 0;
            power[q - kMinPower] = p;
        }
    }
};

inline unsigned __int128 multiply(uint64_t a, uint64_t b) { return static_cast<unsigned __int128>(a) * b; }

inline double from_bits(uint64_t bits) {
    double x;
    std::memcpy(&x, &bits, 8);
    return x;
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr uint64_t kInfinity = uint64_t(0x7FF) << 52;

}  // namespace

const Power10* power_table() noexcept {
    static const Table table;
    return table.power;
}

double scale_decimal(uint64_t w, int64_t q) noexcept {
    if (w == 0 || q < kMinPower) return 0;
    if (q > 308) return from_bits(kInfinity);
    static const Power10* const powers = power_table();
    int shift = __builtin_clzll(w);
    w <<= shift;
    Power10 power = powers[q - kMinPower];
    unsigned __int128 product = multiply(w, power.hi);
    uint64_t high = static_cast<uint64_t>(product >> 64), low = static_cast<uint64_t>(product);
    if ((high & 0x1FF) == 0x1FF) {  // the bits that decide could still change: use the lower half too
        uint64_t more = static_cast<uint64_t>(multiply(w, power.lo) >> 64);
        low += more;
        high += low < more;
    }
    int upper = static_cast<int>(high >> 63);
    uint64_t mantissa = high >> (upper + 9);  // 54 bits: one more than a double has
    int exponent = static_cast<int>((217706 * q) >> 16) + 63 + upper - shift + 1023;
    if (exponent <= 0) {  // subnormal, or zero
        if (1 - exponent >= 64) return 0;
        mantissa >>= 1 - exponent;
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        return from_bits(mantissa);  // a carry into bit 52 makes it the least normal number
    }
    // Exactly half way (only possible for small powers): round to even, so do not round up.
    if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << (upper + 9) == high) mantissa &= ~uint64_t(1);
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= uint64_t(1) << 53) {
        mantissa = uint64_t(1) << 52;
        exponent++;
    }
    if (exponent >= 0x7FF) return from_bits(kInfinity);
    return from_bits((mantissa & ~(uint64_t(1) << 52)) | static_cast<uint64_t>(exponent) << 52);
}

const char* parse_decimal_slow(const char* p, double* value) noexcept {
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    const char* number = p;
    uint64_t w = 0;
    int used = 0;
    int64_t q = 0, digits = 0;
    bool cut = false, fraction = false;
    for (;; p++) {
        if (is_digit(*p)) {
            unsigned d = static_cast<unsigned>(*p - '0');
            digits++;
            if (used < 19) {
                w = w * 10 + d;
                used += w != 0;
                q -= fraction;
            } else {
                cut |= d != 0;
                q += !fraction;
            }
        } else if (*p == '.' && !fraction) {
            fraction = true;
        } else {
            break;
        }
    }
    if (!digits) return nullptr;
    if ((*p | 0x20) == 'e') {
        const char* e = p + 1;
        bool minus = *e == '-';
        e += *e == '-' || *e == '+';
        if (is_digit(*e)) {
            int64_t exponent = 0;
            for (; is_digit(*e); e++)
                if (exponent < 1000000000) exponent = exponent * 10 + (*e - '0');
            q += minus ? -exponent : exponent;
            p = e;
        }
    }
    double x = scale_decimal(w, q);
    if (cut && x != scale_decimal(w + 1, q)) {  // the digits beyond the 19th decide
        auto [end, error] = std::from_chars(number, p, x);
        if (error == std::errc::result_out_of_range) x = scale_decimal(w, q);
        (void)end;
    }
    *value = negative ? -x : x;
    return p;
}

bool parse_cell(const char* begin, const char* end, double* value) noexcept {
    auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    auto trim = [&] {
        while (begin < end && blank(*begin)) begin++;
        while (begin < end && blank(end[-1])) end--;
    };
    trim();
    if (end - begin >= 2 && (*begin == '"' || *begin == '\'') && end[-1] == *begin) begin++, end--, trim();
    size_t n = static_cast<size_t>(end - begin);
    if (n == 0) return false;
    char last = end[-1];
    if (is_digit(last) || last == '.') {
        char buffer[64];
        std::string big;
        char* text = buffer;
        if (n + kPadding > sizeof buffer) {
            big.assign(begin, n).append(kPadding, '\0');
            text = big.data();
        } else {
            std::memcpy(buffer, begin, n);
            std::memset(buffer + n, 0, kPadding);
        }
        return parse_decimal(text, value) == text + n;
    }
    bool negative = *begin == '-', sign = negative || *begin == '+';
    begin += sign;
    n -= sign;
    auto is = [&](const char* word) { return n == std::strlen(word) && strncasecmp(begin, word, n) == 0; };
    if (is("nan") || (!sign && n == 2 && begin[0] == 'N' && begin[1] == 'A'))
        *value = __builtin_nan("");
    else if (is("inf") || is("infinity"))
        *value = negative ? -__builtin_inf() : __builtin_inf();
    else
        return false;
    return true;
}

namespace {

struct Decimal {
    uint64_t digits;
    int exponent;
};

// The product of a 128-bit power and c, its lower part folded into a sticky last bit.
inline uint64_t round_to_odd(Power10 g, uint64_t c) {
    uint64_t below = static_cast<uint64_t>(multiply(g.lo, c) >> 64);
    unsigned __int128 y = multiply(g.hi, c) + below;
    return static_cast<uint64_t>(y >> 64) | (static_cast<uint64_t>(y) > 1);
}

// The decimal with the fewest digits (but two, as Java wants) that rounds to the double; the closest of them.
Decimal shortest(uint64_t fraction, int biased) {
    uint64_t c = fraction;
    int q = -1074;
    if (biased) {
        c |= uint64_t(1) << 52;
        q = biased - 1075;
        if (q <= 0 && q > -53 && (c & ((uint64_t(1) << -q) - 1)) == 0) return {c >> -q, 0};
    }
    static const Power10* const powers = power_table();
    if (c < 3) return {c == 1 ? 49u : 99u, -325};  // the two numbers that one digit would tell: two are nearer
    uint64_t odd = c & 1;
    int narrow = fraction == 0 && biased > 1;  // the lower neighbour is nearer
    int k = (q * 1262611 - (narrow ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    Power10 g = powers[-k - kMinPower];
    if (-k > 55) g.hi += ++g.lo == 0;  // inexact powers are rounded up here
    uint64_t lower = round_to_odd(g, (4 * c - 2 + narrow) << h) + odd;
    uint64_t value = round_to_odd(g, 4 * c << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;
    uint64_t s = value / 4;
    if (s >= 100) {
        uint64_t tens = s / 10;
        bool below = lower <= 40 * tens, above = 40 * tens + 40 <= upper;
        if (below != above) return {tens + above, k + 1};
    }
    bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
    if (below != above) return {s + above, k};
    uint64_t middle = 4 * s + 2;
    return {s + (value > middle || (value == middle && (s & 1))), k};
}

struct Pairs {  // "00" .. "99"
    char text[200];
    constexpr Pairs() : text() {
        for (int i = 0; i < 100; i++) text[2 * i] = static_cast<char>('0' + i / 10), text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
};
constexpr Pairs kPairs;

inline void put2(char* out, unsigned v) { std::memcpy(out, kPairs.text + 2 * v, 2); }

inline void put8(char* out, uint32_t v) {
    uint32_t high = v / 10000, low = v % 10000;
    put2(out, high / 100), put2(out + 2, high % 100), put2(out + 4, low / 100), put2(out + 6, low % 100);
}

inline int count_digits(uint64_t v) {
    int guess = ((64 - __builtin_clzll(v | 1)) * 1233) >> 12;
    return guess + (v >= kPow10Int[guess < 20 ? guess : 19] && guess < 20) + (v == 0 && guess == 0);
}

// Exactly n digits of v.
inline void put_digits(char* out, uint64_t v, int n) {
    while (n >= 8) {
        n -= 8;
        uint64_t rest = v / 100000000;
        put8(out + n, static_cast<uint32_t>(v - rest * 100000000));
        v = rest;
    }
    uint32_t small = static_cast<uint32_t>(v);
    while (n >= 2) n -= 2, put2(out + n, small % 100), small /= 100;
    if (n) *out = static_cast<char>('0' + small);
}

}  // namespace

int format_int(char* out, int64_t x) noexcept {
    char* p = out;
    uint64_t v = static_cast<uint64_t>(x);
    if (x < 0) *p++ = '-', v = -v;
    int n = count_digits(v);
    put_digits(p, v, n);
    return static_cast<int>(p + n - out);
}

int format_double(char* out, double x) noexcept {
    char* p = out;
    uint64_t bits;
    std::memcpy(&bits, &x, 8);
    uint64_t fraction = bits & ((uint64_t(1) << 52) - 1);
    int biased = static_cast<int>(bits >> 52 & 0x7FF);
    if (biased == 0x7FF && fraction) return std::memcpy(out, "NaN", 3), 3;
    if (bits >> 63) *p++ = '-';
    if (biased == 0x7FF) return std::memcpy(p, "Infinity", 8), static_cast<int>(p + 8 - out);
    if (!(bits << 1)) return std::memcpy(p, "0.0", 3), static_cast<int>(p + 3 - out);
    Decimal d = shortest(fraction, biased);
    while (d.digits % 10000 == 0) d.digits /= 10000, d.exponent += 4;
    while (d.digits % 10 == 0) d.digits /= 10, d.exponent++;
    int n = count_digits(d.digits), scientific = n + d.exponent - 1;
    if (scientific >= 7 || scientific < -3) {  // d.dddE±n
        put_digits(p + 1, d.digits, n);
        p[0] = p[1];
        p[1] = '.';
        if (n == 1) p[2] = '0', n = 2;
        p += n + 1;
        *p++ = 'E';
        return static_cast<int>(p - out) + format_int(p, scientific);
    }
    if (d.exponent >= 0) {  // an integer below 10^7
        put_digits(p, d.digits, n);
        std::memset(p + n, '0', 8);
        p += n + d.exponent;
        *p++ = '.', *p++ = '0';
    } else if (scientific >= 0) {
        put_digits(p + 1, d.digits, n);
        std::memmove(p, p + 1, static_cast<size_t>(scientific + 1));
        p[scientific + 1] = '.';
        p += n + 1;
    } else {
        std::memcpy(p, "0.00", 4);
        put_digits(p + 1 - scientific, d.digits, n);
        p += 1 - scientific + n;
    }
    return static_cast<int>(p - out);
}

}  // namespace sm::io
