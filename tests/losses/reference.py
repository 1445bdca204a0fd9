"""The paper's contrastive equations as plain loops in float64.

Every function takes embeddings `(B, V, T, D)` and returns the summands over
`i`, one per sample and view, `(B, V)`; the paper's loss is their sum.
"""

from itertools import product

import numpy as np


def _unit_length(x):
    z = np.zeros(x.shape)
    for index in np.ndindex(*x.shape[:-1]):
        length = np.sqrt(sum(value**2 for value in x[index]))
        if length > 0:
            z[index] = x[index] / length
    return z


def _anchors(x):
    return list(product(*(range(n) for n in x.shape[:-1])))


def _denominators(z, temperature):
    return {
        a: sum(np.exp(z[a] @ z[k] / temperature) for k in _anchors(z) if k != a)
        for a in _anchors(z)
    }


def _minus_log(z, a, p, denominators, temperature):
    return -np.log(np.exp(z[a] @ z[p] / temperature) / denominators[a])


def equation_6(x, temperature):
    """SimCLR: two views, one time step, `I` holds both views."""
    samples, views, timesteps, _ = x.shape
    assert (views, timesteps) == (2, 1)
    z = _unit_length(x)
    denominators = _denominators(z, temperature)
    terms = np.zeros((samples, views))
    for i in range(samples):
        for v in range(views):
            a, positive = (i, v, 0), (i, 1 - v, 0)
            terms[i, v] = _minus_log(z, a, positive, denominators, temperature)
    return terms


def equation_7(x, temperature):
    """Same image at other steps; with views, in other views as well."""
    samples, views, timesteps, _ = x.shape
    z = _unit_length(x)
    denominators = _denominators(z, temperature)
    terms = np.zeros((samples, views))
    for i in range(samples):
        for v in range(views):
            for t in range(timesteps):
                for w in range(views):
                    for s in range(timesteps):
                        if (w, s) == (v, t):
                            continue
                        terms[i, v] += (
                            _minus_log(
                                z,
                                (i, v, t),
                                (i, w, s),
                                denominators,
                                temperature,
                            )
                            / timesteps
                        )
    return terms


def equation_10(x, labels, temperature):
    """Same class, as printed: `P(i)` are samples and views, `i` included."""
    samples, views, timesteps, _ = x.shape
    z = _unit_length(x)
    denominators = _denominators(z, temperature)
    terms = np.zeros((samples, views))
    for i in range(samples):
        same_class = [
            (p, w)
            for p in range(samples)
            for w in range(views)
            if labels[p] == labels[i]
        ]
        for v in range(views):
            for t in range(timesteps):
                for s in range(timesteps):
                    for p in same_class:
                        if p == (i, v) and t == s:
                            continue
                        terms[i, v] += _minus_log(
                            z, (i, v, t), (*p, s), denominators, temperature
                        ) / (timesteps * len(same_class))
    return terms


def mean_over_positives(x, labels, temperature):
    """SupCon's `L_out`, then the mean over time; image ids for no labels."""
    samples, views, timesteps, _ = x.shape
    if labels is None:
        labels = range(samples)
    z = _unit_length(x)
    denominators = _denominators(z, temperature)
    terms = np.zeros((samples, views))
    for a in _anchors(z):
        positives = [
            p for p in _anchors(z) if labels[p[0]] == labels[a[0]] and p != a
        ]
        for p in positives:
            terms[a[:2]] += _minus_log(z, a, p, denominators, temperature) / (
                len(positives) * timesteps
            )
    return terms


def finite_differences(function, x, step=1e-6):
    """Gradient of a scalar function in float64 by central differences."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        nudge = np.zeros(x.shape)
        nudge[index] = step
        gradient[index] = (function(x + nudge) - function(x - nudge)) / (
            2 * step
        )
    return gradient


def cross_entropy(logits, probabilities):
    """Cross entropy of one vector of logits, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits)
    log_probabilities = shifted - np.log(np.exp(shifted).sum())
    return -np.sum(np.asarray(probabilities, "float64") * log_probabilities)


def log_softmax(logits):
    """Of one vector of logits, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits)
    return shifted - np.log(np.exp(shifted).sum())


def distillation(student, teacher, temperature):
    """`k^2 KL(teacher || student)` of two vectors of logits, in float64."""
    log_p = log_softmax(np.asarray(teacher) / temperature)
    log_q = log_softmax(np.asarray(student) / temperature)
    return temperature**2 * np.sum(np.exp(log_p) * (log_p - log_q))


def over_views(function, logits, labels):
    """`[B]`: the mean over views of `function(steps [T, C], label)`."""
    return np.array(
        [
            np.mean([function(steps, label) for steps in views])
            for views, label in zip(logits, labels, strict=True)
        ]
    )
