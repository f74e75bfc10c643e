"""Contract of the API without HTTP: accepted input, and problems.

Map:
problems.py        all problem types (RFC 9457)
problem_advice.py  advice to clients for each problem
field_errors.py    error texts of fields
json_body.py       strict JSON of request bodies
fields.py          field types
contact_fields.py  field types of phone numbers, languages, time zones
literals.py        grammar of numbers and times
field_readers.py   use of that grammar in each field
merge_patch.py     merge patches (RFC 7396)
cursors.py         sealed position in a list
versions.py        versions of the API and their dates
"""
