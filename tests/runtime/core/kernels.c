// Hand-written cell kernels in the forms that generated ones have: what the launcher's tests run.
#include <math.h>

#include "sysmlc.h"

#define DENSE(NAME, EXPR, VX, VY)                                                                    \
    static void NAME(const sm_cell_args* a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {        \
        for (int64_t r = r0; r < r1; r++)                                                            \
            for (int64_t c = c0; c < c1; c++) {                                                      \
                double x = a->in[0][r * a->in_rs[0] + (VX ? c : 0)];                                 \
                double y = a->in[1][r * a->in_rs[1] + (VY ? c : 0)];                                 \
                a->out[0][r * a->out_rs[0] + c] = EXPR;                                              \
            }                                                                                        \
    }
#define DRIVEN(NAME, EXPR, D, VO)                                                                    \
    static void NAME(const sm_cell_args* a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {        \
        (void)c0, (void)c1;                                                                          \
        for (int64_t r = r0; r < r1; r++)                                                            \
            for (int64_t p = a->rowptr[r]; p < a->rowptr[r + 1]; p++) {                              \
                double x = a->in[D][p], y = a->in[1 - D][r * a->in_rs[1 - D] + (VO ? a->colidx[p] : 0)]; \
                a->out[0][p] = EXPR;                                                                 \
            }                                                                                        \
    }
DENSE(add_vv, x + y, 1, 1)
DENSE(add_vs, x + y, 1, 0)
DENSE(add_sv, x + y, 0, 1)
DENSE(mul_vv, x* y, 1, 1)
DENSE(mul_vs, x* y, 1, 0)
DENSE(mul_sv, x* y, 0, 1)
DRIVEN(mul_0v, x* y, 0, 1)
DRIVEN(mul_0s, x* y, 0, 0)
DRIVEN(mul_1v, x* y, 1, 1)
DENSE(gt_vs, x > y, 1, 0)
DRIVEN(gt_0s, x > y, 0, 0)

// Says which of its outputs the launcher wants stored past the caches.
static void flags(const sm_cell_args* a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++) a->out[0][r * a->out_rs[0] + c] = a->flags & SM_CELL_STREAM ? 1 : 2;
}

static double step(int fn, double acc, double x, double* rest) {
    if (fn == SM_AGG_PROD) return acc * x;
    if (fn != SM_AGG_SUM) return acc != acc || x != x ? NAN : fn == SM_AGG_MIN ? fmin(acc, x) : fmax(acc, x);
    double t = acc + x;
    *rest += fabs(acc) >= fabs(x) ? (acc - t) + x : (x - t) + acc;
    return t;
}

// Aggregates of input 0, in all directions at once: out 0 full, 1 rows, 2 columns.
#define AGGREGATE(NAME, FN, START)                                                                   \
    static void NAME(const sm_cell_args* a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {        \
        double full = START, full_rest = 0;                                                          \
        for (int64_t r = r0; r < r1; r++) {                                                          \
            double row = START, row_rest = 0;                                                        \
            int64_t begin = a->rowptr ? a->rowptr[r] : c0, end = a->rowptr ? a->rowptr[r + 1] : c1;  \
            for (int64_t p = begin; p < end; p++) {                                                  \
                int64_t c = a->rowptr ? a->colidx[p] : p;                                            \
                double x = a->rowptr ? a->in[0][p] : a->in[0][r * a->in_rs[0] + c];                  \
                full = step(FN, full, x, &full_rest);                                                \
                row = step(FN, row, x, &row_rest);                                                   \
                a->out[2][c] = step(FN, a->out[2][c], x, &a->out[2][a->out_rs[2] + c]);              \
            }                                                                                        \
            a->out[1][r] = FN == SM_AGG_SUM ? row + row_rest : row;                                  \
        }                                                                                            \
        a->out[0][0] = full;                                                                         \
        a->out[0][1] = full_rest;                                                                    \
    }
AGGREGATE(agg_sum, SM_AGG_SUM, 0.0)
AGGREGATE(agg_prod, SM_AGG_PROD, 1.0)
AGGREGATE(agg_min, SM_AGG_MIN, INFINITY)
AGGREGATE(agg_max, SM_AGG_MAX, -INFINITY)

static void full_sum(const sm_cell_args* a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    double s = 0;
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++) s += a->in[0][r * a->in_rs[0] + c];
    a->out[0][0] = s;
    a->out[0][1] = 0;
}

#define KEYS(NAME, ...) static const uint32_t NAME##_keys[] = {__VA_ARGS__}
#define FNS(NAME, ...) static sm_cell_fn NAME##_fns[] = {__VA_ARGS__}
#define FORM(f) ((uint32_t)(f) << 16)
KEYS(add, 3, 1, 2);
FNS(add, add_vv, add_vs, add_sv);
KEYS(mul, 3, 1, 2, 3 | FORM(SM_FORM_CSR0), 1 | FORM(SM_FORM_CSR0), 3 | FORM(SM_FORM_CSR1));
FNS(mul, mul_vv, mul_vs, mul_sv, mul_0v, mul_0s, mul_1v);
KEYS(gt, 1, 1 | FORM(SM_FORM_CSR0));
FNS(gt, gt_vs, gt_0s);
KEYS(flags, 1);
FNS(flags, flags);
KEYS(agg, 1, 1 | FORM(SM_FORM_CSR0));
FNS(agg_sum, agg_sum, agg_sum);
FNS(agg_prod, agg_prod, agg_prod);
FNS(agg_min, agg_min, agg_min);
FNS(agg_max, agg_max, agg_max);
KEYS(full, 1);
FNS(full, full_sum);
KEYS(narrow, 3);
FNS(narrow, add_vv);

#define EXPORT __attribute__((visibility("default")))
static const uint32_t both[] = {3, 0};  // inputs 0 and 1 together are zero for sure
#define KERNEL(NAME, TITLE, N_IN, SPARSE_SAFE, N_JOINT, TRAITS, KEYS, FNS)                                 \
    EXPORT sm_cell_kernel k_##NAME = {.n_in = N_IN, .n_out = 1, .sparse_safe = SPARSE_SAFE,          \
        .traits = TRAITS, .joint = both, .n_joint = N_JOINT, .n_variants = sizeof KEYS##_keys / sizeof *KEYS##_keys, \
        .variant_keys = KEYS##_keys, .variants = FNS##_fns, .name = TITLE}
#define AGG_KERNEL(NAME, FN)                                                                         \
    EXPORT sm_cell_kernel k_##NAME = {.n_in = 1, .n_out = 3, .out_kind = {SM_OUT_FULL, SM_OUT_ROW, SM_OUT_COL}, \
        .out_fn = {FN, FN, FN}, .sparse_safe = 1, .n_variants = 2,                   \
        .variant_keys = agg_keys, .variants = NAME##_fns, .name = #NAME}
KERNEL(add, "+", 2, 0, 1, 0, add, add);
KERNEL(outer, "outer", 2, 0, 1, SM_CELL_OUTER, add, add);
KERNEL(mul, "*", 2, 3, 0, 0, mul, mul);
EXPORT sm_cell_kernel k_gt = {.n_in = 2, .n_out = 1, .sparse_probe = 1, .n_variants = 2, .variant_keys = gt_keys,
    .variants = gt_fns, .name = "cell_gt_add_log_base_map_0123456789"};
KERNEL(flags, "flags", 1, 0, 0, 0, flags, flags);
KERNEL(narrow, "narrow", 2, 0, 1, 0, narrow, narrow);
EXPORT sm_cell_kernel k_full = {.n_in = 1, .n_out = 1, .out_kind = {SM_OUT_FULL}, .sparse_safe = 1, .n_variants = 1,
    .variant_keys = full_keys, .variants = full_fns, .name = "sum"};
AGG_KERNEL(agg_sum, SM_AGG_SUM);
AGG_KERNEL(agg_prod, SM_AGG_PROD);
AGG_KERNEL(agg_min, SM_AGG_MIN);
AGG_KERNEL(agg_max, SM_AGG_MAX);

// Nanoseconds of one launch, on average: the loop is here because calls from Python cost more than what is timed.
SM_API int64_t sm_time(sm_ctx* ctx);
EXPORT double time_launch(sm_ctx* ctx, const sm_cell_kernel* kernel, const sm_arg* args, int64_t n,
                          void (*launch)(sm_ctx*, const sm_cell_kernel*, const sm_arg*, uint32_t, void**),
                          void (*release)(sm_ctx*, sm_object*), int64_t (*time)(sm_ctx*)) {
    int64_t start = time(ctx);
    for (int64_t i = 0; i < n; i++) {
        union {
            sm_matrix* m;
            double d;
        } result;
        void* results[] = {&result};
        launch(ctx, kernel, args, 0, results);
        if (kernel->out_kind[0] == SM_OUT_MAP) release(ctx, &result.m->o);
    }
    return (double)(time(ctx) - start) / (double)n;
}
