"""Artifacts on disk: manifests, tables, tensors, tokens, images, and readers of what users bring."""
