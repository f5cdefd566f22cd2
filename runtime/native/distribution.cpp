// Distribution functions and their inverses. Incomplete gamma and beta functions by series and Lentz's continued
// fractions (Press et al., Numerical Recipes, 6.2 and 6.4); inverses by safeguarded Newton steps on the CDF.
#include <cmath>
#include <limits>

#include "core.h"

namespace sm {
namespace {

constexpr double kEps = 1e-16, kTiny = 1e-300;
constexpr double kInf = std::numeric_limits<double>::infinity();
// Beyond so many degrees of freedom, differences of logarithms cancel; the limits of the distributions are closer.
constexpr double kMany = 1e8;
constexpr int kMostTerms = 2000000;

[[noreturn]] void diverges() { fail("a distribution function does not converge here"); }

double normal(double z, bool lower) { return 0.5 * std::erfc((lower ? -z : z) * M_SQRT1_2); }

double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

// Regularised lower (or upper) incomplete gamma function P(a, x), Q(a, x).
double gamma_p(double a, double x, bool upper) {
    if (x <= 0) return upper ? 1.0 : 0.0;
    if (std::isinf(x)) return upper ? 0.0 : 1.0;
    double scale = std::exp(-x + a * std::log(x) - log_gamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        double n = a + 1;
        for (int i = 0; std::fabs(term) > std::fabs(sum) * kEps; i++, n++) {
            if (i == kMostTerms) diverges();
            sum += term *= x / n;
        }
        double p = sum * scale;
        return upper ? 1 - p : p;
    }
    double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, h = d;
    for (int i = 1;; i++) {
        if (i == kMostTerms) diverges();
        double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
        c = b + an / c;
        if (std::fabs(c) < kTiny) c = kTiny;
        h *= d * c;
        if (std::fabs(d * c - 1) < kEps) break;
    }
    double q = scale * h;
    return upper ? q : 1 - q;
}

double beta_fraction(double a, double b, double x) {
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
    double h = d;
    for (double m = 1;; m++) {
        if (m == kMostTerms) diverges();
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (double f : {even, odd}) {
            d = 1 + f * d;
            d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
            c = 1 + f / c;
            if (std::fabs(c) < kTiny) c = kTiny;
            h *= step = d * c;
        }
        if (std::fabs(step - 1) < kEps) break;
    }
    return h;
}

// Regularised incomplete beta function I_x(a, b); y = 1 - x is given to keep its digits.
double beta_i(double a, double b, double x, double y) {
    if (x <= 0) return 0;
    if (y <= 0) return 1;
    double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log(y));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, y) / b;
}

struct Distribution {
    enum Kind { kNormal, kExp, kChisq, kF, kT } kind;
    double a, b;
    bool positive() const { return kind == kExp || kind == kChisq || kind == kF; }

    double tail(double x, bool lower) const {
        if (x != x) return x;
        switch (kind) {
            case kNormal: return normal((x - a) / b, lower);
            case kExp: return x <= 0 ? !lower : lower ? -std::expm1(-a * x) : std::exp(-a * x);
            case kChisq: {
                if (a < kMany || x <= 0 || std::isinf(x)) return gamma_p(a / 2, x / 2, !lower);
                double s = 2 / (9 * a);  // Wilson and Hilferty
                return normal((std::cbrt(x / a) - (1 - s)) / std::sqrt(s), lower);
            }
            case kF: {
                if (x <= 0) return !lower;
                if (std::isinf(x)) return lower;
                if (a >= kMany && b >= kMany) {  // Paulson
                    double s = 2 / (9 * a), u = 2 / (9 * b), w = std::cbrt(x);
                    return normal(((1 - u) * w - (1 - s)) / std::sqrt(u * w * w + s), lower);
                }
                if (b >= kMany) return Distribution{kChisq, a, 0}.tail(a * x, lower);
                if (a >= kMany) return Distribution{kChisq, b, 0}.tail(b / x, !lower);
                double d = a * x + b;
                return lower ? beta_i(a / 2, b / 2, a * x / d, b / d) : beta_i(b / 2, a / 2, b / d, a * x / d);
            }
            default: {
                if (std::isinf(x)) return (x > 0) == lower;
                if (a >= kMany) return normal(x * (1 - 1 / (4 * a)) / std::sqrt(1 + x * x / (2 * a)), lower);
                double half = 0.5 * beta_i(a / 2, 0.5, a / (a + x * x), x * x / (a + x * x));
                return (x > 0) == lower ? 1 - half : half;
            }
        }
    }

    // The x with tail(x, lower) = p: bisection on a bracket, in the tail that keeps p's digits.
    double inverse(double p) const {
        if (p != p) return p;
        if (p == 0) return positive() ? 0.0 : -kInf;
        if (p == 1) return kInf;
        if (kind == kExp) return -std::log1p(-p) / a;
        if (kind == kNormal && (a != 0 || b != 1)) return a + b * Distribution{kNormal, 0, 1}.inverse(p);
        if (!positive() && p == 0.5) return 0.0;
        bool lower = p < 0.5;
        double goal = lower ? p : 1 - p;
        double low = positive() ? 0.0 : -1.0, high = 1.0;
        auto below = [&](double x) { return lower ? tail(x, true) < goal : tail(x, false) > goal; };
        while (below(high)) high *= 2;
        while (!positive() && !below(low)) low *= 2;
        for (int i = 0; i < 2000; i++) {
            double mid = low > 0 && high > 4 * low ? std::sqrt(low) * std::sqrt(high) : low + (high - low) / 2;
            if (mid <= low || mid >= high) break;
            (below(mid) ? low : high) = mid;
        }
        return low + (high - low) / 2;
    }
};

Distribution named(const char* op, sm_string* dist, double a, double b) {
    std::string_view name = view(dist);
    auto positive = [&](double v, const char* what) { require(v > 0, "%s: %s must be positive, got %s", op, what, to_text(v).c_str()); };
    if (name == "normal") {
        positive(b, "sd");
        return {Distribution::kNormal, a, b};
    }
    if (name == "exp") {
        positive(a, "rate");
        return {Distribution::kExp, a, b};
    }
    if (name == "chisq" || name == "t") {
        positive(a, "df");
        return {name == "t" ? Distribution::kT : Distribution::kChisq, a, b};
    }
    if (name == "f") {
        positive(a, "df1");
        positive(b, "df2");
        return {Distribution::kF, a, b};
    }
    fail("%s: unknown distribution '%s': it is normal, exp, chisq, f or t", op, dist->text);
}

}  // namespace
}  // namespace sm

using namespace sm;

SM_API double sm_cdf(sm_ctx* ctx, double x, sm_string* dist, double a, double b, int32_t lower) {
    return SM_ENTRY(ctx, { return named("cdf", dist, a, b).tail(x, lower); });
}

SM_API double sm_icdf(sm_ctx* ctx, double p, sm_string* dist, double a, double b, int32_t lower) {
    return SM_ENTRY(ctx, {
        require(p >= 0 && p <= 1, "icdf: a probability must be between 0 and 1, got %s", to_text(p).c_str());
        return named("icdf", dist, a, b).inverse(lower ? p : 1 - p);
    });
}
