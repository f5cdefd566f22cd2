// One pool of threads for everything. A job is a number of tasks taken one by one from a counter; the caller
// works too. Workers join a job only while it is open, so a caller never waits for a worker that sleeps.
#include "context.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <new>

namespace sm {
namespace {

constexpr uint32_t kJoined = 0x3ff, kOpen = 0x400, kGeneration = 0x800;
constexpr int kMaxThreads = 512;

struct Pool {
    // Low bits: workers inside the job; kOpen: may be joined; the rest counts the jobs. Also the futex word.
    alignas(64) std::atomic<uint32_t> state{0};
    std::atomic<int> sleepers{0};
    std::atomic<bool> caller_sleeps{false};
    alignas(64) std::atomic<int64_t> next{0};
    alignas(64) int64_t n = 0;
    void (*fn)(void*, int64_t) = nullptr;
    void* arg = nullptr;
    sm_ctx* ctx = nullptr;
    std::atomic<bool> stop{false};
    std::mutex failure_mutex;
    std::exception_ptr failure;
    int64_t failed_task = 0;
    std::atomic<bool> busy{false};
    int started = 0;  // worker threads that exist
    std::atomic<int> limit{0};
};

alignas(Pool) char pool_storage[sizeof(Pool)];
Pool* pool = new (pool_storage) Pool;  // never destroyed: workers may run until the process is gone
thread_local bool inside_task = false;

void futex(std::atomic<uint32_t>* word, int op, uint32_t value) {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), op | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

inline void pause_cpu() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

int64_t now_nanos() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

template <class Condition>
bool spin_until(Condition&& done) {
    int64_t deadline = 0;
    for (int round = 0;; round++) {
        for (int i = 0; i < 32; i++) {
            if (done()) return true;
            pause_cpu();
        }
        int64_t now = now_nanos();
        if (round == 0) deadline = now + 40000;
        if (now > deadline) return false;
    }
}

void work(Pool* p) {
    while (!p->stop.load(std::memory_order_relaxed)) {
        int64_t task = p->next.fetch_add(1, std::memory_order_relaxed);
        if (task >= p->n) return;
        try {
            if (p->ctx && p->ctx->interrupt) throw Error("interrupted");
            p->fn(p->arg, task);
        } catch (...) {
            std::lock_guard lock(p->failure_mutex);
            if (!p->failure || task < p->failed_task) {
                p->failure = std::current_exception();
                p->failed_task = task;
            }
            p->stop.store(true, std::memory_order_relaxed);
        }
    }
}

void* worker(void*) {
    Pool* p = pool;
    inside_task = true;
    uint32_t last = 0;  // generation of the last job joined
    auto joinable = [&](uint32_t s) {
        return (s & kOpen) && s / kGeneration != last &&
               int(s & kJoined) + 1 < p->limit.load(std::memory_order_relaxed);
    };
    for (;;) {
        uint32_t s = p->state.load();
        if (!joinable(s)) {
            if (spin_until([&] { return joinable(p->state.load(std::memory_order_relaxed)); })) continue;
            p->sleepers.fetch_add(1);
            s = p->state.load();
            if (!joinable(s)) futex(&p->state, FUTEX_WAIT, s);
            p->sleepers.fetch_sub(1);
            continue;
        }
        if (!p->state.compare_exchange_strong(s, s + 1)) continue;
        last = s / kGeneration;
        work(p);
        uint32_t before = p->state.fetch_sub(1);
        if ((before & kJoined) == 1 && p->caller_sleeps.load()) futex(&p->state, FUTEX_WAKE, INT_MAX);
    }
}

// Workers are started when the first job needs them. A system that gives fewer threads gives fewer.
void start_workers(Pool* p, int wanted) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);  // signals belong to the thread that runs the program
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (p->started < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, worker, nullptr) != 0) {
            p->limit.store(p->started + 1);
            break;
        }
        p->started++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

int default_threads() {
    if (const char* text = getenv("SYSMLC_THREADS")) {
        int n = atoi(text);
        if (n > 0) return n < kMaxThreads ? n : kMaxThreads;
    }
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return 1;
}

// The child of a fork has no workers; it starts its own when it needs them.
void after_fork_in_child() {
    int limit = pool->limit.load();
    pool = new (pool_storage) Pool;
    pool->limit.store(limit);
    inside_task = false;
}
const int fork_handler = pthread_atfork(nullptr, nullptr, after_fork_in_child);

}  // namespace

int threads() noexcept {
    int n = pool->limit.load(std::memory_order_relaxed);
    if (n == 0) pool->limit.store(n = default_threads());
    return n;
}

void check_interrupt(sm_ctx* ctx) {
    if (ctx && ctx->interrupt) throw Error("interrupted");
}

void run_tasks(sm_ctx* ctx, int64_t n, void (*fn)(void*, int64_t), void* arg) {
    (void)fork_handler;
    if (n <= 0) return;
    Pool* p = pool;
    // One job at a time: tasks of tasks, and other threads of the process, run serially.
    if (n == 1 || inside_task || threads() == 1 || p->busy.exchange(true)) {
        for (int64_t task = 0; task < n; task++) {
            check_interrupt(ctx);
            fn(arg, task);
        }
        return;
    }
    int wanted = threads() - 1;
    if (p->started < wanted) start_workers(p, wanted);
    p->n = n;
    p->fn = fn;
    p->arg = arg;
    p->ctx = ctx;
    p->next.store(0, std::memory_order_relaxed);
    p->stop.store(false, std::memory_order_relaxed);
    p->failure = nullptr;
    p->state.fetch_add(kGeneration | kOpen);
    int sleepers = p->sleepers.load();
    if (sleepers > 0) futex(&p->state, FUTEX_WAKE, static_cast<uint32_t>(n - 1 < sleepers ? n - 1 : sleepers));

    inside_task = true;
    work(p);
    inside_task = false;

    p->state.fetch_and(~kOpen);
    auto drained = [&] { return (p->state.load() & kJoined) == 0; };
    if (!spin_until(drained)) {
        p->caller_sleeps.store(true);
        for (uint32_t s = p->state.load(); s & kJoined; s = p->state.load()) futex(&p->state, FUTEX_WAIT, s);
        p->caller_sleeps.store(false);
    }
    std::exception_ptr failure = std::move(p->failure);
    p->failure = nullptr;
    p->busy.store(false);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace sm

SM_API int32_t sm_threads(void) { return sm::threads(); }

SM_API void sm_set_threads(int32_t n) {
    if (n > sm::kMaxThreads) n = sm::kMaxThreads;
    sm::pool->limit.store(n > 0 ? n : sm::default_threads());
}

SM_API void sm_parallel(sm_ctx* ctx, int64_t n_tasks, void (*fn)(void* arg, int64_t task), void* arg) {
    return SM_ENTRY(ctx, { sm::run_tasks(ctx, n_tasks, fn, arg); });
}
