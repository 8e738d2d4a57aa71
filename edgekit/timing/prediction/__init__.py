"""How long a network would take: fitted to what networks of its kind took on a device, and asked without it."""
