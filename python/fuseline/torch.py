"""A torch model as the diagnostic asks it: `tap` permutes the output of a module across the whole test set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuseline._errors import FuselineError


class Tap:
    """`predict` for :func:`fuseline.diagnose`, with the measured `quality` (rows, modalities, channels) beside it."""

    def __init__(self, predict: Callable[[Any], Any], quality: NDArray[np.float64], modalities: list[str]) -> None:
        self._predict, self.quality, self.modalities = predict, quality, modalities

    def __call__(self, quality: Any) -> Any:
        return self._predict(quality)


def tap(
    model: Any,
    modules: Mapping[str, str],
    loader: Iterable[Any],
    *,
    forward: Callable[[Any, Any], Any] | None = None,
    softmax: bool = True,
) -> Tap:
    """Makes `predict` of a model whose quality signals are inside it.

    `modules`: modality -> name of the module whose output is that modality's quality, as `model.named_modules()` has it.
    `loader`: batches of the whole test set, read anew for each pass and always in the same order (no shuffling, no
    `drop_last`, no generator). `forward(model, batch)` gives the logits (rows, classes); `model(batch)`, or
    `model(*batch[:-1])` for tuples, where left out. One logit a row is that of the second of two classes. `softmax`: the
    outputs are logits.

    The first pass records each module's output over the whole test set; later passes put permuted rows in its place: across
    all of the test set, never within a batch.
    """
    import torch

    names = dict(model.named_modules())
    for modality, name in modules.items():
        if name not in names:
            near = [known for known in names if known.endswith(name.split(".")[-1])][:3]
            raise FuselineError(
                f"the model has no module {name} (modality {modality})"
                + (f"; did you mean {', '.join(near)}?" if near else "")
            )
    if len(set(modules.values())) < len(modules):
        raise FuselineError("two modalities name one module: its output is permuted as one quality, under one name")
    training = [name for name, module in model.named_modules() if module.training]
    if training:
        raise FuselineError(
            "the model is in training mode"
            + (f" in its module {training[0]}" if training[0] else "")
            + ", where dropout draws and normalisation reads the batch: call model.eval() first"
        )
    ask = forward if forward is not None else _forward

    def through(replace: dict[str, Any] | None, seen: dict[str, list[Any]] | None = None) -> Any:
        """One pass over the test set; `seen` gets what the modules gave themselves."""
        start = {"at": 0}
        handles = []

        def hook(modality: str) -> Callable[[Any, Any, Any], Any]:
            def called(_module: Any, _inputs: Any, output: Any) -> Any:
                if not torch.is_tensor(output):
                    raise FuselineError(f"the module of modality {modality} does not give one tensor")
                if seen is not None:
                    # A copy: what follows may write into the output.
                    seen[modality].append(output.detach().clone())
                if replace is None:
                    return None
                at = start["at"]
                rows = replace[modality][at : at + output.shape[0]]
                return rows.to(output.device, output.dtype).reshape(output.shape)

            return called

        try:
            handles = [names[name].register_forward_hook(hook(modality)) for modality, name in modules.items()]
            answers = []
            with torch.no_grad():
                for batch in loader:
                    answer = ask(model, batch)
                    if not torch.is_tensor(answer):
                        raise FuselineError(
                            f"the model gave {type(answer).__name__} and not a tensor of logits: say in `forward` which part"
                        )
                    answers.append(answer.detach().cpu())
                    start["at"] += answer.shape[0]
        finally:
            for handle in handles:
                handle.remove()
        if not answers:
            raise FuselineError(
                "the loader gave no batch: it is read anew for each pass, so it must be a DataLoader or a list and no generator"
            )
        return torch.cat(answers)

    def nothing_seen() -> dict[str, list[Any]]:
        return {modality: [] for modality in modules}

    seen = nothing_seen()
    logits = through(None, seen)
    rows = logits.shape[0]
    single = logits.ndim == 1 or logits.shape[1:] == (1,)
    if softmax and _probabilities(logits.double(), single):
        second = "; of the second of two classes alone, give torch.stack([1 - p, p], 1) in `forward`" if single else ""
        raise FuselineError(f"the outputs are probabilities already: say softmax=False{second}")
    recorded = {}
    for modality, outputs in seen.items():
        if not outputs:
            raise FuselineError(f"the module of modality {modality} was never called")
        whole = _flat(outputs)
        if whole.shape[0] != rows:
            raise FuselineError(
                f"the module of modality {modality} gave {whole.shape[0]} rows for {rows} examples: it must be called "
                "once a batch, with the examples first"
            )
        recorded[modality] = whole
    widths = {modality: whole.shape[1] for modality, whole in recorded.items()}
    channels = max(widths.values())
    quality = np.zeros((rows, len(modules), channels))
    for number, (modality, whole) in enumerate(recorded.items()):
        quality[:, number, : widths[modality]] = whole.double().numpy()

    def put_back(permuted: Any) -> dict[str, Any]:
        return {
            modality: torch.from_numpy(np.ascontiguousarray(permuted[:, number, : widths[modality]]))
            for number, modality in enumerate(modules)
        }

    def predict(permuted: Any) -> Any:
        answer = through(put_back(permuted)).double()
        if single:
            answer = answer.reshape(-1)
            if softmax:
                second = torch.sigmoid(answer)
                answer = torch.stack([1 - second, second], dim=1)
        elif softmax:
            answer = torch.softmax(answer, dim=-1)
        return answer.numpy()

    # With the recorded outputs put back, the modules are asked the same and the model answers alike.
    seen = nothing_seen()
    again = through(put_back(quality), seen)
    if any(not _alike(recorded[modality], _flat(outputs)) for modality, outputs in seen.items()):
        raise FuselineError(
            "in a second pass the modules give other outputs: the loader gives another order each time, or the model is not "
            "deterministic"
        )
    if not _alike(again, logits):
        raise FuselineError(
            "with the recorded outputs put back in their places the model answers otherwise: it is not deterministic"
        )
    return Tap(predict, quality, list(modules))


def _forward(model: Any, batch: Any) -> Any:
    is_tuple = isinstance(batch, (tuple, list))
    try:
        return model(*batch[:-1]) if is_tuple else model(batch)
    except TypeError as error:
        what = "all of a batch but its last, the labels" if is_tuple else f"a batch, {type(batch).__name__}"
        raise FuselineError(
            f"the model was asked with {what}: {error} (say in `forward` how it is asked, such as "
            "forward=lambda model, batch: model(*batch))"
        ) from error


def _flat(outputs: list[Any]) -> Any:
    """Outputs of a module for the batches, as one table (rows, channels)."""
    import torch

    return torch.cat([output.cpu().reshape(output.shape[0], -1) for output in outputs])


def _alike(one: Any, other: Any) -> bool:
    """Equal but for what a GPU rounds differently from call to call."""
    import torch

    same = one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)
    return bool(same)


def _probabilities(answers: Any, single: bool) -> bool:
    """True if the answers are at least 0 and sum to 1, or, of one a row, lie in 0 to 1: as logits hardly do."""
    within = (answers <= 1).all() if single else ((answers.sum(dim=-1) - 1).abs() < 1e-3).all()
    return bool((answers >= 0).all() and within)
