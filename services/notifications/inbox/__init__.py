"""Messages that people read in the product."""
