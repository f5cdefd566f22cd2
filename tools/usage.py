"""What `sysmlc --help` says."""

from __future__ import annotations

ABSENT = {
    "gpu": "a GPU", "clean": "a scratch folder", "debug": "a debugger", "python": "PyDML or a bridge to Python", "lineage": "lineage",
    "fed": "federated workers", "w": "federated workers", "federatedCompilation": "federated workers", "noFedRuntimeConversion": "federated workers",
    "ngrams": "instructions", "mem": "instructions", "ooc": "operators out of core",
}  # fmt: skip
"""Options of SystemML and SystemDS that are not here, and what they are about."""

HELP = """\
sysmlc compiles DML, the R-like language of declarative machine learning, to native programs.

  sysmlc run script.dml                               compile and run in this process
  sysmlc run script.dml -nvargs X=in.csv B=out.csv    with named arguments: $X, $B
  sysmlc run script.dml -args in.csv 10               with positional arguments: $1, $2
  sysmlc run -s 'print(sum(seq(1, 10)))'              run a script given as text
  sysmlc run script.dml -stats 5                      show what took the time
  sysmlc run script.dml -explain plan                 show how it would run: what is fused, formats, sizes, costs

  sysmlc script.dml -o prog                           make an executable; it needs neither Python nor sysmlc
  ./prog -nvargs X=in.csv B=out.csv                   ... which takes the same arguments (./prog --help lists them)
  sysmlc script.dml -o prog -nvargs X=in.csv          an executable for these arguments: sizes of files are known, it takes no others
  sysmlc script.dml --emit=lib -o libprog.so          a shared library and prog.h for C, C++, Go, Rust, ...
  sysmlc script.dml --target-cpu=x86-64-v3 -o prog    for other machines than this one
  sysmlc script.dml --target-cpu=x86-64-v2,x86-64-v4  ... for several kinds, with kernels for each in one file

options of `run`
  -f FILE             the script (the same as naming it)
  -s TEXT             the script as text
  -nvargs k=v ...     named arguments; must come last
  -args a b ...       positional arguments; must come last
  -stats [N]          statistics and the N heaviest operators (default 10), on stderr
  -explain [LEVEL]    show the program instead of running it:
                        plan            the operators by source line: what is fused, formats, sizes, estimated costs
                        plan=FILE.html  ... as a page for the browser
                        rewrites        each algebraic rewrite, with costs before and after
                        dml, hops       the IR before any pass, after optimisation
                        runtime         (default) kernel launches, runtime calls, ownership
                        llvm, asm       the machine code, as text
  -config FILE        SystemML configuration (XML)
  -seed N             seed of rand() and sample() where the script gives none
  -threads N          use N threads (default: as many as the process may use)
  -exec MODE          singlenode or hybrid: accepted for compatibility

options of compiling
  -o FILE             the result (default: the script's name)
  --emit=KIND         exe (default), lib, obj, asm, llvm, ir
  --input NAME[:TYPE] a variable that callers of the library bind; TYPE is matrix (default), f64, i64, i1, str or list
  --output NAME       a variable that callers of the library get back
  --target-cpu=CPU    native (default); or one or more of x86-64-v2, x86-64-v3, x86-64-v4, with commas between them: the program
                      takes the highest level that the processor can do (and at most SYSMLC_CPU_LEVEL=2, 3 or 4)

both
  -O0 -O1 -O2         optimisation level (default 2)
  --precision=P       what matrices hold: double (default), or single for half the memory and twice the SIMD lanes; scalars
                      are double in any case
  --no-fusion         run every operator on its own, to see what fusion does
  --strict-fp         neither multiply out nor factor sums: roundings stay relative to the terms that are written
  --version, --help

Environment: SYSMLC_CACHE_DIR (compiled code; default ~/.cache/sysmlc), SYSMLC_THREADS, SYSMLC_WORKERS (processes that compile;
default: one for each processor; 0: none), SYSMLC_DEBUG=1 (tracebacks of bugs).
"""
