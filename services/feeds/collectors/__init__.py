"""How a feed's bytes come to us: one collector per protocol; what the bytes mean is a format's business."""
