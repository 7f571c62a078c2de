"""Benchmarks: each case checks its answer before it is timed.

``python -m benchmarks.compare`` times ours and its peers side by side and prints one table;
``pytest benchmarks`` gives pytest-benchmark's statistics of the same cases.
"""
