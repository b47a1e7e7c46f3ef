"""What the reader of a message does by its signed addresses."""
