// Regions over products in tiles: the product's cells of a tile are made in a buffer that stays in the cache, the
// kernel runs over it, and the outputs are closed tile by tile. The product never is as a whole.
#include "launch_outer.h"

#include "launch.h"
#include "linalg_gemm.h"

#include <algorithm>
#include <cstring>

namespace sm {
namespace {

constexpr int64_t kTileCells = 1 << 15, kTileCols = 512;  // 256 KiB for each buffer
constexpr int64_t kTasks = 64;
constexpr int64_t kColumnTasks = 8;       // tasks that each keep results for all columns
constexpr int64_t kPartialCells = 1 << 24;

struct Tile {
    int64_t r0, r1, c0, c1;
    int64_t rows() const { return r1 - r0; }
    int64_t cols() const { return c1 - c0; }
};

// What one task keeps: its sums, and its share of results for columns.
template <class T>
struct Part {
    CompensatedSum full[SM_MAX_OUT];
    std::vector<double> columns[SM_MAX_OUT];  // sums, then compensations
    std::vector<T> products[SM_MAX_OUT];
};

template <class T>
struct Tiled {
    OuterLaunch& l;
    int64_t tile_rows, tile_cols, n_tasks;
    Matrix out[SM_MAX_OUT];

    void run(int64_t task, Part<T>& part);
    void product(const OuterInput& x, const Tile& t, T* to) const;
    const T* input(int i, const Tile& t, T* buffer, int64_t& stride) const;
    void close(int k, const Tile& t, const T* s, int64_t stride, Part<T>& part);
};

template <class T>
void Tiled<T>::product(const OuterInput& x, const Tile& t, T* to) const {
    const T *a = x.u.at<T>(t.r0), *b = x.v.at<T>(t.c0);
    int64_t lda = x.u.m->cols, ldb = x.v.m->cols, k = x.inner;
    if (k == 0) return void(std::fill_n(to, t.rows() * t.cols(), T(0)));
    multiply_here<T>({t.rows(), t.cols(), k, {a, lda, !x.u.strided}, {b, ldb, !x.v.strided}, to, t.cols(), false, false});
}

// The cells of input i in the tile: where they are, or written into the buffer.
template <class T>
const T* Tiled<T>::input(int i, const Tile& t, T* buffer, int64_t& stride) const {
    const OuterInput& x = l.in[i];
    const sm_matrix* m = x.m.get();
    stride = t.cols();
    switch (x.kind) {
        case OuterInput::kProduct: product(x, t, buffer); break;
        case OuterInput::kScalar: stride = 0; return scalar_cell(x, T());
        case OuterInput::kCell: std::fill_n(buffer, t.rows() * t.cols(), values<T>(m)[0]); break;
        case OuterInput::kRow: stride = 0; return values<T>(m) + t.c0;
        case OuterInput::kColumn:
            for (int64_t r = 0; r < t.rows(); r++) std::fill_n(buffer + r * t.cols(), t.cols(), values<T>(m)[t.r0 + r]);
            break;
        case OuterInput::kFull:
            if (is_dense(m)) {
                stride = m->cols;
                return row<T>(m, t.r0) + t.c0;
            }
            std::fill_n(buffer, t.rows() * t.cols(), T(0));
            for (int64_t r = t.r0; r < t.r1; r++) {
                const int32_t *at = m->colidx + m->rowptr[r], *end = m->colidx + m->rowptr[r + 1];
                if (t.c0 > 0) at = std::lower_bound(at, end, t.c0);
                for (; at < end && *at < t.c1; at++) buffer[(r - t.r0) * t.cols() + *at - t.c0] = values<T>(m)[at - m->colidx];
            }
    }
    return buffer;
}

template <class T>
void Tiled<T>::close(int k, const Tile& t, const T* s, int64_t stride, Part<T>& part) {
    const sm_matrix* factor = l.factor[k].get();
    switch (l.outputs[k]) {
        case 'r':
            for (int64_t r = 0; r < t.rows(); r++) {
                double* to = row(out[k].get(), t.r0 + r);
                CompensatedSum sum{to[0], to[1]};
                add_cells(sum, s + r * stride, t.cols());
                to[0] = sum.value, to[1] = sum.rest;
            }
            break;
        case 'c':
            for (int64_t r = 0; r < t.rows(); r++) add_compensated(&part.columns[k][size_t(t.c0)], &part.columns[k][size_t(l.cols + t.c0)], s + r * stride, t.cols());
            break;
        case 'R':
            if (factor->cols > 0)
                multiply_here<T>({t.rows(), factor->cols, t.cols(), {s, stride, true}, {row<T>(factor, t.c0), factor->cols, false},
                                  row<T>(out[k].get(), t.r0), factor->cols, true, false});
            break;
        case 'L':
            if (factor->cols > 0)
                multiply_here<T>({t.cols(), factor->cols, t.rows(), {s, stride, false}, {row<T>(factor, t.r0), factor->cols, false},
                                  &part.products[k][size_t(t.c0 * factor->cols)], factor->cols, true, false});
            break;
    }
}

template <class T>
void Tiled<T>::run(int64_t task, Part<T>& part) {
    const sm_cell_kernel* kernel = l.kernel;
    int n_in = kernel->n_in, n_out = kernel->n_out;
    int64_t room = tile_rows * tile_cols;
    std::vector<std::unique_ptr<T[]>> buffers(static_cast<size_t>(n_in + n_out));
    double full[SM_MAX_OUT][2];  // value and compensation
    for (int b = 0; b < n_in + n_out; b++) {
        bool used = b < n_in ? l.in[b].kind != OuterInput::kScalar && l.in[b].kind != OuterInput::kRow &&
                                   !(l.in[b].kind == OuterInput::kFull && is_dense(l.in[b].m.get()))
                             : l.outputs[b - n_in] != 'm' && l.outputs[b - n_in] != 'f';
        if (used) buffers[size_t(b)].reset(new T[size_t(room)]);
    }
    for (int k = 0; k < n_out; k++) {
        if (l.outputs[k] == 'c') part.columns[k].assign(size_t(2 * l.cols), 0.0);
        if (l.outputs[k] == 'L') part.products[k].assign(size_t(l.cols * l.width(k)), T(0));
    }
    int64_t end = l.rows * (task + 1) / n_tasks;
    sm_cell_args a{};
    Tile t{};
    for (t.r0 = l.rows * task / n_tasks; t.r0 < end; t.r0 = t.r1) {
        t.r1 = std::min(end, t.r0 + tile_rows);
        for (t.c0 = 0; t.c0 < l.cols; t.c0 = t.c1) {
            t.c1 = std::min(l.cols, t.c0 + tile_cols);
            for (int i = 0; i < n_in; i++) a.in[i] = as_input(input(i, t, buffers[size_t(i)].get(), a.in_rs[i]));
            for (int k = 0; k < n_out; k++) {
                bool map = l.outputs[k] == 'm';
                a.out[k] = l.outputs[k] == 'f' ? full[k] : as_output(map ? row<T>(out[k].get(), t.r0) + t.c0 : buffers[size_t(n_in + k)].get());
                a.out_rs[k] = map ? l.cols : t.cols();
            }
            l.fn(&a, 0, t.rows(), 0, t.cols());
            for (int k = 0; k < n_out; k++) {
                if (l.outputs[k] == 'f') {
                    part.full[k].add(full[k][0]);
                    if (std::isfinite(full[k][0])) part.full[k].rest += full[k][1];
                } else {
                    close(k, t, buffers[size_t(n_in + k)].get(), t.cols(), part);
                }
            }
        }
    }
}

}  // namespace

template <class T>
void OuterLaunch::tiled() {
    Tiled<T> s{*this, 0, 0, 0, {}};
    int64_t wide = 1;
    for (int k = 0; k < kernel->n_out; k++) {
        if (outputs[k] == 'm') s.out[k] = new_dense(ctx, rows, cols, elem());
        if (outputs[k] == 'r') s.out[k] = new_dense_zero(ctx, rows, 2);  // value and compensation side by side
        if (outputs[k] == 'R') s.out[k] = new_dense_zero(ctx, rows, width(k), elem()), s.out[k]->nnz = -1;
        if (outputs[k] == 'c') wide = std::max(wide, 2 * cols);
        if (outputs[k] == 'L') wide = std::max(wide, cols * width(k));
    }
    s.tile_cols = std::clamp<int64_t>(cols, 1, kTileCols);
    s.tile_rows = std::clamp<int64_t>(rows, 1, kTileCells / s.tile_cols);
    int64_t most = has('c') || has('L') ? std::clamp<int64_t>(kPartialCells / wide, 1, kColumnTasks) : kTasks;
    s.n_tasks = std::clamp<int64_t>((rows + s.tile_rows - 1) / s.tile_rows, 1, most);
    if (rows * cols > kTileCells && s.n_tasks < 8) {  // few, long rows: smaller tiles, so that there is work for all
        s.n_tasks = std::min({rows, most, int64_t(8)});
        s.tile_rows = (rows + s.n_tasks - 1) / s.n_tasks;
    }
    std::vector<Part<T>> parts(static_cast<size_t>(s.n_tasks));
    if (rows > 0 && cols > 0) {
        parallel_for(ctx, s.n_tasks, [&](int64_t t) { s.run(t, parts[size_t(t)]); });
    }
    for (int k = 0; k < kernel->n_out; k++) {
        Matrix& r = s.out[k];
        if (outputs[k] == 'f') {
            CompensatedSum sum;
            for (const Part<T>& p : parts) sum.add(p.full[k].value), sum.rest += std::isfinite(p.full[k].value) ? p.full[k].rest : 0;
            set(k, sum.result());
            continue;
        }
        if (outputs[k] == 'r') {
            Matrix sums = new_dense(ctx, rows, 1, elem());
            for (int64_t i = 0; i < rows; i++) values<T>(sums.get())[i] = T(CompensatedSum{row(r.get(), i)[0], row(r.get(), i)[1]}.result());
            r = std::move(sums);
        } else if (outputs[k] == 'c') {
            r = new_dense(ctx, 1, cols, elem());
            for (int64_t c = 0; c < cols; c++) {
                CompensatedSum sum;
                for (const Part<T>& p : parts)
                    if (!p.columns[k].empty()) {
                        double v = p.columns[k][size_t(c)];
                        sum.add(v), sum.rest += std::isfinite(v) ? p.columns[k][size_t(cols + c)] : 0;
                    }
                values<T>(r.get())[c] = T(sum.result());
            }
        } else if (outputs[k] == 'L') {
            r = new_dense_zero(ctx, cols, width(k), elem());
            r->nnz = -1;
            for (const Part<T>& p : parts)
                for (size_t c = 0; c < p.products[k].size(); c++) values<T>(r.get())[c] += p.products[k][c];
        } else if (outputs[k] == 'm') {
            r->nnz = -1;
        }
        set(k, std::move(r));
    }
}

template void OuterLaunch::tiled<double>();
template void OuterLaunch::tiled<float>();

}  // namespace sm
