"""Registry of the pages and of what they import: a new page is one line of `PAGES` and a folder of its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from actors.values import frozen

ROOM = Path(__file__).parent
INSTALLED = ROOM / "node_modules"
# Every file of a page is below this path: /pages/console/app.js.
PREFIX = "/pages"


def policy_of(trusted_types: str = "'none'") -> str:
    """Content-Security-Policy of a page: nothing inline, nothing from elsewhere, no text that becomes a script.

    A page with a service worker names a policy of Trusted Types, for the worker's address is a script, too.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
        "img-src 'self' data:; manifest-src 'self'; worker-src 'self'; require-trusted-types-for 'script'; "
        f"trusted-types {trusted_types}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


@frozen
class WebPage:
    """Page for browsers: `NAME/index.html` in this room, served at its path and at every path below it.

    Attributes:
        name: of its folder, and of its operation.
        path: first part of its address.
        summary: one sentence for the table of operations.
        policy: its Content-Security-Policy.
        packages: it imports packages, so it needs them installed.
    """

    name: str
    path: str
    summary: str
    policy: str = policy_of()
    packages: bool = True


PAGES: tuple[WebPage, ...] = (
    WebPage("console", "/console", "The console of those who run the mall"),
    WebPage("track", "/t", "An order that is followed over a share link", packages=False),
    WebPage("drive", "/drive", "The app of drivers", policy_of("mall-worker")),
)
# Folders whose files every page may load.
SHARED = ("design", "client")
# What modules import by name, and fonts: name, file of /pages/vendor, file in node_modules.
VENDOR: Mapping[str, tuple[str, str]] = {
    "preact": ("preact.js", "preact/dist/preact.module.js"),
    "preact/hooks": ("hooks.js", "preact/hooks/dist/hooks.module.js"),
    "@preact/signals-core": ("signals-core.js", "@preact/signals-core/dist/signals-core.module.js"),
    "@preact/signals": ("signals.js", "@preact/signals/dist/signals.module.js"),
    "htm": ("htm.js", "htm/dist/htm.module.js"),
    "inter": ("inter.woff2", "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"),
    "inter-ext": ("inter-ext.woff2", "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2"),
}
