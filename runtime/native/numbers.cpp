// Numbers as text, in the forms of the language: Java's Double.toString and Double.parseDouble.
#include "core.h"
#include "io_number.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include <charconv>

namespace sm {

int write_double(char* out, double v) noexcept { return io::format_double(out, v); }

void append_double(std::string& out, double v) {
    char text[io::kNumberBytes];
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
    char buffer[64];
    std::string big;
    char* digits = buffer;
    if (s.size() + io::kPadding > sizeof buffer) {
        big.assign(s).append(io::kPadding, '\0');
        digits = big.data();
    } else {
        memcpy(buffer, s.data(), s.size());
        memset(buffer + s.size(), 0, io::kPadding);
    }
    if (io::parse_decimal(digits, &value) != digits + s.size()) return false;
    if (negative) value = -value;
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
