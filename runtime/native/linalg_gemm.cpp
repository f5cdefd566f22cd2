// Dense products of any size, from pieces that fit into the caches. Every cell of the result is a sum in one fixed order: stretches
// of the inner dimension whose length depends on that dimension (and, for partial results, on the shape) alone. So it does not
// matter who computes which piece.
#include "linalg_gemm.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "linalg_tile.h"
#include "simd_rows.h"

namespace sm {
namespace {

constexpr int64_t kDepth = 384;               // of a stretch: a panel of the right operand stays near, few sums go to memory
constexpr int64_t kBlockBytes = 768 << 10;    // of the left operand, in the second cache
constexpr int64_t kDirectPanels = 4;          // of the right operand for which packing the left one does not pay
constexpr int64_t kNearBytes = 1024;          // between cells of a column that are read one after the other
constexpr int64_t kColumns = 1024;            // of the right operand that one task packs for itself
constexpr int64_t kSharedColumns = 128;       // of a right operand beside which packing the left one is little work
constexpr int64_t kSharedBytes = 64 << 20;    // of one that is packed for all tasks
constexpr int64_t kPartialBytes = 32 << 20;   // partial results of a split inner dimension
constexpr double kTaskFlops = 2e6;            // tens of microseconds

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
int64_t parts(int64_t n, int64_t most) { return (n + most - 1) / most; }

// Memory of a thread for what it packs, kept for the next product.
struct Scratch {
    void* memory = nullptr;
    size_t size = 0;
    ~Scratch() { free(memory); }
    void* get(size_t bytes) {
        constexpr size_t kHuge = 2 << 20;
        if (bytes <= size) return memory;
        free(memory);
        size = 0;
        size_t unit = bytes < kHuge / 4 ? 4096 : kHuge;
        bytes = (bytes + unit - 1) / unit * unit;
        memory = aligned_alloc(unit, bytes);
        if (!memory) throw std::bad_alloc();
        if (unit == kHuge) madvise(memory, bytes, MADV_HUGEPAGE);
        size = bytes;
        return memory;
    }
};
thread_local Scratch scratch;

// Memory of one product.
template <class T>
struct Buffer {
    explicit Buffer(int64_t cells) : bytes(cells * int64_t(sizeof(T))), data(bytes ? static_cast<T*>(alloc_buffer(bytes, false)) : nullptr) {}
    ~Buffer() { free_buffer(data, bytes); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    int64_t bytes;
    T* data;
};

template <class T>
struct Gemm {
    sm_ctx* ctx;
    const Product<T>& x;
    const Tile<T>& t = tile<T>();
    int64_t depth, height;            // of a stretch, of a block of rows
    int64_t k0 = 0, k1 = 0;           // the stretches that are packed for all tasks
    const T *left = nullptr, *right = nullptr;  // packed for all tasks
    int64_t left_size, right_size;    // cells of a packed stretch by its depth

    Gemm(sm_ctx* ctx, const Product<T>& x) : ctx(ctx), x(x) {
        depth = up(parts(x.k, parts(x.k, kDepth)), 8);
        height = std::max(kBlockBytes / int64_t(sizeof(T)) / depth / t.cols * t.cols, t.cols);
        left_size = up(x.m, t.rows);
        right_size = x.n / t.cols * t.cols + up(x.n % t.cols, t.pad);
    }

    // Over a small result the inner dimension is split.
    bool tall() const { return x.k >= 16 * std::max(x.m, x.n) && x.k >= 4096 && x.m * x.n * int64_t(sizeof(T)) * 15 <= kPartialBytes; }

    int64_t length() const { return up(std::max<int64_t>(2048, parts(x.k, 16)), depth); }  // of the inner dimension, for a task

    // Tiles of a are read where they are when they meet few panels only.
    bool direct() const { return !x.triangle && x.n <= kDirectPanels * t.cols && (x.a.along_k || x.a.ld * int64_t(sizeof(T)) <= kNearBytes); }

    void compute(int64_t i0, int64_t i1, int64_t j0, int64_t j1, int64_t from, int64_t to, T* c, int64_t ldc, bool add) const;
    void take_left(Piece<T>& p, int64_t i, int64_t s, T* room) const;
    void pack(T* out, const Operand<T>& f, bool is_left, int64_t size, int64_t n);
    void split_inner();
    void split_result();
};

// Rows [i0, i1) and columns [j0, j1) of the result, over [from, to) of the inner dimension. The corner is a whole number of tiles.
template <class T>
void Gemm<T>::compute(int64_t i0, int64_t i1, int64_t j0, int64_t j1, int64_t from, int64_t to, T* c, int64_t ldc, bool add) const {
    int64_t wide = up(j1 - j0, t.cols);
    if (!right && !x.triangle) wide = std::min(wide, up(kColumns, t.cols));
    int64_t high = std::min(height, up(i1 - i0, t.cols));
    bool packs_left = !left && !x.triangle;
    int64_t left_cells = packs_left ? up((direct() ? t.rows : high) * depth, 64) : 0;
    T* room = static_cast<T*>(scratch.get(size_t(left_cells + (right ? 0 : wide * depth)) * sizeof(T)));
    Piece<T> p{};
    p.triangle = x.triangle;
    p.ldc = ldc;
    for (int64_t s = from; s < to; s += depth) {
        p.k = std::min(depth, to - s);
        p.add = add || s > from;
        for (int64_t j = j0; j < j1; j += wide) {
            p.n = std::min(wide, j1 - j);
            p.column = j;
            if (right) {
                p.b = right + (s - k0) * right_size + j * p.k;
            } else {
                t.pack_right(room + left_cells, x.b.at(j, s), x.b.ld, x.b.along_k, p.n, p.k);
                p.b = room + left_cells;
                bool follows = wide >= j1 - j0 && high >= i1 - i0 && !x.b.along_k && x.b.ld == x.n && s + depth < to;
                p.ahead = follows ? x.b.at(j, s + depth) : nullptr;
                p.ahead_bytes = std::min(depth, to - s - depth) * x.n * int64_t(sizeof(T));
            }
            for (int64_t i = i0; i < i1; i += high) {
                p.m = std::min(high, i1 - i);
                p.row = i;
                p.c = c + i * ldc + j;
                p.tail = nullptr;
                if (x.triangle) {  // the rows of a are the columns of b
                    int64_t whole = std::min(i + p.m, x.n / t.cols * t.cols);
                    p.a_tile = t.rows, p.a_group = t.cols / t.rows, p.a_panel = t.cols * p.k, p.a_row = 1, p.a_column = t.cols;
                    p.a = p.b + i * p.k;
                    int64_t all = p.m;
                    p.m = whole - i;
                    if (p.m > 0) t.multiply(p);
                    if (all > p.m && p.m >= 0) {  // the last panel is narrower
                        p.row = i + p.m, p.c += p.m * ldc, p.a += p.m * p.k, p.a_column = right_size - whole, p.m = all - p.m;
                        t.multiply(p);
                    }
                    continue;
                }
                take_left(p, i, s, room);
                t.multiply(p);
            }
        }
    }
}

// The rows of the left operand from i on, over the stretch from s on.
template <class T>
void Gemm<T>::take_left(Piece<T>& p, int64_t i, int64_t s, T* room) const {
    p.a_tile = t.rows * p.k, p.a_group = p.m, p.a_row = 1, p.a_column = t.rows;
    p.tail = nullptr;
    if (left) {
        p.a = left + (s - k0) * left_size + i * p.k;
    } else if (direct()) {
        p.a = x.a.at(i, s);
        p.a_row = x.a.along_k ? x.a.ld : 1, p.a_column = x.a.along_k ? 1 : x.a.ld, p.a_tile = t.rows * p.a_row;
        if (int64_t rest = p.m % t.rows) {
            t.pack_left(room, x.a.at(i + p.m - rest, s), x.a.ld, x.a.along_k, rest, p.k);
            p.tail = room;
        }
    } else {
        t.pack_left(room, x.a.at(i, s), x.a.ld, x.a.along_k, p.m, p.k);
        p.a = room;
    }
}

// Stretches [k0, k1) of a factor with n rows or columns, for all tasks.
template <class T>
void Gemm<T>::pack(T* out, const Operand<T>& f, bool is_left, int64_t size, int64_t n) {
    int64_t unit = (is_left ? t.rows : t.cols) * 8, across = parts(n, unit);
    parallel_for(ctx, parts(k1 - k0, depth) * across, [&](int64_t task) {
        int64_t s = k0 + task / across * depth, i = task % across * unit, d = std::min(depth, k1 - s);
        (is_left ? t.pack_left : t.pack_right)(out + (s - k0) * size + i * d, f.at(i, s), f.ld, f.along_k, std::min(unit, n - i), d);
    });
}

// A long inner dimension over a small result: partial results, added in order.
template <class T>
void Gemm<T>::split_inner() {
    int64_t length = this->length(), n = parts(x.k, length), cells = x.m * x.n;
    Buffer<T> partial((n - 1) * cells);
    parallel_for(ctx, n, [&](int64_t task) {
        int64_t from = task * length, to = std::min(x.k, from + length);
        if (task) compute(0, x.m, 0, x.n, from, to, partial.data + (task - 1) * cells, x.n, false);
        else compute(0, x.m, 0, x.n, from, to, x.c, x.ldc, x.add);
    });
    parallel_chunks(ctx, x.m, std::max<int64_t>(1, kGrain / x.n), [&](int64_t i0, int64_t i1) {
        for (int64_t task = 1; task < n; task++)
            for (int64_t i = i0; i < i1; i++) add_into(x.c + i * x.ldc, partial.data + (task - 1) * cells + i * x.n, x.n);
    });
}

// The smaller factor is packed once, for all; tasks own rows of the result, or columns, and pack what they need of the other one.
template <class T>
void Gemm<T>::split_result() {
    bool by_rows = x.triangle || x.m >= x.n;
    int64_t length = by_rows ? x.m : x.n, other = by_rows ? x.n : x.m, unit = by_rows && !x.triangle ? t.rows : t.cols;
    double flops = 2.0 * double(x.m) * double(x.n) * double(x.k);
    int64_t n = int64_t(std::min(flops / kTaskFlops, 8.0));
    n = up(std::max({n, parts(length, height), int64_t(1)}), 2);
    int64_t side = up(parts(length, n), unit);
    n = parts(length, side);
    if (flops < 2 * kTaskFlops || n == 1) return compute(0, x.m, 0, x.n, 0, x.k, x.c, x.ldc, x.add);
    int64_t size = by_rows ? right_size : left_size;
    int64_t chunk = std::clamp(kSharedBytes / int64_t(sizeof(T)) / size / depth, int64_t(1), parts(x.k, depth)) * depth;
    Buffer<T> packed(chunk * size);
    (by_rows ? right : left) = packed.data;
    for (k0 = 0; k0 < x.k; k0 = k1) {
        k1 = std::min(x.k, k0 + chunk);
        pack(packed.data, by_rows ? x.b : x.a, !by_rows, size, other);
        parallel_for(ctx, n, [&](int64_t task) {
            int64_t from = task * side, to = std::min(length, from + side);
            if (by_rows) compute(from, to, 0, x.n, k0, k1, x.c, x.ldc, x.add || k0 > 0);
            else compute(0, x.m, from, to, k0, k1, x.c, x.ldc, x.add || k0 > 0);
        });
    }
}

// Several products with one left operand.
template <class T>
struct Shared {
    sm_ctx* ctx;
    std::vector<Gemm<T>> each;
    int64_t columns = 0, right_size = 0;  // of all right operands

    Shared(sm_ctx* ctx, const std::vector<Product<T>>& products) : ctx(ctx) {
        each.reserve(products.size());
        for (const Product<T>& x : products) {
            each.emplace_back(ctx, x);
            columns += x.n;
            right_size += each.back().right_size;
        }
    }

    const Gemm<T>& any() const { return each[0]; }
    bool pays() const;
    void compute(int64_t i0, int64_t i1, int64_t from, int64_t to, T* const* c, bool add) const;
    void split_inner();
    void split_result();
};

// Whether all of them are split alike, and what they pack for themselves is work that one of them can do for all.
template <class T>
bool Shared<T>::pays() const {
    if (each.size() < 2) return false;
    const Product<T>& x = any().x;
    if (2.0 * double(x.m) * double(columns) * double(x.k) < 2 * kTaskFlops) return false;
    for (const Gemm<T>& g : each)
        if (g.tall() != any().tall()) return false;
    return !any().tall() || (columns <= kColumns && x.m * columns * int64_t(sizeof(T)) * 15 <= kPartialBytes);
}

// Rows [i0, i1) of all results, over [from, to) of the inner dimension.
template <class T>
void Shared<T>::compute(int64_t i0, int64_t i1, int64_t from, int64_t to, T* const* c, bool add) const {
    const Gemm<T>& g = any();
    const Tile<T>& t = g.t;
    int64_t high = std::min(g.height, up(i1 - i0, t.cols));
    bool packs_right = !g.right;
    int64_t left_cells = up(high * g.depth, 64);
    T* room = static_cast<T*>(scratch.get(size_t(left_cells + (packs_right ? right_size * g.depth : 0)) * sizeof(T)));
    Piece<T> p{};
    for (int64_t s = from; s < to; s += g.depth) {
        p.k = std::min(g.depth, to - s);
        p.add = add || s > from;
        T* packed = room + left_cells;
        for (const Gemm<T>& one : each) {
            if (!packs_right) break;
            t.pack_right(packed, one.x.b.at(0, s), one.x.b.ld, one.x.b.along_k, one.x.n, p.k);
            packed += one.right_size * p.k;
        }
        for (int64_t i = i0; i < i1; i += high) {
            p.m = std::min(high, i1 - i);
            p.row = i;
            g.take_left(p, i, s, room);
            const T* here = room + left_cells;
            for (size_t r = 0; r < each.size(); r++) {
                const Gemm<T>& one = each[r];
                p.b = packs_right ? here : one.right + (s - one.k0) * one.right_size;
                here += one.right_size * p.k;
                p.n = one.x.n, p.ldc = one.x.ldc;
                p.c = c[r] + i * p.ldc;
                t.multiply(p);
            }
        }
    }
}

template <class T>
void Shared<T>::split_inner() {
    const Product<T>& x = any().x;
    std::vector<T*> results;
    for (const Gemm<T>& g : each) results.push_back(g.x.c);
    int64_t length = any().length(), n = parts(x.k, length), cells = x.m * columns;
    Buffer<T> partial((n - 1) * cells);
    auto part = [&](int64_t task) {  // the results of a task, one after the other
        std::vector<T*> c;
        T* at = partial.data + (task - 1) * cells;
        for (const Gemm<T>& g : each) c.push_back(at), at += x.m * g.x.n;
        return c;
    };
    parallel_for(ctx, n, [&](int64_t task) {
        int64_t from = task * length, to = std::min(x.k, from + length);
        compute(0, x.m, from, to, task ? part(task).data() : results.data(), false);
    });
    parallel_chunks(ctx, x.m, std::max<int64_t>(1, kGrain / columns), [&](int64_t i0, int64_t i1) {
        for (int64_t task = 1; task < n; task++) {
            std::vector<T*> c = part(task);
            for (size_t r = 0; r < each.size(); r++)
                add_into(results[r] + i0 * each[r].x.n, c[r] + i0 * each[r].x.n, (i1 - i0) * each[r].x.n);
        }
    });
}

template <class T>
void Shared<T>::split_result() {
    const Product<T>& x = any().x;
    const int64_t depth = any().depth;
    std::vector<T*> results;
    for (const Gemm<T>& g : each) results.push_back(g.x.c);
    int64_t n = up(std::max<int64_t>(8, parts(x.m, any().height)), 2), side = up(parts(x.m, n), any().t.rows);
    int64_t chunk = std::clamp(kSharedBytes / int64_t(sizeof(T)) / right_size / depth, int64_t(1), parts(x.k, depth)) * depth;
    Buffer<T> packed(chunk * right_size);
    for (int64_t k0 = 0, k1; k0 < x.k; k0 = k1) {
        k1 = std::min(x.k, k0 + chunk);
        T* at = packed.data;
        for (Gemm<T>& g : each) {
            g.k0 = k0, g.k1 = k1, g.right = at;
            g.pack(at, g.x.b, false, g.right_size, g.x.n);
            at += chunk * g.right_size;
        }
        parallel_for(ctx, parts(x.m, side), [&](int64_t task) {
            int64_t from = task * side, to = std::min(x.m, from + side);
            compute(from, to, k0, k1, results.data(), k0 > 0);
        });
    }
}

}  // namespace

template <class T>
void multiply(sm_ctx* ctx, const Product<T>& x) {
    Gemm<T> g(ctx, x);
    g.tall() ? g.split_inner() : g.split_result();
}

template <class T>
void multiply_shared(sm_ctx* ctx, const std::vector<Product<T>>& products) {
    std::vector<Product<T>> packing;  // the left operand, which is not what all do
    for (const Product<T>& x : products) {
        Gemm<T> g(ctx, x);
        if (g.direct() || x.n > kSharedColumns || (!g.tall() && x.n > x.m)) multiply(ctx, x);
        else packing.push_back(x);
    }
    Shared<T> all(ctx, packing);
    if (!all.pays()) {
        for (const Product<T>& x : packing) multiply(ctx, x);
    } else {
        all.any().tall() ? all.split_inner() : all.split_result();
    }
}

template <class T>
void multiply_here(const Product<T>& x) {
    Gemm<T>(nullptr, x).compute(0, x.m, 0, x.n, 0, x.k, x.c, x.ldc, x.add);
}

template void multiply_here(const Product<double>&);
template void multiply_here(const Product<float>&);
template void multiply_shared(sm_ctx*, const std::vector<Product<double>>&);
template void multiply_shared(sm_ctx*, const std::vector<Product<float>>&);
template void multiply(sm_ctx*, const Product<double>&);
template void multiply(sm_ctx*, const Product<float>&);

}  // namespace sm
