"""The nodes: thin shells around other rooms. Importing them changes nothing of a process."""
