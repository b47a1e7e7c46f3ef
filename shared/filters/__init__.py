"""Filters: the one language that says which events, rows or groups are meant.

It is a strict subset of CEL, the Common Expression Language (cel.dev, language definition 1.0). A
text is read (`tokens`, `parser`), checked against the fields that there are (`model`, `checker`),
and becomes a tree of conditions (`conditions`). Of the tree are made a Python function (`matcher`),
an SQL condition (`sql`), a sentence (`sentence`) and what it requires (`requirements`). `filter`
is the door to all of them.

A field that is absent makes a comparison neither true nor false, as an error does in CEL and NULL
in SQL, and only what is true matches: `!(change.score_before > 50)` matches nothing that has no
earlier score. Every back end therefore writes two forms of a condition: when it holds, and when it
fails.
"""
