"""Writes the JSON of all dashboards: `python -m config.deploy.dashboards`. A test compares it with the files."""

from __future__ import annotations

from config.deploy.dashboards.boards import FOLDER, files

if __name__ == "__main__":
    made = files()
    for path in FOLDER.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)
