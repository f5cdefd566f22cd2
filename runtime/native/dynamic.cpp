// What is known at run time only: the kinds of boxed scalars, with conversions and operators, and the functions that names mean.
#include "context.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace sm {
namespace {

Box new_box(sm_ctx* ctx, int32_t tag, int64_t bits) {
    Box b = new_object<sm_box>(ctx, SM_KIND_BOX);
    b->tag = tag;
    b->v.i64 = bits;
    return b;
}
Box new_box(sm_ctx* ctx, double v) {
    Box b = new_box(ctx, SM_TAG_F64, 0);
    b->v.f64 = v;
    return b;
}
Box new_box(sm_ctx* ctx, String s) {
    Box b = new_box(ctx, SM_TAG_I64, 0);
    b->v.str = s.take();
    b->tag = SM_TAG_STRING;
    return b;
}

const char* kind(const sm_box* b) {
    switch (b->tag) {
        case SM_TAG_F64: return "a double";
        case SM_TAG_I64: return "an integer";
        case SM_TAG_I1: return "a boolean";
        default: return "a string";
    }
}

double number(const sm_box* b) { return b->tag == SM_TAG_F64 ? b->v.f64 : double(b->v.i64); }

std::string text(const sm_box* b) {
    switch (b->tag) {
        case SM_TAG_F64: return to_text(b->v.f64);
        case SM_TAG_I64: return to_text(b->v.i64);
        case SM_TAG_I1: return to_text(b->v.i64 != 0);
        default: return std::string(view(b->v.str));
    }
}

[[noreturn]] void overflow() { fail("numerical result overflow"); }

int64_t floored(int64_t x, int64_t y) {
    if (y == 0 || (x == INT64_MIN && y == -1)) overflow();
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

int64_t remainder(int64_t x, int64_t y) {
    if (y == 0) return 0;  // as x %% 1 is
    if (x == INT64_MIN && y == -1) overflow();
    int64_t rest = x % y;
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

double remainder(double x, double y) {
    double q = x / y;
    if (isinf(y) && isfinite(x)) return x * y < 0 ? y : x;
    if (isfinite(q) && fabs(q) >= 9007199254740992.0) return 0.0;  // the quotient has no digits behind the point left
    return x - floor(q) * y;
}

double lesser(double x, double y) { return x != x || y != y ? NAN : x < y ? x : y < x ? y : signbit(x) ? x : y; }

// One operator: how it is written, and what it does to integers and to doubles.
struct Operator {
    const char *name, *symbol;
    int64_t (*integers)(int64_t, int64_t);
    double (*doubles)(double, double);
};

using I = int64_t;
using D = double;
template <bool (*Overflows)(I, I, I*)>
I checked(I x, I y) {
    I r;
    if (Overflows(x, y, &r)) overflow();
    return r;
}
bool add(I x, I y, I* r) { return __builtin_add_overflow(x, y, r); }
bool subtract(I x, I y, I* r) { return __builtin_sub_overflow(x, y, r); }
bool multiply(I x, I y, I* r) { return __builtin_mul_overflow(x, y, r); }
template <I (*F)(I, I)>
D on_bits(D x, D y) {
    return D(F(truncated(x), truncated(y)));
}
I bit_and(I x, I y) { return x & y; }
I bit_or(I x, I y) { return x | y; }
I bit_xor(I x, I y) { return x ^ y; }
I shift_left(I x, I y) { return I(uint64_t(x) << (y & 63)); }
I shift_right(I x, I y) { return x >> (y & 63); }

constexpr Operator kOperators[] = {
    {"add", "+", checked<add>, [](D x, D y) { return x + y; }},
    {"sub", "-", checked<subtract>, [](D x, D y) { return x - y; }},
    {"mul", "*", checked<multiply>, [](D x, D y) { return x * y; }},
    {"mod", "%%", remainder, remainder},
    {"intdiv", "%/%", floored, [](D x, D y) { return floor(x / y); }},
    {"min", "min", [](I x, I y) { return x < y ? x : y; }, lesser},
    {"max", "max", [](I x, I y) { return x < y ? y : x; }, [](D x, D y) { return -lesser(-x, -y); }},
    {"bitand", "bitwAnd", bit_and, on_bits<bit_and>},
    {"bitor", "bitwOr", bit_or, on_bits<bit_or>},
    {"bitxor", "bitwXor", bit_xor, on_bits<bit_xor>},
    {"shiftl", "bitwShiftL", shift_left, on_bits<shift_left>},
    {"shiftr", "bitwShiftR", shift_right, on_bits<shift_right>},
};

// -1, 0 or 1; 2 when one of them is NaN.
int compare(const sm_box* a, const sm_box* b) {
    if (a->tag == SM_TAG_STRING || b->tag == SM_TAG_STRING) {
        int order = text(a).compare(text(b));
        return order < 0 ? -1 : order > 0;
    }
    if (a->tag == SM_TAG_F64 || b->tag == SM_TAG_F64) {
        double x = number(a), y = number(b);
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    }
    return a->v.i64 < b->v.i64 ? -1 : a->v.i64 > b->v.i64;
}

Box apply(sm_ctx* ctx, const sm_box* a, const sm_box* b, const char* fn) {
    const Operator* op = kOperators;
    while (strcmp(op->name, fn) != 0) op++;
    bool texts = a->tag == SM_TAG_STRING || b->tag == SM_TAG_STRING;
    if (texts && op == kOperators) return new_box(ctx, new_string(ctx, text(a) + text(b)));
    if (texts) fail("'%s' cannot be applied to %s and %s", op->symbol, kind(a), kind(b));
    if (a->tag == SM_TAG_I64 && b->tag == SM_TAG_I64) return new_box(ctx, SM_TAG_I64, op->integers(a->v.i64, b->v.i64));
    if ((a->tag == SM_TAG_I1) != (b->tag == SM_TAG_I1)) fail("'%s' cannot mix %s and %s", op->symbol, kind(a), kind(b));
    return new_box(ctx, op->doubles(number(a), number(b)));
}

// How many characters have to be put in, taken out or changed.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t(0));
    for (size_t i = 0; i < a.size(); i++) {
        size_t corner = i;
        row[0] = i + 1;
        for (size_t j = 0; j < b.size(); j++) {
            size_t change = corner + (a[i] != b[j]);
            corner = row[j + 1];
            row[j + 1] = std::min({change, row[j] + 1, corner + 1});
        }
    }
    return row[b.size()];
}

// The nearest of the blank-separated names, empty when none is near.
std::string_view nearest(std::string_view name, std::string_view known) {
    std::string_view best;
    size_t least = name.size() / 2 + 1;
    while (!known.empty()) {
        size_t end = std::min(known.find(' '), known.size());
        size_t away = distance(name, known.substr(0, end));
        if (away < least) least = away, best = known.substr(0, end);
        known.remove_prefix(std::min(end + 1, known.size()));
    }
    return best;
}

}  // namespace
}  // namespace sm

SM_API void sm_no_function(sm_ctx* ctx, sm_string* called, const char* known) {
    SM_ENTRY(ctx, {
        std::string_view near = sm::nearest(sm::view(called), known);
        std::string hint = near.empty() ? "" : "; did you mean '" + std::string(near) + "'?";
        sm::fail("there is no function '%.*s' that could be called here%s", int(std::min<int64_t>(called->length, 60)), called->text,
                 hint.c_str());
    });
}

SM_API sm_box* sm_dynamic(sm_ctx* ctx, sm_box* a, sm_box* b, const char* fn) {
    return SM_ENTRY(ctx, { return sm::apply(ctx, a, b, fn).take(); });
}

SM_API int32_t sm_dynamic_compare(sm_ctx* ctx, sm_box* a, sm_box* b, const char* fn) {
    return SM_ENTRY(ctx, {
        int order = sm::compare(a, b);
        if (fn[0] == 'e') return int32_t(order == 0);
        if (fn[0] == 'n') return int32_t(order != 0);
        bool wanted = fn[0] == 'l' ? order < 0 : order == 1;
        return int32_t(wanted || (fn[1] == 'e' && order == 0));
    });
}

SM_API sm_box* sm_cast_f64_box(sm_ctx* ctx, double v) {
    return SM_ENTRY(ctx, { return sm::new_box(ctx, v).take(); });
}
SM_API sm_box* sm_cast_i64_box(sm_ctx* ctx, int64_t v) {
    return SM_ENTRY(ctx, { return sm::new_box(ctx, SM_TAG_I64, v).take(); });
}
SM_API sm_box* sm_cast_i1_box(sm_ctx* ctx, int32_t v) {
    return SM_ENTRY(ctx, { return sm::new_box(ctx, SM_TAG_I1, v != 0).take(); });
}
SM_API sm_box* sm_cast_str_box(sm_ctx* ctx, sm_string* s) {
    return SM_ENTRY(ctx, { return sm::new_box(ctx, sm::lasting(ctx, s)).take(); });
}

SM_API double sm_cast_box_f64(sm_ctx* ctx, sm_box* b) {
    return SM_ENTRY(ctx, { return b->tag == SM_TAG_STRING ? sm::to_f64(sm::view(b->v.str)) : sm::number(b); });
}
SM_API int64_t sm_cast_box_i64(sm_ctx* ctx, sm_box* b) {
    return SM_ENTRY(ctx, {
        if (b->tag == SM_TAG_STRING) return sm::to_i64(sm::view(b->v.str));
        return b->tag == SM_TAG_F64 ? sm::truncated(b->v.f64) : b->v.i64;
    });
}
SM_API int32_t sm_cast_box_i1(sm_ctx*, sm_box* b) {
    return b->tag == SM_TAG_STRING ? sm::to_i1(sm::view(b->v.str)) : sm::number(b) != 0;
}
SM_API sm_string* sm_cast_box_str(sm_ctx* ctx, sm_box* b) {
    return SM_ENTRY(ctx, {
        if (b->tag == SM_TAG_STRING) return sm::String::borrow(b->v.str).take();
        return sm::new_string(ctx, sm::text(b)).take();
    });
}
