"""Named SQL blocks: `-- name: x` in sql/*.sql becomes `BLOCKS["x"]`.

The name is also the label of its metric and its name in the slow-query log.
"""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def load_blocks(folder: Path) -> dict[str, str]:
    """Load all blocks of a folder.

    Raises:
        ValueError: two blocks share a name, or a file has none.
    """
    blocks: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = _HEAD.split(path.read_text())
        if len(parts) < 3:
            raise ValueError(f"{path.name} has no named block")
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in blocks:
                raise ValueError(f"block {name} stands twice, again in {path.name}")
            blocks[name] = body.strip().rstrip(";")
    return blocks


BLOCKS = load_blocks(Path(__file__).parent / "sql")
