"""By a teacher, and by a network's own steps."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import (
    Distillation,
    SelectiveTemporalAlignment,
    SpatialSelfDistillation,
    Strong2Weak,
    TemporalConsistency,
    TemporalDistillation,
    TemporalSelfDistillation,
    Weak2Strong,
)
from tests.gradients import value_and_gradients
from tests.losses.reference import (
    cross_entropy,
    distillation,
    finite_differences,
    log_softmax,
    over_views,
)

LABELS = np.array([2, 0, 1, 1])
GENERATOR = np.random.default_rng(3)
# Steps that are right and wrong, and a sample that is never right.
LOGITS = GENERATOR.normal(size=(4, 2, 3, 3)) * 2
LOGITS[3, :, :, 1] = -9.0
STAGE = GENERATOR.normal(size=LOGITS.shape)
TEACHER = GENERATOR.normal(size=(4, 2, 3)) * 2


def latencies(steps):
    return [np.mean(steps[: t + 1], axis=0) for t in range(len(steps))]


def of_right_steps(steps, label):
    right = [step for step in steps if np.argmax(step) == label]
    return np.mean(right, axis=0) if right else np.zeros(3)


def temporal(steps, label, students=list):
    teacher = of_right_steps(steps, label)
    return np.mean([distillation(s, teacher, 3.0) for s in students(steps)])


def consistency(steps, label):
    pairs = itertools.permutations(range(len(steps)), 2)
    return np.mean([distillation(steps[t], steps[s], 4.0) for t, s in pairs])


def to_mean(steps, label):
    return np.mean([distillation(x, steps.mean(0), 2.0) for x in steps])


def ends(steps, label):
    ranked = sorted(steps, key=lambda x: cross_entropy(x, np.eye(3)[label]))
    return ranked[0], ranked[-1]


def strong_to_weak(steps, label):
    strong, weak = ends(steps, label)
    return distillation(weak, strong, 3.0)


def weak_to_strong(steps, label):
    strong, weak = ends(steps, label)
    return distillation(strong, weak, 3.0)


def longer(steps, label):
    return distillation(steps[:2].mean(0), steps.mean(0), 3.0)


def alignment(steps, label):
    value = 0.0
    for t in range(len(steps)):
        others = [s for s in range(len(steps)) if s != t]
        scores = []
        for s in others:
            log_p = log_softmax(steps[s])
            confidence = 1 + np.sum(np.exp(log_p) * log_p) / np.log(3)
            lengths = np.linalg.norm(steps[t]) * np.linalg.norm(steps[s])
            scores.append(confidence * (steps[t] @ steps[s]) / lengths)
        weights = np.exp(scores) / np.sum(np.exp(scores))
        teacher = sum(
            w * steps[s] for w, s in zip(weights, others, strict=True)
        )
        value += distillation(steps[t], teacher, 3.0) / len(steps)
    return value


BY_ITSELF = {
    "temporal": (TemporalDistillation, {}, temporal),
    "latency": (
        TemporalDistillation,
        {"student": "latency"},
        lambda steps, label: temporal(steps, label, latencies),
    ),
    "consistency": (TemporalConsistency, {}, consistency),
    "to_mean": (
        TemporalConsistency,
        {"teacher": "mean", "temperature": 2.0},
        to_mean,
    ),
    "strong": (Strong2Weak, {}, strong_to_weak),
    "weak": (Weak2Strong, {}, weak_to_strong),
    "longer": (TemporalSelfDistillation, {"steps": 2}, longer),
    "alignment": (SelectiveTemporalAlignment, {}, alignment),
}
by_itself = pytest.mark.parametrize(
    ("kind", "settings", "function"), BY_ITSELF.values(), ids=BY_ITSELF
)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


@by_itself
def test_equals_loops(kind, settings, function):
    loss = kind(**settings, reduction=None)
    expected = over_views(function, LOGITS, LABELS)
    assert np.ptp(expected) > 0.01
    result = to_numpy(loss(LABELS, {"logits": LOGITS}))
    np.testing.assert_allclose(result, expected, rtol=1e-4)


@by_itself
def test_one_step_has_nothing_to_learn(kind, settings, function):
    settings = {**settings, **({"steps": 1} if "steps" in settings else {})}
    right = np.eye(3)[LABELS][:, None] * 5.0
    (value, (gradient,)) = value_and_gradients(
        lambda x: kind(**settings)(LABELS, x), [right]
    )
    np.testing.assert_allclose(value, 0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


# What each loss computes of its logits when the teachers are held fast: the
# gradient is that of the students alone.


def with_fixed_teachers(name, fixed):
    """Loss of logits, its teachers being those of the logits `fixed`."""
    students = {
        "temporal": list,
        "latency": latencies,
        "to_mean": list,
        "longer": lambda steps: [steps[:2].mean(0)],
    }[name]
    temperature = 2.0 if name == "to_mean" else 3.0

    def value(logits):
        total = 0.0
        for i, v in np.ndindex(*logits.shape[:2]):
            teacher = fixed[i, v].mean(0)
            if name in ("temporal", "latency"):
                teacher = of_right_steps(fixed[i, v], LABELS[i])
            of_view = students(logits[i, v])
            total += (
                np.mean(
                    [distillation(s, teacher, temperature) for s in of_view]
                )
                / (logits.shape[1])
            )
        return total

    return value


@pytest.mark.parametrize("name", ["temporal", "latency", "to_mean", "longer"])
def test_no_gradient_reaches_the_teacher(name):
    kind, settings, _ = BY_ITSELF[name]
    loss = kind(**settings, reduction="sum")
    _, (gradient,) = value_and_gradients(
        lambda x: loss(LABELS, {"logits": x}), [LOGITS]
    )
    expected = finite_differences(with_fixed_teachers(name, LOGITS), LOGITS)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [Strong2Weak, Weak2Strong])
def test_only_the_student_step_has_a_gradient(kind):
    _, (gradient,) = value_and_gradients(
        lambda x: kind()(LABELS, {"logits": x}), [LOGITS]
    )
    for i, v in np.ndindex(4, 2):
        strong, weak = ends(LOGITS[i, v], LABELS[i])
        student = weak if kind is Strong2Weak else strong
        for t in range(3):
            moves = np.abs(gradient[i, v, t]).max() > 1e-6
            assert moves == np.array_equal(LOGITS[i, v, t], student)


# --- By another network ---------------------------------------------------


def by_teacher(logits, teacher, students=list, error_aware=False):
    values = np.zeros(4)
    for i, v in np.ndindex(4, 2):
        for student in students(logits[i, v]):
            s, a = np.array(student), np.array(teacher[i, v])
            label, chosen = LABELS[i], np.argmax(student)
            if error_aware and chosen != label:
                s[chosen] = s[label]
                a[[chosen, label]] = min(a[chosen], a[label])
            values[i] += distillation(s, a, 3.0) / 6
    return values


@pytest.mark.parametrize("student", ["step", "latency"])
@pytest.mark.parametrize("error_aware", [False, True])
def test_a_teacher_at_every_step(student, error_aware):
    loss = Distillation(
        student=student, error_aware=error_aware, reduction=None
    )
    students = {"step": list, "latency": latencies}[student]
    expected = by_teacher(LOGITS, TEACHER, students, error_aware)
    y_pred = {"logits": LOGITS, "teacher": TEACHER}
    np.testing.assert_allclose(
        to_numpy(loss(LABELS, y_pred)), expected, rtol=1e-4
    )


@pytest.mark.parametrize("error_aware", [False, True])
def test_gradient_of_the_student_and_none_of_the_teacher(error_aware):
    loss = Distillation(error_aware=error_aware, reduction="sum")
    _, gradients = value_and_gradients(
        lambda x, a: (
            loss(LABELS, {"logits": x, "teacher": a}) + 0.0 * ops.sum(a)
        ),
        [LOGITS, TEACHER],
    )
    expected = finite_differences(
        lambda x: by_teacher(x, TEACHER, list, error_aware).sum(), LOGITS
    )
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(gradients[1], 0)


def test_a_weak_classifier_learns_and_the_network_does_not():
    loss = SpatialSelfDistillation(reduction="sum")

    def value(stage, logits):
        y_pred = {"logits": logits, "stage_logits": {"stage1": stage}}
        return loss(LABELS, y_pred) + 0.0 * ops.sum(logits)

    def reference(stage):
        return sum(
            distillation(stage[i, v].mean(0), LOGITS[i, v].mean(0), 3.0) / 2
            for i, v in np.ndindex(4, 2)
        )

    result, gradients = value_and_gradients(value, [STAGE, LOGITS])
    np.testing.assert_allclose(result, reference(STAGE), rtol=1e-5)
    expected = finite_differences(reference, STAGE)
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(gradients[1], 0)


def test_stages_are_a_choice():
    y_pred = {"logits": LOGITS, "stage_logits": {"a": STAGE, "b": 2 * STAGE}}

    def value(*stages, **given):
        return float(SpatialSelfDistillation(*stages)(LABELS, y_pred | given))

    both = (value(["a"]) + value(["b"])) / 2
    np.testing.assert_allclose(value(), both, rtol=1e-6)
    with pytest.raises(ValueError, match=r"no stage \['c'\].*'a', 'b'"):
        value(["a", "c"])
    inner = SpatialSelfDistillation()
    assert inner.classified_stages(["a", "b", "c"]) == ["b"]
    assert SpatialSelfDistillation(["a"]).classified_stages(["a"]) == ["a"]
    for loss, stages in (
        (inner, ["a"]),
        (SpatialSelfDistillation(["x"]), "ab"),
    ):
        with pytest.raises(ValueError, match="weak classifiers of inner"):
            loss.classified_stages(list(stages))


def test_a_teacher_is_no_part_of_the_config():
    inputs = keras.Input((4,))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    loss = Distillation(teacher, temperature=2.0)
    assert loss.teachers() == [teacher]
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    assert copy.teachers() == [] and copy.temperature == 2.0


# --- Bad input --------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Distillation("resnet"), "a `keras.Model`.*teacher='resnet'"),
        (lambda: Distillation(temperature=0), "greater than 0.*temperature=0"),
        (lambda: Distillation(student="all"), "one of 'step', 'latency'"),
        (lambda: TemporalDistillation(np.nan), "greater than 0"),
        (lambda: TemporalDistillation(student=1), "one of.*student=1"),
        (lambda: TemporalConsistency(teacher="last"), "one of 'steps', 'mean'"),
        (lambda: TemporalConsistency(-1), "greater than 0"),
        (lambda: Strong2Weak(None), "greater than 0.*temperature=None"),
        (lambda: TemporalSelfDistillation(0), "of at least 1.*steps=0"),
        (lambda: SpatialSelfDistillation("stage1"), "stages='stage1'"),
        (lambda: SpatialSelfDistillation([]), r"stages=\[\]"),
        (lambda: SelectiveTemporalAlignment(0), "greater than 0"),
    ],
)
def test_refuses_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_more_steps_than_there_are():
    with pytest.raises(ValueError, match="steps=4, and logits of 3 time steps"):
        TemporalSelfDistillation(4)(LABELS, {"logits": LOGITS})


def test_refuses_a_missing_teacher_or_another():
    with pytest.raises(ValueError, match="logits of a teacher.*'logits'"):
        Distillation()(LABELS, {"logits": LOGITS})
    y_pred = {"logits": LOGITS, "teacher": TEACHER[:, :1]}
    with pytest.raises(ValueError, match=r"shape \(4, 1, 3\), logits of shape"):
        Distillation()(LABELS, y_pred)


def test_refuses_missing_logits_of_stages_or_others():
    with pytest.raises(ValueError, match='"stage_logits"'):
        SpatialSelfDistillation()(LABELS, {"logits": LOGITS})
    y_pred = {"logits": LOGITS, "stage_logits": {"a": STAGE[:, :, :, :2]}}
    with pytest.raises(ValueError, match="stage 'a' must share all axes but"):
        SpatialSelfDistillation()(LABELS, y_pred)


def aligned(steps, t):
    """What a step is to learn from the others, by confidence and likeness."""
    others = [s for s in range(3) if s != t]
    scores = []
    for s in others:
        log_p = log_softmax(steps[s])
        confidence = 1 + np.sum(np.exp(log_p) * log_p) / np.log(3)
        lengths = np.linalg.norm(steps[t]) * np.linalg.norm(steps[s])
        scores.append(confidence * (steps[t] @ steps[s]) / lengths)
    weights = np.exp(scores) / np.sum(np.exp(scores))
    return weights @ steps[others]


def consistent_view(steps, fixed):
    pairs = [(t, s) for t, s in np.ndindex(3, 3) if t != s]
    return np.mean([distillation(steps[t], fixed[s], 4.0) for t, s in pairs])


def aligned_view(steps, fixed):
    return np.mean(
        [distillation(steps[t], aligned(fixed, t), 3.0) for t in range(3)]
    )


@pytest.mark.parametrize(
    ("kind", "of_view"),
    [
        (TemporalConsistency, consistent_view),
        (SelectiveTemporalAlignment, aligned_view),
    ],
    ids=["consistency", "alignment"],
)
def test_no_gradient_reaches_the_other_steps(kind, of_view):
    loss = kind(reduction="sum")
    _, (gradient,) = value_and_gradients(
        lambda x: loss(LABELS, {"logits": x}), [LOGITS]
    )
    expected = finite_differences(
        lambda logits: sum(
            of_view(logits[i, v], LOGITS[i, v]) / 2 for i, v in np.ndindex(4, 2)
        ),
        LOGITS,
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
