"""Payment gateway: client, sandbox and worker. PROTOCOL.md is the contract with a provider.

Map:
http_gateway.py  dispatch.payments.Gateway over HTTP
sandbox.py       sandbox provider for tests and trials, in this process or as a service
worker.py        payments of an instance, and the background task that finishes them
"""
