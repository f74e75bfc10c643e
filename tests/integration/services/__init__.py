"""The services over tables, without HTTP, against a real Postgres."""
