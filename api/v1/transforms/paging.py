"""Transform of one-page lists: page numbers and totals in version 1, cursors in version 2. See numbered_pages.py."""

from __future__ import annotations

from typing import Any


def page_of(items: list[Any], page: int, page_size: int, total: int) -> dict[str, Any]:
    """A page in the form of version 1."""
    return {
        "items": items,
        "page": page,
        "page_size": page_size,
        "total": total,
        "pages": -(-total // page_size),
    }


def backward(answer: Any) -> Any:
    """Translate a list of version 2 that has only one page."""
    if isinstance(answer, dict) and "items" in answer and "next" in answer:
        items = answer["items"]
        return page_of(items, 1, max(1, len(items)), len(items))
    return answer
