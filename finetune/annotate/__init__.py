"""Annotators: what models write about photographs and pairs, checked, paid for once, and handed on to people."""
