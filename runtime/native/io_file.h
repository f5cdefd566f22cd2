// Files for the readers and writers: inputs cut into chunks of whole lines, outputs that appear complete or
// not at all, and the order in which several threads work through either.
#pragma once

#include "core.h"

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sm::io {

constexpr int64_t kChunk = 1 << 20;  // bytes of text a task works on: fits in L2

// Uninitialised bytes that grow and are reused.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    ~Buffer();
    char* reserve(int64_t bytes);  // keeps the contents
    char* data() { return bytes_; }

private:
    char* bytes_ = nullptr;
    int64_t capacity_ = 0;
};

// An open file, closed at the end of its scope.
class File {
public:
    File() = default;
    File(const std::string& path, int flags, unsigned mode = 0);  // open() says why in errno
    File(File&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    File& operator=(File&& other) noexcept;
    ~File() { close(); }
    int number() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }
    int close();  // what close() returns

private:
    int number_ = -1;
};

// What read() reads: one file, or the part files of a directory in the order of their names.
class Source {
public:
    explicit Source(const std::string& path);
    struct Part {
        std::string path;
        int64_t size;
        File file;            // closed: opened for each read, as there are many
        std::string content;  // of what cannot be read at an offset, such as a pipe
    };
    const std::string& path() const { return path_; }
    const std::vector<Part>& parts() const { return parts_; }
    int64_t bytes() const { return bytes_; }
    // Reads up to n bytes at an offset of a part; fewer only at its end.
    int64_t read(int64_t part, int64_t offset, char* to, int64_t n) const;
    std::string head(int64_t n) const;  // the first bytes of the first part that has some

private:
    void add(const std::string& path, bool hold);
    std::string path_;
    std::vector<Part> parts_;
    int64_t bytes_ = 0;
};

// A piece of a source. The lines that start in [begin, end) belong to it.
struct Chunk {
    int64_t part, begin, end;
};
std::vector<Chunk> chunks(const Source& source, int64_t first_begin = 0);

// The lines of a chunk, each ended by '\n' (added when the file's last one is missing) and kPadding zeros after.
struct Lines {
    const char *begin, *end;
};
Lines load_lines(const Source& source, const Chunk& chunk, Buffer& buffer);
// Line starts in a chunk, and how many of those lines are empty.
struct LineCount {
    int64_t lines, empty;
};
LineCount count_lines(const Source& source, const Chunk& chunk, Buffer& buffer);

// A file being written: under a temporary name in the same folder until commit(), removed if that never comes.
// What is not a regular file (a device, a pipe) is written directly.
class OutputFile {
public:
    OutputFile(sm_ctx* ctx, std::string path);
    OutputFile(const OutputFile&) = delete;
    ~OutputFile();
    bool seekable() const { return !temporary_.empty(); }
    void append(std::string_view text);
    void write_at(int64_t offset, const char* data, int64_t n);
    void close();   // all bytes are accepted, or an error
    void commit();  // close, and give it its name
    const std::string& path() const { return path_; }

private:
    void put(const char* data, int64_t n, int64_t offset);
    void remove_folders() noexcept;
    sm_ctx* ctx_;
    std::string path_, target_, temporary_;
    std::vector<std::string> folders_;  // made for this file, outer ones first
    File file_;
};

// One line on standard error while a long read or write goes on, if that is a terminal.
class Progress {
public:
    Progress(sm_ctx* ctx, const char* verb, const std::string& path, int64_t total);
    ~Progress();
    void add(int64_t n);

private:
    void draw(int64_t done, double now);
    const char* verb_;
    std::string name_;
    int64_t total_;
    bool enabled_, drawn_ = false;
    double start_, next_;
    std::atomic<int64_t> done_{0};
    std::mutex mutex_;
};

// Hands out 0 .. n-1 in order to all threads and keeps the failure of the lowest one.
class Queue {
public:
    Queue(sm_ctx* ctx, int64_t n) : ctx_(ctx), n_(n) {}
    template <class F>
    void each(F&& work) {  // work(item), called by one thread
        while (!stopped()) {
            int64_t item = next_.fetch_add(1, std::memory_order_relaxed);
            if (item >= n_) return;
            try {  // an item once taken is worked on: a later one may wait for its turn
                work(item);
            } catch (...) {
                fail(item, std::current_exception());
            }
        }
    }
    bool stopped() const { return failed_.load(std::memory_order_relaxed) || ctx_->interrupt; }
    void finish();  // rethrows

private:
    void fail(int64_t item, std::exception_ptr failure);
    sm_ctx* ctx_;
    int64_t n_;
    std::atomic<int64_t> next_{0};
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    int64_t item_ = 0;
    std::exception_ptr failure_;
};

// Runs work(item, buffer) over 0 .. n-1 in increasing order on all threads.
template <class F>
void in_order(sm_ctx* ctx, int64_t n, F&& work) {
    Queue queue(ctx, n);
    parallel_for(ctx, n < threads() ? n : threads(), [&](int64_t) {
        Buffer buffer;
        queue.each([&](int64_t item) { work(item, buffer); });
    });
    queue.finish();
}

[[noreturn]] void fail_errno(const char* action, const std::string& path, int error);
bool file_exists(const std::string& path);
std::string read_file(const std::string& path, int64_t limit);
std::string read_rest(const File& file, const std::string& path, int64_t limit);
bool valid_utf8(std::string_view text);
// A piece of input for a message: quoted, shortened, unprintable bytes as \xNN.
std::string quoted(std::string_view text);

}  // namespace sm::io
