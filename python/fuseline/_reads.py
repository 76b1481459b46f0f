"""Which files a program of a workflow has read: they are inputs, and the workflow runs it again when one changes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import site
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

_opened: dict[str, os.stat_result] = {}
_written: set[str] = set()
_started = time.time_ns()


def watch() -> None:
    """Notes from now on each file that Python opens, with what it looks like then."""
    sys.addaudithook(_note)


def write(folder: Path) -> None:
    """Writes `reads.json`: local files that were opened, modules that were imported, and what tells the versions of
    installed distributions and of the interpreter."""
    listed = [_entry(path, stat) for path, stat in _opened.items() if path not in _written]
    known = {entry["path"] for entry in listed}
    for path in sorted(_modules() - known):
        stat = os.stat(path)
        # Which of its contents was imported cannot be told of a module that changed since the program began.
        entry = _entry(path, stat)
        listed.append(entry if stat.st_mtime_ns < _started else {**entry, "modified_ns": -1})
    (folder / "reads.json").write_text(json.dumps(listed), encoding="utf-8")


def _entry(path: str, stat: os.stat_result) -> dict[str, Any]:
    return {"path": path, "size": stat.st_size, "modified_ns": stat.st_mtime_ns}


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], (str, bytes)):
        return
    name, mode, flags = arguments
    path = os.path.realpath(os.fsdecode(name))
    if (isinstance(mode, str) and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR):
        _written.add(path)
        return
    if path in _opened or not _is_local(path):
        return
    try:
        stat = os.stat(path)
    except OSError:
        return
    if os.path.isfile(path):
        _opened[path] = stat


_paths = sysconfig.get_paths()
#: Where distributions are installed.
_installed = tuple(
    os.path.realpath(folder) + os.sep
    for folder in {_paths["purelib"], _paths["platlib"], *site.getsitepackages(), site.getusersitepackages()}
)
#: What belongs to the interpreter, whose own file stands for it.
_standard = tuple(os.path.realpath(_paths[name]) + os.sep for name in ("stdlib", "platstdlib"))
#: What belongs to the system.
_system = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/")


def _is_local(path: str) -> bool:
    return "__pycache__" not in path and not path.startswith((*_installed, *_standard, *_system))


def _modules() -> set[str]:
    """Sources of local modules, the metadata of distributions that others are of, and the interpreter."""
    files = {os.path.realpath(sys.executable)}
    names: set[str] = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = os.path.realpath(file)
        if path.startswith(_installed):
            names.add(name.partition(".")[0])
        elif _is_local(path) and os.path.isfile(path):
            files.add(path)
    distributions = importlib.metadata.packages_distributions() if names else {}
    for distribution in {each for name in names for each in distributions.get(name, [])}:
        folder = getattr(importlib.metadata.distribution(distribution), "_path", None)
        for said in ("METADATA", "PKG-INFO"):
            if folder is not None and os.path.isfile(os.path.join(str(folder), said)):
                files.add(os.path.realpath(os.path.join(str(folder), said)))
    return files


# Also what is read while the program's own modules are imported.
if "FUSELINE_TASK" in os.environ:
    watch()
