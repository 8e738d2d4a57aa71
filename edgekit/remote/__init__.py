"""Devices that are elsewhere: what is sent there, and how."""
