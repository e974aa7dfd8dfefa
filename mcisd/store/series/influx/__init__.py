"""Time series on InfluxDB 2: an adapter of the series port."""
