"""HTTP requests and answers of version 2, independent of the resource.

Map:
services.py       Services: everything that a handler may use
operation.py      declaration of an operation, beside its handler
request.py        RequestContext: one request as a handler sees it
command_executor.py one way in for commands on orders and drivers: REST and the feed
pipeline.py       trace, authentication, limits, deadline, problems, log line and metrics around each handler
accept.py         choice of the content type by the Accept header
conditional.py    entity tags, If-Match, If-None-Match
pagination.py     pages of lists
cors.py           requests of pages from other origins (CORS)
front_pages.py    first page of the public port and of the ops port
order_answers.py  cache of serialized orders
observers.py      log lines and metrics of packages that have no logger
"""
