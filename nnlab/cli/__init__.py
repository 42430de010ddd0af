"""The command line: words typed by a person become function calls. The only part that prints."""
