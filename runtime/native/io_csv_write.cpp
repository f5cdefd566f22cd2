// Matrix to CSV: ranges of cells are formatted in parallel and written in order.
#include "io_formats.h"
#include "io_number.h"

#include <algorithm>
#include <cstring>

namespace sm::io {

constexpr int64_t kCells = 32768;

void OrderedOutput::put(int64_t item, const char* data, int64_t n) {
    std::unique_lock<std::mutex> lock(mutex_);
    turn_.wait(lock, [&] { return next_ == item || abandoned_; });
    if (abandoned_) throw Error("a part before this one failed");  // reported by that part
    int64_t offset = offset_;
    if (!file_.seekable()) file_.append({data, static_cast<size_t>(n)});
    offset_ += n;
    next_++;
    turn_.notify_all();
    lock.unlock();
    if (file_.seekable()) file_.write_at(offset, data, n);
}

void OrderedOutput::abandon() {
    std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
    turn_.notify_all();
}

void write_csv(sm_ctx* ctx, const sm_matrix* m, OutputFile& out, const WriteOptions& options) {
    const std::string& sep = options.sep;
    std::string head;
    if (options.header)
        for (int64_t c = 1; c <= m->cols; c++) head += (c > 1 ? sep : "") + "C" + std::to_string(c) + (c == m->cols ? "\n" : "");
    const int64_t n = cells(m), cols = m->cols;
    write_pieces(ctx, out, head, (n + kCells - 1) / kCells, [&](int64_t item, Buffer& buffer) {
        int64_t at = item * kCells, end = std::min(at + kCells, n), r = at / cols, c = at % cols;
        char *start = buffer.reserve((end - at) * (kNumberBytes + static_cast<int64_t>(sep.size()))), *p = start;
        auto between = [&] {  // what follows a cell
            if (++c < cols) {
                if (sep.size() == 1)
                    *p++ = sep[0];
                else
                    std::memcpy(p, sep.data(), sep.size()), p += sep.size();
            } else {
                *p++ = '\n';
                c = 0, r++;
            }
        };
        auto number = [&](double v) {
            if (v != 0)
                p += format_double(p, v);
            else if (!options.sparse)
                *p++ = '0';
        };
        with_element(m, [&](auto type) {
            const auto* v = values<decltype(type)>(m);
            if (is_dense(m)) {
                for (v += at; at < end; at++, between()) number(*v++);
                return;
            }
            const int64_t* rowptr = m->rowptr;
            int64_t k = std::lower_bound(m->colidx + rowptr[r], m->colidx + rowptr[r + 1], c) - m->colidx;
            for (; at < end; at++, between()) number(k < rowptr[r + 1] && m->colidx[k] == c ? v[k++] : 0);
        });
        return p - start;
    });
}

}  // namespace sm::io
