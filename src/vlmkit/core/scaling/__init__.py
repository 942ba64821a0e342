"""Scaling laws: fitting them, and what they predict."""
