"""All dialects; importing this package registers every operation."""

from sysmlc.ir.dialects import (
    core,
    dml_cell,
    dml_create,
    dml_facts,
    dml_fit,
    dml_matrix,
    dml_pick,
    dml_scalar,
    dml_stat,
    fused,
    kernel,
    kernel_lanes,
    kernel_memory,
    rt,
    scf,
)

__all__ = [
    "core",
    "dml_cell",
    "dml_create",
    "dml_facts",
    "dml_fit",
    "dml_matrix",
    "dml_pick",
    "dml_scalar",
    "dml_stat",
    "fused",
    "kernel",
    "kernel_lanes",
    "kernel_memory",
    "rt",
    "scf",
]
