"""Imports: fetch an ATT&CK bundle and store it as a release."""
