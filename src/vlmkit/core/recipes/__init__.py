"""One file an action: load, call pure functions, save."""
