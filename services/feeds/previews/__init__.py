"""Previews: the content of a document, without storing or sending anything."""
