"""The payment provider's side of the wall.

client.py    dispatch.payments.Gateway over HTTP
sandbox.py   a provider for tests and trials: test tokens, every kind of outcome; in this process or as a service
"""
