"""Prometheus's text of several instances as one: each sample says of which instance it is.

All lines of a family stand together, as the format demands it, so the texts are taken apart by family. Nothing in a
sample is looked at but where its name ends: values and labels stay as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping


def merge_expositions(texts: Mapping[str, str]) -> str:
    """One text of those of the instances, by name of the instance."""
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for instance, text in texts.items():
        label, family = f'instance="{instance}"', ""
        for line in text.splitlines():
            if line.startswith("#"):
                _, kind, family, *_ = line.split(" ", 3)
                # Instances of two versions may tell of a family in other words: the first one's count.
                heads.setdefault(family, {}).setdefault(kind, line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, label))
    lines = [line for family, head in heads.items() for line in (*head.values(), *samples.get(family, ()))]
    return "".join(line + "\n" for line in lines)


def _labelled(line: str, label: str) -> str:
    """A sample with one label more, before all others."""
    brace, space = line.find("{"), line.find(" ")
    if 0 <= brace < space:
        return f"{line[: brace + 1]}{label},{line[brace + 1 :]}"
    return f"{line[:space]}{{{label}}}{line[space:]}"
