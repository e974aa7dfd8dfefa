"""OpenStack: keystone, nova, neutron and glance over HTTP, with our own client."""
