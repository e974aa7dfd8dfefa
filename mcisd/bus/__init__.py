"""Move: the bus that everything that happens passes."""
