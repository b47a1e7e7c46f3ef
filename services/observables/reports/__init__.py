"""Documents: which observables they name, read in processes of their own."""
