"""TAXII: collections of STIX objects that other tools poll, and that they may write into."""
