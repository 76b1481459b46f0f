"""Workflows from Python."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fuseline

QUICKSTART = Path(__file__).parents[2] / "workflows" / "quickstart.yaml"


def test_a_workflow_is_checked_planned_run_and_read(tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "out"
    assert [found for found in fuseline.check(QUICKSTART) if found.severity == "error"] == []
    before = fuseline.plan(QUICKSTART, cache=cache)
    assert before.cached == 0 and len(before) > 10
    run = fuseline.run(QUICKSTART, cache=cache, out=out, quiet=True)
    assert run.status == "ok" and run.executed > 0
    findings = run.findings
    assert len(findings) > 1 and "gap" in findings.columns
    assert findings["gap"].dtype.kind == "f"
    cell = run._repr_html_()
    assert cell.startswith('<div class="fuseline-report"><style>@scope (.fuseline-report)')
    assert "<script" not in cell and "Does the fused decision use quality?" in cell
    assert "<table" in findings._repr_html_()
    again = fuseline.run(QUICKSTART, cache=cache, out=out, quiet=True)
    assert again.executed == 0
    pandas = pytest.importorskip("pandas")
    frame = findings.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame["gap"]) == list(findings["gap"])
    pyarrow = pytest.importorskip("pyarrow")
    assert pyarrow.table(findings).num_rows == len(findings)
    assert list(pandas.DataFrame(findings)["gap"]) == list(findings["gap"])
    assert [row["gap"] for row in findings] == list(findings["gap"])


def test_mistakes_come_with_their_places(tmp_path):
    text = QUICKSTART.read_text().replace("uses: fusion.fit", "uses: fusion.fti")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text)
    found = fuseline.check(wrong)
    assert found and found[0].line and found[0].code.startswith("fuseline::")
    with pytest.raises(fuseline.FuselineError) as raised:
        fuseline.run(wrong, cache=tmp_path / "cache", quiet=True)
    assert raised.value.exit_code == 2 and raised.value.diagnostics == tuple(found)
    assert "did you mean" in raised.value.stderr


def test_what_a_failed_action_says_is_a_diagnostic_with_its_place(tmp_path):
    (tmp_path / "labels.csv").write_text("id,label\na,yes\n")
    workflow = tmp_path / "failing.yaml"
    workflow.write_text(
        """fuseline: 1
name: failing
stages:
  features:
    uses: load.csv
    with: { path: labels.csv, id: { column: id }, columns: { include: [lable] } }
outputs: { features.csv: features }
"""
    )
    with pytest.raises(fuseline.FuselineError) as raised:
        fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path, quiet=True)
    (found,) = raised.value.diagnostics
    assert (found.line, found.column) == (6, 71) and "lable" in found.message and found.hint, found


def test_a_plan_of_any_size_arrives(tmp_path):
    workflow = tmp_path / "big.yaml"
    workflow.write_text(
        """
fuseline: 1
name: big
axes:
  i: ${{ range(3000) }}
stages:
  cohort:
    uses: simulate.cohort
    over: [i]
    with: { examples: "${{ 20 + i }}", groups: 5 }
outputs: { cohort.csv: "cohort[i=0]" }
"""
    )
    # More than a pipe holds.
    assert len(fuseline.plan(workflow, cache=tmp_path / "cache")) == 3000


SLOW = """
fuseline: 1
name: slow
axes: { k: [0, 1, 2] }
stages:
  wait:
    uses: command
    over: [k]
    with:
      run: [sh, -c, "sleep 2; echo done > outputs/main"]
      params: { k: "${{ k }}" }
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { a.txt: "wait[k=0]", b.txt: "wait[k=1]", c.txt: "wait[k=2]" }
"""


def test_an_interrupt_is_passed_on_once_and_what_is_in_flight_is_finished(tmp_path):
    workflow = tmp_path / "slow.yaml"
    workflow.write_text(SLOW)
    program = "import fuseline, sys\nfuseline.run(sys.argv[1], cache=sys.argv[2], out=sys.argv[3], jobs=1, quiet=True)"
    arguments = [str(workflow), str(tmp_path / "cache"), str(tmp_path / "out")]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    events = (tmp_path / "cache" / "runs").glob
    while not any('"started"' in file.read_text() for file in events("*/events.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in stderr
    plan = fuseline.plan(workflow, cache=tmp_path / "cache")
    assert (plan.cached, len(plan)) == (1, 3), "the action that ran was finished, the others were not begun"


def test_progress_is_one_line_where_it_can_be_written_over():
    from fuseline._workflow import _Shown

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    lines = ["0/3 actions, 0 of them cached\n", "2/3 actions, 1 of them cached\n", "caution: a\n", "3/3 actions, 1 of them cached\n", "done\n"]
    for target in [Terminal(), io.StringIO()]:
        shown = _Shown(target)
        for line in lines:
            shown.write(line)
        text = target.getvalue()
        if not isinstance(target, Terminal):
            assert text == "".join(lines)
            continue
        assert text.startswith("\r0/3 actions, 0 of them cached\r2/3 actions, 1 of them cached, 0 s left\ncaution: a\n\r3/3")
        assert text.endswith("\ndone\n") and text.count("\n") == 4


def test_letters_that_a_terminal_obeys_are_shown_and_not_done():
    from fuseline._errors import Diagnostic
    from fuseline._table import Table

    hostile = "a\x1b[31mb\u202ec\rd\x9be"
    shown = "a\\u{1b}[31mb\\u{202e}c\\u{d}d\\u{9b}e"
    table = Table(b"", [{"example_id": hostile}], hostile)
    found = Diagnostic("w.yaml", 1, 1, "code", hostile, None)
    for text in (repr(table), table._repr_html_(), str(found)):
        assert shown in text and hostile not in text
    result = fuseline.diagnose(
        lambda q: np.column_stack([1 - q[:, 0], q[:, 0]]),
        quality=np.random.default_rng(1).random((60, 2)), y=np.arange(60) % 2, modalities=[hostile, "b"],
        evidence=np.full((60, 2, 2), 0.5), permutations=20,
    )  # fmt: skip
    assert "\x1b" not in repr(result) and "\x1b" not in result.verdict
