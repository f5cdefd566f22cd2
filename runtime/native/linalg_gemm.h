// Dense products c (+)= a b.
#pragma once

#include <vector>

#include "context.h"

namespace sm {

template <class T>
struct Operand {
    const T* cells;
    int64_t ld;
    bool along_k;  // a row of the stored matrix runs along the inner dimension

    const T* at(int64_t i, int64_t p) const { return along_k ? cells + i * ld + p : cells + p * ld + i; }
};

template <class T>
struct Product {
    int64_t m, n, k;  // all at least 1
    Operand<T> a, b;
    T* c;
    int64_t ldc;
    bool add;       // to what c holds
    bool triangle;  // a and b are one matrix: of the cells below the diagonal not all are computed
};

template <class T>
void multiply(sm_ctx* ctx, const Product<T>& product);  // on all threads
// Products with one left factor, which is read and packed once for all where that pays. The cells are those of `multiply`.
template <class T>
void multiply_shared(sm_ctx* ctx, const std::vector<Product<T>>& products);
template <class T>
void multiply_here(const Product<T>& product);  // on this one, for what is a task itself

}  // namespace sm
