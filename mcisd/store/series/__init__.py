"""Time series: the port and its adapters."""
