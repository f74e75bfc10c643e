"""The planner as machine code: `python -m dispatch.compiled_planner [DIR]` makes it, by default in this venv.

What is made is a package `mall_planner` beside the planner of the source tree, with the same answers: mypyc makes it of
the same files. Servers use it where it is installed and made of the very files that they have. To make it takes a C
compiler, the headers of Python, and mypy.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dispatch.domain.planning import PlanResult, PlanSettings, PlanState

COMPILED_PACKAGE = "mall_planner"
ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "dispatch" / "domain" / "planning"
Plan = Callable[[PlanState, float, int, PlanSettings], PlanResult]
# The modules in which the time goes. The others hold values that both planners are told in.
MODULES = (
    "candidates", "draws", "insertion", "legs", "planner", "position", "proposals", "reassignment", "route_set",
    "routes", "search", "trips",
)  # fmt: skip
_SETUP = """
from mypyc.build import mypycify
from setuptools import setup
setup(name="{package}", packages=[], ext_modules=mypycify({files!r}, opt_level="3"))
"""
_INIT = '''"""The planner, compiled. Made by `python -m dispatch.compiled_planner`."""

from {package}.planner import plan

DIGEST = "{digest}"
__all__ = ["DIGEST", "plan"]
'''


def planner_digest() -> str:
    """Digest of the planner's files."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def compiled_planner() -> Plan | None:
    """The compiled planner; None: there is none, or it was made of other files."""
    try:
        package = importlib.import_module(COMPILED_PACKAGE)
    except ImportError:
        return None
    found: Plan = package.plan
    return found if planner_digest() == package.DIGEST else None


def _renamed(text: str) -> str:
    """Imports of compiled modules lead to their compiled neighbours."""
    for module in MODULES:
        text = text.replace(f"dispatch.domain.planning.{module} ", f"{COMPILED_PACKAGE}.{module} ")
    return text


def compile_planner(target: Path) -> Path:
    """Make the package below a folder that is, or will be, on the path of modules. An older one is replaced.

    Raises:
        CalledProcessError: there is no compiler, or it fails; what was there stays.
    """
    with tempfile.TemporaryDirectory(prefix="mall-planner-") as name:
        work, package = Path(name), Path(name) / COMPILED_PACKAGE
        package.mkdir()
        (package / "__init__.py").touch()
        files = [f"{COMPILED_PACKAGE}/{module}.py" for module in MODULES]
        for module in MODULES:
            (package / f"{module}.py").write_text(_renamed((SOURCES / f"{module}.py").read_text()))
        (work / "setup.py").write_text(_SETUP.format(package=COMPILED_PACKAGE, files=files))
        environment = os.environ | {
            "MYPYPATH": str(ROOT),
            # No fused operations: sums are to be the same on every machine.
            "CFLAGS": "-ffp-contract=off",
        }
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", "built"]
        subprocess.run(command, cwd=work, env=environment, check=True)  # noqa: S603 - our words
        made = work / "built"
        init = _INIT.format(package=COMPILED_PACKAGE, digest=planner_digest())
        (made / COMPILED_PACKAGE / "__init__.py").write_text(init)
        target.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target / COMPILED_PACKAGE, ignore_errors=True)
        for part in made.iterdir():
            shutil.copytree(part, target / part.name) if part.is_dir() else shutil.copy2(part, target)
    return target / COMPILED_PACKAGE


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("platlib")
    sys.stdout.write(f"{compile_planner(Path(folder))}\n")
