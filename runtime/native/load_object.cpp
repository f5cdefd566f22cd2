// Loads relocatable ELF objects. Sections go into one mapping, in three parts with rights of their own: code, constants
// and the table of addresses, data. Nothing in the object is trusted: it may come from a damaged file.
#include "load_object.h"

#include "core.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <vector>

namespace sm {
namespace {

constexpr uint64_t kLargest = 1 << 30;  // bytes of one object in memory
constexpr int64_t kNowhere = -1;        // the offset of a section that is not loaded
constexpr size_t kStub = 16;

enum Part { kCode, kConstants, kData, kParts };

[[noreturn]] void damaged(const char* what) { fail("damaged object code: %s", what); }

void check(bool good, const char* what) {
    if (!good) damaged(what);
}

// A library and what it depends on, rather than everything in the process, has the symbols.
void* library_symbol(const char* name) {
    static void* const self = [] {
        Dl_info info;
        return dladdr(reinterpret_cast<void*>(&sm_code_load), &info) ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    }();
    return dlsym(self ? self : RTLD_DEFAULT, name);
}

}  // namespace
}  // namespace sm

struct sm_code {
    uint8_t* base = nullptr;
    size_t size = 0;
    std::vector<std::pair<std::string, uint8_t*>> symbols;

    ~sm_code() {
        if (base) munmap(base, size);
    }
};

namespace sm {
namespace {

class Loader {
  public:
    Loader(const uint8_t* bytes, uint64_t size, sm_code& code) : bytes(bytes), size(size), code(code) {}

    void load() {
        read_header();
        read_symbols();
        lay_out();
        copy_sections();
        define_symbols();
        for (const Elf64_Shdr& s : sections)
            if (s.sh_type == SHT_RELA) relocate(s);
            else check(s.sh_type != SHT_REL, "relocations without addends");
        protect();
    }

  private:
    const uint8_t* bytes;
    uint64_t size;
    sm_code& code;
    std::vector<Elf64_Shdr> sections;
    std::vector<int64_t> offsets;  // of sections, from the start of the mapping
    std::vector<Elf64_Sym> symbols;
    std::vector<uint64_t> values;  // addresses of symbols
    std::vector<uint64_t> jumps;   // addresses of the stubs of symbols; 0: none
    const char* names = nullptr;
    uint64_t names_size = 0;
    size_t start[kParts + 1] = {};
    size_t stubs = 0, n_stubs = 0, table = 0;

    // `count` records of the object, copied: they need not be aligned there.
    template <class T>
    std::vector<T> records(uint64_t at, uint64_t count) const {
        check(at <= size && count <= (size - at) / sizeof(T), "a table outside of the file");
        std::vector<T> found(count);
        if (count) memcpy(found.data(), bytes + at, count * sizeof(T));
        return found;
    }

    void read_header() {
        Elf64_Ehdr h = records<Elf64_Ehdr>(0, 1)[0];
        check(memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && h.e_ident[EI_CLASS] == ELFCLASS64 && h.e_ident[EI_DATA] == ELFDATA2LSB &&
                  h.e_type == ET_REL && h.e_machine == EM_X86_64,
              "not a relocatable object for x86-64");
        check(h.e_shentsize == sizeof(Elf64_Shdr), "sections of another size");
        sections = records<Elf64_Shdr>(h.e_shoff, h.e_shnum);
        for (const Elf64_Shdr& s : sections)
            if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL) check(s.sh_offset <= size && s.sh_size <= size - s.sh_offset, "a section outside of the file");
    }

    void read_symbols() {
        for (const Elf64_Shdr& s : sections) {
            if (s.sh_type != SHT_SYMTAB) continue;
            check(s.sh_link < sections.size() && sections[s.sh_link].sh_type == SHT_STRTAB, "symbols without names");
            const Elf64_Shdr& text = sections[s.sh_link];
            names = reinterpret_cast<const char*>(bytes + text.sh_offset);
            names_size = text.sh_size;
            check(names_size > 0 && names[names_size - 1] == 0, "names without an end");
            symbols = records<Elf64_Sym>(s.sh_offset, s.sh_size / sizeof(Elf64_Sym));
            break;
        }
        for (const Elf64_Sym& s : symbols) check(s.st_name < names_size, "a name outside of the file");
        values.assign(symbols.size(), 0);
        jumps.assign(symbols.size(), 0);
    }

    static Part part_of(const Elf64_Shdr& s) {
        return s.sh_flags & SHF_EXECINSTR ? kCode : s.sh_flags & SHF_WRITE ? kData : kConstants;
    }

    // Offsets of all sections, of the stubs (behind the code) and of the table of addresses (before the constants).
    void lay_out() {
        size_t externals = 0;
        for (const Elf64_Sym& s : symbols) externals += s.st_shndx == SHN_UNDEF;
        offsets.assign(sections.size(), kNowhere);
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        uint64_t at = 0;
        for (int part = kCode; part < kParts; part++) {
            start[part] = size_t(at);
            if (part == kConstants) {
                table = size_t(at);
                at += symbols.size() * sizeof(uint64_t);
            }
            for (size_t i = 0; i < sections.size(); i++) {
                const Elf64_Shdr& s = sections[i];
                if (!(s.sh_flags & SHF_ALLOC) || part_of(s) != part || !s.sh_size) continue;
                uint64_t align = s.sh_addralign ? s.sh_addralign : 1;
                check((align & (align - 1)) == 0 && align <= page && s.sh_size <= kLargest, "the size of a section");
                at = (at + align - 1) & ~(align - 1);
                offsets[i] = int64_t(at);
                at += s.sh_size;
                check(at <= kLargest, "its size");
            }
            if (part == kCode) {
                at = (at + kStub - 1) & ~uint64_t(kStub - 1);
                stubs = size_t(at);
                at += externals * kStub;
            }
            at = (at + page - 1) & ~uint64_t(page - 1);
        }
        start[kParts] = size_t(at);
    }

    void copy_sections() {
        void* memory = mmap(nullptr, start[kParts] ? start[kParts] : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        code.base = static_cast<uint8_t*>(memory);
        code.size = start[kParts] ? start[kParts] : 1;
        for (size_t i = 0; i < sections.size(); i++)
            if (offsets[i] != kNowhere && sections[i].sh_type != SHT_NOBITS)
                memcpy(code.base + offsets[i], bytes + sections[i].sh_offset, sections[i].sh_size);
    }

    void define_symbols() {
        for (size_t i = 1; i < symbols.size(); i++) {
            const Elf64_Sym& s = symbols[i];
            const char* name = names + s.st_name;
            if (s.st_shndx == SHN_UNDEF) {
                values[i] = reinterpret_cast<uint64_t>(library_symbol(name));
                if (!values[i] && ELF64_ST_BIND(s.st_info) != STB_WEAK) fail("object code needs the symbol '%s', which is not there", name);
            } else if (s.st_shndx == SHN_ABS) {
                values[i] = s.st_value;
            } else {
                check(s.st_shndx < sections.size(), "a symbol in no section");
                if (offsets[s.st_shndx] == kNowhere) continue;  // of a section that is not loaded
                check(s.st_value <= sections[s.st_shndx].sh_size, "a symbol outside of its section");
                values[i] = reinterpret_cast<uint64_t>(code.base + offsets[s.st_shndx] + s.st_value);
                if (ELF64_ST_BIND(s.st_info) != STB_LOCAL && *name) code.symbols.emplace_back(name, reinterpret_cast<uint8_t*>(values[i]));
            }
        }
    }

    void relocate(const Elf64_Shdr& s) {
        check(s.sh_info < sections.size(), "relocations of no section");
        if (offsets[s.sh_info] == kNowhere) return;
        const Elf64_Shdr& target = sections[s.sh_info];
        for (const Elf64_Rela& r : records<Elf64_Rela>(s.sh_offset, s.sh_size / sizeof(Elf64_Rela))) {
            const uint64_t index = ELF64_R_SYM(r.r_info);
            const uint32_t type = uint32_t(ELF64_R_TYPE(r.r_info));
            const uint64_t width = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
            check(index < symbols.size(), "a relocation of no symbol");
            check(r.r_offset <= target.sh_size && width <= target.sh_size - r.r_offset, "a relocation outside of its section");
            uint8_t* place = code.base + offsets[s.sh_info] + r.r_offset;
            const uint64_t here = reinterpret_cast<uint64_t>(place), value = values[index], addend = uint64_t(r.r_addend);
            switch (type) {
                case R_X86_64_NONE: break;
                case R_X86_64_64: put(place, value + addend, 8); break;
                case R_X86_64_PC64: put(place, value + addend - here, 8); break;
                case R_X86_64_PC32: put_near(place, value + addend - here); break;
                case R_X86_64_PLT32: put_near(place, (symbols[index].st_shndx == SHN_UNDEF ? stub(index) : value) + addend - here); break;
                case R_X86_64_GOTPCREL:
                case R_X86_64_GOTPCRELX:
                case R_X86_64_REX_GOTPCRELX: put_near(place, slot(index) + addend - here); break;
                default: fail("damaged object code: relocations of type %u are not made for in-process programs", type);
            }
        }
    }

    static void put(uint8_t* place, uint64_t value, size_t width) { memcpy(place, &value, width); }

    static void put_near(uint8_t* place, uint64_t distance) {
        check(int64_t(distance) == int32_t(distance), "a distance of more than 2 GiB");
        put(place, distance, 4);
    }

    // Where the address of a symbol stands.
    uint64_t slot(uint64_t symbol) {
        uint64_t* const first = reinterpret_cast<uint64_t*>(code.base + table);
        first[symbol] = values[symbol];
        return reinterpret_cast<uint64_t>(first + symbol);
    }

    // Code that jumps to a function which may be too far away for a call.
    uint64_t stub(uint64_t symbol) {
        if (!jumps[symbol]) {
            uint8_t* const made = code.base + stubs + n_stubs++ * kStub;
            made[0] = 0xff, made[1] = 0x25;  // jmp *distance(%rip)
            put_near(made + 2, slot(symbol) - reinterpret_cast<uint64_t>(made + 6));
            jumps[symbol] = reinterpret_cast<uint64_t>(made);
        }
        return jumps[symbol];
    }

    void protect() {
        static const int rights[] = {PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
        for (int part = kCode; part < kParts; part++)
            if (start[part + 1] > start[part] && mprotect(code.base + start[part], start[part + 1] - start[part], rights[part]) != 0)
                fail("this system does not let a process make code of its own");
    }
};

}  // namespace
}  // namespace sm

SM_API sm_code* sm_code_load(const void* object, int64_t size, char* message, int64_t room) {
    sm_code* code = nullptr;
    try {
        code = new sm_code;
        sm::check(object && size > 0, "it is empty");
        sm::Loader(static_cast<const uint8_t*>(object), uint64_t(size), *code).load();
        return code;
    } catch (const sm::Error& error) {
        snprintf(message, size_t(room), "%s", error.what());
    } catch (const std::bad_alloc&) {
        snprintf(message, size_t(room), "out of memory");
    }
    delete code;
    return nullptr;
}

SM_API void* sm_code_symbol(const sm_code* code, const char* name) {
    for (const auto& symbol : code->symbols)
        if (symbol.first == name) return symbol.second;
    return nullptr;
}

SM_API void sm_code_free(sm_code* code) { delete code; }
