"""The foundation of all other rooms: records, errors, settings files, limits on messages."""
