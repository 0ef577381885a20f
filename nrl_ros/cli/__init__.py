"""The command ``nrl``: train, evaluate, plot and inspect without launch files."""
