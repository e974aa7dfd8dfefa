"""The agents of the VMs: installed when a VM runs, watched by their links, let in by their tokens."""
