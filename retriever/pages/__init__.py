"""What pages for people share: a log that only grows, words in two languages, keys, agreement, one look.

It lies in the lowest room because the pages of evaluation and of training may not import each other.
"""
