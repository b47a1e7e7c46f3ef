"""Rules: conditions on changed observables and feeds, and the channels that they notify."""
