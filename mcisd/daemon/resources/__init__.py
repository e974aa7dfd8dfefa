"""Images, specs, networks, security groups, keys: made by request, or automatically where a request leaves them out."""
