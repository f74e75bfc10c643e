"""Clients that real generators make from the served documents, and programs that use them.

Map:
package.json  openapi-typescript, openapi-fetch and Modelina, as npm has them
models.mjs    the frames of the feed as TypeScript, by Modelina
mall.ts       a customer and a driver in TypeScript: place, pay, track, deliver
mall.py       a customer and a driver with the client of openapi-python-client
"""
