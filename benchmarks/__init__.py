"""Benchmarks: one claim per file, timed beside its peers; see README.md."""
