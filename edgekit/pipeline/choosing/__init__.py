"""What to ship: many networks and settings measured alike, and which of them suits a purpose."""
