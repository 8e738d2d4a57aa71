"""What files cost, here and on other devices."""
