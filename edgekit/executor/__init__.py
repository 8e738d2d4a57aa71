"""Graph -> torch module: float for calibration, integer-faithful for everything that simulates the deployed model."""
