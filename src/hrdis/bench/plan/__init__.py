"""The plan of a run: pictures, methods and problems, and what one unit of work does."""
