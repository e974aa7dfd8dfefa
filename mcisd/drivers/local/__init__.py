"""The local cloud, a small real cloud on this machine for trials and demonstrations, and the driver for it."""
