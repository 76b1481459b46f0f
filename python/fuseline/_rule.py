"""Write a fusion rule for fuseline in Python. It needs numpy and pyarrow.

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

import hashlib
import json
import os
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PROTOCOL = 1
PARAM, DATA, UNSUPPORTED, NOT_CONVERGED, CANCELLED, INTERNAL = 2, 3, 4, 5, 6, 8

Array = np.ndarray[Any, np.dtype[Any]]


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
        {modality: (rows, width)}. All is available, weights are 1, and names are numbers, unless they are given."""
        self = object.__new__(cls)
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
    def _from_record_batch(cls, table: Any) -> Batch:
        self = object.__new__(cls)
        metadata = table.schema.metadata
        self.modalities = json.loads(metadata[b"fuseline.modalities"])
        self.classes = json.loads(metadata[b"fuseline.classes"])
        rows, m, k = table.num_rows, len(self.modalities), len(self.classes)
        self.rows = rows
        self.row_id = _numbers(table, "row_id", (rows,))
        self.evidence = _numbers(table, "evidence", (rows, m, k))
        self.available = _numbers(table, "available", (rows, m)).astype(bool)
        self.quality = _numbers(table, "quality", (rows, m))
        self.label = _numbers(table, "label", (rows,))
        self.weight = _numbers(table, "weight", (rows,))
        embeddings = {name: _numbers(table, f"embedding_{name}", (rows, -1)) for name in self.modalities}
        self._embeddings = {name: values for name, values in embeddings.items() if values is not None}
        return self

    def embedding(self, modality: str) -> Array | None:
        """The embedding of a modality (rows, width), or None."""
        return self._embeddings.get(modality)

    def where_available(self) -> tuple[Array, Array]:
        """Evidence and quality, 0 where a modality is unavailable."""
        there = self.available
        return np.where(there[:, :, None], self.evidence, 0.0), np.where(there, self.quality, 0.0)

    def with_quality(self, quality: Array) -> Batch:
        """The same rows with another quality (rows, modalities)."""
        other = object.__new__(Batch)
        other.__dict__.update(self.__dict__)
        other.quality = quality
        return other


def _numbers(table: Any, name: str, shape: tuple[int, ...]) -> Any:
    place = table.schema.get_field_index(name)
    if place < 0:
        return None
    column = table.column(place)
    if hasattr(column.type, "list_size"):
        column = column.flatten()
    return column.to_numpy(zero_copy_only=True).reshape(shape)


class Rule:
    """A fusion rule; see the module's text. Its methods can be called without the host, from a test or a notebook:
    `rule.predict(rule.open(rule.fit(batch, params, 0)), batch)` with `Batch.from_arrays`."""

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
            import pyarrow as pa

            data = pa.py_buffer(_read(self.source, length, 0))
            self.batch = Batch._from_record_batch(pa.ipc.open_stream(data).read_next_batch())
        assert self.batch is not None, "the host sends a batch before it says that there is no other"
        return self.batch

    def give(self, data: bytes | Array) -> dict[str, Any]:
        data = data.tobytes() if isinstance(data, np.ndarray) else data
        view, at = memoryview(data), 0
        while at < len(view):
            at += os.pwrite(self.target, view[at:], at)
        return {"status": "ok", "bytes": len(view)}

    def give_model(self, model: object) -> dict[str, Any]:
        if not isinstance(model, bytes):
            raise RuleError(f"the model is {type(model).__name__}, not bytes", INTERNAL)
        return self.give(model + _seal(model))

    def predict(self, model: Any, batch: Batch) -> Array:
        shape = (batch.rows, len(batch.classes))
        out = np.ascontiguousarray(self.rule.predict(model, batch), dtype="<f8")
        if out.shape != shape:
            raise RuleError(f"predict gave the shape {out.shape}, not {shape}", INTERNAL)
        return out

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        files, at, opened = {}, 0, []
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
        out = np.empty((permutations, batch.rows, len(batch.classes)))
        for permutation in range(permutations):
            quality = measured.copy()
            for m in range(len(batch.modalities)):
                if mask >> m & 1:
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
