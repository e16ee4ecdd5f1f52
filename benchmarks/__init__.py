"""How good and how fast SpotScan is, beside its peers: `python -m benchmarks` writes RESULTS.md."""
