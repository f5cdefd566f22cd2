"""Objects to executables and shared libraries, with the system's C compiler as linker (or the one of the ziglang wheel).

Results get their name only when they are whole. What calls BLAS or LAPACK carries the library in `<name>.libs/`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sysmlc.codegen.cpu.compile import Compiled
from sysmlc.codegen.cpu.dispatch import level_suffix
from sysmlc.codegen.cpu.objects import kernel_llvm, linked_kernels, objects, program_object, text_object
from sysmlc.codegen.cpu.tables import TYPES, c_bytes
from sysmlc.codegen.cpu.target import optimize, parse, program_module, target_machine
from sysmlc.ir.source import Diagnostic
from sysmlc.runtime.library import blas_library, include_dir, static_library

BLAS_NAME = "libscipy_openblas.so"
_BLAS_MARK = b"scipy_LAPACKE_dgetrf"
"""A name the runtime looks up in the library; it is in exactly those results that may need it."""
_HIDDEN = "-Wl,--exclude-libs,libstdc++.a:libgcc.a:libgcc_eh.a"

_MAIN = """
@sm_program = external global i8
declare i32 @sm_main(i32, ptr, ptr)
declare extern_weak void @sm_blas_path(ptr)
@path = private constant [{size} x i8] {path}
define i32 @main(i32 %argc, ptr %argv) {{
  %used = icmp ne ptr @sm_blas_path, null
  br i1 %used, label %blas, label %go
blas:
  call void @sm_blas_path(ptr @path)
  br label %go
go:
  %status = call i32 @sm_main(i32 %argc, ptr %argv, ptr @sm_program)
  ret i32 %status
}}
"""

_LIBRARY = """
@sm_program = external hidden global {{ ptr, ptr, i64 }}
declare void @sm_set_locations(ptr, ptr, i64)
declare i32 @sm_run(ptr, ptr)
define i32 @{name}_run(ptr %ctx) {{
  %program = load {{ ptr, ptr, i64 }}, ptr @sm_program
  %entry = extractvalue {{ ptr, ptr, i64 }} %program, 0
  %where = extractvalue {{ ptr, ptr, i64 }} %program, 1
  %count = extractvalue {{ ptr, ptr, i64 }} %program, 2
  call void @sm_set_locations(ptr %ctx, ptr %where, i64 %count)
  %status = call i32 @sm_run(ptr %ctx, ptr %entry)
  ret i32 %status
}}
"""

_HEADER = """\
// {name}: a compiled DML script, made by sysmlc {version}.
//
//     sm_ctx* ctx = sm_ctx_new();
//     sm_set_arg(ctx, "name", "value");                  // $name
//     if ({name}_run(ctx)) fputs(sm_error_render(ctx), stderr);
//     sm_ctx_free(ctx);
//
// Variables named by --input and --output go in with sm_set_input and come out with sm_get_output.
#ifndef {guard}
#define {guard}

{runtime}
#ifdef __cplusplus
extern "C" {{
#endif
int32_t {name}_run(sm_ctx* ctx);  // 0, or 1 after an error
#ifdef __cplusplus
}}
#endif
#endif
"""


@cache
def find_linker() -> tuple[str, ...]:
    """The command that links: $CC, cc, gcc or clang; else the compiler of the ziglang wheel."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return (found,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise Diagnostic(
        "no linker found: executables and libraries need a C compiler to link with",
        hint="install gcc or clang, or run: pip install ziglang",
    )


def all_objects(compiled: Compiled, entry: str) -> list[bytes]:
    """What a result consists of: where it is entered (LLVM text), the program, and every kernel variant it may launch."""
    target = compiled.target
    return objects([
        program_object(compiled.linked_llvm(), target, compiled.effort),
        *linked_kernels(compiled.variants, compiled.kernels, compiled.targets),
        *([text_object(entry, target)] if entry else []),
    ])  # fmt: skip


def linked_module(compiled: Compiled) -> Any:
    """The program and its kernels as one LLVM module, optimised: to look at."""
    if len(compiled.targets) > 1:
        raise Diagnostic("LLVM text and assembly show one level of the processor: name one --target-cpu")
    target = compiled.target
    whole = program_module(compiled.linked_llvm(), target, compiled.effort)
    for kernel in compiled.kernel_ops.values():
        if kernel.variants:
            part = parse(kernel_llvm(kernel, kernel.variants, target, level_suffix(target)))
            optimize(part, target)
            whole.link_in(part)
    return whole


def linked_assembly(compiled: Compiled) -> str:
    """The program and its kernels as assembler text."""
    return str(target_machine(compiled.target).emit_assembly(linked_module(compiled)))


def link_executable(compiled: Compiled, output: Path) -> None:
    """Make the executable `output`."""
    blas = blas_library()
    size, path = c_bytes(str(blas or ""))
    parts = all_objects(compiled, _MAIN.format(size=size, path=path))
    with _workplace(output) as folder:
        made = folder / output.name
        uses_blas = _link(parts, made, folder, ["-pie"])
        _carry_blas(uses_blas, output)
        os.replace(made, output)


def link_library(compiled: Compiled, output: Path) -> None:
    """Make the shared library `output` and its C header beside it."""
    name = c_name(output.stem)
    parts = all_objects(compiled, TYPES + _LIBRARY.format(name=name))
    with _workplace(output) as folder:
        made = folder / output.name
        # Callers may use whatever the headers declare, so those parts of the archive go in.
        wanted = [f"-Wl,-u,{symbol}" for symbol in re.findall(r"^SM_API .*?(sm_\w+)\(", _interface(), re.M)]
        flags = ["-shared", "-Wl,-Bsymbolic", f"-Wl,-soname,{output.name}", *wanted]
        uses_blas = _link(parts, made, folder, flags)
        header = folder / "header"
        header.write_text(library_header(name))
        _carry_blas(uses_blas, output)
        os.replace(made, output)
        os.replace(header, output.with_name(name + ".h"))


def link_object(compiled: Compiled, output: Path) -> None:
    """Make one relocatable object of the program and its kernels; its entry is `sm_program`."""
    with _workplace(output) as folder:
        made = folder / output.name
        files = _write_objects(all_objects(compiled, ""), folder)
        _run_linker([*find_linker(), "-r", "-nostdlib", "-o", str(made), *files])
        os.replace(made, output)


def library_header(name: str) -> str:
    """The C header of a library: the runtime's interface and the function that runs the script."""
    from sysmlc import __version__

    return _HEADER.format(name=name, guard=name.upper() + "_H", runtime=_interface(), version=__version__)


def _interface() -> str:
    headers = [(include_dir() / name).read_text() for name in ("sysmlc.h", "embed.h")]
    return "".join(headers).replace('#include "sysmlc.h"\n', "")


def c_name(stem: str) -> str:
    """A file name as a C identifier, without `lib` in front."""
    stem = stem.removeprefix("lib") or stem
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return name if not name[:1].isdigit() else "_" + name


@contextlib.contextmanager
def _workplace(output: Path) -> Iterator[Path]:
    """A folder next to the result, so that the finished file can be renamed into place."""
    try:
        folder = tempfile.mkdtemp(dir=output.parent, prefix=".sysmlc-")
    except OSError as error:
        raise Diagnostic(f"cannot write to {output.parent}: {error.strerror}") from None
    try:
        yield Path(folder)
    except OSError as error:
        raise Diagnostic(f"cannot write {output}: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_objects(objects: Sequence[bytes], folder: Path) -> list[str]:
    files = []
    for i, data in enumerate(objects):
        file = folder / f"{i}.o"
        file.write_bytes(data)
        files.append(str(file))
    return files


def _link(objects: Sequence[bytes], made: Path, folder: Path, flags: Sequence[str]) -> bool:
    """Link with the runtime; whether the result calls BLAS or LAPACK."""
    linker = find_linker()
    command = [*linker, "-o", str(made), *flags, *_write_objects(objects, folder), str(static_library())]
    # The C++ library goes in, so that the result needs only libc; unused parts go out.
    zig = "ziglang" in linker
    if not zig and shutil.which("ld.gold"):  # in two thirds of the time of ld.bfd
        command.append("-fuse-ld=gold")
    command += [*_cxx_library(zig), "-lm", "-lpthread", "-ldl", "-Wl,--gc-sections", "-s"]
    _run_linker([*command, "-Wl,-z,noexecstack"])
    return _BLAS_MARK in made.read_bytes()


def _cxx_library(zig: bool) -> list[str]:
    """The static C++ library: the one that came with the runtime, else that of the system's compiler."""
    bundled = static_library().with_name("libstdc++.a")
    if bundled.is_file():
        return [str(bundled), "-lunwind"] if zig else [str(bundled), "-static-libgcc", _HIDDEN]
    if zig:
        raise Diagnostic(
            f"linking with ziglang needs {bundled.name} in {bundled.parent}",
            hint="install gcc and g++, or a package of sysmlc that brings this library",
        )
    return ["-Wl,-Bstatic", "-lstdc++", "-Wl,-Bdynamic", "-static-libgcc", _HIDDEN]


def _run_linker(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise Diagnostic(f"cannot run the linker {command[0]}: {error.strerror}") from None
    if done.returncode:
        reason = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise Diagnostic(f"linking failed ({command[0]} returned {done.returncode}):\n  {reason}")


def _carry_blas(used: bool, output: Path) -> None:
    """Put the BLAS library beside a result that uses it."""
    libs = output.with_name(output.name + ".libs")
    if not used:
        if libs.is_dir():
            shutil.rmtree(libs, ignore_errors=True)
        return
    blas = blas_library()
    if blas is None:
        raise Diagnostic(
            "this program needs BLAS and LAPACK, which are not installed",
            hint="run: pip install scipy-openblas32",
        )
    libs.mkdir(exist_ok=True)
    target = libs / BLAS_NAME
    if not target.is_file() or target.stat().st_size != blas.stat().st_size:
        temporary = libs / (BLAS_NAME + ".new")
        shutil.copyfile(blas, temporary)
        os.replace(temporary, target)
