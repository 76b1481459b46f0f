"""A `command` stage as a function."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuseline._errors import FuselineError
from fuseline._rule import new_reads
from fuseline._table import Table


@dataclass(frozen=True)
class Task:
    """What the workflow tells a program besides its inputs: options `params`, the stage's `seed`, the `point` of its axes and
    the fold that is tested."""

    params: dict[str, Any]
    seed: int
    point: dict[str, str]
    test_fold: int | None


class Stage:
    """A function that a workflow calls. Called from Python it is the function itself."""

    def __init__(
        self, function: Callable[..., Any], inputs: Mapping[str, str] | None, outputs: Mapping[str, str] | None
    ) -> None:
        self.function = function
        self._inputs, self._outputs = inputs, outputs
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def run(self, folder: str | Path = ".") -> None:
        """Reads `task.json` and the inputs in a folder, calls the function, and writes its outputs."""
        folder = Path(folder)
        try:
            task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise FuselineError(
                f"there is no task.json in {folder.resolve()}: a workflow runs this, as a stage with `uses: command`"
            ) from error
        self._agree("inputs", self._inputs, task["inputs"])
        self._agree("outputs", self._outputs, task["outputs"])
        given: dict[str, Any] = {name: _read(folder, said) for name, said in task["inputs"].items()}
        if "task" in inspect.signature(self.function).parameters:
            given["task"] = Task(task["params"], task["seed"], task["point"], task["test_fold"])
        result = self.function(**given)
        outputs = task["outputs"]
        if len(outputs) == 1 and not (isinstance(result, Mapping) and set(result) == set(outputs)):
            result = {name: result for name in outputs}
        if not isinstance(result, Mapping) or set(result) != set(outputs):
            raise FuselineError(
                f"the function gives {_listed(result)}, and the stage has the outputs {', '.join(outputs)}"
            )
        for name, said in outputs.items():
            _write(folder / said["path"], said["artifact"], result[name], name)
        (folder / "reads.json").write_text(json.dumps(new_reads()), encoding="utf-8")

    def _agree(self, what: str, declared: Mapping[str, str] | None, told: Mapping[str, Any]) -> None:
        if declared is None:
            return
        kinds = {name: said[0]["artifact"] if isinstance(said, list) else said["artifact"] for name, said in told.items() if said}
        if dict(declared) != kinds:
            raise FuselineError(f"the function declares the {what} {dict(declared)}, and the workflow {kinds}")


def stage(
    inputs: Mapping[str, str] | None = None, outputs: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], Stage]:
    """Makes a `command` stage of a function; `inputs` and `outputs` are names with their artifact kinds, held against the
    workflow's where they are given.

    The function is given a `Table` for each input, by name, a list of them where the input gathers several, and, if it has
    such a parameter, `task`: a `Task`. It gives the one output, or a mapping of all by name: a mapping of columns to arrays
    (two-dimensional for probabilities), or a table of pandas, polars or pyarrow; bytes or text for a report.

        @fuseline.stage(inputs={"features": "features"}, outputs={"main": "features"})
        def doubled(features):
            frame = features.to_pandas()
            frame["x"] *= 2
            return frame

        if __name__ == "__main__":
            doubled.run()
    """
    return lambda function: Stage(function, inputs, outputs)


def _read(folder: Path, said: Any) -> Any:
    if isinstance(said, list):
        return [_read(folder, each) for each in said]
    content = (folder / said["path"]).read_bytes()
    if said["artifact"] in ("model", "report"):
        return content
    return Table(content, None, said["path"], metadata=said["metadata"], point=said["point"])


def _write(path: Path, kind: str, value: Any, name: str) -> None:
    if kind in ("model", "report"):
        path.write_bytes(value.encode() if isinstance(value, str) else bytes(value))
        return
    import pyarrow
    import pyarrow.parquet

    if isinstance(value, Mapping):
        table = pyarrow.table({column: _column(values) for column, values in value.items()})
    elif isinstance(value, pyarrow.Table):
        table = value
    elif hasattr(value, "to_pandas") or hasattr(value, "__arrow_c_stream__"):
        table = pyarrow.table(value)
    else:
        raise FuselineError(f"output {name} is {type(value).__name__}, and a table or a mapping of columns is meant")
    # The index of pandas is no column.
    table = table.select([column for column in table.column_names if not column.startswith("__index_level_")])
    pyarrow.parquet.write_table(table, path)


def _column(values: Any) -> Any:
    import pyarrow

    array = np.asarray(values)
    if array.ndim != 2:
        return pyarrow.array(values)
    flat = pyarrow.array(np.ascontiguousarray(array).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, array.shape[1])


def _listed(result: object) -> str:
    return ", ".join(map(str, result)) if isinstance(result, Mapping) else type(result).__name__
