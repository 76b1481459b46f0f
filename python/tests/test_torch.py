"""The tap on a torch model; runs only where torch is."""

import numpy as np
import pytest

import fuseline

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.confidence = torch.nn.ModuleDict({m: torch.nn.Linear(4, 1) for m in ("audio", "text")})
        self.head = torch.nn.ModuleDict({m: torch.nn.Linear(4, 3) for m in ("audio", "text")})

    def forward(self, audio, text):
        inputs = {"audio": audio, "text": text}
        weights = torch.softmax(torch.cat([self.confidence[m](x) for m, x in inputs.items()], 1), 1)
        logits = torch.stack([self.head[m](x) for m, x in inputs.items()], 1)
        return (weights[:, :, None] * logits).sum(1)


def test_a_tap_permutes_over_the_whole_test_set():
    from fuseline.torch import tap

    torch.manual_seed(0)
    net = Net().eval()
    audio, text = torch.randn(50, 4), torch.randn(50, 4)
    y = net(audio, text).argmax(1).numpy()
    loader = [(audio[a : a + 16], text[a : a + 16], y[a : a + 16]) for a in range(0, 50, 16)]
    tapped = tap(net, {"audio": "confidence.audio", "text": "confidence.text"}, loader)
    np.testing.assert_allclose(tapped(tapped.quality).argmax(1), y)
    order = np.random.default_rng(0).permutation(50)
    with torch.no_grad():
        scores = torch.cat([net.confidence["audio"](audio), net.confidence["text"](text)], 1)[order]
        logits = torch.stack([net.head["audio"](audio), net.head["text"](text)], 1)
        by_hand = torch.softmax((torch.softmax(scores, 1)[:, :, None] * logits).sum(1).double(), 1)
    np.testing.assert_allclose(tapped(tapped.quality[order]), by_hand.numpy(), atol=1e-6)
    result = fuseline.diagnose(tapped, quality=tapped.quality, y=y, permutations=50)
    assert 0 <= result.p_value <= 1
