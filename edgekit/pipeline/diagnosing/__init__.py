"""What is wrong with a network, its images, its training or its files."""
