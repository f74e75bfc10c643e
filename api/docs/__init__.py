"""The API's documents, made from the route table and the request models.

Map:
operations.py   what each operation takes and gives
answers.py      schemas of answers
schemas.py      the words that schemas are made of
headers.py      headers of requests and answers
examples.py     an example of each body and each answer
notes.py        what is said in sentences
serving.py      a document in pieces, and its tag
openapi.py      the OpenAPI 3.1 document
page.py         the page that shows all documents
feed_frames.py  schemas and examples of the feed's frames
asyncapi.py     the AsyncAPI document of the feed
catalogue.py    everything that can go wrong, as a list and as pages
page.html, page.js, page.css   the page: no script, font or style from elsewhere
"""
