"""Reach the VMs: keys and targets in, command results and installed agents out, all over SSH."""
