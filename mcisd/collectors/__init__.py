"""Receive samples from agents, aggregate them to windows, write the windows to the series store."""
