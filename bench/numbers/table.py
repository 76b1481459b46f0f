"""Sets the lines of the bench `permute` and of peers.py side by side: python bench/numbers/table.py < lines.jsonl"""

import json
import sys

engine, peers = {}, {}
for line in filter(str.strip, sys.stdin):
    row = json.loads(line)
    key = (row["rule"], row["rows"], row["classes"])
    (peers if "way" in row else engine).setdefault(key, {})[row.get("way", row.get("threads"))] = row["rows_per_second"]

print("| rule | examples | classes | 1 thread | 2 threads | naive loop | vectorised numpy | 1 thread / naive | all / naive | 1 thread / vectorised |")
print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
for key, threads in sorted(engine.items(), key=lambda item: (item[0][2], item[0][0], item[0][1])):
    million = lambda value: f"{value / 1e6:.3g}" if value else ""
    naive, vectorised = peers.get(key, {}).get("naive"), peers.get(key, {}).get("vectorised")
    ratio = lambda peer, value: f"{value / peer:.0f}x" if peer and value else ""
    one, two = threads.get(1), threads.get(2)
    cells = [key[0], f"{key[1]:,}", key[2], million(one), million(two), million(naive), million(vectorised),
             ratio(naive, one), ratio(naive, max(threads.values())), ratio(vectorised, one)]
    print("| " + " | ".join(str(cell) for cell in cells) + " |")
