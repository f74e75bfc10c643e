"""Version 1 of the API: a translation of version 2, not a second code base.

A request of version 1 is rewritten into one of version 2 and goes through the handler of version 2; the answer is
rewritten back. Each difference has a module in `transforms/`; `api/MIGRATION.md` describes them for clients.

Map:
routes.py          routes of version 1, and the operation of version 2 behind each
request_draft.py   a version 1 request during its translation
request.py         a version 1 request in the form that handlers of version 2 use
handlers.py        ways to run an operation: unchanged, as a list, as a replacement, as a transition
numbered_pages.py  lists by page number, with totals
mount.py           adds version 1 to the application
responses.py       answers of version 2 as answers of version 1
examples.py        examples of the document of version 1
schemas.py         schemas of version 2 as those of version 1
document.py        the OpenAPI document of version 1
transforms/        one module for each difference
"""
