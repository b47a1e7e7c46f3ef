"""What sources are worth: what each alone says, what they share, who is first, what they cost."""
