"""Keys of a cluster. Clusters may share a server, so each key begins with its cluster's name."""

from __future__ import annotations

from actors.values import frozen


@frozen
class Keyspace:
    """Keyspace of one cluster.

    Attributes:
        cluster: its name; different databases have different names (api/operator/first_run.py).
    """

    cluster: str

    def beginning(self, *rooms: str) -> str:
        """Prefix of the keys of one use.

        The braces make a hash tag: in a Redis cluster all keys of one cluster are in one slot, as scripts and
        transactions require.
        """
        return ":".join((f"{{mall-{self.cluster}}}", *rooms, ""))
