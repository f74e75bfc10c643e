"""What the API accepts and how it refuses, without HTTP.

Map:
problems.py        all problem types (RFC 9457)
problem_advice.py  what a client can do about each problem
field_errors.py    error texts of fields
json_body.py       strict JSON
fields.py          field types
literals.py        grammar of numbers and times
field_readers.py   applies that grammar to each field
merge_patch.py     merge patches (RFC 7396)
cursors.py         sealed position in a list
versions.py        versions of the API and their dates
"""
