"""Scoring language models in context, and aggregates of scores."""
