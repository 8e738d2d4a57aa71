"""What runs on a device: Python 3.9 on, the standard library, numpy and one runtime."""
