// Numbers as text, in the forms of the language: Java's Double.toString and Double.parseDouble.
#include "context.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <charconv>

namespace sm {

// Shortest digits that read back as v; plain between 1e-3 and 1e7, else d.dddE±x, always with a fraction.
int write_double(char* out, double v) noexcept {
    char* p = out;
    if (v != v) return memcpy(out, "NaN", 3), 3;
    if (signbit(v)) *p++ = '-', v = -v;
    if (isinf(v)) return memcpy(p, "Infinity", 8), int(p + 8 - out);
    if (v == 0) return memcpy(p, "0.0", 3), int(p + 3 - out);
    if (v >= 1e-3 && v < 1e7) {
        if (v == double(int64_t(v))) {
            p = std::to_chars(p, p + 24, int64_t(v)).ptr;
            *p++ = '.', *p++ = '0';
            return int(p - out);
        }
        return int(std::to_chars(p, p + 30, v, std::chars_format::fixed).ptr - out);
    }
    char digits[40];
    char* end = std::to_chars(digits, digits + sizeof digits, v, std::chars_format::scientific).ptr;
    // One digit is shown with a second one, and then the nearest two are meant: 4.9E-324.
    if (digits[1] == 'e' && v < 1e-320) end = digits + snprintf(digits, sizeof digits, "%.1e", v);
    char* e = digits;
    while (*e != 'e') e++;
    memcpy(p, digits, size_t(e - digits));
    p += e - digits;
    if (e - digits == 1) *p++ = '.', *p++ = '0';
    *p++ = 'E';
    if (e[1] == '-') *p++ = '-';
    e += 2;
    while (*e == '0' && e + 1 < end) e++;
    memcpy(p, e, size_t(end - e));
    return int(p + (end - e) - out);
}

void append_double(std::string& out, double v) {
    char text[40];
    out.append(text, size_t(write_double(text, v)));
}

std::string to_text(double v) {
    std::string s;
    append_double(s, v);
    return s;
}
std::string to_text(int64_t v) { return std::to_string(v); }
std::string to_text(bool v) { return v ? "TRUE" : "FALSE"; }

namespace {

std::string_view trimmed(std::string_view s) {
    while (!s.empty() && static_cast<unsigned char>(s.front()) <= ' ') s.remove_prefix(1);
    while (!s.empty() && static_cast<unsigned char>(s.back()) <= ' ') s.remove_suffix(1);
    return s;
}

}  // namespace

bool parse_double(std::string_view text, double& value) noexcept {
    std::string_view s = trimmed(text);
    bool negative = false;
    if (!s.empty() && (s[0] == '-' || s[0] == '+')) {
        negative = s[0] == '-';
        s.remove_prefix(1);
    }
    if (s == "NaN" || s == "Infinity") {
        value = s == "NaN" ? NAN : negative ? -INFINITY : INFINITY;
        return true;
    }
    if (s.size() > 1 && strchr("dDfF", s.back())) s.remove_suffix(1);
    if (s.empty() || !(isdigit(static_cast<unsigned char>(s[0])) || s[0] == '.')) return false;
    double v = 0;
    auto [end, status] = std::from_chars(s.data(), s.data() + s.size(), v, std::chars_format::general);
    if (end != s.data() + s.size()) return false;
    if (status == std::errc::result_out_of_range) {
        // from_chars does not say which way: a negative exponent means that the number is too small.
        size_t e = s.find_first_of("eE");
        v = e != std::string_view::npos && e + 1 < s.size() && s[e + 1] == '-' ? 0.0 : INFINITY;
        if (e == std::string_view::npos && s[0] == '.') v = 0.0;
    } else if (status != std::errc()) {
        return false;
    }
    value = negative ? -v : v;
    return true;
}

bool parse_int(std::string_view text, int64_t& value) noexcept {
    std::string_view s = trimmed(text);
    if (!s.empty() && s[0] == '+') {
        s.remove_prefix(1);
        if (!s.empty() && s[0] == '-') return false;
    }
    auto [end, status] = std::from_chars(s.data(), s.data() + s.size(), value);
    return status == std::errc() && end == s.data() + s.size() && !s.empty();
}

}  // namespace sm
