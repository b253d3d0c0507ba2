"""Finds what must not be stored in what was said or written: card numbers, telephone numbers, e-mail addresses.

Pure, and knows nothing of calls. :mod:`app.journal.redacted` applies it to the rows of a journal.
"""
