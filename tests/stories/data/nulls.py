"""Gives every key of the language and every option of every stage kind the value null, and asks the schema and
`fuseline check` whether they take it. Prints where the two differ, and last how many they agree on.

Arguments: the command, and a file to write workflows to. Knows the schema alone: samples of what an option needs
beside it are made from there."""

import copy
import json
import subprocess
import sys

import jsonschema

FUSELINE, FILE = sys.argv[1:]
SCHEMA = json.loads(subprocess.check_output([FUSELINE, "schema"]))
DEFINITIONS = SCHEMA["$defs"]


def branches(schema):
    """The schemas of which one must hold, without references."""
    while "$ref" in schema:
        schema = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")]
    either = schema.get("anyOf") or schema.get("oneOf")
    if either and "properties" not in schema:
        return [inner for branch in either for inner in branches(branch)]
    return [schema]


def sample(schema):
    """A small value that a schema takes and that is not null."""
    for branch in branches(schema):
        kind = branch.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if "const" in branch or "enum" in branch:
            return branch.get("const", branch.get("enum", [None])[0])
        if kind == "object":
            known = branch.get("properties", {})
            value = {name: sample(known[name]) for name in branch.get("required", [])}
            others = branch.get("additionalProperties")
            for number in range(branch.get("minProperties", 0)):
                value[f"name{number}"] = sample(others)
            return value
        if kind == "array":
            return [sample(branch["items"])] * max(1, branch.get("minItems", 0))
        if kind != "null":
            return {"boolean": True, "string": "a"}.get(kind, max(1, branch.get("minimum", 1)))


def options(schema, put, path):
    """Each option with null, its path, and what it needs beside it. `put` places a value into the whole."""
    for branch in branches(schema):
        for name, inner in branch.get("properties", {}).items():
            def beside(value, branch=branch, name=name):
                return put({**sample(branch), name: value})
            yield f"{path}.{name}", beside(None)
            yield from options(inner, beside, f"{path}.{name}")
        for word, several in [
            ("items", lambda value: put([value])),
            ("additionalProperties", lambda value: put({"name0": value, "name1": value})),
        ]:
            if isinstance(branch.get(word), dict):
                yield f"{path}[]", several(None)
                yield from options(branch[word], several, f"{path}[]")


def refused(workflow):
    """The lines of a workflow at which something is refused that one value is about."""
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in workflow.items() if key != "stages")
    text += "stages:\n" + "".join(f"  {name}: {json.dumps(stage)}\n" for name, stage in workflow["stages"].items())
    with open(FILE, "w") as file:
        file.write(text)
    said = subprocess.run([FUSELINE, "check", FILE, "--format", "json"], capture_output=True).stdout
    found = [one for one in json.loads(said)["diagnostics"] if one["severity"] == "error"]
    lines = text.splitlines()
    return {lines[one["line"] - 1].split(":")[0].strip() for one in found if one["code"] != "fuseline::missing_input"}


def takes(schema, value):
    whole = {**schema, "$defs": DEFINITIONS}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


agreed = 0


def compare(path, by_schema, by_check):
    global agreed
    if by_schema == by_check:
        agreed += 1
    else:
        print(path, "schema:", by_schema, "check:", by_check)


cases = []
for rule in DEFINITIONS["stage"]["allOf"]:
    kind = rule["if"]["properties"]["uses"]["const"]
    schema = DEFINITIONS[f"with.{kind}"]
    cases += [(kind, schema, path, given) for path, given in options(schema, lambda value: value, kind)]
stages = {f"s{at}": {"uses": kind, "with": given} for at, (kind, _, _, given) in enumerate(cases)}
names, wrong = list(stages), set()
# In parts: of a great many mistakes, only the first are said.
for first in range(0, len(names), 100):
    part = {name: stages[name] for name in names[first:first + 100]}
    wrong |= refused({"fuseline": 1, "name": "nulls", "stages": part})
for at, (_, schema, path, given) in enumerate(cases):
    compare(path, takes(schema, given), f"s{at}" not in wrong)

WHOLE = {
    "fuseline": 1, "name": "nulls",
    "stages": {"s": {"uses": "simulate.cohort", "with": {"examples": 20, "groups": 10}}},
    "outputs": {"cohort.parquet": "s"},
}
STAGE = DEFINITIONS["stage"]["properties"]
keys = [[key] for key in SCHEMA["properties"]] + [["stages", "s", key] for key in STAGE]
keys += [["stages", "s", "resources", key] for key in STAGE["resources"]["properties"]]
for key in keys:
    workflow = copy.deepcopy(WHOLE)
    inner = workflow
    for name in key[:-1]:
        inner = inner.setdefault(name, {})
    inner[key[-1]] = None
    if isinstance(workflow["stages"], dict):
        compare(".".join(key), takes(SCHEMA, workflow), not refused(workflow))
print("agreed on", agreed)
