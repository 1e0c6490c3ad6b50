"""What ATEX claims about its speed and size, measured: one script per claim.

Run one from the top of the repository, for instance `.venv/bin/python -m benchmarks.latency`; each starts its own
machines and installs its peers. README.md says what is to be reached, and holds the tables.
"""
