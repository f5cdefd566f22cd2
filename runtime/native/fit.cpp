#include "fit.h"

#include <string.h>

#include <algorithm>
#include <vector>

#include "launch.h"

namespace sm {

std::string text(Shape s) { return format("%lldx%lld", (long long)s.rows, (long long)s.cols); }

void cells_misfit(const std::string& what, const Shape* shapes, int64_t n) {
    std::string all;
    for (int64_t i = 0; i < n; i++) all += (i ? " and " : "") + text(shapes[i]);
    fail("the operands%s%s do not fit: %s", what.empty() ? "" : " of ", what.c_str(), all.c_str());
}

void product_misfit(Shape a, bool a_transposed, Shape b, bool b_transposed) {
    fail("inner dimensions of the matrix product differ: %s%s %%*%% %s%s", text(a).c_str(), a_transposed ? " transposed" : "", text(b).c_str(),
         b_transposed ? " transposed" : "");
}

void bind_misfit(bool by_rows, Shape first, Shape other) {
    fail("%s: numbers of %s differ: %s and %s", by_rows ? "rbind" : "cbind", by_rows ? "columns" : "rows", text(first).c_str(), text(other).c_str());
}

void not_square(const char* what, Shape s) { fail("%s needs a square matrix, got %s", what, text(s).c_str()); }
void not_diagonal(Shape s) { fail("diag needs a column vector or a square matrix, got %s", text(s).c_str()); }
void not_single(Shape s) { fail("as.scalar needs a 1x1 matrix, got %s", text(s).c_str()); }

std::string as_written(const std::string& names) {
    static const struct {
        const char *word, *sign;
    } signs[] = {{"add", "+"}, {"sub", "-"}, {"mul", "*"}, {"div", "/"}, {"pow", "^"}, {"mod", "%%"}, {"intdiv", "%/%"}, {"eq", "=="},
                 {"ne", "!="}, {"lt", "<"}, {"le", "<="}, {"gt", ">"}, {"ge", ">="}, {"and", "&"}, {"or", "|"}, {"not", "!"}, {"neg", "-"},
                 {"log_base", "log"}};
    std::string text;
    for (size_t at = 0; at < names.size();) {
        size_t end = std::min(names.find('_', at), names.size());
        std::string word = names.substr(at, end - at);
        if (word == "log" && names.compare(end, 5, "_base") == 0) word = "log_base", end += 5;
        if (word == "map" || word == "full" || word == "row" || word == "col") break;
        for (const auto& s : signs)
            if (word == s.word) word = s.sign;
        text += (text.empty() ? "" : ", ") + word;
        at = end + 1;
    }
    return text;
}

// Whether one operand fits the first one. The rules are those of dml.require_fit.
static bool fits(const char* rule, Shape a, Shape b) {
    auto is = [&](const char* name) { return strcmp(rule, name) == 0; };
    if (is("cells")) return (b.rows == a.rows || b.rows == 1) && (b.cols == a.cols || b.cols == 1);
    if (is("equal")) return b.rows == a.rows && b.cols == a.cols;
    if (is("product")) return a.cols == b.rows;
    return is("cbind") ? a.rows == b.rows : is("rbind") ? a.cols == b.cols : true;
}

static bool fits(const char* rule, Shape a) {
    auto is = [&](const char* name) { return strcmp(rule, name) == 0; };
    if (is("square") || is("diag")) return a.rows == a.cols || (a.cols == 1 && is("diag"));
    return !is("single") || (a.rows == 1 && a.cols == 1);
}

[[noreturn]] static void misfit(const char* rule, const char* what, const std::vector<Shape>& shapes, Shape other) {
    auto is = [&](const char* name) { return strcmp(rule, name) == 0; };
    Shape first = shapes[0];
    if (is("cells") || is("equal")) cells_misfit(as_written(what), shapes.data(), int64_t(shapes.size()));
    if (is("product")) product_misfit(first, false, other, false);
    if (is("square")) not_square(what, first);
    if (is("diag")) not_diagonal(first);
    if (is("single")) not_single(first);
    bind_misfit(is("rbind"), first, other);
}

}  // namespace sm

// The sizes are the rows and columns of each operand.
SM_API void sm_require_fit(sm_ctx* ctx, int64_t n, const sm_arg* sizes, const char* rule, const char* what) {
    auto shape = [&](int64_t i) { return sm::Shape{sizes[i].v.i64, sizes[i + 1].v.i64}; };
    sm::Shape first = shape(0), other = first;
    bool fit = sm::fits(rule, first);
    for (int64_t i = 2; i < n && fit; i += 2) fit = sm::fits(rule, first, other = shape(i));
    if (__builtin_expect(fit, 1)) return;
    return SM_ENTRY(ctx, {
        std::vector<sm::Shape> shapes;
        for (int64_t i = 0; i < n; i += 2) shapes.push_back(shape(i));
        sm::misfit(rule, what, shapes, other);
    });
}
