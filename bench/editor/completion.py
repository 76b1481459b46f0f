#!/usr/bin/env python3
"""Completion at 40 places of five workflows: is the word that stands there offered, once it is taken away?

    python bench/editor/completion.py --fuseline target/debug/fuseline \
        --yaml-language-server node_modules/.bin/yaml-language-server

Each place is the text before the word, and the word, of a file in workflows/. The word is taken out, of a key with its value, completion is
asked for there, and the word must be among the labels. A second figure is how long the list is.
"""

import argparse
import pathlib
import re
import statistics

import client

ROOT = pathlib.Path(__file__).resolve().parents[2]

# File, text before the word, the word.
PLACES = [
    ("stressid", "  features:\n    ", "uses"),
    ("stressid", "  features:\n    uses: ", "load.csv"),
    ("stressid", "    uses: load.csv\n    over: [", "modality"),
    ("stressid", "    with:\n      ", "path"),
    ("stressid", "      path: ${{ params.data }}/${{ modality.file }}\n      ", "header"),
    ("stressid", "path: ${{ params.", "data"),
    ("stressid", "/${{ modality.", "file"),
    ("stressid", "    uses: cohort.define\n    inputs: { ", "features"),
    ("stressid", "      require: ", "complete"),
    ("stressid", "uses: split.group_kfold\n    inputs: { cohort: ", "cohort"),
    ("stressid", "    over: [modality, ", "fold"),
    ("stressid", "folds: folds }\n    with: { ", "test_fold"),
    ("stressid", "  quality:\n    uses: \"", "quality.${{ quality }}"),
    ("stressid", "inputs: { evidence_train: ", "expert.train"),
    ("stressid", "evidence_test: ", "expert.test"),
    ("stressid", "with: { rule: \"${{ ", "rule"),
    ("stressid", "scheme: ", "joint"),
    ("stressid", "  quality: [margin, entropy, ", "in_distribution"),
    ("stressid", "  rule: [mean, weighted_mean, ", "lr"),
    ("stressid", "without_quality: { ", "quality"),
    ("stressid", "without_quality: { quality: ", "constant"),
    ("stressid", "outputs:\n  report.html: ", "report"),
    ("quickstart", "uses: simulate.features\n    over: [", "fidelity"),
    ("quickstart", "fidelity: \"${{ ", "fidelity"),
    ("quickstart", "with: { adjust: ", "holm"),
    ("quickstart", "uses: diagnose.summarize\n    over: [fidelity, rule, quality]\n    inputs:\n      ", "permutations"),
    ("quickstart", "      permutations: permute.permutations\n      effects: ", "permute.effects"),
    ("quickstart", "with: { axis: ", "rule"),
    ("outage", "    uses: ", "intervene.degrade"),
    ("outage", "      by: \"${{ degradation.", "by"),
    ("outage", "evidence: \"expert.train[", "degradation"),
    ("outage", "evidence: \"expert.train[degradation=", "none"),
    ("outage", "      families: [", "outage"),
    ("outage", "with: { pattern: \"${{ outage.", "pattern"),
    ("what_for", "  scheme: [joint, ", "within_correct"),
    ("what_for", "      quality: quality.test\n      ", "evidence_train"),
    ("mid_fusion", "where: ${{ ", "sees"),
    ("mid_fusion", "  late:\n    uses: fusion.fit\n    over: [sees, quality, fold]\n    ", "where"),
    ("mid_fusion", "inputs: { model: ", "late"),
    ("mid_fusion", "with: { rule: ", "attention"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default=ROOT / "target/debug/fuseline")
    parser.add_argument("--yaml-language-server", required=True, help="the command, without --stdio")
    parser.add_argument("--schema", default=ROOT / "schemas/workflow.schema.json")
    parser.add_argument("--list", action="store_true", help="a line for each place")
    arguments = parser.parse_args()
    arguments.fuseline = str(pathlib.Path(arguments.fuseline).resolve())
    ours, theirs = client.both(arguments)
    hits = {"fuseline lsp": 0, "yaml-language-server": 0}
    lengths = {name: [] for name in hits}
    for file, before, word in PLACES:
        path = ROOT / f"workflows/{file}.yaml"
        text = path.read_text()
        at = text.find(before + word)
        assert at >= 0, (file, before, word)
        start = at + len(before)
        behind = text[start + len(word) :]
        in_flow = "{" in text[text.rfind("\n", 0, start) : start]
        behind = re.sub(r"\A:[^,}\n]*" if in_flow else r"\A:[^\n]*", "", behind)
        broken = text[:start] + behind
        line = broken.count("\n", 0, start)
        character = start - (broken.rfind("\n", 0, start) + 1)
        row = []
        for name, server in (("fuseline lsp", ours), ("yaml-language-server", theirs)):
            server.open(path, broken)
            labels = server.complete(path, line, character)
            server.close(path)
            hit = word in labels
            hits[name] += hit
            lengths[name].append(len(labels))
            row.append(f"{'yes' if hit else 'no':3} of {len(labels):3}")
        if arguments.list:
            print(f"{file:11} {(before[-30:] + '|').replace(chr(10), '⏎'):34} {word:24} " + "   ".join(row))
    ours.end()
    theirs.end()
    for name, count in hits.items():
        print(f"{name:22} {count} of {len(PLACES)} places; the list has {statistics.median(lengths[name]):.0f} entries in the middle")


if __name__ == "__main__":
    main()
