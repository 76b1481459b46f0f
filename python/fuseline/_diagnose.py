"""Does a frozen model use its quality input? The model stays here; the command draws permutations and reads the answers."""

from __future__ import annotations

import fcntl
import json
import operator
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fuseline._binary import environment, find_binary
from fuseline._errors import FuselineError, visible
from fuseline._rule import in_another_order
from fuseline._workflow import writes_over

PROTOCOL = 1
Floats = NDArray[np.float64]
Predict = Callable[[Any], Any]
Score = Callable[[Any, Any], Any]
#: Metrics of predicted numbers, by name.
METRICS = ("mae", "rmse", "pearson", "concordance")


@dataclass(frozen=True)
class Ask:
    """One question: predictions under these qualities.

    `kind`: "clean" (quality as measured), "broken" (permuted), "mixed" (that of every other row permuted) or "neutral"
    (held at its mean). `quality`: shaped as the quality that was given; with `vectorized=True`, of a block of
    permutations (count, rows, ...).
    """

    kind: Literal["clean", "broken", "mixed", "neutral"]
    quality: Floats
    first: int = 0
    count: int = 1
    number: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Result:
    """What the answers come to. Accuracies and gaps are fractions, not per cent."""

    values: Mapping[str, Any]
    title: str = ""

    @property
    def metric(self) -> Mapping[str, Any] | None:
        """Where the label is a number or a score was given: name, clean, broken, neutral, shift; None for classes."""
        found: Mapping[str, Any] | None = self.values.get("metric")
        return found

    @property
    def gap(self) -> float:
        """Balanced accuracy under Clean-Q minus its mean under permuted quality; of a metric, positive where breaking hurts."""
        return float(self.values["gap"])

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the gap, from resamples of whole groups."""
        low, high = self.values["interval"]
        return float(low), float(high)

    @property
    def p_value(self) -> float:
        """One-sided permutation p-value, (b + 1) / (m + 1); NaN under the scheme derangement, which is no valid test."""
        value = self.values["p_value"]
        return float("nan") if value is None else float(value)

    @property
    def gain(self) -> float:
        """Balanced accuracy under Clean-Q minus that with quality held neutral."""
        return float(self.values["gain"])

    @property
    def gain_interval(self) -> tuple[float, float]:
        """Interval of the gain."""
        low, high = self.values["gain_interval"]
        return float(low), float(high)

    @property
    def headroom(self) -> float | None:
        """Balanced accuracy of the oracle over modalities minus that of the model; None without evidence."""
        value = self.values["headroom"]
        return None if value is None else float(value)

    @property
    def broken(self) -> Floats:
        """Balanced accuracy under each permutation."""
        return np.array(self.values["broken"], dtype=np.float64)

    @property
    def verdict(self) -> str:
        """The answer in words, and what a reader of it must know."""
        cautions = [f"Caution: {text}" for text in self.values["cautions"]]
        return visible(" ".join([self.values["headline"], *self.values["sentences"], *cautions]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "values":
            # Asked of a result that copy or pickle is still making.
            raise AttributeError(name)
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(f"a result has no {name}; it has {', '.join(self.values)}") from None

    def report(self, path: str | None = None) -> str:
        """The report, one self-contained HTML page; written to `path` where one is given."""
        page = str(self.values["report"])
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(page)
        return page

    def __repr__(self) -> str:
        low, high = self.interval
        if self.metric is not None:
            return (
                f"<fuseline.Result gap={self.gap:+.4g} {self.metric['name']} [{low:+.4g}, {high:+.4g}], p={self.p_value:.4g}, "
                f"{self.values['n_permutations']} permutations>\n{self.verdict}"
            )
        return (
            f"<fuseline.Result gap={100 * self.gap:+.1f} pp [{100 * low:+.1f}, {100 * high:+.1f}], p={self.p_value:.4g}, "
            f"{self.values['n_permutations']} permutations>\n{self.verdict}"
        )

    def _repr_html_(self) -> str:
        return str(self.values["fragment"])


class Diagnosis:
    """The diagnostic by ask and tell, for a model that is asked elsewhere or in batches of your own:

        d = fuseline.Diagnosis(quality=Q, y=y)
        for ask in d:
            d.tell(ask, model(features, ask.quality))
        result = d.result()

    quality: (rows, modalities) or (rows, modalities, channels); the channels of a modality move together. NaN counts only
        where `available` is false. The model is asked in doubles. y: labels (rows,), any values. groups: (rows,), resampled whole. available: (rows,
        modalities), bool. evidence: (rows, modalities, classes), each expert's probabilities: without it headroom, alignment
        and quality_from_evidence are left out. ids: (rows,), text; the same ids, quality, labels and seed give the same permutations
        everywhere. neutral: (modalities,) or (modalities, channels), what quality is held at for the gain; its mean where
        left out. score: for a model of numbers, "mae", "rmse", "pearson" or "concordance" of numbers y, or a function of (y,
        predictions) that gives a score a row, more being better: the gap is then one of that. stop: "sequential" stops where there is nothing to find (Besag and Clifford 1991). seconds: no further
        permutations after so long. tolerance: how far two answers to the same question may differ. vectorized: True to be
        asked about blocks of permutations, (count, rows, ...), which is faster.
    """

    def __init__(
        self,
        *,
        quality: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        available: ArrayLike | None = None,
        evidence: ArrayLike | None = None,
        ids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        score: str | Score | None = None,
        scheme: str = "joint",
        bins: int = 3,
        permutations: int = 10_000,
        seed: int = 1,
        stop: Literal["sequential"] | None = None,
        seconds: float | None = None,
        tolerance: float = 0.0,
        equivalence_margin: float | None = None,
        neutral: ArrayLike | None = None,
        vectorized: bool = False,
        title: str = "",
    ) -> None:
        self._vectorized = vectorized
        tables = {"quality": quality, "y": y, "groups": groups, "available": available, "ids": ids}
        _refuse_other_orders(**tables)
        indexed = [(f"{what}.index", _index_of(table)) for what, table in tables.items()]
        self._row_names = next(((what, index) for what, index in [*indexed, ("ids", ids)] if index is not None), None)
        self._known_index: Any = None
        columns = _names_of(quality)
        modalities = columns if modalities is None else modalities
        # Copies, here and in each question: a model that writes into its input changes no other question.
        self._quality = self._floats("quality", quality).copy()
        if self._quality.ndim not in (2, 3):
            raise FuselineError(
                f"quality has shape {self._quality.shape}; (rows, modalities) or (rows, modalities, channels) is expected"
            )
        if 0 in self._quality.shape:
            raise FuselineError(f"quality has shape {self._quality.shape}: there is nothing in it")
        rows, width = self._quality.shape[:2]
        labels = self._known("y", y)
        self._score = score if callable(score) else None
        self._y = labels
        metric = "score" if callable(score) else score
        values: Floats | None = None
        if metric is not None:
            values = self._values(labels, rows, metric)
            if classes is not None:
                raise FuselineError("classes are of labels that are classes: leave them out where there is a score")
            labels, classes = np.zeros(rows, dtype=np.int64), [0]
        if labels.shape != (rows,):
            raise FuselineError(
                f"y has shape {labels.shape} and quality has {rows} rows: ({rows},) is expected{_label_hint(labels, rows)}"
            )
        if labels.dtype.kind == "f" and not np.all(np.isfinite(labels)):
            raise FuselineError("y holds values that are not finite: leave those rows out of quality and y")
        self.classes = self._sorted(labels) if classes is None else list(classes)
        numbers, unknown = self._class_numbers(labels)
        if unknown:
            raise FuselineError(f"y has labels that are in no class: {unknown}")
        fractional = labels.dtype.kind == "f" and bool(np.any(labels % 1))
        most = 20 if fractional else 100
        if classes is None and labels.dtype.kind == "f" and len(self.classes) > most:
            raise FuselineError(
                f"y has {len(self.classes)} different numbers: these are no classes; score=\"mae\" or another metric takes numbers"
            )
        if metric is None and len(self.classes) < 2:
            raise FuselineError(f"y has one class, {self.classes[0]}: accuracy is of two or more (`classes=` names all)")
        self._label = numbers.astype(np.uint32)
        there = np.ones((rows, width), dtype=bool) if available is None else self._flags("available", available)
        self._expect("available", there.shape, (rows, width))
        self._available = there
        flat = self._quality.reshape(rows, width, -1)
        bad = np.argwhere(~np.isfinite(flat).all(axis=2) & there)
        if len(bad):
            row, modality = bad[0]
            raise FuselineError(
                f"quality of row {row}, modality {modality} is not finite: say in `available` where a modality is missing"
            )
        self._evidence = None
        if evidence is not None:
            self._evidence = self._floats("evidence", evidence)
            self._expect("evidence", self._evidence.shape, (rows, width, len(self.classes)))
            self._evidence = np.where(self._available[:, :, None], self._evidence, 0.0)
        if isinstance(modalities, str):
            raise FuselineError(f"modalities is one text, {modalities!r}; a list of {width} names is expected")
        self.modalities = [f"modality {m + 1}" for m in range(width)] if modalities is None else list(modalities)
        self._expect("modalities", (len(self.modalities),), (width,))
        for what, names in (("quality", columns), ("available", _names_of(available)), ("neutral", _names_of(neutral, "index"))):
            self._refuse_other_names(f"the columns of {what}", names, "modalities", self.modalities)
        self._neutral = self._neutral_quality(flat, neutral)
        self._title = title
        header: dict[str, Any] = {
            "protocol": PROTOCOL,
            "title": _text("title", title),
            "example_id": None if ids is None else self._names("ids", ids, rows),
            "group": None if groups is None else self._names("groups", groups, rows),
            "label": self._label.tolist(),
            "classes": ["value"] if metric is not None else [str(name) for name in self.classes],
            "modalities": [str(name) for name in self.modalities],
            "channels": flat.shape[2],
            "evidence": self._evidence is not None,
            "seconds": None if seconds is None else _number("seconds", seconds),
            "settings": {
                "scheme": _text("scheme", scheme),
                "bins": _whole("bins", bins, 1, 2**32 - 1),
                "permutations": _whole("permutations", permutations, 1, 2**32 - 1),
                "seed": _whole("seed", seed, 0, 2**64 - 1),
                "tolerance": _number("tolerance", tolerance),
                "equivalence_margin": None
                if equivalence_margin is None
                else _number("equivalence_margin", equivalence_margin),
                "stop": "never" if stop is None else stop,
            },
        }
        if values is not None:
            header["value"] = values.tolist()
            header["settings"]["metric"] = metric
        self._header = header
        self.permutations = permutations
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: Ask | None = None
        self._result: Result | None = None

    @staticmethod
    def _values(labels: NDArray[Any], rows: int, metric: str) -> Floats:
        """Labels that are numbers; zeros where a function gives the score."""
        if metric == "score":
            if labels.shape[:1] != (rows,):
                raise FuselineError(f"y has shape {labels.shape} and quality has {rows} rows")
            return np.zeros(rows)
        if metric not in METRICS:
            raise FuselineError(f"score is {metric!r}; a function or one of {', '.join(METRICS)} is expected")
        if labels.shape != (rows,):
            raise FuselineError(f"y has shape {labels.shape} and quality has {rows} rows: ({rows},) is expected")
        try:
            values = Diagnosis._floats("y", labels)
        except FuselineError:
            raise FuselineError(f"score={metric!r} is of numbers, and y holds {labels.dtype}") from None
        if not np.all(np.isfinite(values)):
            raise FuselineError("y holds values that are not finite: leave those rows out of quality and y")
        return values

    @staticmethod
    def _sorted(labels: NDArray[Any]) -> list[Any]:
        """The classes of which no order is given."""
        try:
            return list(np.unique(labels))
        except TypeError:
            types = ", ".join(sorted({type(label).__name__ for label in labels.ravel()}))
            raise FuselineError(f"y has labels of several types, {types}: `classes=` gives their order") from None

    @staticmethod
    def _floats(what: str, values: Any) -> Floats:
        """Numbers as doubles; NaN where one is missing."""
        try:
            array = _as_array(what, values)
            if array.dtype.kind not in "biufO":
                raise TypeError
            # Of numbers what is missing is NaN already.
            if array.dtype.kind == "O" or isinstance(values, np.ma.MaskedArray):
                missing = _missing(values)
                array = array if missing is None else np.where(missing, np.nan, array)
            return np.ascontiguousarray(array, dtype=np.float64)
        except (TypeError, ValueError):
            found = getattr(values, "dtype", None) or type(values).__name__
            raise FuselineError(f"{what} is an array of numbers, all rows of one shape, and {found} was given") from None

    @classmethod
    def _flags(cls, what: str, values: Any) -> NDArray[np.bool_]:
        """True and False, or 1 and 0: what else counts as true in Python says nothing."""
        hint = f"{what} is an array of True and False"
        try:
            numbers = cls._floats(what, values)
        except FuselineError:
            raise FuselineError(hint) from None
        wrong = numbers[(numbers != 0) & (numbers != 1)]
        if wrong.size:
            raise FuselineError(f"{hint}, and holds {wrong[0]:g}")
        flags: NDArray[np.bool_] = numbers == 1
        return flags

    @staticmethod
    def _expect(what: str, found: tuple[int, ...], expected: tuple[int, ...], hint: str = "") -> None:
        if found != expected:
            raise FuselineError(f"{what} has shape {found} where {expected} is expected{hint}")

    @staticmethod
    def _known(what: str, values: ArrayLike | Sequence[Any]) -> NDArray[Any]:
        """Values as an array of which none is missing."""
        array = _as_array(what, values)
        missing = _missing(values)
        if missing is not None:
            row = int(np.argwhere(missing)[0][0])
            raise FuselineError(f"{what} has no value in row {row}: leave such rows out of all arrays")
        return array

    def _names(self, what: str, values: ArrayLike | Sequence[str], rows: int) -> list[str]:
        known = self._known(what, values)
        if known.ndim != 1:
            found = f"has shape {known.shape}" if known.ndim else f"is a {type(values).__name__}"
            raise FuselineError(f"{what} {found}: one value for each row is expected, ({rows},)")
        if len(known) != rows:
            raise FuselineError(f"{what} has {len(known)} values where {rows} are expected")
        return [str(value) for value in known.tolist()]

    def _neutral_quality(self, flat: Floats, neutral: ArrayLike | None) -> Floats:
        if neutral is None:
            there = self._available[:, :, None]
            count = np.maximum(there.sum(axis=0), 1)
            level = np.where(there, flat, 0.0).sum(axis=0) / count
        else:
            level = self._floats("neutral", neutral)
            self._expect("neutral", level.shape, self._quality.shape[1:])
            if not np.all(np.isfinite(level)):
                raise FuselineError("neutral holds values that are not finite")
            level = level.reshape(flat.shape[1:])
        held: Floats = np.where(self._available[:, :, None], level[None], flat)
        return held.reshape(self._quality.shape)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [find_binary(), "diagnose", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        self._process = process
        for stream in (process.stdin, process.stdout):
            _widen(stream)
        parts = [json.dumps(self._header).encode(), b"\n", self._available.astype(np.uint8).tobytes()]
        parts.append(np.nan_to_num(self._quality).tobytes())
        if self._evidence is not None:
            parts.append(self._evidence.tobytes())
        self._write(b"".join(parts))
        return process

    def _stream(self, name: Literal["stdin", "stdout"]) -> IO[bytes]:
        assert self._process is not None
        stream = getattr(self._process, name)
        assert stream is not None
        return stream  # type: ignore[no-any-return]

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self._stream("stdin").write(data)
            self._stream("stdin").flush()
        except BrokenPipeError:
            # It says why on its last line.
            pass

    def _read(self) -> dict[str, Any]:
        line = self._stream("stdout").readline()
        if not line:
            self._fail("the command ended without an answer")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            error = message["error"]
            hint = f" ({error['hint']})" if error.get("hint") else ""
            self.close()
            raise FuselineError(f"{error['message']}{hint}", exit_code=2)
        return message

    def _fail(self, what: str) -> None:
        process = self._process
        stderr = b""
        if process is not None and process.stderr is not None:
            process.kill()
            stderr = process.stderr.read()
        self.close()
        raise FuselineError(what, stderr=stderr.decode(errors="replace"))

    def __iter__(self) -> Iterator[Ask]:
        if self._process is not None or self._result is not None:
            raise FuselineError("a Diagnosis is asked once: make another one")
        self._start()
        number = 0
        while True:
            message = self._read()
            if "result" in message:
                self._result = Result(message["result"], self._title)
                self.close()
                return
            for ask in self._questions(message, number):
                self._asked = ask
                yield ask
                if self._asked is not None:
                    self.close()
                    raise FuselineError("the question was not answered: call tell(ask, predictions) before the next one")
                number += 1

    def _questions(self, message: Mapping[str, Any], number: int) -> Iterator[Ask]:
        """The questions of one message: a block of permutations is one, or one a permutation."""
        ask = self._ask(message, number)
        if ask.kind != "broken" or self._vectorized:
            yield ask
            return
        for at, quality in enumerate(ask.quality):
            yield Ask("broken", quality, ask.first + at, 1, number + at)

    def _ask(self, message: Mapping[str, Any], number: int) -> Ask:
        if message["ask"] == "clean":
            return Ask("clean", self._quality.copy(), number=number)
        if message["ask"] == "neutral":
            return Ask("neutral", self._neutral.copy(), number=number)
        count, columns = int(message["count"]), int(message["columns"])
        rows, width = self._quality.shape[:2]
        size = count * columns * rows * 4
        data = self._stream("stdout").read(size)
        if len(data) != size:
            self._fail("the command ended within a question")
        index = np.frombuffer(data, dtype="<u4").reshape(count, columns, rows)
        if columns == 1:
            # Rows whole: a quarter of the time that indexing takes.
            broken = np.take(self._quality, index[:, 0], axis=0)
        else:
            broken = np.stack([self._quality[index[:, m], m] for m in range(width)], axis=2)
        if not self._available.all():
            stays = ~self._available.reshape(rows, width, *[1] * (self._quality.ndim - 2))
            np.copyto(broken, self._quality, where=stays)
        if message["ask"] == "mixed":
            return Ask("mixed", broken[0], number=number)
        return Ask("broken", broken, int(message["first"]), count, number)

    def tell(self, ask: Ask, predictions: ArrayLike) -> None:
        """Answers a question: probabilities (rows, classes), or decisions (rows,); of a block with the count in front."""
        if ask is not self._asked:
            raise FuselineError("this is not the question that was asked last")
        if "value" in self._header:
            self._tell_numbers(ask, predictions)
            return
        shape = (*self._front(ask), len(self.classes))
        answer = self._array(predictions)
        if answer.ndim == len(shape) - 1:
            self._expect("the array of decisions", answer.shape, shape[:-1])
            answer = np.eye(len(self.classes))[self._numbers(answer)]
        if answer.shape != shape:
            self._expect("the array of predictions", answer.shape, shape, self._shape_hint(answer.shape))
        answer = self._floats("the answer of the model", answer)
        self._refuse_not_finite("predictions", ask, answer)
        self._write(np.ascontiguousarray(answer, dtype="<f8").data.cast("B"))
        self._asked = None

    def _array(self, predictions: Any) -> NDArray[Any]:
        """One answer as an array."""
        try:
            array = _as_array("the answer of the model", predictions)
        except ValueError:
            array = np.empty(())
        if isinstance(predictions, np.ma.MaskedArray) and np.ma.getmaskarray(predictions).any():
            raise FuselineError("the answer of the model has masked values: a value for every row is expected")
        if array.ndim == 0:
            expected = "of numbers" if "value" in self._header else "of probabilities (rows, classes) or decisions (rows,)"
            raise FuselineError(f"the model gave a {type(predictions).__name__} and no array {expected}")
        if "value" not in self._header:
            self._refuse_other_names("the columns of the predictions", _names_of(predictions), "classes", self.classes)
        self._refuse_other_rows(_index_of(predictions))
        return array

    def _refuse_other_rows(self, index: Any) -> None:
        """Answers are taken by their places: an index that names the rows in another order is refused."""
        if index is None or self._row_names is None or index.equals(self._known_index):
            return
        what, names = self._row_names
        found, own = [str(name) for name in index], [str(name) for name in names]
        if not _are_places(found) and (how := _other_rows(found, own, what.split(".")[0])):
            raise FuselineError(
                f"the predictions have {how}, by their index, and rows are paired by their places: "
                f"give predictions.loc[{what}], or predictions.to_numpy() where the places are right"
            )
        self._known_index = index

    @staticmethod
    def _refuse_other_names(what: str, found: list[str] | None, kind: str, names: Sequence[Any]) -> None:
        """Columns are taken by their places: the names of another order are no such columns."""
        own = [str(name) for name in names]
        if found is not None and in_another_order(found, own):
            raise FuselineError(
                f"{what} are {', '.join(found)} and the {kind} are {', '.join(own)}: "
                f"give the columns in this order, or theirs in `{kind}=`"
            )

    def _block(self, answers: Iterator[Any]) -> NDArray[Any]:
        """Answers to the questions of a block, one after another."""
        arrays = [self._array(answer) for answer in answers]
        shapes = list(dict.fromkeys(array.shape for array in arrays))
        if len(shapes) > 1:
            raise FuselineError(
                f"the model gave arrays of shape {shapes[0]} and of shape {shapes[1]} for qualities of one shape"
            )
        return np.stack(arrays)

    def _first(self, answers: Any) -> NDArray[Any]:
        """The answer to a block of one question."""
        array = self._array(answers)
        if len(array) != 1:
            raise FuselineError(
                f"the model gave shape {array.shape} for a block of one question, (1, rows, ...): with vectorized=True an answer "
                "has as many questions in front, (b, rows, classes) or (b, rows)"
            )
        one: NDArray[Any] = array[0]
        return one

    def _shape_hint(self, found: tuple[int, ...]) -> str:
        rows = len(self._label)
        if found == (rows, 1):
            two = ", np.column_stack([1 - p, p])" if len(self.classes) == 2 else ""
            return f": decisions are (rows,), and of probabilities each class has a column{two}"
        if rows not in found:
            return ": one row for each row of quality"
        names = ", ".join(str(name) for name in self.classes[:5]) + (", ..." if len(self.classes) > 5 else "")
        return f": a column for each of the classes {names}; `classes=` names those of the model in their order"

    def _refuse_not_finite(self, what: str, ask: Ask, answer: Floats) -> None:
        finite = np.isfinite(answer)
        if not finite.all():
            row = np.argwhere(~finite)[0][len(self._front(ask)) - 1]
            raise FuselineError(f"the {what} for row {row} hold values that are not finite ({ask.kind} quality)")

    def _front(self, ask: Ask) -> tuple[int, ...]:
        """Shape of an answer of one number a row."""
        rows = len(self._label)
        return (ask.count, rows) if ask.kind == "broken" and self._vectorized else (rows,)

    def _tell_numbers(self, ask: Ask, predictions: ArrayLike) -> None:
        """Answers with a number a row: the prediction, or the score of it."""
        shape = self._front(ask)
        is_block = len(shape) > 1
        answer = self._array(predictions)
        if self._score is not None:
            if answer.shape[: len(shape)] != shape:
                raise FuselineError(f"the predictions have shape {answer.shape} where {shape} is expected in front")
            each = answer if is_block else answer[None]
            answer = np.stack([self._floats("the score", self._score(self._y, one)) for one in each]).reshape(len(each), -1)
            answer = answer if is_block else answer[0]
            self._expect("the array of scores", answer.shape, shape)
        else:
            self._expect("the array of predictions", answer.shape, shape)
        answer = np.ascontiguousarray(self._floats("the answer of the model", answer), dtype="<f8")
        self._refuse_not_finite("predictions or scores", ask, answer)
        self._write(answer.data.cast("B"))
        self._asked = None

    def _class_numbers(self, values: NDArray[Any]) -> tuple[NDArray[np.int64], str]:
        """The numbers of the classes that values name, -1 for those that name none; and the first few of these, in words."""
        place = {_key(name): number for number, name in enumerate(self.classes)}
        each = values.ravel().tolist()
        number = {value: place.get(_key(value), -1) for value in set(each)}
        unknown = sorted({str(value) for value, at in number.items() if at < 0})
        return np.array([number[value] for value in each], dtype=np.int64).reshape(values.shape), ", ".join(unknown[:5])

    def _numbers(self, decisions: NDArray[Any]) -> NDArray[np.int64]:
        """Class numbers of decisions that are given as classes."""
        numbers, unknown = self._class_numbers(decisions)
        if unknown:
            fractions = decisions.dtype.kind == "f" and bool(np.any(decisions % 1))
            named = ", ".join(repr(name.item() if isinstance(name, np.generic) else name) for name in self.classes[:5])
            hint = (
                "one number a row is a decision, and probabilities are (rows, classes): np.column_stack([1 - p, p])"
                if fractions
                else f"its classes are {named}, and decisions are named as these"
            )
            raise FuselineError(f"the model decides for {unknown}, and y has no such class: {hint}")
        return numbers

    def result(self) -> Result:
        """What the answers come to, once all questions are answered."""
        if self._result is None:
            raise FuselineError("not all questions are answered yet")
        return self._result

    def close(self) -> None:
        """Ends the command."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Diagnosis:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def diagnose(
    predict: Predict,
    *,
    quality: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    available: ArrayLike | None = None,
    evidence: ArrayLike | None = None,
    ids: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    score: str | Score | None = None,
    scheme: str = "joint",
    bins: int = 3,
    permutations: int = 10_000,
    seed: int = 1,
    stop: Literal["sequential"] | None = None,
    seconds: float | None = None,
    tolerance: float = 0.0,
    equivalence_margin: float | None = None,
    neutral: ArrayLike | None = None,
    vectorized: bool = False,
    title: str = "",
    progress: bool | None = None,
) -> Result:
    """Asks a frozen model whether its decisions use its quality input.

    `predict(quality)` gets an array shaped as `quality` and gives probabilities (rows, classes) or decisions (rows,); with
    `vectorized=True` it gets (b, rows, ...) and gives (b, rows, classes) or (b, rows). With `score` it gives numbers
    (rows,), or what a score function takes. All that is not quality stays as it
    is, in the same order of rows. It is asked with quality as measured first and last, and must answer alike, and once with
    the quality of half of the rows permuted, which must not change the answers for the others. The other
    arguments: see :class:`Diagnosis`. `progress`: on standard error; where left out, on a terminal or in a notebook.

    Raises :class:`FuselineError` when shapes do not fit, the model is not frozen, or its answers are no probabilities.
    """
    diagnosis = Diagnosis(
        quality=quality,
        y=y,
        groups=groups,
        available=available,
        evidence=evidence,
        ids=ids,
        modalities=modalities,
        classes=classes,
        score=score,
        scheme=scheme,
        bins=bins,
        permutations=permutations,
        seed=seed,
        stop=stop,
        seconds=seconds,
        tolerance=tolerance,
        equivalence_margin=equivalence_margin,
        neutral=neutral,
        # Blocks, of which a model that is not vectorized is asked one by one below.
        vectorized=True,
        title=title,
    )
    told = _Progress(permutations, progress)
    with diagnosis:
        for ask in diagnosis:
            if vectorized and ask.kind != "broken":
                answer: Any = diagnosis._first(predict(ask.quality[None]))
            elif not vectorized and ask.kind == "broken":
                answer = diagnosis._block(predict(one) for one in ask.quality)
            else:
                answer = predict(ask.quality)
            diagnosis.tell(ask, answer)
            told.show(ask)
    result = diagnosis.result()
    told.end(result.n_permutations)
    return result


class _Progress:
    """A line that says how far it is and how long it will take."""

    def __init__(self, permutations: int, wanted: bool | None) -> None:
        self._all, self._started, self._last = permutations, time.monotonic(), 0.0
        self._wanted = writes_over(sys.stderr) if wanted is None else wanted
        self._shown = False

    def show(self, ask: Ask) -> None:
        now = time.monotonic()
        if not self._wanted or ask.kind != "broken" or now - self._last < 0.2:
            return
        done = ask.first + ask.count
        left = (now - self._started) / done * (self._all - done)
        sys.stderr.write(f"\r{done}/{self._all} permutations, {left:.0f} s left ")
        sys.stderr.flush()
        self._last, self._shown = now, True

    def end(self, asked: int) -> None:
        """Says how many were asked in all: a sequential test or a budget asks fewer."""
        if self._shown:
            sys.stderr.write(f"\r{asked} permutations in {time.monotonic() - self._started:.1f} s        \n")


def _widen(stream: IO[bytes] | None) -> None:
    """Room in a pipe for a block of questions or answers, so that neither side waits for the other within one."""
    size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if stream is None or size is None:
        return
    try:
        fcntl.fcntl(stream, size, 1 << 20)
    except OSError:
        # More than the system grants this user: the pipe works as it is.
        pass


def _key(value: Any) -> Any:
    """Labels that are equal are one class, whatever type numpy gives them."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def _as_array(what: str, values: Any) -> NDArray[Any]:
    """An array; torch says of a tensor with a gradient, on a GPU or in bfloat16 that it is none, and what to do."""
    try:
        return np.asarray(values)
    except (RuntimeError, TypeError) as error:
        raise FuselineError(f"{what} is no array of numpy: {error}") from None


def _names_of(values: Any, along: str = "columns") -> list[str] | None:
    """Names that a table of pandas or polars, or a row of one, has along its columns or its index."""
    names = getattr(values, along, None)
    return None if names is None or callable(names) else [str(name) for name in names]


def _missing(values: Any) -> NDArray[np.bool_] | None:
    """Where values are missing or masked; None where none is."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        names = ("None", "nan", "NaT", "<NA>")
        each = [not isinstance(value, str) and str(value) in names for value in array.ravel()]
        missing = np.array(each, dtype=bool).reshape(array.shape)
    else:
        missing = np.asarray(array != array)
    if isinstance(values, np.ma.MaskedArray):
        missing |= np.ma.getmaskarray(values)
    return missing if missing.any() else None


def _index_of(table: Any) -> Any:
    """The index of a table of pandas; None where there is none."""
    index = getattr(table, "index", None)
    return index if hasattr(index, "equals") else None


def _refuse_other_orders(**tables: Any) -> None:
    """Rows are paired by their places: indexes, or ids, that name the same rows otherwise are no such pairs."""
    named = [(what, _row_names(what, table)) for what, table in tables.items()]
    (first, names), *others = [(what, names) for what, names in named if names is not None] or [("", [])]
    for what, found in others:
        if how := _other_rows(found, names, first):
            raise FuselineError(
                f"{what} has {how}, by their index, and rows are paired by their places: "
                f"give {what}.loc[{first}.index], or both by to_numpy() where the places are right"
            )


def _row_names(what: str, table: Any) -> list[str] | None:
    """The names that an index gives the rows, or ids are; None where there are none."""
    names = _index_of(table)
    if names is None and what == "ids":
        names = table
    return None if names is None else [str(name) for name in names]


def _other_rows(found: list[str], names: list[str], of: str) -> str | None:
    """How names of rows contradict those of a table. None where they are equal or have nothing in common, or where one side
    numbers places."""
    if found == names or len(found) != len(names):
        return None
    if sorted(found) == sorted(names):
        return f"the rows of {of} in another order"
    if set(found).isdisjoint(names) or _are_places(found) or _are_places(names):
        return None
    row = next(row for row, name in enumerate(names) if found[row] != name)
    return f"other rows than {of}, at place {row} {found[row]} and not {names[row]}"


def _are_places(names: list[str]) -> bool:
    """True of an index of places, which a table has of itself: it names no rows."""
    return names == [str(row) for row in range(len(names))]


def _label_hint(labels: NDArray[Any], rows: int) -> str:
    if labels.shape == (rows, 1):
        return ", such as y.ravel()"
    if labels.ndim == 2 and len(labels) == rows:
        return ": of one-hot rows y.argmax(axis=1); several labels a row take a function as `score`"
    return ""


def _whole(what: str, value: Any, least: int, most: int) -> int:
    """A whole number, of numpy too."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, (bool, np.bool_)) or not least <= number <= most:
        raise FuselineError(f"{what} is {value!r}; a whole number from {least} to {most} is expected")
    return number


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FuselineError(f"{what} is {value!r}; a text is expected")
    return value


def _number(what: str, value: Any) -> float:
    """A number that is not negative, of numpy too."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < np.inf or isinstance(value, (str, bool, np.bool_)):
        raise FuselineError(f"{what} is {value!r}; a number from 0 on is expected")
    return number
