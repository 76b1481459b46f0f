"""The diagnostic of a model in Python: against a loop by hand, and what it refuses."""

from __future__ import annotations

import copy
import pickle
import time

import numpy as np
import pytest

import fuseline

CLASSES = np.array([0, 1])


def study(rows: int = 200, seed: int = 3):
    """Two modalities of which one is right, and quality that tells which."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    right = random.integers(0, 2, rows)
    evidence = np.empty((rows, 2, 2))
    quality = np.empty((rows, 2))
    for m in range(2):
        truth = np.where(right == m, y, 1 - y)
        p = 0.55 + 0.4 * random.random(rows)
        evidence[:, m, 1] = np.where(truth == 1, p, 1 - p)
        evidence[:, m, 0] = 1 - evidence[:, m, 1]
        quality[:, m] = (right == m) + 0.2 * random.random(rows)
    groups = np.array([f"g{row % 25}" for row in range(rows)])
    return y, evidence, quality, groups


def gate(evidence):
    def predict(quality):
        weights = np.exp(2 * quality)
        weights = weights / weights.sum(axis=1, keepdims=True)
        return (weights[:, :, None] * evidence).sum(axis=1)

    return predict


def balanced_accuracy(y, decisions):
    return np.mean([np.mean(decisions[y == k] == k) for k in np.unique(y)])


def test_the_gap_equals_a_loop_by_hand():
    y, evidence, quality, groups = study()
    predict = gate(evidence)
    asked = []

    def recorded(q):
        asked.append(q.copy())
        return predict(q)

    result = fuseline.diagnose(recorded, quality=quality, y=y, groups=groups, evidence=evidence, permutations=200)
    clean = balanced_accuracy(y, predict(quality).argmax(axis=1))
    # Clean-Q first and last, before that quality held at its mean, and every other row permuted; the others are
    # permutations.
    broken = np.array([balanced_accuracy(y, predict(q).argmax(axis=1)) for q in asked[1:-3]])
    assert len(broken) == 200
    for q in asked[1:-3]:
        assert sorted(map(tuple, q)) == sorted(map(tuple, quality))
    assert abs(result.gap - (clean - broken.mean())) < 1e-12
    assert result.p_value == (np.sum(broken >= clean - 1e-12) + 1) / 201
    np.testing.assert_allclose(result.broken, broken, atol=1e-15)
    neutral = np.broadcast_to(quality.mean(axis=0), quality.shape)
    np.testing.assert_allclose(asked[-3], neutral)
    assert abs(result.gain - (clean - balanced_accuracy(y, predict(neutral).argmax(axis=1)))) < 1e-12
    decisions = evidence.argmax(axis=2) == y[:, None]
    assert abs(result.headroom - (balanced_accuracy(y, np.where(decisions.any(axis=1), y, 1 - y)) - clean)) < 1e-12
    assert result.gap > 0.2 and "Yes" in result.verdict


def test_quality_that_the_evidence_tells_is_not_yet_reliability():
    random = np.random.default_rng(5)
    y = random.integers(0, 2, 400)
    p = 1 / (1 + np.exp(-((2 * y - 1)[:, None] + random.normal(size=(400, 2)))))
    evidence = np.stack([1 - p, p], axis=2)
    margin = np.abs(2 * p - 1)

    def surest(quality):
        return evidence[np.arange(400), quality.argmax(axis=1)]

    result = fuseline.diagnose(surest, quality=margin, y=y, evidence=evidence, modalities=["a", "b"], permutations=200)
    assert result.p_value <= 0.05 and [name for name, _ in result.quality_from_evidence] == ["a", "b"]
    assert all(r2 > 0.9 for _, r2 in result.quality_from_evidence)
    assert result.verdict.startswith("Not shown: the gap found is of a quality that follows from the evidence")
    unknown = fuseline.diagnose(surest, quality=margin, y=y, permutations=200)
    assert unknown.verdict.startswith("Yes") and unknown.quality_from_evidence == [["modality 1", None], ["modality 2", None]]


def test_every_way_of_asking_gives_the_same_numbers():
    y, evidence, quality, groups = study()
    predict = gate(evidence)
    options = dict(quality=quality, y=y, groups=groups, permutations=150, seed=5)
    plain = fuseline.diagnose(predict, **options)

    def stacked(q):
        return np.stack([predict(one) for one in q])

    vectorized = fuseline.diagnose(stacked, vectorized=True, **options)
    told = fuseline.Diagnosis(**options)
    for ask in told:
        told.tell(ask, predict(ask.quality))
    blocks = fuseline.Diagnosis(vectorized=True, **options)
    for ask in blocks:
        blocks.tell(ask, stacked(ask.quality) if ask.kind == "broken" else predict(ask.quality))
    assert blocks.result().values == told.result().values
    channels = fuseline.diagnose(lambda q: predict(q[:, :, 0]), **{**options, "quality": np.repeat(quality[:, :, None], 3, 2)})
    assert plain.values == vectorized.values == told.result().values
    assert plain.gap == channels.gap and plain.p_value == channels.p_value
    decided = fuseline.diagnose(lambda q: predict(q).argmax(axis=1), **options)
    assert decided.gap == plain.gap and decided.p_value == plain.p_value
    assert decided.flip_rate == pytest.approx(decided.probability_shift)
    names = np.array(["rest", "stress"])
    named = fuseline.diagnose(lambda q: names[predict(q).argmax(axis=1)], **{**options, "y": names[y]})
    assert named.gap == plain.gap


def test_a_model_that_is_not_frozen_is_refused():
    y, evidence, quality, _ = study()
    random = np.random.default_rng(0)

    def dropout(q):
        kept = random.random(q.shape) > 0.1
        return gate(evidence)(np.where(kept, q, 0.0))

    with pytest.raises(fuseline.FuselineError, match="not frozen.*model.eval"):
        fuseline.diagnose(dropout, quality=quality, y=y, permutations=20)

    calls = []

    def stateful(q):
        calls.append(1)
        return gate(evidence)(q + 1e-7 * len(calls))

    with pytest.raises(fuseline.FuselineError, match="not frozen"):
        fuseline.diagnose(stateful, quality=quality, y=y, permutations=20)
    fuseline.diagnose(stateful, quality=quality, y=y, permutations=20, tolerance=1e-3)


def test_a_model_that_reads_the_batch_is_refused():
    y, evidence, quality, _ = study()

    def normalised(q):
        return gate(evidence)((q - q.mean(axis=0)) / (q.std(axis=0) + 1e-9))

    with pytest.raises(fuseline.FuselineError, match="depends on the quality of others.*keeps its quality"):
        fuseline.diagnose(normalised, quality=quality, y=y, permutations=20)


def test_a_model_that_writes_into_its_input_changes_no_other_question():
    y, evidence, quality, _ = study()
    given = quality.copy()

    def careless(q):
        answer = gate(evidence)(q)
        q[...] = 0.0
        return answer

    options = {"quality": given, "y": y, "permutations": 20}
    assert fuseline.diagnose(careless, **options).gap == fuseline.diagnose(gate(evidence), **options).gap
    np.testing.assert_array_equal(given, quality)


def test_what_cannot_be_answered_is_said():
    y, evidence, quality, _ = study()
    result = fuseline.diagnose(gate(evidence), quality=np.ones_like(quality), y=y, permutations=20)
    assert result.verdict.startswith("Not testable: quality has one value")
    assert "No, " not in result.report()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(y=np.zeros(3)), r"y has shape \(3,\)"),
        (dict(quality=np.zeros(200)), "quality has shape"),
        (dict(available=np.ones((2, 2))), "available has shape"),
        (dict(evidence=np.ones((200, 2, 3))), "evidence has shape"),
        (dict(scheme="constant"), "permutations across examples"),
        (dict(scheme="jiont"), "^scheme: unknown variant `jiont`, expected one of `joint`.*`constant`$"),
        (dict(permutations=10.5), "^permutations is 10.5; a whole number from 1 to"),
        (dict(permutations=0), "^permutations is 0; a whole number"),
        (dict(permutations=True), "^permutations is True; a whole number"),
        (dict(seed=None), "^seed is None; a whole number from 0 to"),
        (dict(seconds=-1), "^seconds is -1; a number from 0 on"),
        (dict(title=5), "^title is 5; a text is expected"),
        (dict(scheme=None), "^scheme is None; a text is expected"),
        (dict(tolerance=-1e-9), "^tolerance is -1e-09; a number from 0 on"),
        (dict(tolerance=np.nan), "^tolerance is nan; a number"),
        (dict(equivalence_margin="2 pp"), "^equivalence_margin is '2 pp'; a number"),
        (dict(scheme="conditional"), "needs evidence"),
        (dict(groups=["a"]), "groups has 1 values"),
        (dict(ids=["a"] * 200), "stands in rows"),
        (dict(y=np.linspace(0, 1, 200)), "no classes"),
        (dict(y=[None, *[0, 1] * 99, 1]), "y has no value in row 0"),
        (dict(groups=np.where(np.arange(200) == 3, np.nan, 1)), "groups has no value in row 3"),
        (dict(evidence=np.full((200, 2, 2), np.nan)), "evidence of row 0, modality .modality 1. is .*no probabilities.*give finite numbers; say in"),
        (dict(evidence=np.full((200, 2, 2), 50.0)), "these are percentages: divide them by 100"),
        (dict(evidence=np.full((200, 2, 2), 0.49)), "divide each row by its sum"),
        (dict(evidence=np.full((200, 2, 2), -0.7)), "give the softmax of the model's logits"),
        (dict(evidence=np.full((200, 2, 2), -0.7)), "no probabilities that sum to 1"),
        (dict(modalities=["audio", "audio"]), "two modalities are called audio"),
        (dict(modalities="av"), "modalities is one text, 'av'; a list of 2 names"),
        (dict(available=np.full((200, 2), "no")), "available is an array of True and False"),
        (dict(available=np.full((200, 2), -1)), "True and False, and holds -1"),
        (dict(available=np.full((200, 2), np.nan)), "True and False, and holds nan"),
        (dict(quality=np.ma.masked_array(np.ones((200, 2)), np.arange(400).reshape(200, 2) == 7)), "row 3, modality modality 2|row 3, modality 1 is not finite"),
        (dict(y=np.ma.masked_array(np.arange(200) % 2, np.arange(200) == 5)), "y has no value in row 5"),
        (dict(neutral=[np.nan, 0.5]), "neutral holds values that are not finite"),
        (dict(evidence=[[[0.5, 0.5], None]] * 200), "evidence is an array of numbers, all rows of one shape"),
        (dict(y=np.zeros(200)), "y has one class, 0.0: accuracy is of two or more"),
        (dict(y=np.zeros((200, 1))), r"such as y.ravel\(\)"),
        (dict(y=np.eye(2)[np.arange(200) % 2]), r"one-hot rows y.argmax\(axis=1\); several labels a row take"),
        (dict(quality=np.full((200, 2), "high")), "quality is an array of numbers, .* and <U4 was given"),
        (dict(quality=np.zeros((0, 2)), y=[]), "there is nothing in it"),
        (dict(neutral=[0.5]), r"neutral has shape \(1,\) where \(2,\) is expected"),
        (dict(y=np.arange(200) % 3), "a column for each of the classes 0, 1, 2"),
    ],
)
def test_wrong_arguments_are_refused_in_words(change, words):
    y, evidence, quality, _ = study()
    options = {"quality": quality, "y": y, "permutations": 10, **change}
    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.diagnose(gate(evidence), **options)


def test_classes_in_another_order_are_cautioned_of():
    y, evidence, quality, _ = study()
    names = np.array(["rest", "alarm"])[y]
    told = fuseline.diagnose(gate(evidence), quality=quality, y=names, permutations=20)
    assert "are the classes of the model in the order" in told.verdict and "in the order" in told.report()
    named = fuseline.diagnose(gate(evidence), quality=quality, y=names, classes=["rest", "alarm"], permutations=20)
    assert named.cautions == [] and named.gap == pytest.approx(-told.gap)


def test_a_probability_for_each_row_is_no_decision():
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match=r"probabilities are \(rows, classes\)"):
        fuseline.diagnose(lambda q: gate(evidence)(q)[:, 1], quality=quality, y=y, permutations=20)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda p: None, r"a NoneType and no array of probabilities \(rows, classes\) or decisions"),
        (lambda p: (row for row in p), "a generator and no array"),
        (lambda p: {"p": p}, "a dict and no array"),
        (lambda p: (p, p.mean()), "a tuple and no array"),
        (lambda p: p[:, 1:], r"decisions are \(rows,\), .* each class has a column, np.column_stack"),
        (lambda p: p[:100], "one row for each row of quality"),
        (lambda p: p.argmax(axis=1).astype(str), "decides for 0, 1, .* its classes are 0, 1, and decisions are named as these"),
        (lambda p: np.where(np.arange(200)[:, None] == 7, np.nan, p), "for row 7 hold values that are not finite .clean"),
    ],
)
def test_answers_that_are_none_are_refused_in_words(model, words):
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.diagnose(lambda q: model(gate(evidence)(q)), quality=quality, y=y, permutations=20)


def test_an_answer_of_another_shape_than_the_others_is_refused():
    y, evidence, quality, _ = study()
    answers = []

    def without_the_last_batch(q):
        answers.append(gate(evidence)(q))
        return answers[-1] if len(answers) < 5 else answers[-1][:-3]

    with pytest.raises(fuseline.FuselineError, match=r"shape \(200, 2\) and of shape \(197, 2\)"):
        fuseline.diagnose(without_the_last_batch, quality=quality, y=y, permutations=20)
    with pytest.raises(fuseline.FuselineError, match="with vectorized=True an answer has as many questions in front"):
        fuseline.diagnose(lambda q: np.full((200, 2), 0.5), quality=quality, y=y, permutations=20, vectorized=True)


def test_settings_are_taken_as_numpy_has_them():
    y, evidence, quality, _ = study()
    plain = fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=20, seed=4, equivalence_margin=0.5)
    numpy = fuseline.diagnose(
        gate(evidence),
        quality=quality,
        y=y,
        permutations=np.int64(20),
        seed=np.uint8(4),
        tolerance=np.float32(0),
        equivalence_margin=np.float32(0.5),
        seconds=np.float64(1000),
    )
    assert plain.values == numpy.values


def test_a_result_is_copied_and_pickled():
    y, evidence, quality, _ = study()
    result = fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=20)
    assert copy.deepcopy(result) == pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(AttributeError, match="a result has no gaps; it has"):
        result.gaps


def test_tables_of_pandas_keep_their_names_and_their_order():
    pandas = pytest.importorskip("pandas")
    y, evidence, quality, groups = study()
    index = np.random.default_rng(0).permutation(200) + 1000
    table = pandas.DataFrame(quality, columns=["voice", "face"], index=index)
    labels = pandas.Series(y, index=index)
    plain = fuseline.diagnose(gate(evidence), quality=quality, y=y, groups=groups, permutations=50, modalities=["voice", "face"])
    odd = fuseline.diagnose(
        gate(evidence), quality=table.convert_dtypes(), y=labels, groups=pandas.Series(groups), permutations=50
    )
    assert odd.values == plain.values and [name for name, _ in odd.alignment] == ["voice", "face"]
    with pytest.raises(fuseline.FuselineError, match=r"y has the rows of quality in another order.*y.loc\[quality.index\]"):
        fuseline.diagnose(gate(evidence), quality=table, y=labels.sort_index(), permutations=20)
    swapped = lambda q: pandas.DataFrame(gate(evidence)(q)[:, ::-1], columns=[1, 0])  # noqa: E731
    with pytest.raises(fuseline.FuselineError, match="columns of the predictions are 1, 0 and the classes are 0, 1"):
        fuseline.diagnose(swapped, quality=quality, y=y, permutations=20)
    available = np.ones((200, 2), dtype=bool)
    available[::3, 1] = False
    missing = table.where(available).convert_dtypes()
    assert missing.isna().any().any()
    result = fuseline.diagnose(
        lambda q: gate(evidence)(np.nan_to_num(q)), quality=missing, y=y, available=pandas.DataFrame(available), permutations=20
    )
    assert result.n_permutations == 20


def test_missing_modalities_keep_their_places():
    y, evidence, quality, _ = study()
    available = np.ones((200, 2), dtype=bool)
    available[::3, 1] = False
    quality[~available] = np.nan

    def predict(q):
        assert np.isnan(q[~available]).all() and np.isfinite(q[available]).all()
        weights = np.where(available, np.exp(2 * np.nan_to_num(q)), 0.0)
        return ((weights / weights.sum(axis=1, keepdims=True))[:, :, None] * evidence).sum(axis=1)

    result = fuseline.diagnose(predict, quality=quality, y=y, available=available, permutations=50)
    assert result.n_permutations == 50


def test_an_error_of_the_model_reaches_the_caller_and_ends_the_command():
    y, _, quality, _ = study()
    calls = []

    def broken(q):
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("out of memory")
        return np.full((200, 2), 0.5)

    with pytest.raises(ValueError, match="out of memory"):
        fuseline.diagnose(broken, quality=quality, y=y, permutations=20)


def test_a_sequential_test_and_a_budget_ask_less():
    y, evidence, quality, _ = study()
    blind = gate(evidence)(np.zeros_like(quality))
    result = fuseline.diagnose(lambda q: blind, quality=quality, y=y, permutations=5000, stop="sequential")
    assert result.n_permutations < 500 and result.p_value == 1.0
    result = fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=10**6, seconds=0.2)
    assert result.n_permutations < 10**6


def test_a_budget_holds_for_a_slow_model():
    y, evidence, quality, _ = study()

    def slow(q):
        time.sleep(0.02)
        return gate(evidence)(q)

    began = time.monotonic()
    result = fuseline.diagnose(slow, quality=quality, y=y, seconds=0.5)
    # A block of 128 alone took 2.6 seconds.
    assert time.monotonic() - began < 2.2 and 5 < result.n_permutations < 50
    enough = fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=300, seconds=1000)
    assert enough.values == fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=300).values


def test_the_report_says_what_a_frozen_model_is():
    y, evidence, quality, _ = study()
    result = fuseline.diagnose(gate(evidence), quality=quality, y=y, permutations=50, title="A gated net")
    page = result.report()
    assert "A gated net" in page
    assert not any(words in page for words in ["refitted", "was fitted", "were fitted"])
    assert "held at its mean" in page
    assert "oracle" not in page.split("<details")[0].lower() or result.headroom is None
    # In a notebook: the first screen and figures, in styles that hold within it.
    cell = result._repr_html_()
    assert cell.startswith('<div class="fuseline-report">') and "A gated net" in cell
    assert not any(tag in cell for tag in ["<iframe", "<script", " id="])


@pytest.mark.parametrize("scheme", ["within_class", "within_correct"])
def test_what_quality_is_used_for_is_asked_among_rows_that_are_alike(scheme):
    y, evidence, quality, groups = study()
    right = evidence.argmax(axis=2) == y[:, None]
    stratum = y if scheme == "within_class" else right @ np.array([1, 2])
    row_of = {tuple(row): number for number, row in enumerate(quality)}
    predict = gate(evidence)
    asked = []

    def recorded(q):
        asked.append(q.copy())
        return predict(q)

    result = fuseline.diagnose(
        recorded, quality=quality, y=y, groups=groups, evidence=evidence, permutations=100, scheme=scheme
    )
    for q in asked[1:-3]:
        source = np.array([row_of[tuple(row)] for row in q])
        assert sorted(source) == list(range(len(y))) and np.array_equal(stratum[source], stratum)
    broken = np.array([balanced_accuracy(y, predict(q).argmax(axis=1)) for q in asked[1:-3]])
    assert abs(result.gap - (balanced_accuracy(y, predict(quality).argmax(axis=1)) - broken.mean())) < 1e-12
    # Quality tells which expert is right, and nothing of the label.
    assert result.gap > 0.2 if scheme == "within_class" else abs(result.gap) < 0.03


def test_schemes_that_lack_what_they_need_are_refused_in_words():
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match="within_correct needs evidence"):
        fuseline.diagnose(gate(evidence), quality=quality, y=y, scheme="within_correct", permutations=9)
    with pytest.raises(fuseline.FuselineError, match="comes without them"):
        fuseline.diagnose(
            gate(evidence), quality=quality, y=y, evidence=evidence, scheme="conditional_residual", permutations=9
        )


def test_a_derangement_is_an_effect_size_without_a_p_value():
    y, evidence, quality, _ = study()
    result = fuseline.diagnose(gate(evidence), quality=quality, y=y, scheme="derangement", permutations=50)
    assert np.isnan(result.p_value) and result.gap > 0.2
    assert "effect size" in result.verdict


def numbers(rows: int = 150, seed: int = 4):
    """A label that is a number, said by two modalities with noise of a size that quality tells."""
    random = np.random.default_rng(seed)
    y = random.normal(size=rows)
    quality = random.normal(size=(rows, 2))
    said = y[:, None] + np.exp(-quality) * random.normal(size=(rows, 2))

    def predict(q):
        weights = np.exp(2 * q)
        return (weights * said).sum(axis=1) / weights.sum(axis=1)

    return y, quality, predict


@pytest.mark.parametrize("name", ["mae", "rmse", "pearson", "concordance"])
def test_the_gap_of_a_metric_of_numbers_equals_a_loop_by_hand(name):
    y, quality, predict = numbers()
    metric = {
        "mae": lambda p: -np.mean(np.abs(p - y)),
        "rmse": lambda p: -np.sqrt(np.mean((p - y) ** 2)),
        "pearson": lambda p: np.corrcoef(p, y)[0, 1],
        "concordance": lambda p: 2 * np.cov(p, y, bias=True)[0, 1] / (p.var() + y.var() + (p.mean() - y.mean()) ** 2),
    }[name]
    asked = []

    def recorded(q):
        asked.append(metric(predict(q)))
        return predict(q)

    result = fuseline.diagnose(recorded, quality=quality, y=y, score=name, permutations=99)
    clean, broken = asked[0], np.array(asked[1:-3])
    assert len(broken) == 99
    assert abs(result.gap - (clean - broken.mean())) < 1e-10
    assert result.p_value == (np.sum(broken >= clean - 1e-12) + 1) / 100
    assert abs(result.gain - (clean - asked[-3])) < 1e-10
    assert result.gap > 0 and result.interval[0] < result.gap < result.interval[1]
    assert result.metric["name"] == name and result.values["ba_clean"] is None
    assert "balanced accuracy" not in result.report() + result.verdict


def test_a_score_of_each_example_may_be_anything():
    y, quality, predict = numbers()
    targets = np.stack([y, -y], axis=1)
    result = fuseline.diagnose(
        lambda q: np.stack([predict(q), -predict(q)], axis=1), quality=quality, y=targets,
        score=lambda y, p: -np.abs(y - p).sum(axis=1), permutations=49, vectorized=False)
    mae = fuseline.diagnose(predict, quality=quality, y=y, score="mae", permutations=49)
    assert abs(result.gap - 2 * mae.gap) < 1e-10 and result.p_value == mae.p_value
    with pytest.raises(fuseline.FuselineError, match="scores has shape"):
        fuseline.diagnose(predict, quality=quality, y=y, score=lambda y, p: 0.0, permutations=9)
    with pytest.raises(fuseline.FuselineError, match="a function or one of mae"):
        fuseline.diagnose(predict, quality=quality, y=y, score="r2", permutations=9)
    with pytest.raises(fuseline.FuselineError, match="takes numbers"):
        fuseline.diagnose(predict, quality=quality, y=y, permutations=9)


def test_quality_that_is_not_available_is_not_moved():
    y, evidence, quality, groups = study()
    available = np.ones(quality.shape, dtype=bool)
    available[::3, 1] = False
    for more in ({}, {"scheme": "per_modality"}):
        asked = []

        def recorded(q):
            asked.append(q.copy())
            return gate(evidence)(q)

        fuseline.diagnose(recorded, quality=quality, y=y, available=available, permutations=20, **more)
        assert all(np.array_equal(q[~available], quality[~available]) for q in asked)
        assert not any(np.array_equal(q[available], quality[available]) for q in asked[1:-3])
    channels = np.stack([quality, quality], axis=2)
    result = fuseline.diagnose(
        lambda q: gate(evidence)(q[:, :, 0]), quality=channels, y=y, available=np.zeros(quality.shape), permutations=20
    )
    assert result.gap == 0


@pytest.mark.parametrize(
    ("answer", "more", "words"),
    [
        (lambda p: np.ma.masked_array(p, mask=p > 0.5), {}, "masked"),
        (lambda p: np.ma.masked_array(p.argmax(axis=1), mask=p[:, 0] > 0.5), {}, "masked"),
        (lambda p: np.ma.masked_array(p[:, 1], mask=p[:, 0] > 0.5), {"score": "mae"}, "masked"),
        (lambda p: p[:, 1] + 1j, {"score": "mae"}, "complex128"),
        (lambda p: p[:, 1].astype(str), {"score": "mae"}, "<U"),
        (lambda p: p[:, 1], {"score": lambda y, p: -np.abs(y - p) + 1j}, "the score is an array of numbers"),
        (lambda p: p[:, 1], {"score": lambda y, p: np.ma.masked_array(p, mask=p > 0.5)}, "not finite"),
    ],
)
def test_an_answer_of_which_a_part_would_be_lost_is_refused(answer, more, words):
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.diagnose(lambda q: answer(gate(evidence)(q)), quality=quality, y=y, permutations=20, **more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"y": np.array([1, "one"], dtype=object)[np.arange(200) % 2]}, "y has labels of several types, int, str"),
        ({"y": np.arange(200) + 1j, "score": "mae"}, "y holds complex128"),
        ({"y": np.arange(200).astype("M8[D]"), "score": "mae"}, "y holds datetime64"),
        ({"groups": {row: "one" for row in range(200)}}, "groups is a dict"),
        ({"groups": "g" * 200}, "groups is a str"),
        ({"ids": set(map(str, range(200)))}, "ids is a set"),
    ],
)
def test_what_is_no_value_for_each_row_is_refused_by_its_name(more, words):
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.diagnose(gate(evidence), **{"quality": quality, "y": y, "permutations": 20, **more})


def test_names_that_stand_in_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    y, evidence, quality, _ = study()
    table = pandas.DataFrame(quality, columns=["voice", "face"])
    there = pandas.DataFrame(np.ones(quality.shape, dtype=bool), columns=["face", "voice"])
    held = pandas.Series({"face": 0.5, "voice": 0.6})
    ids = pandas.Series([f"e{row}" for row in range(len(y))]).sample(frac=1, random_state=1)
    for more, words in [
        ({"available": there}, "the columns of available are face, voice and the modalities are voice, face"),
        ({"neutral": held}, "the columns of neutral are face, voice"),
        ({"modalities": ["face", "voice"]}, "the columns of quality are voice, face"),
        ({"ids": ids}, "ids has the rows of quality in another order"),
        ({"quality": table.set_axis(ids), "ids": sorted(ids)}, "ids has the rows of quality in another order"),
        (
            {"y": pandas.Series(y, range(1, 201)), "quality": table.set_axis([str(row) for row in range(2, 202)])},
            "y has other rows than quality, at place 0 1 and not 2",
        ),
    ]:
        with pytest.raises(fuseline.FuselineError, match=words):
            fuseline.diagnose(gate(evidence), **{"quality": table, "y": y, "permutations": 20, **more})
    same = {"available": there[["voice", "face"]], "neutral": held[["voice", "face"]], "modalities": ["voice", "face"]}
    fuseline.diagnose(gate(evidence), quality=table, y=y, permutations=20, **same)


def test_predictions_that_name_their_rows_or_classes_in_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    y, evidence, quality, _ = study()
    ids = [f"e{row:03}" for row in range(len(y))]
    order = np.random.default_rng(1).permutation(len(y))
    names = np.array(["rest", "stress"])

    def frame(q):
        return pandas.DataFrame(gate(evidence)(q), columns=["p_rest", "p_stress"], index=ids)

    table = pandas.DataFrame(quality, index=ids)
    asked = {"y": names[y], "modalities": ["voice", "face"], "permutations": 20}
    plain = fuseline.diagnose(gate(evidence), quality=quality, ids=ids, **asked)
    places = {"quality": table.set_axis(order), "ids": ids, **asked}
    assert fuseline.diagnose(frame, quality=table, ids=ids, **asked).values == plain.values
    assert fuseline.diagnose(lambda q: frame(q).reset_index(drop=True), **places).values == plain.values
    wrong = "the predictions have the rows of"
    for answers, quality_of, words in [
        (lambda q: frame(q).iloc[order], table, rf"{wrong} quality in another.*predictions.loc\[quality.index\]"),
        (lambda q: frame(q).iloc[order], quality, rf"{wrong} ids in another order.*predictions.loc\[ids\]"),
        (lambda q: pandas.Series(names[gate(evidence)(q).argmax(axis=1)], index=ids).iloc[order], table, wrong),
        (lambda q: frame(q).set_axis([*ids[1:], "e200"]), table, f"{wrong[:20]}.* other rows than quality, at place 0 e001"),
        (lambda q: frame(q)[["p_stress", "p_rest"]], table, "the columns of the predictions are p_stress, p_rest"),
    ]:
        with pytest.raises(fuseline.FuselineError, match=words):
            fuseline.diagnose(answers, quality=quality_of, ids=ids, **asked)


def test_two_classes_of_one_name_are_refused():
    y, evidence, quality, _ = study()
    with pytest.raises(fuseline.FuselineError, match="two classes are called 1"):
        fuseline.diagnose(gate(evidence), quality=quality, y=y, classes=[0, 1, 1], permutations=20)
