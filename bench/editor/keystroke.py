#!/usr/bin/env python3
"""How long an editor waits for the answer to a keystroke: from the change to the diagnostics of that version of the text.

Writes a workflow of so many lines, opens it in `fuseline lsp`, and types into it at places all over the text, a letter and
its removal at a time, each when the one before has been answered. Beside each it asks for completion and for a hover at the
same place. Prints a table in milliseconds, with the server's debounce in it.

    bench/editor/keystroke.py --fuseline target/release/fuseline --lines 1000 --keys 500

`--check` types twenty letters into a small workflow and fails when an answer is missing; it looks at no clock.
"""

import argparse
import json
import pathlib
import queue
import subprocess
import tempfile
import threading
import time

HEAD = """fuseline: 1
name: keystrokes
params:
  permutations: 200
axes:
  modality: { a: { strength: 1.4 }, b: { strength: 0.8 }, c: { strength: 0.5 } }
  fold: [0, 1, 2, 3]
  quality: [margin, entropy, constant, random]
  rule: [mean, weighted_mean, lr]
stages:
  cohort:
    uses: simulate.cohort
    with: { examples: 240, groups: 24, classes: [rest, stress] }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: 4 }
"""

# A study of its own, 37 lines: features, experts, quality, a rule, its permutations and its findings.
STUDY = """  # Study {n}.
  features_{n}:
    uses: simulate.features
    over: [modality]
    inputs: {{ cohort: cohort }}
    with:
      strength: "${{{{ modality.strength }}}}"
      fidelity: 0.9
  expert_{n}:
    uses: expert.logistic
    over: [modality, fold]
    inputs: {{ features: features_{n}, cohort: cohort, folds: folds }}
    with:
      test_fold: "${{{{ fold }}}}"
      inner_folds: 2
      exclude: [quality]
  quality_{n}:
    uses: "quality.${{{{ quality }}}}"
    over: [quality, modality, fold]
    inputs:
      evidence_train: expert_{n}.train
      evidence_test: expert_{n}.test
      features: features_{n}
      cohort: cohort
  fusion_{n}:
    uses: fusion.fit
    over: [rule, quality, fold]
    inputs: {{ evidence: expert_{n}.train, quality: quality_{n}.train, cohort: cohort }}
    with: {{ rule: "${{{{ rule }}}}" }}
  permute_{n}:
    uses: diagnose.permute_quality
    over: [rule, quality, fold]
    inputs: {{ model: fusion_{n}, evidence: expert_{n}.test, quality: quality_{n}.test, cohort: cohort }}
    with: {{ permutations: "${{{{ params.permutations }}}}", scheme: joint }}
  finding_{n}:
    uses: diagnose.summarize
    over: [rule, quality]
    inputs: {{ permutations: permute_{n}.permutations, effects: permute_{n}.effects, evidence: expert_{n}.test, quality: quality_{n}.test, cohort: cohort }}
"""


def workflow(lines):
    """A workflow without mistakes of about so many lines, and the number of its studies."""
    studies = max(1, round((lines - HEAD.count("\n")) / (STUDY.count("\n") + 1)))
    outputs = "".join(f"  finding_{n}.parquet: finding_{n}[rule=lr,quality=margin]\n" for n in range(studies))
    return HEAD + "".join(STUDY.format(n=n) for n in range(studies)) + "outputs:\n" + outputs


class Server:
    def __init__(self, command, folder):
        self.process = subprocess.Popen(
            [command, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        self.messages = queue.Queue()
        self.requests = 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        stdout = self.process.stdout
        while True:
            length = 0
            while (line := stdout.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if length == 0:
                self.messages.put(None)
                return
            self.messages.put(json.loads(stdout.read(length)))

    def send(self, **message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def wait(self, wanted):
        while True:
            message = self.messages.get(timeout=60)
            if message is None:
                raise SystemExit("the server went away")
            if wanted(message):
                return message

    def ask(self, method, params):
        self.requests += 1
        number = self.requests
        self.send(id=number, method=method, params=params)
        answer = self.wait(lambda message: message.get("id") == number and "method" not in message)
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]

    def diagnostics(self, version):
        is_answer = lambda message: (  # noqa: E731
            message.get("method") == "textDocument/publishDiagnostics" and message["params"].get("version") == version
        )
        return self.wait(is_answer)["params"]["diagnostics"]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuseline", default="target/release/fuseline")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.check:
        given.lines, given.keys = 60, 20
    command = str(pathlib.Path(given.fuseline).resolve())
    text = workflow(given.lines)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "workflow.yaml")
        server = Server(command, folder)
        server.ask("initialize", {"processId": None, "rootUri": path.parent.as_uri(), "capabilities": {}})
        server.send(method="initialized", params={})
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        server.send(method="textDocument/didOpen", params={"textDocument": document})
        if found := server.diagnostics(1):
            raise SystemExit(f"the workflow has mistakes: {found[0]}")
        lines = text.split("\n")
        # Behind values and within names, evenly over the text.
        places = [
            {"line": number, "character": len(line.rstrip(" }]\""))}
            for number, line in enumerate(lines)
            if ":" in line
        ]
        waits = {"diagnostics": [], "completion": [], "hover": []}
        version = 1
        for key in range(given.keys):
            start = places[(key // 2 * 37) % len(places)]
            end = {**start, "character": start["character"] + 1}
            change = {"range": {"start": start, "end": start}, "text": "x"}
            if key % 2 == 1:
                change = {"range": {"start": start, "end": end}, "text": ""}
            version += 1
            began = time.perf_counter()
            server.send(
                method="textDocument/didChange",
                params={"textDocument": {"uri": path.as_uri(), "version": version}, "contentChanges": [change]},
            )
            found = server.diagnostics(version)
            waits["diagnostics"].append(time.perf_counter() - began)
            if key % 2 == 1 and found:
                raise SystemExit(f"a letter that was taken back leaves a mistake: {found[0]}")
            at = {"textDocument": {"uri": path.as_uri()}, "position": start}
            for method in ["completion", "hover"]:
                began = time.perf_counter()
                server.ask(f"textDocument/{method}", at)
                waits[method].append(time.perf_counter() - began)
        server.ask("shutdown", None)
        server.send(method="exit")
        if server.process.wait(timeout=60) != 0:
            raise SystemExit("the server did not end as it should")
    if given.check:
        print(f"{given.keys} keystrokes answered")
        return
    print(f"{len(lines)} lines, {text.count('    uses:')} stages, {given.keys} keystrokes; milliseconds\n")
    print("| answer | median | 99th percentile | longest |\n|---|---|---|---|")
    for name, values in waits.items():
        row = [percentile(values, 0.5), percentile(values, 0.99), max(values)]
        print(f"| {name} | " + " | ".join(f"{1000 * value:.1f}" for value in row) + " |")


if __name__ == "__main__":
    main()
