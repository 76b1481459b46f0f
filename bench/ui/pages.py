#!/usr/bin/env python3
"""Times every page of `fuseline ui` on a cache with a run of 100,000 actions, 1,000 runs and a log of a gigabyte.

The runs are copies of the latest run of a cache that is given; that cache is only read. Prints for each page the
median and the largest of the times in milliseconds, its bytes, and at the end what memory the server took at most.
"""

import argparse
import hashlib
import http.client
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path


def large(manifest: dict, actions: int) -> dict:
    """A manifest with its actions again and again, until there are as many; the last stage gets what is new."""
    last = max(action["stage"] for action in manifest["actions"])
    rows = list(manifest["actions"])
    for number in range(actions - len(rows)):
        row = dict(manifest["actions"][number % len(manifest["actions"])])
        key = hashlib.blake2b(str(number).encode(), digest_size=32).hexdigest()
        rows.append(row | {"stage": last, "action": f"{row['action']} again {number}", "key": key})
    return manifest | {"actions": rows}


def write_log(path: Path, size: int, head: str) -> int:
    """A log of as many bytes; how many actions it tells of."""
    number = 0
    with open(path, "w", encoding="utf-8") as file:
        written = file.write(head)
        while written < size:
            action = {"action": f"permute[rule=lr,quality=margin,fold={number}]", "stage": "permute"}
            started = {"milliseconds": number, "event": "started", **action, "reason": "with.permutations 1000 -> 2000"}
            ended = {"milliseconds": number + 1, "event": "finished", **action, "seconds": 0.25, "cpu_seconds": 0.2}
            written += file.write(json.dumps(started) + "\n" + json.dumps(ended) + "\n")
            number += 1
    return number


class Site:
    """A server, asked as a browser asks it."""

    def __init__(self, fuseline: str, cache: Path) -> None:
        command = [fuseline, "ui", "--no-open", "--cache", str(cache)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        address = self.process.stdout.readline().strip()
        self.host = address.split("/")[2]
        self.cookie = f"fuseline-{self.host.split(':')[1]}={address.split('token=')[1]}"

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds, and the page."""
        begun = time.perf_counter()
        connection = http.client.HTTPConnection(self.host)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - begun
        assert answer.status == 200, (path, answer.status)
        return took, text

    def memory(self) -> int:
        """Most bytes of memory so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default="target/release/fuseline")
    parser.add_argument("--cache", default="cache", type=Path, help="a cache with a run in it")
    parser.add_argument("--actions", default=100_000, type=int)
    parser.add_argument("--runs", default=1000, type=int)
    parser.add_argument("--log", default=10**9, type=int, help="bytes")
    parser.add_argument("--repeat", default=15, type=int)
    args = parser.parse_args()
    latest = max(path for path in (args.cache / "runs").iterdir() if (path / "manifest.json").is_file())
    manifest = json.loads((latest / "manifest.json").read_text())
    head = (latest / "events.jsonl").read_text().splitlines(keepends=True)[0]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        shutil.copytree(args.cache, cache, ignore=shutil.ignore_patterns("runs"))
        (cache / "runs").mkdir()
        for number in range(args.runs):
            run = f"17000000000000{number:05}-1"
            shutil.copytree(latest, cache / "runs" / run)
            (cache / "runs" / run / "manifest.json").write_text(json.dumps(manifest | {"run": run}))
        many, grown = "1710000000000000000-1", "1720000000000000000-1"
        shutil.copytree(latest, cache / "runs" / many)
        text = json.dumps(large(manifest, args.actions) | {"run": many})
        (cache / "runs" / many / "manifest.json").write_text(text)
        (cache / "runs" / grown).mkdir()
        told = write_log(cache / "runs" / grown / "events.jsonl", args.log, head)
        print(f"{args.actions} actions, {args.runs} runs, a log of {args.log / 1e9:.1f} GB with {told} actions")
        site = Site(args.fuseline, cache)
        try:
            measure(site, args, manifest, many, grown, told)
        finally:
            site.process.kill()


def measure(site: Site, args: argparse.Namespace, manifest: dict, many: str, grown: str, told: int) -> None:
    slowest = 0.0
    begun = time.perf_counter()
    while b"data-again" in (answer := site.get(f"/runs/{grown}"))[1]:
        slowest = max(slowest, answer[0])
        time.sleep(0.05)
    print(f"the log is read after {time.perf_counter() - begun:.1f} s; its page meanwhile {1000 * slowest:.1f} ms at most")
    stage = max(action["stage"] for action in manifest["actions"])
    findings = [number for number, row in enumerate(manifest["stages"]) if row["outputs"][0][1] == "findings"][-1]
    table = [number for number, row in enumerate(manifest["actions"]) if row["stage"] == findings][0]
    late = max(1, (args.actions - len(manifest["actions"])) // 100)
    one, other = f"17000000000000{0:05}-1", f"17000000000000{1:05}-1"
    pages = {
        "runs": "/",
        "runs, the last page": f"/?page={(args.runs + 2 + 49) // 50}",
        "a run of many actions": f"/runs/{many}",
        "a stage of it, a late page": f"/runs/{many}/stages/{stage}?page={late}",
        "those of it that were executed": f"/runs/{many}/stages/{stage}?state=done",
        "its last action": f"/runs/{many}/actions/{args.actions - 1}",
        "a table": f"/runs/{one}/actions/{table}/outputs/0",
        "two runs compared": f"/compare?run={one}&run={other}",
        "a run with a large log": f"/runs/{grown}",
        "an action of it": f"/runs/{grown}/started/{told // 2}",
        "the cache": "/cache",
    }
    print(f"{'page':34} {'median ms':>9} {'most ms':>9} {'bytes':>9}")
    for name, path in pages.items():
        first = site.get(path)
        while b"data-again" in (answer := site.get(path))[1]:
            time.sleep(0.05)
        answers = [site.get(path) for _ in range(args.repeat)]
        times = [1000 * took for took, _ in [first, *answers]]
        print(f"{name:34} {statistics.median(times):9.1f} {max(times):9.1f} {len(answer[1]):9}")
    print(f"most memory: {site.memory() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
