"""How metrics are printed: fractions in percent, as papers do."""

from __future__ import annotations

import math

#: Metrics that lie between 0 and 1 and that papers print in percent.
FRACTIONS = {
    "accuracy",
    "model_accuracy",
    "ap",
    "ap_negative",
    "batch_ap",
    "batch_auc",
    "mrr",
    "f1",
    "macro_f1",
    "micro_f1",
    "precision",
    "recall",
}


def metric_name(name: str) -> str:
    """Return the last part of a metric's name.

    >>> metric_name("test/accuracy")
    'accuracy'
    """
    return name.rpartition("/")[2]


def is_fraction(name: str) -> bool:
    """Tell whether a metric lies between 0 and 1 and is printed in percent.

    >>> is_fraction("test/hits@10"), is_fraction("pooled_auc"), is_fraction("val/loss")
    (True, True, False)
    """
    last = metric_name(name).lower()
    return last in FRACTIONS or last.startswith("hits") or last.endswith("auc")


def number(name: str, value: float | None) -> str:
    """Format a metric: fractions in percent, the rest with four digits.

    >>> number("test/accuracy", 0.8153), number("rmse", 1.23456)
    ('81.53', '1.235')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{100 * value:.2f}" if is_fraction(name) else f"{value:.4g}"


def reported_number(name: str, value: float, std: float | None = None) -> str:
    """Format a paper's number, which a registry keeps as printed (percent) or as a fraction.

    >>> reported_number("accuracy", 81.5, 0.3), reported_number("mrr", 0.25)
    ('81.5 ± 0.3', '25.0')
    """
    scale = 100.0 if is_fraction(name) and abs(value) <= 1.0 else 1.0
    text = f"{scale * value:.1f}" if is_fraction(name) else f"{value:.4g}"
    return text if std is None else f"{text} ± {scale * std:.1f}"
