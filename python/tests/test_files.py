"""Questions and answers as files: what is refused, and in which words."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import fuseline

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def files(tmp_path):
    """Files of a small study, the questions about it, and a function that runs the command."""
    n = 40
    ids = [f"e{row:02}" for row in range(n)]
    quality = np.random.default_rng(3).uniform(size=(n, 2))
    labels = np.where(np.arange(n) % 3 == 0, "yes", "no")

    def table(name, ids=ids, **columns):
        parquet.write_table(pyarrow.table({"example_id": ids, **columns}), tmp_path / name)
        return str(tmp_path / name)

    def command(*arguments):
        ran = subprocess.run([fuseline.find_binary(), "diagnose", *arguments], capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    def ask(out, *more, quality=None, labels=None):
        arguments = ("--quality", quality or q, "--labels", labels or y, "--permutations", "39", *more)
        return command("ask", *arguments, "-o", str(tmp_path / out))

    def tell(out, told, name="told.parquet"):
        parquet.write_table(told, tmp_path / name)
        return command("tell", str(tmp_path / out), "--predictions", str(tmp_path / name), "-o", str(tmp_path / "out"))

    def predictions(out):
        parts = [parquet.read_table(part) for part in sorted((tmp_path / out).glob("part-*.parquet"))]
        asked = pyarrow.concat_tables(parts)
        yes = 1 / (1 + np.exp(-asked["text"].to_numpy()))
        return asked.append_column("yes", pyarrow.array(yes)).append_column("no", pyarrow.array(1 - yes))

    q, y = table("q.parquet", text=quality[:, 0], audio=quality[:, 1]), table("y.parquet", label=labels)
    return SimpleNamespace(folder=tmp_path, ids=ids, q=quality, y=labels, table=table, ask=ask, tell=tell, predictions=predictions)


def test_quality_that_comes_back_beside_predictions_tells_answers_to_other_questions(files):
    assert files.ask("one")[0] == 0
    assert files.ask("two", "--seed", "2")[0] == 0
    told = files.predictions("one")
    assert files.tell("one", told)[0] == 0
    single = told.set_column(2, "text", told["text"].cast(pyarrow.float32()))
    assert files.tell("one", single)[0] == 0
    code, text = files.tell("two", told)
    assert code == 2 and "the predictions of question 0 were made at" in text
    assert "these predictions answer other questions" in text


def test_a_plan_that_was_changed_is_refused(files):
    files.ask("one")
    plan = files.folder / "one" / "questions.json"
    told = files.predictions("one")
    for changed in [plan.read_text().replace('"label":[1,0', '"label":[0,0'), json.dumps(json.loads(plan.read_text()))]:
        plan.write_text(changed)
        code, text = files.tell("one", told)
        assert code == 2 and "questions.json is not as it was written" in text


def test_what_files_say_that_cannot_be_asked_is_refused_in_words(files):
    infinite = np.where(np.arange(40) == 7, np.inf, files.q[:, 0])
    cases = [
        (dict(quality=files.table("a.parquet", text=infinite, audio=files.q[:, 1])), (), "the quality of modality text of example e07 is infinite"),
        (dict(quality=files.table("b.parquet", question=files.q[:, 0])), (), "question in b.parquet is a name that the columns"),
        (dict(labels=files.table("c.parquet", label=files.q[:, 0])), (), "40 different numbers of 40 examples: no classes"),
        (dict(labels=files.table("d.parquet", label=["no"] * 40)), (), "all labels of d.parquet are no, and two classes are needed"),
        ({}, ("--evidence", f"video={files.table('e.parquet', yes=files.q[:, 0], no=1 - files.q[:, 0])}"), "there is evidence of video, and no quality"),
    ]
    for number, (given, more, words) in enumerate(cases):
        code, text = files.ask(f"ask{number}", *more, **given)
        assert code == 2 and words in text, text
    half = files.table("half.parquet", ids=files.ids[:30], text=files.q[:30, 0])
    code, text = files.ask("half", quality=half)
    assert code == 0 and "10 examples of" in text and "have no quality and are not asked about" in text


def test_predictions_that_contradict_themselves_are_refused_in_words(files):
    files.ask("one")
    told = files.predictions("one").drop_columns(["text", "audio"])
    decided = told.append_column("decision", pyarrow.array(["yes"] * len(told)))
    code, text = files.tell("one", decided)
    assert code == 2 and "has a decision and probabilities" in text
    code, text = files.tell("one", decided.drop_columns(["yes", "no"]).set_column(2, "decision", pyarrow.array(["1"] * len(told))))
    assert code == 2 and 'decides for "1", which is none of the classes no, yes' in text
    code, text = files.tell("one", told.rename_columns(["question", "example_id", "Yes", "no"]))
    assert code == 2 and "has no column yes" in text and "its columns are question, example_id, Yes, no" in text
    wrong = told.set_column(2, "yes", pyarrow.array(told["yes"].to_numpy() * 2))
    code, text = files.tell("one", wrong, "wrong.parquet")
    assert code == 2 and "row 1 of wrong.parquet has" in text and "no probabilities that sum to 1" in text


def test_an_index_that_pandas_wrote_is_neither_quality_nor_a_label(files):
    pandas = pytest.importorskip("pandas")
    assert files.ask("plain")[0] == 0
    order = np.random.default_rng(5).permutation(len(files.ids))
    for name in ("q", "y"):
        table = pandas.read_parquet(files.folder / f"{name}.parquet").iloc[order]
        table.to_parquet(files.folder / f"{name}_index.parquet")
        table.to_csv(files.folder / f"{name}_index.csv")
    for ending in ("parquet", "csv"):
        asked = {"quality": f"{files.folder}/q_index.{ending}", "labels": f"{files.folder}/y_index.{ending}"}
        code, text = files.ask(ending, **asked)
        assert code == 0, text
        told = files.predictions(ending)
        assert told.equals(files.predictions("plain"))
