"""Version 1 of the API: a translation of version 2, not a second code base.

A request of version 1 is rewritten into one of version 2, goes through the handler of version 2, and the
answer is rewritten back. What differs is in `differences/`, a module each; `api/MIGRATION.md` says the same
to those who must change a client.

Map:
table.py        the routes of version 1, and the operation of version 2 behind each
draft.py        a request on its way forward
calls.py        a request of version 1 as a handler of version 2 sees it
handlers.py     the ways to run an operation: as it is, as a list, as a whole replacement, as a transition
numbered.py     lists by page number, with totals
serving.py      binds it all into the application; every answer passes here
backward.py     answers of version 2 as version 1 gives them
examples.py     examples for the document
schemas.py      JSON Schemas of version 2 as those of version 1
document.py     the OpenAPI document of version 1, translated from that of version 2
differences/    what version 2 has changed, and how to get back
"""
