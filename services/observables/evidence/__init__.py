"""Evidence about sources: which of them copy others, as their lists and times tell."""
