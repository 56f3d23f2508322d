"""The pages and the API of any kind of record, made from its Entity. Knows no kind."""
