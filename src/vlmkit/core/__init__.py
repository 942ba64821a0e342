"""The toolkit as a library: what the commands compute."""
