"""The federation room: empty until the Flower apps move in with the next release."""
