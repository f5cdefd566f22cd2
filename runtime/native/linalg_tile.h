// Pieces of dense products that fit into the caches, for each level of the instruction set.
#pragma once

#include <cstdint>

namespace sm {

// c (+)= a b for packed panels of one stretch of the inner dimension.
template <class T>
struct Piece {
    int64_t m, n, k;
    // Tile t of the rows of a begins at a[t / a_group * a_panel + t % a_group * a_tile]; in it a row is a_row after the one before,
    // a column a_column. `tail` has the last tile, packed, when a is not and that tile is not whole.
    const T* a;
    int64_t a_tile, a_group, a_panel, a_row, a_column;
    const T* tail;
    const T* b;  // panels of Tile::cols columns; the last one is narrower
    T* c;
    int64_t ldc;
    bool add;       // to what c holds
    bool triangle;  // tiles below the diagonal are left out; c begins at this row and column
    int64_t row, column;
    const void* ahead;  // what is read next, if anything: it is fetched meanwhile
    int64_t ahead_bytes;
};

template <class T>
struct Tile {
    int64_t rows, cols, pad;  // the last panel of columns is a multiple of `pad` wide
    void (*multiply)(const Piece<T>& piece);
    // n rows of a, or columns of b, in panels. A row of x holds one k of all of them, or (along_k) one of them.
    void (*pack_left)(T* out, const T* x, int64_t ld, bool along_k, int64_t n, int64_t k);
    void (*pack_right)(T* out, const T* x, int64_t ld, bool along_k, int64_t n, int64_t k);
};

template <class T>
const Tile<T>& tile();  // for this processor, at most of $SYSMLC_CPU_LEVEL

}  // namespace sm
