"""Authentication and authorization of callers.

Map:
permissions.py     roles and scopes, and the rate limit policies
access_tokens.py   JWTs signed with Ed25519, signing keys, revocation
stream_tickets.py  tickets for the event stream of one order
passwords.py       Argon2id in a thread
"""
