"""Builds the wheel: the fusion rules and the header are put where maturin takes data from, then maturin does the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import maturin
from maturin import (  # noqa: F401 - the other hooks of a build backend
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
)

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "python" / "fuseline.data" / "data"


def stage_rules() -> None:
    """Builds all rules and copies them, without symbols, and the header."""
    profile = os.environ.get("FUSELINE_WHEEL_PROFILE", "dist")
    # Without the command, which maturin builds: what a program alone needs is compiled for the linker only, so that a build of
    # both would have every dependency of the command a second time.
    subprocess.run(["cargo", "build", "--profile", profile, "--package", "fuseline-rule-*"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / ("debug" if profile == "dev" else profile)
    rules, include = DATA / "share" / "fuseline" / "rules", DATA / "include"
    shutil.rmtree(DATA, ignore_errors=True)
    rules.mkdir(parents=True)
    include.mkdir(parents=True)
    found = sorted([*target.glob("libfuseline_rule_*.so"), *target.glob("libfuseline_rule_*.dylib")])
    if not found:
        raise SystemExit(f"no fusion rule was built in {target}")
    for rule in found:
        shutil.copy(rule, rules)
    shutil.copy(ROOT / "crates" / "fuseline-abi" / "include" / "fuseline_fusion.h", include)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    DATA.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    stage_rules()
    # The oldest system that the command runs on, read from it: the tag of the wheel.
    os.environ.setdefault("MATURIN_PEP517_ARGS", "--compatibility pypi")
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
