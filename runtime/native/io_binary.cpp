// The binary format: a 64-byte little-endian header, then the cells as they lie in memory, so that a file can
// also be mapped.
//
//     0  magic 89 53 4D 42 0D 0A 1A 0A    8  u32 version = 1    12  u8 format (0 dense, 1 CSR), u8 elem (0 f64, 1 f32), u16 0
//    16  i64 rows    24  i64 cols    32  i64 nnz    40  i64 file size    48  u64 0    56  u64 checksum of bytes 0..55
//    64  dense: elem[rows * cols]    CSR: i64[rows + 1] row offsets, elem[nnz] values, i32[nnz] columns
#include "io_formats.h"

#include <algorithm>
#include <cstring>

namespace sm::io {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

constexpr char kMagic[9] = "\x89SMB\r\n\x1A\n";

struct Header {
    char magic[8];
    uint32_t version;
    uint8_t format, elem;
    uint16_t reserved;
    int64_t rows, cols, nnz, size;
    uint64_t reserved2, checksum;
};
static_assert(sizeof(Header) == 64, "the header is 64 bytes");

uint64_t checksum(const Header& header) {  // FNV-1a
    uint64_t hash = 0xCBF29CE484222325u;
    const unsigned char* p = reinterpret_cast<const unsigned char*>(&header);
    for (size_t i = 0; i < offsetof(Header, checksum); i++) hash = (hash ^ p[i]) * 0x100000001B3u;
    return hash;
}

// The size a file must have, or -1 when the header's numbers are impossible.
int64_t file_size(const Header& h) {
    int64_t cells, bytes;
    if (h.rows < 0 || h.cols < 0 || h.nnz < 0 || __builtin_mul_overflow(h.rows, h.cols, &cells)) return -1;
    if (h.nnz > cells) return -1;
    if (h.format == SM_DENSE) return __builtin_mul_overflow(cells, cell_size(h.elem), &bytes) || bytes > INT64_MAX - 64 ? -1 : bytes + 64;
    if (h.cols > INT32_MAX || h.rows > INT64_MAX / 32 || h.nnz > INT64_MAX / 32) return -1;
    return 64 + 8 * (h.rows + 1) + (cell_size(h.elem) + 4) * h.nnz;
}

Header read_header(const Source& source) {
    const char* name = source.path().c_str();
    require(source.parts().size() == 1, "%s: a binary matrix cannot be a directory of several files", name);
    Header h;
    int64_t got = source.read(0, 0, reinterpret_cast<char*>(&h), sizeof h);
    require(got >= 8 && std::memcmp(h.magic, kMagic, 8) == 0, "%s is not a binary matrix file", name);
    require(got == sizeof h && h.checksum == checksum(h), "%s is damaged: its header is not intact", name);
    require(h.version == 1 && h.elem <= SM_F32 && h.format <= SM_CSR, "%s was written by a newer version (%u)", name, h.version);
    int64_t expected = file_size(h), size = source.parts()[0].size;
    require(expected >= 0 && expected == h.size, "%s is damaged: its header makes no sense", name);
    require(size >= expected, "%s is cut off: it has %lld of %lld bytes", name, static_cast<long long>(size), static_cast<long long>(expected));
    require(size == expected, "%s is damaged: %lld bytes follow its end", name, static_cast<long long>(size - expected));
    return h;
}

constexpr int64_t kBlock = 4 << 20;

void read_all(sm_ctx* ctx, const Source& source, Progress& progress, int64_t offset, void* to, int64_t bytes) {
    in_order(ctx, (bytes + kBlock - 1) / kBlock, [&](int64_t i, Buffer&) {
        int64_t n = std::min(kBlock, bytes - i * kBlock);
        require(source.read(0, offset + i * kBlock, static_cast<char*>(to) + i * kBlock, n) == n, "%s changed while it was read", source.path().c_str());
        progress.add(n);
    });
}

}  // namespace

Matrix read_binary(sm_ctx* ctx, const Source& source, const ReadOptions& options) {
    Header h = read_header(source);
    check_size(source, options, h.rows, h.cols);
    Progress progress(ctx, "reading", source.path(), h.size);
    if (h.format == SM_DENSE) {
        Matrix m = new_dense(ctx, h.rows, h.cols, h.elem);
        read_all(ctx, source, progress, 64, m->data, h.size - 64);
        m->nnz = -1;  // the header's number is not trusted
        return finish(ctx, std::move(m));
    }
    Matrix m = new_csr(ctx, h.rows, h.cols, h.nnz, h.elem);
    int64_t offset = 64;
    auto next = [&](void* to, int64_t bytes) {
        read_all(ctx, source, progress, offset, to, bytes);
        offset += bytes;
    };
    next(m->rowptr, 8 * (h.rows + 1));
    const char* name = source.path().c_str();
    require(m->rowptr[0] == 0 && m->rowptr[h.rows] == h.nnz && std::is_sorted(m->rowptr, m->rowptr + h.rows + 1), "%s is damaged: its row offsets make no sense", name);
    next(m->data, cell_size(h.elem) * h.nnz);
    next(m->colidx, 4 * h.nnz);
    parallel_rows(ctx, h.rows, h.rows ? h.nnz / h.rows + 1 : 1, [&](int64_t r0, int64_t r1) {
        for (int64_t r = r0; r < r1; r++)
            for (int64_t k = m->rowptr[r], before = -1; k < m->rowptr[r + 1]; before = m->colidx[k++])
                require(m->colidx[k] > before && m->colidx[k] < h.cols, "%s is damaged: its column indices make no sense", name);
    });
    drop_zeros(ctx, m.get());
    return finish(ctx, std::move(m));
}

void peek_binary(const Source& source, sm_metadata* info) {
    Header h = read_header(source);
    info->rows = h.rows, info->cols = h.cols, info->nnz = h.nnz;
    info->sizes = SM_SIZES_FROM_FILE;
}

void write_binary(sm_ctx* ctx, const sm_matrix* m, OutputFile& out) {
    Header h{};
    std::memcpy(h.magic, kMagic, 8);
    h.version = 1;
    h.format = m->format;
    h.elem = m->elem;
    h.rows = m->rows, h.cols = m->cols, h.nnz = m->nnz;
    h.size = file_size(h);
    h.checksum = checksum(h);
    out.append({reinterpret_cast<const char*>(&h), sizeof h});
    Progress progress(ctx, "writing", out.path(), h.size);
    auto put = [&](const void* data, int64_t bytes) {
        for (int64_t at = 0; at < bytes; at += kBlock) {
            int64_t n = std::min(kBlock, bytes - at);
            out.append({static_cast<const char*>(data) + at, static_cast<size_t>(n)});
            progress.add(n);
            if (ctx->interrupt) throw Error("interrupted");
        }
    };
    if (is_dense(m)) return put(m->data, cell_size(m->elem) * cells(m));
    put(m->rowptr, 8 * (m->rows + 1));
    put(m->data, cell_size(m->elem) * m->nnz);
    put(m->colidx, 4 * m->nnz);
}

}  // namespace sm::io
