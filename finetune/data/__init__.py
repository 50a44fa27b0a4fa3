"""The data that teaches and tests: descriptions, pairs, views, annotators."""
