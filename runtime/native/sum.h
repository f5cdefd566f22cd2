// Sums that keep what rounding takes away.
#pragma once

#include <cmath>

namespace sm {

// A compensated running sum; an infinite or NaN value makes the compensation meaningless.
struct CompensatedSum {
    double value = 0, rest = 0;
    void add(double x) {
        double t = value + x;
        rest += std::fabs(value) >= std::fabs(x) ? (value - t) + x : (x - t) + value;
        value = t;
    }
    double result() const { return std::isfinite(value) ? value + rest : value; }
};

}  // namespace sm
