"""Sets the lines of the bench `permute` and of peers.py side by side: python bench/numbers/table.py < lines.jsonl

The bound is what one thread could do at best, from the lines of `permute --machine`: drawing as permutations are defined, the
sums and products of the rule in vectors, and the bytes that pass between steps, each at the rate measured alone, one after
the other. Permutations that pay for pairs (see `diagnose/pairs.rs`) are looked up, and only the pairs are computed.
"""

import json
import sys

MODALITIES = 3
EXP = 22  # multiply-adds, sums, comparisons and shifts of fuseline_plugin::vector::exp


def operations(rule, classes):
    """Of a row under one quality; a multiply-add counts as 1, a division as 8. None for trees: it depends on them."""
    gate = MODALITIES * (2 + EXP + 2)  # the largest, e to the rest, availability
    mix = MODALITIES * classes + 2 * classes + 8
    softmax = classes * (1 + 1 + EXP + 1 + 1) + 8
    return {
        "lr": MODALITIES + EXP + 16 if classes == 2 else MODALITIES * classes + softmax,
        "weighted_mean": gate + mix,
        "moe": MODALITIES * MODALITIES + MODALITIES + gate + mix,
    }.get(rule)


def bound(rule, rows, classes, permutations, machine, draw):
    """Nanoseconds a row."""
    work = operations(rule, classes)
    if work is None:
        return None
    # Written by the rule, read by the output law and by the count; and the index, half a word, read twice more.
    far = rows * classes * 8 * 8 > 2 << 20
    read, write = (machine["read_far"], machine["write_far"]) if far else (machine["read_near"], machine["write_near"])
    counts = 6 + 4 * classes  # comparisons, differences and sums of the law, the decision and the shift
    asked = (work + counts) * machine["operation"] + classes * (write + 2 * read) + MODALITIES * machine["read_near"] + 1.5 * read
    pairs = 2 * rows <= permutations and rows * rows <= 1 << 22
    if not pairs:
        return draw + asked
    looked_up = 12 / 4 * machine["cycle"]  # 12 instructions, 4 a cycle
    return draw + looked_up + asked * rows / permutations


def main():
    engine, peers, machine, draw = {}, {}, None, {}
    for line in filter(str.strip, sys.stdin):
        row = json.loads(line)
        if "machine" in row:
            machine, draw[row["rows"]] = row["machine"], row["draw"]
        elif "way" in row:
            peers.setdefault((row["rule"], row["rows"], row["classes"]), {})[row["way"]] = row["rows_per_second"]
        else:
            key = (row["rule"], row["rows"], row["classes"], row["permutations"])
            engine.setdefault(key, {})[row["threads"]] = row["rows_per_second"]
    if machine:
        print(", ".join(f"{name} {value:.3f} ns" for name, value in machine.items()), "; draw of a row:",
              ", ".join(f"{value:.2f} ns at {rows:,}" for rows, value in draw.items()), "\n")
    print("| rule | examples | classes | permutations | 1 thread | 2 threads | naive loop | vectorised numpy "
          "| 1 thread / naive | all / naive | 1 thread / vectorised | bound | share of it |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for key, threads in sorted(engine.items(), key=lambda item: (item[0][2], item[0][3], item[0][0], item[0][1])):
        rule, rows, classes, permutations = key
        peer = peers.get(key[:3], {})
        naive, vectorised, one = peer.get("naive"), peer.get("vectorised"), threads.get(1)
        million = lambda value: f"{value / 1e6:.3g}" if value else ""
        ratio = lambda peer, value: f"{value / peer:.3g}x" if peer and value else ""
        least = bound(rule, rows, classes, permutations, machine, draw[rows]) if machine and rows in draw else None
        best = 1e9 / least if least else None
        cells = [rule, f"{rows:,}", classes, f"{permutations:,}", million(one), million(threads.get(2)), million(naive),
                 million(vectorised), ratio(naive, one), ratio(naive, max(threads.values())), ratio(vectorised, one),
                 million(best), f"{100 * one / best:.0f} %" if best and one else ""]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


main()
