// Statistics: what each operator cost, what was allocated and converted.
#include "launch.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace sm {
namespace {

int64_t now_nanos() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct OpTotal {
    std::string name;
    int64_t count, nanos;
};

}  // namespace

bool stats_on(const sm_ctx* ctx) noexcept { return ctx && static_cast<const Context*>(ctx)->stats.on; }

void count_conversion(sm_ctx* ctx, int to_format) noexcept {
    Stats& stats = context(ctx)->stats;
    (to_format == SM_CSR ? stats.to_csr : stats.to_dense)++;
}

void count_element_conversion(sm_ctx* ctx, int to_elem) noexcept {
    Stats& stats = context(ctx)->stats;
    (to_elem == SM_F32 ? stats.to_single : stats.to_double)++;
}

}  // namespace sm

SM_API void sm_stats_enable(sm_ctx* ctx, int32_t on) { sm::context(ctx)->stats.on = on != 0; }

// Tokens are depths of the stack of running operators: an unwound operator is forgotten by the next one.
SM_API int64_t sm_stats_enter(sm_ctx* ctx, const char* op) {
    sm::Stats& stats = sm::context(ctx)->stats;
    if (!stats.on) return 0;
    size_t i = 0;
    while (i < stats.ops.size() && stats.ops[i].name != op && strcmp(stats.ops[i].name, op) != 0) i++;
    if (i == stats.ops.size()) stats.ops.push_back({op});
    stats.open.push_back({i, sm::now_nanos(), 0});
    return int64_t(stats.open.size());
}

SM_API void sm_stats_leave(sm_ctx* ctx, int64_t token) {
    sm::Stats& stats = sm::context(ctx)->stats;
    if (token <= 0 || token > int64_t(stats.open.size())) return;
    auto [op, start, inner] = stats.open[size_t(token) - 1];
    int64_t elapsed = sm::now_nanos() - start;
    stats.open.resize(size_t(token) - 1);
    stats.ops[op].count++;
    stats.ops[op].nanos += elapsed - inner;
    if (!stats.open.empty()) stats.open.back().inner += elapsed;
}

SM_API int64_t sm_stats_conversions(sm_ctx* ctx, int32_t to_format) {
    const sm::Stats& stats = sm::context(ctx)->stats;
    return to_format == SM_CSR ? stats.to_csr : stats.to_dense;
}

SM_API const char* sm_stats_report(sm_ctx* ctx, int64_t top) {
    sm::Stats& stats = sm::context(ctx)->stats;
    std::string& out = stats.report;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    out = "Memory: peak " + sm::byte_text(double(sm_bytes_peak())) + " in matrices, " +
          sm::byte_text(double(usage.ru_maxrss) * 1024) + " resident; " + std::to_string(sm_alloc_count()) +
          " buffers allocated.\n";
    out += "Conversions: " + std::to_string(stats.to_dense) + " to dense, " + std::to_string(stats.to_csr) +
           " to sparse (" + std::to_string(stats.planned) + " planned)";
    if (stats.to_single + stats.to_double > 0)
        out += ", " + std::to_string(stats.to_single) + " to single, " + std::to_string(stats.to_double) + " to double precision";
    if (stats.edits > 0)
        out += ". Edits of sparse rows: " + std::to_string(stats.edits) + ", put in " + std::to_string(stats.settled) + " times";
    out += ". Threads: " + std::to_string(sm_threads()) + ".\n";
    std::vector<sm::OpTotal> ops;  // variants of one operation together
    for (const auto& op : stats.ops) {
        std::string name = sm::kernel_title(op.name);
        size_t i = 0;
        while (i < ops.size() && ops[i].name != name) i++;
        if (i == ops.size()) ops.push_back({name, 0, 0});
        ops[i].count += op.count;
        ops[i].nanos += op.nanos;
    }
    std::stable_sort(ops.begin(), ops.end(), [](const auto& a, const auto& b) { return a.nanos > b.nanos; });
    if (top > 0 && ops.size() > size_t(top)) ops.resize(size_t(top));
    if (ops.empty()) return out.c_str();
    out += "Heavy hitter operators:\n  #  Operator                          Time(s)     Count\n";
    int rank = 0;
    for (const auto& op : ops)
        out += sm::format("%3d  %-30s %10.3f %9lld\n", ++rank, op.name.c_str(), double(op.nanos) * 1e-9, (long long)op.count);
    return out.c_str();
}
