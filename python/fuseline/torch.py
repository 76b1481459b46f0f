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
    `loader`: batches of the whole test set, always in the same order (no shuffling, no `drop_last`). `forward(model,
    batch)` gives the logits (rows, classes); `model(batch)`, or `model(*batch[:-1])` for tuples, where left out. `softmax`:
    the outputs are logits.

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
    if model.training:
        raise FuselineError("the model is in training mode: call model.eval() first")
    ask = forward if forward is not None else _forward

    def through(replace: dict[str, Any] | None) -> tuple[Any, dict[str, list[Any]]]:
        seen: dict[str, list[Any]] = {modality: [] for modality in modules}
        start = {"at": 0}
        handles = []

        def hook(modality: str) -> Callable[[Any, Any, Any], Any]:
            def called(_module: Any, _inputs: Any, output: Any) -> Any:
                if not torch.is_tensor(output):
                    raise FuselineError(f"the module of modality {modality} does not give one tensor")
                seen[modality].append(output.detach())
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
                    answers.append(answer.detach().cpu())
                    start["at"] += answer.shape[0]
        finally:
            for handle in handles:
                handle.remove()
        return torch.cat(answers), seen

    logits, seen = through(None)
    rows = logits.shape[0]
    recorded = {}
    for modality, outputs in seen.items():
        if not outputs:
            raise FuselineError(f"the module of modality {modality} was never called")
        whole = torch.cat([output.cpu().reshape(output.shape[0], -1) for output in outputs])
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

    def predict(permuted: Any) -> Any:
        replace = {
            modality: torch.from_numpy(np.ascontiguousarray(permuted[:, number, : widths[modality]]))
            for number, modality in enumerate(modules)
        }
        answer, _ = through(replace)
        return (torch.softmax(answer.double(), dim=-1) if softmax else answer).numpy()

    return Tap(predict, quality, list(modules))


def _forward(model: Any, batch: Any) -> Any:
    return model(*batch[:-1]) if isinstance(batch, (tuple, list)) else model(batch)
