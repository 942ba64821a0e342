"""Compiled operations, each behind a plain-torch reference of the same name."""
