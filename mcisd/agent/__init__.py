"""The agent that runs on every VM: /proc in, frames out over one TLS link. Stdlib only, Python 3.6+, no threads."""
