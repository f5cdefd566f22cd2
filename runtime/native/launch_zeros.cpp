// Zeros of sparse inputs in launches of cell kernels: what they make of the results, and those that have to be written out.
#include "launch.h"

namespace sm {

constexpr int64_t kPiece = 16384;  // cells that stay in the cache while a kernel reads them
constexpr int64_t kProbes = 2048;  // evaluations that a thread does at a time

// Runs the kernel where the inputs `zeros` are 0, with the scalars and vectors that matter there: once, or for each row or column. What is
// not known to matter is 1. False: that would be needed for each cell, or a result has no structure to keep.
bool Launch::find_zeros(uint32_t zeros, uint32_t needs, AtZero& found) {
    uint32_t dense = vector_bits();
    int64_t n = 1;
    uint32_t across = 0;  // column vectors, where there are row vectors as well
    for (int k = 0; k < kernel->n_in; k++) {
        if (!(needs >> k & 1) || !is_matrix(k) || cells(args[k].v.matrix) == 1) continue;
        if (full(k)) return false;
        auto along = args[k].v.matrix->cols == 1 ? AtZero::kByRow : AtZero::kByColumn;
        if (along == AtZero::kByRow) across |= 1u << k;
        if (found.along != AtZero::kEverywhere && found.along != along) n = -1;
        found.along = along;
        if (n > 0) n = along == AtZero::kByRow ? rows : cols;
    }
    if (n < 0) {
        if (!(needs & SM_SEPARATE)) return false;
        for (uint32_t some : {across, needs & ~across & ~SM_SEPARATE}) {
            AtZero zero;
            if (!find_zeros(zeros, some, zero)) return false;
            for (const auto& values : zero.values)
                if (!values.empty()) return false;
        }
        found = AtZero();
        return true;
    }
    for (int v = kernel->n_variants - 1; v >= 0; v--)  // of single cells, all variants are the same
        if (kernel->variant_keys[v] >> 16 == SM_FORM_DENSE) dense = kernel->variant_keys[v];
    sm_cell_fn evaluate = variant(ctx, kernel, dense);
    if (!evaluate) return false;

    sm_cell_args a{};
    Matrix held[SM_MAX_IN];
    for (int k = 0; k < kernel->n_in; k++) {
        bool matters = (needs >> k & 1) && is_matrix(k);
        if (matters) {
            held[k] = to_dense(ctx, args[k].v.matrix);
            a.in[k] = static_cast<const double*>(held[k]->data);
            a.in_rs[k] = cells(held[k].get()) != 1;
        } else {
            a.in[k] = scalar_cell(k, !is_matrix(k) ? args[k].v.f64 : zeros >> k & 1 ? 0.0 : 1.0);
        }
    }
    bool one_by_one = has_kind(SM_OUT_FULL) || has_kind(SM_OUT_COL);  // these would be added up
    for (int k = 0; k < kernel->n_out; k++) {
        found.values[k].assign(size_t(n) * 2, 0.0);  // with a compensation
        for (int64_t r = 0; r < n; r++) found.values[k][size_t(r) * 2] = identity(kernel->out_fn[k]);
        a.out_rs[k] = 1;
    }
    auto summed = [&](int k) { return kernel->out_kind[k] == SM_OUT_FULL || kernel->out_kind[k] == SM_OUT_COL; };
    parallel_chunks(ctx, n, kProbes, [&](int64_t begin, int64_t end) {
        sm_cell_args b = a;
        int64_t height = one_by_one ? 1 : end - begin;
        for (int64_t r = begin; r < end; r += height) {
            for (int k = 0; k < kernel->n_in; k++)
                b.in[k] = reinterpret_cast<const double*>(reinterpret_cast<const char*>(a.in[k]) + r * a.in_rs[k] * cell_size(elem()));
            for (int k = 0; k < kernel->n_out; k++)
                b.out[k] = reinterpret_cast<double*>(reinterpret_cast<char*>(found.values[k].data()) + r * (summed(k) ? 16 : cell_size(elem())));
            evaluate(&b, 0, height, 0, 1);
        }
    });
    for (int k = 0; k < kernel->n_out; k++) {
        auto& values = found.values[k];
        bool zero = true, narrow = elem() == SM_F32 && !summed(k);
        std::vector<double> made(static_cast<size_t>(n));
        for (size_t r = 0; r < made.size(); r++) {
            made[r] = summed(k) ? values[2 * r] : narrow ? reinterpret_cast<const float*>(values.data())[r] : values[r];
            zero = zero && made[r] == 0;
        }
        int kind = kernel->out_kind[k];
        if (!zero && (kind == SM_OUT_MAP || (kind == SM_OUT_ROW && found.along == AtZero::kByColumn) ||
                      (kind == SM_OUT_COL && found.along == AtZero::kByRow)))
            return false;
        values = zero ? std::vector<double>() : std::move(made);
    }
    return true;
}

namespace {

// Puts the cells of a CSR matrix between `begin` and `end` (counted along rows) into `out`, which holds zeros, or zeros there again.
template <class T>
void write_out(const sm_matrix* m, int64_t begin, int64_t end, T* out, bool clear) {
    const T* x = values<T>(m);
    for (int64_t r = begin / m->cols; r * m->cols < end; r++) {
        int64_t first = r * m->cols, p = m->rowptr[r], last = m->rowptr[r + 1];
        auto place = [&](int64_t cell) { return std::lower_bound(m->colidx + p, m->colidx + last, cell - first) - m->colidx; };
        if (first + m->cols > end) last = place(end);
        if (first < begin) p = place(begin);
        for (; p < last; p++) out[first + m->colidx[p] - begin] = clear ? T(0) : x[p];
    }
}

}  // namespace

// A chunk a few rows (or cells of one long row) at a time, with the CSR inputs that do not drive written out.
void Launch::run_pieces(sm_cell_args& a, int64_t begin, int64_t end) {
    int64_t unit = flat ? 1 : cols, step = std::max<int64_t>(kPiece / unit, 1);
    std::vector<char> room[SM_MAX_IN];
    for (int i = 0; i < kernel->n_in; i++)
        if (spread[i]) room[i].assign(size_t(std::min(step, end - begin) * unit * cell_size(elem())), 0);
    auto write = [&](int64_t b, int64_t e, bool clear) {
        for (int i = 0; i < kernel->n_in; i++)
            if (spread[i])
                with_element(elem(), [&](auto type) {
                    write_out(in[i].get(), b * unit, e * unit, reinterpret_cast<decltype(type)*>(room[i].data()), clear);
                });
    };
    for (int64_t b = begin, e; b < end; b = e) {
        e = std::min(b + step, end);
        write(b, e, false);
        for (int i = 0; i < kernel->n_in; i++)  // the kernel counts from the first row
            if (spread[i]) a.in[i] = reinterpret_cast<const double*>(reinterpret_cast<intptr_t>(room[i].data()) - b * unit * cell_size(elem()));
        double part[SM_MAX_OUT][2], *whole[SM_MAX_OUT];
        for (int k = 0; k < kernel->n_out; k++) {
            if (kernel->out_kind[k] != SM_OUT_FULL) continue;
            whole[k] = a.out[k];
            part[k][0] = identity(kernel->out_fn[k]);
            part[k][1] = 0;
            a.out[k] = part[k];
        }
        if (flat) fn(&a, 0, 1, b, e);
        else fn(&a, b, e, 0, cols);
        for (int k = 0; k < kernel->n_out; k++) {
            if (kernel->out_kind[k] != SM_OUT_FULL) continue;
            a.out[k] = whole[k];
            fold(kernel->out_fn[k], whole[k][0], whole[k][1], part[k][0], part[k][1]);
        }
        write(b, e, true);
    }
}

}  // namespace sm
