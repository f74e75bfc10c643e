"""Peer authentication of an embedded Postgres: the kernel identifies the users of this machine."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from storage.embedded.data_directory import SERVER, USER
from storage.embedded.os_account import Account, give

_RULES = "mall_hba.conf"
_NAMES = "mall_ident.conf"


def write_guard(cluster: Path, data_dir: Path, seen_as: str, account: Account | None) -> list[str]:
    """Write the rules. Returns the settings with which Postgres reads them.

    Args:
        cluster: Postgres's folder.
        data_dir: its owner may connect.
        seen_as: the folder's path as Postgres sees it.
        account: the account of Postgres.

    Raises:
        OSError: they cannot be written.
    """
    names = sorted({_name_of(uid) for uid in (0, os.geteuid(), data_dir.stat().st_uid)} - {""})
    known = "".join(f'mall "{name}" {role}\n' for name in names for role in (USER, SERVER))
    for file, text in ((_RULES, "local all all peer map=mall\n"), (_NAMES, known)):
        path = cluster / file
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        give(path, account)
    return [f"hba_file={seen_as}/{_RULES}", f"ident_file={seen_as}/{_NAMES}"]


def _name_of(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return ""
