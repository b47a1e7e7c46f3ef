"""Previews: what a document would yield, without storing or sending anything."""
