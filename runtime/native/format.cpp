// The printf form of print: the conversions of Java's String.format that apply to DML's scalars.
#include "context.h"

#include <math.h>
#include <string.h>

#include <charconv>

namespace sm {
namespace {

struct Spec {
    bool left = false, plus = false, space = false, zero = false, group = false, parens = false, alt = false;
    int width = 0, precision = -1;
    char conversion = 0;
    std::string text;  // as written, for messages
};

// The shortest digits of v > 0 and the position of the decimal point: v = 0.d1d2d3… * 10^point.
struct Digits {
    std::string d;
    int point;
};

Digits shortest(double v) {
    char buffer[40];
    char* end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
    Digits r{{}, 0};
    char* p = buffer;
    for (; *p != 'e'; p++)
        if (*p != '.') r.d += *p;
    int exponent = 0;
    std::from_chars(p + (p[1] == '+' ? 2 : 1), end, exponent);
    r.point = exponent + 1;
    return r;
}

// Keeps `n` digits, rounding half up in decimal, as Java does on the shortest digits.
void round_to(Digits& v, int n) {
    if (n >= int(v.d.size())) return;
    if (n < 0) {
        v = {"0", 1};
        return;
    }
    bool up = v.d[size_t(n)] >= '5';
    v.d.resize(size_t(n));
    if (up) {
        int i = n - 1;
        while (i >= 0 && v.d[size_t(i)] == '9') v.d[size_t(i--)] = '0';
        if (i >= 0) {
            v.d[size_t(i)]++;
        } else {
            v.d.insert(v.d.begin(), '1');
            v.point++;
        }
    }
    if (v.d.empty()) v = {"0", 1};
}

std::string fixed(Digits v, int precision) {
    round_to(v, v.point + precision);
    std::string r;
    for (int i = 0; i < v.point; i++) r += i < int(v.d.size()) ? v.d[size_t(i)] : '0';
    if (r.empty()) r = "0";
    if (precision > 0) r += '.';
    for (int i = v.point; i < v.point + precision; i++) r += i >= 0 && i < int(v.d.size()) ? v.d[size_t(i)] : '0';
    return r;
}

std::string scientific(Digits v, int precision) {
    round_to(v, precision + 1);
    std::string r(1, v.d[0]);
    if (precision > 0) r += '.';
    for (int i = 1; i <= precision; i++) r += i < int(v.d.size()) ? v.d[size_t(i)] : '0';
    return r + format("e%c%02d", v.point - 1 < 0 ? '-' : '+', v.point - 1 < 0 ? 1 - v.point : v.point - 1);
}

std::string magnitude(const Spec& s, double v) {  // v >= 0, finite
    char kind = char(s.conversion | 0x20);
    int precision = s.precision < 0 ? 6 : s.precision;
    Digits digits = v == 0 ? Digits{"0", 1} : shortest(v);
    if (kind == 'f') return fixed(digits, precision);
    if (kind == 'e') return scientific(digits, precision);
    if (precision == 0) precision = 1;
    if (v == 0) return fixed(digits, precision - 1);
    Digits rounded = digits;
    round_to(rounded, precision);
    if (rounded.point - 1 < -4 || rounded.point > precision) return scientific(digits, precision - 1);
    return fixed(digits, precision - rounded.point);
}

std::string grouped(const std::string& number) {
    size_t whole = number.find_first_not_of("0123456789");
    if (whole == std::string::npos) whole = number.size();
    std::string r;
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0) r += ',';
        r += number[i];
    }
    return r + number.substr(whole);
}

size_t code_points(std::string_view text) {
    size_t n = 0;
    for (char c : text) n += (c & 0xC0) != 0x80;
    return n;
}

void pad(std::string& out, const Spec& s, std::string text) {
    if (s.conversion >= 'A' && s.conversion <= 'Z')
        for (char& c : text)
            if (c >= 'a' && c <= 'z') c = char(c - 32);
    size_t n = code_points(text), width = size_t(s.width);
    std::string blanks(width > n ? width - n : 0, ' ');
    out += s.left ? text + blanks : blanks + text;
}

void put_number(std::string& out, const Spec& s, bool negative, std::string digits, bool finite) {
    if (s.group && finite) digits = grouped(digits);
    std::string before = negative ? (s.parens ? "(" : "-") : s.plus ? "+" : s.space ? " " : "";
    std::string after = negative && s.parens ? ")" : "";
    size_t n = before.size() + digits.size() + after.size();
    if (s.zero && finite && int(n) < s.width) before += std::string(size_t(s.width) - n, '0');
    pad(out, s, before + digits + after);
}

const char* type_name(int64_t tag) {
    switch (tag) {
        case SM_TAG_F64: return "a double";
        case SM_TAG_I64: return "an integer";
        case SM_TAG_I1: return "a boolean";
        case SM_TAG_STRING: return "a string";
        case SM_TAG_LIST: return "a list";
        default: return "a matrix";
    }
}

sm_arg unboxed(const sm_arg& a) {
    if (a.tag != SM_TAG_BOX) return a;
    sm_arg r;
    r.tag = a.v.box->tag;
    if (r.tag == SM_TAG_STRING) r.v.str = a.v.box->v.str;
    else r.v.i64 = a.v.box->v.i64;  // the same bits for f64
    return r;
}

void put(std::string& out, const Spec& s, const sm_arg& value, int64_t position) {
    auto mismatch = [&](const char* needs) {
        fail("print: '%s' needs %s, but value %lld is %s", s.text.c_str(), needs, (long long)position, type_name(value.tag));
    };
    if (value.tag == SM_TAG_MATRIX || value.tag == SM_TAG_LIST) mismatch("a scalar (use toString)");
    switch (s.conversion) {
        case 'd': {
            if (value.tag != SM_TAG_I64) mismatch("an integer");
            int64_t v = value.v.i64;
            uint64_t magnitude = v < 0 ? 0 - uint64_t(v) : uint64_t(v);
            return put_number(out, s, v < 0, std::to_string(magnitude), true);
        }
        case 'x': case 'X': case 'o': {
            if (value.tag != SM_TAG_I64) mismatch("an integer");
            std::string digits = format(s.conversion == 'o' ? "%llo" : "%llx", (unsigned long long)value.v.i64);
            if (s.alt) digits = (s.conversion == 'o' ? "0" : "0x") + digits;
            if (s.zero && int(digits.size()) < s.width) digits.insert(s.alt && s.conversion != 'o' ? 2 : 0, size_t(s.width) - digits.size(), '0');
            return pad(out, s, digits);
        }
        case 'f': case 'e': case 'E': case 'g': case 'G': {
            if (value.tag != SM_TAG_F64) mismatch("a double");
            double v = value.v.f64;
            if (v != v) return pad(out, s, "NaN");
            bool negative = signbit(v);
            return put_number(out, s, negative, isinf(v) ? "Infinity" : magnitude(s, fabs(v)), !isinf(v));
        }
        case 's': case 'S': case 'b': case 'B': {
            std::string text;
            if (value.tag == SM_TAG_I1) text = value.v.i64 ? "true" : "false";
            else if (s.conversion == 'b' || s.conversion == 'B') text = "true";
            else if (value.tag == SM_TAG_STRING) text = view(value.v.str);
            else text = value.tag == SM_TAG_F64 ? to_text(value.v.f64) : to_text(value.v.i64);
            if (s.precision >= 0) {
                size_t i = 0;
                for (int n = 0; i < text.size(); i++)
                    if ((text[i] & 0xC0) != 0x80 && n++ == s.precision) break;
                text.resize(i);
            }
            return pad(out, s, text);
        }
        default: fail("print: unknown conversion '%s'", s.text.c_str());
    }
}

int number(const char*& p, const char* end) {
    int n = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (*p - '0');
        require(n <= 100000, "print: a width or precision is too large");
    }
    return n;
}

}  // namespace

std::string format_values(std::string_view text, int64_t n, const sm_arg* values) {
    std::string out;
    int64_t next = 0, last = -1;
    const char *p = text.data(), *end = p + text.size();
    while (p < end) {
        if (*p != '%') {
            out += *p++;
            continue;
        }
        const char* start = p++;
        Spec s;
        int64_t index = -1;
        const char* mark = p;
        int position = number(p, end);
        if (p > mark && p < end && *p == '$') index = position - 1, p++;
        else p = mark;
        if (p < end && *p == '<') index = last, p++;
        for (; p < end && strchr("-+ 0,(#", *p) && *p; p++)
            switch (*p) {
                case '-': s.left = true; break;
                case '+': s.plus = true; break;
                case ' ': s.space = true; break;
                case '0': s.zero = true; break;
                case ',': s.group = true; break;
                case '(': s.parens = true; break;
                default: s.alt = true;
            }
        s.width = number(p, end);
        if (p < end && *p == '.') {
            const char* digits = ++p;
            s.precision = number(p, end);
            require(p > digits, "print: digits must follow the '.' in a format");
        }
        if (p == end) fail("print: the format ends within '%s'", std::string(start, end).c_str());
        s.conversion = *p++;
        s.text.assign(start, p);
        require(!(s.zero || s.left) || s.width > 0, "print: '%s' needs a width", s.text.c_str());
        if (s.precision >= 0 && strchr("dxXo", s.conversion)) fail("print: '%s' cannot have a precision", s.text.c_str());
        if (s.conversion == '%') {
            pad(out, s, "%");
        } else if (s.conversion == 'n') {
            out += '\n';
        } else {
            if (!strchr("dxXofeEgGsSbB", s.conversion)) fail("print: unknown conversion '%s'", s.text.c_str());
            if (index < 0) index = next++;
            if (index < 0 || index >= n) fail("print: no value for '%s': %lld given", s.text.c_str(), (long long)n);
            last = index;
            put(out, s, unboxed(values[index]), index + 1);
        }
    }
    return out;
}

}  // namespace sm

SM_API sm_string* sm_format(sm_ctx* ctx, sm_string* text, int64_t n, const sm_arg* values) {
    return SM_ENTRY(ctx, { return sm::new_string(ctx, sm::format_values(sm::view(text), n, values)).take(); });
}
