"""Attacks on image classifiers, and what they tell of robustness."""
