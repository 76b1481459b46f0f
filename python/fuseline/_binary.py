"""Where the command is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from fuseline._errors import FuselineError


def find_binary() -> str:
    """Path of the command: `FUSELINE_BINARY`, else the one that came with this package, else the one on the PATH."""
    chosen = os.environ.get("FUSELINE_BINARY")
    if chosen:
        if not Path(chosen).is_file():
            raise FuselineError(f"FUSELINE_BINARY names {chosen}, and there is no such file")
        return chosen
    name = "fuseline.exe" if os.name == "nt" else "fuseline"
    folders = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    found = shutil.which("fuseline")
    if found:
        return found
    places = ", ".join(str(folder) for folder in folders)
    raise FuselineError(
        f"the command fuseline is in none of {places}, nor on the PATH: install the wheel again, "
        "or name the command in FUSELINE_BINARY"
    )


def environment() -> dict[str, str]:
    """Environment of the command: its rules and programs find this interpreter, and the modules that it was told of.

    They run in folders of their own, where a relative folder of `PYTHONPATH` would name another place.
    """
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    told = {**os.environ, "PATH": os.pathsep.join([folder, path])}
    if modules := told.get("PYTHONPATH"):
        told["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, modules.split(os.pathsep)))
    return told
