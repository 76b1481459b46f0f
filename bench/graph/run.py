#!/usr/bin/env python3
"""fuseline beside ninja, snakemake and DVC on the same graphs of trivial actions. See ../README.md.

    bench/graph/run.py --fuseline target/release/fuseline             # tables of times and ratios
    bench/graph/run.py --fuseline target/debug/fuseline --check       # counts alone: is every action run when it must be?
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import graphs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measured import measured


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default="target/release/fuseline", help="the command to measure")
    parser.add_argument("--ninja", default=shutil.which("ninja"))
    parser.add_argument("--snakemake", help="its command, in a virtual environment of its own")
    parser.add_argument("--dvc", help="its command, in a virtual environment of its own")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--shapes", nargs="+", choices=graphs.SHAPES, default=graphs.SHAPES)
    parser.add_argument("--what", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--repeat", type=int, default=11, help="runs of each tool, one after the other in turn")
    parser.add_argument("--repeat-slow", type=int, default=1, help="runs of snakemake and DVC")
    parser.add_argument("--folder", help="where the graphs are written; a temporary folder when left out")
    parser.add_argument("--check", action="store_true", help="smallest sizes, and no times")
    return parser.parse_args()


class Tool:
    """A tool, its graph in a folder of its own, and how it is run there."""

    def __init__(self, name, command, folder, shape, size):
        self.name, self.command, self.shape, self.size = name, command, shape, size
        self.folder = Path(folder) / f"{shape}-{size}" / name
        self.changed = {}
        graphs.write(name, self.folder, shape, size)

    def run(self, *more):
        """One run: seconds, processor seconds, peak memory in MB; and what it printed."""
        return measured([*self.command, *more], self.folder)

    def prepare(self):
        """Makes everything up to date. For snakemake and DVC by hand: they take minutes to run what is trivial."""
        if self.name in ("snakemake", "dvc"):
            (self.folder / "out").mkdir(exist_ok=True)
            made = time.time() - 2 * self.size
            for number, (name, _) in enumerate(graphs.edges(self.shape, self.size)):
                path = self.folder / "out" / name
                path.write_text("" if self.name == "snakemake" else f"{name}\n")
                os.utime(path, (made + number, made + number))
            os.utime(self.folder / "source.csv", (made - 1, made - 1))
        if self.name == "dvc":
            subprocess.run([self.command[0], "init", "--no-scm", "-q"], cwd=self.folder, check=True)
            subprocess.run([self.command[0], "commit", "-f", "-q"], cwd=self.folder, check=True)
        else:
            self.run()

    def clean(self):
        for name in ("cache", "results", "out", ".ninja_log", ".ninja_deps"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).unlink(missing_ok=True)
        if self.name == "ninja":
            (self.folder / "out").mkdir()

    def change_leaf(self, number):
        """Gives one leaf another option or command than ever before; the arguments for the next run."""
        if self.name == "fuseline":
            return ["--set", f"changed={number}"]
        leaves = graphs.changing(self.shape, self.size)
        self.changed[leaves[number % len(leaves)]] = number
        graphs.ninja(self.folder, self.shape, self.size, self.changed)
        return []

    def change_source(self, number):
        """Changes the first file in a way that changes nothing that comes of it."""
        # Blank lines at the end are no rows; a number of them that was not there before.
        (self.folder / "source.csv").write_text(graphs.CSV + "\n" * number)
        return []


def executed(tool, text):
    """How many actions a run executed, by its own words."""
    if tool.name == "fuseline":
        return json.loads(text)["executed"]
    if "no work to do" in text:
        return 0
    return max(int(line.split("/")[0][1:]) for line in text.splitlines() if line.startswith("["))


MEASURES = {
    "first": "First run",
    "noop": "Nothing changed",
    "leaf": "One changed leaf",
    "cutoff": "A changed source whose content stays as it was",
}


def fits(what, tool):
    """Whether a measure means something for a graph and a tool."""
    return {
        "first": tool.name in ("fuseline", "ninja"),
        "noop": True,
        "leaf": tool.name in ("fuseline", "ninja"),
        # ninja goes by times and would execute everything: there is nothing to compare.
        "cutoff": tool.shape == "chain" and tool.name == "fuseline",
    }[what]


def measure(what, tools, options):
    """Runs the tools in turn, so that what else the machine does meets them alike."""
    results = {tool.name: [] for tool in tools}
    for number in range(options.repeat):
        for tool in tools:
            if tool.name in ("snakemake", "dvc") and number >= options.repeat_slow:
                continue
            more = []
            if what == "first":
                tool.clean()
                # ext4 looks long for an inode while many were removed within the last five seconds.
                time.sleep(6)
            elif what == "leaf":
                more = tool.change_leaf(number)
            elif what == "cutoff":
                more = tool.change_source(number + 1)
            results[tool.name].append(tool.run(*more)[0])
    return results


def table(what, rows):
    print(f"\n### {MEASURES[what]}\n")
    print("| graph | actions | tool | wall ms, median (min) | CPU ms | peak MB | fuseline / it |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for shape, size, results in rows:
        own = statistics.median(wall for wall, _, _ in results["fuseline"])
        for name, runs in results.items():
            walls = [wall for wall, _, _ in runs]
            median = statistics.median(walls)
            cpu, memory = (statistics.median(run[at] for run in runs) for at in (1, 2))
            ratio = "" if name == "fuseline" else f"{own / median:.2f}x" if own > median else f"1/{median / own:.0f}"
            print(
                f"| {shape} | {size:,} | {name} | {median * 1e3:.1f} ({min(walls) * 1e3:.1f})"
                f" | {cpu * 1e3:.0f} | {memory:.0f} | {ratio} |"
            )


def commands(options):
    fuseline = str(Path(options.fuseline).resolve())
    tools = {"fuseline": [fuseline, "run", "graph.yaml", "-q", "--format", "json", "--max-actions", "1000000"]}
    if options.ninja:
        tools["ninja"] = [options.ninja]
    if options.snakemake:
        snakemake = [options.snakemake, "--cores", "1", "--quiet", "all", "--rerun-triggers", "mtime"]
        tools["snakemake"] = snakemake
    if options.dvc:
        tools["dvc"] = [options.dvc, "repro", "-q"]
    return tools


def check(options, folder):
    """Every tool on small graphs, and how much each of its runs executes."""
    wanted = {name: command for name, command in commands(options).items() if name in ("fuseline", "ninja")}
    for shape, size in (("fanout", 12), ("chain", 12), ("layered", 2 + 2 * (graphs.WIDTH + 1))):
        for name, command in wanted.items():
            tool = Tool(name, command, folder, shape, size)
            counts = {"first": executed(tool, tool.run()[1]), "noop": executed(tool, tool.run()[1])}
            expected = {"first": graphs.size(shape, size), "noop": 0}
            if fits("leaf", tool):
                counts["leaf"] = executed(tool, tool.run(*tool.change_leaf(3))[1])
                expected["leaf"] = graphs.reached(shape)
            if fits("cutoff", tool):
                counts["cutoff"], expected["cutoff"] = executed(tool, tool.run(*tool.change_source(1))[1]), 1
            if counts != expected:
                sys.exit(f"{name} on {shape}: executed {counts}, expected {expected}")
            print(f"{name} on {shape}: executed {counts}")


def main():
    options = arguments()
    folder = options.folder or tempfile.mkdtemp(prefix="graph-bench-")
    try:
        if options.check:
            check(options, folder)
            return
        tables = {what: [] for what in options.what}
        for size in options.sizes:
            for shape in options.shapes:
                tools = [Tool(name, command, folder, shape, size) for name, command in commands(options).items()]
                for what in sorted(options.what, key=list(MEASURES).index):
                    fitting = [tool for tool in tools if fits(what, tool)]
                    if not any(tool.name == "fuseline" for tool in fitting):
                        continue
                    if what != "first":
                        for tool in fitting:
                            tool.prepare()
                    results = measure(what, fitting, options)
                    tables[what].append((shape, graphs.size(shape, size), results))
        for what, rows in tables.items():
            if rows:
                table(what, rows)
    finally:
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
