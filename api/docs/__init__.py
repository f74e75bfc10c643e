"""The API's documents, made from the route table and the request models.

Map:
operations.py   what each operation takes and gives
answers.py      schemas of answers
openapi.py      the OpenAPI 3.1 document, and the page that shows it
page.html, page.js, page.css   the page: no script, font or style from elsewhere
"""
