// Buffers of matrices: aligned, counted, checked, and reused when they are big.
#include "context.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

namespace sm {
namespace {

constexpr int64_t kMapped = 256 << 10;  // from here on buffers are mapped and reused
constexpr int64_t kHuge = 2 << 20;
constexpr int kSlots = 16;

std::atomic<int64_t> allocations{0}, live{0}, peak{0};

// Stands right before the cells of a mapped buffer.
struct MapHeader {
    char* base;
    int64_t mapped;    // bytes of the mapping
    int64_t capacity;  // usable bytes after the header
};

struct FreeList {
    std::mutex mutex;
    MapHeader* slots[kSlots] = {};
    int64_t bytes = 0;
};
FreeList& free_list() {
    static FreeList* list = new FreeList;  // never destroyed: buffers may outlive static destructors
    return *list;
}

// Programs over small matrices make and drop buffers of a few sizes all the time: each thread keeps some.
struct SmallBuffers {
    static constexpr int kSizes = 64, kKept = 8;  // sizes 64, 128, … 4096
    void* slot[kSizes][kKept];
    uint8_t count[kSizes] = {};
    ~SmallBuffers() {
        for (int i = 0; i < kSizes; i++)
            while (count[i] > 0) free(slot[i][--count[i]]);
    }
};
thread_local SmallBuffers small;

void* alloc_small(size_t rounded) {
    size_t i = rounded / 64 - 1;
    if (i < SmallBuffers::kSizes && small.count[i] > 0) return small.slot[i][--small.count[i]];
    return aligned_alloc(64, rounded);
}

void free_small(void* buffer, size_t rounded) {
    size_t i = rounded / 64 - 1;
    if (i < SmallBuffers::kSizes && small.count[i] < SmallBuffers::kKept) small.slot[i][small.count[i]++] = buffer;
    else free(buffer);
}

int64_t rounded_up(int64_t bytes) { return bytes < 64 ? 64 : (bytes + 63) & ~int64_t(63); }

void add_live(int64_t bytes) {
    int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t seen = peak.load(std::memory_order_relaxed);
    while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
}

void unmap(MapHeader* h) { munmap(h->base, static_cast<size_t>(h->mapped)); }

MapHeader* take_cached(int64_t bytes) {
    FreeList& list = free_list();
    std::lock_guard lock(list.mutex);
    int best = -1;
    for (int i = 0; i < kSlots; i++) {
        MapHeader* h = list.slots[i];
        if (h && h->capacity >= bytes && h->capacity <= bytes + bytes / 4 &&
            (best < 0 || h->capacity < list.slots[best]->capacity))
            best = i;
    }
    if (best < 0) return nullptr;
    MapHeader* h = list.slots[best];
    list.slots[best] = nullptr;
    list.bytes -= h->mapped;
    return h;
}

void drop_cached() {
    FreeList& list = free_list();
    std::lock_guard lock(list.mutex);
    for (MapHeader*& h : list.slots) {
        if (h) unmap(h);
        h = nullptr;
    }
    list.bytes = 0;
}

// Keeps h when that does not lift the memory use (much) above the program's peak; false: the caller unmaps it.
bool cache(MapHeader* h) {
    FreeList& list = free_list();
    std::lock_guard lock(list.mutex);
    int64_t most = peak.load(std::memory_order_relaxed);
    int64_t allowed = most - live.load(std::memory_order_relaxed) + most / 16 + (1 << 20);  // mappings are rounded up
    if (h->mapped > allowed) return false;
    for (int round = 0; round < 2; round++) {
        if (list.bytes + h->mapped <= allowed)
            for (MapHeader*& slot : list.slots)
                if (!slot) {
                    slot = h;
                    list.bytes += h->mapped;
                    return true;
                }
        for (MapHeader*& slot : list.slots) {  // full: what was kept so far is of the wrong sizes
            if (slot) unmap(slot);
            slot = nullptr;
        }
        list.bytes = 0;
    }
    return false;
}

// A fresh mapping is all zeros. Successive buffers start at different cache sets, so that kernels that walk
// several of them in step do not collide.
MapHeader* map_fresh(int64_t bytes) {
    static std::atomic<unsigned> turn{0};
    int64_t offset = 64 * (1 + (turn.fetch_add(1, std::memory_order_relaxed) % 8) * 9);
    int64_t page = 4096;
    int64_t size = (bytes + offset + page - 1) / page * page;
    int64_t slack = size >= kHuge ? kHuge : 0;
    void* p = mmap(nullptr, static_cast<size_t>(size + slack), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    char* base = static_cast<char*>(p);
    if (slack) {
        int64_t skip = (kHuge - reinterpret_cast<intptr_t>(base) % kHuge) % kHuge;
        if (skip) munmap(base, static_cast<size_t>(skip));
        if (slack > skip) munmap(base + skip + size, static_cast<size_t>(slack - skip));
        base += skip;
        madvise(base, static_cast<size_t>(size), MADV_HUGEPAGE);
    }
    auto* header = reinterpret_cast<MapHeader*>(base + offset - sizeof(MapHeader));
    *header = {base, size, size - offset};
    return header;
}

[[noreturn]] void out_of_memory(int64_t bytes) {
    throw Error("out of memory: cannot allocate " + byte_text(double(bytes)) + " (" +
                byte_text(double(live.load())) + " in use)");
}

}  // namespace

std::string byte_text(double bytes) {
    const char* unit[] = {"bytes", "KB", "MB", "GB", "TB", "PB", "EB"};
    int u = 0;
    while (bytes >= 1000 && u < 6) bytes /= 1000, u++;
    return format(u == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[u]);
}

int64_t physical_memory() {
    static const int64_t bytes = int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE));
    return bytes;
}


void* alloc_buffer(int64_t bytes, bool zeroed) {
    if (bytes < 64) bytes = 64;
    void* result = nullptr;
    if (bytes < kMapped) {
        size_t rounded = static_cast<size_t>(rounded_up(bytes));
        result = alloc_small(rounded);
        if (!result) {
            drop_cached();
            result = aligned_alloc(64, rounded);
        }
        if (!result) out_of_memory(bytes);
        if (zeroed) memset(result, 0, rounded);
    } else {
        MapHeader* h = take_cached(bytes);
        bool dirty = h != nullptr;
        // The kernel would promise more than the machine has and kill the process later.
        if (!h && bytes <= physical_memory()) h = map_fresh(bytes);
        if (!h && bytes <= physical_memory()) {
            drop_cached();
            h = map_fresh(bytes);
        }
        if (!h) out_of_memory(bytes);
        result = h + 1;
        if (dirty && zeroed) {
            char* p = static_cast<char*>(result);
            parallel_chunks(nullptr, bytes, 4 << 20, [&](int64_t b, int64_t e) { memset(p + b, 0, static_cast<size_t>(e - b)); });
        }
    }
    allocations.fetch_add(1, std::memory_order_relaxed);
    add_live(bytes);
    return result;
}

void free_buffer(void* buffer, int64_t bytes) noexcept {
    if (!buffer) return;
    if (bytes < 64) bytes = 64;
    add_live(-bytes);
    if (bytes < kMapped) return free_small(buffer, static_cast<size_t>(rounded_up(bytes)));
    MapHeader* h = static_cast<MapHeader*>(buffer) - 1;
    if (!cache(h)) unmap(h);
}

}  // namespace sm

SM_API int64_t sm_alloc_count(void) { return sm::allocations.load(); }
SM_API int64_t sm_bytes_live(void) { return sm::live.load(); }
SM_API int64_t sm_bytes_peak(void) { return sm::peak.load(); }
SM_API void sm_reset_peak(void) { sm::peak.store(sm::live.load()); }
