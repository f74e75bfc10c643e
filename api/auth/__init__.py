"""Who the caller is, and what the caller may do.

Map:
permissions.py     scopes and limit policy of each operation
access_tokens.py   JWTs signed with Ed25519, signing keys, revocation
stream_tickets.py  tickets for the event stream of one order
passwords.py       Argon2id in a thread
"""
