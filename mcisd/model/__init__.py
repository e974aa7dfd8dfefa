"""Nouns: ids, states, records, frames, events, errors. Imports nothing of ours, does no I/O."""
