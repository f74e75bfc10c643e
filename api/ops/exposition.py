"""Merging of several instances' Prometheus texts into one, in which each sample names its instance.

The format demands all lines of a family together, so the texts are split by family. Of a sample only the end of its
name is parsed: values and labels stay as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping


def merge_expositions(texts: Mapping[str, str]) -> str:
    """Merge texts, by name of the instance."""
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for instance, text in texts.items():
        label, family = f'instance="{instance}"', ""
        for line in text.splitlines():
            if line.startswith("#"):
                _, kind, family, *_ = line.split(" ", 3)
                # Two versions may describe a family in different words; the first description is used.
                heads.setdefault(family, {}).setdefault(kind, line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, label))
    lines = [line for family, head in heads.items() for line in (*head.values(), *samples.get(family, ()))]
    return "".join(line + "\n" for line in lines)


def _labelled(line: str, label: str) -> str:
    """A sample with one more label, before all others."""
    brace, space = line.find("{"), line.find(" ")
    if 0 <= brace < space:
        return f"{line[: brace + 1]}{label},{line[brace + 1 :]}"
    return f"{line[:space]}{{{label}}}{line[space:]}"
