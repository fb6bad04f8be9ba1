"""Measures edera-falcod on real captures: `python -m bench --help`, docs/performance.md."""
