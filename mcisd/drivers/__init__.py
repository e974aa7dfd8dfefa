"""Talk to clouds: one folder per cloud, one gate (calls.py) all calls pass."""
