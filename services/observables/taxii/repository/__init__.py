"""SQL of collections: themselves, their pages, their objects, what is posted into them."""
