"""The compiled part: the arithmetic of small networks, of traces and of bookkeeping."""
