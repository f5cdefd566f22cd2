// rand and sample. With a seed the streams are those of SystemDS, bit for bit.
#include "random.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "context.h"
#include "core.h"
#include "simd.h"

namespace sm {
namespace {

constexpr int64_t kBlock = 1000;  // the stream is defined over blocks of 1000 x 1000 cells

typedef uint64_t u8 __attribute__((vector_size(64)));

// n numbers min + range * u of the stream, eight at a time: a number takes two steps of the generator, so lane l starts
// 2 l steps ahead, and all lanes advance by sixteen.
SM_EXACT_CLONES void fill_uniform(JavaRandom& random, double min, double range, double* out, int64_t n) {
    constexpr uint64_t kMask = JavaRandom::kMask;
    uint64_t factor = 1, offset = 0;  // of k steps: state -> factor * state + offset
    u8 first;
    for (int k = 1; k <= 16; k++) {
        factor *= JavaRandom::kMultiplier;
        offset = offset * JavaRandom::kMultiplier + JavaRandom::kIncrement;
        if (k % 2) first[k / 2] = (factor * random.state + offset) & kMask;
    }
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        u8 second = (first * JavaRandom::kMultiplier + JavaRandom::kIncrement) & kMask;
        typedef int64_t i8 __attribute__((vector_size(64)));
        i8 bits = reinterpret_cast<i8>((first >> 22 << 27) + (second >> 21));
        store8(out + j, min + range * (__builtin_convertvector(bits, v8) * 0x1p-53));
        first = (first * factor + offset) & kMask;
        random.state = (random.state * factor + offset) & kMask;
    }
    for (; j < n; j++) out[j] = min + range * random.next_double();
}

struct Uniform {
    Uniform(int64_t seed, double min, double max) : random(seed), min(min), range(max - min) {}
    double raw() { return random.next_double(); }
    double next() { return min + range * random.next_double(); }
    void fill(double* out, int64_t n) { fill_uniform(random, min, range, out, n); }
    JavaRandom random;
    double min, range;
};

struct Normal {  // Box-Muller, both twins used
    explicit Normal(int64_t seed) : random(seed) {}
    double raw() { return next(); }
    double next() {
        if (has_twin) {
            has_twin = false;
            return twin;
        }
        double u1 = random.next_double(), u2 = random.next_double();
        double v = std::sqrt(-2 * std::log(u1));
        twin = v * std::sin(2 * M_PI * u2);
        has_twin = true;
        return v * std::cos(2 * M_PI * u2);
    }
    void fill(double* out, int64_t n) {
        for (int64_t j = 0; j < n; j++) out[j] = next();
    }
    JavaRandom random;
    double twin = 0;
    bool has_twin = false;
};

// Small means: Knuth's product of uniforms (TAOCP vol. 2, 3.4.1). Large ones: rejection from a normal distribution with an
// exponential tail (Devroye, The computer generation of Poisson random variables, Computing 26, 1981).
struct Poisson {
    Poisson(int64_t seed, double mean) : random(seed), mean(mean) {
        if (mean < kLarge) return;
        whole = std::floor(mean);
        delta = std::sqrt(whole * std::log(32 * whole / M_PI + 1));
        width = 2 * whole + delta;
        double body = std::sqrt(M_PI * width) * std::exp(1 / (8 * whole)), tail = width / delta * std::exp(-delta * (1 + delta) / width);
        in_body = body / (body + tail + 1);
        in_tail = in_body + tail / (body + tail + 1);
        log_factorial = log_gamma(whole);
    }
    double raw() { return next(); }
    double next() {
        if (mean < kLarge) return small(mean);
        double rest = mean - whole, below_one = rest > 0 ? small(rest) : 0;
        for (;;) {
            double x, y, v, u = random.next_double();
            if (u > in_tail) return whole + below_one;
            if (u <= in_body) {
                double n = normal();
                x = n * std::sqrt(whole + delta / 2) - 0.5;
                if (x > delta || x < -whole) continue;
                y = x < 0 ? std::floor(x) : std::ceil(x);
                v = -exponential() - n * n / 2 + 1 / (8 * whole);
            } else {
                x = delta + width / delta * exponential();
                y = std::ceil(x);
                v = -exponential() - delta * (x + 1) / width;
            }
            bool left = x < 0;
            double t = y * (y + 1) / (2 * whole), upper = t * ((2 * y + 1) / (6 * whole) - 1);
            bool taken = (v < -t && !left) || v < upper - t * t / (3 * (whole + (left ? y + 1 : 0)));
            if (!taken && v > upper) continue;
            if (taken || v < y * std::log(whole) - log_gamma(y + whole) + log_factorial) return whole + y + below_one;
        }
    }
    void fill(double* out, int64_t n) {
        for (int64_t j = 0; j < n; j++) out[j] = next();
    }

private:
    static constexpr double kLarge = 40;
    static double log_gamma(double n) {  // of n + 1, the logarithm of the factorial of n
        int sign;
        return lgamma_r(n + 1, &sign);
    }
    double small(double m) {
        double p = std::exp(-m), r = 1.0, n = 0;
        while (n < 1000 * m) {
            r *= random.next_double();
            if (r < p) break;
            n++;
        }
        return n;
    }
    double normal() {  // Box-Muller, both twins used
        if (has_twin) {
            has_twin = false;
            return twin;
        }
        double angle = 2 * M_PI * random.next_double(), radius = std::sqrt(-2 * std::log(random.next_double()));
        twin = radius * std::sin(angle);
        has_twin = true;
        return radius * std::cos(angle);
    }
    double exponential() {  // Ahrens and Dieter, algorithm SA (Communications of the ACM 15, 1972)
        double a = 0, u = random.next_double();
        for (; u < 0.5; u *= 2) a += M_LN2;
        u += u - 1;
        if (u <= M_LN2) return a + u;
        double least = random.next_double(), term = M_LN2, sum = M_LN2;
        for (int k = 2; u > sum; k++) {
            least = std::min(least, random.next_double());
            sum += term *= M_LN2 / k;
        }
        return a + least * M_LN2;
    }
    Well1024a random;
    double mean, whole = 0, delta = 0, width = 0, in_body = 0, in_tail = 0, log_factorial = 0, twin = 0;
    bool has_twin = false;
};

int64_t seed_of(double first_draw) {  // saturating, as Java converts
    double scaled = first_draw * 9223372036854775807.0;
    if (std::isnan(scaled)) return 0;
    if (scaled >= 9223372036854775807.0) return INT64_MAX;
    if (scaled <= -9223372036854775808.0) return INT64_MIN;
    return static_cast<int64_t>(scaled);
}

struct Block {
    int64_t i0, i1, j0, j1, seed;
    int64_t cells() const { return (i1 - i0) * (j1 - j0); }
};

// The generator makes doubles; cells of f32 are those, rounded.
template <class T, class G>
void fill_dense(sm_matrix* r, const Block& b, double sparsity, G& values_of, JavaRandom& nnz) {
    double drawn[kBlock];
    for (int64_t i = b.i0; i < b.i1; i++) {
        T* out = row<T>(r, i);
        if (sparsity < 1) {
            for (int64_t j = b.j0; j < b.j1; j++) out[j] = nnz.next_double() <= sparsity ? static_cast<T>(values_of.next()) : T(0);
        } else if constexpr (sizeof(T) == sizeof(double)) {
            values_of.fill(out + b.j0, b.j1 - b.j0);
        } else {
            values_of.fill(drawn, b.j1 - b.j0);
            std::copy(drawn, drawn + (b.j1 - b.j0), out + b.j0);
        }
    }
}

struct Entry {
    int32_t row, col;
    double value;
};

template <class G>
void draw_sparse(std::vector<Entry>& out, const Block& b, double sparsity, G& values_of, JavaRandom& nnz) {
    int64_t width = b.j1 - b.j0, at = 0;
    double scale = std::log(1 - sparsity);
    for (;;) {
        double jump = std::ceil(std::log(nnz.next_double()) / scale);
        if (!(jump < static_cast<double>(b.cells() + 1))) break;
        at += static_cast<int64_t>(jump);
        if (at > b.cells()) break;
        int64_t k = std::max<int64_t>(at - 1, 0);
        out.push_back({static_cast<int32_t>(k / width), static_cast<int32_t>(b.j0 + k % width), values_of.next()});
    }
}

// Whether SystemDS draws positions instead of cells: its estimate of the bytes of sparse rows decides.
bool draws_sparse(int64_t rows, int64_t cols, double sparsity, int64_t expected) {
    if (cols <= 1 || cols > INT32_MAX || sparsity >= 0.4) return false;
    double bytes = 8.0 * double(rows) + 84.0 * double(std::min(rows, expected)) + 12.0 * double(expected) - 28;
    return bytes < 8.0 * double(rows) * double(cols);
}

template <class Make>
Matrix generate(sm_ctx* ctx, int64_t rows, int64_t cols, double sparsity, int64_t seed, uint8_t elem, Make&& make) {
    std::vector<Block> blocks;
    JavaRandom source(seed);
    Well1024a seeds(source);
    for (int64_t i = 0; i < rows; i += kBlock)
        for (int64_t j = 0; j < cols; j += kBlock)
            blocks.push_back({i, std::min(rows, i + kBlock), j, std::min(cols, j + kBlock), seeds.next_long()});
    int64_t count = static_cast<int64_t>(blocks.size());
    int64_t expected = static_cast<int64_t>(sparsity * static_cast<double>(checked_cells(rows, cols)));
    bool sparse = draws_sparse(rows, cols, sparsity, expected);
    if (!sparse) {
        Matrix r = new_dense(ctx, rows, cols, elem);
        r->nnz = -1;
        parallel_for(ctx, count, [&](int64_t t) {
            auto g = make(blocks[static_cast<size_t>(t)].seed);
            JavaRandom nnz(seed_of(g.raw()));
            with_element(elem, [&](auto type) { fill_dense<decltype(type)>(r.get(), blocks[static_cast<size_t>(t)], sparsity, g, nnz); });
        });
        return sparsity < 1 ? finish(ctx, std::move(r)) : std::move(r);
    }
    std::vector<std::vector<Entry>> drawn(blocks.size());
    if (sparsity > 0)
        parallel_for(ctx, count, [&](int64_t t) {
            auto g = make(blocks[static_cast<size_t>(t)].seed);
            JavaRandom nnz(seed_of(g.raw()));
            draw_sparse(drawn[static_cast<size_t>(t)], blocks[static_cast<size_t>(t)], sparsity, g, nnz);
        });
    int64_t nnz = 0;
    for (const auto& d : drawn) nnz += static_cast<int64_t>(d.size());
    Matrix r = new_csr(ctx, rows, cols, nnz, elem);
    std::fill(r->rowptr, r->rowptr + rows + 1, 0);
    for (size_t t = 0; t < blocks.size(); t++)
        for (const Entry& e : drawn[t]) r->rowptr[blocks[t].i0 + e.row + 1]++;
    for (int64_t i = 0; i < rows; i++) r->rowptr[i + 1] += r->rowptr[i];
    std::vector<int64_t> next(r->rowptr, r->rowptr + rows);
    with_element(elem, [&](auto type) {
        auto* out = values<decltype(type)>(r.get());
        for (size_t t = 0; t < blocks.size(); t++)  // blocks go left to right, so columns stay ascending
            for (const Entry& e : drawn[t]) {
                int64_t p = next[static_cast<size_t>(blocks[t].i0 + e.row)]++;
                r->colidx[p] = e.col;
                out[p] = static_cast<decltype(type)>(e.value);
            }
    });
    drop_zeros(ctx, r.get());
    return finish(ctx, std::move(r));
}

int64_t clock_seed() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

}  // namespace

int64_t draw_seed(sm_ctx* ctx) {
    Context* c = context(ctx);
    if (!c->seeds) c->seeds.reset(new JavaRandom(clock_seed()));
    return c->seeds->next_long();
}

}  // namespace sm

using namespace sm;

// All operators without a seed of their own draw theirs from this one.
SM_API void sm_set_seed(sm_ctx* ctx, int64_t seed) { context(ctx)->seeds.reset(new JavaRandom(seed)); }

SM_API sm_matrix* sm_rand(sm_ctx* ctx, int64_t rows, int64_t cols, double min, double max, double sparsity, sm_string* pdf, int64_t seed,
                          double lambda, const char* elem) {
    return SM_ENTRY(ctx, {
        uint8_t e = element_named(elem);
        checked_cells(rows, cols);
        require(sparsity >= 0 && sparsity <= 1, "rand: sparsity must be between 0 and 1, got %s", to_text(sparsity).c_str());
        if (seed == -1) seed = draw_seed(ctx);
        std::string_view name = view(pdf);
        if (name == "uniform") {
            require(min <= max, "rand: min (%s) must not be greater than max (%s)", to_text(min).c_str(), to_text(max).c_str());
            if (min == max && sparsity >= 1) return new_dense_fill(ctx, rows, cols, min, e).take();
            return generate(ctx, rows, cols, sparsity, seed, e, [&](int64_t s) { return Uniform(s, min, max); }).take();
        }
        if (name == "normal") return generate(ctx, rows, cols, sparsity, seed, e, [&](int64_t s) { return Normal(s); }).take();
        if (name == "poisson") {
            require(lambda > 0 && lambda < 2147483648.0, "rand: lambda must be positive and less than 2^31, got %s", to_text(lambda).c_str());
            return generate(ctx, rows, cols, sparsity, seed, e, [&](int64_t s) { return Poisson(s, lambda); }).take();
        }
        fail("rand: unknown pdf '%.*s': it is uniform, normal or poisson", int(name.size()), name.data());
    });
}

SM_API sm_matrix* sm_sample(sm_ctx* ctx, int64_t range, int64_t size, int32_t replace, int64_t seed) {
    return SM_ENTRY(ctx, {
        require(size >= 0 && range >= 1, "sample: needs a range of at least 1 and a size that is not negative, got %lld and %lld", (long long)range,
                (long long)size);
        require(replace || size <= range, "sample: cannot draw %lld of %lld values without replacement", (long long)size, (long long)range);
        JavaRandom random(seed == -1 ? draw_seed(ctx) : seed);
        Matrix r = new_dense(ctx, size, 1);
        double* out = values(r.get());
        if (replace) {
            for (int64_t i = 0; i < size; i++) out[i] = 1 + static_cast<double>((random.next_long() & INT64_MAX) % range);
            return r.take();
        }
        require(range <= INT32_MAX, "sample: a range of %lld is too large without replacement", (long long)range);
        // Reservoir sampling (Vitter's algorithm R), then a shuffle so that the order is random too.
        int32_t n = static_cast<int32_t>(size);
        for (int32_t i = 1; i <= n; i++) out[i - 1] = i;
        for (int32_t i = n + 1; i <= range; i++)
            if (random.next_int(i) < n) out[random.next_int(n)] = i;
        for (int32_t i = 0; i + 1 < n; i++) std::swap(out[i], out[i + random.next_int(n - i)]);
        return r.take();
    });
}
