"""One file for each way of naming MobileNet's weights; each turns them into the names of ``edgekit.models.network``."""
