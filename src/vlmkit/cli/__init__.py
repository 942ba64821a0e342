"""The command line: words in, report out. Imports only the standard library, typer, rich, configs and errors."""
