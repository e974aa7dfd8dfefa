"""The AWS driver: EC2 with its network, prices and quotas."""
