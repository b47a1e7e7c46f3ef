"""Reports: the observables and ATT&CK ids that documents name, and what is stored about them."""
