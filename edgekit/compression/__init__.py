"""What makes trained networks smaller, and looks for small ones: decided here, without files and printing."""
