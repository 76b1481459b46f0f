"""Builds the wheel: the fusion rules and the header are put where maturin takes data from, then maturin does the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import maturin
from maturin import (  # noqa: F401 - the other hooks of a build backend
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
)

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "python" / "fuseline.data" / "data"


#: For a wheel that is given away: some minutes for a sixteenth of its size.
PACK = bool(os.environ.get("FUSELINE_WHEEL_PACK"))


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


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*maturin.get_requires_for_build_wheel(config_settings), *(["zopfli"] if PACK else [])]


class Whole:
    """A compressor for zipfile that has a part as one."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    def compress(self, data: bytes) -> bytes:
        return b""

    def flush(self) -> bytes:
        return self.packed


def deflated(data: bytes) -> bytes:
    from zopfli import zlib

    # Without the head and the sum that zlib puts around it.
    return zlib.compress(data, numiterations=5)[2:-4]


def pack(wheel: Path) -> None:
    """Compresses all parts of a wheel anew, by zopfli."""
    new = wheel.with_suffix(".new")
    with ZipFile(wheel) as old, ZipFile(new, "w") as target, ProcessPoolExecutor() as pool:
        parts = old.infolist()
        contents = [old.read(part) for part in parts]
        for part, data, packed in zip(parts, contents, pool.map(deflated, contents)):
            info = ZipInfo(part.filename, part.date_time)
            info.external_attr, info.compress_type = part.external_attr, ZIP_DEFLATED
            with target.open(info, "w") as file:
                file._compressor = Whole(packed)  # type: ignore[attr-defined]
                file.write(data)
    new.replace(wheel)


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    stage_rules()
    # The oldest system that the command runs on, read from it: the tag of the wheel.
    os.environ.setdefault("MATURIN_PEP517_ARGS", "--compatibility pypi")
    name: str = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    if PACK:
        pack(Path(wheel_directory) / name)
    return name
