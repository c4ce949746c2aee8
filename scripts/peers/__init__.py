"""What Freshet is measured against; see bench.py."""
