"""Condition → action: policies act through the MCIS service like any user."""
