"""Google Cloud behind the driver interface."""
