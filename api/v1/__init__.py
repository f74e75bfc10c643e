"""Version 1 of the API: a translation of version 2, not a second code base.

A request of version 1 is rewritten into one of version 2 and goes through the handler of version 2; the answer is
rewritten back. Each difference has a module in `transforms/`; `api/MIGRATION.md` describes them for clients.

Map:
routes.py          routes of version 1, and the operation of version 2 behind each
request_draft.py   a request while it is rewritten
request.py         a request of version 1 as a handler of version 2 sees it
handlers.py        ways to run an operation: as it is, as a list, as a replacement, as a transition
numbered_pages.py  lists by page number, with totals
mount.py           adds version 1 to the application
responses.py       answers of version 2 as answers of version 1
examples.py        examples for the document
schemas.py         schemas of version 2 as those of version 1
document.py        the OpenAPI document of version 1
transforms/        one module for each difference
"""
