"""Workflows from Python: the command, its JSON and its artifacts."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fuseline._binary import environment, find_binary
from fuseline._errors import Diagnostic, FuselineError
from fuseline._table import Table

PathLike = str | os.PathLike[str]
STDERR_LINES = 20


@dataclass(frozen=True)
class PlannedAction:
    """What will happen to an action, and why."""

    stage: str
    point: dict[str, str]
    status: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    actions: tuple[PlannedAction, ...]

    @property
    def cached(self) -> int:
        """How many actions are cached."""
        return sum(action.status == "cached" for action in self.actions)

    def __len__(self) -> int:
        return len(self.actions)


class Run:
    """A run that has ended: its summary, its outputs and any artifact."""

    def __init__(self, workflow: str, options: list[str], cache: str | None, summary: dict[str, Any]) -> None:
        self._workflow, self._options, self._cache = workflow, options, cache
        self.summary = summary
        self.id: str = summary["run"]
        self.status: str = summary["status"]
        self.executed: int = summary["executed"]
        #: Of each report its `stage`, `headline` and `sentences`.
        self.verdicts: list[dict[str, Any]] = summary.get("verdicts", [])
        self.cached: int = summary["cached"]
        self.cautions: list[dict[str, Any]] = summary.get("cautions", [])
        self.outputs = {name: Path(path) for name, path in summary["outputs"].items()}

    @property
    def findings(self) -> Table:
        """The findings: of the stage `findings`, else of the only stage of kind `diagnose.family`."""
        return self["findings"]

    def __getitem__(self, artifact: str | tuple[str, Mapping[str, object]]) -> Table:
        """An artifact: `run["permute.effects", {"rule": "lr"}]`."""
        stage, point = (artifact, {}) if isinstance(artifact, str) else artifact
        return show(self._workflow, stage, point=point, options=self._options, cache=self._cache)

    def report(self) -> str:
        """The text of the report, where the workflow has one as an output."""
        for name, path in self.outputs.items():
            if name.endswith(".html"):
                return path.read_text(encoding="utf-8")
        raise FuselineError("the workflow has no report among its outputs")

    def __repr__(self) -> str:
        outputs = "".join(f"\n  {path}" for path in self.outputs.values())
        return (
            f"<fuseline.Run {self.id} of {self._workflow}: {self.status}, {self.executed} executed, "
            f"{self.cached} cached>{outputs}"
        )

    def _repr_html_(self) -> str:
        code, stdout, _ = _call(["report", self.id, *_cache_option(self._cache), "--fragment"])
        if code == 0:
            return stdout
        return f"<pre>{html.escape(repr(self))}</pre>"


def run(
    workflow: PathLike,
    *,
    set: Mapping[str, object] | None = None,
    params: PathLike | None = None,
    cache: PathLike | None = None,
    out: PathLike | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    keep_going: bool = False,
    keep_failed: bool = False,
    plugin_path: Sequence[PathLike] = (),
    quiet: bool = False,
) -> Run:
    """Runs a workflow; what did not change is reused. Progress goes to standard error. Ctrl-C is one SIGINT for the
    command, which finishes what is in flight. Raises :class:`FuselineError` with diagnostics."""
    options = _workflow_options(set, params, plugin_path)
    arguments = ["run", os.fspath(workflow), *options, *_cache_option(cache), "--format", "json"]
    arguments += [] if out is None else ["--out", os.fspath(out)]
    arguments += ["--only", ",".join(only)] if only else []
    arguments += [] if jobs is None else ["--jobs", str(jobs)]
    arguments += ["--keep-going"] if keep_going else []
    arguments += ["--keep-failed"] if keep_failed else []
    arguments += ["--quiet"] if quiet else []
    code, stdout, stderr = _call(arguments, live=not quiet)
    if code != 0:
        if stdout.strip():
            found = [_diagnostic(failure) for failure in json.loads(stdout)["diagnostics"]]
        else:
            found = [] if code == 1 else check(workflow, set=set, params=params, plugin_path=plugin_path)
        raise _failure(f"running {os.fspath(workflow)}", code, stderr, found)
    cache_text = None if cache is None else os.fspath(cache)
    return Run(os.fspath(workflow), options, cache_text, json.loads(stdout))


def check(
    workflow: PathLike,
    *,
    set: Mapping[str, object] | None = None,
    params: PathLike | None = None,
    plugin_path: Sequence[PathLike] = (),
) -> list[Diagnostic]:
    """Every mistake of a workflow, and what it is warned of; nothing is run."""
    arguments = ["check", os.fspath(workflow), *_workflow_options(set, params, plugin_path), "--format", "json"]
    code, stdout, stderr = _call(arguments)
    if not stdout.strip():
        raise _failure(f"checking {os.fspath(workflow)}", code, stderr)
    return [_diagnostic(found) for found in json.loads(stdout)["diagnostics"]]


def plan(
    workflow: PathLike,
    *,
    set: Mapping[str, object] | None = None,
    params: PathLike | None = None,
    cache: PathLike | None = None,
    plugin_path: Sequence[PathLike] = (),
) -> Plan:
    """What would run, what is cached, and why."""
    options = _workflow_options(set, params, plugin_path)
    arguments = ["plan", os.fspath(workflow), *options, *_cache_option(cache), "--format", "json"]
    code, stdout, stderr = _call(arguments)
    if code != 0:
        found = check(workflow, set=set, params=params, plugin_path=plugin_path)
        raise _failure(f"planning {os.fspath(workflow)}", code, stderr, found)
    actions = json.loads(stdout)["actions"]
    return Plan(
        tuple(
            PlannedAction(action["stage"], dict(action["point"]), action["status"], action.get("reason") or "")
            for action in actions
        )
    )


def show(
    workflow: PathLike,
    artifact: str,
    *,
    point: Mapping[str, object] | None = None,
    set: Mapping[str, object] | None = None,
    options: Sequence[str] = (),
    cache: PathLike | None = None,
) -> Table:
    """An artifact that is in the cache: `show("study.yaml", "permute.effects", point={"rule": "lr", "fold": 0})`."""
    coordinates = ",".join(f"{axis}={label}" for axis, label in (point or {}).items())
    address = f"{artifact}[{coordinates}]" if coordinates else artifact
    options = [*options, *_workflow_options(set, None, ())]
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f"artifact.{ending}") for ending in ("parquet", "json")]
        for file in files:
            arguments = ["show", os.fspath(workflow), address, *options, *_cache_option(cache), "--export", file]
            code, _, stderr = _call(arguments)
            if code != 0:
                raise _failure(f"showing {address}", code, stderr)
        parquet = Path(files[0]).read_bytes()
        rows = json.loads(Path(files[1]).read_text(encoding="utf-8"))
    return Table(parquet, rows, address)


def report(run: str = "latest", *, cache: PathLike | None = None, out: PathLike) -> list[Path]:
    """Writes the report of a past run again."""
    code, _, stderr = _call(["report", run, *_cache_option(cache), "--out", os.fspath(out)])
    if code != 0:
        raise _failure(f"writing the report of {run}", code, stderr)
    return sorted(path for path in Path(out).rglob("*") if path.is_file())


def _workflow_options(
    set: Mapping[str, object] | None, params: PathLike | None, plugin_path: Sequence[PathLike]
) -> list[str]:
    options = [part for name, value in (set or {}).items() for part in ("--set", f"{name}={_text(value)}")]
    options += [] if params is None else ["--params", os.fspath(params)]
    return options + [part for folder in plugin_path for part in ("--plugin-path", os.fspath(folder))]


def _cache_option(cache: PathLike | None) -> list[str]:
    return [] if cache is None else ["--cache", os.fspath(cache)]


def _text(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def writes_over(target: TextIO) -> bool:
    """True if a carriage return writes over a line: in a terminal and in a notebook."""
    return target.isatty() or type(target).__module__.startswith("ipykernel")


class _Shown:
    """Lines of the command as they come. In a terminal and in a notebook its progress is one line that is written over, and
    says how long it will take."""

    def __init__(self, target: TextIO) -> None:
        self._target, self._started, self._width = target, time.monotonic(), 0
        self._in_place = writes_over(target)

    def write(self, line: str) -> None:
        progress = re.match(r"(\d+)/(\d+) actions, (\d+) of them cached", line) if self._in_place else None
        if progress is None:
            self._target.write("\n" * (self._width > 0) + line)
            self._width = 0
        else:
            done, total, cached = map(int, progress.groups())
            text = line.rstrip()
            if cached < done < total:
                left = (time.monotonic() - self._started) / (done - cached) * (total - done)
                text += f", {left:.0f} s left"
            self._target.write("\r" + text.ljust(self._width))
            self._width = len(text)
        self._target.flush()


def _call(arguments: Sequence[str], live: bool = False) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; with `live`, the latter is passed on as it comes. Ctrl-C is passed
    on once, and the command is waited for."""
    process = subprocess.Popen(
        [find_binary(), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment(),
        # Ctrl-C of a terminal reaches this process alone, and is passed on once.
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    lines: list[str] = []
    shown = _Shown(sys.stderr) if live else None
    interrupted = False
    # Both are read at once: a pipe that nobody empties would hold the command up for ever.
    results: list[str] = []
    stdout = process.stdout
    reader = threading.Thread(target=lambda: results.append(stdout.read()), daemon=True)
    reader.start()
    while True:
        try:
            for line in process.stderr:
                lines.append(line)
                if shown is not None:
                    shown.write(line)
            code = process.wait()
            reader.join()
            break
        except KeyboardInterrupt:
            process.send_signal(signal.SIGKILL if interrupted else signal.SIGINT)
            interrupted = True
    process.stdout.close()
    process.stderr.close()
    if interrupted:
        raise KeyboardInterrupt
    return code, "".join(results), "".join(lines)


def _diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic(
        file=found.get("file"),
        line=found.get("line"),
        column=found.get("column"),
        code=found.get("code", ""),
        message=found.get("message", ""),
        hint=found.get("hint"),
        severity=found.get("severity", "error"),
    )


def _failure(doing: str, code: int, stderr: str, found: Sequence[Diagnostic] = ()) -> FuselineError:
    last = "\n".join(stderr.strip().splitlines()[-STDERR_LINES:])
    return FuselineError(f"{doing} ended with exit code {code}:\n{last}", diagnostics=found, exit_code=code, stderr=last)
