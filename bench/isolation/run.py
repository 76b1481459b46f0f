"""What it costs that fusion rules run in processes of their own: a study in workers and in-process, alternately.

    cargo build --release --workspace
    python bench/isolation/run.py --set data=FOLDER_WITH_THE_CSV_FILES [--workflow workflows/stressid.yaml] [--repeats 5] [--jobs 1,2]

Every run has a cache of its own, in memory where the machine has /dev/shm. Prints a table: the least and the median wall time of
each mode, and the ratio of the least to that in-process. Fails if the two modes give other findings.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODES = ["worker", "in-process"]


def run(args, mode, jobs):
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fuseline-isolation-", dir=memory))
    command = [args.fuseline, "run", args.workflow, "--quiet", "--format", "json", "--isolation", mode, "--jobs", str(jobs)]
    command += ["--cache", folder / "cache", "--out", folder / "out", *args.more]
    command += [part for assignment in args.set for part in ("--set", assignment)]
    try:
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        wall = time.perf_counter() - begun
        outputs = {path.name: path.read_bytes() for path in (folder / "out").rglob("*.parquet")}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert json.loads(done.stdout)["status"] == "ok" and outputs, done.stdout
    return wall, outputs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default=ROOT / "target/release/fuseline", type=pathlib.Path)
    parser.add_argument("--workflow", default="workflows/stressid.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("more", nargs="*", help="further arguments of `fuseline run`, after --")
    args = parser.parse_args()
    args.fuseline = args.fuseline.resolve()

    print("| threads | mode | least | median | ratio |\n|---|---|---|---|---|")
    for jobs in map(int, args.jobs.split(",")):
        times = {mode: [] for mode in MODES}
        findings = None
        for _ in range(args.repeats):
            for mode in MODES:
                wall, outputs = run(args, mode, jobs)
                times[mode].append(wall)
                findings = findings or outputs
                assert outputs == findings, f"{mode} gives other findings"
        base = min(times["in-process"])
        for mode in MODES:
            least, median = min(times[mode]), statistics.median(times[mode])
            print(f"| {jobs} | {mode} | {least:.2f} s | {median:.2f} s | {least / base:.2f} |")


if __name__ == "__main__":
    main()
