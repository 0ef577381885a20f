"""The nodes: thin shells around the other rooms; importing them changes nothing of a process."""
