"""The mitre service: ATT&CK versions, diffs, lookup."""
