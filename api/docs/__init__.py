"""API documents, generated from operations and models.

Map:
response_schemas.py   schemas of answers
schemas.py            building blocks of schemas
headers.py            headers of requests and answers
examples.py           an example of each body and each answer
descriptions.py       texts about query parameters and the whole API
static_document.py    a document that is the same for all clients, and its tag
openapi.py            the OpenAPI 3.1 document
browser_page.py       page that shows all documents
feed_frames.py        schemas and examples of the feed's frames
asyncapi.py           the AsyncAPI document of the feed
versions.py           versions of the API, and the guide from version 1 to version 2
problem_pages.py      all problem types as a list and as pages
page.html, page.js, page.css   files of that page; it loads nothing from elsewhere
"""
