"""The same graph of trivial actions for fuseline, ninja, snakemake and DVC.

A graph is a list of actions (name, inputs), every input being the name of an earlier action. Each tool gets the actions
in the form that its own users would write: fuseline stages over axes, snakemake rules over wildcards, DVC `foreach`.
"""

import json
from pathlib import Path

SHAPES = ("fanout", "chain", "layered")
WIDTH = 100  # actions of one layer

CSV = "example_id,x\n" + "".join(f"s{i}_{'ab'[i // 2]}_{i},{i}\n" for i in range(4))
LABEL = '{ pattern: "_([ab])_", classes: { a: [a], b: [b] } }'


def layers(n):
    """How many layers, each of WIDTH actions and the one that gathers them, a graph of about n actions has."""
    return max(1, (n - 2) // (WIDTH + 1))


def links(n):
    """How many links a chain of about n actions has. A link is 20 values of a workflow, which may have 200,000."""
    return min(n - 3, 9_990)


def size(shape, n):
    """How many actions the graph really has."""
    return {"fanout": n, "chain": 3 + links(n), "layered": 2 + layers(n) * (WIDTH + 1)}[shape]


def edges(shape, n):
    """The actions of a graph, in an order that can be executed."""
    yield "source", []
    yield "root", ["source"]
    if shape == "fanout":
        for i in range(n - 2):
            yield f"leaf{i}", ["root"]
    elif shape == "chain":
        yield "folds", ["root"]
        for i in range(links(n)):
            yield f"link{i}", [f"link{i - 1}" if i else "source", "root", "folds"]
    else:
        hub = "root"
        for layer in range(layers(n)):
            for i in range(WIDTH):
                yield f"l{layer}_{i}", [hub]
            hub = f"hub{layer}"
            yield hub, [f"l{layer}_{i}" for i in range(WIDTH)]


def changing(shape, n):
    """The names of the actions of which a run may be asked to change one, none of which leads far."""
    if shape == "fanout":
        return [f"leaf{i}" for i in range(n - 2)]
    if shape == "chain":
        return [f"link{links(n) - 1}"]
    return [f"l{layers(n) - 1}_{i}" for i in range(WIDTH)]


def reached(shape):
    """How many actions a change of such an action executes: it, and what gathers its layer."""
    return 2 if shape == "layered" else 1


def source(folder):
    """The first file. One that is there keeps its times, which ninja goes by."""
    if not (folder / "source.csv").exists():
        (folder / "source.csv").write_text(CSV)


# ---- fuseline -------------------------------------------------------------------------------------------------------


def fuseline(folder, shape, n):
    """Stages that do next to nothing: made-up features of four examples, their noise, and the cohorts of them."""
    source(folder)
    # No action has this number: a run that sets the param changes one.
    head = ["fuseline: 1", f"name: {shape}", "params: { changed: -1 }"]
    stages = [
        "stages:",
        "  source: { uses: load.csv, with: { path: source.csv, id: { column: example_id } } }",
        f"  root: {{ uses: cohort.define, inputs: {{ features: source }}, with: {{ label: {LABEL} }} }}",
    ]
    if shape == "fanout":
        # Two axes: one axis may have no more than a tenth of the points that a plan may have actions.
        side = max(1, int((n - 2) ** 0.5))
        number = f"a * {side} + b"
        head.append("axes:")
        head += [f"  a: ${{{{ range({-(-(n - 2) // side)}) }}}}", f"  b: ${{{{ range({side}) }}}}"]
        stages += [
            "  leaf:",
            "    uses: simulate.features",
            "    over: [a, b]",
            f"    where: ${{{{ {number} < {n - 2} }}}}",
            "    inputs: { cohort: root }",
            # Every leaf has options of its own, as ten thousand files to build have.
            f'    with: {{ features: 1, modality: "m${{{{ {number} }}}}",'
            f' strength: "${{{{ 2.0 if {number} == params.changed else 1.0 }}}}" }}',
        ]
        last = '"leaf[a=0,b=0]"'
    elif shape == "chain":
        stages.append("  folds: { uses: split.group_kfold, inputs: { cohort: root }, with: { folds: 2 } }")
        last = "source"
        for i in range(links(n)):
            severity = "0.01"
            if i == links(n) - 1:
                severity = '"${{ 0.01 if params.changed < 0 else 0.02 + params.changed / 1000 }}"'
            stages.append(
                f"  link{i}: {{ uses: intervene.degrade, inputs: {{ features: {last}, cohort: root, folds: folds }},"
                f" with: {{ test_fold: 0, severity: {severity}, modality: m{i} }} }}"
            )
            last = f"link{i}"
    else:
        head += ["axes:", f"  modality: ${{{{ range({WIDTH}) }}}}"]
        hub = "root"
        for layer in range(layers(n)):
            strength = 1 + layer / 1000
            if layer == layers(n) - 1:
                strength = f'"${{{{ 3.0 if modality == params.changed else {strength} }}}}"'
            stages.append(
                f"  l{layer}: {{ uses: simulate.features, over: [modality], inputs: {{ cohort: {hub} }},"
                f" with: {{ features: 1, strength: {strength} }} }}"
            )
            hub = f"hub{layer}"
            stages.append(
                f"  {hub}: {{ uses: cohort.define, inputs: {{ features: l{layer} }}, with: {{ label: {LABEL} }} }}"
            )
        last = hub
    outputs = ["outputs:", f"  last.parquet: {last}"]
    (folder / "graph.yaml").write_text("\n".join(head + stages + outputs) + "\n")


# ---- peers ----------------------------------------------------------------------------------------------------------


def ninja(folder, shape, n, changed={}):
    """`touch` is the action. Some actions can be given another command, as one leaf is given another option:
    `changed` has their names, each with the number of its command."""
    lines = ["rule touch", "  command = touch $out $flag", ""]
    for name, needs in edges(shape, n):
        needs = " ".join(f"out/{need}" for need in needs) or "source.csv"
        lines.append(f"build out/{name}: touch {needs}")
        if name in changed:
            lines.append(f"  flag = out/changed{changed[name]}")
    source(folder)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "build.ninja").write_text("\n".join(lines) + "\n")


def snakemake(folder, shape, n):
    source(folder)

    def rule(name, needs, makes, more=""):
        return f"rule {name}:\n    input: {needs}\n    output: {makes}\n{more}    shell: \"touch {{output}}\""

    digits = '    wildcard_constraints: i=r"\\d+", k=r"\\d+"\n'
    rules = [rule("source", '"source.csv"', '"out/source"'), rule("root", '"out/source"', '"out/root"')]
    if shape == "fanout":
        rules.append(rule("leaf", '"out/root"', '"out/leaf{i}"', digits))
        wanted = f'expand("out/leaf{{i}}", i=range({n - 2}))'
    elif shape == "chain":
        before = 'lambda w: f"out/link{int(w.i) - 1}" if int(w.i) else "out/source"'
        rules.append(rule("folds", '"out/root"', '"out/folds"'))
        rules.append(rule("link", f'{before}, "out/root", "out/folds"', '"out/link{i}"', digits))
        wanted = f'"out/link{links(n) - 1}"'
    else:
        before = 'lambda w: f"out/hub{int(w.k) - 1}" if int(w.k) else "out/root"'
        members = f'lambda w: expand("out/l{{k}}_{{i}}", k=w.k, i=range({WIDTH}))'
        rules.append(rule("layer", before, '"out/l{k}_{i}"', digits))
        rules.append(rule("hub", members, '"out/hub{k}"', digits))
        wanted = f'"out/hub{layers(n) - 1}"'
    (folder / "Snakefile").write_text("\n\n".join([f"rule all:\n    input: {wanted}", *rules]) + "\n")


def dvc(folder, shape, n):
    source(folder)
    (folder / "out").mkdir(exist_ok=True)
    stages = {}
    for name, needs in edges(shape, n):
        # DVC hashes outputs: each must differ, or all would be one object.
        stages[name] = {
            "cmd": f"echo {name} > out/{name}",
            "deps": [f"out/{need}" for need in needs] or ["source.csv"],
            "outs": [f"out/{name}"],
        }
    # JSON is YAML, and no library is needed to write it.
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))


def write(tool, folder, shape, n):
    """Writes the graph for one tool into a folder of its own."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    {"fuseline": fuseline, "ninja": ninja, "snakemake": snakemake, "dvc": dvc}[tool](folder, shape, n)
