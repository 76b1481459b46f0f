#!/usr/bin/env python3
"""Peak memory and time of the command with a large artifact, of the stages that compute over many short rows, and how fast
`check` and `--help` are. See ../README.md.

    bench/io/run.py --fuseline target/release/fuseline                        # 1,000,000 rows of 64 numbers
    bench/io/run.py --fuseline target/debug/fuseline --check                  # a small one, and no figures
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from measured import measured

SIMULATED = """\
fuseline: 1
name: simulated
seed: 1
stages:
  cohort: {{ uses: simulate.cohort, with: {{ examples: {rows}, groups: {groups} }} }}
  features: {{ uses: simulate.features, inputs: {{ cohort: cohort }}, with: {{ features: {columns}, modality: m }} }}
outputs:
  features.parquet: features
"""

LOADED = """\
fuseline: 1
name: {name}
seed: 1
stages:
  features: {{ uses: load.{form}, with: {{ path: "{path}", id: {{ column: example_id }}{more} }} }}
{then}outputs:
  {output}
"""

COHORT = """\
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with: { label: { pattern: "([0-9])$", classes: { few: ["0", "1", "2", "3", "4"], many: ["5", "6", "7", "8", "9"] } } }
"""


COMPUTED = """\
fuseline: 1
name: computed
seed: 1
axes:
  modality: [a, b, c]
  fold: [0, 1]
stages:
  cohort: {{ uses: simulate.cohort, with: {{ examples: {examples}, groups: {groups} }} }}
  features: {{ uses: simulate.features, over: [modality], inputs: {{ cohort: cohort }}, with: {{ features: 4 }} }}
  folds: {{ uses: split.group_kfold, inputs: {{ cohort: cohort }}, with: {{ folds: 2 }} }}
  expert:
    uses: expert.logistic
    over: [modality, fold]
    inputs: {{ features: features, cohort: cohort, folds: folds }}
    with: {{ test_fold: "${{{{ fold }}}}" }}
  quality:
    uses: quality.margin
    over: [modality, fold]
    inputs: {{ evidence_train: expert.train, evidence_test: expert.test, features: features, cohort: cohort }}
  fusion:
    uses: fusion.fit
    over: [fold]
    inputs: {{ evidence: expert.train, quality: quality.train, cohort: cohort }}
    with: {{ rule: weighted_mean }}
  permute:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: {{ model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }}
    with: {{ permutations: 8 }}
  finding:
    uses: diagnose.summarize
    inputs: {{ permutations: permute.permutations, effects: permute.effects, evidence: expert.test, quality: quality.test, cohort: cohort }}
    with: {{ bootstrap: 20 }}
outputs:
  finding.parquet: finding
"""


def steps(fuseline, folder, rows, columns, csv_rows):
    """What is measured: a name, the file whose size counts, and the command; each in a process of its own."""
    def workflow(name, text):
        (folder / f"{name}.yaml").write_text(text)
        return [fuseline, "run", f"{name}.yaml", "--quiet", "--jobs", "1", "--cache", "cache", "--out", name]

    table, copy = "simulated/features.parquet", "loaded/features.parquet"
    simulated = workflow("simulated", SIMULATED.format(rows=rows, groups=max(2, rows // 10), columns=columns))
    loaded = dict(name="loaded", form="parquet", path=table, more="")
    keep = "features.parquet: features"
    parquet = workflow("loaded", LOADED.format(then="", output=keep, **loaded))
    some = dict(loaded, name="some", more=", columns: { include: [x0, x1] }")
    yield "simulate.features", table, simulated
    yield "load.parquet", copy, parquet
    yield "the same again: nothing to do", copy, parquet
    yield "load.parquet, two columns", copy, workflow("some", LOADED.format(then="", output=keep, **some))
    cohort = LOADED.format(then=COHORT, output="cohort.parquet: cohort", **loaded)
    yield "cohort.define on it: example_ids alone", copy, workflow("cohort", cohort)
    yield "show --export", copy, [fuseline, "show", "loaded.yaml", "features", "--export", "shown.parquet", "--cache", "cache"]
    if csv_rows:
        few = SIMULATED.replace("name: simulated", "name: few")
        few = few.format(rows=csv_rows, groups=max(2, csv_rows // 10), columns=columns)
        yield None, None, workflow("few", few.replace("features.parquet", "features.csv"))
        csv = dict(name="csv", form="csv", path="few/features.csv", more="")
        yield "load.csv", "csv/features.parquet", workflow("csv", LOADED.format(then="", output=keep, **csv))


def memory(arguments, folder):
    """A table: peak memory of each step as a multiple of the artifact."""
    print(f"| step ({arguments.rows:,} rows of {arguments.columns}; csv {arguments.csv_rows:,}) | seconds | processor seconds | artifact MB | peak MB | peak / artifact |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, file, command in steps(arguments.fuseline, folder, arguments.rows, arguments.columns, arguments.csv_rows):
        (seconds, processor, peak), _ = measured(command, folder)
        if name:
            size = (folder / file).stat().st_size / 2**20
            print(f"| {name} | {seconds:.2f} | {processor:.2f} | {size:.0f} | {peak:.0f} | {peak / size:.2f} |", flush=True)
    for other in ("loaded/features.parquet", "shown.parquet"):
        if (folder / other).read_bytes() != (folder / "simulated/features.parquet").read_bytes():
            sys.exit(f"{other} is not what was simulated")


def computing(arguments, folder):
    """A table: peak memory of one action of each stage of a study, in a process of its own on one thread."""
    examples, cache = arguments.examples, ["--cache", "computed-cache"]
    (folder / "computed.yaml").write_text(COMPUTED.format(examples=examples, groups=max(2, examples // 10)))
    measured([arguments.fuseline, "run", "computed.yaml", "--quiet", "--jobs", "1", *cache, "--out", "computed"], folder)
    files = sorted(folder.glob("computed-cache/runs/*/jobs/*"), key=lambda file: file.stat().st_mtime_ns)
    jobs = [json.loads(file.read_text().split(" ", 1)[1]) for file in files if file.is_file()]

    def size(digest):
        (file,) = folder.glob(f"computed-cache/objects/*/{digest[2:]}*")
        return file.stat().st_size

    print(f"\n| stage ({examples:,} examples) | seconds | all artifacts MB | largest MB | peak MB | peak / largest | with its worker MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in dict.fromkeys(job["kind"] for job in jobs):
        job = next(job for job in jobs if job["kind"] == kind)
        command = ["env", "RAYON_NUM_THREADS=1", arguments.fuseline, "exec", *cache, "--again", "--format", "json", job["key"]]
        (_, _, most), text = measured(command, folder)
        said = json.loads(text.splitlines()[-1])
        sizes = [size(given["digest"]) for given in job["inputs"]] + [output["bytes"] for output in said["outputs"]]
        largest, peak = max(sizes) / 2**20, said["peak_memory"] / 2**20
        worker = f"{most:.0f}" if most > peak + 1 else ""
        print(f"| {kind} | {said['seconds']:.2f} | {sum(sizes) / 2**20:.0f} | {largest:.0f} | {peak:.0f} | {peak / largest:.1f} | {worker} |", flush=True)


def lines(count):
    """A workflow of so many lines, as people write them: a comment, one option a line, an expression among them."""
    text = SIMULATED.format(rows=20, groups=4, columns=3).replace("name: simulated", "name: lines\nparams: { sd: 1.0 }")
    stages, outputs = text.split("outputs:\n")
    stages += "  folds: { uses: split.group_kfold, inputs: { cohort: cohort }, with: { folds: 2 } }\n"
    last = "features"
    for stage in range((count - 10) // 12 + 1):
        stages += f"""\
  # Noise, once more: the severity goes up with each.
  noisy{stage}:
    uses: intervene.degrade
    inputs:
      features: {last}
      cohort: cohort
      folds: folds
    with:
      test_fold: 0
      severity: ${{{{ params.sd * {stage} / 1000 }}}}
      modality: m

"""
        last = f"noisy{stage}"
    return f"{stages}outputs:\n  features.parquet: {last}\n"


def starting(arguments, folder):
    """The median times of `check` on 1,000 lines and of `--help`."""
    (folder / "lines.yaml").write_text(lines(1000))
    count = len((folder / "lines.yaml").read_text().splitlines())
    print(f"\n| command | ms, median of {arguments.repeat} |\n|---|---:|")
    for name, command in (
        (f"`check`, {count:,} lines", ["check", "lines.yaml"]),
        ("`--help`", ["--help"]),
    ):
        times = [measured([arguments.fuseline, *command], folder)[0][0] for _ in range(arguments.repeat)]
        print(f"| {name} | {1000 * statistics.median(times):.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default=ROOT / "target/release/fuseline", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--csv-rows", type=int, default=100_000, help="rows of the file of text; 0 leaves it out")
    parser.add_argument("--examples", type=int, default=1_000_000, help="of the study whose stages compute; 0 leaves it out")
    parser.add_argument("--repeat", type=int, default=21, help="of what takes milliseconds")
    parser.add_argument("--folder", help="on the disk to measure; a temporary folder when left out")
    parser.add_argument("--check", action="store_true", help="a small table, and only whether all of it works")
    arguments = parser.parse_args()
    arguments.fuseline = arguments.fuseline.resolve()
    if arguments.check:
        # Large enough to be read column by column.
        arguments.rows, arguments.columns, arguments.csv_rows, arguments.repeat = 20_000, 8, 500, 1
        arguments.examples = 400
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        memory(arguments, Path(folder))
        if arguments.examples:
            computing(arguments, Path(folder))
        starting(arguments, Path(folder))


if __name__ == "__main__":
    main()
