// What is said when operands do not fit: the same by operators themselves and by checks in front of what operators have become.
#pragma once

#include "core.h"

namespace sm {

struct Shape {
    int64_t rows, cols;
};
inline Shape shape_of(const sm_matrix* m) { return {m->rows, m->cols}; }
std::string text(Shape s);  // "3x4"

// `what` is an operation, or several, as the language writes them; "" when that is not known.
[[noreturn]] void cells_misfit(const std::string& what, const Shape* shapes, int64_t n);
[[noreturn]] void product_misfit(Shape a, bool a_transposed, Shape b, bool b_transposed);
[[noreturn]] void bind_misfit(bool by_rows, Shape first, Shape other);
[[noreturn]] void not_square(const char* what, Shape s);
[[noreturn]] void not_diagonal(Shape s);
[[noreturn]] void not_single(Shape s);

// Operations, by their names joined with _, as the language writes them: "+", "exp, *".
std::string as_written(const std::string& names);

}  // namespace sm
