// Launching regions over products: shapes, factors, and whether the non-zeros of an input drive them.
#include "launch_outer.h"

#include "csr_union.h"
#include "fit.h"
#include "launch.h"
#include "linalg_product.h"

#include <algorithm>
#include <cstring>

SM_API sm_matrix* sm_matmul(sm_ctx* ctx, sm_matrix* A, sm_matrix* B, const char* transpose);

namespace sm {
namespace {

constexpr int64_t kSkinny = 512, kFew = 8;
constexpr int64_t kSmallFactor = 1 << 20;  // cells up to which a sparse factor is simply made dense

// A factor may be read as it is when it is dense; a sparse one is made dense unless it is much larger that way.
bool readable(const sm_matrix* m) { return is_dense(m) || cells(m) <= kSmallFactor || cells(m) <= 8 * m->nnz; }

Shape product_shape(const sm_matrix* a, const sm_matrix* b, const char* transpose) {
    bool ta = std::strchr(transpose, 'l'), tb = std::strchr(transpose, 'r');
    int64_t inner = ta ? a->rows : a->cols, inner2 = tb ? b->cols : b->rows;
    if (inner != inner2) product_misfit(shape_of(a), ta, shape_of(b), tb);
    return {ta ? a->cols : a->rows, tb ? b->rows : b->cols};
}

void close_shapes(const OuterLaunch& l, int k) {
    const sm_matrix* b = l.factor[k].get();
    int64_t inner = l.outputs[k] == 'R' ? l.cols : l.rows;
    if (b->rows != inner) product_misfit({l.rows, l.cols}, l.outputs[k] != 'R', shape_of(b), false);
}

// "", "l", "r" and "lr" are written as one letter each.
const char* transpose_of(char letter) { return letter == 'n' ? "" : letter == 'l' ? "l" : letter == 'r' ? "r" : "lr"; }

}  // namespace

// As for other cell kernels: some operand has the full shape, the others equal it or are broadcast.
void OuterLaunch::find_shape() {
    Shape shapes[SM_MAX_IN];
    int n = kernel->n_in;
    rows = cols = -1;
    for (int i = 0; i < n; i++) {
        const sm_arg& a = args[i < products ? 2 * i : i + products];
        if (i < products) shapes[i] = product_shape(a.v.matrix, (&a)[1].v.matrix, transpose_of(outputs[i - products - 1]));
        else if (a.tag == SM_TAG_MATRIX) shapes[i] = {a.v.matrix->rows, a.v.matrix->cols};
        else {
            in[i].scalar = a.v.f64;
            in[i].scalar_single = static_cast<float>(a.v.f64);
            shapes[i] = {-1, -1};
            continue;
        }
        if (rows < 0 || (shapes[i].rows != 1 && rows == 1)) rows = shapes[i].rows;
        if (cols < 0 || (shapes[i].cols != 1 && cols == 1)) cols = shapes[i].cols;
    }
    bool full = false, agree = true;
    std::string text;
    for (int i = 0; i < n; i++) {
        if (shapes[i].rows < 0) continue;
        agree = agree && (shapes[i].rows == rows || shapes[i].rows == 1) && (shapes[i].cols == cols || shapes[i].cols == 1);
        full = full || (shapes[i].rows == rows && shapes[i].cols == cols);
        text += format("%s%lldx%lld", text.empty() ? "" : " and ", (long long)shapes[i].rows, (long long)shapes[i].cols);
    }
    if (!full || !agree) fail("matrix dimensions do not agree: %s", text.c_str());
    for (int i = 0; i < n; i++) {
        if (shapes[i].rows < 0) continue;
        OuterInput& x = in[i];
        bool fills = shapes[i].rows == rows && shapes[i].cols == cols;
        const sm_arg* a = &args[i < products ? 2 * i : i + products];
        if (i < products) {
            sm_matrix *lhs = a[0].v.matrix, *rhs = a[1].v.matrix;
            const char* transpose = transpose_of(outputs[i - products - 1]);
            if (fills && readable(lhs) && readable(rhs)) {
                x.kind = OuterInput::kProduct;
                x.u.m = to_dense(ctx, lhs);
                x.v.m = to_dense(ctx, rhs);
                x.u.strided = std::strchr(transpose, 'l');
                x.v.strided = !std::strchr(transpose, 'r');
                x.inner = x.u.strided ? lhs->rows : lhs->cols;
                continue;
            }
            x.m = Matrix(sm_matmul(ctx, lhs, rhs, transpose));
        } else {
            x.m = Matrix::borrow(a->v.matrix);
        }
        if (fills) {
            x.kind = OuterInput::kFull;
            continue;
        }
        if (!is_dense(x.m.get())) x.m = to_dense(ctx, x.m.get());
        bool one = cells(x.m.get()) == 1;
        x.kind = one ? OuterInput::kCell : shapes[i].rows == 1 ? OuterInput::kRow : OuterInput::kColumn;
    }
    const sm_arg* closing = args + products + n;
    for (int k = 0; k < kernel->n_out; k++)
        if (outputs[k] == 'R' || outputs[k] == 'L') {
            factor[k] = to_dense(ctx, closing++->v.matrix);
            close_shapes(*this, k);
        }
}

// Long sums make the product the work, not its cells: where an input was to lead but most cells are needed, as it is dense, the
// product is formed like any other, beside an input of its size. Where none was, tiles save memory if factors are much smaller.
void OuterLaunch::form_products() {
    bool led = kernel->sparse_safe >> products || *joint;
    int64_t longest = 0;
    for (int i = 0; i < products; i++)
        if (in[i].kind == OuterInput::kProduct) longest = std::max(longest, in[i].inner);
    if (led ? longest <= kSkinny || (driver && driver->nnz < rows * cols / kFew) : 4 * longest <= std::min(rows, cols)) return;
    driver = Matrix();
    for (int i = 0; i < products; i++)
        if (in[i].kind == OuterInput::kProduct) {
            sm_matrix *lhs = args[2 * i].v.matrix, *rhs = args[2 * i + 1].v.matrix;
            in[i].m = Matrix(sm_matmul(ctx, lhs, rhs, transpose_of(outputs[i - products - 1])));
            in[i].kind = OuterInput::kFull;
        }
}

// The sparsest input that does alone, else the structure of those that do together.
void OuterLaunch::find_driver() {
    auto leads = [&](int i) { return in[i].kind == OuterInput::kFull && is_csr(in[i].m.get()); };
    for (int i = products; i < kernel->n_in; i++)
        if ((kernel->sparse_safe >> i & 1) && leads(i) && (!driver || in[i].m->nnz < driver->nnz)) driver = in[i].m;
    if (driver || !std::all_of(joint, joint + std::strlen(joint), [&](char c) { return leads(c - 'a'); })) return;
    for (const char* c = joint; *c; c++) driver = driver ? union_structure(ctx, driver, in[*c - 'a'].m) : in[*c - 'a'].m;
}

void OuterLaunch::find_kernel() {
    sm_cell_fn& known = kernel->variants[0];
    if (!known && ctx->resolve) {
        OpTimer timer(ctx, "compile kernels");
        known = ctx->resolve(ctx, kernel, kernel->variant_keys[0]);
    }
    if (!(fn = known)) fail("%s: the kernel is missing", kernel->name);
}

static void launch_outer(sm_ctx* ctx, const sm_cell_kernel* kernel, const char* plan, const sm_arg* args, void** results) {
    OuterLaunch l;
    l.ctx = ctx;
    l.kernel = kernel;
    l.args = args;
    l.results = results;
    l.products = int(std::strchr(plan, '|') - plan);
    l.outputs = plan + l.products + 1;
    l.joint = l.outputs + kernel->n_out + 1;
    l.find_shape();
    l.find_driver();
    l.form_products();
    if (l.rows > 0 && l.cols > 0) l.find_kernel();
    with_element(l.elem(), [&](auto type) {
        if (l.driver) l.sampled<decltype(type)>();
        else l.tiled<decltype(type)>();
    });
}

}  // namespace sm

// `plan`: for each product how its factors are stored ("n", "l", "r" or "b": none, the left, the right or both are used
// transposed), "|", what becomes of each output (see OuterLaunch), "|", and the inputs, as letters from 'a' on, whose zeros
// together make all outputs zero where no input of `sparse_safe` does so alone. `args`: the factors of the products, the other
// inputs of the kernel, and one matrix for each output R or L.
SM_API void sm_launch_outer(sm_ctx* ctx, const sm_cell_kernel* kernel, const char* plan, const sm_arg* args, void** results) {
    sm::entry(ctx, kernel->name ? kernel->name : "outer", [&] { sm::launch_outer(ctx, kernel, plan, args, results); });
}
