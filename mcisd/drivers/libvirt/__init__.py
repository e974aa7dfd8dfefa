"""Hosts with libvirt (a private cloud of one machine each), through libvirt-python."""
