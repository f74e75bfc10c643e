"""Names of keys. Clusters may share a server, so every key names its cluster, and nothing takes a bare text for one."""

from __future__ import annotations

from actors.values import frozen


@frozen
class Keyspace:
    """The keys of one cluster.

    Attributes:
        cluster: its name; two databases never have the same (api/operator/first_run.py).
    """

    cluster: str

    def beginning(self, *rooms: str) -> str:
        """What keys of one use begin with. The braces make a hash tag: on a Redis cluster all keys of ours are in one
        slot, as scripts and transactions need it.
        """
        return ":".join((f"{{mall-{self.cluster}}}", *rooms, ""))
