"""What is known about values, for whoever asks: one, many, all that match; now and then."""
