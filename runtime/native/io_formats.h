// One reader and one writer for each file format.
#pragma once

#include "core.h"
#include "io_file.h"
#include "io_mtd.h"

#include <condition_variable>
#include <mutex>

namespace sm::io {

Matrix read_csv(sm_ctx* ctx, const Source& source, const ReadOptions& options);
Matrix read_text(sm_ctx* ctx, const Source& source, const ReadOptions& options);
Matrix read_mm(sm_ctx* ctx, const Source& source, const ReadOptions& options);
Matrix read_binary(sm_ctx* ctx, const Source& source, const ReadOptions& options);

void write_csv(sm_ctx* ctx, const sm_matrix* m, OutputFile& out, const WriteOptions& options);
void write_text(sm_ctx* ctx, const sm_matrix* m, OutputFile& out);  // m->nnz must be counted
void write_mm(sm_ctx* ctx, const sm_matrix* m, OutputFile& out);
void write_binary(sm_ctx* ctx, const sm_matrix* m, OutputFile& out);

// Sizes from the head of a file, for sm_read_metadata; what the file does not tell stays as it is.
void peek_csv(const Source& source, const ReadOptions& options, sm_metadata* info);
void peek_mm(const Source& source, sm_metadata* info);
void peek_binary(const Source& source, sm_metadata* info);

// Fails unless the size agrees with what the call or the .mtd file stated (-1: nothing).
void check_size(const Source& source, const ReadOptions& options, int64_t rows, int64_t cols);

// Where a reader is, for messages: "name:line".
struct Place {
    const std::string& file;
    int64_t line;
};
[[noreturn]] void fail_at(const Place& place, const std::string& message);

// One cell of a coordinate list, 0-based.
struct Entry {
    int64_t row;
    int32_t col;
    double value;
};
enum class Duplicates { Last, Sum };
// A matrix of entries in the order of the file, in the better format.
Matrix assemble(sm_ctx* ctx, int64_t rows, int64_t cols, std::vector<std::vector<Entry>>& pieces, Duplicates duplicates);

struct Coordinates {
    int64_t rows, cols;
    bool pattern = false;          // no values: all 1
    int mirror = 0;                // 1: symmetric, -1: skew-symmetric
    int64_t begin = 0, line = 0;   // where the entries start in the first part
    char comment = '\0';           // lines that start with it are skipped
    bool zero_line = false;        // "0 0 0" stands for an empty matrix
};
// Entries per chunk; their number in the file (before mirroring) in *count.
std::vector<std::vector<Entry>> read_entries(sm_ctx* ctx, const Source& source, const Coordinates& c, int64_t* count);

// Pieces of text formatted by several threads, written in their order.
class OrderedOutput {
public:
    OrderedOutput(OutputFile& file, int64_t offset) : file_(file), offset_(offset) {}
    void put(int64_t item, const char* data, int64_t n);
    void abandon();

private:
    OutputFile& file_;
    std::mutex mutex_;
    std::condition_variable turn_;
    int64_t next_ = 0, offset_;
    bool abandoned_ = false;
};

// Writes `head`, then the n pieces of fill(item, buffer), which returns how many bytes it made.
template <class F>
void write_pieces(sm_ctx* ctx, OutputFile& file, std::string_view head, int64_t n, F&& fill) {
    file.append(head);
    OrderedOutput out(file, static_cast<int64_t>(head.size()));
    Progress progress(ctx, "writing", file.path(), n << 20);
    in_order(ctx, n, [&](int64_t item, Buffer& buffer) {
        try {
            int64_t bytes = fill(item, buffer);
            out.put(item, buffer.data(), bytes);
        } catch (...) {
            out.abandon();
            throw;
        }
        progress.add(1 << 20);
    });
}

}  // namespace sm::io
