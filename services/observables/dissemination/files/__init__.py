"""Files: versions of lists as readers want them, ready before they are polled."""
