"""A network that finds the lungs in a chest X-ray, trained against a critic."""
