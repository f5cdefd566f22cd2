// Output files that appear complete or not at all, progress on the terminal, and ordered work.
#include "io_file.h"
#include "io.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sm::io {
namespace {

std::atomic<bool> progress_allowed{true};
std::atomic<unsigned> serial{0};

double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// A write beyond the file size limit shall fail with an error, not kill the process.
void survive_size_limit() {
    struct sigaction action;
    if (sigaction(SIGXFSZ, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        sigaction(SIGXFSZ, &action, nullptr);
    }
}

std::string resolved(const std::string& path) {  // through links, so that the link stays one
    char real[PATH_MAX];
    return realpath(path.c_str(), real) ? std::string(real) : path;
}

// Makes the folders that a path names and that are not there, outer ones first; gives those it made.
std::vector<std::string> make_folders(const std::string& path) {
    std::vector<std::string> made;
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        std::string folder = path.substr(0, slash);
        if (mkdir(folder.c_str(), 0777) == 0) made.push_back(folder);
        else if (errno != EEXIST && errno != EISDIR) break;  // opening the file will say why
    }
    return made;
}

}  // namespace

OutputFile::OutputFile(sm_ctx* ctx, std::string path) : ctx_(ctx), path_(std::move(path)) {
    require(path_.find('\0') == std::string::npos && !path_.empty(), "write: %s is no file name", quoted(path_).c_str());
    survive_size_limit();
    struct stat info;
    bool exists = stat(path_.c_str(), &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) fail_errno("write", path_, EISDIR);
    if (exists && !S_ISREG(info.st_mode)) {
        file_ = File(path_, O_WRONLY);
        if (!file_) fail_errno("write", path_, errno);
        return;
    }
    if (exists && access(path_.c_str(), W_OK) != 0) fail_errno("write", path_, errno);
    if (!exists) folders_ = make_folders(path_);
    target_ = resolved(path_);
    size_t slash = target_.rfind('/') + 1;  // npos + 1 = 0
    std::string base = target_.substr(slash, 200);
    for (int attempt = 0;; attempt++) {
        std::string name = target_.substr(0, slash) + format(".%s.%ld-%u.tmp", base.c_str(), static_cast<long>(getpid()), serial++);
        register_temporary(ctx, name);
        file_ = File(name, O_WRONLY | O_CREAT | O_EXCL, exists ? info.st_mode & 07777 : 0666);
        if (file_) {
            temporary_ = name;
            break;
        }
        int error = errno;
        forget_temporary(ctx, name);
        if (error == EEXIST && attempt < 100) continue;
        remove_folders();
        fail_errno("write", path_, error);
    }
    if (exists && fchmod(file_.number(), info.st_mode & 07777) != 0) {
        // Not ours: the file then gets the mode that open() gave it.
    }
}

OutputFile::~OutputFile() {
    if (temporary_.empty()) return;
    unlink(temporary_.c_str());
    forget_temporary(ctx_, temporary_);
    remove_folders();
}

// Those made for a file that did not come to be, unless somebody else uses them by now.
void OutputFile::remove_folders() noexcept {
    for (; !folders_.empty(); folders_.pop_back()) rmdir(folders_.back().c_str());
}

void OutputFile::put(const char* data, int64_t n, int64_t offset) {
    while (n > 0) {
        size_t step = static_cast<size_t>(std::min<int64_t>(n, 1 << 30));
        ssize_t done = offset < 0 ? ::write(file_.number(), data, step) : pwrite(file_.number(), data, step, offset);
        if (done < 0 && errno == EINTR && !ctx_->interrupt) continue;
        if (done <= 0) fail_errno("write", path_, done < 0 ? errno : ENOSPC);
        data += done;
        n -= done;
        if (offset >= 0) offset += done;
    }
}

void OutputFile::append(std::string_view text) { put(text.data(), static_cast<int64_t>(text.size()), -1); }
void OutputFile::write_at(int64_t offset, const char* data, int64_t n) { put(data, n, offset); }

void OutputFile::close() {
    if (file_.close() != 0 && errno != EINTR) fail_errno("write", path_, errno);
}

void OutputFile::commit() {
    close();
    if (temporary_.empty()) return;
    if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_errno("write", path_, errno);
    forget_temporary(ctx_, temporary_);
    temporary_.clear();
}

Progress::Progress(sm_ctx*, const char* verb, const std::string& path, int64_t total) : verb_(verb), total_(total) {
    enabled_ = progress_allowed && total > (8 << 20) && isatty(STDERR_FILENO);
    if (!enabled_) return;
    name_ = path.substr(path.rfind('/') + 1);
    start_ = seconds();
    next_ = start_ + 1;
}

Progress::~Progress() {
    if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void Progress::add(int64_t n) {
    if (!enabled_) return;
    int64_t done = done_ += n;
    double now = seconds();
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock && now >= next_) draw(done, now);
}

void Progress::draw(int64_t done, double now) {
    next_ = now + 0.1;
    drawn_ = true;
    double share = static_cast<double>(done) / static_cast<double>(total_), spent = now - start_;
    std::fprintf(stderr, "\r\x1b[K%s %.40s: %3.0f %%, %.0f MB/s, %.0f s left", verb_, name_.c_str(), 100 * share,
                 1e-6 * static_cast<double>(done) / spent, spent * (1 - share) / (share > 0 ? share : 1));
    std::fflush(stderr);
}

void Queue::fail(int64_t item, std::exception_ptr failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!failure_ || item < item_) {
        item_ = item;
        failure_ = failure;
    }
    failed_ = true;
}

void Queue::finish() {
    if (failure_) std::rethrow_exception(failure_);
    if (ctx_->interrupt) throw Error("interrupted");
}

}  // namespace sm::io

SM_API void sm_set_progress(sm_ctx*, int32_t on) { sm::io::progress_allowed = on != 0; }
