"""``hrdis train``: a prior from a folder of pictures."""
