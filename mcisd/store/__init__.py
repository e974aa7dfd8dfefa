"""Keep: metadata (rows with versions, events) and time series (columns)."""
