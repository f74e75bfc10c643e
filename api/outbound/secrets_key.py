"""The key that seals secrets: MALL_SECRETS_KEY, or in the embedded mode a file in the data folder."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from pathlib import Path

from api.outbound.sealing import KEY_BYTES, Sealing
from config.settings import Settings
from storage.embedded import EmbeddedError

FILE = "secrets.key"


def open_sealing(settings: Settings) -> Sealing | None:
    """Make the sealing of an instance. None: no key is configured, so no endpoint can be made.

    Raises:
        EmbeddedError: the file holds no key.
        OSError: it cannot be made.
    """
    keys = settings.secrets_keys
    if not keys and settings.embedded:
        keys = (_file_key(settings.data_dir),)
    return Sealing(keys) if keys else None


def embedded_key(settings: Settings) -> str:
    """The key of the embedded mode as MALL_SECRETS_KEY holds it, for processes that do not know of that mode.

    Raises:
        EmbeddedError: the file holds no key.
        OSError: it cannot be made.
    """
    return base64.b64encode(_file_key(settings.data_dir)).decode()


def _file_key(folder: Path) -> bytes:
    """The key of the data folder, made the first time; several processes may do so at once."""
    path = folder / FILE
    if not path.exists():
        draft = folder / f".{FILE}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            os.fsync(descriptor)
            if os.geteuid() == 0:
                owner = folder.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)
        # The first one stays: a link does not replace.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise EmbeddedError(
            f"{path} holds no key of {KEY_BYTES} bytes in base64. Put back the one that was there."
        )
    return key
