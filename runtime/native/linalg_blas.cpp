#include "linalg_blas.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <mutex>
#include <vector>

namespace sm::blas {
namespace {

constexpr const char* kLibrary = "libscipy_openblas.so";

std::mutex mutex;
std::string configured;  // where the host or the linker step says the library is
Table loaded;
bool ready = false;

constexpr size_t kLibraryBytes = size_t(64) << 20;  // of address space, for its code
constexpr size_t kBufferBytes = size_t(64) << 20;   // that it takes for a call, and keeps

// The library ends the process when it gets no memory. Where there is a limit, we look whether there is room.
void check_memory() {
    rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    size_t bytes = kBufferBytes + (ready ? 0 : kLibraryBytes);
    void* room = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) fail("out of memory: the linear algebra library needs %zu MB of address space", bytes >> 20);
    munmap(room, bytes);
}

std::string executable_path() {
    char buffer[4096];
    ssize_t n = readlink("/proc/self/exe", buffer, sizeof buffer - 1);
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

std::vector<std::string> candidates() {
    std::vector<std::string> paths;
    std::string exe = executable_path();
    if (!exe.empty()) {
        paths.push_back(exe + ".libs/" + kLibrary);
        paths.push_back(exe.substr(0, exe.rfind('/') + 1) + kLibrary);
    }
    if (!configured.empty()) paths.insert(paths.begin(), configured);
    return paths;
}

template <class F>
void bind(void* library, const char* name, F& f) {
    f = reinterpret_cast<F>(dlsym(library, name));
    require(f != nullptr, "the BLAS library has no function %s", name);
}

void load() {
    std::string tried;
    void* library = nullptr;
    for (const std::string& path : candidates()) {
        if (access(path.c_str(), R_OK) == 0 && (library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))) break;
        tried += "\n  " + path;
    }
    if (!library) fail("cannot load the BLAS/LAPACK library this operation needs; looked for:%s", tried.c_str());
    bind(library, "scipy_LAPACKE_dgetrf", loaded.dgetrf);
    bind(library, "scipy_LAPACKE_dgetrs", loaded.dgetrs);
    bind(library, "scipy_LAPACKE_dgetri", loaded.dgetri);
    bind(library, "scipy_LAPACKE_dgecon", loaded.dgecon);
    bind(library, "scipy_LAPACKE_dpotrf", loaded.dpotrf);
    bind(library, "scipy_LAPACKE_dpotrs", loaded.dpotrs);
    bind(library, "scipy_LAPACKE_dpocon", loaded.dpocon);
    bind(library, "scipy_LAPACKE_dgeqrf", loaded.dgeqrf);
    bind(library, "scipy_LAPACKE_dsyevd", loaded.dsyevd);
    bind(library, "scipy_LAPACKE_dgesdd", loaded.dgesdd);
    bind(library, "scipy_openblas_set_num_threads", loaded.set_num_threads);
    loaded.set_num_threads(1);
    ready = true;
}

}  // namespace

const Table& table() {
    std::lock_guard<std::mutex> lock(mutex);
    check_memory();
    if (!ready) load();
    return loaded;
}

int size(int64_t n) {
    require(n <= INT_MAX, "a dimension of %lld is too large for the linear algebra library", static_cast<long long>(n));
    return static_cast<int>(n);
}

}  // namespace sm::blas

// Where the BLAS library lies; takes effect when it is not loaded yet.
SM_API void sm_blas_path(const char* path) {
    std::lock_guard<std::mutex> lock(sm::blas::mutex);
    sm::blas::configured = path ? path : "";
}
