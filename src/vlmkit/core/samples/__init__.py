"""Inputs that the toolkit makes itself, on any machine, without a network."""
