"""What every room stands on: records, errors, files of settings, bounds on messages."""
