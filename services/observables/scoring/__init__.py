"""What a value is worth: what is known of it, how that adds up, and how it fades. No I/O."""
