"""Write a fusion rule for fuseline in Python: this file is all of the SDK. It needs numpy and pyarrow.

A rule is an executable file `my_rule.py`, dropped into a folder on the plugin path, with this file beside it:

    #!/usr/bin/env python3
    # FUSELINE-FUSION protocol=1 id=org.example.my_rule
    import fuseline_rule as fr

    class MyRule(fr.Rule):
        id = "org.example.my_rule"
        name, version, licence, summary = "my rule", "1.0.0", "MIT", "What it does, in one line."

        def fit(self, batch, params, seed):      # -> bytes: the model; a seal is added, and checked before open;
                                                 # self.warn("...") says what must be known of it
            return b""
        def open(self, model):                   # -> anything that predict can use
            return None
        def predict(self, model, batch):         # -> rows x classes probabilities
            return ...

    fr.run(MyRule())

The same inputs must give the same bytes: take all randomness from `seed`, and do not print. It speaks the worker protocol,
docs/design/worker-protocol.md.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import traceback

import numpy as np
import pyarrow as pa

PROTOCOL = 1
PARAM, DATA, UNSUPPORTED, NOT_CONVERGED, CANCELLED, INTERNAL = 2, 3, 4, 5, 6, 8


class RuleError(Exception):
    """What a rule raises to fail with words. `row` and `param` say where."""

    def __init__(self, message, code=DATA, row=None, param=None):
        super().__init__(message)
        self.code, self.row, self.param = code, row, param


class Batch:
    """Rows: evidence (rows, modalities, classes), available (rows, modalities; bool), quality (rows, modalities), label, weight.

    Where a modality is unavailable its evidence and quality are unspecified; `where_available` gives them as 0 there.
    """

    def __init__(self, table):
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

    def embedding(self, modality):
        """The embedding of a modality (rows, width), or None."""
        return self._embeddings.get(modality)

    def where_available(self):
        """Evidence and quality, 0 where a modality is unavailable."""
        there = self.available
        return np.where(there[:, :, None], self.evidence, 0.0), np.where(there, self.quality, 0.0)

    def with_quality(self, quality):
        other = object.__new__(Batch)
        other.__dict__.update(self.__dict__)
        other.quality = quality
        return other


def _numbers(table, name, shape):
    place = table.schema.get_field_index(name)
    if place < 0:
        return None
    column = table.column(place)
    if pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return column.to_numpy(zero_copy_only=True).reshape(shape)


class Rule:
    """What a rule says and does; see the module's text."""

    id = name = version = licence = summary = None
    params = {"type": "object", "properties": {}, "additionalProperties": False}
    limits = {"modalities": 64, "classes": 1000}
    uses_quality = True
    row_independent = True
    accepts_missing = True
    accepts_embeddings = False

    def warn(self, text):
        """Says what whoever reads the results must know of this fit: a caution of the run and of its report."""
        self._messages.append({"level": 1, "text": str(text)})

    def fit(self, batch, params, seed):
        raise NotImplementedError

    def open(self, model):
        raise NotImplementedError

    def predict(self, model, batch):
        raise NotImplementedError

    def descriptor(self):
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "summary": self.summary,
            "params": self.params,
            "limits": self.limits,
            "capabilities": {
                "uses_quality": self.uses_quality,
                "row_independent": self.row_independent,
                "accepts_missing": self.accepts_missing,
                "accepts_embeddings": self.accepts_embeddings,
            },
        }


SEAL = 32


def _seal(model):
    """What is put behind a model, so that damaged bytes are known."""
    return hashlib.sha256(model).digest()


class _Server:
    def __init__(self, rule, connection, source, target):
        self.rule, self.connection, self.source, self.target = rule, connection, source, target
        self.models, self.batch = {}, None

    def take_batch(self, length):
        if length > 0:
            data = pa.py_buffer(os.pread(self.source, length, 0))
            self.batch = Batch(pa.ipc.open_stream(data).read_next_batch())
        return self.batch

    def give(self, data):
        data = data.tobytes() if isinstance(data, np.ndarray) else data
        view, at = memoryview(data), 0
        while at < len(view):
            at += os.pwrite(self.target, view[at:], at)
        return {"status": "ok", "bytes": len(view)}

    def predict(self, model, batch):
        shape = (batch.rows, len(batch.classes))
        out = np.ascontiguousarray(self.rule.predict(model, batch), dtype="<f8")
        if out.shape != shape:
            raise RuleError(f"predict gave the shape {out.shape}, not {shape}", INTERNAL)
        return out

    def answer(self, request):
        op = request["op"]
        if op == "fit":
            batch = self.take_batch(request["batch_bytes"])
            model = self.rule.fit(batch, request["params"], request["seed"])
            return self.give(model + _seal(model))
        if op == "open":
            sealed = os.pread(self.source, request["model_bytes"], 0)
            model, seal = sealed[:-SEAL], sealed[-SEAL:]
            if seal != _seal(model):
                raise RuleError("these bytes are not a model of this rule, or are damaged")
            try:
                self.models[request["model"]] = self.rule.open(model)
            except RuleError:
                raise
            except Exception as error:  # whatever bytes that are no model do to the rule's own reading
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

    def predict_permuted(self, request):
        batch = self.take_batch(request["batch_bytes"])
        model = self.models[request["model"]]
        permutations, columns, mask = request["permutations"], request["columns"], request["modality_mask"]
        count = permutations * columns * batch.rows
        index = np.frombuffer(os.pread(self.source, 4 * count, request["index_at"]), dtype="<u4")
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


def _receive(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            return None
        data += part
    return data


def _send(connection, message):
    data = json.dumps(message).encode()
    connection.sendall(struct.pack("<I", len(data)) + data)


def run(rule):
    """Serves the host until it has no more questions."""
    connection = socket.socket(fileno=os.dup(0))
    head, files, _, _ = socket.recv_fds(connection, 4, 2)
    hello = json.loads(_receive(connection, struct.unpack("<I", head)[0]))
    if hello.get("op") != "hello" or hello.get("protocol") != PROTOCOL:
        _send(connection, {"status": "refused", "message": f"this SDK speaks protocol {PROTOCOL}"})
        return
    ready = {"protocol": PROTOCOL, "descriptor": json.dumps(rule.descriptor()), "fast_path": False}
    _send(connection, {"status": "ready", **ready})
    server = _Server(rule, connection, *files)
    while (head := _receive(connection, 4)) is not None:
        request = json.loads(_receive(connection, struct.unpack("<I", head)[0]))
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
            reply = {"status": "error", "code": INTERNAL, "message": words, "row": None, "param": None}
        sys.stdout.flush()
        _send(connection, reply)
