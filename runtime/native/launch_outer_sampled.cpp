// Regions over products, driven by the non-zeros of a CSR matrix, or of several together.
//
// The non-zeros are cut into tasks of equal numbers, wherever rows begin. A task works in short runs: dots of the factors'
// rows, then the kernel over the run with SIMD, then its outputs. A row that began in an earlier task is put aside and added in
// order at the end, so that results do not depend on the threads.
//
// Rows of the right factor are gathered: for rank 20 that is three cache lines a non-zero. Many are under way at a time, so the
// bandwidth of the third cache is the limit; going over panels of columns that fit into the second cache reaches each row of
// the left factor and of the driver again and again for few non-zeros, which costs more than it saves.
#include "launch_outer.h"

#include "launch.h"
#include "linalg_product.h"
#include "simd_rows.h"

#include <algorithm>
#include <cstring>

namespace sm {
namespace {

constexpr int64_t kRun = 512;        // non-zeros a run has
constexpr int64_t kTask = 1 << 15;   // non-zeros a task has at least
constexpr int64_t kTasks = 128;
constexpr int64_t kFill = 16;        // entries that are filled at once, beyond the end of a row too
constexpr int64_t kColumnTasks = 8;  // tasks that each keep sums for all columns

template <class T>
struct Sampled {
    OuterLaunch& l;
    const sm_matrix* d;
    int64_t n_tasks;
    std::vector<CompensatedSum> full[SM_MAX_OUT];  // for each task
    // For each task, what it adds to a row that an earlier one began: to a product, or to a sum (value and compensation).
    std::vector<T> product_head[SM_MAX_OUT];
    std::vector<double> sum_head[SM_MAX_OUT];
    Matrix out[SM_MAX_OUT];
    bool like_driver[SM_MAX_IN];  // inputs that have as many entries in each row as the driver

    int64_t bound(int64_t t) const { return d->nnz * t / n_tasks; }
    int64_t row_of(int64_t p) const { return std::upper_bound(d->rowptr, d->rowptr + d->rows + 1, p) - d->rowptr - 1; }
};

template <class T>
struct Task {
    Task(Sampled<T>& s, int64_t number) : s(s), number(number), first(s.bound(number)), last(s.bound(number + 1)) {}
    Sampled<T>& s;
    int64_t number, first, last;  // non-zeros
    int64_t row;                  // of the next non-zero
    int32_t rows[kRun + std::max(kDotGroup, kFill)], cols[kRun + kDotAhead + kDotGroup], own[kRun + kDotGroup + kDotAhead];
    std::vector<T> cells;         // of inputs and outputs of the run
    double full[SM_MAX_OUT][2];   // the kernel's partial sums: value and compensation
    std::vector<T> panel[2 * SM_MAX_IN];  // gathered rows of strided factors

    void run();
    int64_t next_run(int64_t p);
    void dots(const OuterInput& x, int i, int64_t count, T* out);
    const T* input(int i, int64_t p, int64_t count, T* buffer);
    void close(int k, const T* cell, int64_t count);
};

// Rows and columns of the run that begins at p; its length. Groups of dots look beyond the end.
template <class T>
int64_t Task<T>::next_run(int64_t p) {
    const sm_matrix* d = s.d;
    int64_t count = std::min(kRun, last - p), known = std::min(count + kDotAhead, d->nnz - p);
    std::memcpy(cols, d->colidx + p, size_t(known) * sizeof(int32_t));
    for (int64_t g = 0; g < count;) {
        while (d->rowptr[row + 1] <= p + g) row++;
        int64_t stop = std::min(count, d->rowptr[row + 1] - p);
        for (; g < stop; g += kFill)
            for (int64_t i = 0; i < kFill; i++) rows[g + i] = int32_t(row);
        g = stop;
    }
    std::fill(cols + known, cols + count + kDotAhead + kDotGroup, cols[known - 1]);
    std::fill(rows + count, rows + count + kDotGroup, rows[count - 1]);
    return count;
}

template <class T>
void Task<T>::dots(const OuterInput& x, int i, int64_t count, T* out) {
    if (x.inner == 0) return std::fill_n(out, count, T(0)), void();
    const T* base[2];
    const int32_t* index[2] = {rows, cols};
    const Factor* factors[2] = {&x.u, &x.v};
    for (int side = 0; side < 2; side++) {
        const Factor& f = *factors[side];
        if (!f.strided) {
            base[side] = values<T>(f.m.get());
            continue;
        }
        std::vector<T>& p = panel[2 * i + side];
        if (p.empty()) p.resize(size_t(kRun + kDotGroup + kDotAhead) * size_t(x.inner));
        for (int64_t g = 0; g < count; g++) {
            const T* from = values<T>(f.m.get()) + index[side][g];
            for (int64_t c = 0; c < x.inner; c++) p[size_t(g * x.inner + c)] = from[c * f.m->cols];
        }
        base[side] = p.data();
        index[side] = own;
    }
    sampled_dots(base[0], index[0], base[1], index[1], count, x.inner, out);
}

// The cells of input i at the run: where they are, or gathered into the buffer.
template <class T>
const T* Task<T>::input(int i, int64_t p, int64_t count, T* buffer) {
    const OuterInput& x = s.l.in[i];
    const sm_matrix* m = x.m.get();
    switch (x.kind) {
        case OuterInput::kProduct: dots(x, i, count, buffer); break;
        case OuterInput::kScalar: return scalar_cell(x, T());
        case OuterInput::kCell: std::fill_n(buffer, count, values<T>(m)[0]); break;
        case OuterInput::kRow:
            for (int64_t g = 0; g < count; g++) buffer[g] = values<T>(m)[cols[g]];
            break;
        case OuterInput::kColumn:
            for (int64_t g = 0; g < count; g++) buffer[g] = values<T>(m)[rows[g]];
            break;
        case OuterInput::kFull:
            if (m == s.d || (s.like_driver[i] && std::memcmp(m->colidx + p, s.d->colidx + p, size_t(count) * sizeof(int32_t)) == 0))
                return values<T>(m) + p;
            if (is_dense(m)) {
                for (int64_t g = 0; g < count; g++) buffer[g] = sm::row<T>(m, rows[g])[cols[g]];
                break;
            }
            for (int64_t g = 0, r = -1, q = 0, end = 0; g < count; g++) {
                if (rows[g] != r) r = rows[g], q = m->rowptr[r], end = m->rowptr[r + 1];
                if (q < end && m->colidx[q] < cols[g]) q = std::lower_bound(m->colidx + q, m->colidx + end, cols[g]) - m->colidx;
                buffer[g] = q < end && m->colidx[q] == cols[g] ? values<T>(m)[q] : T(0);
            }
    }
    return buffer;
}

template <class T>
void Task<T>::close(int k, const T* cell, int64_t count) {
    const char output = s.l.outputs[k];
    if (output == 'f') {
        // The kernel's partial, and what it rounded off.
        CompensatedSum& sum = s.full[k][size_t(number)];
        sum.add(full[k][0]);
        if (std::isfinite(full[k][0])) sum.rest += full[k][1];
        return;
    }
    if (output != 'R' && output != 'r') return;
    int64_t q = output == 'R' ? s.l.width(k) : 1;
    for (int64_t g = 0; g < count;) {
        int64_t r = rows[g], stop = g + 1;
        while (stop < count && rows[stop] == r) stop++;
        bool begun = s.d->rowptr[r] < first;
        if (output == 'R') {
            T* to = begun ? &s.product_head[k][size_t(number * q)] : sm::row<T>(s.out[k].get(), r);
            add_rows(cols + g, cell + g, stop - g, values<T>(s.l.factor[k].get()), q, to);
        } else {
            double* to = begun ? &s.sum_head[k][size_t(number * 2)] : values(s.out[k].get()) + 2 * r;
            CompensatedSum sum{to[0], to[1]};
            add_cells(sum, cell + g, stop - g);
            to[0] = sum.value, to[1] = sum.rest;
        }
        g = stop;
    }
}

template <class T>
void Task<T>::run() {
    const OuterLaunch& l = s.l;
    const sm_cell_kernel* kernel = l.kernel;
    for (int64_t g = 0; g < kRun + kDotGroup + kDotAhead; g++) own[g] = int32_t(g);
    constexpr int64_t kRoom = kRun + kDotGroup;
    cells.resize(size_t(kernel->n_in + kernel->n_out) * size_t(kRoom));
    sm_cell_args a{};
    row = s.row_of(first);
    for (int64_t p = first, count = 0; p < last; p += count) {
        count = next_run(p);
        for (int i = 0; i < kernel->n_in; i++) a.in[i] = as_input(input(i, p, count, &cells[size_t(i) * kRoom]));
        T* out[SM_MAX_OUT];
        for (int k = 0; k < kernel->n_out; k++) {
            bool kept = l.outputs[k] == 'm' || l.outputs[k] == 'L' || l.outputs[k] == 'c';
            out[k] = kept ? values<T>(s.out[k].get()) + p : &cells[size_t(kernel->n_in + k) * kRoom];
            a.out[k] = l.outputs[k] == 'f' ? full[k] : as_output(out[k]);
        }
        l.fn(&a, 0, 1, 0, count);
        for (int k = 0; k < kernel->n_out; k++) close(k, out[k], count);
    }
}

// Column sums of a matrix with the structure of `d`: partial sums of fixed shares of the non-zeros, added in order.
template <class T>
Matrix column_sums(sm_ctx* ctx, const sm_matrix* d, const T* cell) {
    int64_t n = std::clamp<int64_t>(d->nnz / (4 * d->cols + kTask), 1, kColumnTasks);
    std::vector<std::vector<CompensatedSum>> sums(static_cast<size_t>(n));
    parallel_for(ctx, n, [&](int64_t t) {
        std::vector<CompensatedSum>& mine = sums[size_t(t)];
        mine.resize(size_t(d->cols));
        for (int64_t p = d->nnz * t / n; p < d->nnz * (t + 1) / n; p++) mine[size_t(d->colidx[p])].add(cell[p]);
    });
    Matrix r = new_dense(ctx, 1, d->cols, element_of<T>);
    for (int64_t c = 0; c < d->cols; c++) {
        CompensatedSum sum;
        for (const auto& part : sums) sum.add(part[size_t(c)].value), sum.rest += std::isfinite(part[size_t(c)].value) ? part[size_t(c)].rest : 0;
        values<T>(r.get())[c] = T(sum.result());
    }
    return r;
}

}  // namespace

template <class T>
void OuterLaunch::sampled() {
    Sampled<T> s{*this, driver.get(), 0, {}, {}, {}, {}, {}};
    const sm_matrix* d = s.d;
    s.n_tasks = std::clamp<int64_t>(d->nnz / kTask, 1, kTasks);
    for (int i = products; i < kernel->n_in; i++) {
        const sm_matrix* m = in[i].m.get();
        s.like_driver[i] = in[i].kind == OuterInput::kFull && is_csr(m) && m->nnz == d->nnz &&
                           std::memcmp(m->rowptr, d->rowptr, size_t(rows + 1) * sizeof(int64_t)) == 0;
    }
    // Columns of strided factors are gathered one by one, unless there are enough non-zeros to pay for a transpose.
    for (int i = 0; i < products; i++)
        for (Factor* f : {&in[i].u, &in[i].v})
            if (f->m && f->strided && d->nnz > f->m->cols / 8) f->m = Matrix(sm_t(ctx, f->m.get())), f->strided = false;
    for (int k = 0; k < kernel->n_out; k++) {
        switch (outputs[k]) {
            case 'f': s.full[k].resize(size_t(s.n_tasks)); break;
            case 'm':
                s.out[k] = new_csr(ctx, rows, cols, d->nnz, elem());
                std::memcpy(s.out[k]->rowptr, d->rowptr, size_t(rows + 1) * sizeof(int64_t));
                std::memcpy(s.out[k]->colidx, d->colidx, size_t(d->nnz) * sizeof(int32_t));
                break;
            case 'r':  // value and compensation side by side
                s.out[k] = new_dense_zero(ctx, rows, 2);
                s.sum_head[k].assign(size_t(2 * s.n_tasks), 0.0);
                break;
            case 'R':
                s.out[k] = new_dense_zero(ctx, rows, width(k), elem());
                s.out[k]->nnz = -1;
                s.product_head[k].assign(size_t(width(k) * s.n_tasks), T(0));
                break;
            default: s.out[k] = new_dense(ctx, 1, d->nnz, elem());
        }
    }
    if (d->nnz > 0)
        parallel_for(ctx, s.n_tasks, [&](int64_t t) {
            Task<T> task(s, t);
            if (task.first < task.last) task.run();
        });
    for (int k = 0; k < kernel->n_out; k++) {
        if (outputs[k] == 'f') {
            CompensatedSum sum;
            for (const CompensatedSum& part : s.full[k]) sum.add(part.value), sum.rest += std::isfinite(part.value) ? part.rest : 0;
            set(k, sum.result());
            continue;
        }
        Matrix made = std::move(s.out[k]);
        if (outputs[k] == 'R' || outputs[k] == 'r') {
            int64_t q = made->cols;
            for (int64_t t = 1; t < s.n_tasks && d->nnz > 0; t++) {
                int64_t begun = s.row_of(s.bound(t));
                if (outputs[k] == 'R') {
                    add_into(row<T>(made.get(), begun), &s.product_head[k][size_t(t * q)], q);
                } else {
                    double* to = row(made.get(), begun);
                    const double* head = &s.sum_head[k][size_t(t * q)];
                    CompensatedSum sum{to[0], to[1]};
                    sum.add(head[0]);
                    sum.rest += head[1];
                    to[0] = sum.value, to[1] = sum.rest;
                }
            }
        }
        if (outputs[k] == 'r') {
            Matrix sums = new_dense(ctx, rows, 1, elem());
            for (int64_t r = 0; r < rows; r++) values<T>(sums.get())[r] = T(CompensatedSum{row(made.get(), r)[0], row(made.get(), r)[1]}.result());
            made = std::move(sums);
        } else if (outputs[k] == 'c') {
            made = column_sums(ctx, d, values<T>(made.get()));
        } else if (outputs[k] == 'L') {
            sm_matrix view = *d;
            view.data = made->data;
            made = product_csr_transposed_dense(ctx, &view, factor[k].get());
        } else if (outputs[k] == 'm') {
            made = finish(ctx, std::move(made));
        }
        set(k, std::move(made));
    }
}

template void OuterLaunch::sampled<double>();
template void OuterLaunch::sampled<float>();

}  // namespace sm
