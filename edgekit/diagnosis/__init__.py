"""What is wrong with a network, its images, its training or its files, each trouble with evidence and a remedy."""
