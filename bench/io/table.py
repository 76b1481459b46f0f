#!/usr/bin/env python3
"""Makes tables of the lines that the bench `io` prints. See ../README.md."""

import json
import sys


def table(lines, columns):
    print("| rows | MB | " + " | ".join(columns) + " |\n|---:|---:|" + "---:|" * len(columns))
    for line in lines:
        seconds, mb = line["seconds"], line["bytes"] / 2**20
        cells = [value(seconds, line["bytes"]) for value in columns.values()]
        print(f"| {line['rows']:,} | {mb:.1f} | " + " | ".join(cells) + " |")
    print()


def ms(name):
    return lambda seconds, _: f"{1000 * seconds[name]:.3g}"


def share(whole, *parts):
    return lambda seconds, _: f"{sum(seconds[part] for part in parts) / seconds[whole]:.2f}"


def speed(name):
    return lambda seconds, size: f"{size / 2**20 / seconds[name]:,.0f}"


def main():
    lines = [json.loads(line) for line in sys.stdin if line.startswith("{")]
    print("Writing, ms:\n")
    table(lines, {
        "encode": ms("encode"), "blake3": ms("hash"), "write": ms("write"), "their sum / put": share("put", "encode", "hash", "write"),
        "put": ms("put"), "put, held whole": ms("put whole"), "flush": ms("flush"), "flush after put": ms("put flush"),
    })
    print("Reading, ms:\n")
    table(lines, {
        "read": ms("read"), "blake3": ms("hash"), "decode": ms("decode"), "their sum / get": share("get", "read", "hash", "decode"),
        "get": ms("get"), "get, held whole": ms("get whole"), "get ids": ms("get ids"), "get two columns": ms("get two columns"),
    })
    print("MB a second:\n")
    table(lines, {name: speed(of) for name, of in (
        ("encode", "encode"), ("blake3", "hash"), ("write", "write"), ("put", "put"), ("read", "read"), ("decode", "decode"), ("get", "get"),
    )})


if __name__ == "__main__":
    main()
