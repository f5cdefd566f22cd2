"""Executables and shared libraries: they need nothing, are small, and do what the program in process does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sysmlc.codegen.cpu import link
from sysmlc.codegen.cpu.host import host_processor
from sysmlc.codegen.cpu.target import level_of
from sysmlc.ir.source import Diagnostic
from sysmlc.runtime.library import native_library, static_library
from sysmlc.tools.sysmlc import main

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to link with")


def build(folder: Path, script: str, *options: str, name: str = "prog") -> Path:
    source = folder / "script.dml"
    source.write_text(script)
    assert main([str(source), "-o", str(folder / name), *options]) == 0
    return folder / name


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env={}, capture_output=True, text=True, timeout=60)


def test_hello_is_small_and_needs_nothing(tmp_path: Path) -> None:
    prog = build(tmp_path, 'print("hi")\n')
    done = run([str(prog)], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
    assert prog.stat().st_size < 2 << 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prog", "script.dml"]


def test_arguments_defaults_and_help(tmp_path: Path) -> None:
    prog = build(tmp_path, 'n = ifdef($n, 3)\nprint("n is " + n + ", k is " + $k)\n')
    assert run([str(prog), "-nvargs", "k=2"], tmp_path).stdout == "n is 3, k is 2\n"
    assert run([str(prog), "-nvargs", "k=x", "n=5"], tmp_path).stdout == "n is 5, k is x\n"
    missing = run([str(prog)], tmp_path)
    assert missing.returncode == 2
    assert "$k" in missing.stderr
    shown = run([str(prog), "--help"], tmp_path).stdout
    assert "default: 3" in shown
    assert "required" in shown


def test_errors_name_the_line(tmp_path: Path) -> None:
    prog = build(tmp_path, 'x = 1\nif ($k > 1) { stop("enough") }\nprint("fine")\n')
    assert run([str(prog), "-nvargs", "k=1"], tmp_path).stdout == "fine\n"
    done = run([str(prog), "-nvargs", "k=2"], tmp_path)
    assert done.returncode == 1
    assert "script.dml:2:" in done.stderr
    assert "enough" in done.stderr


def test_kernels_and_products(tmp_path: Path) -> None:
    script = "X = seq(1, 300) %*% t(seq(1, 200))\nprint(sum(exp(-X / 60000) * X))\nprint(sum(t(X) %*% X))\n"
    prog = build(tmp_path, script)
    done = run([str(prog)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "prog.libs").exists(), "products need no BLAS"
    source = tmp_path / "script.dml"
    in_process = subprocess.run(
        [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", str(source)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert in_process.stdout == done.stdout


def test_what_calls_lapack_carries_it(tmp_path: Path) -> None:
    prog = build(tmp_path, "A = diag(seq(1, 5))\nprint(sum(solve(A, seq(1, 5))))\n")
    assert (tmp_path / "prog.libs" / link.BLAS_NAME).is_file()
    assert run([str(prog)], tmp_path).stdout == "5.0\n"


CALLER = """
#include <stdio.h>
#include "sum.h"
int main(void) {
    sm_ctx* ctx = sm_ctx_new();
    sm_set_arg(ctx, "n", "10");
    if (sum_run(ctx)) { fputs(sm_error_render(ctx), stderr); return 1; }
    sm_set_arg(ctx, "n", "-1");
    int failed = sum_run(ctx);
    printf("%d %s\\n", failed, sm_error_message(ctx));
    sm_ctx_free(ctx);
    return 0;
}
"""


def test_a_library_runs_from_c(tmp_path: Path) -> None:
    build(
        tmp_path, 'if ($n < 0) { stop("negative") }\nprint(sum(seq(1, $n)))\n', "--emit=lib", name="libsum.so"
    )
    (tmp_path / "caller.c").write_text(CALLER)
    subprocess.run(
        ["cc", "caller.c", "-o", "caller", "-L.", "-lsum", "-Wl,-rpath,$ORIGIN"], cwd=tmp_path, check=True
    )
    done = run([str(tmp_path / "caller")], tmp_path)
    assert done.stdout == "55.0\n1 negative\n", done.stderr


EMBEDDER = """
#include <stdio.h>
#include "scale.h"
int main(void) {
    double cells[6] = {1, 2, 3, 4, 5, 6};
    sm_ctx* ctx = sm_ctx_new();
    sm_matrix* X = sm_matrix_from_external(ctx, 2, 3, cells, NULL, NULL);
    sm_box* factor = sm_cast_f64_box(ctx, 2.5);
    sm_set_input(ctx, "X", &X->o);
    sm_set_input(ctx, "factor", &factor->o);
    if (scale_run(ctx)) { fputs(sm_error_render(ctx), stderr); return 1; }
    sm_matrix* Y = (sm_matrix*)sm_get_output(ctx, "Y");
    printf("%d %d %g %g\\n", (int)Y->rows, (int)Y->cols, ((double*)Y->data)[5], cells[5]);
    sm_release(ctx, &X->o);
    sm_release(ctx, &factor->o);
    sm_ctx_free(ctx);
    return 0;
}
"""


def test_a_library_takes_and_gives_matrices(tmp_path: Path) -> None:
    options = ("--emit=lib", "--input", "X", "--input", "factor:f64", "--output", "Y")
    build(tmp_path, "Y = X * factor\n", *options, name="libscale.so")
    (tmp_path / "caller.c").write_text(EMBEDDER)
    command = ["cc", "caller.c", "-o", "caller", "-L.", "-lscale", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = run([str(tmp_path / "caller")], tmp_path)
    assert done.stdout == "2 3 15 6\n", done.stderr


@pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3"])
def test_portable_targets(tmp_path: Path, cpu: str) -> None:
    prog = build(tmp_path, "print(sum(exp(seq(0, 1, 0.001))))\n", f"--target-cpu={cpu}")
    assert run([str(prog)], tmp_path).stdout.startswith("1720.")


def host_level() -> int:
    return int(level_of(host_processor()[1])[-1])


def test_several_levels_in_one_executable(tmp_path: Path) -> None:
    script = "X = seq(1, 300) / 7\nprint(sum(exp(-X) * X))\nprint(sum(X[, 1] ^ 2))\n"
    several = "--target-cpu=x86-64-v4,x86-64-v2,x86-64-v3"
    prog = build(tmp_path, script, several)
    printed = set()
    for most in ("", "2", "3", "4"):
        done = subprocess.run([prog], env={"SYSMLC_CPU_LEVEL": most}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1
    symbols = build(tmp_path, script, several, "--emit=obj", name="prog.o").read_bytes()
    kernels = set(re.findall(rb"\0(cell_\w+)\.x86-64-v([234])(?=\0)", symbols))
    assert kernels
    for name in {name for name, _ in kernels}:
        assert {level for other, level in kernels if other == name} == {b"2", b"3", b"4"}


def test_a_processor_that_can_too_little_is_told_so(tmp_path: Path) -> None:
    prog = build(tmp_path, "print(sum(exp(seq(0, 1, 0.001))))\n", "--target-cpu=x86-64-v3,x86-64-v4")
    done = subprocess.run([prog], env={"SYSMLC_CPU_LEVEL": "2"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: this program needs a processor that can do x86-64-v3\n"


CHOOSE = """
import ctypes, sys
from sysmlc.runtime.library import native

class Kernel(ctypes.Structure):
    _fields_ = [("variants", ctypes.c_void_p), ("n", ctypes.c_int64), ("by_level", ctypes.c_void_p)]

class Dispatch(ctypes.Structure):
    _fields_ = [("n_levels", ctypes.c_int64), ("levels", ctypes.c_void_p), ("n", ctypes.c_int64), ("kernels", ctypes.c_void_p)]

levels = (ctypes.c_int32 * 3)(2, 3, 4)
filled = (ctypes.c_int64 * 2)()
tables = [(ctypes.c_int64 * 2)(10 * n, 10 * n + 1) for n in levels]
by_level = (ctypes.c_void_p * 3)(*map(ctypes.addressof, tables))
kernels = (Kernel * 1)(Kernel(ctypes.addressof(filled), 2, ctypes.addressof(by_level)))
native().sm_choose_level(ctypes.byref(Dispatch(3, ctypes.addressof(levels), 1, ctypes.addressof(kernels))))
print(*filled)
"""


@pytest.mark.parametrize("most", [2, 3, 4, 0])
def test_the_highest_level_of_the_processor_is_chosen(most: int) -> None:
    environment = {**os.environ, "SYSMLC_CPU_LEVEL": str(most)}
    done = subprocess.run([sys.executable, "-c", CHOOSE], env=environment, capture_output=True, text=True)
    level = min(most or 4, host_level())
    assert done.stdout == f"{10 * level} {10 * level + 1}\n", done.stderr


def test_levels_that_make_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.dml").write_text("print(1)\n")
    for wrong in ("x86-64-v3,native", "x86-64-v9", "x86-64-v2,"):
        assert main([str(tmp_path / "a.dml"), f"--target-cpu={wrong}"]) == 2
        assert "one or more of x86-64-v2, x86-64-v3, x86-64-v4" in capsys.readouterr().err
    several = ["--target-cpu=x86-64-v2,x86-64-v3", "--emit=asm", "-o", "-"]
    assert main([str(tmp_path / "a.dml"), *several]) == 1
    assert "name one --target-cpu" in capsys.readouterr().err


def test_levels_agree(tmp_path: Path) -> None:
    script = "s = 0.0\nfor (i in 1:1000) { s = s + i / 3 }\nprint(s)\n"
    printed = {
        run([str(build(tmp_path, script, level, name=f"p{level[2]}"))], tmp_path).stdout
        for level in ("-O0", "-O1", "-O2")
    }
    assert len(printed) == 1


def test_without_a_linker_the_message_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    link.find_linker.cache_clear()
    try:
        with pytest.raises(Diagnostic, match="no linker found"):
            link.find_linker()
    finally:
        link.find_linker.cache_clear()


@pytest.mark.parametrize(
    ("stem", "name"), [("libmodel", "model"), ("my-prog", "my_prog"), ("3d", "_3d"), ("lib", "lib")]
)
def test_names_in_c(stem: str, name: str) -> None:
    assert link.c_name(stem) == name


def test_the_wheel_of_zig_links_where_there_is_no_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang")
    found = subprocess.run(["cc", "-print-file-name=libstdc++.a"], capture_output=True, text=True, check=True)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for file in (static_library(), native_library(), Path(found.stdout.strip())):
        shutil.copy(file, runtime)
    monkeypatch.setenv("SYSMLC_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    link.find_linker.cache_clear()
    try:
        prog = build(tmp_path, 'print("hi")\nif ($n > 0) { stop("enough") }\n')
    finally:
        link.find_linker.cache_clear()
    done = run([str(prog), "-nvargs", "n=1"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "hi\n")
    assert "enough" in done.stderr
