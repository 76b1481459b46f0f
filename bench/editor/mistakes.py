#!/usr/bin/env python3
"""Mistakes as newcomers make them: how many does an editor show, how many `check`, and how many a server of YAML with our schema alone?

    python bench/editor/mistakes.py --fuseline target/debug/fuseline \
        --yaml-language-server node_modules/.bin/yaml-language-server

Edits of the workflow of the README's tutorial, and the files of tests/cases/slips. A mistake is shown when there is an error,
or a warning, on a line that the edit touches or the next; `anywhere` counts those that are shown at another line, too.
"""

import argparse
import difflib
import json
import pathlib
import re
import subprocess
import tempfile

import client

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Name of the mistake, and the edit of the tutorial's workflow: text, and what stands there instead.
EDITS = [
    ("kind misspelt", "uses: load.csv", "uses: load.cvs"),
    ("kind of another family", "uses: quality.column", "uses: qualities.column"),
    ("kind that does not exist", "uses: expert.logistic", "uses: expert.svm"),
    ("family without a member", "uses: split.group_kfold", "uses: split"),
    ("kind in capitals", "uses: fusion.fit", "uses: Fusion.Fit"),
    ("`use` for `uses`", "    uses: cohort.define", "    use: cohort.define"),
    ("`input` for `inputs`", "    inputs: { cohort: cohort }\n    with: { folds", "    input: { cohort: cohort }\n    with: { folds"),
    ("`params` for `with`", "    with: { permutations: 200 }", "    params: { permutations: 200 }"),
    ("`stage` for `stages`", "\nstages:", "\nstage:"),
    ("`axis` for `axes`", "\naxes:", "\naxis:"),
    ("`output` for `outputs`", "\noutputs:", "\noutput:"),
    ("version left out", "fuseline: 1\n", ""),
    ("version as text", "fuseline: 1\n", "fuseline: v1\n"),
    ("name with a space", "name: my-study", "name: my study"),
    ("seed as a word", "seed: 1", "seed: random"),
    ("stage that does not exist", "inputs: { features: features }     #", "inputs: { features: feature }     #"),
    ("port that does not exist", "evidence: expert.train, quality: quality.train", "evidence: expert.trian, quality: quality.train"),
    ("output left out where there are two", "evidence: expert.test, quality: quality.test, cohort: cohort }\n    with: { permutations",
     "evidence: expert, quality: quality.test, cohort: cohort }\n    with: { permutations"),
    ("input misspelt", "{ model: fusion, evidence", "{ modle: fusion, evidence"),
    ("input left out", "{ model: fusion, evidence: expert.test, ", "{ model: fusion, "),
    ("input of another kind", "{ model: fusion, evidence: expert.test", "{ model: folds, evidence: expert.test"),
    ("input that the kind does not have", "inputs: { cohort: cohort }\n    with: { folds", "inputs: { cohort: cohort, features: features }\n    with: { folds"),
    ("fit on the test rows", "evidence: expert.train, quality: quality.train", "evidence: expert.test, quality: quality.train"),
    ("quality of test rows for fitting", "evidence: expert.train, quality: quality.train", "evidence: expert.train, quality: quality.test"),
    ("tested on training evidence", "{ model: fusion, evidence: expert.test, quality: quality.test", "{ model: fusion, evidence: expert.train, quality: quality.train"),
    ("train and test of quality exchanged", "evidence_train: expert.train, evidence_test: expert.test", "evidence_train: expert.test, evidence_test: expert.train"),
    ("axis forgotten in `over`", "    uses: expert.logistic\n    over: [modality, fold]", "    uses: expert.logistic\n    over: [modality]"),
    ("axis forgotten on the way", "    uses: fusion.fit\n    over: [fold]", "    uses: fusion.fit"),
    ("axis misspelt in `over`", "    uses: quality.column\n    over: [modality, fold]", "    uses: quality.column\n    over: [modalty, fold]"),
    ("axis not declared", "    uses: diagnose.permute_quality\n    over: [fold]", "    uses: diagnose.permute_quality\n    over: [fold, repeat]"),
    ("axis without points", "modality: [voice, face]", "modality: []"),
    ("point twice", "modality: [voice, face]", "modality: [voice, voice]"),
    ("field of an axis without fields", "${{ modality }}.csv", "${{ modality.file }}.csv"),
    ("param misspelt", "${{ params.folds }}\" }", "${{ params.fold }}\" }"),
    ("param without `params.`", "range(params.folds)", "range(folds)"),
    ("function misspelt", "range(params.folds)", "rang(params.folds)"),
    ("text where a number is wanted", "inner_folds: 3", "inner_folds: three"),
    ("number out of range", "permutations: 200", "permutations: 0"),
    ("number in quotes", "inner_folds: 3", "inner_folds: \"3\""),
    ("option misspelt", "inner_folds: 3", "inner_fold: 3"),
    ("option of another kind", "with: { permutations: 200 }", "with: { permutations: 200, inner_folds: 3 }"),
    ("required option left out", "test_fold: \"${{ fold }}\", inner_folds", "inner_folds"),
    ("text where a list is wanted", "exclude: [quality]", "exclude: quality"),
    ("value that is not among the choices", "with: { permutations: 200 }", "with: { permutations: 200, scheme: jiont }"),
    ("rule that does not exist", "rule: lr", "rule: logreg"),
    ("file that does not exist", "/${{ modality }}.csv", "/${{ modality }}.cvs"),
    ("pattern without a group", "pattern: \"^(.+)_\"", "pattern: \"^.+_\""),
    ("output of many actions", "finding.parquet: finding", "evidence.parquet: expert.test"),
]


def tutorial():
    """The workflow of the README, mended as its third step mends it."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- file: my-study.yaml -->\n```yaml\n(.*?)```", text, re.S)[1]
    # Its first line names a schema of the project, and the servers here are told theirs.
    block = block.split("\n", 1)[1]
    return block.replace("evidence: expert.test, quality: quality.train", "evidence: expert.train, quality: quality.train")


def mistakes():
    """Name, text, and the lines (from 0) at which it may be shown."""
    right = tutorial()
    for name, old, new in EDITS:
        assert right.count(old) >= 1, (name, old)
        wrong = right.replace(old, new, 1)
        blocks = difflib.SequenceMatcher(None, right.splitlines(), wrong.splitlines(), autojunk=False).get_opcodes()
        touched = {line for tag, _, _, start, end in blocks if tag != "equal" for line in range(start, end + 1)}
        yield name, wrong, touched
    for path in sorted((ROOT / "tests/cases/slips").glob("*.yaml")):
        text, expected = path.read_text().split("\n# expected:\n")
        starts = [int(line) - 1 for line in re.findall(r"\] (\d+):\d+-", expected)]
        lines = {line for start in starts for line in (start, start + 1)}
        yield path.stem, text + "\n", lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default=ROOT / "target/debug/fuseline")
    parser.add_argument("--yaml-language-server", required=True, help="the command, without --stdio")
    parser.add_argument("--schema", default=ROOT / "schemas/workflow.schema.json")
    parser.add_argument("--list", action="store_true", help="a line for each mistake")
    arguments = parser.parse_args()
    arguments.fuseline = str(pathlib.Path(arguments.fuseline).resolve())
    ours, theirs = client.both(arguments)
    counts = {name: [0, 0, 0] for name in ("check", "fuseline lsp", "yaml-language-server")}
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "examples/tutorial"
        data.mkdir(parents=True)
        for file in ("voice.csv", "face.csv"):
            (data / file).write_bytes((ROOT / "examples/tutorial" / file).read_bytes())
        for number, (name, text, lines) in enumerate(mistakes()):
            total += 1
            path = pathlib.Path(folder) / f"{number}.yaml"
            path.write_text(text)
            ran = subprocess.run([arguments.fuseline, "check", path, "--format", "json"], capture_output=True, cwd=folder)
            found = {"check": [(each["line"] - 1, each["end_line"] - 1) for each in json.loads(ran.stdout)["diagnostics"]]}
            for which, server in (("fuseline lsp", ours), ("yaml-language-server", theirs)):
                place = [(each["range"]["start"]["line"], each["range"]["end"]["line"]) for each in server.open(path, text)]
                found[which] = place
                server.close(path)
            row = []
            for which, places in found.items():
                shown = any(set(range(start, end + 1)) & lines for start, end in places)
                counts[which][0] += shown
                counts[which][1] += bool(places)
                counts[which][2] += len(places)
                row.append("shown" if shown else "elsewhere" if places else "-")
            if arguments.list:
                print(f"{name:45} " + " ".join(f"{word:10}" for word in row))
    ours.end()
    theirs.end()
    print(f"{total} mistakes")
    for which, (shown, anywhere, messages) in counts.items():
        print(f"{which:22} at its place {shown:3}, anywhere {anywhere:3}, messages {messages:4}")


if __name__ == "__main__":
    main()
