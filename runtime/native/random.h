// Generators whose streams SystemML and SystemDS document: java.util.Random and WELL1024a.
#pragma once

#include <cmath>
#include <cstdint>

namespace sm {

// The linear congruential generator of java.util.Random (48 bits; Knuth TAOCP vol. 2, 3.2.1).
class JavaRandom {
public:
    explicit JavaRandom(int64_t seed) { set_seed(seed); }
    void set_seed(int64_t seed) { state = (static_cast<uint64_t>(seed) ^ kMultiplier) & kMask; }
    int32_t next(int bits) {
        state = (state * kMultiplier + kIncrement) & kMask;
        return static_cast<int32_t>(static_cast<int64_t>(state) >> (48 - bits));
    }
    int32_t next_int() { return next(32); }
    int32_t next_int(int32_t bound) {  // unbiased, in [0, bound)
        if ((bound & -bound) == bound) return static_cast<int32_t>((bound * static_cast<int64_t>(next(31))) >> 31);
        for (;;) {
            int32_t bits = next(31), value = bits % bound;
            if (static_cast<int64_t>(bits) - value + (bound - 1) <= INT32_MAX) return value;
        }
    }
    int64_t next_long() {
        uint64_t high = static_cast<uint64_t>(static_cast<int64_t>(next(32))) << 32;
        return static_cast<int64_t>(high + static_cast<uint64_t>(static_cast<int64_t>(next(32))));
    }
    double next_double() {
        int64_t high = static_cast<int64_t>(next(26)) << 27;
        return static_cast<double>(high + next(27)) * 0x1p-53;
    }

    static constexpr uint64_t kMultiplier = 0x5DEECE66DULL, kIncrement = 0xB, kMask = (1ULL << 48) - 1;
    uint64_t state = 0;
};

// WELL1024a (Panneton, L'Ecuyer, Matsumoto: Improved long-period generators based on linear recurrences modulo 2, 2006).
class Well1024a {
public:
    explicit Well1024a(JavaRandom& source) {
        for (uint32_t& s : v) s = static_cast<uint32_t>(source.next_int());
    }
    explicit Well1024a(int64_t seed) {  // the initialisation of Mersenne Twister, over both halves of the seed
        v[0] = static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32);
        v[1] = static_cast<uint32_t>(seed);
        for (int i = 2; i < 32; i++) {
            int64_t l = static_cast<int32_t>(v[i - 2]);
            v[i] = static_cast<uint32_t>(1812433253LL * (l ^ (l >> 30)) + i);
        }
    }
    uint32_t next(int bits) {
        int before = (at + 31) & 31;
        uint32_t m1 = v[(at + 3) & 31], m2 = v[(at + 24) & 31], m3 = v[(at + 10) & 31];
        uint32_t z0 = v[before], z1 = v[at] ^ (m1 ^ (m1 >> 8)), z2 = (m2 ^ (m2 << 19)) ^ (m3 ^ (m3 << 14));
        v[at] = z1 ^ z2;
        v[before] = (z0 ^ (z0 << 11)) ^ (z1 ^ (z1 << 7)) ^ (z2 ^ (z2 << 13));
        at = before;
        return v[at] >> (32 - bits);
    }
    int64_t next_long() {
        uint64_t high = static_cast<uint64_t>(next(32)) << 32;
        return static_cast<int64_t>(high | next(32));
    }
    double next_double() {
        uint64_t high = static_cast<uint64_t>(next(26)) << 26;
        return static_cast<double>(high | next(26)) * 0x1p-52;
    }

private:
    uint32_t v[32];
    int at = 0;
};

}  // namespace sm
