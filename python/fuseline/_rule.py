"""Write a fusion rule for fuseline in Python. It needs numpy.

A rule is an executable file `my_rule.py`, dropped into a folder on the plugin path:

    #!/usr/bin/env python3
    # FUSELINE-FUSION protocol=1 id=org.example.my_rule
    import fuseline

    class MyRule(fuseline.Rule):
        id = "org.example.my_rule"
        name, version, licence, summary = "my rule", "1.0.0", "MIT", "What it does, in one line."

        def fit(self, batch, params, seed):      # -> bytes: the model; a seal is added, and checked before open;
                                                 # self.warn("...") says what must be known of it
            return b""
        def open(self, model):                   # -> anything that predict can use
            return None
        def predict(self, model, batch):         # -> rows x classes probabilities
            return ...

    if __name__ == "__main__":
        MyRule().serve()

A model that was fitted elsewhere has `load` in place of `fit`:

        def load(self, files, params):           # -> bytes: the model; files: {name: path}
            return Path(files["weights"]).read_bytes()

Without the package, this file is all of the SDK: put it beside the rule as `fuseline_rule.py` and `import fuseline_rule`.

The same inputs must give the same bytes: take all randomness from `seed`, and do not print. It speaks the worker protocol,
docs/design/worker-protocol.md.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import site
import socket
import struct
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PROTOCOL = 1
PARAM, DATA, UNSUPPORTED, NOT_CONVERGED, CANCELLED, INTERNAL = 2, 3, 4, 5, 6, 8

Array = np.ndarray[Any, np.dtype[Any]]


class _Files(dict[str, str]):
    """Paths of a model's files by name."""

    def __missing__(self, name: str) -> str:
        named = ", ".join(f"`{name}`" for name in self)
        raise RuleError(f"the model needs a file `{name}`, and the files are {named}")


class RuleError(Exception):
    """Raised by a rule to fail with words. `row` and `param` say where."""

    def __init__(
        self, message: str, code: int = DATA, row: int | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.row, self.param = code, row, param


class Batch:
    """Rows: evidence (rows, modalities, classes), available (rows, modalities; bool), quality (rows, modalities), label, weight.

    Where a modality is unavailable its evidence and quality are unspecified; `where_available` gives them as 0 there.
    """

    modalities: list[str]
    classes: list[str]
    rows: int
    row_id: Array
    evidence: Array
    available: Array
    quality: Array
    label: Array | None
    weight: Array | None
    _embeddings: dict[str, Array]

    @classmethod
    def from_arrays(
        cls,
        evidence: Any,
        quality: Any,
        *,
        available: Any = None,
        label: Any = None,
        weight: Any = None,
        embeddings: Mapping[str, Any] | None = None,
        modalities: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Batch:
        """A batch for a test or a notebook: evidence (rows, modalities, classes), quality (rows, modalities), embeddings
        {modality: (rows, width)}. All is available, weights are 1, and names are numbers, unless they are given. Without
        evidence (None), `classes` must be given, and are all as probable."""
        self = object.__new__(cls)
        if evidence is None:
            if classes is None:
                raise ValueError("without evidence the classes must be named")
            evidence = np.full((*np.shape(quality), len(classes)), 1 / len(classes))
        self.evidence = np.ascontiguousarray(evidence, dtype="<f8")
        if self.evidence.ndim != 3:
            raise ValueError(f"evidence has the shape {self.evidence.shape}, not (rows, modalities, classes)")
        self.rows, m, k = self.evidence.shape
        self.modalities = list(modalities or map(str, range(m)))
        self.classes = list(classes or map(str, range(k)))
        self.row_id = np.arange(self.rows, dtype="<u8")
        self.quality = np.ascontiguousarray(quality, dtype="<f8").reshape(self.rows, m)
        everything = np.ones((self.rows, m), dtype=bool)
        self.available = everything if available is None else np.asarray(available, dtype=bool).reshape(self.rows, m)
        self.label = None if label is None else np.asarray(label, dtype="<i4")
        if weight is not None:
            self.weight = np.asarray(weight, dtype="<f8")
        else:
            self.weight = None if label is None else np.ones(self.rows)
        given = (embeddings or {}).items()
        self._embeddings = {name: np.ascontiguousarray(values, dtype="<f8") for name, values in given}
        return self

    @classmethod
    def _from_arrow(cls, data: bytes) -> Batch:
        self = object.__new__(cls)
        rows, columns, metadata = _read_arrow(data)
        self.modalities = json.loads(metadata["fuseline.modalities"])
        self.classes = json.loads(metadata["fuseline.classes"])
        m, k = len(self.modalities), len(self.classes)
        self.rows = rows
        self.row_id = columns["row_id"]
        self.evidence = columns["evidence"].reshape(rows, m, k)
        self.available = columns["available"].reshape(rows, m).astype(bool)
        self.quality = columns["quality"].reshape(rows, m)
        self.label = columns.get("label")
        self.weight = columns.get("weight")
        embeddings = {name: columns.get(f"embedding_{name}") for name in self.modalities}
        self._embeddings = {name: values for name, values in embeddings.items() if values is not None}
        return self

    def embedding(self, modality: str) -> Array | None:
        """The embedding of a modality (rows, width), or None."""
        return self._embeddings.get(modality)

    def where_available(self) -> tuple[Array, Array]:
        """Evidence and quality, 0 where a modality is unavailable."""
        there = self.available
        return np.where(there[:, :, None], self.evidence, 0.0), np.where(there, self.quality, 0.0)

    def take(self, rows: Sequence[int] | Array) -> Batch:
        """Some rows, in the order given."""
        other = object.__new__(Batch)
        other.__dict__.update(self.__dict__)
        for name in ("row_id", "evidence", "available", "quality", "label", "weight"):
            column = getattr(self, name)
            setattr(other, name, None if column is None else column[rows])
        other._embeddings = {name: values[rows] for name, values in self._embeddings.items()}
        other.rows = len(other.quality)
        return other

    def with_quality(self, quality: Array) -> Batch:
        """The same rows with another quality (rows, modalities)."""
        other = object.__new__(Batch)
        other.__dict__.update(self.__dict__)
        other.quality = quality
        return other


class _Table:
    """A table of a flatbuffer, in which Arrow describes what it sends: fields by number, those with defaults left out."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.offsets = at - self.read("i", at)
        self.fields = self.read("H", self.offsets) // 2 - 2

    def read(self, form: str, at: int) -> int:
        value: int = struct.unpack_from("<" + form, self.data, at)[0]
        return value

    def place(self, field: int) -> int:
        """Of a field, where it lies; 0 where it is left out."""
        offset = self.read("H", self.offsets + 4 + 2 * field) if field < self.fields else 0
        return self.at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        place = self.place(field)
        return self.read(form, place) if place else 0

    def vector(self, field: int) -> tuple[int, int]:
        """Place and number of a vector's elements."""
        place = self.place(field)
        if not place:
            return 0, 0
        at = place + self.read("I", place)
        return at + 4, self.read("I", at)

    def text(self, field: int) -> str:
        at, length = self.vector(field)
        return self.data[at : at + length].decode()

    def table(self, field: int) -> _Table:
        place = self.place(field)
        return _Table(self.data, place + self.read("I", place))

    def tables(self, field: int) -> list[_Table]:
        at, count = self.vector(field)
        return [_Table(self.data, place + self.read("I", place)) for place in range(at, at + 4 * count, 4)]


# Numbers of the variants in Arrow's Message.fbs and Schema.fbs.
_SCHEMA, _RECORD_BATCH = 1, 3
_INT, _FLOAT, _FIXED_SIZE_LIST = 2, 3, 16


def _number_type(field: _Table) -> Any:
    form = field.table(3)
    if field.number(2, "B") == _INT:
        return np.dtype(f"<{'i' if form.number(1, 'B') else 'u'}{form.number(0, 'i') // 8}")
    if field.number(2, "B") == _FLOAT:
        return np.dtype(("<f2", "<f4", "<f8")[form.number(0, "h")])
    raise RuleError(f"{field.text(0)} is a column of a type that a batch does not have", INTERNAL)


def _read_arrow(data: bytes) -> tuple[int, dict[str, Array], dict[str, str]]:
    """Rows, columns and metadata of an Arrow IPC stream of one record batch: columns of numbers (rows,), and of lists of a
    fixed size (rows, size), without compression and missing values, as the host sends them. pyarrow takes longer to import
    than such a batch takes to answer, and does not go with every numpy."""

    def message(at: int, expected: int) -> tuple[_Table, int, int]:
        length = struct.unpack_from("<i", data, at + 4)[0]
        head = _Table(data, at + 8 + struct.unpack_from("<I", data, at + 8)[0])
        if head.number(1, "B") != expected:
            raise RuleError("the batch is no Arrow stream of a schema and a record batch", INTERNAL)
        body = at + 8 + length
        return head.table(2), body, body + head.number(3, "q")

    schema, _, at = message(0, _SCHEMA)
    batch, body, _ = message(at, _RECORD_BATCH)
    rows = batch.number(0, "q")
    buffers, _ = batch.vector(2)
    nodes, count = batch.vector(1)
    if batch.place(3) or any(batch.read("q", nodes + 16 * node + 8) for node in range(count)):
        raise RuleError("the batch is compressed, or has values that are missing", INTERNAL)

    columns: dict[str, Array] = {}
    for field in schema.tables(1):
        lists = field.number(2, "B") == _FIXED_SIZE_LIST
        values = field.tables(5)[0] if lists else field
        dtype = _number_type(values)
        shape = (rows, field.table(3).number(0, "i")) if lists else (rows,)
        # Each has a bitmap of what is missing, which is empty: the list and its values, then the values themselves.
        buffers += 32 if lists else 16
        start = body + batch.read("q", buffers)
        buffers += 16
        columns[field.text(0)] = np.frombuffer(data, dtype, int(np.prod(shape)), start).reshape(shape)
    return rows, columns, {pair.text(0): pair.text(1) for pair in schema.tables(2)}


class Rule:
    """A fusion rule; see the module's text. From a test or a notebook, without the command:
    `rule.answers(batch, files=...)` with `Batch.from_arrays`."""

    id: str = ""
    name: str = ""
    version: str = ""
    licence: str = ""
    summary: str = ""
    params: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    limits: Mapping[str, int] = {"modalities": 64, "classes": 1000}
    #: Numbers that the rule asks for, such as {"modalities": 3, "classes": "at least 3"}.
    accepts: Mapping[str, int | str] = {}
    uses_quality = True
    row_independent = True
    accepts_missing = True
    accepts_embeddings = False
    #: Of the model that is loaded, in the order of its inputs and outputs: set before `load` is called.
    modalities: Sequence[str] = ()
    classes: Sequence[str] = ()
    _messages: list[dict[str, Any]]

    def warn(self, text: object) -> None:
        """Says what whoever reads the results must know of this fit: a caution of the run and of its report."""
        self.__dict__.setdefault("_messages", []).append({"level": 1, "text": str(text)})

    def fit(self, batch: Batch, params: dict[str, Any], seed: int) -> bytes:
        """The model's bytes, fitted on a batch with labels and weights."""
        raise RuleError("this rule is not fitted: it loads models", UNSUPPORTED)

    def load(self, files: dict[str, str], params: dict[str, Any]) -> bytes:
        """The model's bytes, made of the files of a model that was fitted elsewhere: paths by name, to be read now."""
        raise RuleError("this rule loads no models", UNSUPPORTED)

    def open(self, model: bytes) -> Any:
        """Whatever `predict` needs, made of the model's bytes."""
        raise NotImplementedError

    def predict(self, model: Any, batch: Batch) -> Any:
        """Probabilities (rows, classes)."""
        raise NotImplementedError

    def answers(
        self,
        batch: Batch,
        *,
        files: Mapping[str, Any] | None = None,
        training: Batch | None = None,
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Array:
        """Probabilities (rows, classes) as the command gets them, without the command: for a test or a notebook.

        Loads `files` {name: path}, or fits on `training`, a batch with labels; opens the model's bytes and predicts `batch`.
        `params` are completed by the defaults of the rule's schema. Raises :class:`RuleError` for what the command refuses: a
        model that is no bytes, or other bytes when it is made again; answers of another shape or that are no probabilities;
        other answers when the model is opened again and asked in another order of rows (in the same order where the rule is
        not `row_independent`). `fuseline plugin check` holds it against more.
        """
        complete = {name: of["default"] for name, of in self.params.get("properties", {}).items() if "default" in of}
        complete.update(params or {})
        self.modalities, self.classes = batch.modalities, batch.classes

        def make() -> bytes:
            if files is not None:
                return self.load(_Files((name, str(path)) for name, path in files.items()), dict(complete))
            if training is None or training.label is None:
                raise RuleError("give the files of a model, or a batch with labels as `training`")
            return self.fit(training, dict(complete), seed)

        model = make()
        if not isinstance(model, bytes):
            raise RuleError(f"the model is {type(model).__name__}, not bytes", INTERNAL)
        if make() != model:
            raise RuleError("made again from the same input, the model has other bytes", INTERNAL)
        out = _predictions(self, self.open(model), batch)
        law = np.isfinite(out).all(axis=1) & (out >= 0).all(axis=1) & (np.abs(out.sum(axis=1) - 1) <= 1e-9)
        if not law.all():
            row = int(np.argmin(law))
            raise RuleError(f"row {row} has {out[row]}: these are no probabilities that sum to 1", INTERNAL, row)
        order = np.arange(batch.rows)[:: -1 if self.row_independent else 1]
        again = _predictions(self, self.open(model), batch.take(order))
        same = (again == out[order]).all(axis=1)
        if not same.all():
            row = int(order[np.argmin(same)])
            raise RuleError(
                f"row {row} has {out[row]}, and asked again, in another order of rows, {again[np.argmin(same)]}: say "
                "row_independent = False where what is added up in which order hangs on the rows beside it",
                INTERNAL,
                row,
            )
        return out

    def descriptor(self) -> dict[str, Any]:
        """The rule as it describes itself to the host."""
        accepts = {
            what: f"exactly {count}" if isinstance(count, int) else count for what, count in self.accepts.items()
        }
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "summary": self.summary,
            "params": self.params,
            "limits": self.limits,
            "accepts": accepts,
            "capabilities": {
                "uses_quality": self.uses_quality,
                "row_independent": self.row_independent,
                "accepts_missing": self.accepts_missing,
                "accepts_embeddings": self.accepts_embeddings,
                "fits": type(self).fit is not Rule.fit,
                "loads": type(self).load is not Rule.load,
            },
        }

    def serve(self) -> None:
        """Serves the host until it has no more questions."""
        run(self)


def in_another_order(found: Sequence[str], own: Sequence[str]) -> bool:
    """True if names are the own ones in another order, or these behind a prefix, such as p_ of probabilities."""
    prefixes = {name.removesuffix(own[0]) for name in found if name.endswith(own[0])}
    orders = [[prefix + name for name in own] for prefix in sorted(prefixes)]
    return any(list(found) != order and sorted(found) == sorted(order) for order in orders)


def _predictions(rule: Rule, model: Any, batch: Batch) -> Array:
    shape = (batch.rows, len(batch.classes))
    answer = rule.predict(model, batch)
    given = np.asarray(answer)
    if isinstance(answer, np.ma.MaskedArray) and np.ma.getmaskarray(answer).any():
        raise RuleError("predict gave masked values, and a value for every row is expected", INTERNAL)
    columns = getattr(answer, "columns", None)
    if columns is not None and in_another_order([str(name) for name in columns], batch.classes):
        raise RuleError(
            f"predict gave the columns {', '.join(map(str, columns))}, and the classes are {', '.join(batch.classes)}: "
            "give them in this order",
            INTERNAL,
        )
    if given.shape != shape:
        raise RuleError(f"predict gave the shape {given.shape}, not {shape}", INTERNAL)
    if given.dtype.kind == "c":
        raise RuleError(f"predict gave complex numbers ({given.dtype}), which are no probabilities", INTERNAL)
    out = np.ascontiguousarray(given, dtype="<f8")
    if given.dtype.kind == "f" and given.dtype.itemsize < 8 and shape[1] > 1:
        # What a network computes in single precision sums to 1 as single precision does.
        total = out.sum(axis=1, keepdims=True)
        rounded = np.abs(total - 1) <= 8 * shape[1] * np.finfo(given.dtype).eps
        out = np.where(rounded, out / np.where(rounded, total, 1.0), out)
    return out


SEAL = 32


def _seal(model: bytes) -> bytes:
    """What is put behind a model, so that damaged bytes are known."""
    return hashlib.sha256(model).digest()


class _Server:
    def __init__(self, rule: Rule, source: int, target: int) -> None:
        self.rule, self.source, self.target = rule, source, target
        self.models: dict[int, Any] = {}
        self.batch: Batch | None = None

    def take_batch(self, length: int) -> Batch:
        if length > 0:
            self.batch = Batch._from_arrow(_read(self.source, length, 0))
        assert self.batch is not None, "the host sends a batch before it says that there is no other"
        return self.batch

    def give(self, data: bytes | Array) -> dict[str, Any]:
        view, at = memoryview(data) if isinstance(data, bytes) else data.data, 0
        view = view.cast("B") if len(data) else memoryview(b"")
        while at < len(view):
            at += os.pwrite(self.target, view[at:], at)
        return {"status": "ok", "bytes": len(view)}

    def give_model(self, model: object) -> dict[str, Any]:
        if not isinstance(model, bytes):
            raise RuleError(f"the model is {type(model).__name__}, not bytes", INTERNAL)
        return self.give(model + _seal(model))

    def predict(self, model: Any, batch: Batch) -> Array:
        return _predictions(self.rule, model, batch)

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        files, at, opened = _Files(), 0, []
        try:
            for file in request["files"]:
                descriptor, path = _file(file["file_name"], _read(self.source, file["bytes"], at))
                at += file["bytes"]
                opened.append(descriptor)
                files[file["name"]] = path
            self.rule.modalities, self.rule.classes = request["modalities"], request["classes"]
            return self.give_model(self.rule.load(files, request["params"]))
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        op = request["op"]
        if op == "fit":
            batch = self.take_batch(request["batch_bytes"])
            return self.give_model(self.rule.fit(batch, request["params"], request["seed"]))
        if op == "load":
            return self.load(request)
        if op == "open":
            sealed = _read(self.source, request["model_bytes"], 0)
            model, seal = sealed[:-SEAL], sealed[-SEAL:]
            if seal != _seal(model):
                raise RuleError("these bytes are not a model of this rule, or are damaged")
            try:
                self.models[request["model"]] = self.rule.open(model)
            except RuleError:
                raise
            except Exception as error:  # whatever bytes that are no model do to the rule's own reading
                traceback.print_exc()
                raise RuleError(f"these bytes are not a model of this rule: {error}") from error
            return {"status": "ok", "bytes": 0}
        if op == "close":
            self.models.pop(request["model"], None)
            return {"status": "ok", "bytes": 0}
        if op == "predict":
            batch = self.take_batch(request["batch_bytes"])
            return self.give(self.predict(self.models[request["model"]], batch))
        if op == "predict_permuted":
            return self.predict_permuted(request)
        raise RuleError(f"there is no operation {op}", UNSUPPORTED)

    def predict_permuted(self, request: dict[str, Any]) -> dict[str, Any]:
        batch = self.take_batch(request["batch_bytes"])
        model = self.models[request["model"]]
        permutations, columns, mask = request["permutations"], request["columns"], request["modality_mask"]
        count = permutations * columns * batch.rows
        index = np.frombuffer(_read(self.source, 4 * count, request["index_at"]), dtype="<u4")
        index = index.reshape(permutations, columns, batch.rows)
        # Quality of an unavailable modality is 0 for whoever it goes to.
        measured = batch.where_available()[1]
        moved = [m for m in range(len(batch.modalities)) if mask >> m & 1]
        together = columns == 1 and len(moved) == len(batch.modalities)
        out = np.empty((permutations, batch.rows, len(batch.classes)))
        for permutation in range(permutations):
            if together:
                quality = measured.take(index[permutation, 0], axis=0)
            else:
                quality = measured.copy()
                for m in moved:
                    quality[:, m] = measured[index[permutation, 0 if columns == 1 else m], m]
            out[permutation] = self.predict(model, batch.with_quality(quality))
        return self.give(out)


def _file(name: str, content: bytes) -> tuple[int, str]:
    """A private file in memory: its descriptor, and a path by which this process can open it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name[:200])
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(suffix=f"-{name}")
    at, view = 0, memoryview(content)
    while at < len(view):
        at += os.pwrite(descriptor, view[at:], at)
    return descriptor, path


def _read(source: int, length: int, at: int) -> bytes:
    """Bytes of a file; one call of the system gives 2 GiB at most."""
    parts = []
    while length > 0:
        part = os.pread(source, length, at)
        if not part:
            raise RuleError("the input ends too early", INTERNAL)
        parts.append(part)
        length, at = length - len(part), at + len(part)
    return b"".join(parts)


# What this process has read: a stage reports it too.

_opened: dict[str, os.stat_result] = {}
_written: set[str] = set()
_reported: set[str] = set()
_imported: set[str] = set()
#: Names of all modules, and number of opened files, when new reads were last looked for.
_looked_at: tuple[set[str], int] = (set(), 0)
_started = time.time_ns()
_paths = sysconfig.get_paths()
#: What belongs to the interpreter, whose own file stands for it.
_standard = tuple(os.path.realpath(_paths[name]) + os.sep for name in ("stdlib", "platstdlib"))
#: What belongs to the system.
_system = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/")


def watch() -> None:
    """Notes from now on each file that Python opens, with what it looks like then."""
    sys.addaudithook(_note)


def new_reads() -> list[dict[str, Any]]:
    """Files that were read and not reported before: local ones that were opened, modules that were imported, and what
    tells the versions of installed distributions and of the interpreter. `path`, and `size` and `modified_ns` as they
    were then."""
    global _looked_at
    names, opened = _looked_at
    if len(_opened) == opened and sys.modules.keys() <= names:
        return []
    _looked_at = (names | sys.modules.keys(), len(_opened))
    folders = _folders_of_distributions()
    found = {path: stat for path, stat in list(_opened.items()) if _is_local(path, folders)}
    for path in _imported_files(folders) - found.keys():
        with contextlib.suppress(OSError):
            found[path] = os.stat(path)
    reads = []
    for path in sorted(found.keys() - _reported - _written):
        stat = found[path]
        # Which of its contents was imported cannot be told of a module that changed since the program began.
        is_known = path in _opened or stat.st_mtime_ns < _started
        reads.append({"path": path, "size": stat.st_size, "modified_ns": stat.st_mtime_ns if is_known else -1})
    _reported.update(found)
    return reads


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], (str, bytes)):
        return
    name, mode, flags = arguments
    path = os.path.realpath(os.fsdecode(name))
    if (isinstance(mode, str) and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR):
        _written.add(path)
    elif path not in _opened and _is_local(path, ()):
        with contextlib.suppress(OSError):
            stat = os.stat(path)
            if os.path.isfile(path):
                _opened[path] = stat


def _is_local(path: str, folders: tuple[str, ...]) -> bool:
    return "__pycache__" not in path and not path.startswith((*_standard, *_system, *folders))


def _folders_of_distributions() -> tuple[str, ...]:
    """Folders that distributions are installed in."""
    named = {_paths["purelib"], _paths["platlib"], *site.getsitepackages(), site.getusersitepackages()}
    others = (entry for entry in sys.path if any(name.endswith(".dist-info") for name in _names_in(entry or ".")))
    return tuple(sorted(os.path.realpath(folder) + os.sep for folder in {*named, *others}))


@functools.lru_cache(maxsize=None)
def _names_in(folder: str) -> tuple[str, ...]:
    try:
        return tuple(os.listdir(folder))
    except OSError:
        return ()


def _imported_files(folders: tuple[str, ...]) -> set[str]:
    """Sources of local modules, the metadata of distributions that others are of, and the interpreter with its environment."""
    environment = os.path.realpath(os.path.join(sys.prefix, "pyvenv.cfg"))
    files = {os.path.realpath(sys.executable), *([environment] if os.path.isfile(environment) else [])}
    installed: dict[str, dict[str, str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in _imported or not isinstance(file, str):
            continue
        _imported.add(name)
        path = os.path.realpath(file)
        # Of folders in folders the innermost.
        folder = max((folder for folder in folders if path.startswith(folder)), key=len, default=None)
        if folder is not None:
            first = path[len(folder) :].partition(os.sep)[0].partition(".")[0]
            installed.setdefault(folder, {}).setdefault(first, path)
        elif _is_local(path, ()) and os.path.isfile(path):
            files.add(path)
    for folder, modules in installed.items():
        for name, path in modules.items():
            # A module that no distribution lists counts by its own content.
            files.update(_metadata(folder, name) or {path})
    return files


def _metadata(folder: str, module: str) -> set[str]:
    """The files that tell the versions of the distributions that a module of a folder is of."""
    infos = [name for name in _names_in(folder) if name.endswith((".dist-info", ".egg-info"))]
    own = [name for name in infos if name.partition("-")[0].lower() == module.lower()]
    own = own or [name for name in infos if _lists(folder + name, module)]
    told = {f"{folder}{name}{part}" for name in own for part in ("/METADATA", "/PKG-INFO", "")}
    return {os.path.realpath(path) for path in told if os.path.isfile(path)}


def _lists(info: str, module: str) -> bool:
    return any(
        line == module or line.startswith((f"{module}/", f"{module}."))
        for name in ("top_level.txt", "RECORD")
        for line in _lines(f"{info}/{name}")
    )


@functools.lru_cache(maxsize=None)
def _lines(path: str) -> tuple[str, ...]:
    """The first parts of the paths that a file lists, each once."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tuple({line.strip().partition("/")[0] + "/" * ("/" in line) for line in file})
    except OSError:
        return ()


# Also what is read while the program's own modules are imported.
if {"FUSELINE_TASK", "FUSELINE_WORKER"} & os.environ.keys():
    watch()


def _receive(connection: socket.socket, length: int) -> bytes | None:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            return None
        data += part
    return data


def _receive_message(connection: socket.socket, head: bytes) -> Any:
    return json.loads(_receive(connection, struct.unpack("<I", head)[0]) or b"{}")


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    connection.sendall(struct.pack("<I", len(data)) + data)


def run(rule: Rule) -> None:
    """Serves the host until it has no more questions."""
    connection = socket.socket(fileno=os.dup(0))
    head, files, _, _ = socket.recv_fds(connection, 4, 2)
    hello = _receive_message(connection, head)
    if hello.get("op") != "hello" or hello.get("protocol") != PROTOCOL:
        _send(connection, {"status": "refused", "message": f"this SDK speaks protocol {PROTOCOL}"})
        return
    ready = {"protocol": PROTOCOL, "descriptor": json.dumps(rule.descriptor()), "fast_path": False}
    _send(connection, {"status": "ready", **ready})
    server = _Server(rule, *files)
    while (head := _receive(connection, 4) or b""):
        request = _receive_message(connection, head)
        if request["op"] == "stop":  # the call has ended already
            continue
        try:
            rule._messages = []
            reply = server.answer(request)
            if rule._messages:
                reply["messages"] = rule._messages[:32]
            if reads := new_reads():
                reply["reads"] = reads
        except RuleError as error:
            reply = {"status": "error", "code": error.code, "message": str(error), "row": error.row, "param": error.param}
        except Exception as error:
            traceback.print_exc()
            words = f"{type(error).__name__}: {error}"
            if isinstance(error, ImportError):
                words += f" (the interpreter is {sys.executable})"
            reply = {"status": "error", "code": INTERNAL, "message": words, "row": None, "param": None}
        sys.stdout.flush()
        _send(connection, reply)
