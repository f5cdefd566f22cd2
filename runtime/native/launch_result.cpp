// What a launch makes: the buffers of its results before it runs, and their combination afterwards.
#include "launch.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <limits>

namespace sm {

constexpr int64_t kStreamed = 32 << 20;  // bytes of results that would only push other data out of the caches

double identity(int fn) {
    switch (fn) {
        case SM_AGG_SUM: return 0;
        case SM_AGG_PROD: return 1;
        case SM_AGG_MIN: return std::numeric_limits<double>::infinity();
        default: return -std::numeric_limits<double>::infinity();
    }
}

// The matrix of a consumed input that nobody else holds, to be overwritten by a map output.
Matrix Launch::reusable_input(uint8_t format) {
    for (int i = 0; i < kernel->n_in; i++) {
        if (!(consumed >> i & 1) || !full(i)) continue;
        sm_matrix* m = args[i].v.matrix;
        int others = in[i].get() == m ? 2 : 1;  // the caller's reference and ours
        if (m->format != format || (m->flags & SM_READONLY) || m->o.holds || __atomic_load_n(&m->o.refs, __ATOMIC_ACQUIRE) != others) continue;
        if (format == SM_CSR && i != driver) continue;
        bool twice = false;
        for (int j = 0; j < kernel->n_in; j++) twice = twice || (j != i && is_matrix(j) && args[j].v.matrix == m);
        if (twice) continue;
        consumed &= ~(1u << i);
        m->nnz = format == SM_CSR ? m->nnz : -1;
        return Matrix(m);
    }
    return Matrix();
}

void Launch::allocate() {
    int64_t fresh = 0;  // bytes of new dense results
    bool in_place = false;
    for (int k = 0; k < kernel->n_out; k++) {
        double id = identity(kernel->out_fn[k]);
        switch (kernel->out_kind[k]) {
            case SM_OUT_MAP:
                if (leaders.size() < 2) out[k] = reusable_input(driver < 0 ? SM_DENSE : SM_CSR);
                if (driver < 0) {
                    in_place = in_place || out[k];
                    if (!out[k]) out[k] = new_dense(ctx, rows, cols, elem());
                    fresh += rows * cols * cell_size(elem());
                } else if (!out[k]) {
                    const int64_t* begins = merged_rows();
                    out[k] = new_csr(ctx, rows, cols, begins[rows], elem());
                    memcpy(out[k]->rowptr, begins, size_t(rows + 1) * 8);
                    if (leaders.size() == 1) memcpy(out[k]->colidx, in[driver]->colidx, size_t(begins[rows]) * 4);
                }
                call.out[k] = static_cast<double*>(out[k]->data);
                call.out_rs[k] = flat || merges ? 0 : cols;
                break;
            case SM_OUT_FULL:
                partials[k].assign(size_t(chunks()) * 2, 0.0);
                for (size_t i = 0; i < partials[k].size(); i += 2) partials[k][i] = id;
                break;
            case SM_OUT_ROW:
                out[k] = new_dense_fill(ctx, rows, 1, id, elem());
                out[k]->nnz = -1;
                call.out[k] = static_cast<double*>(out[k]->data);
                call.out_rs[k] = 1;
                break;
            default:
                call.out_rs[k] = cols;
                partials[k].assign(size_t(chunks()) * 2 * size_t(cols), 0.0);
                if (id != 0)
                    for (int64_t c = 0; c < chunks(); c++)
                        std::fill_n(partials[k].begin() + c * 2 * cols, cols, id);
        }
    }
    if (fresh > kStreamed && !in_place) call.flags |= SM_CELL_STREAM;
}

// With `count` more cells of one value, which a CSR-driven kernel did not see.
static double with_unseen(int fn, double v, double value, int64_t count) {
    if (count == 0) return v;
    if (fn == SM_AGG_SUM) return v + value * double(count);
    return fn == SM_AGG_PROD ? v * pow(value, double(count)) : pick(fn, v, value);
}

void Launch::combine() {
    bool drops = driver >= 0;
    auto unseen_in_row = [&](int64_t i) { return cols - (merged_rows()[i + 1] - merged_rows()[i]); };
    for (int k = 0; k < kernel->n_out; k++) {
        int f = kernel->out_fn[k];
        bool count = drops && (f != SM_AGG_SUM || !at_zero.values[k].empty());  // zeros change no sums
        auto** matrix_result = static_cast<sm_matrix**>(results[k]);
        if (kernel->out_kind[k] == SM_OUT_MAP) continue;
        if (kernel->out_kind[k] == SM_OUT_FULL) {
            double v = identity(f);
            Sum sum;
            for (size_t i = 0; i < partials[k].size(); i += 2) {
                if (f != SM_AGG_SUM) v = pick(f, v, partials[k][i]);
                else sum.add(partials[k][i], partials[k][i + 1]);
            }
            auto account = [&](double value, int64_t times) {
                if (f != SM_AGG_SUM) v = with_unseen(f, v, value, times);
                else if (times) sum.add(value * double(times));
            };
            if (count && at_zero.along == AtZero::kByColumn) {
                std::vector<int64_t> unseen = unseen_in_columns();
                for (int64_t c = 0; c < cols; c++) account(at_zero.of(k, c), unseen[size_t(c)]);
            } else if (count) {
                for (int64_t i = 0; i < rows; i++) account(at_zero.of(k, i), unseen_in_row(i));
            }
            *static_cast<double*>(results[k]) = f == SM_AGG_SUM ? sum.result() : v;
        } else if (kernel->out_kind[k] == SM_OUT_ROW) {
            if (count)
                with_element(elem(), [&](auto type) {
                    auto* v = values<decltype(type)>(out[k].get());
                    for (int64_t i = 0; i < rows; i++)
                        v[i] = static_cast<decltype(type)>(with_unseen(f, v[i], at_zero.of(k, i), unseen_in_row(i)));
                });
            *matrix_result = out[k].take();
        } else {
            Matrix r = new_dense(ctx, 1, cols, elem());
            std::vector<int64_t> unseen;
            if (count) unseen = unseen_in_columns();
            parallel_chunks(ctx, cols, 512, [&](int64_t c0, int64_t c1) {
                for (int64_t c = c0; c < c1; c++) {
                    double v = identity(f);
                    Sum sum;
                    for (int64_t chunk = 0; chunk < chunks(); chunk++) {
                        const double* part = &partials[k][size_t(chunk) * 2 * size_t(cols)];
                        if (f != SM_AGG_SUM) v = pick(f, v, part[c]);
                        else sum.add(part[c], part[cols + c]);
                    }
                    if (f == SM_AGG_SUM) v = sum.result();
                    if (count) v = with_unseen(f, v, at_zero.of(k, c), unseen[size_t(c)]);
                    if (elem() == SM_F32) values<float>(r.get())[c] = static_cast<float>(v);
                    else values(r.get())[c] = v;
                }
            });
            *matrix_result = r.take();
        }
    }
    for (Matrix& m : in) m = Matrix();  // a reused buffer now belongs to the result alone
    for (int k = 0; k < kernel->n_out; k++) {
        if (kernel->out_kind[k] != SM_OUT_MAP) continue;
        if (!drops) out[k]->nnz = -1;
        *static_cast<sm_matrix**>(results[k]) = drops ? finish(ctx, std::move(out[k])).take() : out[k].take();
    }
}

}  // namespace sm
