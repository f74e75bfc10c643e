"""Tests about the repository itself.

Sizes are advice, not a test: a file of more than 400 lines, or a function of more than 60, is a question in review.
Most files have about 130 lines and most functions less than 30. Lines are not squeezed with `# fmt: skip` to get there.

Map:
test_house.py     docstrings, tasks with owners, modules that import alone, the tests that the threat model names
test_maps.py      maps of folders, in the docstrings of `__init__.py`: every file, and no other
test_names.py     one name, one class
test_imports.py   no circle of imports
test_seam.py      only aiohttp_internals.py touches private parts of aiohttp
test_commands.py  a command imports only what it needs
test_services.py  api names no query and opens no transaction
test_migrations.py  each says whether it expands or contracts
test_sql_text.py  the present text of the schema: comments, map
test_locks.py     the locks of packages: everything that is wanted, with hashes
test_compose.py   compose.yaml: what it starts is closed to strangers
deploy/           what config/deploy holds: manifests, valid and safe
"""
