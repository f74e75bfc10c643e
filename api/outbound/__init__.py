"""Senders to the world outside: mail, SMS and webhooks. Imports point down this map, never up.

Map:
opening.py        the senders of mail and SMS that the settings name
mail.py           mail by SMTP
sms.py            SMS over HTTP
rendering.py      templates in each language, money and times as written there
webhooks.py       the sender of webhooks with its HTTP client, metrics and keys
http_sender.py    sends a message over HTTP, guarded and bounded
address_guard.py  refuses private and special addresses when a connection is made
endpoint_urls.py  which URLs an endpoint may have
signing.py        signatures of Standard Webhooks
sealing.py        secrets of endpoints at rest
secrets_key.py    the key that seals them
WEBHOOKS.md       guide for receivers
"""
