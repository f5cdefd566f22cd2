// Launching row kernels: one scan over the rows of a matrix. Sizes decide chunks and the order in which partial results are
// combined; the threads never do.
#include "launch.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <memory>

#include "fit.h"
#include "linalg_product.h"

namespace sm {
namespace {

constexpr int64_t kSerialCells = 32768;     // one chunk does it all
constexpr int64_t kPartialCells = 1 << 22;  // partial results of all chunks: at most 32 MiB
constexpr int64_t kDenseCells = 16384;      // of sparse rows that are written out at a time
constexpr int64_t kColumns = 512;           // of partial results that one task combines
constexpr int kMaxLengths = 31;             // classes: of inputs, and of what is put together from columns
constexpr uint32_t kCsrForm = 1u << 16;

enum Role { kRow = 0, kSide = 1, kSideTransposed = 2, kScalar = 3 };

struct Sum {
    double value = 0, rest = 0;
    void add(double x, double error) {  // without a branch: columns are side by side
        double t = value + x, added = t - value;
        rest += (value - (t - added)) + (x - added);
        rest += std::isfinite(x) ? error : 0;
        value = t;
    }
    double result() const { return std::isfinite(value) ? value + rest : value; }
};

// What an extreme begins with.
double nothing(int fn) { return fn == SM_AGG_MIN ? INFINITY : fn == SM_AGG_MAX ? -INFINITY : 0; }

struct RowLaunch {
    sm_ctx* ctx;
    const sm_cell_kernel* kernel;
    const sm_arg* args;
    void** results;
    const int32_t* plan;
    int64_t rows = 0, cols = 0;
    int64_t lengths[kMaxLengths];
    bool several[SM_MAX_IN];
    Matrix in[SM_MAX_IN];
    bool expanded[SM_MAX_IN] = {};  // a CSR matrix whose rows are written out block by block
    double scalar[SM_MAX_IN];
    float scalar_single[SM_MAX_IN];
    sm_row_args call;
    sm_cell_fn fn = nullptr;
    int64_t scratch = 0;
    Matrix out[SM_MAX_OUT];
    int64_t first[SM_MAX_OUT], second[SM_MAX_OUT];  // columns of the output (of both factors of a product)
    std::vector<int64_t> starts;
    std::unique_ptr<double[]> partials[SM_MAX_OUT];  // cleared by the threads that fill them

    uint8_t elem() const { return kernel->traits & SM_CELL_SINGLE ? SM_F32 : SM_F64; }
    int role(int i) const { return plan[2 * i]; }
    int length_class(int i) const { return plan[2 * i + 1]; }
    // What is put together from columns counts as inputs n_in, n_in + 1 …: for each its class, columns, and masks of pieces.
    const int32_t* assembled() const { return plan + 2 * kernel->n_in; }
    static const int32_t* next(const int32_t* one) { return one + 3 + one[2]; }
    const int32_t* slots() const {
        const int32_t* at = assembled() + 1;
        for (int n = assembled()[0]; n > 0; n--) at = next(at);
        return at;
    }
    const int32_t* outputs() const { return slots() + 1 + slots()[0]; }
    // Whether an output (or a factor of it) comes from the wide loop: an input of the wide class may have one column only.
    bool wide(int k, int factor = 0) const {
        for (int i = 0; i < kernel->n_in; i++)
            if ((outputs()[3 * k + factor] >> i & 1) && several[i]) return outputs()[3 * k + 2] >> factor & 1;
        return false;
    }
    sm_matrix* matrix(int i) const { return args[i].v.matrix; }
    int64_t chunks() const { return int64_t(starts.size()) - 1; }

    int64_t width(int i) const { return role(i) == kSideTransposed ? matrix(i)->rows : matrix(i)->cols; }
    int64_t partial_cells(int k) const {
        if (kernel->out_kind[k] == SM_OUT_PRODUCT) return first[k] * second[k] * (wide(k) || wide(k, 1) ? 1 : SM_ROW_BLOCK);
        if (kernel->out_kind[k] == SM_OUT_COL && wide(k)) return 2 * first[k];
        return kernel->out_kind[k] == SM_OUT_MAP ? 0 : 2 * SM_ROW_BLOCK * first[k];
    }

    // Partial results of chunks are whole cache lines apart, in pairs, as they are fetched: threads write to them all the time.
    int64_t partial_stride(int k) const { return (partial_cells(k) + 15) / 16 * 16; }
    double* partial(int k, int64_t chunk) {
        auto base = reinterpret_cast<intptr_t>(partials[k].get());
        return reinterpret_cast<double*>((base + 127) / 128 * 128) + chunk * partial_stride(k);
    }

    void find_lengths();
    int64_t columns(int32_t inputs) const;
    void choose_variant();
    Matrix packed_side(const sm_matrix* m, bool turned);
    void bind();
    void widen(int i);
    void cut();
    void run();
    template <class T>
    void run_chunk(int64_t chunk);
    void combine();
    [[noreturn]] void mismatch();
};

void RowLaunch::mismatch() {
    std::string shapes;
    for (int i = 0; i < kernel->n_in; i++)
        if (role(i) != kScalar) shapes += (shapes.empty() ? "" : " and ") + shape(matrix(i));
    fail("the operands of an expression over rows do not fit: %s", shapes.c_str());
}

// What meets in a cellwise operation has one column, or as many as the others of its class.
void RowLaunch::find_lengths() {
    rows = matrix(0)->rows;
    cols = matrix(0)->cols;
    std::fill(lengths, lengths + kMaxLengths, 1);
    lengths[0] = cols;
    uint32_t known = 1;  // classes
    auto set = [&](int number, int64_t length) {
        if ((known >> number & 1) && lengths[number] != length) mismatch();
        known |= 1u << number;
        lengths[number] = length;
    };
    for (int i = 0; i < kernel->n_in; i++) {
        several[i] = i == 0;
        if (role(i) == kScalar || i == 0) continue;
        if (role(i) == kRow && matrix(i)->rows != rows && matrix(i)->rows != 1) mismatch();
        int64_t inner = role(i) == kSide ? matrix(i)->rows : matrix(i)->cols;
        if (role(i) != kRow && inner != cols)
            product_misfit(shape_of(matrix(0)), false, shape_of(matrix(i)), role(i) == kSideTransposed);
        several[i] = width(i) != 1 || (length_class(i) == 0 && cols == 1);
        if (!several[i]) continue;
        if (length_class(i) < 0) mismatch();
        set(length_class(i), width(i));
    }
    const int32_t* one = assembled() + 1;
    for (int n = 0; n < assembled()[0]; n++, one = next(one)) {
        int64_t length = one[1];
        for (int piece = 0; piece < one[2]; piece++) length += columns(one[3 + piece]);
        set(one[0], length);
    }
}

int64_t RowLaunch::columns(int32_t inputs) const {
    for (int i = 0; i < kernel->n_in; i++)
        if ((inputs >> i & 1) && several[i]) return lengths[length_class(i)];
    const int32_t* one = assembled() + 1;
    for (int n = 0; n < assembled()[0]; n++, one = next(one))
        if (inputs >> (kernel->n_in + n) & 1) return lengths[one[0]];
    return 1;
}

sm_cell_fn compiled(sm_ctx* ctx, const sm_cell_kernel* kernel, uint32_t key) {
    for (int v = 0; v < kernel->n_variants; v++) {
        if (kernel->variant_keys[v] != key) continue;
        if (!kernel->variants[v] && ctx->resolve) {
            OpTimer timer(ctx, "compile kernels");
            kernel->variants[v] = ctx->resolve(ctx, kernel, key);
        }
        return kernel->variants[v];
    }
    return nullptr;
}

// The variant for these columns, or one for more of them.
void RowLaunch::choose_variant() {
    uint32_t bits = 0;
    for (int i = 0; i < kernel->n_in; i++) bits |= uint32_t(several[i]) << i;
    uint32_t form = is_csr(matrix(0)) && (kernel->sparse_safe & 1) ? kCsrForm : 0;
    for (uint32_t wanted : {form, 0u}) {
        for (int pass = 0; pass < 2 && !fn; pass++)
            for (int v = 0; v < kernel->n_variants && !fn; v++) {
                uint32_t key = kernel->variant_keys[v];
                if ((key & ~0xffffu) != wanted || (key & bits) != bits || (pass == 0 && (key & 0xffff) != bits)) continue;
                fn = compiled(ctx, kernel, key);
                if (!fn) continue;
                for (int i = 0; i < kernel->n_in; i++)
                    if ((key >> i & 1) && !several[i]) widen(i);
            }
        if (fn) {
            form = wanted;
            break;
        }
    }
    if (!fn) fail("an expression over rows: no native code for operands of these shapes and formats");
    expanded[0] = is_csr(matrix(0)) && !form;
}

// One column where the kernel expects several: it is repeated.
void RowLaunch::widen(int i) {
    several[i] = true;
    int64_t length = lengths[length_class(i)];
    if (length == 1) return;
    Matrix source = to_dense(ctx, matrix(i));
    Matrix made = role(i) == kRow ? new_dense(ctx, source->rows, length, elem()) : new_dense(ctx, length, cols, elem());
    with_element(elem(), [&](auto type) {
        using T = decltype(type);
        const T* v = values<T>(source.get());
        for (int64_t r = 0; r < made->rows; r++) {
            if (role(i) == kRow) std::fill_n(row<T>(made.get(), r), length, v[r]);
            else std::copy_n(v, cols, row<T>(made.get(), r));
        }
    });
    in[i] = made;
}

// A sparse factor of few columns (rows, if it is not turned) as kernels read it: one column of the product after the other.
Matrix RowLaunch::packed_side(const sm_matrix* m, bool turned) {
    Matrix r = turned ? new_dense_zero(ctx, m->cols, m->rows, m->elem) : new_dense_zero(ctx, m->rows, m->cols, m->elem);
    with_element(m, [&](auto type) {
        using T = decltype(type);
        for (int64_t i = 0; i < m->rows; i++)
            for (int64_t p = m->rowptr[i]; p < m->rowptr[i + 1]; p++) values<T>(r.get())[turned ? m->colidx[p] * m->rows + i : i * m->cols + m->colidx[p]] = values<T>(m)[p];
    });
    r->nnz = m->nnz;
    return r;
}

void RowLaunch::bind() {
    call.rowptr = nullptr;
    call.colidx = nullptr;
    call.lengths = lengths;
    for (int i = 0; i < kernel->n_in; i++) {
        call.in_rs[i] = 0;
        if (role(i) == kScalar) {
            scalar[i] = args[i].v.f64;
            scalar_single[i] = static_cast<float>(scalar[i]);
            call.in[i] = elem() == SM_F32 ? reinterpret_cast<const double*>(&scalar_single[i]) : &scalar[i];
            continue;
        }
        sm_matrix* m = matrix(i);
        if (role(i) == kRow && is_csr(m) && !in[i]) {
            if (i > 0) expanded[i] = m->rows == rows && rows > 1;
            in[i] = i == 0 || expanded[i] ? Matrix::borrow(m) : to_dense(ctx, m);
        }
        if (role(i) == kSide && m->cols > 1 && is_dense(m) && !in[i]) {
            in[i] = Matrix(sm_t(ctx, m));
            if (is_csr(in[i].get())) in[i] = to_dense(ctx, in[i].get());
        }
        if ((role(i) == kSide || role(i) == kSideTransposed) && is_csr(m) && !in[i]) in[i] = packed_side(m, role(i) == kSide && m->cols > 1);
        if (!in[i]) in[i] = to_dense(ctx, m);
        m = in[i].get();
        call.in[i] = static_cast<const double*>(m->data);
        if (role(i) == kRow) call.in_rs[i] = m->rows == 1 && rows != 1 ? 0 : m->cols;
        if (i == 0 && is_csr(m) && !expanded[0]) {
            call.rowptr = m->rowptr;
            call.colidx = m->colidx;
        }
    }
    for (int s = 0; s < slots()[0]; s++) {
        int c = slots()[1 + s];
        scratch += SM_ROW_BLOCK * (c < 0 ? 1 : std::max<int64_t>(lengths[c], 1));
    }
}

// Chunks of equal work, in whole blocks of rows.
void RowLaunch::cut() {
    int64_t work = rows * cols, cells = 0;
    const sm_matrix* m = matrix(0);
    bool by_entries = is_csr(m) && !expanded[0];
    if (by_entries) work = m->nnz + rows;
    for (int k = 0; k < kernel->n_out; k++) cells += partial_cells(k);
    int64_t n = work <= kSerialCells ? 1 : std::clamp<int64_t>(work / kSerialCells, 1, 256);
    if (cells > 0) n = std::min({n, std::max<int64_t>(1, kPartialCells / cells), std::max<int64_t>(1, work / (4 * cells)), int64_t(64)});
    starts.push_back(0);
    for (int64_t i = 1; i < n; i++) {
        int64_t r = rows * i / n;
        if (by_entries && m->nnz >= rows) r = std::lower_bound(m->rowptr, m->rowptr + rows, m->nnz * i / n) - m->rowptr;
        r = (r + SM_ROW_BLOCK / 2) / SM_ROW_BLOCK * SM_ROW_BLOCK;
        if (r > starts.back() && r < rows) starts.push_back(r);
    }
    if (rows > starts.back()) starts.push_back(rows);
}

// With T the type of the cells, which the kernel finds in its arguments whatever type they are declared with.
template <class T>
void RowLaunch::run_chunk(int64_t chunk) {
    constexpr int64_t kLine = 64 / sizeof(T);
    sm_row_args a = call;
    int64_t begin = starts[size_t(chunk)], end = starts[size_t(chunk) + 1], step = end - begin;
    std::unique_ptr<T[]> memory(new T[size_t(scratch + kLine)]);
    T* aligned = memory.get() + (-(reinterpret_cast<intptr_t>(memory.get()) / int64_t(sizeof(T))) & (kLine - 1));
    a.scratch = reinterpret_cast<double*>(aligned);
    for (int k = 0; k < kernel->n_out; k++) {
        if (kernel->out_kind[k] == SM_OUT_MAP) continue;
        a.out[k] = partial(k, chunk);
        std::fill_n(a.out[k], partial_stride(k), 0.0);
        if (kernel->out_kind[k] == SM_OUT_FULL) std::fill_n(a.out[k], int(SM_ROW_BLOCK), nothing(kernel->out_fn[k]));
    }
    std::unique_ptr<T[]> written[SM_MAX_IN];
    for (int i = 0; i < kernel->n_in; i++)
        if (expanded[i]) step = std::min(step, std::max<int64_t>(SM_ROW_BLOCK, kDenseCells / std::max<int64_t>(in[i]->cols, 1) / SM_ROW_BLOCK * SM_ROW_BLOCK));
    for (int i = 0; i < kernel->n_in; i++)
        if (expanded[i]) written[i].reset(new T[size_t(step * in[i]->cols)]());
    auto call_kernel = fn;
    for (int64_t r0 = begin; r0 < end; r0 += step) {
        int64_t r1 = std::min(end, r0 + step);
        for (int i = 0; i < kernel->n_in; i++) {
            if (!expanded[i]) continue;
            const sm_matrix* m = in[i].get();
            T* rows_out = written[i].get() - r0 * m->cols;
            for (int64_t r = r0; r < r1; r++)
                for (int64_t p = m->rowptr[r]; p < m->rowptr[r + 1]; p++) rows_out[r * m->cols + m->colidx[p]] = values<T>(m)[p];
            a.in[i] = reinterpret_cast<const double*>(rows_out);
            a.in_rs[i] = m->cols;
        }
        call_kernel(reinterpret_cast<const sm_cell_args*>(&a), r0, r1, 0, cols);
        for (int i = 0; i < kernel->n_in; i++) {
            if (!expanded[i]) continue;
            const sm_matrix* m = in[i].get();
            T* rows_out = written[i].get() - r0 * m->cols;
            for (int64_t r = r0; r < r1; r++)
                for (int64_t p = m->rowptr[r]; p < m->rowptr[r + 1]; p++) rows_out[r * m->cols + m->colidx[p]] = 0;
        }
    }
}

void RowLaunch::run() {
    for (int k = 0; k < kernel->n_out; k++) {
        const int32_t* o = outputs() + 3 * k;
        first[k] = columns(o[0]);
        second[k] = columns(o[1]);
    }
    cut();
    for (int k = 0; k < kernel->n_out; k++) {
        if (kernel->out_kind[k] == SM_OUT_MAP) {
            out[k] = new_dense(ctx, rows, first[k], elem());
            out[k]->nnz = -1;
            call.out[k] = static_cast<double*>(out[k]->data);
            call.out_rs[k] = first[k];
            continue;
        }
        partials[k].reset(new double[size_t(chunks() * partial_stride(k) + 16)]);
    }
    if (rows == 0) return;
    with_element(elem(), [&](auto type) { parallel_for(ctx, chunks(), [&](int64_t chunk) { run_chunk<decltype(type)>(chunk); }); });
}

void RowLaunch::combine() {
    for (int k = 0; k < kernel->n_out; k++) {
        int64_t size = partial_stride(k), n = first[k];
        const double* parts = partial(k, 0);
        auto** made = static_cast<sm_matrix**>(results[k]);
        bool is_wide = wide(k);
        auto sum_of = [&](int64_t c) {
            Sum sum;
            for (int64_t chunk = 0; chunk < chunks(); chunk++) {
                const double* p = parts + chunk * size;
                if (is_wide) sum.add(p[c], p[n + c]);
                else
                    for (int lane = 0; lane < SM_ROW_BLOCK; lane++) sum.add(p[2 * SM_ROW_BLOCK * c + lane], p[2 * SM_ROW_BLOCK * c + SM_ROW_BLOCK + lane]);
            }
            return sum.result();
        };
        switch (kernel->out_kind[k]) {
            case SM_OUT_MAP: *made = out[k].take(); break;
            case SM_OUT_FULL: {
                double v = nothing(kernel->out_fn[k]);
                if (kernel->out_fn[k] == SM_AGG_SUM) v = sum_of(0);
                else
                    for (int64_t chunk = 0; chunk < chunks(); chunk++)
                        for (int lane = 0; lane < SM_ROW_BLOCK; lane++) {
                            double x = parts[chunk * size + lane], seen = parts[chunk * size + SM_ROW_BLOCK + lane];
                            if (seen != seen) x = seen;
                            if (v == v) v = x != x ? x : kernel->out_fn[k] == SM_AGG_MIN ? std::min(v, x) : std::max(v, x);
                        }
                *static_cast<double*>(results[k]) = v;
                break;
            }
            case SM_OUT_COL: {
                Matrix r = new_dense(ctx, 1, n, elem());
                r->nnz = -1;
                with_element(elem(), [&](auto type) {
                    parallel_chunks(ctx, n, kColumns, [&](int64_t c0, int64_t c1) {
                        for (int64_t c = c0; c < c1; c++) values<decltype(type)>(r.get())[c] = decltype(type)(sum_of(c));
                    });
                });
                *made = r.take();
                break;
            }
            default: {
                Matrix r = new_dense_zero(ctx, first[k], second[k]);
                r->nnz = -1;
                double* cells = values(r.get());
                if (!wide(k) && !wide(k, 1)) {
                    for (int64_t chunk = 0; chunk < chunks(); chunk++)
                        for (int64_t i = 0; i < partial_cells(k); i++) cells[i / SM_ROW_BLOCK] += parts[chunk * size + i];
                    *made = rounded(ctx, r.get(), elem()).take();
                    break;
                }
                // Partials have one row for each column of the factor that is not wide.
                bool turned = wide(k);
                int64_t wide_cells = turned ? first[k] : second[k], narrow = turned ? second[k] : first[k];
                parallel_chunks(ctx, wide_cells, kColumns, [&](int64_t c0, int64_t c1) {
                    for (int64_t chunk = 0; chunk < chunks(); chunk++) {
                        const double* p = parts + chunk * size;
                        for (int64_t j = 0; j < narrow; j++)
                            for (int64_t c = c0; c < c1; c++) cells[turned ? c * narrow + j : j * wide_cells + c] += p[j * wide_cells + c];
                    }
                });
                *made = rounded(ctx, r.get(), elem()).take();
            }
        }
    }
}

void launch_row(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consumed, void** results) {
    RowLaunch l;
    l.ctx = ctx;
    l.kernel = kernel;
    l.args = args;
    l.results = results;
    l.plan = static_cast<const int32_t*>(kernel->cookie);
    l.find_lengths();
    l.choose_variant();
    l.bind();
    l.run();
    l.combine();
    for (int i = 0; i < kernel->n_in; i++)
        if ((consumed >> i & 1) && l.role(i) != kScalar) release(&args[i].v.matrix->o);
}

}  // namespace
}  // namespace sm

SM_API void sm_launch_row(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, uint32_t consume_mask, void** results) {
    sm::entry(ctx, kernel->name, [&] { sm::launch_row(ctx, kernel, args, consume_mask, results); });
}
