"""Models as transformers folders: loading, saving, presets, and attention implementations by name."""
