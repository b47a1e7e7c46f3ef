"""Growth: how much the installation stores, measured every hour."""
