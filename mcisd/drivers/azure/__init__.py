"""Azure, through its resource manager (ARM). The class is in driver.py."""
